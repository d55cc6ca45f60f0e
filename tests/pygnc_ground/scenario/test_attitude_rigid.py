"""The rigid body against closed forms, conserved quantities and its equations written in other axes."""

import brahe
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pygnc_ground.scenario.attitude_kinematics import to_body
from pygnc_ground.scenario.attitude_rigid import rigid_states
from pygnc_ground.scenario.section import Vector3
from pygnc_ground.scenario.sensor_settings import Attitude
from tests.pygnc_ground.scenario.circular_orbit import FAR_AWAY, CircularOrbit, FloatArray

START = (0.5, -0.5, 0.5, 0.5)
T_S = np.arange(0.0, 3600.0, 5.0)


def diagonal(*moments: float) -> tuple[Vector3, Vector3, Vector3]:
    one, two, three = moments
    return ((one, 0.0, 0.0), (0.0, two, 0.0), (0.0, 0.0, three))


@pytest.mark.parametrize(("across", "along"), [(0.0045, 0.0036), (0.0040, 0.0075), (0.005, 0.005)])
def test_a_free_symmetric_top_nutates_as_the_closed_form(across: float, along: float) -> None:
    attitude = Attitude(
        mode="rigid",
        quaternion_gcrf_from_body=START,
        rate_body_deg_s=(0.9, 0.3, 2.0),
        inertia_kg_m2=diagonal(across, across, along),
    )
    states = rigid_states(attitude, FAR_AWAY, T_S)
    # Precession about the angular momentum, and turning about the axis of symmetry (Goldstein, Classical Mechanics).
    rate = np.radians([0.9, 0.3, 2.0])
    start = Rotation.from_quat(START, scalar_first=True)
    momentum_gcrf = start.apply(np.array([across, across, along]) * rate)
    own_turn = np.outer((1.0 - along / across) * rate[2] * T_S, [0.0, 0.0, 1.0])
    expected = Rotation.from_rotvec(np.outer(T_S / across, momentum_gcrf)) * start * Rotation.from_rotvec(own_turn)
    turned = Rotation.from_quat(states.quaternion_gcrf_from_body, scalar_first=True)
    assert (turned.inv() * expected).magnitude().max() < 1e-9
    rate_expected = expected.apply(momentum_gcrf, inverse=True) / [across, across, along]
    np.testing.assert_allclose(states.rate_body_rad_s, rate_expected, rtol=0, atol=1e-11)


def test_without_torque_energy_and_momentum_stay() -> None:
    attitude = Attitude(mode="rigid", quaternion_gcrf_from_body=START, rate_body_deg_s=(1.0, -3.0, 0.4))
    inertia = np.array(attitude.inertia_kg_m2)
    states = rigid_states(attitude, FAR_AWAY, T_S)
    momentum_body = states.rate_body_rad_s @ inertia
    momentum = Rotation.from_quat(states.quaternion_gcrf_from_body, scalar_first=True).apply(momentum_body)
    energy = np.einsum("ni,ni->n", states.rate_body_rad_s, momentum_body)
    np.testing.assert_allclose(energy, energy[0], rtol=1e-9)
    np.testing.assert_allclose(
        momentum, np.tile(momentum[0], (len(T_S), 1)), rtol=0, atol=1e-9 * np.abs(momentum[0]).max()
    )
    assert np.ptp(states.rate_body_rad_s, axis=0).min() > np.radians(0.3), "an asymmetric body's rate is not constant"


def euler_rate_change(inertia: FloatArray, rate: FloatArray, position_body_m: FloatArray) -> FloatArray:
    distance_m = np.linalg.norm(position_body_m, axis=1, keepdims=True)
    torque = 3.0 * brahe.GM_EARTH / distance_m**5 * np.cross(position_body_m, position_body_m @ inertia)
    change: FloatArray = (torque - np.cross(rate, rate @ inertia)) @ np.linalg.inv(inertia)
    return change


def test_the_rate_changes_as_eulers_equations_say_in_body_axes() -> None:
    orbit = CircularOrbit(inclination_rad=1.7)
    attitude = Attitude(
        mode="rigid",
        quaternion_gcrf_from_body=START,
        rate_body_deg_s=(0.1, -0.07, 0.04),
        inertia_kg_m2=((0.0043, -0.0003, 0.0004), (-0.0003, 0.0049, 0.0002), (0.0004, 0.0002, 0.0035)),
    )
    t_s, step_s = np.arange(10.0, 3500.0, 50.0), 1.0
    rates = [rigid_states(attitude, orbit, t_s + step * step_s).rate_body_rad_s for step in (-2, -1, 1, 2)]
    by_differences = (rates[0] - 8.0 * rates[1] + 8.0 * rates[2] - rates[3]) / (12.0 * step_s)
    states = rigid_states(attitude, orbit, t_s)
    position_body_m = to_body(states.quaternion_gcrf_from_body, orbit.states_gcrf(t_s)[:, :3])
    inertia = np.array(attitude.inertia_kg_m2)
    expected = euler_rate_change(inertia, states.rate_body_rad_s, position_body_m)
    np.testing.assert_allclose(by_differences, expected, rtol=0, atol=1e-12)
    free = euler_rate_change(inertia, states.rate_body_rad_s, 1e6 * position_body_m)
    assert np.abs(expected - free).max() > 1e-7, "the gravity gradient is in it"


def test_pitch_librates_at_the_textbook_frequency() -> None:
    # Wertz, section 18.3, or Hughes, Spacecraft Attitude Dynamics, chapter 9: n sqrt(3 (I_roll - I_yaw) / I_pitch).
    roll, pitch, yaw = 0.0045, 0.0050, 0.0015
    orbit, amplitude_rad = CircularOrbit(inclination_rad=1.2), 1e-3
    n = orbit.mean_motion_rad_s
    position, velocity = np.split(orbit.states_gcrf([0.0])[0], 2)
    # Rows: roll axis along track, pitch axis against the orbit's normal, yaw axis to nadir.
    axes = np.array([velocity / np.linalg.norm(velocity), -orbit.normal, -position / np.linalg.norm(position)])
    start = Rotation.from_matrix(axes.T) * Rotation.from_rotvec([0.0, amplitude_rad, 0.0])
    w, x, y, z = start.as_quat(scalar_first=True).tolist()
    attitude = Attitude(
        mode="rigid",
        quaternion_gcrf_from_body=(w, x, y, z),
        rate_body_deg_s=(0.0, -float(np.degrees(n)), 0.0),
        inertia_kg_m2=diagonal(roll, pitch, yaw),
    )
    t_s = np.arange(0.0, 11_000.0, 50.0)
    states = rigid_states(attitude, orbit, t_s)
    nadir_body = -to_body(states.quaternion_gcrf_from_body, orbit.states_gcrf(t_s)[:, :3]) / orbit.radius_m
    pitch_rad = np.arctan2(-nadir_body[:, 0], nadir_body[:, 2])
    expected_rad = amplitude_rad * np.cos(n * np.sqrt(3.0 * (roll - yaw) / pitch) * t_s)
    np.testing.assert_allclose(pitch_rad, expected_rad, rtol=0, atol=1e-5 * amplitude_rad)
    np.testing.assert_allclose(nadir_body[:, 1], 0.0, atol=1e-9)
