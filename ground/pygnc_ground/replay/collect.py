"""Run inputs through the flight's orbit, attitude and formation trackers and collect every result."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from pygnc.bus.messages import (
    AttitudeEstimate,
    FormationMessage,
    GpsFix,
    Message,
    OrbitEstimate,
    OrbitMessage,
    SourceFile,
)
from pygnc.common.clock import gps_ms_from_week
from pygnc.configuration.data_files import MAIN_FIELD_TABLE, data_file, read_main_field
from pygnc.configuration.settings import Settings
from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc.estimators.attitude.settings import AttitudeSettings
from pygnc.estimators.formation.batch import FormationSolution
from pygnc.estimators.orbit.filter import OrbitUpdate
from pygnc.estimators.orbit.measurement import Innovation, RejectCause
from pygnc.estimators.orbit.state import OrbitState
from pygnc.tasks.attitude.environment import EnvironmentModel
from pygnc.tasks.attitude.tracker import AttitudeTracker
from pygnc.tasks.attitude.tracker import SampleOutcome as AttitudeOutcome
from pygnc.tasks.formation.tracker import FormationTracker
from pygnc.tasks.ingest.input_state import merge_file_counts
from pygnc.tasks.orbit.tracker import FixOutcome, OrbitTracker, watermark_after
from pygnc_ground.orbit.solution import FloatArray
from pygnc_ground.replay.result import FixRecords, UntimedRecord


class SampleRecord(NamedTuple):
    """Sensor sample and the flight's result for it."""

    outcome: AttitudeOutcome
    estimate: AttitudeEstimate


class AttitudeCollector:
    """Runs the attitude tracker as the attitude task does: it gets an orbit when it awaits one.

    Attributes:
        records: Samples in the order of the flight's estimates.
    """

    def __init__(self, settings: AttitudeSettings, orientation: EarthOrientationTable) -> None:
        main_field = read_main_field(data_file(MAIN_FIELD_TABLE))
        self._tracker = AttitudeTracker(settings, EnvironmentModel(orientation, main_field))
        self._orbits: deque[OrbitMessage] = deque()
        self.records: list[SampleRecord] = []

    def process(self, message: Message, answer: Sequence[OrbitMessage]) -> None:
        """Process an input; `answer` holds the orbit task's messages for it."""
        for outcome in self._tracker.outcomes(message):
            self.records.append(SampleRecord(outcome, self._tracker.estimate(outcome, len(self.records) + 1)))
        self._orbits += answer
        while self._tracker.awaits_orbit and self._orbits:
            self._tracker.take_orbit(self._orbits.popleft())


class FormationCollector:
    """Runs the formation tracker as the formation task does: it gets an orbit when it awaits one.

    Attributes:
        messages: Messages of the tracker in their order.
    """

    def __init__(self, settings: Settings, orientation: EarthOrientationTable) -> None:
        self._tracker = FormationTracker(settings, orientation)
        self._orbits: deque[OrbitMessage] = deque()
        self.messages: list[FormationMessage] = []

    @property
    def solution(self) -> FormationSolution | None:
        """Newest solution."""
        return self._tracker.solution

    @property
    def counts(self) -> dict[str, int]:
        """Counters of ranges and of partners' fixes."""
        return self._tracker.counts

    def process(self, message: Message, answer: Sequence[OrbitMessage]) -> None:
        """Process an input; `answer` holds the orbit task's messages for it."""
        self.messages += self._tracker.process(message)
        self._orbits += answer
        self._solve()
        while self._tracker.awaits_orbit and self._orbits:
            self._tracker.take_orbit(self._orbits.popleft())
            self._solve()

    def _solve(self) -> None:
        if self._tracker.problem is not None:
            self.messages += self._tracker.accept(self._tracker.problem())


_UNKNOWN = np.full(3, np.nan)


@dataclass(slots=True)
class TimedRecord:
    """GPS record with a time, and its result."""

    message: GpsFix
    gps_ms: int
    outcome: FixOutcome | None = None
    estimate: OrbitEstimate | None = None

    @property
    def update(self) -> OrbitUpdate | None:
        """Update of the filter, if the record reached it."""
        return self.outcome.update if self.outcome else None

    @property
    def state(self) -> OrbitState | None:
        """Orbit at the time of the record."""
        return self.outcome.state if self.outcome else None

    @property
    def restarted(self) -> bool:
        """Whether the filter restarted with this record."""
        return self.update is not None and self.update.restarted_from_ms is not None

    @property
    def causes(self) -> tuple[str, str]:
        """Rejection causes of position and velocity; empty if used."""
        if self.update is not None:
            return self.update.position_cause or "", self.update.velocity_cause or ""
        cause = self.outcome.cause if self.outcome else str(RejectCause.START)
        return cause, cause


