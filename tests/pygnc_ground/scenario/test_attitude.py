"""Attitude of a scenario: properties of every mode; the rigid body against closed forms and conservation laws."""

import brahe
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace
from scipy.spatial.transform import Rotation

from pygnc.common.clock import gps_ms_from_utc_iso
from pygnc_ground.scenario import environment
from pygnc_ground.scenario.attitude import (
    AttitudeStates,
    acceleration_gcrf_mps2,
    attitude_states,
    continuous_quaternions,
    nadir_states,
    position_spline,
    rigid_states,
    sun_states,
    to_body,
    tumble_states,
)
from pygnc_ground.scenario.sensor_settings import Vector3
from pygnc_ground.scenario.settings import Attitude, Forces, Settings
from pygnc_ground.scenario.trajectory import Trajectory, initial_state_gcrf
from tests.pygnc_ground.scenario.circular_orbit import FAR_AWAY, CircularOrbit, FloatArray

SETTINGS = Settings(duration_s=3000, forces=Forces(gravity_degree=8, drag=False, radiation_pressure=False))
ODDLY_MOUNTED_SETTINGS = Attitude(
    quaternion_gcrf_from_body=(0.5, -0.5, 0.5, 0.5),
    rate_body_deg_s=(1.0, -0.6, 0.4),
    pointed_axis_body=(0.2, -1.0, 0.7),
    second_axis_body=(1.0, 1.0, 3.0),
)
STEP_S = 0.25
# rad/s. The difference formula has an error of 1e-12 at 1.2 deg/s; positions along the orbit have errors of
# micrometres.
TOLERANCES = {"tumble": 1e-10, "rigid": 1e-10, "nadir": 1e-10, "sun": 1e-12}
modes = pytest.mark.parametrize("mode", TOLERANCES)


@pytest.fixture(scope="module")
def path() -> Trajectory:
    state = initial_state_gcrf(SETTINGS.orbit)
    return Trajectory(SETTINGS.start_gps_ms, SETTINGS.duration_s, state, SETTINGS.spacecraft, SETTINGS.forces)


def in_mode(mode: str) -> Attitude:
    return replace(ODDLY_MOUNTED_SETTINGS, mode=mode)


def rate_by_differences(quaternions: list[FloatArray], step_s: float) -> FloatArray:
    """Return twice the vector part of conj(q) dq/dt from q at -2, -1, 0, 1, 2 steps (fourth order)."""
    before2, before, now, after, after2 = quaternions
    change = (before2 - 8.0 * before + 8.0 * after - after2) / (12.0 * step_s)
    w, v = now[:, :1], now[:, 1:]
    return 2.0 * (w * change[:, 1:] - change[:, :1] * v - np.cross(v, change[:, 1:]))


@modes
def test_the_rate_is_the_derivative_of_the_attitude(path: Trajectory, mode: str) -> None:
    t_s = np.arange(10.0, 2990.0, 37.0)
    shifted_s = (t_s[:, np.newaxis] + STEP_S * np.arange(-2, 3)).ravel()
    states = attitude_states(in_mode(mode), path, SETTINGS.start_gps_ms, shifted_s)
    expected = rate_by_differences([states.quaternion_gcrf_from_body[step::5] for step in range(5)], STEP_S)
    np.testing.assert_allclose(states.rate_body_rad_s[2::5], expected, rtol=0, atol=TOLERANCES[mode])


@modes
def test_quaternions_are_units_and_do_not_jump(path: Trajectory, mode: str) -> None:
    t_s = np.arange(0.0, 3000.0, 5.0)
    quaternion = attitude_states(in_mode(mode), path, SETTINGS.start_gps_ms, t_s).quaternion_gcrf_from_body
    np.testing.assert_allclose(np.linalg.norm(quaternion, axis=1), 1.0, rtol=1e-12)
    assert np.linalg.norm(np.diff(quaternion, axis=0), axis=1).max() < 0.06


