"""Simulated formations, their measurements, and the errors of solutions."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple

import numpy as np

from pygnc.common.arrays import Array
from pygnc.environment.frames import EarthFrames
from pygnc.estimators.formation.arc_solver import FormationSolver
from pygnc.estimators.formation.observations import RangeObservation, SatelliteFix
from pygnc.estimators.formation.settings import FormationSettings
from pygnc.estimators.formation.solution import FormationSolution
from pygnc.estimators.orbit.measurement import rates_along_track
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.estimators.orbit.state import OrbitState
from pygnc_ground.campaign.flight import ORIENTATION
from pygnc_ground.formation import relative
from pygnc_ground.formation.bound import FormationPriors, formation_bound, linearise_formation
from pygnc_ground.scenario.settings import Shape
from scripts.bench.orbit_world import last_orbit
from tests.pygnc.estimators.formation.simulated import FormationWorld, Instruments, formation_world

ORBIT = OrbitSettings()
FRAMES = EarthFrames(ORIENTATION)
MESH_ALL = Instruments("mesh, fixes of all", 10.0, mesh=True, fixed=4)
MESH_ANCHOR = Instruments("mesh, our fixes", 1.0, mesh=True, fixed=1)
STAR_ANCHOR = Instruments("star, our fixes", 10.0, mesh=False, fixed=1)


CALIBRATED = FormationSettings(range_bias_m=1_050.0, range_bias_sigma_m=20.0, differential_log_drag_sigma=0.1)
"""Settings that contain the distributions from which worlds are drawn."""


class Given(NamedTuple):
    """Input of the estimator."""

    orbit: OrbitState
    fixes: list[SatelliteFix]
    ranges: list[RangeObservation]

    def without_fixes(self, *satellites: int) -> "Given":
        return self._replace(fixes=[entry for entry in self.fixes if entry.satellite not in satellites])

    def solved(self, settings: FormationSettings | None = None) -> FormationSolution:
        solver = FormationSolver(settings or CALIBRATED, ORBIT, FRAMES)
        solution = solver.solve(self.orbit, self.fixes, self.ranges)
        assert solution is not None
        return solution


@cache
def world(seed: int, shape: Shape = "bounded", satellites: int = 4, minutes: int = 64) -> FormationWorld:
    return formation_world(seed, shape, satellites, minutes)


@cache
def given(true: FormationWorld, instruments: Instruments, draw: int = 0) -> Given:
    records = true.records(instruments, draw)
    own = last_orbit([entry.fix for entry in records.fixes if entry.satellite == 74], ORBIT)
    return Given(own, records.fixes, records.ranges)


def displaced_by_clock(entry: SatelliteFix, true: FormationWorld, error_s: float = 0.01) -> SatelliteFix:
    """Return a fix whose receiver's clock is fast by `error_s` and states that as its standard deviation."""
    state, fix = true.states_gcrf(np.array([entry.gps_ms]))[true.ids.index(entry.satellite), 0], entry.fix
    shift = FRAMES.ecef_state_from_gcrf(entry.gps_ms) @ rates_along_track(state) * -error_s
    assert fix.velocity_ecef_mps is not None
    moved = replace(
        fix,
        position_ecef_m=fix.position_ecef_m + shift[:3],
        velocity_ecef_mps=fix.velocity_ecef_mps + shift[3:],
        time_sigma_s=error_s,
    )
    return SatelliteFix(entry.satellite, moved)


@dataclass(frozen=True, eq=False)
class Errors:
    """Errors of one partner in one hypothesis."""

    rms_m: float
    sigma_m: float
    nees: float
    """NEES of position and velocity, mean over the arc; 6 if the covariance is right."""


def errors(solution: FormationSolution, true: FormationWorld, partner: int, hypothesis: int = 0) -> Errors:
    moments = [gps_ms for gps_ms in true.moments_gps_ms.tolist()[::6] if solution.reference.covers(gps_ms)]
    states = true.states_gcrf(np.array(moments))
    truths = states[true.ids.index(partner)] - states[0]
    squares, variances, nees = [], [], []
    for found, truth in zip(solution.relative_states(moments, partner, hypothesis), truths, strict=True):
        error = found.gcrf - truth
        squares.append(error[:3].dot(error[:3]))
        variances.append(np.trace(found.covariance_gcrf[:3, :3]))
        nees.append(error.dot(np.linalg.solve(found.covariance_gcrf, error)))
    return Errors(float(np.sqrt(np.mean(squares))), float(np.sqrt(np.mean(variances))), float(np.mean(nees)))


def worst_sigmas(solution: FormationSolution, true: FormationWorld, partner: int) -> float:
    """Return the largest position error of the arc, divided by the formal standard deviation at that time."""
    moments = [gps_ms for gps_ms in true.moments_gps_ms.tolist()[::4] if solution.reference.covers(gps_ms)]
    states = true.states_gcrf(np.array(moments))
    truths = (states[true.ids.index(partner)] - states[0])[:, :3]
    found = solution.relative_states(moments, partner)
    return max(
        float(np.linalg.norm(each.gcrf[:3] - truth) / np.sqrt(np.trace(each.covariance_gcrf[:3, :3])))
        for each, truth in zip(found, truths, strict=True)
    )


def elements_nees(solution: FormationSolution, true: FormationWorld, partner: int, hypothesis: int) -> float:
    """Return the NEES of the relative elements in the middle of the arc; 6 degrees of freedom."""
    moment = solution.reference.epoch_ms
    own, other = true.states_gcrf(np.array([moment]))[[0, true.ids.index(partner)], 0]
    found = solution.relative_at(moment, partner, hypothesis)
    return float(relative.elements_nees(own, own + found.gcrf, other, found.covariance_gcrf))


def right(solution: FormationSolution, true: FormationWorld, partner: int) -> Errors:
    """Return the errors of the hypothesis nearest to the truth."""
    found = [errors(solution, true, partner, number) for number in range(len(solution.hypotheses))]
    return min(found, key=lambda one: one.rms_m)


@cache
def bound_m(true: FormationWorld, instruments: Instruments) -> Array:
    """Return the Cramer-Rao bound of the relative positions, RMS over the arc, by partner."""
    moments = true.moments_gps_ms
    motion = linearise_formation(moments, true.states_gcrf(moments), ORBIT, FRAMES)
    return formation_bound(motion, *true.bound_measurements(true.records(instruments)), FormationPriors()).rms_m


def total(parts: Sequence[float]) -> float:
    """Return the root mean square."""
    return float(np.sqrt(np.mean(np.square(parts))))
