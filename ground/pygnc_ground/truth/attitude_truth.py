"""True attitude from the truth table of a scenario."""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from pygnc.common import quaternion
from pygnc_ground.truth.orbit_truth import FloatArray, IntArray
from pygnc_ground.truth.table import COLUMNS, checked_rows

_VECTORS: Final = ("quaternion_gcrf_from_body", "rate_body_rad_s", "gyro_bias_imu_rad_s", "mag_bias_imu_ut")
_LENGTH_TOLERANCE: Final = 1e-4
_CARRIED_MAX_MS: Final = 1000
"""Maximum time from a row: sensor samples have times by the spacecraft clock, which counts whole seconds."""


class TrueAttitude(NamedTuple):
    """True attitude, body rate and sensor biases at n times; NaN where unknown."""

    quaternion: FloatArray
    """Quaternion of the rotation from body to GCRF, scalar first, shape (n, 4)"""
    rate_body_rad_s: FloatArray
    """Body rate relative to GCRF, body axes, rad/s, shape (n, 3)"""
    gyro_bias_imu_rad_s: FloatArray
    """Gyro bias, sensor axes, rad/s, shape (n, 3)"""
    mag_bias_imu_ut: FloatArray
    """Magnetometer bias, sensor axes, µT, shape (n, 3)"""

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """True for times with a true attitude, shape (n,)."""
        return np.isfinite(self.quaternion[:, 0])


@dataclass(frozen=True, slots=True, eq=False)
class AttitudeTruth:
    """True attitude at the times of m rows, ascending."""

    gps_ms: IntArray
    """Times of the rows in ms since the GPS epoch, shape (m,)"""
    rows: TrueAttitude

    def at(self, gps_ms: IntArray) -> TrueAttitude:
        """Return the truth at n times; at the time of a row, exactly as in the table.

        Within a second of the nearest row, the attitude is propagated with the rate of that row; otherwise it is
        unknown.
        """
        nearest = nearest_rows(self.gps_ms, gps_ms)
        apart_ms = gps_ms - self.gps_ms[nearest]
        attitude, rate, gyro_bias, mag_bias = (values[nearest] for values in self.rows)
        carried = quaternion.multiply(attitude, quaternion.exponential(1e-3 * apart_ms[:, None] * rate))
        attitude = np.where(apart_ms[:, None] == 0, attitude, carried)
        unknown = np.abs(apart_ms) > _CARRIED_MAX_MS
        found = TrueAttitude(attitude, rate, gyro_bias, mag_bias)
        for values in found:
            values[unknown] = np.nan
        return found


def nearest_rows(times_ms: IntArray, gps_ms: IntArray) -> IntArray:
    """Return the indices of the nearest of ascending times (m,) to n times, shape (n,)."""
    after = np.searchsorted(times_ms, gps_ms).clip(0, len(times_ms) - 1)
    before = (after - 1).clip(0)
    return np.where(gps_ms - times_ms[before] < times_ms[after] - gps_ms, before, after)


def attitude_truth(table: pl.DataFrame) -> AttitudeTruth | None:
    """Return the true attitude in a truth table, or None if the table has no quaternion columns.

    Raises:
        ValueError: A column or a value is missing, a value is not a finite number, times do not ascend, or a quaternion
            is not of unit length.
    """
    if not set(COLUMNS[_VECTORS[0]]) & set(table.columns):
        return None
    gps_ms, values = checked_rows(table, [name for vector in _VECTORS for name in COLUMNS[vector]])
    attitude = values[:, :4]
    wrong = np.flatnonzero(np.abs(np.linalg.norm(attitude, axis=1) - 1.0) > _LENGTH_TOLERANCE)
    if wrong.size:
        length = np.linalg.norm(attitude[wrong[0]])
        raise ValueError(
            f"row {wrong[0] + 1} of the truth table: the quaternion has the norm {length:.6g}, not 1; generate the"
            " scenario again"
        )
    return AttitudeTruth(gps_ms, TrueAttitude(attitude, values[:, 4:7], values[:, 7:10], values[:, 10:13]))
