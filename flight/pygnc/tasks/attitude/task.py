"""Attitude process: estimates the attitude from sensor samples and the orbit.

The estimates are a function of the checkpoint and of the input and orbit journals from there on: after each GPS packet
it waits for the orbit task's response. If the orbit task has failed or does not respond for `ORBIT_PATIENCE_S`, the
task continues without waiting and marks each estimate (`orbit_late`).
"""

import math
import time
from collections import deque
from collections.abc import Iterator
from typing import Final

import msgspec
import zmq

from pygnc.bus import control
from pygnc.bus.messages import AttitudeEstimate, InputMessage, Message, OrbitEstimate, OrbitMessage, OrbitWatermark
from pygnc.bus.streams import StreamReader
from pygnc.configuration.data_files import MAIN_FIELD_TABLE, DataFileError, read_main_field
from pygnc.environment.geomagnetic import MainField
from pygnc.navigation.attitude import AttitudeTracker, SampleOutcome
from pygnc.navigation.environment import EnvironmentModel
from pygnc.tasks.recovery import CheckpointFile, ResumableWriter
from pygnc.tasks.runtime import Notify, Run, Task
from pygnc_system.files import data_file

MESSAGES_PER_STEP: Final = 64
STEP_S: Final = 0.05
"""Duration of a step of work, s; during the search for the attitude, a single sample may take this long."""
ORBIT_PATIENCE_S: Final = 12.0
"""Longest wait for the orbit task: if frozen, it is killed after 3 s and restarted after at most 5 s more."""


class Checkpoint(msgspec.Struct, frozen=True):
    """State of a restarted task: last input and orbit processed, last estimate written, and the tracker."""

    last_input_seq: int
    last_orbit_seq: int
    last_output_seq: int
    tracker: bytes


class AttitudeTask(Task):
    """Process that reads the input and orbit streams and writes the attitude stream."""

    def __init__(self, run: Run, context: "zmq.Context[zmq.Socket[bytes]]", notify: Notify) -> None:
        super().__init__(run, context, notify)
        self._stream = self.open_stream("attitude")
        self._checkpoint = CheckpointFile(run.runtime / "attitude.checkpoint", Checkpoint, notify)
        saved = self._checkpoint.load()
        self._tracker = AttitudeTracker(
            run.settings.attitude,
            EnvironmentModel(run.earth_orientation, self._load_main_field()),
            saved.tracker if saved else None,
        )
        self._last_input_seq, self._last_orbit_seq = (saved.last_input_seq, saved.last_orbit_seq) if saved else (0, 0)
        self._output = ResumableWriter(self._stream, saved.last_output_seq if saved else 0)
        self._saved_seq = self._last_input_seq
        self._input = self.open_reader("input", InputMessage, after_seq=self._last_input_seq)
        self._orbit = self.open_reader("orbit", OrbitMessage, after_seq=self._last_orbit_seq)
        self._current_seq = self._last_input_seq
        self._outcomes: Iterator[SampleOutcome] | None = None
        self._estimates: list[AttitudeEstimate] = []
        self._inputs: deque[Message] = deque()
        self._orbits: deque[Message] = deque()
        self._orbit_failed = False
        self._orbit_due_s = math.inf
        self._orbit_late_reported = False

    def sockets(self) -> list["zmq.Socket[bytes]"]:
        """Return the orbit socket, and the input socket unless an orbit must come first."""
        return [self._orbit.socket] if self._tracker.awaits_orbit else [self._orbit.socket, self._input.socket]

    def work(self) -> bool:
        """Process waiting inputs and orbits in order."""
        step_ends_s = time.monotonic() + STEP_S
        more = True
        while more and time.monotonic() < step_ends_s:
            more = self._process_next()
        estimates, self._estimates = self._estimates, []
        self._output.write(estimates)
        if self._checkpoint.is_due and self._last_input_seq > self._saved_seq and self._outcomes is None:
            self._saved_seq = self._last_input_seq
            seqs = self._last_input_seq, self._last_orbit_seq, self._output.last_seq
            self._checkpoint.save(Checkpoint(*seqs, self._tracker.checkpoint()))
        return more or self._read_ahead()

    def on_run_state(self, state: control.RunState) -> None:
        """Note a failure of the orbit task."""
        self._orbit_failed = any(task.name == "orbit" and task.state == "failed" for task in state.tasks)

    def progress(self) -> control.Progress:
        """Return the sample counters: received = used + unused + held."""
        counts = self._tracker.counts | {
            "lost_messages": self._input.lost + self._orbit.lost,
            "not_recorded": self.not_recorded(),
        }
        return control.Progress(last_sequence_processed=self._last_input_seq, counts=counts)

    def close(self) -> None:
        """Close the journal of estimates."""
        self._stream.close()
        self._input.close()
        self._orbit.close()

    def _process_next(self) -> bool:
        """Process a sample, orbit or input; return False if the next message has not arrived."""
        if self._outcomes is not None:
            outcome = next(self._outcomes, None)
            if outcome is not None:
                seq = self._output.last_seq + len(self._estimates) + 1
                self._estimates.append(self._tracker.estimate(outcome, seq))
                if outcome.calibrated_anew and seq > self._stream.journal.last_seq:
                    self.notify("info", "mag_calibrated", f"magnetometer: {outcome.calibrated}")
            else:
                self._last_input_seq, self._outcomes = self._current_seq, None
            return True
        if self._tracker.awaits_orbit:
            orbit = _next(self._orbits, self._orbit)
            if isinstance(orbit, OrbitEstimate | OrbitWatermark):
                self._orbit_due_s = math.inf
                self._last_orbit_seq = orbit.seq
                self._tracker.take_orbit(orbit)
                return True
            if not self._orbit_is_late():
                return False
        message = _next(self._inputs, self._input)
        if not isinstance(message, InputMessage):
            self._last_input_seq = self._input.last_seq  # includes lost messages
            return False
        self._current_seq, self._outcomes = message.seq, self._tracker.outcomes(message)
        return True

    def _read_ahead(self) -> bool:
        """Read messages that are not awaited yet, such as predictions, so that they do not wake the loop again."""
        self._orbits += self._orbit.receive(MESSAGES_PER_STEP)
        return self._orbit.is_behind

    def _orbit_is_late(self) -> bool:
        now = time.monotonic()
        if self._orbit_due_s == math.inf:
            self._orbit_due_s = now + ORBIT_PATIENCE_S
        late = self._orbit_failed or now >= self._orbit_due_s
        if late and not self._orbit_late_reported:
            self._orbit_late_reported = True
            self.notify(
                "warning",
                "orbit_late",
                "no response from the orbit task; estimates continue without waiting for orbits",
            )
        return late

    def _load_main_field(self) -> MainField | None:
        try:
            return read_main_field(data_file(MAIN_FIELD_TABLE))
        except (DataFileError, OSError) as error:
            self.notify("error", "main_field", f"{error}; without the magnetic field no attitude is found")
            return None


def _next(waiting: deque[Message], reader: StreamReader) -> Message | None:
    """Return the next message of a stream, from the socket or the journal."""
    if not waiting:
        waiting += reader.receive(MESSAGES_PER_STEP)
    if not waiting and reader.has_backlog:
        waiting += reader.receive(MESSAGES_PER_STEP)
    return waiting.popleft() if waiting else None
