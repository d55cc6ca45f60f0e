"""Estimates the attitude from sensor samples along the orbit that the orbit task gives.

What it gives is a function of its checkpoint and of both journals, input and orbit, from there on: behind each GPS
packet it waits for the orbit task's answer. An orbit task that has failed, or stays silent for `ORBIT_PATIENCE_S`, is
not waited for any more; then each estimate says so.
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
from pygnc.configuration.data_files import MAIN_FIELD_TABLE, GeomagneticFileError, data_file, read_main_field
from pygnc.environment.geomagnetic import MainField
from pygnc.tasks.attitude.environment import EnvironmentModel
from pygnc.tasks.attitude.tracker import AttitudeTracker, SampleOutcome, TrackerState
from pygnc.tasks.recovery import CheckpointFile, ResumableWriter
from pygnc.tasks.runtime import Notify, Run, Task

MESSAGES_A_TURN: Final = 64
TURN_S: Final = 0.05
"""While the attitude is searched for, one sample may take as long as this."""
ORBIT_PATIENCE_S: Final = 12.0
"""A frozen orbit task is noticed after 3 s, and restarted after 5 s more at most."""


class Checkpoint(msgspec.Struct, frozen=True):
    """All that a restarted task needs: the next input, the next orbit, the next estimate, and the tracker's memory."""

    last_input_seq: int
    orbit_through: int
    last_output_seq: int
    tracker: TrackerState


class AttitudeTask(Task):
    """Follows the streams of inputs and orbits and writes the attitude stream."""

    def __init__(self, run: Run, context: "zmq.Context[zmq.Socket[bytes]]", notify: Notify) -> None:
        super().__init__(run, context, notify)
        self._stream = self.open_stream("attitude")
        self._checkpoint = CheckpointFile(run.runtime / "attitude.checkpoint", Checkpoint)
        saved = self._checkpoint.load()
        self._tracker = AttitudeTracker(
            run.settings.attitude,
            EnvironmentModel(run.earth_orientation, self._load_main_field()),
            saved.tracker if saved else None,
        )
        self._through, self._orbit_through = (saved.last_input_seq, saved.orbit_through) if saved else (0, 0)
        self._output = ResumableWriter(self._stream, saved.last_output_seq if saved else 0)
        self._saved_through = self._through
        decode_input = msgspec.msgpack.Decoder(InputMessage).decode
        decode_orbit = msgspec.msgpack.Decoder(OrbitMessage).decode
        folders = run.journal_folders
        self._input = StreamReader(context, run.runtime, "input", folders, decode_input, after_seq=self._through)
        self._orbit = StreamReader(context, run.runtime, "orbit", folders, decode_orbit, after_seq=self._orbit_through)
        self._taken = self._through
        self._outcomes: Iterator[SampleOutcome] | None = None
        self._estimates: list[AttitudeEstimate] = []
        self._inputs: deque[Message] = deque()
        self._orbits: deque[Message] = deque()
        self._orbit_failed = False
        self._orbit_due_s = math.inf
        self._orbit_late_told = False

    def sockets(self) -> list["zmq.Socket[bytes]"]:
        """Wake for orbits, each GPS packet being answered by one; for inputs when no answer has to come first."""
        return [self._orbit.socket] if self._tracker.awaits_orbit else [self._orbit.socket, self._input.socket]

    def work(self) -> bool:
        """Deal with inputs and orbits in order, as far as they have come."""
        turn_ends_s = time.monotonic() + TURN_S
        more = True
        while more and time.monotonic() < turn_ends_s:
            more = self._deal_with_next()
        estimates, self._estimates = self._estimates, []
        self._output.write(estimates)
        if self._checkpoint.is_due and self._through > self._saved_through and self._outcomes is None:
            self._save_checkpoint()
        return more or self._read_ahead()

    def on_run_state(self, state: control.RunState) -> None:
        """Note whether the orbit task is given up."""
        self._orbit_failed = any(task.name == "orbit" and task.state == "failed" for task in state.tasks)

    def progress(self) -> control.Progress:
        """Balance the books of the samples."""
        counts = self._tracker.counts | {
            "lost_messages": self._input.lost + self._orbit.lost,
            "not_recorded": self.not_recorded(),
        }
        return control.Progress(last_sequence_processed=self._through, counts=counts)

    def close(self) -> None:
        """Close the journal of estimates."""
        self._stream.close()
        self._input.close()
        self._orbit.close()

    def _deal_with_next(self) -> bool:
        """Deal with one sample, orbit or input; False when the next one has to be waited for."""
        if self._outcomes is not None:
            outcome = next(self._outcomes, None)
            if outcome is not None:
                seq = self._output.last_seq + len(self._estimates) + 1
                self._estimates.append(self._tracker.estimate(outcome, seq))
                if outcome.calibrated_anew and seq > self._stream.journal.last_seq:
                    self.notify("info", "mag_calibrated", f"the magnetometer's {outcome.calibrated}")
            else:
                self._through, self._outcomes = self._taken, None
            return True
        if self._tracker.awaits_orbit:
            orbit = _next(self._orbits, self._orbit)
            if isinstance(orbit, OrbitEstimate | OrbitWatermark):
                self._orbit_due_s = math.inf
                self._orbit_through = orbit.seq
                self._tracker.take_orbit(orbit)
                return True
            if not self._orbit_is_late():
                return False
        message = _next(self._inputs, self._input)
        if not isinstance(message, InputMessage):
            self._through = self._input.last_seq  # behind lost messages too
            return False
        self._taken, self._outcomes = message.seq, self._tracker.outcomes(message)
        return True

    def _read_ahead(self) -> bool:
        """Take in what is not awaited yet, such as predictions: left in the socket, it would wake us for ever."""
        ahead = self._orbit.receive(MESSAGES_A_TURN)
        self._orbits += ahead
        return self._orbit.has_backlog or len(ahead) == MESSAGES_A_TURN

    def _orbit_is_late(self) -> bool:
        now = time.monotonic()
        if self._orbit_due_s == math.inf:
            self._orbit_due_s = now + ORBIT_PATIENCE_S
        late = self._orbit_failed or now >= self._orbit_due_s
        if late and not self._orbit_late_told:
            self._orbit_late_told = True
            self.notify("warning", "orbit_late", "no answer from the orbit task; attitudes are given without waiting")
        return late

    def _load_main_field(self) -> MainField | None:
        try:
            return read_main_field(data_file(MAIN_FIELD_TABLE))
        except (GeomagneticFileError, OSError) as error:
            self.notify("error", "main_field", f"{error}; without it no attitude is found")
            return None

    def _save_checkpoint(self) -> None:
        self._saved_through = self._through
        tracker = self._tracker.checkpoint()
        self._checkpoint.save(Checkpoint(self._through, self._orbit_through, self._output.last_seq, tracker))


def _next(waiting: deque[Message], reader: StreamReader) -> Message | None:
    """The next message of a stream, be it in the journal only."""
    if not waiting:
        waiting += reader.receive(MESSAGES_A_TURN)
    if not waiting and reader.has_backlog:
        waiting += reader.receive(MESSAGES_A_TURN)
    return waiting.popleft() if waiting else None
