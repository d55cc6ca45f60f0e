"""One step of the filter against Kalman's formulas as text books have them."""

from dataclasses import replace

import numpy as np
import pytest

from pygnc.common import quaternion
from pygnc.estimators.attitude.magnetometer import Magnetometer
from pygnc.estimators.attitude.measurement_models import measurement_models
from pygnc.estimators.attitude.mekf import MultiplicativeEkf, Standing, Track
from pygnc.estimators.attitude.sensor_health import SensorHealth
from pygnc.estimators.attitude.state import AttitudeState
from pygnc.estimators.attitude.sun_sensors import IlluminanceInnovation, SunSensors, light_sources
from tests.pygnc.estimators.attitude.truth import SETTINGS, SIZE, fly

TRUTH = fly(3, 2.0)


def begun() -> Track:
    """A track near the truth, its errors not independent of each other."""
    sigma = np.repeat(
        (0.02, 0.002, 1.0, 0.3, 0.05, 0.05, 1.0, 0.01, 1.0, 0.01, 0.1, 0.02), (3, 3, 3, 3, 3, 9, 3, 3, 3, 3, 1, 6)
    )
    mixed = np.tril(np.random.default_rng(1).normal(size=(SIZE, SIZE)), -1) / SIZE + np.eye(SIZE)
    slow = np.concatenate((TRUTH.gyro_bias_rad_s, TRUTH.mag_bias_ut + 0.5, np.zeros(3), [0.3], np.zeros(30)))
    q = quaternion.multiply(TRUTH.quaternion[0], quaternion.exponential(np.array([0.01, -0.02, 0.01])))
    return Track(
        AttitudeState(TRUTH.samples[0].gps_ms, q, slow, sigma[:, None] * mixed), TRUTH.samples[0].gyro_imu_rad_s
    )


def test_update_agrees_with_the_kalman_equations() -> None:
    sample, around = TRUTH.samples[1], TRUTH.environments[1]
    # A reading at full scale is only a lower bound.
    lux = np.where(sample.lux < SETTINGS.sun_sensors.saturation_lux, sample.lux, -1.0)
    sample = replace(sample, lux=lux)
    ekf = MultiplicativeEkf(SETTINGS, measurement_models(SETTINGS))
    tracked = ekf.process(begun(), sample, around, SensorHealth.unknown(6))
    predicted = tracked.step.state
    body_from_gcrf = quaternion.to_matrix(predicted.quaternion).T
    field = Magnetometer(SETTINGS).observation(predicted, body_from_gcrf, sample.mag_imu_ut, around)
    sources = light_sources(around, SETTINGS)
    light = SunSensors(SETTINGS).observation(predicted, body_from_gcrf, sample.lux, sources, 1.0).observation
    innovation = tracked.innovations["sun_sensors"]
    assert isinstance(innovation, IlluminanceInnovation)
    used = innovation.used
    assert 1 <= used.sum() < 6
    residual, partials, sigma = (
        np.concatenate((first, second[used])) for first, second in zip(field, light, strict=True)
    )
    before = predicted.covariance
    covariance = partials @ before @ partials.T + np.diag(sigma**2)
    gain = before @ partials.T @ np.linalg.inv(covariance)
    expected = predicted.corrected(gain @ residual, predicted.sqrt_covariance)
    np.testing.assert_allclose(predicted.error_to(tracked.track.state), gain @ residual, atol=1e-10)
    np.testing.assert_allclose(tracked.track.state.quaternion, expected.quaternion, atol=1e-12)
    after = (np.eye(SIZE) - gain @ partials) @ before
    np.testing.assert_allclose(tracked.track.state.covariance, after, atol=1e-12)
    assert tracked.nis == pytest.approx(residual @ np.linalg.solve(covariance, residual))
    assert tracked.dof == len(residual)


@pytest.mark.parametrize("rate_deg_s", [0.05, 1.0])
def test_gyro_noise_is_not_taken_for_a_scale_error(rate_deg_s: float) -> None:
    """The reading as the regressor shares its noise with the attitude error: 0.3 to 0.6 % without a scale error."""
    truth = fly(1, 60.0, rate_deg_s=rate_deg_s)
    sigma = np.repeat((0.02, 0.001, 1.0, 0.3, 0.05, 1e-4, 1e-5, 0.01, 1e-4, 0.02), (3, 3, 3, 3, 3, 12, 6, 3, 1, 6))
    slow = np.concatenate((truth.gyro_bias_rad_s, truth.mag_bias_ut, np.zeros(3), [0.3], np.zeros(30)))
    first = AttitudeState(truth.samples[0].gps_ms, truth.quaternion[0], slow, np.diag(sigma))
    track = Track(first, truth.samples[0].gyro_imu_rad_s, standing=Standing.CONFIRMED)
    ekf = MultiplicativeEkf(SETTINGS, measurement_models(SETTINGS))
    for sample, around in zip(truth.samples[1:], truth.environments[1:], strict=True):
        track = ekf.process(track, sample, around, SensorHealth.unknown(6)).track
    np.testing.assert_allclose(track.state.gyro_scale_error, 0.0, atol=0.0025)
