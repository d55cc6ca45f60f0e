"""True states of a scenario against the readings in its files."""

import numpy as np
import pytest
from msgspec.structs import replace

from pygnc.common.constants import GYRO_DEG_S_PER_COUNT, MAGNETOMETER_UT_PER_COUNT
from pygnc.formats.sense import SenseLayout, decode_sensors
from pygnc_ground.scenario.attitude import to_body
from pygnc_ground.scenario.generate import Scenario, generate
from pygnc_ground.scenario.sensor_settings import Imu, SunSensors
from pygnc_ground.scenario.settings import Attitude, Forces, Settings
from pygnc_ground.scenario.sun_sensors import face_lux

SETTINGS = Settings(
    duration_s=7200,
    forces=Forces(gravity_degree=4, drag=False, radiation_pressure=False),
    attitude=Attitude(mode="rigid"),
    imu=Imu(
        gyro_bias_deg_s="drawn",
        gyro_bias_stability_deg_h=60.0,
        gyro_scale_error=(0.02, -0.01, 0.03),
        mag_bias_ut="drawn",
        mag_scale_error=(0.05, -0.1, 0.0),
    ),
    sun_sensors=SunSensors(gain_errors=(0.05, -0.05, 0.02, 0.0, -0.1, 0.1)),
)
SATURATION_LUX = 83_865.60


@pytest.fixture(scope="module")
def made() -> Scenario:
    return generate(SETTINGS)


def test_readings_minus_true_biases_are_truth_plus_noise(made: Scenario) -> None:
    words = decode_sensors(np.frombuffer(made.sense, SenseLayout().record))
    truth, imu = made.truth, SETTINGS.imu
    mounting, count = np.array(imu.imu_from_body), len(truth.gps_ms)
    mag_ut = (1.0 + np.array(imu.mag_scale_error)) * (truth.field_body_ut @ mounting.T)
    rate_rad_s = (1.0 + np.array(imu.gyro_scale_error)) * (truth.rate_body_rad_s @ mounting.T)
    mag_error_ut = words.mag_imu_ut.reshape(-1, 3) - mag_ut - truth.mag_bias_imu_ut
    rate_error_rad_s = words.gyro_imu_rad_s.reshape(-1, 3) - rate_rad_s - truth.gyro_bias_imu_rad_s
    for error, noise in ((mag_error_ut, 0.6), (rate_error_rad_s, np.radians(0.025))):
        assert np.abs(error.mean(axis=0)).max() < 4.0 * noise / np.sqrt(count)
        np.testing.assert_allclose(error.std(axis=0), noise, rtol=0.1)
    walked_deg_s = np.degrees(np.ptp(truth.gyro_bias_imu_rad_s, axis=0))
    assert walked_deg_s.min() > 0.005, "the walk is in the truth"
    assert np.ptp(truth.mag_bias_imu_ut, axis=0).max() == 0.0


def test_light_is_that_of_sun_and_earth(made: Scenario) -> None:
    lux = decode_sensors(np.frombuffer(made.sense, SenseLayout().record)).lux.reshape(-1, 6)
    truth, noiseless = made.truth, replace(SETTINGS.sun_sensors, noise_fraction=0.0)
    expected = face_lux(noiseless, truth.sun_body_m, truth.position_body_m, truth.sunlit_fraction, seed=1)
    assert not lux[truth.sunlit_fraction == 0.0].any()
    lit = truth.sunlit_fraction == 1.0
    full_lux = SETTINGS.sun_sensors.full_sun_lux
    readable = lit[:, np.newaxis] & (expected > 0.05 * full_lux) & (expected < SATURATION_LUX - 0.05 * full_lux)
    assert readable.mean() > 0.2
    error = (lux - expected)[readable] / full_lux
    assert abs(error.mean()) < 0.0005
    assert error.std() == pytest.approx(0.01, rel=0.05)
    np.testing.assert_allclose(lux[expected > SATURATION_LUX + 0.06 * full_lux], SATURATION_LUX)


def test_positions_in_body_axes_agree(made: Scenario) -> None:
    truth = made.truth
    np.testing.assert_allclose(
        np.linalg.norm(truth.position_body_m, axis=1), np.linalg.norm(truth.position_gcrf_m, axis=1), rtol=1e-12
    )
    # Seen from the Earth's centre the Sun is at one distance in whatever axes.
    geocentric_m = truth.sun_body_m + truth.position_body_m
    assert np.ptp(np.linalg.norm(geocentric_m, axis=1)) < 4e6


def test_clouds_are_at_places_on_the_earth(made: Scenario) -> None:
    truth = made.truth
    np.testing.assert_allclose(
        np.einsum("nij,nj->ni", truth.itrf_from_body, truth.position_body_m), truth.position_ecef_m, atol=1e-3
    )


