"""GPS time as the two-part Julian dates that the IAU routines take.

A moment is an integer, the GPS milliseconds since 1980-01-06, plus float offsets in seconds. The whole days go into the
first part of the date, so that the second keeps its resolution (2e-14 day, 2 ns).
"""

from typing import Final

from pygnc.common.arrays import Array

MS_PER_DAY: Final = 86_400_000
SECONDS_PER_DAY: Final = 86_400.0
GPS_EPOCH_JULIAN_DATE: Final = 2_444_244.5
TAI_MINUS_GPS_S: Final = 19.0
"""Fixed since the GPS epoch (IS-GPS-200)."""
TT_MINUS_GPS_S: Final = TAI_MINUS_GPS_S + 32.184


def julian_date(gps_ms: int, seconds: Array) -> tuple[float, Array]:
    """Two-part Julian date of the moments `gps_ms` plus `seconds`, counted in the time scale that `seconds` leads to.

    Args:
        gps_ms: GPS milliseconds since the GPS epoch.
        seconds: Offsets from there plus the time scale's difference from GPS time (TT: `TT_MINUS_GPS_S`), shape (k,).

    Returns:
        Midnight of the day as a scalar, and the fraction of the day (k,), which may leave 0..1.
    """
    day, ms_of_day = divmod(gps_ms, MS_PER_DAY)
    return GPS_EPOCH_JULIAN_DATE + day, (ms_of_day * 1e-3 + seconds) / SECONDS_PER_DAY
