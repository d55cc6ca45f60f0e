"""What holds in every mode, along a perturbed orbit."""

import numpy as np
import pytest
from msgspec.structs import replace

from pygnc_ground.scenario.attitude import attitude_states
from pygnc_ground.scenario.motion_settings import Forces
from pygnc_ground.scenario.sensor_settings import Attitude
from pygnc_ground.scenario.settings import Settings
from pygnc_ground.scenario.truth import Trajectory, initial_state_gcrf
from tests.pygnc_ground.scenario.circular_orbit import FloatArray

SETTINGS = Settings(duration_s=3000, forces=Forces(gravity_degree=8, drag=False, radiation_pressure=False))
ODDLY_MOUNTED = Attitude(
    quaternion_gcrf_from_body=(0.5, -0.5, 0.5, 0.5),
    rate_body_deg_s=(1.0, -0.6, 0.4),
    pointed_axis_body=(0.2, -1.0, 0.7),
    second_axis_body=(1.0, 1.0, 3.0),
)
STEP_S = 0.25
# rad/s. A tumble at 1.2 deg/s leaves 1e-12 to the formula for the derivative, positions along the orbit micrometres.
TOLERANCES = {"tumble": 1e-10, "rigid": 1e-10, "nadir": 1e-10, "sun": 1e-12}
modes = pytest.mark.parametrize("mode", TOLERANCES)


@pytest.fixture(scope="module")
def path() -> Trajectory:
    state = initial_state_gcrf(SETTINGS.orbit)
    return Trajectory(SETTINGS.start_gps_ms, SETTINGS.duration_s, state, SETTINGS.spacecraft, SETTINGS.forces)


def in_mode(mode: str) -> Attitude:
    return replace(ODDLY_MOUNTED, mode=mode)


def rate_by_differences(quaternions: list[FloatArray], step_s: float) -> FloatArray:
    """Twice the vector part of conj(q) dq/dt, q at -2, -1, 0, 1, 2 steps; good to the fourth order."""
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
def test_it_starts_where_the_settings_say(path: Trajectory, mode: str) -> None:
    states = attitude_states(in_mode(mode), path, SETTINGS.start_gps_ms, [0, 5])
    np.testing.assert_allclose(states.quaternion_gcrf_from_body[0], ODDLY_MOUNTED.quaternion_gcrf_from_body, atol=1e-14)
    np.testing.assert_allclose(np.degrees(states.rate_body_rad_s[0]), ODDLY_MOUNTED.rate_body_deg_s, atol=1e-13)