@dataclass(slots=True)
class Collected:
    """Results of a pass through the trackers.

    Attributes:
        timed: GPS records with a time, in input order.
        untimed: GPS records without a time.
        updates: Updates of the filter in their order.
        sources: Input files.
        counts: Counters of the fixes.
        samples: Sensor samples in the order of the flight's attitudes.
        partners: Messages about partners in their order.
        formation: Newest solution of the formation.
        range_counts: Counters of the ranges and of partners' fixes.
    """

    timed: list[TimedRecord] = field(default_factory=list)
    untimed: list[UntimedRecord] = field(default_factory=list)
    updates: list[OrbitUpdate] = field(default_factory=list)
    sources: list[SourceFile] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    samples: list[SampleRecord] = field(default_factory=list)
    partners: list[FormationMessage] = field(default_factory=list)
    formation: FormationSolution | None = None
    range_counts: dict[str, int] = field(default_factory=dict)

    @property
    def estimates(self) -> list[OrbitEstimate]:
        """Return the orbit estimates in the flight's order."""
        found = [record.estimate for record in self.timed if record.estimate is not None]
        return sorted(found, key=lambda estimate: estimate.seq)


def collect(
    messages: Iterator[Message],
    tracker: OrbitTracker,
    attitude: AttitudeCollector,
    formation: FormationCollector,
    advance: Callable[[], None],
) -> Collected:
    """Run all messages through the three trackers; `advance` is called after each GPS record."""
    collected = Collected()
    by_seq: dict[int, TimedRecord] = {}
    given = 0
    sources: dict[str, SourceFile] = {}
    for message in messages:
        if isinstance(message, SourceFile):
            before = sources.get(message.name)
            sources[message.name] = merge_file_counts(before, message) if before else message
        gps_ms = _own_gps_ms(message)
        if isinstance(message, GpsFix) and gps_ms is not None:
            by_seq[message.seq] = TimedRecord(message, gps_ms)
            collected.timed.append(by_seq[message.seq])
        estimates: list[OrbitEstimate] = []
        for outcome in tracker.outcomes(message):
            if outcome.update is not None:
                collected.updates.append(outcome.update)
            record = by_seq.get(outcome.seq)
            if record is None:
                collected.untimed.append(_untimed(message, outcome))
                continue
            record.outcome = outcome
            if outcome.state is not None:
                record.estimate = tracker.estimate(outcome, given + len(estimates) + 1)
                estimates.append(record.estimate)
        answer: list[OrbitMessage] = [*estimates, *watermark_after(message, estimates, given + 1)]
        given += len(answer)
        attitude.process(message, answer)
        formation.process(message, answer)
        if isinstance(message, GpsFix):
            advance()
    collected.sources = list(sources.values())
    collected.counts = dict(tracker.counts)
    collected.samples = attitude.records
    collected.partners, collected.formation = formation.messages, formation.solution
    collected.range_counts = formation.counts
    return collected


def _own_gps_ms(message: Message) -> int | None:
    """Return the time of our own GPS packet; None without a time and for other messages, which lead to no orbit."""
    if not isinstance(message, GpsFix) or not message.is_own:
        return None
    return gps_ms_from_week(message.gps_week, message.gps_tow_ms)


def _untimed(message: Message, outcome: FixOutcome) -> UntimedRecord:
    if not isinstance(message, GpsFix):
        raise TypeError(f"input {outcome.seq} is not a GPS record")
    return UntimedRecord(message.seq, message.source, message.offset, message.t_spacecraft_s, outcome.cause)


def fix_records(timed: list[TimedRecord]) -> FixRecords:
    """Return the table of records."""
    causes = [record.causes for record in timed]
    position = [record.update.position if record.update else None for record in timed]
    velocity = [record.update.velocity if record.update else None for record in timed]
    clock = [record.estimate.spacecraft_to_gps_ms if record.estimate else None for record in timed]
    times = [record.message.t_spacecraft_s for record in timed]
    return FixRecords(
        seq=np.array([record.message.seq for record in timed], dtype=np.int64),
        source=tuple(record.message.source for record in timed),
        offset=np.array([record.message.offset for record in timed], dtype=np.int64),
        gps_ms=np.array([record.gps_ms for record in timed], dtype=np.int64),
        t_spacecraft_s=np.array([-1 if t_s is None else t_s for t_s in times], dtype=np.int64),
        position_cause=tuple(cause for cause, _ in causes),
        velocity_cause=tuple(cause for _, cause in causes),
        position_innovation_m=_vectors([of.residual if of else None for of in position]),
        position_innovation_sigma_m=_vectors([of.sigma if of else None for of in position]),
        position_chi_square=_chi_squares(position),
        velocity_innovation_mps=_vectors([of.residual if of else None for of in velocity]),
        velocity_innovation_sigma_mps=_vectors([of.sigma if of else None for of in velocity]),
        velocity_chi_square=_chi_squares(velocity),
        restarted=np.array([record.restarted for record in timed], dtype=np.bool_),
        spacecraft_to_gps_ms=np.array([np.nan if offset is None else offset for offset in clock], dtype=np.float64),
    )


def _vectors(rows: list[tuple[float, ...] | None]) -> FloatArray:
    return np.array([_UNKNOWN if row is None else row for row in rows], dtype=np.float64).reshape(-1, 3)


def _chi_squares(innovations: list[Innovation | None]) -> FloatArray:
    return np.array([np.nan if of is None else of.chi_square for of in innovations], dtype=np.float64)
