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
from typing import Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from pygnc.common import quaternion
from pygnc.common.arrays import Array

Flags: TypeAlias = npt.NDArray[np.bool_]


class ErrorLayout(NamedTuple):
    """Rows of the error state; the only place that knows them. Names in the plural combine adjacent parts."""

    attitude: slice = slice(0, 3)
    gyro_bias: slice = slice(3, 6)
    mag_bias: slice = slice(6, 9)
    field_error: slice = slice(9, 12)
    reflectivity: slice = slice(12, 15)
    mag_matrix: slice = slice(15, 24)
    panel_field: slice = slice(24, 27)
    gyro_thermal: slice = slice(27, 30)
    mag_thermal: slice = slice(30, 33)
    gyro_scale: slice = slice(33, 36)
    cosine_error: int = 36
    face_gains: slice = slice(37, None)

    biases: slice = slice(3, 9)
    field_rows: slice = slice(15, 27)
    """All errors of the magnetometer but its bias."""
    thermal: slice = slice(27, 33)
    """Changes of both biases by warmth, in the order of `biases`."""
    light_errors: slice = slice(36, None)
    """Cosine error and gain errors."""

    def size(self, faces: int) -> int:
        """Return the number of elements of the error state for `faces` sun sensors; `faces` is at least 6."""
        return int(self.face_gains.start) + faces

    def in_slow(self, rows: slice) -> slice:
        """Return the rows of `AttitudeState.slow`, which lacks the attitude, for rows of the error state."""
        first = self.attitude.stop
        return slice(rows.start - first, None if rows.stop is None else rows.stop - first)


ERRORS: Final = ErrorLayout()


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
        return self.slow[ERRORS.in_slow(ERRORS.gyro_bias)]

    @property
    def mag_bias_ut(self) -> Array:
        """Magnetometer bias in sensor axes, uT, shape (3,)."""
        return self.slow[ERRORS.in_slow(ERRORS.mag_bias)]

    @property
    def gyro_scale_error(self) -> Array:
        """Gyro scale error in sensor axes, shape (3,); with 0.01, readings are 1 % too large."""
        return self.slow[ERRORS.in_slow(ERRORS.gyro_scale)]

    @property
    def face_gain_errors(self) -> Array:
        """Gain errors of the sun sensors, shape (faces,); with 0.01, readings are 1 % too large."""
        return self.slow[ERRORS.in_slow(ERRORS.face_gains)]

    @property
    def reflectivity(self) -> Array:
        """Reflectivity of the sunlit Earth: its mean, 0 to 1, and two slopes as in `EarthAlbedo`, shape (3,)."""
        return self.slow[ERRORS.in_slow(ERRORS.reflectivity)]

    @property
    def field_error_gcrf_ut(self) -> Array:
        """True minus modelled geomagnetic field in GCRF, uT, shape (3,)."""
        return self.slow[ERRORS.in_slow(ERRORS.field_error)]

    @property
    def mag_matrix_error(self) -> Array:
        """Scale and misalignment: matrix from field to reading (sensor axes) minus the identity, shape (3, 3)."""
        return self.slow[ERRORS.in_slow(ERRORS.mag_matrix)].reshape(3, 3)

    @property
    def panel_field_ut(self) -> Array:
        """Magnetic field of the solar panels' currents in full sunlight, sensor axes, uT, shape (3,)."""
        return self.slow[ERRORS.in_slow(ERRORS.panel_field)]

    @property
    def cosine_error(self) -> float:
        """Deviation from the cosine law: at incidence angle a, direct light is multiplied by 1 - this * sin(a)^2."""
        return float(self.slow[ERRORS.in_slow(ERRORS.light_errors)][0])

    @property
    def thermal(self) -> Array:
        """Biases of gyro (rad/s) and magnetometer (uT) in lasting sunlight minus those in darkness, shape (6,)."""
        return self.slow[ERRORS.in_slow(ERRORS.thermal)]

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
        rows = self.sqrt_covariance[ERRORS.attitude].ravel()
        return math.sqrt(rows.dot(rows))

    def corrected(self, error: Array | None, sqrt_covariance: Array) -> "AttitudeState":
        """Return the state with another covariance root, corrected by `error`, shape (size,), unless that is None."""
        if error is None:
            return AttitudeState(self.gps_ms, self.quaternion, self.slow, sqrt_covariance)
        rotated = quaternion.multiply(self.quaternion, quaternion.exponential(error[ERRORS.attitude]))
        return AttitudeState(self.gps_ms, quaternion.normalised(rotated), self.slow + error[3:], sqrt_covariance)

    def error_to(self, other: "AttitudeState") -> Array:
        """Return the error, shape (size,), with which `corrected` turns this estimate into `other`."""
        rotation = quaternion.error_vector(other.quaternion, self.quaternion)
        return np.concatenate((rotation, other.slow - self.slow))
