"""Attitude solution: a table of states at the times of the sensor samples, filtered or smoothed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pygnc.estimators.attitude.propagation import AttitudeDynamics
from pygnc.estimators.attitude.sample import MagnetometerCorrection
from pygnc.estimators.attitude.settings import AttitudeSettings
from pygnc.estimators.attitude.state import ERRORS, AttitudeState
from pygnc_ground.orbit.solution import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class AttitudeSolution:
    """States at n samples, in the order of the flight; NaN where the attitude is unknown."""

    gps_ms: IntArray
    """Times in milliseconds since the GPS epoch, shape (n,); -1 for samples without a time."""
    quaternion: FloatArray
    """Attitude, GCRF from body, scalar first, shape (n, 4)."""
    rate_body_rad_s: FloatArray
    """Body rate relative to GCRF, shape (n, 3); without an attitude, the reading minus the current bias estimate."""
    gyro_bias_imu_rad_s: FloatArray
    """Gyro bias in sensor axes, shape (n, 3)."""
    mag_bias_imu_ut: FloatArray
    """Bias of the raw readings in sensor axes, shape (n, 3); without an attitude, the bias of the calibration."""
    attitude_covariance: FloatArray
    """Covariance of the attitude error about the body axes in rad2, shape (n, 3, 3)."""
    gyro_bias_sigma_rad_s: FloatArray
    """Standard deviation of the gyro bias in sensor axes, shape (n, 3)."""
    mag_bias_sigma_ut: FloatArray
    """Standard deviation of the magnetometer bias in sensor axes, shape (n, 3)."""

    def __len__(self) -> int:
        return len(self.gps_ms)

    @property
    def known(self) -> BoolArray:
        """True for samples with an attitude, shape (n,)."""
        return np.isfinite(self.quaternion[:, 0])

    @property
    def sigma_rad(self) -> FloatArray:
        """Standard deviations of the attitude about the body axes, shape (n, 3)."""
        return np.sqrt(np.diagonal(self.attitude_covariance, axis1=1, axis2=2))

    @property
    def sigma_rss_rad(self) -> FloatArray:
        """Three-axis standard deviation: root of the summed variances of the three angles, shape (n,)."""
        return np.asarray(np.sqrt(np.trace(self.attitude_covariance, axis1=1, axis2=2)))


@dataclass(frozen=True, slots=True, eq=False)
class GyroReadings:
    """Gyro readings of n samples, from which body rates follow, and substitutes for samples without a state."""

    gps_ms: IntArray
    """Times in milliseconds since the GPS epoch, shape (n,)."""
    gyro_imu_rad_s: FloatArray
    """Gyro readings in sensor axes, shape (n, 3)."""
    rate_body_rad_s: FloatArray
    """Body rate for samples without a state, shape (n, 3)."""
    mag_bias_imu_ut: FloatArray
    """Magnetometer bias in sensor axes for samples without a state, shape (n, 3); NaN if unknown."""
    time_sigma_s: FloatArray
    """Uncertainty of the sample times that is common to all samples, shape (n,)."""


def solution_from_states(
    states: Sequence[AttitudeState | None], readings: GyroReadings, settings: AttitudeSettings
) -> AttitudeSolution:
    """Return the table of n states; a state is None where the attitude is unknown."""
    motion, correction = AttitudeDynamics(settings), MagnetometerCorrection(settings.magnetometer)
    count = len(states)
    quaternion, covariance = np.full((count, 4), np.nan), np.full((count, 3, 3), np.nan)
    rate, mag_bias = readings.rate_body_rad_s.copy(), readings.mag_bias_imu_ut.copy()
    gyro_bias, gyro_sigma, mag_sigma = (np.full((count, 3), np.nan) for _ in range(3))
    for row, state in enumerate(states):
        if state is None:
            continue
        root, field = state.sqrt_covariance, state.sqrt_covariance[ERRORS.mag_bias]
        rate[row] = motion.rate_body_rad_s(readings.gyro_imu_rad_s[row], state)
        turned = readings.time_sigma_s[row] * rate[row]
        quaternion[row] = state.quaternion
        covariance[row] = root[ERRORS.attitude].dot(root[ERRORS.attitude].T) + np.outer(turned, turned)
        gyro_bias[row] = state.gyro_bias_rad_s
        gyro_sigma[row] = np.sqrt(np.square(root[ERRORS.gyro_bias]).sum(axis=1))
        mag_bias[row] = correction.total_bias_ut(state.mag_bias_ut)
        mag_sigma[row] = correction.total_bias_sigma_ut(field.dot(field.T))
    return AttitudeSolution(readings.gps_ms, quaternion, rate, gyro_bias, mag_bias, covariance, gyro_sigma, mag_sigma)
