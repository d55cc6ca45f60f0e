"""Accuracy of the orbit filter, the smoother and the batch on simulated orbits.

Errors against the truth are compared with formal sigmas and Cramer-Rao bounds (`score_estimators`), with their
covariance over many seeds of noise (`preset_consistency`), and measured after times without fixes (`outage_error`,
`prediction_error`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import msgspec
import numpy as np

from pygnc.environment.frames import EarthFrames
from pygnc.environment.gravity import EARTH_RADIUS_M
from pygnc.estimators.orbit.dynamics import OrbitDynamics
from pygnc.estimators.orbit.filter import OrbitUpdate
from pygnc.estimators.orbit.measurement import Fix
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.estimators.orbit.state import OrbitState
from pygnc_ground.campaign.orbit_world import CADENCE_S, ORIENTATION, World, run_filter, settings_for, solution_table
from pygnc_ground.orbit.batch.solve import solve_batch
from pygnc_ground.orbit.bound import Bound, KnownFixes, orbit_bounds
from pygnc_ground.orbit.consistency import NeesConsistency, NisConsistency, nees_consistency, nis_consistency
from pygnc_ground.orbit.errors import orbit_errors
from pygnc_ground.orbit.smoother import smooth
from pygnc_ground.orbit.solution import FloatArray, IntArray, OrbitSolution
from pygnc_ground.scenario.presets import preset_tables
from pygnc_ground.scenario.settings import Gps, settings_from_tables
from pygnc_ground.scenario.trajectory import Trajectory

ESTIMATORS: Final = ("filter", "smoother", "batch")
SETTLED: Final = 1.0 / 3.0
"""Share of the time in which the filter converges; excluded from scores."""
_OUTLIER_M: Final = 500.0
"""A fix farther than this from the truth is an outlier and does not count for the bounds."""


@dataclass(frozen=True, slots=True)
class Score:
    """Mean squares of one run over its last two thirds: error, formal sigma and bounds."""

    error_m2: float
    formal_m2: float
    posterior_m2: float
    deterministic_m2: float
    nees: float


def score_estimators(world: World, gps: Gps, hours: float, seed: int) -> dict[str, Score]:
    """Return the scores of filter, smoother and batch in one case."""
    settings = settings_for(gps, hours)
    fixes = world.fixes(gps, hours, seed)
    orbit, updates = run_filter(fixes, settings)
    times = [fix.gps_ms for fix in fixes]
    forward = {update.fix.gps_ms: update.state for update in updates if update.state is not None}
    solutions = {
        "filter": solution_table(forward, orbit.frames),
        "smoother": solution_table(
            smooth(updates, times, OrbitDynamics(settings, orbit.frames), settings), orbit.frames
        ),
        "batch": solve_batch(fixes, np.array(times), settings, ORIENTATION).solution,
    }
    positions_m = world.at(np.array(times)).position_ecef_m
    good = [
        fix
        for fix, position_m in zip(fixes, positions_m, strict=True)
        if np.linalg.norm(fix.position_ecef_m - position_m) < _OUTLIER_M
    ]
    bounds = orbit_bounds(bound_input(world, good), settings, orbit.frames)
    filter_bounds = (bounds.posterior_filter, bounds.deterministic_filter)
    smoother_bounds = (bounds.posterior_smoother, bounds.deterministic_smoother)
    return {
        name: score_solution(solution, world, *(filter_bounds if name == "filter" else smoother_bounds))
        for name, solution in solutions.items()
    }


def bound_input(world: World, fixes: Sequence[Fix]) -> KnownFixes:
    """Return the fixes for a bound: positions and standard deviations, without their noise."""
    gps_ms = np.array([fix.gps_ms for fix in fixes])
    sigma = [
        np.concatenate((fix.position_sigma_m, fix.velocity_sigma_mps))
        for fix in fixes
        if fix.velocity_sigma_mps is not None
    ]
    return KnownFixes(gps_ms, true_states_gcrf(world, gps_ms), np.array(sigma))


def true_states_gcrf(world: World, gps_ms: IntArray) -> FloatArray:
    """Return true states in GCRF by the flight's frames, which differ from the truth's in their Earth orientation."""
    frames = EarthFrames(ORIENTATION)
    ecef = np.concatenate(world.at(gps_ms), axis=1)
    return np.array(
        [np.linalg.solve(frames.ecef_state_from_gcrf(int(ms)), row) for ms, row in zip(gps_ms, ecef, strict=True)]
    )


def score_solution(solution: OrbitSolution, world: World, posterior: Bound, deterministic: Bound) -> Score:
    """Return mean squares after the first third of the time."""
    errors = orbit_errors(solution, world)
    settled = errors.later(SETTLED)
    begin_ms = int(errors.gps_ms[settled][0])

    def mean_square(bound: Bound) -> float:
        return float((bound.position_m[bound.gps_ms >= begin_ms] ** 2).mean())

    return Score(
        error_m2=float((errors.position_rtn_m[settled] ** 2).sum(axis=1).mean()),
        formal_m2=float((errors.position_sigma_rtn_m[settled] ** 2).sum(axis=1).mean()),
        posterior_m2=mean_square(posterior),
        deterministic_m2=mean_square(deterministic),
        nees=float(errors.nees[settled].mean()),
    )


PRESETS: Final = ("nominal", "tumbling", "mm_velocity", "sparse_gps", "formation4")
"""Presets without faults."""


@dataclass(frozen=True, slots=True, eq=False)
class Consistency:
    """Consistency of filter and smoother on one preset."""

    nis: NisConsistency
    """NIS of the filter"""
    nees: dict[str, NeesConsistency]
    """NEES by estimator"""
    formal_over_actual: dict[str, float]
    """RMS of the formal position sigmas over RMS of the position errors, by estimator"""


class Sample(NamedTuple):
    """Errors of one run after the first third: NEES by epoch, squared error, squared formal sigma."""

    nees: FloatArray
    error_m2: float
    formal_m2: float


def preset_consistency(preset: str, seeds: int) -> Consistency:
    """Return the consistency over so many seeds of noise on the orbit of a preset."""
    scenario = settings_from_tables(preset_tables(preset), preset)
    world, gps, hours = World(scenario), scenario.gps, scenario.duration_s / 3600.0
    settings = settings_for(gps, hours, CADENCE_S * gps.fix_every_records)
    used: list[OrbitUpdate] = []
    samples: dict[str, list[Sample]] = {"filter": [], "smoother": []}
    for seed in range(seeds):
        orbit, updates = run_filter(world.fixes(gps, hours, seed), settings)
        used += updates
        forward = {update.fix.gps_ms: update.state for update in updates if update.state is not None}
        smoothed = smooth(updates, list(forward), OrbitDynamics(settings, orbit.frames), settings)
        samples["filter"].append(consistency_sample(solution_table(forward, orbit.frames), world))
        samples["smoother"].append(consistency_sample(solution_table(smoothed, orbit.frames), world))
    return Consistency(
        nis=nis_consistency(np.array([update.nis for update in used]), np.array([update.dof for update in used])),
        nees={name: nees_consistency(np.array([run.nees for run in runs])) for name, runs in samples.items()},
        formal_over_actual={
            name: float(np.sqrt(sum(run.formal_m2 for run in runs) / sum(run.error_m2 for run in runs)))
            for name, runs in samples.items()
        },
    )


def consistency_sample(solution: OrbitSolution, world: World) -> Sample:
    """Compare a solution with the truth."""
    errors = orbit_errors(solution, world)
    settled = errors.later(SETTLED)
    squares = ((vectors[settled] ** 2).sum(axis=1) for vectors in (errors.position_rtn_m, errors.position_sigma_rtn_m))
    return Sample(errors.nees[settled], *(float(each.mean()) for each in squares))


OUTAGE_MIN: Final = 90
PREDICTION_MS: Final = 3 * 3_600_000


@dataclass(frozen=True, slots=True)
class Extrapolation:
    """Errors in m at the end of a time without fixes, and the displacement by drag during it."""

    altitude_m: float
    drag_m: float
    filter_m: float
    smoother_m: float = 0.0


def outage_error(world: World, fixes: Sequence[Fix], settings: OrbitSettings, minute: int) -> Extrapolation:
    """Remove the fixes of 90 min; return the errors at the first fix after them."""
    begin_ms, end_ms = (world.settings.start_gps_ms + 60_000 * m for m in (minute, minute + OUTAGE_MIN))
    seen = [fix for fix in fixes if not begin_ms < fix.gps_ms < end_ms]
    orbit, updates = run_filter([fix for fix in seen if fix.gps_ms <= begin_ms], settings)
    predicted = orbit.predict(end_ms)
    orbit, updates = run_filter(seen, settings)
    smoothed = smooth(updates, [end_ms], OrbitDynamics(settings, orbit.frames), settings)
    return Extrapolation(
        altitude_m=world.settings.orbit.semi_major_axis_m - EARTH_RADIUS_M,
        drag_m=drag_displacement_m(world, begin_ms, end_ms),
        filter_m=distance_m(world, predicted, orbit.frames),
        smoother_m=distance_m(world, smoothed[end_ms], orbit.frames),
    )


def prediction_error(world: World, fixes: Sequence[Fix], settings: OrbitSettings) -> Extrapolation:
    """Return the error of a prediction of three hours after three hours of fixes."""
    orbit, _ = run_filter(fixes, settings)
    begin_ms = fixes[-1].gps_ms
    end_ms = begin_ms + PREDICTION_MS
    return Extrapolation(
        altitude_m=world.settings.orbit.semi_major_axis_m - EARTH_RADIUS_M,
        drag_m=drag_displacement_m(world, begin_ms, end_ms),
        filter_m=distance_m(world, orbit.predict(end_ms), orbit.frames),
    )


def distance_m(world: World, state: OrbitState, frames: EarthFrames) -> float:
    """Return the distance of a state from the truth."""
    estimated = frames.ecef_state_from_gcrf(state.gps_ms)[:3] @ state.x[:6]
    return float(np.linalg.norm(estimated - world.at(np.array([state.gps_ms])).position_ecef_m[0]))


def drag_displacement_m(world: World, begin_ms: int, end_ms: int) -> float:
    """Return the distance from the truth to an orbit without drag in the given time."""
    settings = world.settings
    begin_s, end_s = ((ms - settings.start_gps_ms) / 1000.0 for ms in (begin_ms, end_ms))
    without = Trajectory(
        begin_ms,
        end_s - begin_s,
        world.path.states_gcrf([begin_s])[0],
        settings.spacecraft,
        msgspec.structs.replace(settings.forces, drag=False),
    )
    displacement_m = without.states_gcrf([end_s - begin_s])[0, :3] - world.path.states_gcrf([end_s])[0, :3]
    return float(np.linalg.norm(displacement_m))
