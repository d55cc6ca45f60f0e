"""Accuracy of an attitude solution against truth: errors and sigmas in sunlight and eclipse, convergence, wrong locks.

Samples are settled from `settling_s` after the filter's first attitude on: half an hour, or a third of the time with
an attitude if that is less. Samples are in eclipse if at most half of the Sun's disc is visible, by the replay's orbit.
Angles are about all three axes: roots of the sum of three squares, RMS over the samples.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from pygnc.common import quaternion
from pygnc_ground.attitude.solution import AttitudeSolution
from pygnc_ground.orbit.consistency import band, fraction_inside
from pygnc_ground.orbit.solution import BoolArray, FloatArray, IntArray, normalised_squares, rms_3d
from pygnc_ground.truth.attitude_truth import TrueAttitude


@dataclass(frozen=True, slots=True, eq=False)
class AttitudeErrors:
    """Estimate minus truth at the k samples for which both are known.

    The attitude error is the rotation from the true to the estimated body axes, as a rotation vector in body axes; its
    length is the angle between them.
    """

    row: IntArray
    """Index of the sample in the solution, shape (k,)."""
    turn_rad: FloatArray
    """Attitude error, shape (k, 3)."""
    rate_body_rad_s: FloatArray
    """Body rate error in body axes, shape (k, 3)."""
    gyro_bias_imu_rad_s: FloatArray
    """Gyro bias error in sensor axes, shape (k, 3)."""
    mag_bias_imu_ut: FloatArray
    """Magnetometer bias error in sensor axes, shape (k, 3)."""
    nees: FloatArray
    """Normalised attitude error squared, 3 degrees of freedom, shape (k,)."""

    def __len__(self) -> int:
        return len(self.row)

    @classmethod
    def none(cls) -> "AttitudeErrors":
        """Return the empty errors of a solution without truth."""
        vectors = np.empty((0, 3))
        return cls(np.empty(0, np.int64), vectors, vectors, vectors, vectors, np.empty(0))

    @property
    def angle_rad(self) -> FloatArray:
        """Angle between estimate and truth, shape (k,)."""
        return np.asarray(np.linalg.norm(self.turn_rad, axis=1), dtype=np.float64)


def attitude_errors(solution: AttitudeSolution, truth: TrueAttitude) -> AttitudeErrors:
    """Return estimate minus truth; `truth` is given at the times of the solution's samples."""
    row = np.flatnonzero(solution.known & truth.known)
    turn = quaternion.error_vector(solution.quaternion[row], truth.quaternion[row])
    return AttitudeErrors(
        row=row,
        turn_rad=turn,
        rate_body_rad_s=solution.rate_body_rad_s[row] - truth.rate_body_rad_s[row],
        gyro_bias_imu_rad_s=solution.gyro_bias_imu_rad_s[row] - truth.gyro_bias_imu_rad_s[row],
        mag_bias_imu_ut=solution.mag_bias_imu_ut[row] - truth.mag_bias_imu_ut[row],
        nees=normalised_squares(turn, solution.attitude_covariance[row]),
    )


LIT: Final = 0.5
RIGHT_DEG: Final = 5.0
WRONG_DEG: Final = 20.0
NEES_DOF: Final = 3


@dataclass(frozen=True, slots=True)
class AngleRms:
    """RMS three-axis angles over settled samples; NaN without samples. Error and bound are also NaN without truth."""

    samples: int
    """Number of settled samples."""
    error_deg: float
    """Attitude error."""
    sigma_deg: float
    """Formal standard deviation."""
    bound_deg: float
    """Cramer-Rao bound."""

    @property
    def ratio(self) -> float:
        """Ratio of error to formal sigma; 1 if the covariance is right."""
        return self.error_deg / self.sigma_deg


@dataclass(frozen=True, slots=True)
class AttitudeAccuracy:
    """Accuracy of an attitude solution; errors are NaN without truth. RMS values are 3-D, over settled samples."""

    known: int
    """Number of samples with an attitude."""
    settling_s: float
    """Time from the first attitude to the first settled sample."""
    sunlight: AngleRms
    eclipse: AngleRms
    overall: AngleRms
    """Angles of all settled samples, including those without an orbit."""
    nees_mean: float
    """Mean NEES of settled samples; 3 if the covariance is right."""
    nees_inside: float
    """Fraction of settled samples with a NEES in the 95 % band of a single sample; correlated errors scatter it."""
    rate_error_rad_s: float
    """RMS error of the body rate."""
    gyro_bias_error_rad_s: float
    gyro_bias_sigma_rad_s: float
    mag_bias_error_ut: float
    mag_bias_sigma_ut: float
    right_after_s: float
    """Time from the first sample with an orbit to the first attitude within 5 degrees of the truth; NaN if never."""
    wrong_s: float
    """Longest uninterrupted time with attitudes that are wrong by more than 20 degrees; NaN without truth."""


