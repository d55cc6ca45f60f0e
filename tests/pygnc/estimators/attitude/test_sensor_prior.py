"""Prior of gyro and magnetometer: what a track and a calibration leave for the next search."""

import numpy as np
import pytest

from pygnc.common.arrays import Array
from pygnc.estimators.attitude.model_errors import ErrorSize, ModelErrors
from pygnc.estimators.attitude.sensor_prior import PRIOR_ROWS, MagnetometerErrors, SensorPrior
from pygnc.estimators.attitude.state import AttitudeState
from tests.pygnc.estimators.attitude.truth import SETTINGS, SIZE

ERRORS = ModelErrors()
INITIAL = SensorPrior.initial(SETTINGS, ERRORS)


def calibration(bias_ut: Array, bias_sigma_ut: Array) -> MagnetometerErrors:
    matrix = np.array((0.05, -0.03, 0.04, 0.01, 0.0, -0.02))
    sigma = np.concatenate((bias_sigma_ut, np.full(6, 0.002)))
    return MagnetometerErrors(np.concatenate((bias_ut, matrix)), np.diag(sigma**2))


def test_a_measurement_updates_a_prior_as_information_adds_up() -> None:
    random = np.random.default_rng(3)
    root = random.normal(size=(24, 24))
    prior = SensorPrior(random.normal(size=24), root @ root.T)
    partials, noise = random.normal(size=(4, 24)), np.diag([0.1, 1.0, 10.0, 2.0])
    measured = random.normal(size=4)
    updated = prior.updated(measured, partials, noise)
    information = np.linalg.inv(prior.covariance) + partials.T @ np.linalg.inv(noise) @ partials
    right = np.linalg.solve(prior.covariance, prior.mean) + partials.T @ np.linalg.solve(noise, measured)
    np.testing.assert_allclose(updated.covariance, np.linalg.inv(information), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(updated.mean, np.linalg.solve(information, right), rtol=1e-6, atol=1e-9)


def test_a_calibration_that_is_more_certain_is_used_and_the_gyro_is_unchanged() -> None:
    known = replace_gyro(INITIAL)
    better = known.calibrated(calibration(np.full(3, 7.0), np.full(3, 0.6)), SETTINGS, ERRORS)
    np.testing.assert_array_equal(better.mean[:3], known.mean[:3])
    np.testing.assert_array_equal(better.covariance[:3, :3], known.covariance[:3, :3])
    assert better.warmed(0.5).mean[3:6] == pytest.approx([7.0] * 3, abs=0.02)
    assert better.mean[6:15].reshape(3, 3) == pytest.approx(
        np.array(((0.05, 0.01, 0.0), (0.01, -0.03, -0.02), (0.0, -0.02, 0.04))), abs=1e-3
    )
    assert better.is_field_direction_known
    assert not known.is_field_direction_known
    assert better.calibrated(calibration(np.zeros(3), np.array([0.1, 0.1, 2.0])), SETTINGS, ERRORS) is better
    assert known.calibrated(None, SETTINGS, ERRORS) is known


def replace_gyro(prior: SensorPrior) -> SensorPrior:
    covariance = prior.covariance.copy()
    covariance[0, 0] = 1e-8
    return SensorPrior(np.concatenate((np.arange(3.0), prior.mean[3:])), covariance)


def test_a_calibration_knows_neither_a_rotation_of_the_sensor_nor_panels_nor_warmth() -> None:
    sigma = INITIAL.calibrated(calibration(np.zeros(3), np.full(3, 0.1)), SETTINGS, ERRORS).sigma
    assert sigma[6:15].reshape(3, 3).diagonal().max() < 0.003
    # The rotation is half of the square of two off-diagonal elements.
    assert sigma[7] == pytest.approx(INITIAL.sigma[7] / np.sqrt(2.0), rel=0.01)
    assert sigma[15:18] == pytest.approx(INITIAL.sigma[15:18], rel=0.01)
    assert sigma[21:] == pytest.approx(INITIAL.sigma[21:], rel=0.01)
    unknown_ut = np.hypot(INITIAL.sigma[15:18], INITIAL.sigma[21:])
    assert sigma[3:6] == pytest.approx(np.hypot(0.1, 0.5 * unknown_ut), rel=0.01)


def test_what_a_track_knew_is_kept_with_its_correlations() -> None:
    covariance = np.eye(SIZE) * 1e-12
    bias, scale = PRIOR_ROWS[3], PRIOR_ROWS[6]
    covariance[bias, bias], covariance[scale, scale] = 3.0**2, 0.06**2
    covariance[bias, scale] = covariance[scale, bias] = -0.99 * 3.0 * 0.06
    root = np.asarray(np.linalg.cholesky(covariance), np.float64)
    slow = np.zeros(SIZE - 3)
    slow[bias - 3], slow[scale - 3] = 20.0, 0.04
    kept = SensorPrior.kept(AttitudeState(0, np.array([1.0, 0.0, 0.0, 0.0]), slow, root), 0.0, SETTINGS, ERRORS)
    along = np.zeros(24)
    along[3], along[6] = 1.0, 50.0
    # The sum of bias and 50 uT of scale was known to 0.4 uT; its doubled sigma is far below that of either part.
    assert along @ kept.mean == pytest.approx(22.0, abs=0.5)
    assert np.sqrt(along @ kept.covariance @ along) == pytest.approx(np.hypot(2.0 * 0.424, 0.5), rel=0.05)
    assert (kept.sigma <= INITIAL.sigma * (1.0 + 1e-9)).all()
    assert kept.sigma[0] == pytest.approx(0.02 * INITIAL.sigma[0], rel=0.01)


def test_a_magnetometer_known_to_be_good_has_small_errors() -> None:
    small = SensorPrior.initial(SETTINGS, replace_size(ErrorSize.SMALL))
    assert small.sigma[6:15].max() < 0.1 * INITIAL.sigma[6:15].min()
    assert (small.sigma[:6] == INITIAL.sigma[:6]).all()


def replace_size(size: ErrorSize) -> ModelErrors:
    return ERRORS._replace(magnetometer=size)
