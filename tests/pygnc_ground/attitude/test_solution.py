from dataclasses import replace

import numpy as np
import pytest

from pygnc.estimators.attitude.settings import MagnetometerSettings
from pygnc.estimators.attitude.state import ERRORS, AttitudeState
from pygnc_ground.attitude.solution import GyroReadings, solution_from_states
from tests.pygnc.estimators.attitude.truth import IMU_FROM_BODY, SETTINGS, SIZE

GPS_MS = np.array([1000, 6000, 11_000])
ROOT = np.tril(np.random.default_rng(3).normal(size=(SIZE, SIZE)))
SLOW = np.zeros(SIZE - 3)
SLOW[:6], SLOW[ERRORS.in_slow(ERRORS.gyro_scale)] = (
    [0.01, -0.02, 0.03, 5.0, 6.0, -7.0],
    [0.02, 0.0, -0.01],
)
STATE = AttitudeState(6000, np.array([0.5, 0.5, -0.5, 0.5]), SLOW, ROOT)
READINGS = GyroReadings(
    GPS_MS,
    np.array([[0.1, 0.2, 0.3]] * 3),
    np.array([[1.0, 2.0, 3.0]] * 3),
    np.array([[20.0, 21.0, 22.0], [0.0, 0.0, 0.0], [np.nan] * 3]),
    np.zeros(3),
)
SOLUTION = solution_from_states([None, STATE, None], READINGS, SETTINGS)


def test_rows_agree_with_the_states() -> None:
    assert SOLUTION.known.tolist() == [False, True, False]
    assert (SOLUTION.quaternion[1] == STATE.quaternion).all()
    assert (SOLUTION.gyro_bias_imu_rad_s[1] == SLOW[:3]).all()
    covariance = ROOT @ ROOT.T
    assert SOLUTION.attitude_covariance[1] == pytest.approx(covariance[:3, :3])
    assert SOLUTION.sigma_rad[1] == pytest.approx(np.sqrt(np.diag(covariance)[:3]))
    assert SOLUTION.sigma_rss_rad[1] == pytest.approx(STATE.attitude_sigma_rad)
    assert SOLUTION.gyro_bias_sigma_rad_s[1] == pytest.approx(np.sqrt(np.diag(covariance)[3:6]))
    assert SOLUTION.mag_bias_sigma_ut[1] == pytest.approx(np.sqrt(np.diag(covariance)[6:9]))


def test_the_rate_is_the_reading_without_bias_and_scale_in_body_axes() -> None:
    expected = np.linalg.inv(IMU_FROM_BODY) @ ((np.array([0.1, 0.2, 0.3]) - SLOW[:3]) / (1.0 + STATE.gyro_scale_error))
    assert SOLUTION.rate_body_rad_s[1] == pytest.approx(expected)


def test_without_a_state_rows_hold_the_given_rate_and_bias() -> None:
    assert (SOLUTION.rate_body_rad_s[[0, 2]] == [1.0, 2.0, 3.0]).all()
    assert SOLUTION.mag_bias_imu_ut[0].tolist() == [20.0, 21.0, 22.0]
    assert np.isnan(SOLUTION.mag_bias_imu_ut[2]).all()
    for column in (SOLUTION.quaternion, SOLUTION.attitude_covariance, SOLUTION.mag_bias_sigma_ut):
        assert np.isnan(column[[0, 2]]).all()


def test_the_magnetometers_bias_is_all_of_it() -> None:
    matrix = ((1.25, 0.0, 0.0), (0.0, 0.8, 0.0), (0.0, 0.0, 1.0))
    calibrated = replace(SETTINGS, magnetometer=MagnetometerSettings(bias_ut=(20.0, 10.0, -25.0), matrix=matrix))
    found = solution_from_states([None, STATE, None], READINGS, calibrated)
    assert found.mag_bias_imu_ut[1] == pytest.approx([20.0 + 5.0 / 1.25, 10.0 + 6.0 / 0.8, -32.0])
    assert found.mag_bias_sigma_ut[1] == pytest.approx(SOLUTION.mag_bias_sigma_ut[1] / [1.25, 0.8, 1.0])


def test_an_uncertain_time_makes_the_attitude_uncertain_about_the_axis_of_rotation() -> None:
    late = solution_from_states([None, STATE, None], replace(READINGS, time_sigma_s=np.full(3, 0.3)), SETTINGS)
    rate = SOLUTION.rate_body_rad_s[1]
    np.testing.assert_allclose(
        late.attitude_covariance[1] - SOLUTION.attitude_covariance[1], 0.09 * np.outer(rate, rate), atol=1e-12
    )
