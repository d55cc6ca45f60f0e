from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pygnc_ground.attitude.accuracy import attitude_errors
from pygnc_ground.attitude.solution import AttitudeSolution
from tests.pygnc_ground.report import attitude_samples

GPS_MS = 1_400_000_000_000 + 5000 * np.arange(40)
TRUTH = attitude_samples.true(GPS_MS)
TURN_RAD = np.array([0.02, -0.01, 0.03])


def turned(turn_rad: np.ndarray) -> AttitudeSolution:
    """The truth turned in body axes, with deviations of 10 mrad about x, 20 about y and 30 about z."""
    solution = attitude_samples.solution(GPS_MS, np.full(40, 1.0), 1)
    exact = Rotation.from_quat(TRUTH.quaternion, scalar_first=True) * Rotation.from_rotvec(turn_rad)
    return replace(
        solution,
        quaternion=exact.as_quat(scalar_first=True),
        attitude_covariance=np.tile(np.diag([1e-4, 4e-4, 9e-4]), (40, 1, 1)),
    )


def test_the_error_is_the_turn_from_the_true_axes_to_the_estimated_ones() -> None:
    errors = attitude_errors(turned(TURN_RAD), TRUTH)
    assert errors.turn_rad == pytest.approx(np.tile(TURN_RAD, (40, 1)), abs=1e-12)
    assert errors.angle_rad == pytest.approx(np.linalg.norm(TURN_RAD), abs=1e-12)


def test_the_normalised_square_is_over_the_covariance_of_the_three_angles() -> None:
    # 2, 0.5 and 1 standard deviations.
    assert attitude_errors(turned(TURN_RAD), TRUTH).nees == pytest.approx(4.0 + 0.25 + 1.0)


def test_the_sign_of_a_quaternion_does_not_matter() -> None:
    solution = turned(TURN_RAD)
    other = replace(solution, quaternion=-solution.quaternion)
    assert attitude_errors(other, TRUTH).turn_rad == pytest.approx(np.tile(TURN_RAD, (40, 1)), abs=1e-12)


def test_rates_and_biases_are_estimate_minus_truth() -> None:
    solution = turned(TURN_RAD)
    errors = attitude_errors(solution, TRUTH)
    assert errors.rate_body_rad_s == pytest.approx(solution.rate_body_rad_s - attitude_samples.RATE_RAD_S)
    assert errors.mag_bias_imu_ut == pytest.approx(solution.mag_bias_imu_ut - attitude_samples.MAG_BIAS_UT)
    assert errors.gyro_bias_imu_rad_s == pytest.approx(solution.gyro_bias_imu_rad_s - attitude_samples.GYRO_BIAS_RAD_S)


def test_only_samples_with_both_attitudes_count() -> None:
    solution = turned(TURN_RAD)
    solution.quaternion[3] = np.nan
    truth = attitude_samples.true(GPS_MS)
    truth.quaternion[5:8] = np.nan
    assert attitude_errors(solution, truth).row.tolist() == [0, 1, 2, 4, *range(8, 40)]
