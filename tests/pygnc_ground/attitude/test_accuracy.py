from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pygnc.common import quaternion
from pygnc_ground.attitude.accuracy import AttitudeAccuracy, AttitudeErrors, attitude_accuracy, attitude_errors
from pygnc_ground.attitude.solution import AttitudeSolution
from pygnc_ground.orbit.solution import FloatArray
from tests.pygnc_ground.report import attitude_samples

COUNT = 1440
GPS_MS = 1_400_000_000_000 + 5000 * np.arange(COUNT)
TRUTH = attitude_samples.true(GPS_MS)
LIT = (np.arange(COUNT) % 400 < 250).astype(float)
UNBOUND = np.full(COUNT, np.nan)


def off_by(angle_deg: FloatArray, sigma_deg: float = 1.0) -> AttitudeSolution:
    """The truth turned by these angles about one axis, (n,)."""
    solution = attitude_samples.solution(GPS_MS, np.full(COUNT, sigma_deg), 1)
    turn = np.radians(angle_deg)[:, None] * np.array([0.0, 0.6, 0.8])
    turned = quaternion.multiply(TRUTH.quaternion, quaternion.exponential(turn))
    return replace(solution, quaternion=turned)


def accuracy(solution: AttitudeSolution, bound_rad: FloatArray = UNBOUND, lit: FloatArray = LIT) -> AttitudeAccuracy:
    return attitude_accuracy(solution, attitude_errors(solution, TRUTH), bound_rad, lit)


def test_separates_sunlight_and_eclipse_after_half_an_hour() -> None:
    angle = np.where(LIT > 0.5, 0.6, 1.3)
    angle[:360] = 50.0
    found = accuracy(off_by(angle))
    assert found.settling_s == 1800.0
    assert (found.sunlight.error_deg, found.eclipse.error_deg) == pytest.approx((0.6, 1.3))
    assert found.sunlight.samples + found.eclipse.samples == found.overall.samples == COUNT - 360
    assert found.sunlight.sigma_deg == pytest.approx(3**0.5)
    assert found.eclipse.ratio == pytest.approx(1.3 / 3**0.5)
    assert found.nees_mean == pytest.approx(float(np.mean(angle[360:] ** 2)))


def test_half_the_suns_disc_is_where_eclipse_ends() -> None:
    found = accuracy(off_by(np.full(COUNT, 1.0)), lit=np.where(np.arange(COUNT) < 1000, 0.5, 0.51))
    assert (found.eclipse.samples, found.sunlight.samples) == (640, 440)


def test_settling_counts_from_the_first_attitude_and_is_a_third_of_short_runs() -> None:
    solution = off_by(np.full(COUNT, 1.0))
    solution.quaternion[:900] = np.nan
    found = accuracy(solution)
    assert found.settling_s == round(539 * 5000 / 3) / 1000
    assert found.known == 540
    assert found.overall.samples == 540 - 180


def test_the_bound_is_that_of_the_samples_compared() -> None:
    bound = np.radians(np.where(np.arange(COUNT) < 360, 500.0, np.where(LIT > 0.5, 0.5, 1.1)))
    found = accuracy(off_by(np.full(COUNT, 1.0)), bound)
    assert (found.sunlight.bound_deg, found.eclipse.bound_deg) == pytest.approx((0.5, 1.1))


def test_the_start_counts_from_the_first_sample_with_an_orbit() -> None:
    angle = np.full(COUNT, 1.0)
    angle[:100] = 6.0
    lit = np.where(np.arange(COUNT) < 80, np.nan, LIT)
    assert accuracy(off_by(angle), lit=lit).right_after_s == 20 * 5.0
    assert np.isnan(accuracy(off_by(np.full(COUNT, 6.0))).right_after_s)


def test_a_wrong_lock_lasts_until_the_next_sample_that_is_right_or_unknown() -> None:
    angle = np.full(COUNT, 1.0)
    angle[500:520] = angle[700:730] = 21.0
    angle[1000:1010] = 19.0
    solution = off_by(angle)
    assert accuracy(solution).wrong_s == 150.0
    solution.quaternion[710:712] = np.nan
    assert accuracy(solution).wrong_s == 100.0


