"""Earth orientation parameters from IERS Bulletin A or C04.

The table is optional. Without it, UT1 equals UTC and the pole is that of the model. Positions in GCRF are then rotated
by up to 0.9 s of Earth rotation, which hardly affects orbit determination from Earth-fixed fixes. A wrong pole does: in
the frame of the model the orbital plane turns, by up to 4 m in an orbit for 0.3 arcseconds. GCRF states computed with
different tables must never be compared.
"""

from bisect import bisect_right
from typing import Final, NamedTuple

import numpy as np

from pygnc.common.arrays import Array
from pygnc.common.clock import gps_ms_from_unix_ms, leap_seconds_at_gps_ms
from pygnc.environment.time_scales import MS_PER_DAY

_MJD_OF_UNIX_EPOCH: Final = 40_587
_POLE_DRIFT_RAD_PER_DAY: Final = 1.2e-8
"""Displacement of the pole per day after the end of a table: 0.0025 arcseconds."""
_POLE_SIGMA_MAX_RAD: Final = 1.5e-6
"""Largest displacement: 0.3 arcseconds."""


class EarthOrientation(NamedTuple):
    """Earth orientation parameters at one instant (IERS Conventions 2010, chapter 5).

    Attributes:
        ut1_minus_gps_s: UT1 minus GPS time, s.
        x_pole_rad: Coordinate x of the pole, rad.
        y_pole_rad: Coordinate y of the pole, rad.
        dx_rad: Celestial pole offset dX, rad.
        dy_rad: Celestial pole offset dY, rad.
    """

    ut1_minus_gps_s: float
    x_pole_rad: float
    y_pole_rad: float
    dx_rad: float
    dy_rad: float


class EarthOrientationTable:
    """Daily Earth orientation parameters with linear interpolation.

    Outside the span of the table the values of the nearest day hold, so that a filter that runs past the end sees no
    jump. `expires_gps_ms` is the time from which this applies.

    Attributes:
        identification: Source and issue of the table. States computed with different identifications must not be mixed.
        begins_gps_ms: GPS milliseconds of the first row; None without a table.
        expires_gps_ms: GPS milliseconds of the last row; None without a table.
    """

    def __init__(self, identification: str, mjd_utc: Array, parameters: Array) -> None:
        """Build the table from rows as the IERS publishes them.

        Args:
            identification: Source and issue, such as "IERS finals2000A 2026-11-02".
            mjd_utc: Modified Julian Dates (UTC, 0 h), whole days, ascending, shape (n,); empty for no table.
            parameters: Shape (n, 5): UT1-UTC in s, x and y of the pole in rad, dX and dY in rad.

        Raises:
            ValueError: The shapes disagree, the days do not ascend, or a value is not finite.
        """
        if parameters.shape != (len(mjd_utc), 5):
            raise ValueError(
                f"Earth orientation {identification!r}: expected parameters of shape ({len(mjd_utc)}, 5), got"
                f" {parameters.shape}"
            )
        if not (np.isfinite(mjd_utc).all() and np.isfinite(parameters).all() and (np.diff(mjd_utc) > 0).all()):
            raise ValueError(f"Earth orientation {identification!r}: days must ascend and all values must be finite")
        self.identification = identification
        self._gps_ms = [gps_ms_from_unix_ms(round(mjd - _MJD_OF_UNIX_EPOCH) * MS_PER_DAY) for mjd in mjd_utc.tolist()]
        self.begins_gps_ms = self._gps_ms[0] if self._gps_ms else None
        self.expires_gps_ms = self._gps_ms[-1] if self._gps_ms else None
        # UT1-GPS is interpolated, because UT1-UTC jumps at a leap second.
        rows = parameters.copy()
        rows[:, 0] += [-leap_seconds_at_gps_ms(ms) for ms in self._gps_ms]
        slopes = np.zeros_like(rows)
        slopes[:-1] = np.diff(rows, axis=0) / np.diff(self._gps_ms)[:, None]
        self._rows: list[list[float]] = rows.tolist()
        self._slopes_per_ms: list[list[float]] = slopes.tolist()

    @classmethod
    def none(cls) -> "EarthOrientationTable":
        """Return the fallback: UT1 = UTC, no polar motion, no celestial pole offsets."""
        return cls("none", np.empty(0), np.empty((0, 5)))

    def pole_sigma_rad(self, gps_ms: int) -> float:
        """Return the standard deviation of the pole at `gps_ms` after the end of the table, rad; 0 before the end."""
        if self.expires_gps_ms is None or gps_ms <= self.expires_gps_ms:
            return 0.0
        # Whole days make caching useful.
        days = 1 + (gps_ms - self.expires_gps_ms) // MS_PER_DAY
        return min(days * _POLE_DRIFT_RAD_PER_DAY, _POLE_SIGMA_MAX_RAD)

    def at(self, gps_ms: int) -> EarthOrientation:
        """Return the parameters at GPS time `gps_ms` (ms)."""
        if not self._gps_ms:
            return EarthOrientation(-float(leap_seconds_at_gps_ms(gps_ms)), 0.0, 0.0, 0.0, 0.0)
        row = max(bisect_right(self._gps_ms, gps_ms) - 1, 0)
        since_ms = max(gps_ms - self._gps_ms[row], 0)
        values = zip(self._rows[row], self._slopes_per_ms[row], strict=True)
        return EarthOrientation(*[value + slope * since_ms for value, slope in values])
