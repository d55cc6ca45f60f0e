"""Attitude state: quaternion, slowly varying parameters, their epoch and their covariance.

The attitude error is a rotation vector in body axes: true = estimate exponential(error). The error state has these
elements, in this order: attitude error (rad, body axes), gyro bias (rad/s, sensor axes), magnetometer bias (uT, sensor
axes), the error of the geomagnetic field model (uT, GCRF), mean and two slopes of the Earth's reflectivity, scale and
misalignment of the magnetometer (matrix, row by row), the field of the solar panels in full sunlight (uT, sensor axes),
the changes of gyro bias (rad/s) and magnetometer bias (uT) by warmth (sensor axes), gyro scale error (sensor axes), the
deviation of the sun sensors from the cosine law, and the gain errors of the sun sensors. In the shapes of arrays,
`size` is the number of these elements and `faces` that of the sun sensors; with fewer than six sun sensors, `faces` is
6. A search estimates all elements before the gyro scale error in each fit.
"""

import math
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from pygnc.common import quaternion
from pygnc.common.arrays import Array

Flags: TypeAlias = npt.NDArray[np.bool_]

ATTITUDE: Final = slice(0, 3)
GYRO_BIAS: Final = slice(3, 6)
MAG_BIAS: Final = slice(6, 9)
BIASES: Final = slice(3, 9)
FIELD_ERROR: Final = slice(9, 12)
REFLECTIVITY: Final = slice(12, 15)
MAG_MATRIX: Final = slice(15, 24)
PANEL_FIELD: Final = slice(24, 27)
FIELD_ROWS: Final = slice(15, 27)
"""All errors of the magnetometer but its bias."""
GYRO_THERMAL: Final = slice(27, 30)
MAG_THERMAL: Final = slice(30, 33)
THERMAL: Final = slice(27, 33)
"""Changes of both biases by warmth, in the order of `BIASES`."""
GYRO_SCALE: Final = slice(33, 36)
COSINE_ERROR: Final = 36
FACE_GAINS: Final = slice(37, None)
LIGHT_ERRORS: Final = slice(36, None)
"""Cosine error and gain errors."""


def error_size(faces: int) -> int:
    """Return the number of elements of the error state for `faces` sun sensors; `faces` is at least 6."""
    return int(FACE_GAINS.start) + faces


@dataclass(frozen=True, slots=True, eq=False)
class AttitudeState:
    """Estimate at one epoch. The arrays must not be modified, because states share them.

    Attributes:
        gps_ms: GPS milliseconds since the GPS epoch.
        quaternion: GCRF from body, scalar first, shape (4,).
        slow: Slowly varying parameters, in the order of the error state from the gyro bias on, shape (size - 3,).
        sqrt_covariance: Lower triangular matrix L; the covariance of the error state is L L'. Shape (size, size).
    """

    gps_ms: int
    quaternion: Array
    slow: Array
    sqrt_covariance: Array

    @property
    def gyro_bias_rad_s(self) -> Array:
        """Gyro bias in sensor axes, rad/s, shape (3,)."""
        return self.slow[0:3]

    @property
    def mag_bias_ut(self) -> Array:
        """Magnetometer bias in sensor axes, uT, shape (3,)."""
        return self.slow[3:6]

    @property
    def gyro_scale_error(self) -> Array:
        """Gyro scale error in sensor axes, shape (3,); with 0.01, readings are 1 % too large."""
        return self.slow[30:33]

    @property
    def face_gain_errors(self) -> Array:
        """Gain errors of the sun sensors, shape (faces,); with 0.01, readings are 1 % too large."""
        return self.slow[34:]

    @property
    def reflectivity(self) -> Array:
        """Reflectivity of the sunlit Earth: its mean, 0 to 1, and two slopes as in `EarthAlbedo`, shape (3,)."""
        return self.slow[9:12]

    @property
    def field_error_gcrf_ut(self) -> Array:
        """True minus modelled geomagnetic field in GCRF, uT, shape (3,)."""
        return self.slow[6:9]

    @property
    def mag_matrix_error(self) -> Array:
        """Scale and misalignment: matrix from field to reading (sensor axes) minus the identity, shape (3, 3)."""
        return self.slow[12:21].reshape(3, 3)

    @property
    def panel_field_ut(self) -> Array:
        """Magnetic field of the solar panels' currents in full sunlight, sensor axes, uT, shape (3,)."""
        return self.slow[21:24]

    @property
    def cosine_error(self) -> float:
        """Deviation from the cosine law: at incidence angle a, direct light is multiplied by 1 - this * sin(a)^2."""
        return float(self.slow[33])

    @property
    def thermal(self) -> Array:
        """Biases of gyro (rad/s) and magnetometer (uT) in lasting sunlight minus those in darkness, shape (6,)."""
        return self.slow[24:30]

    @property
    def covariance(self) -> Array:
        """Covariance of the error state, shape (size, size)."""
        covariance: Array = self.sqrt_covariance.dot(self.sqrt_covariance.T)
        return covariance

    @property
    def sigma(self) -> Array:
        """Standard deviations of the error state, shape (size,)."""
        sigma: Array = np.sqrt(np.einsum("ij,ij->i", self.sqrt_covariance, self.sqrt_covariance))
        return sigma

    @property
    def attitude_sigma_rad(self) -> float:
        """Square root of the summed variances of the three attitude angles, rad."""
        rows = self.sqrt_covariance[ATTITUDE].ravel()
        return math.sqrt(rows.dot(rows))

    def corrected(self, error: Array | None, sqrt_covariance: Array) -> "AttitudeState":
        """Return the state with another covariance root, corrected by `error`, shape (size,), unless that is None."""
        if error is None:
            return AttitudeState(self.gps_ms, self.quaternion, self.slow, sqrt_covariance)
        rotated = quaternion.multiply(self.quaternion, quaternion.exponential(error[ATTITUDE]))
        return AttitudeState(self.gps_ms, quaternion.normalised(rotated), self.slow + error[3:], sqrt_covariance)

    def error_to(self, other: "AttitudeState") -> Array:
        """Return the error, shape (size,), with which `corrected` turns this estimate into `other`."""
        rotation = quaternion.error_vector(other.quaternion, self.quaternion)
        return np.concatenate((rotation, other.slow - self.slow))
