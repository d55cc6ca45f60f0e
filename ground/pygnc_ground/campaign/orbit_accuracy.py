"""Errors of filter, smoother and batch beside what their covariances and the bounds say.

Whether errors and innovations are what the covariances say, over many seeds of noise on one orbit.

Errors at the end of a time without fixes, beside what the air alone does to the orbit in it.
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
from pygnc.estimators.orbit.gps_fix import Fix
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.estimators.orbit.state import OrbitState
from pygnc_ground.campaign.orbit_world import CADENCE_S, ORIENTATION, World, expecting, filtered, solution_of
from pygnc_ground.orbit.batch.solve import solve_batch
from pygnc_ground.orbit.bound import Bound, KnownFixes, orbit_bounds
from pygnc_ground.orbit.consistency import NeesConsistency, NisConsistency, nees_consistency, nis_consistency
from pygnc_ground.orbit.errors import orbit_errors
from pygnc_ground.orbit.smoother import smooth
from pygnc_ground.orbit.solution import FloatArray, IntArray, OrbitSolution
from pygnc_ground.scenario.presets import preset_tables
from pygnc_ground.scenario.settings import Gps, checked
from pygnc_ground.scenario.trajectory import Trajectory

ESTIMATORS: Final = ("filter", "smoother", "batch")
SETTLED: Final = 1.0 / 3.0
"""Of the time is left to the filter to find its state."""
_WILD_M: Final = 500.0
"""A fix farther from the truth tells nothing, so it does not count for the bounds."""


@dataclass(frozen=True, slots=True)
class Score:
    """Squares of one run, averaged over its last two thirds: of the error, of the formal sigma, of the bounds."""

    error_m2: float
    formal_m2: float
    posterior_m2: float
    deterministic_m2: float
    nees: float


def scores_of(world: World, gps: Gps, hours: float, seed: int) -> dict[str, Score]:
    """Errors of filter, smoother and batch in one case."""
    settings = expecting(gps, hours)
    fixes = world.fixes(gps, hours, seed)
    orbit, updates = filtered(fixes, settings)
    times = [fix.gps_ms for fix in fixes]
    forward = {update.fix.gps_ms: update.state for update in updates if update.state is not None}
    solutions = {
        "filter": solution_of(forward, orbit.frames),
        "smoother": solution_of(smooth(updates, times, OrbitDynamics(settings, orbit.frames), settings), orbit.frames),
        "batch": solve_batch(fixes, np.array(times), settings, ORIENTATION).solution,
    }
    places = world.at(np.array(times)).position_ecef_m
    good = [
        fix for fix, place in zip(fixes, places, strict=True) if np.linalg.norm(fix.position_ecef_m - place) < _WILD_M
    ]
    bounds = orbit_bounds(sightings_of(world, good), settings, orbit.frames)
    of_filter = (bounds.posterior_filter, bounds.deterministic_filter)
    of_smoother = (bounds.posterior_smoother, bounds.deterministic_smoother)
    return {
        name: score_of(solution, world, *(of_filter if name == "filter" else of_smoother))
        for name, solution in solutions.items()
    }


def sightings_of(world: World, fixes: Sequence[Fix]) -> KnownFixes:
    """The fixes for a bound: where and how well, without their noise."""
    gps_ms = np.array([fix.gps_ms for fix in fixes])
    sigma = [
        np.concatenate((fix.position_sigma_m, fix.velocity_sigma_mps))
        for fix in fixes
        if fix.velocity_sigma_mps is not None
    ]
    return KnownFixes(gps_ms, inertial(world, gps_ms), np.array(sigma))


def inertial(world: World, gps_ms: IntArray) -> FloatArray:
    """True states in GCRF by the flight's own frames, which differ from the truth's by their Earth orientation."""
    frames = EarthFrames(ORIENTATION)
    ecef = np.concatenate(world.at(gps_ms), axis=1)
    return np.array(
        [np.linalg.solve(frames.ecef_state_from_gcrf(int(ms)), row) for ms, row in zip(gps_ms, ecef, strict=True)]
    )


def score_of(solution: OrbitSolution, world: World, posterior: Bound, deterministic: Bound) -> Score:
    """Squares after the first third of the time."""
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
"""Those without faults."""


@dataclass(frozen=True, slots=True, eq=False)
class Consistency:
    """Of filter and smoother on one preset."""

    nis: NisConsistency
    """Of the filter"""
    nees: dict[str, NeesConsistency]
    """By estimator"""
    formal_over_actual: dict[str, float]
    """RMS of the formal position sigmas over RMS of the position errors, by estimator"""


class Sample(NamedTuple):
    """One run's errors after the first third: NEES by epoch, squared error, squared formal sigma."""

    nees: FloatArray
    error_m2: float
    formal_m2: float


