"""Magnetometer, gyro and sun sensors against their declared errors and the geometry of the faces."""

import math

import numpy as np
import pytest

from pygnc_ground.scenario.imu import gyro_rad_s, magnetometer_ut
from pygnc_ground.scenario.sensor_settings import Imu, SunSensors
from pygnc_ground.scenario.sun_sensors import face_lux

AU_M = 149_597_870_700.0
COUNT = 4000


def four_standard_errors(count: int) -> float:
    return 4.0 / math.sqrt(count)


def test_magnetometer_bias_and_noise_are_the_declared_ones() -> None:
    field_ut = np.tile([30.0, -10.0, 5.0], (COUNT, 1))
    measured = magnetometer_ut(Imu(mag_bias_ut=(20.0, 10.0, -25.0), mag_noise_ut=0.6), field_ut, seed=1)
    # The fleet's map: sensor X is -Y of the body, sensor Y is X, sensor Z is -Z.
    error = (measured - [10.0 + 20.0, 30.0 + 10.0, -5.0 - 25.0]) / 0.6
    assert np.abs(error.mean(axis=0)).max() < four_standard_errors(COUNT)
    assert np.abs(error.std(axis=0) - 1.0).max() < four_standard_errors(2 * COUNT)


def test_gyro_bias_and_noise_are_the_declared_ones() -> None:
    imu = Imu(
        gyro_bias_deg_s=(-0.5, 0.05, 0.4), gyro_noise_deg_s=0.025, imu_from_body=((1, 0, 0), (0, 1, 0), (0, 0, 1))
    )
    rate_deg_s = np.tile([1.0, 0.3, -2.0], (COUNT, 1))
    error = (np.degrees(gyro_rad_s(imu, np.radians(rate_deg_s), seed=1)) - [0.5, 0.35, -1.6]) / 0.025
    assert np.abs(error.mean(axis=0)).max() < four_standard_errors(COUNT)
    assert np.abs(error.std(axis=0) - 1.0).max() < four_standard_errors(2 * COUNT)


def test_the_fleets_map_undoes_what_its_software_does() -> None:
    # Body X = sensor Y, body Y = -sensor X, body Z = -sensor Z.
    body_from_imu = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])
    np.testing.assert_array_equal(body_from_imu @ np.array(Imu().imu_from_body), np.eye(3))


def test_light_follows_the_cosine_of_the_angle_to_each_face() -> None:
    direction = np.array([[0.6, 0.0, -0.8], [0.0, -1.0, 0.0]])
    lux = face_lux(SunSensors(noise_fraction=0.0), AU_M * direction, np.ones(2), seed=1)
    full = SunSensors().full_sun_lux
    np.testing.assert_allclose(lux, full * np.array([[0.6, 0, 0, 0, 0, 0.8], [0, 0, 0, 0, 1.0, 0]]), rtol=1e-12)


@pytest.mark.parametrize("sunlit", [0.0, 0.3])
def test_light_fades_with_the_visible_part_of_the_sun(sunlit: float) -> None:
    lux = face_lux(SunSensors(noise_fraction=0.0), np.array([[AU_M, 0.0, 0.0]]), np.array([sunlit]), seed=1)
    assert lux[0, 0] == pytest.approx(sunlit * SunSensors().full_sun_lux)


def test_light_falls_with_the_square_of_the_distance() -> None:
    lux = face_lux(SunSensors(noise_fraction=0.0), np.array([[1.02 * AU_M, 0.0, 0.0]]), np.ones(1), seed=1)
    assert lux[0, 0] == pytest.approx(SunSensors().full_sun_lux / 1.02**2)


def test_light_noise_is_the_declared_share_of_the_reading() -> None:
    toward_sun = np.tile([0.6 * AU_M, 0.8 * AU_M, 0.0], (COUNT, 1))
    lux = face_lux(SunSensors(noise_fraction=0.01), toward_sun, np.ones(COUNT), seed=1)
    for face, cosine in ((0, 0.6), (1, 0.8)):
        error = (lux[:, face] / (cosine * SunSensors().full_sun_lux) - 1.0) / 0.01
        assert abs(error.mean()) < four_standard_errors(COUNT)
        assert abs(error.std() - 1.0) < four_standard_errors(2 * COUNT)
    assert not lux[:, 2:].any()
