"""The attitude state: when it holds, what it is, and how well it is known.

The attitude is kept as a quaternion and its error as three angles in body axes: true = estimate
exponential(error). The error state has 22 elements: attitude (rad, body axes), gyro bias (rad/s, sensor axes),
magnetometer bias (uT, sensor axes), gyro scale error (sensor axes), gain error of each sun sensor, the Earth's
reflectivity, and the error of the field model (uT, GCRF).
"""

import math
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from pygnc.common import quaternion
from pygnc.common.arrays import Array

Flags: TypeAlias = npt.NDArray[np.bool_]

SIZE: Final = 22
ATTITUDE: Final = slice(0, 3)
GYRO_BIAS: Final = slice(3, 6)
MAG_BIAS: Final = slice(6, 9)
GYRO_SCALE: Final = slice(9, 12)
FACE_GAINS: Final = slice(12, 18)
REFLECTIVITY: Final = 18
FIELD_ERROR: Final = slice(19, 22)


@dataclass(frozen=True, slots=True, eq=False)
class AttitudeState:
    """Estimate at one moment. The arrays are never written to.

    Attributes:
        gps_ms: GPS milliseconds since the GPS epoch.
        quaternion: GCRF from body, scalar first, shape (4,).
        slow: What changes slowly, the error state's elements from the gyro bias on, shape (19,).
        sqrt_covariance: Lower triangular L with the error state's covariance L L', shape (22, 22).
    """

    gps_ms: int
    quaternion: Array
    slow: Array
    sqrt_covariance: Array

    @property
    def gyro_bias_rad_s(self) -> Array:
        """In sensor axes, shape (3,)."""
        return self.slow[0:3]

    @property
    def mag_bias_ut(self) -> Array:
        """In sensor axes, shape (3,)."""
        return self.slow[3:6]

    @property
    def gyro_scale_error(self) -> Array:
        """0.01 shows 1 % too much; in sensor axes, shape (3,)."""
        return self.slow[6:9]

    @property
    def face_gain_errors(self) -> Array:
        """0.01 shows 1 % too much; shape (6,)."""
        return self.slow[9:15]

    @property
    def reflectivity(self) -> float:
        """Of the sunlit Earth, 1 reflects all."""
        return float(self.slow[15])

    @property
    def field_error_gcrf_ut(self) -> Array:
        """True field minus modelled one, shape (3,)."""
        return self.slow[16:19]

    @property
    def covariance(self) -> Array:
        """Of the error state, shape (22, 22)."""
        covariance: Array = self.sqrt_covariance.dot(self.sqrt_covariance.T)
        return covariance

    @property
    def sigma(self) -> Array:
        """Standard deviations of the error state, shape (22,)."""
        sigma: Array = np.sqrt(np.einsum("ij,ij->i", self.sqrt_covariance, self.sqrt_covariance))
        return sigma

    @property
    def attitude_sigma_rad(self) -> float:
        """Root of the summed variances of the three attitude angles."""
        rows = self.sqrt_covariance[ATTITUDE].ravel()
        return math.sqrt(rows.dot(rows))

    def corrected(self, error: Array | None, sqrt_covariance: Array) -> "AttitudeState":
        """The state with another root, after an error (22,) was found in it, or none."""
        if error is None:
            return AttitudeState(self.gps_ms, self.quaternion, self.slow, sqrt_covariance)
        turned = quaternion.multiply(self.quaternion, quaternion.exponential(error[ATTITUDE]))
        return AttitudeState(self.gps_ms, quaternion.normalised(turned), self.slow + error[3:], sqrt_covariance)

    def error_to(self, other: "AttitudeState") -> Array:
        """The error state (22,) by which `other` differs: other = self corrected by it."""
        turn = quaternion.error_vector(other.quaternion, self.quaternion)
        return np.concatenate((turn, other.slow - self.slow))