def test_samples_between_rows_of_the_truth_do_not_interrupt_a_wrong_lock() -> None:
    angle = np.full(COUNT, 1.0)
    angle[700:731] = 21.0
    solution, truth = off_by(angle), attitude_samples.true(GPS_MS)
    truth.quaternion[np.arange(COUNT) % 5 > 0] = np.nan
    found = attitude_accuracy(solution, attitude_errors(solution, truth), UNBOUND, LIT)
    assert found.wrong_s == 35 * 5.0
    assert found.sunlight.sigma_deg == pytest.approx(3**0.5)


def test_without_a_truth_the_sigmas_remain() -> None:
    found = attitude_accuracy(off_by(np.zeros(COUNT)), AttitudeErrors.none(), UNBOUND, LIT)
    assert found.sunlight.sigma_deg == pytest.approx(3**0.5)
    assert found.gyro_bias_sigma_rad_s == pytest.approx(np.radians(0.1) * 3**0.5)
    unknown = (found.sunlight.error_deg, found.nees_mean, found.rate_error_rad_s, found.wrong_s, found.right_after_s)
    assert np.isnan(unknown).all()


def test_without_attitudes_all_figures_are_nan() -> None:
    solution = off_by(np.zeros(COUNT))
    solution.quaternion[:] = np.nan
    found = accuracy(solution)
    assert (found.known, found.overall.samples, found.settling_s) == (0, 0, 0)
    assert np.isnan([found.overall.sigma_deg, found.nees_inside, found.mag_bias_sigma_ut]).all()


ERROR_TIMES_GPS_MS = 1_400_000_000_000 + 5000 * np.arange(40)
ERROR_TRUTH = attitude_samples.true(ERROR_TIMES_GPS_MS)
TURN_RAD = np.array([0.02, -0.01, 0.03])


def turned(turn_rad: np.ndarray) -> AttitudeSolution:
    """The truth turned in body axes, with deviations of 10 mrad about x, 20 about y and 30 about z."""
    solution = attitude_samples.solution(ERROR_TIMES_GPS_MS, np.full(40, 1.0), 1)
    exact = Rotation.from_quat(ERROR_TRUTH.quaternion, scalar_first=True) * Rotation.from_rotvec(turn_rad)
    return replace(
        solution,
        quaternion=exact.as_quat(scalar_first=True),
        attitude_covariance=np.tile(np.diag([1e-4, 4e-4, 9e-4]), (40, 1, 1)),
    )


def test_the_error_is_the_turn_from_the_true_axes_to_the_estimated_ones() -> None:
    errors = attitude_errors(turned(TURN_RAD), ERROR_TRUTH)
    assert errors.turn_rad == pytest.approx(np.tile(TURN_RAD, (40, 1)), abs=1e-12)
    assert errors.angle_rad == pytest.approx(np.linalg.norm(TURN_RAD), abs=1e-12)


def test_the_normalised_square_is_over_the_covariance_of_the_three_angles() -> None:
    # 2, 0.5 and 1 standard deviations.
    assert attitude_errors(turned(TURN_RAD), ERROR_TRUTH).nees == pytest.approx(4.0 + 0.25 + 1.0)


def test_the_sign_of_a_quaternion_does_not_matter() -> None:
    solution = turned(TURN_RAD)
    other = replace(solution, quaternion=-solution.quaternion)
    assert attitude_errors(other, ERROR_TRUTH).turn_rad == pytest.approx(np.tile(TURN_RAD, (40, 1)), abs=1e-12)


def test_rates_and_biases_are_estimate_minus_truth() -> None:
    solution = turned(TURN_RAD)
    errors = attitude_errors(solution, ERROR_TRUTH)
    assert errors.rate_body_rad_s == pytest.approx(solution.rate_body_rad_s - attitude_samples.RATE_RAD_S)
    assert errors.mag_bias_imu_ut == pytest.approx(solution.mag_bias_imu_ut - attitude_samples.MAG_BIAS_UT)
    assert errors.gyro_bias_imu_rad_s == pytest.approx(solution.gyro_bias_imu_rad_s - attitude_samples.GYRO_BIAS_RAD_S)


def test_only_samples_with_both_attitudes_count() -> None:
    solution = turned(TURN_RAD)
    solution.quaternion[3] = np.nan
    truth = attitude_samples.true(ERROR_TIMES_GPS_MS)
    truth.quaternion[5:8] = np.nan
    assert attitude_errors(solution, truth).row.tolist() == [0, 1, 2, 4, *range(8, 40)]
