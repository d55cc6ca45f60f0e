"""Accuracy of the orbit filter and the smoother on presets and after times without fixes.

Errors against the truth are compared with their covariance over many seeds of noise (`preset_consistency`), and
measured after times without fixes (`extrapolate`). All figures omit the first third of the time, in which the filter
converges.
"""

import math
from collections.abc import Sequence
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
from pygnc_ground.campaign.orbit_world import CADENCE_S, World, run_filter, settings_for, solution_table
from pygnc_ground.orbit.consistency import NeesConsistency, NisConsistency, nees_consistency, nis_consistency
from pygnc_ground.orbit.smoother import smooth
from pygnc_ground.orbit.solution import FloatArray, OrbitSolution, orbit_errors
from pygnc_ground.scenario.presets import preset_tables
from pygnc_ground.scenario.settings import settings_from_tables
from pygnc_ground.scenario.trajectory import Trajectory

_SETTLED: Final = 1.0 / 3.0


class Score(NamedTuple):
    """Figures of one run: mean squares of 3-D position error and formal sigma, in m2, and NEES by epoch."""

    error_m2: float
    formal_m2: float
    nees: FloatArray
    """Normalised estimation error squared, 6 degrees of freedom, shape (epochs,)."""


def _filtered_and_smoothed(
    fixes: Sequence[Fix], times: Sequence[int] | None, settings: OrbitSettings
) -> tuple[dict[str, OrbitSolution], list[OrbitUpdate], EarthFrames]:
    """Run filter and smoother; the smoother's times are those of the filter's states if `times` is None."""
    orbit, updates = run_filter(fixes, settings)
    forward = {update.fix.gps_ms: update.state for update in updates if update.state is not None}
    smoothed = smooth(updates, times or list(forward), OrbitDynamics(settings, orbit.frames), settings)
    solutions = {"filter": solution_table(forward, orbit.frames), "smoother": solution_table(smoothed, orbit.frames)}
    return solutions, updates, orbit.frames


def _score(solution: OrbitSolution, world: World) -> tuple[Score, int]:
    """Return the score without bounds, and the GPS time in ms of its first epoch."""
    errors = orbit_errors(solution, world.at(solution.gps_ms))
    settled = errors.later(_SETTLED)
    error_m2, formal_m2 = (
        float((vectors[settled] ** 2).sum(axis=1).mean())
        for vectors in (errors.position_rtn_m, errors.position_sigma_rtn_m)
    )
    score = Score(error_m2, formal_m2, errors.nees[settled])
    return score, int(errors.gps_ms[settled][0])


PRESETS: Final = ("nominal", "tumbling", "mm_velocity", "sparse_gps", "formation4")
"""Presets without faults."""


class Consistency(NamedTuple):
    """Consistency of filter and smoother on one preset; dictionaries are by name of the estimator."""

    nis: NisConsistency
    """NIS of the filter."""
    nees: dict[str, NeesConsistency]
    formal_over_actual: dict[str, float]
    """RMS of the formal position sigmas over RMS of the position errors."""


def preset_consistency(preset: str, seeds: int) -> Consistency:
    """Return the consistency over `seeds` seeds of noise on the orbit of a preset."""
    scenario = settings_from_tables(preset_tables(preset), preset)
    world, gps, hours = World(scenario), scenario.gps, scenario.duration_s / 3600.0
    settings = settings_for(gps, hours, CADENCE_S * gps.fix_every_records)
    used: list[OrbitUpdate] = []
    scores: dict[str, list[Score]] = {"filter": [], "smoother": []}
    for seed in range(seeds):
        solutions, updates, _ = _filtered_and_smoothed(world.fixes(gps, hours, seed), None, settings)
        used += updates
        for name, solution in solutions.items():
            scores[name].append(_score(solution, world)[0])
    return Consistency(
        nis=nis_consistency(np.array([update.nis for update in used]), np.array([update.dof for update in used])),
        nees={name: nees_consistency(np.array([run.nees for run in runs])) for name, runs in scores.items()},
        formal_over_actual={
            name: float(np.sqrt(sum(run.formal_m2 for run in runs) / sum(run.error_m2 for run in runs)))
            for name, runs in scores.items()
        },
    )


class Extrapolation(NamedTuple):
    """Position errors in m at the end of a time without fixes, and the displacement by drag during it."""

    altitude_m: float
    drag_m: float
    filter_m: float
    smoother_m: float
    """Error of the smoother; NaN if no fix follows."""


def extrapolate(
    world: World, fixes: Sequence[Fix], settings: OrbitSettings, begin_ms: int, end_ms: int
) -> Extrapolation:
    """Return the errors at `end_ms` without the fixes between two times, GPS milliseconds."""
    seen = [fix for fix in fixes if not begin_ms < fix.gps_ms < end_ms]
    orbit, _ = run_filter([fix for fix in seen if fix.gps_ms <= begin_ms], settings)

    def distance_m(state: OrbitState) -> float:
        estimated = orbit.frames.ecef_state_from_gcrf(state.gps_ms)[:3] @ state.x[:6]
        return float(np.linalg.norm(estimated - world.at(np.array([state.gps_ms])).position_ecef_m[0]))

    smoother_m = math.nan
    if seen[-1].gps_ms >= end_ms:
        _, updates = run_filter(seen, settings)
        smoothed = smooth(updates, [end_ms], OrbitDynamics(settings, orbit.frames), settings)
        smoother_m = distance_m(smoothed[end_ms])
    true = world.settings
    begin_s, end_s = ((ms - true.start_gps_ms) / 1000.0 for ms in (begin_ms, end_ms))
    without_drag = Trajectory(
        begin_ms,
        end_s - begin_s,
        world.path.states_gcrf([begin_s])[0],
        true.spacecraft,
        msgspec.structs.replace(true.forces, drag=False),
    )
    displacement_m = without_drag.states_gcrf([end_s - begin_s])[0, :3] - world.path.states_gcrf([end_s])[0, :3]
    return Extrapolation(
        altitude_m=true.orbit.semi_major_axis_m - EARTH_RADIUS_M,
        drag_m=float(np.linalg.norm(displacement_m)),
        filter_m=distance_m(orbit.predict(end_ms)),
        smoother_m=smoother_m,
    )
