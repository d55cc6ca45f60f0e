"""Reference, relative motion and joint steps against trajectories by brahe and the full dynamics."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from pygnc.common.arrays import Array
from pygnc.estimators.formation.reference import STATE_SIZE, OrbitPath, Reference, epoch_of
from pygnc.estimators.formation.relative_coordinates import rtn_from_gcrf, state_from_elements
from pygnc.estimators.formation.relative_motion import GRADIENT_DEGREE, RelativeDynamics, joint_step, orbit_vector
from pygnc.estimators.orbit.dynamics import OrbitDynamics
from pygnc.estimators.orbit.settings import OrbitSettings, SpacecraftSettings
from pygnc.estimators.orbit.state import SIZE, OrbitState
from pygnc_ground.scenario.settings import Forces, Orbit, Spacecraft
from pygnc_ground.scenario.trajectory import Trajectory, initial_state_gcrf
from tests.pygnc.estimators.formation.worlds import FRAMES

START_MS = 1_391_299_218_000
END_S = 6_000
T_S = np.arange(37.0, END_S, 331.0)
MOMENTS = START_MS + 1e3 * T_S
FORCES = Forces(gravity_degree=20, drag=False, radiation_pressure=False)
NO_AIR = SpacecraftSettings(area_m2=0.0)
SETTINGS = OrbitSettings(gravity_degree=20, spacecraft=NO_AIR)
DYNAMICS = OrbitDynamics(SETTINGS, FRAMES)
OWN = initial_state_gcrf(Orbit(eccentricity=0.01))


@cache
def reference() -> Reference:
    x = np.zeros(SIZE)
    x[:6] = Trajectory(START_MS, 600.0, OWN, Spacecraft(), FORCES).states_gcrf([600.0])[0]
    orbit = OrbitState(START_MS + 600_000, x, np.eye(SIZE))
    span_ms = int(MOMENTS[0]), int(MOMENTS[-1])
    return Reference(OrbitPath.of_orbit(orbit, epoch_of(span_ms), DYNAMICS), span_ms)


def truth(state: Array) -> tuple[Array, Array]:
    """States at the moments, and at the reference's epoch."""
    path = Trajectory(START_MS, float(END_S), state, Spacecraft(), FORCES)
    return path.states_gcrf(T_S), path.states_gcrf([1e-3 * (reference().epoch_ms - START_MS)])[0]


@cache
def own_truth() -> tuple[Array, Array]:
    return truth(OWN)


def test_reference_matches_the_orbit_between_nodes() -> None:
    error = reference().at(MOMENTS).state - own_truth()[0]
    assert np.abs(error[:, :3]).max() < 0.3
    assert np.abs(error[:, 3:]).max() < 3e-4
    epoch = np.append(reference().nodes.state[reference().epoch_node], np.zeros(4))
    direct = DYNAMICS.propagate_vector(reference().epoch_ms, epoch, int(MOMENTS[-4]))[0]
    assert reference().at(MOMENTS[-4:-3]).state[0] == pytest.approx(direct[:6], abs=0.01)


def test_transition_matrix_matches_finite_differences() -> None:
    nodes = reference().nodes
    middle = reference().epoch_node
    start = np.append(nodes.state[middle], np.zeros(4))
    moment = int(MOMENTS[5])
    for column, step in ((1, 10.0), (5, 0.01)):
        there, back = (
            DYNAMICS.propagate_vector(reference().epoch_ms, start + sign * step * np.eye(SIZE)[column], moment)[0][:6]
            for sign in (1.0, -1.0)
        )
        d_state_d_epoch = reference().at(np.array([float(moment)])).d_state_d_epoch[0, :, column]
        assert d_state_d_epoch == pytest.approx((there - back) / (2.0 * step), rel=2e-4, abs=2e-5)


@pytest.mark.parametrize(("size", "limit_m"), [(1.0, 0.06), (40.0, 2.4)])
def test_relative_motion_matches_brahe(size: float, limit_m: float) -> None:
    partner = state_from_elements(OWN, size * np.array((5.0, 700.0, 300.0, -250.0, 200.0, 400.0)))
    moved, epoch = truth(partner)
    relative = moved - own_truth()[0]
    middle = reference().nodes.state[reference().epoch_node]
    own, start = (np.append(state - middle, 0.0) for state in (own_truth()[1], epoch))
    dynamics = RelativeDynamics(reference())
    points, places = reference().at(MOMENTS), reference().node_time(MOMENTS)

    def deviations_at(*, linear: bool) -> Array:
        both = np.stack((own, start))
        y = both[None] if linear else dynamics.propagate(both).at(slice(None), places)
        result: Array = np.einsum("kij,kj->ki", points.d_state_d_epoch, y[:, 1] - y[:, 0])
        return result

    error = np.abs(deviations_at(linear=False) - relative)
    assert np.linalg.norm(error[:, :3], axis=1).max() < limit_m
    assert np.linalg.norm(error[:, 3:], axis=1).max() < 2e-3 * limit_m
    if size > 1.0:
        linear = np.linalg.norm((deviations_at(linear=True) - relative)[:, :3], axis=1).max()
        assert linear > 20.0 * limit_m


