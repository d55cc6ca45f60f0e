"""The true attitude in a scenario's table of truth."""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from pygnc.common import quaternion
from pygnc_ground.truth.orbit_truth import FloatArray, IntArray
from pygnc_ground.truth.table import checked_rows

_QUATERNION: Final = tuple(f"q{component}_gcrf_from_body" for component in "wxyz")
_VECTORS: Final = tuple(
    f"{component}_{name}"
    for name in ("rate_body_rad_s", "gyro_bias_imu_rad_s", "mag_bias_imu_ut")
    for component in "xyz"
)
_LENGTH_TOLERANCE: Final = 1e-4
_CARRIED_MAX_MS: Final = 1000
"""Farther from a row nothing is known; the spacecraft clock, whose readings time the samples, counts whole seconds."""


class TrueAttitude(NamedTuple):
    """What is true at n times; NaN where it is not known."""

    quaternion: FloatArray
    """(n, 4), GCRF from body, scalar first"""
    rate_body_rad_s: FloatArray
    """(n, 3), relative to GCRF"""
    gyro_bias_imu_rad_s: FloatArray
    """(n, 3), sensor axes"""
    mag_bias_imu_ut: FloatArray
    """(n, 3), sensor axes"""

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """Times at which it is known, shape (n,)."""
        return np.isfinite(self.quaternion[:, 0])


@dataclass(frozen=True, slots=True, eq=False)
class AttitudeTruth:
    """True attitudes at the times of m rows, ascending."""

    gps_ms: IntArray
    """(m,)"""
    rows: TrueAttitude

    def at(self, gps_ms: IntArray) -> TrueAttitude:
        """The truth at times, shape (n,): at a row's time as it stands there.

        Within a second of the nearest row the attitude is carried on with that row's rate; farther off it is unknown.
        """
        after = np.searchsorted(self.gps_ms, gps_ms).clip(0, len(self.gps_ms) - 1)
        before = (after - 1).clip(0)
        nearest = np.where(gps_ms - self.gps_ms[before] < self.gps_ms[after] - gps_ms, before, after)
        apart_ms = gps_ms - self.gps_ms[nearest]
        attitude, rate, gyro_bias, mag_bias = (values[nearest] for values in self.rows)
        carried = quaternion.multiply(attitude, quaternion.exponential(1e-3 * apart_ms[:, None] * rate))
        attitude = np.where(apart_ms[:, None] == 0, attitude, carried)
        unknown = np.abs(apart_ms) > _CARRIED_MAX_MS
        found = TrueAttitude(attitude, rate, gyro_bias, mag_bias)
        for values in found:
            values[unknown] = np.nan
        return found


def attitude_truth(table: pl.DataFrame) -> AttitudeTruth | None:
    """The true attitude in a table of truth; None if it has no column of a quaternion.

    Raises:
        ValueError: A column is missing, a value is missing, no number or not finite, times do not ascend, or a
            quaternion is not of unit length.
    """
    if not set(_QUATERNION) & set(table.columns):
        return None
    gps_ms, values = checked_rows(table, (*_QUATERNION, *_VECTORS))
    attitude = values[:, :4]
    wrong = np.flatnonzero(np.abs(np.linalg.norm(attitude, axis=1) - 1.0) > _LENGTH_TOLERANCE)
    if wrong.size:
        length = np.linalg.norm(attitude[wrong[0]])
        raise ValueError(
            f"row {wrong[0] + 1} of the table of truth: its quaternion has the length {length:.6g}, not 1; make the"
            " scenario again"
        )
    return AttitudeTruth(gps_ms, TrueAttitude(attitude, values[:, 4:7], values[:, 7:10], values[:, 10:13]))
