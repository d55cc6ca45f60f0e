"""Inputs through the orbit, attitude and formation trackers of the flight software, and their results."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
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
from pygnc.configuration.data_files import MAIN_FIELD_TABLE, read_main_field
from pygnc.configuration.settings import Settings
from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc.estimators.attitude.settings import AttitudeSettings
from pygnc.estimators.formation.solution import FormationSolution
from pygnc.estimators.orbit.filter import OrbitUpdate
from pygnc.estimators.orbit.measurement import RejectCause
from pygnc.estimators.orbit.state import OrbitState
from pygnc.inputs.input_state import merge_file_counts
from pygnc.navigation.attitude import AttitudeTracker
from pygnc.navigation.attitude import SampleOutcome as AttitudeOutcome
from pygnc.navigation.environment import EnvironmentModel
from pygnc.navigation.formation import FormationTracker
from pygnc.navigation.orbit import FixOutcome, OrbitTracker, watermark_after
from pygnc_ground.replay.result import FixRecords, UntimedRecord, column
from pygnc_system.files import data_file


class SampleRecord(NamedTuple):
    """Sensor sample with its result: outcome of the tracker, and the estimate that the flight software publishes."""

    outcome: AttitudeOutcome
    estimate: AttitudeEstimate


class AttitudeCollector:
    """Collector of attitudes. It passes an orbit message on when the tracker awaits one, as in the attitude task.

    Attributes:
        records: Samples in the order of the estimates of the flight software.
    """

    def __init__(self, settings: AttitudeSettings, orientation: EarthOrientationTable) -> None:
        main_field = read_main_field(data_file(MAIN_FIELD_TABLE))
        self._tracker = AttitudeTracker(settings, EnvironmentModel(orientation, main_field))
        self._orbits: deque[OrbitMessage] = deque()
        self.records: list[SampleRecord] = []

    def process(self, message: Message, orbits: Sequence[OrbitMessage]) -> None:
        """Process an input; `orbits` holds the messages of the orbit task for this input."""
        for outcome in self._tracker.outcomes(message):
            self.records.append(SampleRecord(outcome, self._tracker.estimate(outcome, len(self.records) + 1)))
        self._orbits += orbits
        while self._tracker.awaits_orbit and self._orbits:
            self._tracker.take_orbit(self._orbits.popleft())


class FormationCollector:
    """Collector of formation messages. It passes an orbit message on when the tracker awaits one, as in flight.

    Attributes:
        messages: Messages of the tracker in their order.
        solution: Newest solution.
    """

    def __init__(self, settings: Settings, orientation: EarthOrientationTable) -> None:
        self._tracker = FormationTracker(settings, orientation)
        self._orbits: deque[OrbitMessage] = deque()
        self.messages: list[FormationMessage] = []
        self.solution: FormationSolution | None = None

    @property
    def counts(self) -> dict[str, int]:
        """Counters of ranges and of partners' fixes."""
        return self._tracker.counts

    def process(self, message: Message, orbits: Sequence[OrbitMessage]) -> None:
        """Process an input; `orbits` holds the messages of the orbit task for this input."""
        self.messages += self._tracker.process(message)
        self._orbits += orbits
        self._solve()
        while self._tracker.awaits_orbit and self._orbits:
            self._tracker.take_orbit(self._orbits.popleft())
            self._solve()

    def _solve(self) -> None:
        while self._tracker.problem is not None:
            result = self._tracker.problem()
            self.solution = result.solution or self.solution
            self.messages += [message for messages in self._tracker.accept(result) for message in messages]


@dataclass(slots=True)
class TimedRecord:
    """GPS record with a time, and the results of the orbit tracker for it."""

    message: GpsFix
    gps_ms: int
    outcome: FixOutcome | None = None
    estimate: OrbitEstimate | None = None

    @property
    def update(self) -> OrbitUpdate | None:
        """Update of the filter; None if the record did not reach the filter."""
        return self.outcome.update if self.outcome else None

    @property
    def state(self) -> OrbitState | None:
        """Orbit at the time of the record; None if it is unknown."""
        return self.outcome.state if self.outcome else None

    @property
    def restarted(self) -> bool:
        """True if the filter restarted with this record."""
        return self.update is not None and self.update.restarted_from_ms is not None

    @property
    def causes(self) -> tuple[str, str]:
        """Rejection causes of position and velocity; empty if used."""
        if self.update is not None:
            return str(self.update.position_cause or ""), str(self.update.velocity_cause or "")
        cause = self.outcome.cause if self.outcome else str(RejectCause.START)
        return cause, cause


