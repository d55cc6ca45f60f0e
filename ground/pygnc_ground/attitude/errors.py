"""An attitude solution against the truth: how far it is turned, and whether the covariance covers that."""

from dataclasses import dataclass

import numpy as np

from pygnc.common import quaternion
from pygnc_ground.attitude.solution import AttitudeSolution
from pygnc_ground.orbit.solution import FloatArray, IntArray
from pygnc_ground.truth.attitude_truth import TrueAttitude


@dataclass(frozen=True, slots=True, eq=False)
class AttitudeErrors:
    """Estimate minus truth at the k samples for which both are known.

    The error of an attitude is the turn that leads from the true body axes to the estimated ones, as a rotation vector
    in body axes; its length is the angle between both, about all three axes.
    """

    row: IntArray
    """(k,), index into the solution"""
    turn_rad: FloatArray
    """(k, 3)"""
    rate_body_rad_s: FloatArray
    """(k, 3)"""
    gyro_bias_imu_rad_s: FloatArray
    """(k, 3), sensor axes"""
    mag_bias_imu_ut: FloatArray
    """(k, 3), sensor axes"""
    nees: FloatArray
    """(k,), the turn squared over its covariance; 3 degrees of freedom"""

    def __len__(self) -> int:
        return len(self.row)

    @classmethod
    def none(cls) -> "AttitudeErrors":
        """Without a truth."""
        vectors = np.empty((0, 3))
        return cls(np.empty(0, np.int64), vectors, vectors, vectors, vectors, np.empty(0))

    @property
    def angle_rad(self) -> FloatArray:
        """Angle between estimate and truth, the root of the three squares summed, shape (k,)."""
        return np.asarray(np.linalg.norm(self.turn_rad, axis=1), dtype=np.float64)


def attitude_errors(solution: AttitudeSolution, truth: TrueAttitude) -> AttitudeErrors:
    """Compare a solution of n samples with the truth at their times."""
    row = np.flatnonzero(solution.known & truth.known)
    turn = quaternion.error_vector(solution.quaternion[row], truth.quaternion[row])
    normalised = np.linalg.solve(solution.attitude_covariance[row], turn[:, :, None])[:, :, 0]
    return AttitudeErrors(
        row=row,
        turn_rad=turn,
        rate_body_rad_s=solution.rate_body_rad_s[row] - truth.rate_body_rad_s[row],
        gyro_bias_imu_rad_s=solution.gyro_bias_imu_rad_s[row] - truth.gyro_bias_imu_rad_s[row],
        mag_bias_imu_ut=solution.mag_bias_imu_ut[row] - truth.mag_bias_imu_ut[row],
        nees=(turn * normalised).sum(axis=1),
    )