def settled(solution: AttitudeSolution) -> tuple[BoolArray, float]:
    """Return flags, shape (n,), of samples with an attitude after the settling time, and the settling time in s."""
    known = solution.known
    if not known.any():
        return known, 0.0
    times = solution.gps_ms[known]
    begin, end = int(times[0]), int(times.max())
    settling_ms = min(1_800_000, round(1.0 / 3.0 * max(0, end - begin)))
    return np.asarray(known & (solution.gps_ms >= begin + settling_ms)), settling_ms / 1000.0


def attitude_accuracy(
    solution: AttitudeSolution, errors: AttitudeErrors, bound_rad: FloatArray, sunlit_fraction: FloatArray
) -> AttitudeAccuracy:
    """Return the accuracy of one solution of n samples; its errors are empty without truth.

    The least sigma of the attitude and the visible fraction of the Sun's disc have shape (n,), NaN where unknown.
    """
    late, settling_s = settled(solution)
    angle = np.full(len(solution), np.nan)
    angle[errors.row] = errors.angle_rad

    def rms_of(rows: BoolArray) -> AngleRms:
        # With a truth, sigmas and bounds are those of the samples whose errors are known.
        compared = rows & np.isfinite(angle) if len(errors) else rows
        columns = [column[compared] for column in (angle, solution.sigma_rss_rad, bound_rad)]
        values = (np.degrees(rms_3d(column[np.isfinite(column), None])) for column in columns)
        return AngleRms(int(rows.sum()), *map(float, values))

    placed, right = np.flatnonzero(np.isfinite(sunlit_fraction)), np.flatnonzero(angle < np.radians(RIGHT_DEG))
    found = len(placed) > 0 and len(right) > 0
    counted = late[errors.row]
    nees = errors.nees[counted]
    return AttitudeAccuracy(
        known=int(solution.known.sum()),
        settling_s=settling_s,
        sunlight=rms_of(np.asarray(late & (sunlit_fraction > LIT))),
        eclipse=rms_of(np.asarray(late & (sunlit_fraction <= LIT))),
        overall=rms_of(late),
        nees_mean=float(nees.mean()) if len(nees) else float("nan"),
        nees_inside=fraction_inside(nees, *band(NEES_DOF, 1)),
        rate_error_rad_s=rms_3d(errors.rate_body_rad_s[counted]),
        gyro_bias_error_rad_s=rms_3d(errors.gyro_bias_imu_rad_s[counted]),
        gyro_bias_sigma_rad_s=rms_3d(solution.gyro_bias_sigma_rad_s[late]),
        mag_bias_error_ut=rms_3d(errors.mag_bias_imu_ut[counted]),
        mag_bias_sigma_ut=rms_3d(solution.mag_bias_sigma_ut[late]),
        right_after_s=float(solution.gps_ms[right[0]] - solution.gps_ms[placed[0]]) * 1e-3 if found else float("nan"),
        wrong_s=_wrong_s(solution, angle) if len(errors) else float("nan"),
    )


def _wrong_s(solution: AttitudeSolution, angle_rad: FloatArray) -> float:
    """Return the longest time with a wrong attitude in s; it lasts until the next right or missing attitude."""
    compared = (np.isfinite(angle_rad) | ~solution.known) & (solution.gps_ms >= 0)
    wrong = angle_rad[compared] > np.radians(WRONG_DEG)
    longest_ms, begin_ms = 0, None
    for time_ms, is_wrong in zip(solution.gps_ms[compared].tolist(), wrong.tolist(), strict=True):
        if begin_ms is not None:
            longest_ms = max(longest_ms, time_ms - begin_ms)
        if not is_wrong:
            begin_ms = None
        elif begin_ms is None:
            begin_ms = time_ms
    return longest_ms * 1e-3