class Collected(NamedTuple):
    """Results of a pass through the trackers.

    Attributes:
        timed: GPS records with a time, in input order.
        untimed: GPS records without a time.
        updates: Updates of the filter in their order.
        sources: Input files.
        counts: Counters of the fixes.
        samples: Sensor samples in the order of the attitudes of the flight software.
        partners: Messages about partners in their order.
        formation: Newest solution of the formation.
        range_counts: Counters of the ranges and of partners' fixes.
        estimates: Orbit estimates in the order of the flight software.
    """

    timed: list[TimedRecord]
    untimed: list[UntimedRecord]
    updates: list[OrbitUpdate]
    sources: list[SourceFile]
    counts: dict[str, int]
    samples: list[SampleRecord]
    partners: list[FormationMessage]
    formation: FormationSolution | None
    range_counts: dict[str, int]
    estimates: list[OrbitEstimate]


def collect(
    messages: Iterator[Message],
    tracker: OrbitTracker,
    attitude: AttitudeCollector | None,
    formation: FormationCollector | None,
    advance: Callable[[], None],
) -> Collected:
    """Run all messages through the trackers; `advance` is called after each GPS record.

    A collector that is None has no results.
    """
    timed: dict[int, TimedRecord] = {}
    untimed: list[UntimedRecord] = []
    updates: list[OrbitUpdate] = []
    sources: dict[str, SourceFile] = {}
    all_estimates: list[OrbitEstimate] = []
    given = 0
    followers: list[AttitudeCollector | FormationCollector] = [*filter(None, (attitude,)), *filter(None, (formation,))]
    for message in messages:
        if isinstance(message, SourceFile):
            before = sources.get(message.name)
            sources[message.name] = merge_file_counts(before, message) if before else message
        timed |= _timed(message)
        estimates: list[OrbitEstimate] = []
        for outcome in tracker.outcomes(message):
            if outcome.update is not None:
                updates.append(outcome.update)
            record = timed.get(outcome.seq)
            if record is None:
                untimed.append(_untimed(message, outcome))
            else:
                record.outcome = outcome
            if outcome.state is not None:
                estimates.append(tracker.estimate(outcome, given + len(estimates) + 1))
                if record is not None:
                    record.estimate = estimates[-1]
        all_estimates += estimates
        answer: list[OrbitMessage] = [*estimates, *watermark_after(message, estimates, given + 1)]
        given += len(answer)
        for follower in followers:
            follower.process(message, answer)
        if isinstance(message, GpsFix):
            advance()
    return Collected(
        timed=list(timed.values()),
        untimed=untimed,
        updates=updates,
        sources=list(sources.values()),
        counts=dict(tracker.counts),
        samples=attitude.records if attitude is not None else [],
        partners=formation.messages if formation is not None else [],
        formation=formation.solution if formation is not None else None,
        range_counts=formation.counts if formation is not None else {},
        estimates=all_estimates,
    )


def _timed(message: Message) -> dict[int, TimedRecord]:
    """Return the record of a message by its number, if it is one of our own GPS packets with a time."""
    if not isinstance(message, GpsFix) or not message.is_own:
        return {}
    gps_ms = gps_ms_from_week(message.gps_week, message.gps_tow_ms)
    return {} if gps_ms is None else {message.seq: TimedRecord(message, gps_ms)}


def _untimed(message: Message, outcome: FixOutcome) -> UntimedRecord:
    if not isinstance(message, GpsFix):
        raise TypeError(f"input {outcome.seq}: expected a GPS record, got a {type(message).__name__}")
    return UntimedRecord(message.seq, message.source, message.offset, message.t_spacecraft_s, outcome.cause)


def fix_records(timed: list[TimedRecord]) -> FixRecords:
    """Return the table of GPS records."""
    causes = [record.causes for record in timed]
    position = [record.update.position if record.update else None for record in timed]
    velocity = [record.update.velocity if record.update else None for record in timed]
    return FixRecords(
        seq=column((record.message.seq for record in timed), dtype=np.int64),
        source=tuple(record.message.source for record in timed),
        offset=column((record.message.offset for record in timed), dtype=np.int64),
        gps_ms=column((record.gps_ms for record in timed), dtype=np.int64),
        t_spacecraft_s=column((record.message.t_spacecraft_s for record in timed), missing=-1, dtype=np.int64),
        position_cause=tuple(cause for cause, _ in causes),
        velocity_cause=tuple(cause for _, cause in causes),
        position_innovation_m=column((of.residual if of else None for of in position), 3),
        position_innovation_sigma_m=column((of.sigma if of else None for of in position), 3),
        position_chi_square=column(of.chi_square if of else None for of in position),
        velocity_innovation_mps=column((of.residual if of else None for of in velocity), 3),
        velocity_innovation_sigma_mps=column((of.sigma if of else None for of in velocity), 3),
        velocity_chi_square=column(of.chi_square if of else None for of in velocity),
        restarted=column((record.restarted for record in timed), dtype=np.bool_),
        spacecraft_to_gps_ms=column(of.estimate.spacecraft_to_gps_ms if of.estimate else None for of in timed),
    )