def test_the_error_of_the_field_model_is_constant_in_gcrf() -> None:
    short = replace(SETTINGS, duration_s=500)
    error_ut = (2.0, -1.0, 0.5)
    wrong = replace(short, imu=replace(short.imu, field_error_gcrf_ut=error_ut))
    plain, other = generate(short).truth, generate(wrong).truth
    expected = to_body(plain.quaternion_gcrf_from_body, np.tile(error_ut, (100, 1)))
    np.testing.assert_allclose(other.field_body_ut - plain.field_body_ut, expected, atol=1e-10)


def test_the_field_of_a_storm_is_in_the_readings_and_the_true_field() -> None:
    short = replace(SETTINGS, duration_s=500)
    stormy = replace(short, storm=replace(short.storm, field_ut=5.0))
    plain, other = generate(short), generate(stormy)
    change_ut = other.truth.field_body_ut - plain.truth.field_body_ut
    assert 0.1 < change_ut.std() < 6.0
    before, after = (decode_sensors(np.frombuffer(made.sense, SenseLayout().record)) for made in (plain, other))
    shown_ut = (after.mag_imu_ut - before.mag_imu_ut).reshape(-1, 3)
    scale = np.diag(1.0 + np.array(SETTINGS.imu.mag_scale_error)) @ np.array(SETTINGS.imu.imu_from_body)
    np.testing.assert_allclose(shown_ut, change_ut @ scale.T, atol=1.01 * MAGNETOMETER_UT_PER_COUNT)
    np.testing.assert_array_equal(after.gyro_imu_rad_s, before.gyro_imu_rad_s)


@pytest.mark.parametrize("amplitude_deg_s", [0.05, 0.4])
def test_thermal_biases_have_their_amplitude_in_the_readings_and_the_truth(amplitude_deg_s: float) -> None:
    # An orbit through the longest shadow.
    noon = replace(SETTINGS, duration_s=6000, orbit=replace(SETTINGS.orbit, raan_deg=0.0))
    gyro_deg_s, mag_ut = (amplitude_deg_s, 0.0, -amplitude_deg_s), (0.0, 2.0, -1.0)
    warm = replace(noon, imu=replace(noon.imu, gyro_bias_thermal_deg_s=gyro_deg_s, mag_bias_thermal_ut=mag_ut))
    plain, other = generate(noon), generate(warm)
    before, after = (decode_sensors(np.frombuffer(made.sense, SenseLayout().record)) for made in (plain, other))
    gyro_rad_s = other.truth.gyro_bias_imu_rad_s - plain.truth.gyro_bias_imu_rad_s
    np.testing.assert_allclose(np.degrees(np.ptp(gyro_rad_s, axis=0)), 2.0 * np.abs(gyro_deg_s), rtol=0.1)
    shown_rad_s = (after.gyro_imu_rad_s - before.gyro_imu_rad_s).reshape(-1, 3)
    np.testing.assert_allclose(shown_rad_s, gyro_rad_s, rtol=0, atol=1.01 * np.radians(GYRO_DEG_S_PER_COUNT))
    change_ut = other.truth.mag_bias_imu_ut - plain.truth.mag_bias_imu_ut
    np.testing.assert_allclose(np.ptp(change_ut, axis=0), 2.0 * np.abs(mag_ut), rtol=0.1)
    shown_ut = (after.mag_imu_ut - before.mag_imu_ut).reshape(-1, 3)
    np.testing.assert_allclose(shown_ut, change_ut, rtol=0, atol=1.01 * MAGNETOMETER_UT_PER_COUNT)
    # Both sensors are on one chip.
    np.testing.assert_allclose(change_ut[:, 1] / 2.0, np.degrees(gyro_rad_s[:, 0]) / amplitude_deg_s, rtol=1e-6)
    np.testing.assert_array_equal(after.lux, before.lux)


@pytest.mark.parametrize("mode", ["tumble", "rigid", "nadir", "sun"])
def test_every_mode_makes_the_same_bytes_again(mode: str) -> None:
    settings = replace(SETTINGS, duration_s=300, attitude=replace(SETTINGS.attitude, mode=mode))
    assert generate(settings).sense == generate(settings).sense
    assert generate(settings).sense != generate(replace(settings, seed=2)).sense


def test_another_attitude_does_not_change_the_noise() -> None:
    short = replace(SETTINGS, duration_s=500)
    other = replace(short, attitude=Attitude(mode="nadir"))
    one, two = generate(short).truth, generate(other).truth
    np.testing.assert_array_equal(one.gyro_bias_imu_rad_s, two.gyro_bias_imu_rad_s)
    np.testing.assert_array_equal(one.mag_bias_imu_ut, two.mag_bias_imu_ut)
    assert np.any(one.quaternion_gcrf_from_body != two.quaternion_gcrf_from_body)
