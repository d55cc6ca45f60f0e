"""Deviations around one satellite against the full dynamics of each."""

from dataclasses import replace

import numpy as np

from pygnc.common.arrays import Array
from pygnc.estimators.formation.relative_frame import rtn_from_gcrf
from pygnc.estimators.formation.shared_step import orbit_vector, shared_step
from pygnc.estimators.orbit.dynamics import OrbitDynamics
from pygnc.estimators.orbit.settings import OrbitSettings
from tests.pygnc.estimators.formation.joint_world import FRAMES

GPS_MS = 1_400_000_000_000
DYNAMICS = OrbitDynamics(replace(OrbitSettings(), gravity_degree=30), FRAMES)
OWN = np.array((6.88e6, 0.0, 0.0, 0.0, -960.0, 7_540.0, 0.2))
RTN = np.array(((0.0, 1_000.0, 0.0, 0.0, 0.0, 0.3), (300.0, -5_000.0, 2_000.0, 0.5, -0.66, 0.0)))


def start() -> Array:
    apart = RTN @ np.linalg.inv(rtn_from_gcrf(OWN[:6])).T
    return np.concatenate((apart, ((0.1,), (-0.2,))), axis=1)


def test_three_hours_agree_to_decimetres_with_the_full_dynamics_of_each_satellite() -> None:
    x, deviations = orbit_vector(OWN), start()
    states = OWN + deviations
    for minute in range(180):
        step = shared_step(DYNAMICS, GPS_MS + 60_000 * minute, x, deviations, 60.0)
        x, deviations = step.x, step.deviations
    own = DYNAMICS.trace(GPS_MS, orbit_vector(OWN), GPS_MS + 10_800_000)
    np.testing.assert_allclose(x[:3], own[:3], atol=0.1)
    for state, deviation, limit_m in zip(states, deviations, (0.3, 1.0), strict=True):
        alone = DYNAMICS.trace(GPS_MS, orbit_vector(state), GPS_MS + 10_800_000)
        assert np.linalg.norm(deviation[:3] - (alone - own)[:3]) < limit_m
        assert np.linalg.norm(deviation[3:6] - (alone - own)[3:6]) < 1e-3 * limit_m * 2.0
        np.testing.assert_allclose(deviation[6], (alone - own)[6])


def test_small_deviations_move_by_the_transition_matrix() -> None:
    deviations = 1e-3 * np.eye(7)
    step = shared_step(DYNAMICS, GPS_MS, orbit_vector(OWN), deviations, 60.0)
    np.testing.assert_allclose(step.deviations.T / 1e-3, step.transition, atol=1e-6)
