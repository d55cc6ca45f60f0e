"""GPS time as two-part Julian dates for the IAU routines of ERFA.

An instant is an integer, the GPS milliseconds since 1980-01-06, plus float offsets in seconds. Whole days go into the
first part of the date, so that the second part keeps its resolution (2e-14 day, 2 ns).
"""

from typing import Final

from pygnc.common.arrays import Array

MS_PER_DAY: Final = 86_400_000
SECONDS_PER_DAY: Final = 86_400.0
GPS_EPOCH_JULIAN_DATE: Final = 2_444_244.5
TAI_MINUS_GPS_S: Final = 19.0
"""Constant since the GPS epoch (IS-GPS-200)."""
TT_MINUS_GPS_S: Final = TAI_MINUS_GPS_S + 32.184


def julian_date(gps_ms: int, seconds: Array) -> tuple[float, Array]:
    """Return the two-part Julian date of `gps_ms` plus `seconds` in the time scale to which `seconds` converts.

    Args:
        gps_ms: GPS milliseconds since the GPS epoch.
        seconds: Offsets plus the difference of the time scale from GPS time (for TT: `TT_MINUS_GPS_S`), shape (k,).

    Returns:
        Julian date of midnight as a scalar, and the fraction of the day (k,), which may lie outside 0 to 1.
    """
    day, ms_of_day = divmod(gps_ms, MS_PER_DAY)
    return GPS_EPOCH_JULIAN_DATE + day, (ms_of_day * 1e-3 + seconds) / SECONDS_PER_DAY