@modes
def test_a_longer_span_has_the_same_beginning(path: Trajectory, mode: str) -> None:
    short, long = (
        attitude_states(in_mode(mode), path, SETTINGS.start_gps_ms, np.arange(0, last_s, 5)) for last_s in (400, 3000)
    )
    np.testing.assert_allclose(short.quaternion_gcrf_from_body, long.quaternion_gcrf_from_body[:80], rtol=0, atol=1e-10)
    np.testing.assert_allclose(short.rate_body_rad_s, long.rate_body_rad_s[:80], rtol=0, atol=1e-10)


@modes
def test_one_time_alone_is_enough(path: Trajectory, mode: str) -> None:
    alone = attitude_states(in_mode(mode), path, SETTINGS.start_gps_ms, [0])
    first = attitude_states(in_mode(mode), path, SETTINGS.start_gps_ms, [0, 5, 10])
    np.testing.assert_allclose(alone.quaternion_gcrf_from_body[0], first.quaternion_gcrf_from_body[0], atol=1e-12)


@pytest.mark.parametrize("mode", ["tumble", "rigid"])
def test_the_attitude_starts_at_its_configured_value(path: Trajectory, mode: str) -> None:
    states = attitude_states(in_mode(mode), path, SETTINGS.start_gps_ms, [0, 5])
    np.testing.assert_allclose(
        states.quaternion_gcrf_from_body[0], ODDLY_MOUNTED_SETTINGS.quaternion_gcrf_from_body, atol=1e-14
    )
    np.testing.assert_allclose(
        np.degrees(states.rate_body_rad_s[0]), ODDLY_MOUNTED_SETTINGS.rate_body_deg_s, atol=1e-13
    )


components = st.floats(-100.0, 100.0)


@given(st.tuples(components, components, components), st.lists(st.floats(-1.0, 1.0), min_size=4, max_size=4))
def test_vectors_rotate_by_brahes_rotation_matrix(vector: tuple[float, ...], parts: list[float]) -> None:
    length = np.linalg.norm(parts)
    assume(length > 1e-3)
    quaternion = np.array(parts) / length
    # brahe's rotation matrix of a quaternion takes the opposite direction: from the outer to the rotated frame.
    matrix = np.asarray(brahe.Quaternion(*quaternion).to_rotation_matrix().to_matrix())
    turned = to_body(quaternion[np.newaxis], np.array([vector]))
    assert turned[0] == pytest.approx(matrix @ vector, abs=1e-9)


def test_a_rotation_of_the_body_rotates_vectors_backwards() -> None:
    quarter_about_z = np.array([[np.sqrt(0.5), 0.0, 0.0, np.sqrt(0.5)]])
    np.testing.assert_allclose(to_body(quarter_about_z, np.array([[1.0, 0.0, 0.0]])), [[0.0, -1.0, 0.0]], atol=1e-15)


def test_quaternion_signs_are_continuous() -> None:
    turn = 0.1 * np.arange(100)
    smooth = np.column_stack((np.cos(turn), np.sin(turn), np.zeros((100, 2))))
    jumping = smooth * np.where(np.arange(100) % 7 < 3, 1.0, -1.0)[:, np.newaxis]
    np.testing.assert_array_equal(continuous_quaternions(jumping), smooth)
    np.testing.assert_array_equal(continuous_quaternions(smooth[:1]), smooth[:1])


PATH_ORBIT = CircularOrbit(inclination_rad=1.7)


@pytest.mark.parametrize("last_s", [4.0, 25.0, 10_797.0])
def test_position_and_acceleration_are_the_orbits_own(last_s: float) -> None:
    t_s = np.linspace(0.0, last_s, 501)
    position_m = PATH_ORBIT.states_gcrf(t_s)[:, :3]
    np.testing.assert_allclose(position_spline(PATH_ORBIT, last_s)(t_s), position_m, rtol=0, atol=1e-3)
    central_mps2 = -(PATH_ORBIT.mean_motion_rad_s**2) * position_m
    np.testing.assert_allclose(acceleration_gcrf_mps2(PATH_ORBIT, t_s), central_mps2, rtol=0, atol=1e-5)


def test_the_path_is_not_evaluated_outside_the_span() -> None:
    asked: list[float] = []

    class Watched(CircularOrbit):
        def states_gcrf(self, t_s: npt.ArrayLike) -> FloatArray:
            times_s = np.asarray(t_s, dtype=np.float64)
            asked.extend(times_s.tolist())
            return super().states_gcrf(times_s)

    position_spline(Watched(), 95.0)
    acceleration_gcrf_mps2(Watched(), np.array([95.0, 3.0]))
    assert (min(asked), max(asked)) == (0.0, 95.0)