def consistency_of(preset: str, seeds: int) -> Consistency:
    """Fly a preset's orbit with so many seeds of noise."""
    scenario = checked(preset_tables(preset), preset)
    world, gps, hours = World(scenario), scenario.gps, scenario.duration_s / 3600.0
    settings = expecting(gps, hours, CADENCE_S * gps.fix_every_records)
    used: list[OrbitUpdate] = []
    samples: dict[str, list[Sample]] = {"filter": [], "smoother": []}
    for seed in range(seeds):
        orbit, updates = filtered(world.fixes(gps, hours, seed), settings)
        used += updates
        forward = {update.fix.gps_ms: update.state for update in updates if update.state is not None}
        smoothed = smooth(updates, list(forward), OrbitDynamics(settings, orbit.frames), settings)
        samples["filter"].append(sample_of(solution_of(forward, orbit.frames), world))
        samples["smoother"].append(sample_of(solution_of(smoothed, orbit.frames), world))
    return Consistency(
        nis=nis_consistency(np.array([update.nis for update in used]), np.array([update.dof for update in used])),
        nees={name: nees_consistency(np.array([one.nees for one in of_name])) for name, of_name in samples.items()},
        formal_over_actual={
            name: float(np.sqrt(sum(one.formal_m2 for one in of_name) / sum(one.error_m2 for one in of_name)))
            for name, of_name in samples.items()
        },
    )


def sample_of(solution: OrbitSolution, world: World) -> Sample:
    """Compare with the truth."""
    errors = orbit_errors(solution, world)
    settled = errors.later(SETTLED)
    squares = ((vectors[settled] ** 2).sum(axis=1) for vectors in (errors.position_rtn_m, errors.position_sigma_rtn_m))
    return Sample(errors.nees[settled], *(float(each.mean()) for each in squares))


OUTAGE_MIN: Final = 90
PREDICTION_MS: Final = 3 * 3_600_000


@dataclass(frozen=True, slots=True)
class Extrapolation:
    """Errors at the end of a time without fixes, and how far drag alone moves the satellite in it."""

    altitude_m: float
    drag_m: float
    filter_m: float
    smoother_m: float = 0.0


def outage_of(world: World, fixes: Sequence[Fix], settings: OrbitSettings, minute: int) -> Extrapolation:
    """Take away the fixes of 90 min; errors at the first one behind."""
    begin_ms, end_ms = (world.settings.start_gps_ms + 60_000 * m for m in (minute, minute + OUTAGE_MIN))
    seen = [fix for fix in fixes if not begin_ms < fix.gps_ms < end_ms]
    orbit, updates = filtered([fix for fix in seen if fix.gps_ms <= begin_ms], settings)
    predicted = orbit.predict(end_ms)
    orbit, updates = filtered(seen, settings)
    smoothed = smooth(updates, [end_ms], OrbitDynamics(settings, orbit.frames), settings)
    return Extrapolation(
        altitude_m=world.settings.orbit.semi_major_axis_m - EARTH_RADIUS_M,
        drag_m=drag_displacement_m(world, begin_ms, end_ms),
        filter_m=distance_m(world, predicted, orbit.frames),
        smoother_m=distance_m(world, smoothed[end_ms], orbit.frames),
    )


def prediction_of(world: World, fixes: Sequence[Fix], settings: OrbitSettings) -> Extrapolation:
    """Three hours of fixes, then three hours of none."""
    orbit, _ = filtered(fixes, settings)
    begin_ms = fixes[-1].gps_ms
    end_ms = begin_ms + PREDICTION_MS
    return Extrapolation(
        altitude_m=world.settings.orbit.semi_major_axis_m - EARTH_RADIUS_M,
        drag_m=drag_displacement_m(world, begin_ms, end_ms),
        filter_m=distance_m(world, orbit.predict(end_ms), orbit.frames),
    )


def distance_m(world: World, state: OrbitState, frames: EarthFrames) -> float:
    """How far a state is from the truth."""
    estimated = frames.ecef_state_from_gcrf(state.gps_ms)[:3] @ state.x[:6]
    return float(np.linalg.norm(estimated - world.at(np.array([state.gps_ms])).position_ecef_m[0]))


def drag_displacement_m(world: World, begin_ms: int, end_ms: int) -> float:
    """How far the satellite would be from where it is, had the air been absent in between."""
    settings = world.settings
    begin_s, end_s = ((ms - settings.start_gps_ms) / 1000.0 for ms in (begin_ms, end_ms))
    without = Trajectory(
        begin_ms,
        end_s - begin_s,
        world.path.states_gcrf([begin_s])[0],
        settings.spacecraft,
        msgspec.structs.replace(settings.forces, drag=False),
    )
    apart = without.states_gcrf([end_s - begin_s])[0, :3] - world.path.states_gcrf([end_s])[0, :3]
    return float(np.linalg.norm(apart))
