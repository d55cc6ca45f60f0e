"""Errors of filter, smoother and batch beside what their covariances and the bounds say."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from pygnc.environment.frames import EarthFrames
from pygnc.estimators.orbit.dynamics import OrbitDynamics
from pygnc.estimators.orbit.measurement import Fix
from pygnc_ground.campaign.world import ORIENTATION, World, expecting, filtered, solution_of
from pygnc_ground.orbit.batch.solve import solve_batch
from pygnc_ground.orbit.bound import Bound, Sightings, orbit_bounds
from pygnc_ground.orbit.errors import orbit_errors
from pygnc_ground.orbit.smoother import smooth
from pygnc_ground.orbit.solution import FloatArray, IntArray, OrbitSolution
from pygnc_ground.scenario.settings import Gps

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


def sightings_of(world: World, fixes: Sequence[Fix]) -> Sightings:
    """The fixes for a bound: where and how well, without their noise."""
    gps_ms = np.array([fix.gps_ms for fix in fixes])
    sigma = [
        np.concatenate((fix.position_sigma_m, fix.velocity_sigma_mps))
        for fix in fixes
        if fix.velocity_sigma_mps is not None
    ]
    return Sightings(gps_ms, inertial(world, gps_ms), np.array(sigma))


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
