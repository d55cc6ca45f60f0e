"""What the magnetometer reads and what the filter takes for it, by the calibration in the settings.

The filter is given corrected readings, and its magnetometer bias is what the calibration has left in those.
"""

import numpy as np

from pygnc.environment.arrays import Array
from pygnc.estimators.attitude.settings import MagnetometerSettings


class MagCorrection:
    """The calibration of the settings, there and back. All vectors are in sensor axes and uT."""

    def __init__(self, settings: MagnetometerSettings) -> None:
        self._bias_ut = np.array(settings.bias_ut)
        self._matrix = np.array(settings.matrix)
        self._inverse = np.linalg.inv(self._matrix)

    def corrected_ut(self, mag_imu_ut: Array) -> Array:
        """What the filter takes for a reading, shape (3,)."""
        corrected: Array = self._matrix.dot(mag_imu_ut - self._bias_ut)
        return corrected

    def total_bias_ut(self, left_ut: Array) -> Array:
        """The bias of the readings, of which `left_ut` is left in the corrected ones, shape (3,)."""
        total: Array = self._bias_ut + self._inverse.dot(left_ut)
        return total

    def total_bias_sigma_ut(self, left_covariance: Array) -> Array:
        """Standard deviations of the bias of the readings, shape (3,), from the covariance of what is left (3, 3)."""
        sigma: Array = np.sqrt(np.diagonal(self._inverse.dot(left_covariance).dot(self._inverse.T)))
        return sigma
