"""Attitude process: estimates the attitude from sensor samples and the orbit.

The estimates are a function of the checkpoint and of the input and orbit journals from there on
(`pygnc.navigation.pipeline`). If the orbit task has failed or does not respond for `ORBIT_PATIENCE_S`, the task
continues without waiting and marks each estimate (`orbit_late`).
"""

import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from msgspec.structs import replace

from pygnc.bus import control
from pygnc.bus.messages import AttitudeEstimate, InputMessage, Message, OrbitMessage
from pygnc.bus.streams import StreamReader
from pygnc.configuration.data_files import MAIN_FIELD_TABLE, DataFileError, read_main_field
from pygnc.configuration.run import Notify, Run
from pygnc.environment.geomagnetic import MainField
from pygnc.navigation.attitude import AttitudeTracker
from pygnc.navigation.environment import EnvironmentModel
from pygnc.navigation.pipeline import AttitudeRecord, AttitudeStage
from pygnc.tasks.checkpoints import Checkpoint
from pygnc.tasks.recovery import EstimatorTask
from pygnc.tasks.runtime import Context, PollSource
from pygnc_system.files import data_file

STEP_S: Final = 0.05
"""Duration of a step of work, s; during the search for the attitude, a single sample may take this long."""
ORBIT_PATIENCE_S: Final = 12.0
"""Longest wait for the orbit task: if frozen, it is killed after 3 s and restarted after at most 5 s more."""


class AttitudeTask(EstimatorTask):
    """Process that reads the input and orbit streams and writes the attitude stream."""

    def __init__(self, run: Run, context: Context, notify: Notify) -> None:
        super().__init__(run, context, notify, "attitude")
        self._main_field = self._load_main_field()
        self._stage = self._make_stage(self.saved)
        self._orbit = self.open_orbits()
        self._records: Iterator[AttitudeRecord] | None = None
        self._estimates: list[AttitudeEstimate] = []
        self._orbit_due_s = math.inf
        self._orbit_late_reported = False

    def sockets(self) -> Sequence[PollSource]:
        """Return the socket of the stream whose message comes next; a prediction, once a second, wakes nobody."""
        return [self._orbit.socket if self._stage.tracker.awaits_orbit else self.input.socket]

    def work(self) -> bool:
        """Process waiting inputs and orbits in order, for about `STEP_S`; return True if more may wait."""
        step_ends_s = time.monotonic() + STEP_S
        more = True
        while more and time.monotonic() < step_ends_s:
            more = self._process_next()
        estimates, self._estimates = self._estimates, []
        self.output.write(estimates)
        stage = self._stage
        if self._records is None and self.is_checkpoint_due(stage.last_input_seq):
            self.save(stage.tracker.checkpoint(), stage.last_input_seq, stage.last_orbit_seq)
        # Messages that are not awaited yet, such as predictions, are read before their queue is full.
        stage.orbits += self._orbit.receive()
        more = more or self._orbit.is_behind
        if more:
            self.note_work()
        elif self._records is None and not (self.input.lost or self._orbit.lost):
            self.look_again(stage.tracker.checkpoint, stage.last_input_seq, stage.last_orbit_seq)
        return more

    def repeat(self, start: Checkpoint, until: Checkpoint, take: Callable[[Message], None]) -> Checkpoint:
        """Process the inputs between two checkpoints again; see `pygnc.tasks.second_look.Repeat`."""
        stage = self._make_stage(start)
        inputs = self.journaled("input", InputMessage, start.last_input_seq, until.last_input_seq)
        orbits = self.journaled("orbit", OrbitMessage, start.last_orbit_seq, until.last_orbit_seq)
        for record in self.repeated(stage, inputs, orbits):
            take(record.estimate)
        return replace(
            until,
            last_input_seq=stage.last_input_seq,
            last_orbit_seq=stage.last_orbit_seq,
            last_output_seq=stage.last_output_seq,
            tracker=stage.tracker.checkpoint(),
        )

    def progress(self) -> control.Progress:
        """Return the number of the last input and the sample counters: received = used + unused + held."""
        stage = self._stage
        return control.Progress(stage.last_input_seq, counts=stage.tracker.counts | self.stream_counts())

    def _make_stage(self, saved: Checkpoint) -> AttitudeStage:
        """Return a stage that continues from a checkpoint."""
        model = EnvironmentModel(self.run.earth_orientation, self._main_field)
        tracker = AttitudeTracker(self.run.settings.attitude, model, saved.tracker)
        stage = AttitudeStage(tracker, saved.last_input_seq, saved.last_orbit_seq)
        stage.last_output_seq = saved.last_output_seq
        return stage

    def _process_next(self) -> bool:
        """Process a sample, orbit or input; return False if the next message has not arrived."""
        stage = self._stage
        if self._records is not None:
            record = next(self._records, None)
            if record is None:
                self._records = None
            else:
                self._take(record)
            return True
        is_late = False
        if stage.tracker.awaits_orbit:
            _receive(stage.orbits, self._orbit)
            if stage.orbits:
                self._orbit_due_s = math.inf
            elif self._orbit_is_late():
                is_late = True
            else:
                return False
        if is_late or not stage.tracker.awaits_orbit:
            _receive(stage.inputs, self.input)
            if not stage.inputs:
                stage.last_input_seq = self.input.last_seq  # lost messages count as processed too
        self._records = stage.step(orbit_is_late=is_late)
        return self._records is not None

    def _take(self, record: AttitudeRecord) -> None:
        self._estimates.append(record.estimate)
        outcome = record.outcome
        if record.estimate.seq <= self.stream.journal.last_seq:
            return  # reported before the restart
        if outcome.calibrated_anew:
            self.notify("info", "mag_calibrated", f"magnetometer: {outcome.calibrated}")
        if outcome.axes_judged_anew:
            self.notify("warning" if outcome.axes.is_contradicted else "info", "sensor_axes", str(outcome.axes))

    def _orbit_is_late(self) -> bool:
        now = time.monotonic()
        if self._orbit_due_s == math.inf:
            self._orbit_due_s = now + ORBIT_PATIENCE_S
        late = self.orbit_failed or now >= self._orbit_due_s
        if late and not self._orbit_late_reported:
            self._orbit_late_reported = True
            self.note_late_orbit()
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


def _receive(waiting: deque[Message], reader: StreamReader) -> None:
    """Append messages of a stream, from its socket or journal, to `waiting` if that is empty."""
    if not waiting:
        waiting += reader.receive()
    if not waiting and reader.has_backlog:
        waiting += reader.receive()