START_GPS_MS = gps_ms_from_utc_iso("2025-06-20T00:00:00Z")
ORBIT = CircularOrbit(inclination_rad=1.7, start_rad=0.3)
T_S = np.arange(0.0, 6000.0, 25.0)
ODDLY_MOUNTED = Attitude(pointed_axis_body=(0.2, -1.0, 0.7), second_axis_body=(1.0, 1.0, 3.0))


def in_gcrf(states: AttitudeStates, vector_body: npt.ArrayLike) -> FloatArray:
    turned: FloatArray = Rotation.from_quat(states.quaternion_gcrf_from_body, scalar_first=True).apply(
        np.asarray(vector_body, dtype=np.float64)
    )
    return turned


def unit(vector: FloatArray) -> FloatArray:
    scaled: FloatArray = vector / np.linalg.norm(vector, axis=-1, keepdims=True)
    return scaled


def test_on_a_circular_orbit_the_body_turns_once_per_orbit_about_the_orbits_normal() -> None:
    states = nadir_states(Attitude(), ORBIT, T_S)
    position_m, velocity_mps = np.split(ORBIT.states_gcrf(T_S), 2, axis=1)
    np.testing.assert_allclose(in_gcrf(states, [0.0, 0.0, 1.0]), -unit(position_m), atol=1e-12)
    np.testing.assert_allclose(in_gcrf(states, [1.0, 0.0, 0.0]), unit(velocity_mps), atol=1e-12)
    np.testing.assert_allclose(in_gcrf(states, [0.0, 1.0, 0.0]), np.tile(-ORBIT.normal, (len(T_S), 1)), atol=1e-12)
    expected = np.tile([0.0, -ORBIT.mean_motion_rad_s, 0.0], (len(T_S), 1))
    np.testing.assert_allclose(states.rate_body_rad_s, expected, rtol=0, atol=1e-11)


def test_oblique_axes_point_as_close_as_possible() -> None:
    states = nadir_states(ODDLY_MOUNTED, ORBIT, T_S)
    position_m, velocity_mps = np.split(ORBIT.states_gcrf(T_S), 2, axis=1)
    np.testing.assert_allclose(in_gcrf(states, unit(np.array([0.2, -1.0, 0.7]))), -unit(position_m), atol=1e-12)
    second = in_gcrf(states, [1.0, 1.0, 3.0])
    np.testing.assert_allclose(second @ ORBIT.normal, 0.0, atol=1e-12)
    assert np.einsum("ni,ni->n", second, velocity_mps).min() > 0.0


def test_the_pointed_axis_sees_the_sun_and_the_second_celestial_north() -> None:
    states = sun_states(Attitude(pointed_axis_body=(0.0, -2.0, 0.0)), ORBIT, START_GPS_MS, T_S)
    to_sun_m = environment.sun_position_gcrf_m(START_GPS_MS, T_S) - ORBIT.states_gcrf(T_S)[:, :3]
    sun_body = unit(to_body(states.quaternion_gcrf_from_body, to_sun_m))
    np.testing.assert_allclose(sun_body, np.tile([0.0, -1.0, 0.0], (len(T_S), 1)), atol=1e-12)
    # At the solstice the Sun is 23.43 degrees north, so the axis is as far from the pole.
    north = in_gcrf(states, [1.0, 0.0, 0.0])[:, 2]
    np.testing.assert_allclose(np.degrees(np.arccos(north)), 23.43, atol=0.02)


def test_sun_pointing_rotates_the_body_once_a_year() -> None:
    states = sun_states(Attitude(), CircularOrbit(radius_m=5e7), START_GPS_MS, T_S)
    speed = np.linalg.norm(states.rate_body_rad_s, axis=1)
    # Near aphelion the Sun moves 3.3 % slower than the mean; the orbit's own parallax is 2e-8 rad/s.
    assert speed.mean() == pytest.approx(2.0 * np.pi / (365.25 * 86_400.0), rel=0.15)


