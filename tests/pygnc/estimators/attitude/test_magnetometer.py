"""The bias keeps the reading that the state has learnt, and a body at rest learns no attitude from one field."""

from dataclasses import replace

import numpy as np
import pytest

from pygnc.common import quaternion
from pygnc.common.arrays import Array
from pygnc.estimators.attitude.magnetometer import Magnetometer
from pygnc.estimators.attitude.mekf import MultiplicativeEkf, Track
from pygnc.estimators.attitude.sensor_health import SensorHealth
from pygnc.estimators.attitude.state import ERRORS, AttitudeState
from tests.pygnc.estimators.attitude.truth import SETTINGS, SIZE, fly

TRUTH = fly(3, 2.0)
MODEL = Magnetometer(SETTINGS)


def uncertain(random: np.random.Generator) -> AttitudeState:
    sigma = np.repeat((0.3, 0.01, 10.0, 0.3, 0.1, 0.05, 1.0, 0.01, 3.0, 0.1, 0.25), (3, 3, 3, 3, 3, 9, 3, 3, 3, 4, 6))
    mixed = np.tril(random.normal(size=(SIZE, SIZE)), -1) / SIZE + np.eye(SIZE)
    slow = np.concatenate((TRUTH.gyro_bias_rad_s, TRUTH.mag_bias_ut + 5.0, np.zeros(3), [0.3], np.zeros(30)))
    return AttitudeState(TRUTH.samples[0].gps_ms, TRUTH.quaternion[0], slow, sigma[:, None] * mixed)


def predicted(state: AttitudeState) -> tuple[Array, Array]:
    """The residual of the first reading, and the covariance of its prediction."""
    body_from_gcrf = quaternion.to_matrix(state.quaternion).T
    residual, partials, _ = MODEL.observation(state, body_from_gcrf, TRUTH.samples[0].mag_imu_ut, TRUTH.environments[0])
    return residual, partials @ state.covariance @ partials.T


@pytest.mark.parametrize("seed", range(5))
def test_prediction_and_its_uncertainty_are_those_of_the_linear_update(seed: int) -> None:
    random = np.random.default_rng(seed)
    sample, environment = TRUTH.samples[0], TRUTH.environments[0]
    before = uncertain(random)
    error = 0.7 * before.sqrt_covariance @ random.normal(size=SIZE)
    corrected = before.corrected(error, before.sqrt_covariance)
    kept = MODEL.with_kept_reading(corrected, before, error, sample, environment)
    body_from_gcrf = quaternion.to_matrix(before.quaternion).T
    residual, partials, _ = MODEL.observation(before, body_from_gcrf, sample.mag_imu_ut, environment)
    np.testing.assert_allclose(predicted(kept)[0], residual - partials @ error, atol=1e-9)
    np.testing.assert_allclose(predicted(kept)[1], predicted(before)[1], rtol=1e-9, atol=1e-9)
    assert not np.allclose(predicted(corrected)[0], predicted(kept)[0], atol=1e-3)
    np.testing.assert_array_equal(kept.quaternion, corrected.quaternion)
    others = np.delete(np.arange(SIZE), range(*ERRORS.mag_bias.indices(SIZE)))
    np.testing.assert_allclose(kept.covariance[np.ix_(others, others)], before.covariance[np.ix_(others, others)])


def test_without_a_correction_nothing_changes() -> None:
    state = uncertain(np.random.default_rng(1))
    kept = MODEL.with_kept_reading(state, state, np.zeros(SIZE), TRUTH.samples[0], TRUTH.environments[0])
    np.testing.assert_allclose(kept.slow, state.slow, atol=1e-12)
    np.testing.assert_allclose(kept.covariance, state.covariance, rtol=1e-9, atol=1e-12)


def test_a_body_at_rest_does_not_learn_the_rotation_about_the_sun() -> None:
    """The magnetometer bias may be as large as the field, so repeated readings of one field hold no attitude."""
    truth = fly(1, 15.0, rate_deg_s=0.0)
    sample, environment = replace(truth.samples[0], gyro_imu_rad_s=truth.gyro_bias_rad_s), truth.environments[0]
    sun = environment.sun_gcrf_m - environment.position_gcrf_m
    axis = quaternion.to_matrix(truth.quaternion[0]).T @ (sun / np.linalg.norm(sun))
    wrong = quaternion.multiply(truth.quaternion[0], quaternion.exponential(np.radians(20.0) * axis))
    sigma = np.repeat((0.0, 1e-5, 20.0, 1e-3, 1e-3, 1e-4, 1e-3, 1e-6, 1e-3), (3, 3, 3, 3, 3, 9, 3, 6, 10))
    root = np.diag(sigma)
    root[ERRORS.attitude, ERRORS.attitude] = np.linalg.cholesky(1e-6 * np.eye(3) + 0.09 * np.outer(axis, axis))
    slow = np.concatenate((truth.gyro_bias_rad_s, truth.mag_bias_ut, np.zeros(3), [0.3], np.zeros(30)))
    track = Track(AttitudeState(sample.gps_ms, wrong, slow, root), sample.gyro_imu_rad_s)
    random, ekf, sigmas = np.random.default_rng(2), MultiplicativeEkf(SETTINGS, (MODEL,)), []
    for step in range(1, 180):
        mag_imu_ut = sample.mag_imu_ut + random.normal(scale=SETTINGS.magnetometer.noise_ut, size=3)
        again = replace(sample, gps_ms=sample.gps_ms + 5000 * step, seq=step, mag_imu_ut=mag_imu_ut)
        track = ekf.process(track, again, environment, SensorHealth.unknown(6)).track
        about_sun = axis @ track.state.sqrt_covariance[ERRORS.attitude]
        sigmas.append(float(np.degrees(np.sqrt(about_sun @ about_sun))))
    assert min(sigmas[20:]) > 0.9 * sigmas[20]
