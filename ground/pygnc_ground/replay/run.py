"""Replay of inputs: the trackers of the flight software, then smoother and batch solution over all fixes."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Final, NamedTuple

import numpy as np

from pygnc.bus.messages import SourceFile
from pygnc.common.clock import utc_iso_from_gps_ms, week_from_gps_ms
from pygnc.configuration.settings import Settings
from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc.environment.frames import EarthFrames
from pygnc.estimators.orbit.dynamics import OrbitDynamics
from pygnc.estimators.orbit.filter import OrbitFilter
from pygnc.estimators.orbit.measurement import Fix, RejectCause
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc_ground.orbit.batch.solve import BatchError, solve_batch
from pygnc_ground.orbit.delta_v import DeltaV, delta_vs, restarts
from pygnc_ground.orbit.normal_points import NormalPointFilter, point_dynamics, set_members, with_points_used
from pygnc_ground.orbit.point_results import PointResult, PointUpdate, observed
from pygnc_ground.orbit.smoother import smooth
from pygnc_ground.orbit.solution import IntArray, OrbitSolution, Usage, residual_usage, solution_from_states
from pygnc_ground.replay.array_file import ArrayFile
from pygnc_ground.replay.attitude_process import AttitudeProcess
from pygnc_ground.replay.attitude_run import AttitudeRun, collector_paused, return_free_memory
from pygnc_ground.replay.choices import COMBINED_RADIUS_M, FilterName
from pygnc_ground.replay.collect import Collected, collect, fix_records, make_pipeline, range_records, stored
from pygnc_ground.replay.fix_times import step_notes
from pygnc_ground.replay.formation_run import formation_result, predicted_conjunctions
from pygnc_ground.replay.inputs import Inputs, ReplayError
from pygnc_ground.replay.result import FixRecords, ReplayResult
from pygnc_ground.truth.attitude_truth import AttitudeTruth
from pygnc_ground.truth.orbit_truth import OrbitTruth

_DESCRIPTIONS: Final = {
    FilterName.EKF: "square-root EKF of the flight software",
    FilterName.UKF: "unscented Kalman filter of filterpy with the models of the flight software",
}
_LINES_NAMED: Final = 3
"""Number of unusable lines of a table that a note names."""


def orbit_filter(name: FilterName) -> type[OrbitFilter]:
    """Return the class of a filter."""
    if name is FilterName.EKF:
        return OrbitFilter
    from pygnc_ground.orbit.reference_filters import UkfOrbitFilter  # noqa: PLC0415 - filterpy takes half a second

    return UkfOrbitFilter


class ReplayContext(NamedTuple):
    """Settings, Earth orientation and truth of a replay; with `has_priority`, inputs cannot override the settings."""

    settings: Settings
    orientation: EarthOrientationTable
    has_priority: bool
    true_orbit: OrbitTruth | None = None
    true_attitude: AttitudeTruth | None = None
    true_partners: Mapping[int, OrbitTruth] = MappingProxyType({})
    """True orbits of partners by radio id"""

    @collector_paused()
    def replay(
        self,
        inputs: Inputs,
        *,
        filter_name: FilterName = FilterName.EKF,
        normal_points: bool = False,
        collision_radius_m: float = COMBINED_RADIUS_M,
        advance: Callable[[], None] = lambda: None,
        processes: int = 1,
        keep_samples: bool = False,
    ) -> tuple[ReplayResult, Collected]:
        """Run the inputs through the estimators; `advance` is called after each GPS record.

        With `normal_points`, fixes that agree with the orbit are taken together, and there is no formation.
        `collision_radius_m` is the combined radius of two satellites for the probabilities of a collision. With two
        `processes`, the attitude has one of its own, which gives the same results. With `keep_samples`, which needs one
        process, the records of the sensor samples are among the messages, too; they take 15 kB each.
        Filter and smoother take about 0.5 ms each per fix, the attitude 0.4 ms per sample. A fix needs 5 kB of memory
        and 20 kB in temporary files, one of a normal point less than 1 kB and 3 kB, a sample 10 kB and 9 kB.

        Returns:
            The result, and the messages of the flight software from which the result is made.

        Raises:
            ReplayError: The run used another Earth orientation table, or the inputs have no record.
        """
        identification = self.orientation.identification
        if inputs.earth_orientation not in {None, identification}:
            raise ReplayError(
                f"the run used the Earth orientation {inputs.earth_orientation}, not {identification}; name the"
                " table of the run by --earth-orientation"
            )
        settings = self.settings if inputs.settings is None or self.has_priority else inputs.settings
        orientation = self.orientation
        kind = NormalPointFilter if normal_points else orbit_filter(filter_name)
        pipeline = make_pipeline(settings, orientation, orbit_filter=kind, attitude=False, formation=not normal_points)
        arrays = ArrayFile()
        attitude = partial(AttitudeRun, keep_records=keep_samples) if processes == 1 else AttitudeProcess
        with closing(attitude(settings, orientation, self.true_attitude)) as attitude_run:
            collected = collect(
                inputs.messages,
                pipeline,
                advance,
                attitude_run.take,
                lambda response: stored(response, arrays, estimates=not normal_points),
            )
            # The attitude is first, because its memory is the largest.
            attitude_run.end()
            if not (collected.timed or collected.untimed or collected.ranges or attitude_run.found.estimates):
                raise ReplayError("the inputs contain no GPS record, no sensor sample and no range; name other files")
            result = self._result(
                collected,
                attitude_run,
                arrays,
                settings,
                filter_name=filter_name,
                normal_points=normal_points,
                collision_radius_m=collision_radius_m,
            )
            return result, collected._replace(samples=attitude_run.records, attitudes=attitude_run.found.estimates)

    def _result(
        self,
        collected: Collected,
        attitude_run: AttitudeRun | AttitudeProcess,
        arrays: ArrayFile,
        settings: Settings,
        *,
        filter_name: FilterName,
        normal_points: bool,
        collision_radius_m: float,
    ) -> ReplayResult:
        """Return smoother and batch over all fixes, and the results of attitude and formation."""
        orientation = self.orientation
        frames = EarthFrames(orientation)
        timed = collected.timed
        fixes = _stored_fixes(fix_records(timed), arrays)
        notes = [*_bad_lines(collected.sources), *_rollovers(fixes, settings.orbit)]
        solution = solution_from_states(
            [record.gps_ms for record in timed],
            [record.state for record in timed],
            (Usage.of(record.update) for record in timed),
            frames,
            arrays.filled,
        )
        notes += [*self._early(fixes.gps_ms[solution.accepted]), *step_notes(collected)]
        points = {one.fix.gps_ms: one.state for one in collected.updates if isinstance(one, PointUpdate) and one.state}
        set_members(solution, collected.updates, points, frames)
        solution = arrays.stored_fields(solution)
        arrays.release()
        return_free_memory()
        dynamics = point_dynamics if normal_points else OrbitDynamics
        smoothed = _smoothed(collected, settings.orbit, dynamics(settings.orbit, frames), arrays)
        smoothed = None if smoothed is None else arrays.stored_fields(smoothed)
        arrays.release()
        return_free_memory()
        batch = _batch(collected, settings.orbit, orientation, notes, arrays)
        batch = None if batch is None else arrays.stored_fields(batch)
        for name, after in (("smoother", smoothed), ("batch", batch)):
            if after is not None:
                found = delta_vs(collected.updates, after, settings.orbit, frames, is_smoothed=name == "smoother")
                notes += [f"manoeuvre by {name}: {_delta_v_text(change)}" for change in found]
        result = ReplayResult(
            settings=settings,
            filter_name=_DESCRIPTIONS[filter_name] + (", on normal points of a minute" if normal_points else ""),
            sources=tuple(collected.sources),
            counts=collected.counts,
            fixes=fixes,
            untimed=tuple(collected.untimed),
            ranges=range_records(collected, settings.formation),
            solution=solution,
            smoothed=smoothed,
            batch=batch,
            truth=self.true_orbit,
            attitude=attitude_run.found.result,
            formation=formation_result(
                collected.partners,
                collected.formation,
                settings.formation,
                {**self.true_partners, settings.formation.own_id: self.true_orbit},
                conjunctions=predicted_conjunctions(
                    collected.partners, collected.formation, settings, frames, radius_m=collision_radius_m
                ),
                radius_m=collision_radius_m,
            ),
            notes=tuple(notes),
            normal_points=normal_points,
        )
        arrays.release()
        return_free_memory()
        return result

    def _early(self, gps_ms: IntArray) -> list[str]:
        """Return a note if used records are earlier than the Earth orientation, which then turns GCRF by up to 2 s."""
        begins_ms = self.orientation.begins_gps_ms
        if begins_ms is None or int(gps_ms.min(initial=begins_ms)) >= begins_ms:
            return []
        text = f"the Earth orientation table begins at {utc_iso_from_gps_ms(begins_ms)}: before, positions in GCRF are"
        return [f"{text} off by up to 1 km, those in ITRF are not; name a longer table by --earth-orientation"]


def _stored_fixes(fixes: FixRecords, arrays: ArrayFile) -> FixRecords:
    """Return the records with their arrays in a file."""
    stored = arrays.stored
    position, velocity = (
        of._replace(values=stored(of.values), sigmas=stored(of.sigmas), chi_square=stored(of.chi_square))
        for of in (fixes.position, fixes.velocity)
    )
    return replace(arrays.stored_fields(fixes), position=position, velocity=velocity)


def _bad_lines(sources: Sequence[SourceFile]) -> Iterator[str]:
    """Yield a note on the lines of each table that could not be used: the first ones, and how many there are."""
    for source in sources:
        named = [reason for _, _, reason in source.damage if reason.startswith("line ")]
        if named:
            more = source.damaged_ranges - len(named[:_LINES_NAMED])
            yield f"{source.name}: {'; '.join(named[:_LINES_NAMED])}" + (f"; {more} more lines" if more else "")


def _rollovers(fixes: FixRecords, settings: OrbitSettings) -> list[str]:
    """Return a note for each GPS week that was corrected for a rollover of the receiver's count."""
    weeks = (week_from_gps_ms(gps_ms)[0] for gps_ms in fixes.gps_ms.tolist())
    pairs = zip(fixes.gps_week_received, weeks, strict=True)
    found = Counter((received, used) for received, used in pairs if received is not None)
    earliest = settings.screening.earliest_gps_week
    return [
        f"GPS week {received} of {count} GPS records counts as {used}: a receiver's count rolls over every 1024 weeks,"
        f" and weeks before orbit.screening.earliest_gps_week = {earliest} are taken for that; set it to {received} to"
        " keep the week"
        for (received, used), count in sorted(found.items())
    ]


