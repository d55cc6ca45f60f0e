"""Results of the flight software's pipeline for all inputs of a replay."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from pygnc.bus.messages import (
    AttitudeEstimate,
    FormationMessage,
    GnssFix,
    Message,
    OrbitEstimate,
    OrbitMessage,
    RangeMeasurement,
    SourceFile,
)
from pygnc.configuration.data_files import MAIN_FIELD_TABLE, read_main_field
from pygnc.configuration.settings import Settings
from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc.estimators.formation.observations import RangeObservation
from pygnc.estimators.formation.settings import FormationSettings
from pygnc.estimators.formation.solution import FormationSolution
from pygnc.estimators.orbit.filter import OrbitFilter
from pygnc.estimators.orbit.measurement import RejectCause
from pygnc.estimators.orbit.state import OrbitState
from pygnc.estimators.orbit.update import OrbitUpdate
from pygnc.inputs.host_packets import rollover
from pygnc.inputs.input_state import merge_file_counts
from pygnc.navigation.attitude import AttitudeTracker
from pygnc.navigation.environment import EnvironmentModel
from pygnc.navigation.formation import FormationTracker
from pygnc.navigation.orbit import FixOutcome, OrbitTracker
from pygnc.navigation.pipeline import AttitudeRecord, AttitudeStage, FormationStage, OrbitResponse, Pipeline
from pygnc.navigation.range_clock import RangeClock
from pygnc_ground.orbit.point_results import PointResult, PointUpdate
from pygnc_ground.replay.array_file import ArrayFile
from pygnc_ground.replay.result import FixRecords, RangeRecords, UntimedRecord, column, innovation_arrays
from pygnc_system.files import data_file


@dataclass(slots=True)
class TimedRecord:
    """GPS record with a time, and the results of the orbit tracker for it, which may correct the time."""

    seq: int
    source: str
    offset: int
    t_spacecraft_s: int | None
    gps_week_received: int | None
    gps_ms: int
    update: OrbitUpdate | None = None
    """Update of the filter; None if the record did not reach the filter"""
    state: OrbitState | None = None
    """Orbit at the time of the record; None if it is unknown"""
    cause: str = RejectCause.START
    """Cause of a record that did not reach the filter"""
    estimate: OrbitEstimate | None = None
    spacecraft_to_gps_ms: int | None = None

    @property
    def causes(self) -> tuple[str, str]:
        """Rejection causes of position and velocity; empty if used."""
        if self.update is not None:
            return str(self.update.position_cause or ""), str(self.update.velocity_cause or "")
        return str(self.cause), str(self.cause)


class Collected(NamedTuple):
    """Results of a pass through the trackers: GPS records in input order, all else in the order of the flight software.

    `counts` are those of our own fixes, `range_counts` those of the ranges and of partners' fixes. `range_gps_ms` holds
    the times of the ranges, as far as they are known, by input number; `arc` holds the ranges in the arc at the end.
    `attitudes` are the messages of `samples`, whose records of 15 kB each are empty unless a replay keeps them.
    """

    timed: list[TimedRecord]
    untimed: list[UntimedRecord]
    updates: list[OrbitUpdate]
    sources: list[SourceFile]
    counts: dict[str, int]
    samples: list[AttitudeRecord]
    attitudes: list[AttitudeEstimate]
    partners: list[FormationMessage]
    formation: FormationSolution | None
    range_counts: dict[str, int]
    estimates: list[OrbitEstimate]
    ranges: list[RangeMeasurement]
    range_gps_ms: dict[int, int]
    arc: frozenset[RangeObservation]

    def release_fixes(self) -> None:
        """Release the records and results of the fixes, except for that with the newest state."""
        self.timed.clear()
        known = [(update.state.gps_ms, update) for update in self.updates if update.state is not None]
        self.updates[:] = [max(known, key=lambda each: each[0])[1]] if known else []


def make_pipeline(
    settings: Settings,
    orientation: EarthOrientationTable,
    *,
    orbit_filter: type[OrbitFilter] = OrbitFilter,
    attitude: bool = True,
    formation: bool = True,
) -> Pipeline:
    """Return the pipeline of one satellite, as far as wanted."""
    return Pipeline(
        OrbitTracker(settings.orbit, orientation, kind=orbit_filter),
        attitude_stage(settings, orientation) if attitude else None,
        FormationStage(FormationTracker(settings, orientation)) if formation else None,
    )


def attitude_stage(settings: Settings, orientation: EarthOrientationTable) -> AttitudeStage:
    """Return the attitude stage of a pipeline, with the installed model of the magnetic field."""
    main_field = read_main_field(data_file(MAIN_FIELD_TABLE))
    return AttitudeStage(AttitudeTracker(settings.attitude, EnvironmentModel(orientation, main_field)))


def collect(
    messages: Iterable[Message],
    pipeline: Pipeline,
    advance: Callable[[], None] = lambda: None,
    attitude: Callable[[Message, list[OrbitMessage]], None] = lambda _message, _orbits: None,
    keep: Callable[[OrbitResponse], OrbitResponse] = lambda response: response,
) -> Collected:
    """Run all messages through the pipeline; `advance` is called after each GPS record.

    `attitude` takes each input and the messages of the response to it, for a pipeline without an attitude stage. `keep`
    returns what is kept of a response of the orbit stage, which takes 20 kB.
    """
    timed: dict[int, TimedRecord] = {}
    sources: dict[str, SourceFile] = {}
    found = Collected([], [], [], [], {}, [], [], [], None, {}, [], [], {}, frozenset())
    clock = RangeClock()
    for message in messages:
        if isinstance(message, SourceFile):
            before = sources.get(message.name)
            sources[message.name] = merge_file_counts(before, message) if before else message
        if isinstance(message, GnssFix) and message.is_own and message.gps_ms is not None:
            place = message.seq, message.source, message.offset, message.t_spacecraft_s
            weeks = rollover(message)
            timed[message.seq] = TimedRecord(*place, weeks[0] if weeks else None, message.gps_ms)
        elif isinstance(message, RangeMeasurement):
            found.ranges.append(message)
        found.range_gps_ms.update((packet.seq, gps_ms) for packet, gps_ms in clock.process(message))
        result = pipeline.process(message)
        attitude(message, result.orbit.messages)
        response = keep(result.orbit)
        for outcome, estimate in response.outcomes:
            if outcome.update is not None:
                found.updates.append(outcome.update)
            record = timed.get(outcome.seq)
            if record is None:
                found.untimed.append(_untimed(message, outcome))
            else:
                record.update, record.state, record.cause = outcome.update, outcome.state, outcome.cause
                record.estimate = estimate
                if outcome.state is not None or not outcome.cause:
                    record.spacecraft_to_gps_ms = pipeline.orbit.spacecraft_to_gps_ms
                record.gps_ms = outcome.gps_ms or record.gps_ms
        found.estimates.extend(response.estimates)
        found.samples.extend(result.attitude)
        found.attitudes.extend(record.estimate for record in result.attitude)
        found.partners.extend(result.formation)
        if isinstance(message, GnssFix):
            advance()
    formation = pipeline.formation
    return found._replace(
        timed=list(timed.values()),
        sources=list(sources.values()),
        counts=dict(pipeline.orbit.counts),
        formation=None if formation is None else formation.solution,
        range_counts={} if formation is None else formation.tracker.counts,
        arc=frozenset(() if formation is None else formation.tracker.ranges),
    )


def stored(response: OrbitResponse, arrays: ArrayFile, *, estimates: bool) -> OrbitResponse:
    """Return a response with the arrays of its results in a file; without the messages unless `estimates` is set."""
    outcomes = response.outcomes
    return response._replace(outcomes=[(_stored(one, arrays), of if estimates else None) for one, of in outcomes])


def _stored(outcome: FixOutcome, arrays: ArrayFile) -> FixOutcome:
    update = outcome.update
    if isinstance(update, PointResult):
        update.fixes.store(arrays.stored)
    if update is None or update.state is None or update.hypotheses is None:
        return outcome
    of_state, state, hypotheses = update.state, arrays.stored_fields(update.state), update.hypotheses
    if isinstance(update, PointUpdate):
        update = PointUpdate(update.fixes, update.row, state, hypotheses, update.empirical_factor)
        update.store(arrays.stored)
    else:
        update = replace(update, state=state, hypotheses=arrays.stored_fields(hypotheses))
    return outcome._replace(update=update, state=state if outcome.state is of_state else outcome.state)


def _untimed(message: Message, outcome: FixOutcome) -> UntimedRecord:
    if not isinstance(message, GnssFix):
        raise TypeError(f"input {outcome.seq}: expected a GPS record, got a {type(message).__name__}")
    return UntimedRecord(message.seq, message.source, message.offset, message.t_spacecraft_s, outcome.cause)


def fix_records(timed: list[TimedRecord]) -> FixRecords:
    """Return the table of GPS records."""
    causes = [record.causes for record in timed]
    updates = [record.update for record in timed]
    positions = (update.position if update else None for update in updates)
    velocities = (update.velocity if update else None for update in updates)
    return FixRecords(
        seq=column((record.seq for record in timed), dtype=np.int64),
        source=tuple(record.source for record in timed),
        offset=column((record.offset for record in timed), dtype=np.int64),
        gps_ms=column((record.gps_ms for record in timed), dtype=np.int64),
        t_spacecraft_s=column((record.t_spacecraft_s for record in timed), missing=-1, dtype=np.int64),
        gps_week_received=tuple(record.gps_week_received for record in timed),
        position_cause=tuple(cause for cause, _ in causes),
        velocity_cause=tuple(cause for _, cause in causes),
        position=innovation_arrays(positions, (not cause for cause, _ in causes), 3),
        velocity=innovation_arrays(velocities, (not cause for _, cause in causes), 3),
        restarted=column(
            (of.update is not None and of.update.restarted_from_ms is not None for of in timed), dtype=bool
        ),
        spacecraft_to_gps_ms=column(of.spacecraft_to_gps_ms for of in timed),
    )


def range_records(collected: Collected, settings: FormationSettings) -> RangeRecords:
    """Return all ranges, with the reason why the newest solution does not use one."""
    solution, measured = collected.formation, collected.ranges
    solved: dict[RangeObservation, tuple[bool, float]] = {}
    if solution is not None:
        residuals = solution.hypotheses[0].residual_m.tolist()
        solved = dict(zip(solution.ranges, zip(solution.used.tolist(), residuals, strict=True), strict=True))
    newest_ms = max((observation.gps_ms for observation in collected.arc), default=0)
    begin_ms = newest_ms - round(1e3 * settings.arc_max_s)
    seen: set[RangeObservation] = set()
    causes, residual_m = [], []
    for packet in measured:
        gps_ms, one = collected.range_gps_ms.get(packet.seq), packet.satellite_id or settings.own_id
        cause, residual = "no_time", None
        if one == packet.partner_id:
            cause = "same_satellite"
        elif gps_ms is not None:
            observation = RangeObservation(gps_ms, one, packet.partner_id, packet.range_m)
            if observation in seen:
                cause = "repeated"
            elif observation in solved:
                is_used, residual = solved[observation]
                cause = "" if is_used else "rejected"
            elif observation in collected.arc:
                cause = "unsolved"
            elif gps_ms < begin_ms:
                cause = "old"
            seen.add(observation)
        causes.append(cause)
        residual_m.append(residual)
    return RangeRecords(
        seq=column((packet.seq for packet in measured), dtype=np.int64),
        source=tuple(packet.source for packet in measured),
        offset=column((packet.offset for packet in measured), dtype=np.int64),
        t_spacecraft_s=column((packet.t_spacecraft_s for packet in measured), dtype=np.int64),
        satellite_id=column((packet.satellite_id or settings.own_id for packet in measured), dtype=np.int64),
        partner_id=column((packet.partner_id for packet in measured), dtype=np.int64),
        gps_ms=tuple(collected.range_gps_ms.get(packet.seq) for packet in measured),
        range_m=column(packet.range_m for packet in measured),
        residual_m=column(residual_m),
        cause=tuple(causes),
    )