def test_partials_match_finite_differences() -> None:
    dynamics = RelativeDynamics(reference())
    start = np.array([(9_000.0, -20_000.0, 15_000.0, 5.0, 10.0, -12.0, 0.0)])
    places = reference().node_time(MOMENTS)
    unit = np.broadcast_to(np.eye(STATE_SIZE), (len(places), 1, STATE_SIZE, STATE_SIZE))
    partials = dynamics.propagate(start).d_epoch(slice(None), places, unit)
    for column in range(6):
        step = np.eye(STATE_SIZE)[column] * (1.0 if column < 3 else 1e-3)
        there, back = (dynamics.propagate(start + sign * step, partials=False) for sign in (1.0, -1.0))
        difference = (there.at(slice(None), places) - back.at(slice(None), places)) / (2.0 * step.max())
        change = difference - np.eye(STATE_SIZE)[column]
        found = partials[..., column] - np.eye(STATE_SIZE)[column]
        # By position and velocity, which have units of their own.
        for rows in (slice(0, 3), slice(3, 6)):
            size = np.abs(change[..., rows]).max()
            assert found[..., rows] == pytest.approx(change[..., rows], abs=0.04 * size)


def test_partials_at_irregular_times_equal_those_at_each_time() -> None:
    start = np.array([(9_000.0, -20_000.0, 15_000.0, 5.0, 10.0, -12.0, 0.0), (900.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.1)])
    motion, rows = RelativeDynamics(reference()).propagate(start), slice(1, None)
    # A burst within one step, steps without a time, and both ends.
    last = float(2 * reference().epoch_node)
    places = np.array((0.0, 0.5, 13.0, 13.1, 13.2, 13.3, 13.4, 13.5, 13.9, last - 4.0, last))
    d_constants = np.random.default_rng(3).normal(size=(len(places), 1, STATE_SIZE))
    together = motion.d_epoch(rows, places, d_constants)
    for row, place in enumerate(places):
        alone = motion.d_epoch(rows, np.array((place,)), d_constants[row : row + 1])
        assert together[row] == pytest.approx(alone[0], rel=1e-12, abs=1e-12)


GPS_MS = 1_400_000_000_000
EARTH_DYNAMICS = OrbitDynamics(replace(OrbitSettings(), gravity_degree=30), FRAMES)
OWN_STATE = np.array((6.88e6, 0.0, 0.0, 0.0, -960.0, 7_540.0, 0.2))
RTN = np.array(((0.0, 1_000.0, 0.0, 0.0, 0.0, 0.3), (300.0, -5_000.0, 2_000.0, 0.5, -0.66, 0.0)))


def initial_deviations() -> Array:
    relative = RTN @ np.linalg.inv(rtn_from_gcrf(OWN_STATE[:6])).T
    return np.concatenate((relative, ((0.1,), (-0.2,))), axis=1)


def test_joint_step_matches_full_dynamics_for_three_hours() -> None:
    x, deviations = orbit_vector(OWN_STATE), initial_deviations()
    states = OWN_STATE + deviations
    for minute in range(180):
        step = joint_step(EARTH_DYNAMICS, GPS_MS + 60_000 * minute, x, deviations, 60.0)
        x, deviations = step.x, step.deviations
    own = EARTH_DYNAMICS.propagate_vector(GPS_MS, orbit_vector(OWN_STATE), GPS_MS + 10_800_000)[0]
    np.testing.assert_allclose(x[:3], own[:3], atol=0.1)
    for state, deviation, limit_m in zip(states, deviations, (0.3, 1.0), strict=True):
        alone = EARTH_DYNAMICS.propagate_vector(GPS_MS, orbit_vector(state), GPS_MS + 10_800_000)[0]
        assert np.linalg.norm(deviation[:3] - (alone - own)[:3]) < limit_m
        assert np.linalg.norm(deviation[3:6] - (alone - own)[3:6]) < 1e-3 * limit_m * 2.0
        np.testing.assert_allclose(deviation[6], (alone - own)[6])


def test_gradient_is_accurate_at_large_distances() -> None:
    dynamics = OrbitDynamics(replace(OrbitSettings(), gravity_degree=60), FRAMES, gradient_degree=GRADIENT_DEGREE)
    relative = np.array((0.0, 20e3, 0.0, 0.0, 0.0, 5e3))
    state = np.append(state_from_elements(OWN_STATE[:6], relative), OWN_STATE[6])
    x, deviations = orbit_vector(OWN_STATE), (state - OWN_STATE)[None]
    for minute in range(90):
        step = joint_step(dynamics, GPS_MS + 60_000 * minute, x, deviations, 60.0)
        x, deviations = step.x, step.deviations
    alone, own = (
        dynamics.propagate_vector(GPS_MS, orbit_vector(each), GPS_MS + 5_400_000)[0] for each in (state, OWN_STATE)
    )
    assert np.linalg.norm(deviations[0, :3] - (alone - own)[:3]) < 0.4


def test_small_deviations_follow_the_transition_matrix() -> None:
    deviations = 1e-3 * np.eye(7)
    step = joint_step(EARTH_DYNAMICS, GPS_MS, orbit_vector(OWN_STATE), deviations, 60.0)
    np.testing.assert_allclose(step.deviations.T / 1e-3, step.transition, atol=1e-6)