START = (0.5, -0.5, 0.5, 0.5)
RIGID_T_S = np.arange(0.0, 3600.0, 5.0)


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
    states = rigid_states(attitude, FAR_AWAY, RIGID_T_S)
    # Precession about the angular momentum, and turning about the axis of symmetry (Goldstein, Classical Mechanics).
    rate = np.radians([0.9, 0.3, 2.0])
    start = Rotation.from_quat(START, scalar_first=True)
    momentum_gcrf = start.apply(np.array([across, across, along]) * rate)
    own_turn = np.outer((1.0 - along / across) * rate[2] * RIGID_T_S, [0.0, 0.0, 1.0])
    expected = (
        Rotation.from_rotvec(np.outer(RIGID_T_S / across, momentum_gcrf)) * start * Rotation.from_rotvec(own_turn)
    )
    turned = Rotation.from_quat(states.quaternion_gcrf_from_body, scalar_first=True)
    assert (turned.inv() * expected).magnitude().max() < 1e-9
    rate_expected = expected.apply(momentum_gcrf, inverse=True) / [across, across, along]
    np.testing.assert_allclose(states.rate_body_rad_s, rate_expected, rtol=0, atol=1e-11)


def test_energy_and_momentum_are_conserved_without_torque() -> None:
    attitude = Attitude(mode="rigid", quaternion_gcrf_from_body=START, rate_body_deg_s=(1.0, -3.0, 0.4))
    inertia = np.array(attitude.inertia_kg_m2)
    states = rigid_states(attitude, FAR_AWAY, RIGID_T_S)
    momentum_body = states.rate_body_rad_s @ inertia
    momentum = Rotation.from_quat(states.quaternion_gcrf_from_body, scalar_first=True).apply(momentum_body)
    energy = np.einsum("ni,ni->n", states.rate_body_rad_s, momentum_body)
    np.testing.assert_allclose(energy, energy[0], rtol=1e-9)
    np.testing.assert_allclose(
        momentum, np.tile(momentum[0], (len(RIGID_T_S), 1)), rtol=0, atol=1e-9 * np.abs(momentum[0]).max()
    )
    assert np.ptp(states.rate_body_rad_s, axis=0).min() > np.radians(0.3), "an asymmetric body's rate is not constant"


def euler_rate_change(inertia: FloatArray, rate: FloatArray, position_body_m: FloatArray) -> FloatArray:
    distance_m = np.linalg.norm(position_body_m, axis=1, keepdims=True)
    torque = 3.0 * brahe.GM_EARTH / distance_m**5 * np.cross(position_body_m, position_body_m @ inertia)
    change: FloatArray = (torque - np.cross(rate, rate @ inertia)) @ np.linalg.inv(inertia)
    return change


def test_the_rate_follows_eulers_equations() -> None:
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


TUMBLE = Attitude(quaternion_gcrf_from_body=(0.5, -0.5, 0.5, 0.5), rate_body_deg_s=(1.0, -3.0, 0.4))


def test_the_body_turns_about_an_axis_fixed_in_it() -> None:
    t_s = np.array([0.0, 17.0, 10_800.0])
    states = tumble_states(TUMBLE, t_s)
    start = Rotation.from_quat([-0.5, 0.5, 0.5, 0.5])
    expected = start * Rotation.from_rotvec(np.outer(t_s, np.radians([1.0, -3.0, 0.4])))
    matrix = Rotation.from_quat(states.quaternion_gcrf_from_body, scalar_first=True).as_matrix()
    np.testing.assert_allclose(matrix, expected.as_matrix(), atol=1e-12)
    np.testing.assert_allclose(np.degrees(states.rate_body_rad_s), np.tile([1.0, -3.0, 0.4], (3, 1)), rtol=1e-15)


def test_no_rate_is_no_motion() -> None:
    states = tumble_states(Attitude(rate_body_deg_s=(0.0, 0.0, 0.0)), np.array([0.0, 5.0, 9999.0]))
    np.testing.assert_array_equal(states.quaternion_gcrf_from_body, np.tile([1.0, 0.0, 0.0, 0.0], (3, 1)))
    assert not states.rate_body_rad_s.any()
