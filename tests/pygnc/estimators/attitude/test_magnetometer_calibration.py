"""The magnetometer's calibration against closed forms, SciPy's least squares, and the Cramer-Rao bound."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from scipy.optimize import least_squares
from scipy.stats import chi2

from pygnc.common.arrays import Array
from pygnc.estimators.attitude.magnetometer_calibration import Calibration, CalibrationError, calibrate
from pygnc.estimators.attitude.settings import MagnetometerSettings
from tests.pygnc.estimators.attitude.tumbling import ELEMENTS, SKEWED, Flight, fly

PERFECT_FIELD = MagnetometerSettings(field_error_ut=1e-3)


def calibrated(flight: Flight, settings: MagnetometerSettings = PERFECT_FIELD) -> Calibration:
    return calibrate(*flight.readings, settings)


def errors(found: Calibration, flight: Flight) -> Array:
    return np.concatenate((found.bias_ut, found.matrix[ELEMENTS])) - flight.truth


def test_without_noise_bias_and_matrix_are_exact() -> None:
    flight = fly(1, 1.5, sensor=SKEWED, noise_ut=0.0)
    found = calibrated(flight)
    assert found.converged
    assert found.used.all()
    assert errors(found, flight) == pytest.approx(np.zeros(9), abs=1e-6)
    strength_ut = np.linalg.norm(found.corrected_ut(flight.mag_ut), axis=1)
    assert strength_ut == pytest.approx(np.linalg.norm(flight.field_ut, axis=1), abs=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_scipy_fits_the_same_ellipsoid(seed: int) -> None:
    # With more noise theirs is biased, because it neglects the mean of a noisy strength.
    flight = fly(seed, 1.0, sensor=SKEWED, noise_ut=0.1)
    start = np.array([*flight.bias_ut, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0])
    theirs = least_squares(flight.misfit_ut, start, args=(flight.mag_ut,), x_scale=[1.0] * 3 + [0.01] * 6).x
    found = calibrated(flight)
    sigma = np.concatenate((found.bias_sigma_ut, found.matrix_sigma))
    ours = np.concatenate((found.bias_ut, found.matrix[ELEMENTS]))
    assert np.abs(ours - theirs).max() > 0.0
    assert (np.abs(ours - theirs) < 0.2 * sigma).all()


@pytest.mark.parametrize(("hours", "known_bound_ut"), [(0.5, 0.07), (1.5, 0.035)])
def test_errors_reach_the_bound_and_agree_with_the_covariance(hours: float, known_bound_ut: float) -> None:
    bias, matrix, distances, bounds_ut = [], [], [], []
    for seed in range(24):
        flight = fly(seed, hours, sensor=SKEWED)
        found = calibrated(flight)
        assert found.converged
        error, bound = errors(found, flight), flight.bound
        bias.append(error[:3] @ error[:3] / np.trace(bound[:3, :3]))
        matrix.append(error[3:] @ error[3:] / np.trace(bound[3:, 3:]))
        distances.append(error @ np.linalg.solve(found.covariance, error))
        bounds_ut.append(np.sqrt(np.trace(bound[:3, :3]) / 3.0))
    assert np.median(bounds_ut) == pytest.approx(known_bound_ut, rel=0.2)
    assert np.sqrt(np.mean(bias)) < 1.3
    assert np.sqrt(np.mean(matrix)) < 1.3
    assert chi2.ppf(0.005, 9 * 24) < np.sum(distances) < chi2.ppf(0.995, 9 * 24)


def test_noise_does_not_shrink_the_scale() -> None:
    offs, sigmas = [], []
    for seed in range(16):
        found = calibrated(fly(seed, 1.0, noise_ut=3.0))
        sigmas.append(np.sqrt(found.covariance[3:6, 3:6].mean()))
        offs.append((np.trace(found.matrix) / 3.0 - 1.0) / sigmas[-1])
    assert abs(np.mean(offs)) < 3.0 / np.sqrt(16.0)
    # With derivatives at the readings themselves it would be 2 (3 / 35)^2 too small.
    assert np.median(sigmas) < (3.0 / 35.0) ** 2


def test_unequal_axes_of_tens_of_percent_are_found() -> None:
    sensor = np.diag([1.3, 0.8, 1.1]) @ SKEWED
    flight = fly(3, 1.5, sensor=sensor)
    error = errors(calibrated(flight), flight)
    assert np.abs(error[:3]).max() < 0.3
    assert np.abs(error[3:]).max() < 0.01


@pytest.mark.parametrize("share", [0.01, 0.2])
def test_damaged_readings_are_left_out(share: float) -> None:
    flight = fly(5, 1.5)
    rng = np.random.default_rng(5)
    mag_ut = flight.mag_ut.copy()
    damaged = rng.random(len(mag_ut)) < share
    mag_ut[damaged, rng.integers(0, 3)] += rng.choice([-1.0, 1.0], damaged.sum()) * 2.0 ** rng.integers(5, 11)
    mag_ut[3] = np.nan
    found = calibrated(replace(flight, mag_ut=mag_ut))
    assert not found.used[3]
    assert found.used[~damaged].mean() > 0.99
    assert found.used[damaged].mean() < 0.1
    assert np.abs(found.bias_ut - flight.bias_ut).max() < 5.0 * np.sqrt(np.diagonal(flight.bound)[:3]).max()


def test_a_slowly_rotating_body_is_not_certain_and_wrong() -> None:
    """A body that rotates as if it pointed at the Earth, with scale errors and pulses of magnetorquers.

    The calibration is to be within 1 uT and its sigma.
    """
    distances = []
    for seed in range(20):
        flight = fly(seed, 0.8, rate_deg_s=0.06, sensor=np.diag((1.05, 0.97, 1.04)))
        rng = np.random.default_rng(seed)
        for first in rng.integers(0, len(flight.mag_ut) - 20, 4):
            flight.mag_ut[first : first + 20] += rng.choice((-10.0, 10.0), 3)
        try:
            found = calibrated(flight)
        except CalibrationError:
            continue
        if found.is_good_enough:
            error = found.bias_ut - flight.bias_ut
            distances.append(error @ np.linalg.solve(found.covariance[:3, :3] + np.eye(3), error))
    assert len(distances) >= 10
    assert max(distances) < chi2.ppf(0.999, 3)


def test_without_much_rotation_the_prior_of_the_matrix_decides() -> None:
    inside = []
    for seed in range(12):
        sensor = np.diag(1.0 + np.random.default_rng(seed).normal(0.0, 0.02, 3))
        flight = fly(seed, 0.25, sensor=sensor)
        found = calibrated(flight, replace(PERFECT_FIELD, matrix_sigma=0.02))
        error = found.bias_ut - flight.bias_ut
        inside.append(error @ np.linalg.solve(found.covariance[:3, :3], error) < chi2.ppf(0.99, 3))
        assert (found.matrix_sigma <= [0.02] * 3 + [0.01] * 3).all()
    assert sum(inside) >= 11


def test_covariance_includes_the_field_error_along_the_spin_axis() -> None:
    flight = fly(2, 1.5, field_error_along_spin_ut=1.0)
    found = calibrated(flight, MagnetometerSettings(field_error_ut=1.0))
    error = found.bias_ut - flight.bias_ut
    sigma_along = np.sqrt(flight.spin_imu @ found.covariance[:3, :3] @ flight.spin_imu)
    assert error @ flight.spin_imu == pytest.approx(1.0, abs=0.2)
    assert 0.95 < sigma_along < 2.0


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("hours", [0.3, 1.5])
def test_noise_does_not_calibrate_a_body_without_rotation(seed: int, hours: float) -> None:
    with pytest.raises(CalibrationError, match=r"not enough rotation: .* unresolved"):
        calibrated(fly(seed, hours, rate_deg_s=0.0))


def test_names_the_unresolved_axes() -> None:
    # Above one place, a turn about z shows x and y only.
    angle = np.linspace(0.0, 20.0, 400)
    turned = np.stack((np.cos(angle), np.sin(angle), np.zeros_like(angle)), axis=1)
    field_ut = np.tile([30.0, 0.0, 5.0], (400, 1))
    mag_ut = 30.0 * turned + [0.0, 0.0, 5.0] + np.random.default_rng(1).normal(0.0, 0.5, (400, 3)) + [7.0, -3.0, 2.0]
    # Seen from the circle's centre the z axis is known by what it adds to the strength: not at all.
    with pytest.raises(CalibrationError, match=r"not enough rotation: (.*, )?z ax[ie]s unresolved"):
        calibrate(mag_ut, field_ut, np.full(400, 0.5), PERFECT_FIELD)


def test_rejects_readings_that_never_change() -> None:
    mag_ut = np.tile([10.0, 20.0, 30.0], (200, 1))
    with pytest.raises(CalibrationError, match="x, y, z axes unresolved"):
        calibrate(mag_ut, mag_ut, np.ones(200), PERFECT_FIELD)
    with pytest.raises(CalibrationError, match="too few samples: 0;"):
        calibrate(mag_ut, np.zeros_like(mag_ut), np.ones(200), PERFECT_FIELD)


def test_rejects_too_few_readings() -> None:
    flight = fly(1, 1.0)
    with pytest.raises(CalibrationError, match="too few samples: 59;"):
        calibrated(replace(flight, mag_ut=flight.mag_ut[:59], field_ut=flight.field_ut[:59]))


def test_only_an_accurate_solution_serves_as_prior() -> None:
    found = calibrated(fly(4, 1.5), MagnetometerSettings())
    assert found.is_good_enough
    assert not replace(found, covariance=100.0 * found.covariance).is_good_enough
    assert not replace(found, matrix_chi_square=28.5).is_good_enough
    assert not replace(found, converged=False).is_good_enough


@hypothesis_settings(max_examples=60)
@given(st.binary(min_size=6 * 64, max_size=6 * 64), st.integers(0, 100))
def test_random_readings_are_calibrated_or_rejected(words: bytes, seed: int) -> None:
    mag_ut = np.frombuffer(words, "<i2").reshape(-1, 3) / 16.0
    try:
        found = calibrate(mag_ut, fly(seed, 0.1).field_ut[:64], np.ones(64), PERFECT_FIELD)
    except CalibrationError:
        return
    assert np.isfinite(found.bias_ut).all()
    assert np.isfinite(found.covariance).all()


@pytest.mark.parametrize("seed", range(20))
def test_iterations_that_diverge_end_without_warnings(seed: int) -> None:
    # Noise as strong as the field hides the rotation; most of these iterations overflow.
    rng = np.random.default_rng(seed)
    field_ut = np.array((30.0, 0.0, 0.0)) + rng.normal(scale=0.1, size=(80, 3))
    readings_ut = field_ut + rng.normal(scale=30.0, size=(80, 3))
    with pytest.raises(CalibrationError, match="not enough rotation"):
        calibrate(readings_ut, field_ut, np.ones(80), MagnetometerSettings())