def _delta_v_text(change: DeltaV) -> str:
    begin, end = (utc_iso_from_gps_ms(ms) for ms in (change.span.before_ms, change.span.after_ms))
    components = zip("RTN", 1e3 * change.rtn_mps, 1e3 * change.sigma_mps, strict=True)
    text = ", ".join(f"{axis} {value:.1f} +- {sigma:.1f}" for axis, value, sigma in components)
    return f"{begin} to {end}, change of the velocity in mm/s: {text}"


def _smoothed(
    collected: Collected, settings: OrbitSettings, dynamics: OrbitDynamics, arrays: ArrayFile
) -> OrbitSolution | None:
    """Return the smoother's states at all records with a valid time."""
    consistent = [
        record for record in collected.timed if RejectCause.TIME_INCONSISTENT not in record.causes or record.state
    ]
    frames, times_ms = dynamics.frames, [record.gps_ms for record in consistent]
    states = smooth(collected.updates, times_ms, dynamics, settings, arrays.release)
    if not states:
        return None
    at_records = [states.get(record.gps_ms) for record in collected.timed]
    updates = [record.update for record in collected.timed]
    unused = Usage()
    usage = (
        unused
        if update is None or state is None or isinstance(update, PointResult)
        else residual_usage(update, state, settings, frames)
        for update, state in zip(updates, at_records, strict=True)
    )
    times_ms = [record.gps_ms for record in collected.timed]
    solution = solution_from_states(times_ms, at_records, usage, frames, arrays.filled)
    set_members(solution, collected.updates, states, frames)
    return with_points_used(solution, updates, settings.measurement)


def _batch(
    collected: Collected,
    settings: OrbitSettings,
    orientation: EarthOrientationTable,
    notes: list[str],
    arrays: ArrayFile,
) -> OrbitSolution | None:
    updates = [record.update for record in collected.timed]
    fixes: list[Fix] = [fix for update in updates if update is not None and (fix := observed(update)) is not None]
    times = np.array([record.gps_ms for record in collected.timed], dtype=np.int64)
    try:
        batch = solve_batch(fixes, times, settings, orientation, restarts(collected.updates), filled=arrays.filled)
    except BatchError as failure:
        notes.append(f"batch: {failure}")
        return None
    if not batch.converged:
        notes.append(f"batch: not converged after {batch.iterations} iterations")
    for left in batch.left_out:
        begin, end = (utc_iso_from_gps_ms(ms) for ms in (left.first_gps_ms, left.last_gps_ms))
        notes.append(f"batch: {left.fixes} fixes from {begin} to {end} omitted: {left.reason}")
    refused = {
        update.point.gps_ms
        for update, is_used in zip(updates, batch.solution.accepted.tolist(), strict=True)
        if isinstance(update, PointUpdate) and not is_used
    }
    return with_points_used(batch.solution, updates, settings.measurement, refused)
