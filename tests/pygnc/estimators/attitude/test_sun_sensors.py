"""Gains keep the light that the state has learnt, and light on a face that should be dark corrects the attitude."""

from dataclasses import replace

import numpy as np
import pytest

from pygnc.common import quaternion
from pygnc.common.arrays import Array
from pygnc.estimators.attitude.mekf import MultiplicativeEkf, Standing, Track
from pygnc.estimators.attitude.sensor_health import SensorHealth
from pygnc.estimators.attitude.state import AttitudeState
from pygnc.estimators.attitude.sun_sensors import IlluminanceObservation, SunSensors, light_sources
from tests.pygnc.estimators.attitude.truth import SETTINGS, SIZE, fly

TRUTH = fly(3, 2.0)
SAMPLE, ENVIRONMENT = TRUTH.samples[0], TRUTH.environments[0]
MODEL = SunSensors(SETTINGS)
SIGMA = np.repeat((0.3, 0.01, 10.0, 0.3, 0.1, 0.05, 1.0, 0.01, 3.0, 0.1, 0.1), (3, 3, 3, 3, 3, 9, 3, 3, 3, 4, 6))


def state(attitude: Array, root: Array) -> AttitudeState:
    slow = np.concatenate((TRUTH.gyro_bias_rad_s, TRUTH.mag_bias_ut, np.zeros(3), [0.3], np.zeros(30)))
    return AttitudeState(SAMPLE.gps_ms, attitude, slow, root)


def light(of: AttitudeState) -> IlluminanceObservation:
    sources = light_sources(ENVIRONMENT, SETTINGS)
    return MODEL.observation(of, quaternion.to_matrix(of.quaternion).T, SAMPLE.lux, sources, 1.0)


@pytest.mark.parametrize("seed", range(5))
def test_prediction_and_its_uncertainty_are_those_of_the_linear_update(seed: int) -> None:
    random = np.random.default_rng(seed)
    mixed = np.tril(random.normal(size=(SIZE, SIZE)), -1) / SIZE + np.eye(SIZE)
    before = state(TRUTH.quaternion[0], SIGMA[:, None] * mixed)
    error = 0.5 * before.sqrt_covariance @ random.normal(size=SIZE)
    corrected = before.corrected(error, before.sqrt_covariance)
    kept = MODEL.with_kept_reading(corrected, before, error, SAMPLE, ENVIRONMENT)
    faces = np.flatnonzero(kept.face_gain_errors != corrected.face_gain_errors)
    assert len(faces)
    assert not light(before).saturated[faces].any()
    (residual, partials, _), (after, d_after, _) = light(before).observation, light(kept).observation
    np.testing.assert_allclose(after[faces], (residual - partials @ error)[faces], atol=1e-9)
    spread, linear = d_after[faces] @ kept.sqrt_covariance, partials[faces] @ before.sqrt_covariance
    # The partials of the attitude contain the gain, which has changed, too; the rest is exact.
    np.testing.assert_allclose(np.sum(spread**2, axis=1), np.sum(linear**2, axis=1), rtol=0.3)
    np.testing.assert_array_equal(kept.quaternion, corrected.quaternion)


def test_in_the_dark_nothing_is_kept() -> None:
    before, dark = state(TRUTH.quaternion[0], np.diag(SIGMA)), replace(ENVIRONMENT, sunlit_fraction=0.0)
    assert MODEL.with_kept_reading(before, before, SIGMA, SAMPLE, dark) is before


def test_light_on_a_face_that_should_be_dark_corrects_the_attitude() -> None:
    """The estimate turns the only face that reads from the Sun; a face that should be dark did not count."""
    sun = quaternion.to_matrix(TRUTH.quaternion[0]).T @ light_sources(ENVIRONMENT, SETTINGS).sun_gcrf
    normal = SETTINGS.mounting.face_normals[0]
    axis = np.cross(sun, normal) / np.linalg.norm(np.cross(sun, normal))
    wrong = quaternion.multiply(TRUTH.quaternion[0], quaternion.exponential((np.arcsin(normal @ sun) + 0.1) * axis))
    sigma = np.where(np.arange(SIZE) < 3, 0.4, 0.01 * SIGMA)
    track = Track(state(wrong, np.diag(sigma)), SAMPLE.gyro_imu_rad_s, standing=Standing.MEASURED)
    alone = np.where(np.arange(6), -1.0, SAMPLE.lux)
    assert light(track.state).cosine[0] == pytest.approx(-0.1, abs=0.01)
    later = replace(SAMPLE, gps_ms=SAMPLE.gps_ms + 1, lux=alone)
    update = MultiplicativeEkf(SETTINGS, (MODEL,)).process(track, later, ENVIRONMENT, SensorHealth.unknown(6))
    errors_deg = [
        np.degrees(np.linalg.norm(quaternion.error_vector(TRUTH.quaternion[0], one.quaternion)))
        for one in (track.state, update.track.state)
    ]
    assert errors_deg[0] > 20.0
    assert errors_deg[1] < 10.0
