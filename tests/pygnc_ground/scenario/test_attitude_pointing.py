import numpy as np
import numpy.typing as npt
import pytest
from scipy.spatial.transform import Rotation

from pygnc.common.clock import gps_ms_from_utc_iso
from pygnc_ground.scenario import earth
from pygnc_ground.scenario.attitude_kinematics import AttitudeStates, to_body
from pygnc_ground.scenario.attitude_pointing import nadir_states, sun_states
from pygnc_ground.scenario.sensor_settings import Attitude
from tests.pygnc_ground.scenario.circular_orbit import CircularOrbit, FloatArray

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


def test_oblique_axes_point_as_near_as_they_can() -> None:
    states = nadir_states(ODDLY_MOUNTED, ORBIT, T_S)
    position_m, velocity_mps = np.split(ORBIT.states_gcrf(T_S), 2, axis=1)
    np.testing.assert_allclose(in_gcrf(states, unit(np.array([0.2, -1.0, 0.7]))), -unit(position_m), atol=1e-12)
    second = in_gcrf(states, [1.0, 1.0, 3.0])
    np.testing.assert_allclose(second @ ORBIT.normal, 0.0, atol=1e-12)
    assert np.einsum("ni,ni->n", second, velocity_mps).min() > 0.0


def test_the_pointed_axis_sees_the_sun_and_the_second_celestial_north() -> None:
    states = sun_states(Attitude(pointed_axis_body=(0.0, -2.0, 0.0)), ORBIT, START_GPS_MS, T_S)
    to_sun_m = earth.sun_position_gcrf_m(START_GPS_MS, T_S) - ORBIT.states_gcrf(T_S)[:, :3]
    sun_body = unit(to_body(states.quaternion_gcrf_from_body, to_sun_m))
    np.testing.assert_allclose(sun_body, np.tile([0.0, -1.0, 0.0], (len(T_S), 1)), atol=1e-12)
    # At the solstice the Sun stands 23.43 degrees north, so the axis is as much off the pole.
    north = in_gcrf(states, [1.0, 0.0, 0.0])[:, 2]
    np.testing.assert_allclose(np.degrees(np.arccos(north)), 23.43, atol=0.02)


def test_the_sun_leads_the_body_round_once_a_year() -> None:
    states = sun_states(Attitude(), CircularOrbit(radius_m=5e7), START_GPS_MS, T_S)
    speed = np.linalg.norm(states.rate_body_rad_s, axis=1)
    # Near aphelion the Sun moves 3.3 % slower than the mean; the orbit's own parallax is 2e-8 rad/s.
    assert speed.mean() == pytest.approx(2.0 * np.pi / (365.25 * 86_400.0), rel=0.15)
