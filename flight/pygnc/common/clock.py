"""Conversions between GPS time, UTC, spacecraft time and the monotonic clock.

- GPS time: week and milliseconds of week, or one integer `gps_ms`, the milliseconds since 1980-01-06 00:00:00 GPS. Week
  0 means that the receiver does not know the time yet; arrays mark this with `UNKNOWN_GPS_MS`.
- UTC, for people: ISO 8601 text, or Unix milliseconds (POSIX: a leap second has the same number as the second after
  it).
- Spacecraft time: integer seconds of a clock that may restart at 2000-01-01 at each boot. `pygnc.estimators.clock`
  estimates its offset from GPS time.
- Monotonic clock of the computer: integer nanoseconds, read by the caller and passed in.

All conversions use integer arithmetic, so every round trip is exact.
"""

import re
from bisect import bisect_right
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

MS_PER_WEEK: Final = 604_800_000
WEEKS_PER_ROLLOVER: Final = 1024
UNKNOWN_GPS_MS: Final = -1
"""Value of an unknown GPS time in integer arrays; for scalars it is None."""

GPS_EPOCH_UNIX_S: Final = 315_964_800
"""POSIX time of 1980-01-06 00:00:00 UTC, the epoch at which GPS time and UTC agree."""
SPACECRAFT_RESTART_S: Final = 946_684_800
"""2000-01-01 00:00:00 as spacecraft time: the value at which the main controller's clock starts if it was never set."""

# Day after each leap second. All were inserted, so GPS-UTC in s is the number of days in the list up to a given time.
# Source: IERS Bulletin C, numbers 1 to 72.
_DAYS_AFTER_LEAP_SECONDS: Final = (
    "1981-07-01 1982-07-01 1983-07-01 1985-07-01 1988-01-01 1990-01-01 1991-01-01 1992-07-01 1993-07-01 1994-07-01 "
    "1996-01-01 1997-07-01 1999-01-01 2006-01-01 2009-01-01 2012-07-01 2015-07-01 2017-01-01"
)


def midnight_unix_ms(day: str) -> int:
    """Return the POSIX milliseconds of midnight UTC at the beginning of a day such as "2025-03-20"."""
    return (date.fromisoformat(day) - date(1970, 1, 1)).days * 86_400_000


# First instant after each leap second, in UTC and in GPS time; bisection in these finds the number of leap seconds.
_STEPS_UNIX_MS: Final = tuple(midnight_unix_ms(day) for day in _DAYS_AFTER_LEAP_SECONDS.split())
_STEPS_GPS_MS: Final = tuple(
    unix_ms + 1000 * (offset_s - GPS_EPOCH_UNIX_S) for offset_s, unix_ms in enumerate(_STEPS_UNIX_MS, 1)
)

LEAP_SECONDS_VALID_UNTIL_GPS_MS: Final = midnight_unix_ms("2027-06-28") + 1000 * (
    len(_STEPS_UNIX_MS) - GPS_EPOCH_UNIX_S
)
"""End of validity of Bulletin C 72 (2027-06-28). Later UTC is computed with the last known offset."""

_ISO_UTC: Final = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,3}))?Z")


def gps_ms_from_week(week: int, tow_ms: int) -> int | None:
    """Return the milliseconds since the GPS epoch (1980-01-06), or None if the time is unknown or invalid.

    Args:
        week: Full GPS week number (not modulo 1024); 0 means unknown.
        tow_ms: Milliseconds of the week, valid below 604 800 000.
    """
    if week <= 0 or not 0 <= tow_ms < MS_PER_WEEK:
        return None
    return week * MS_PER_WEEK + tow_ms


def rolled_over_weeks(week: int, earliest_week: int) -> int:
    """Return the weeks to add to a week before `earliest_week`, whose count has rolled over; 0 to an unknown week."""
    return -((week - earliest_week) // WEEKS_PER_ROLLOVER) * WEEKS_PER_ROLLOVER if 0 < week < earliest_week else 0


def gps_ms_from_weeks(
    week: npt.NDArray[np.integer[Any]], tow_ms: npt.NDArray[np.integer[Any]]
) -> npt.NDArray[np.int64]:
    """Return `gps_ms_from_week` for integer arrays of equal shape; unknown and invalid times are `UNKNOWN_GPS_MS`."""
    week_wide, tow_wide = week.astype(np.int64), tow_ms.astype(np.int64)
    known = (week_wide > 0) & (tow_wide >= 0) & (tow_wide < MS_PER_WEEK)
    return np.where(known, week_wide * MS_PER_WEEK + tow_wide, UNKNOWN_GPS_MS)


def week_from_gps_ms(gps_ms: int) -> tuple[int, int]:
    """Return the GPS week and the time of week in milliseconds of a GPS time; the inverse of `gps_ms_from_week`."""
    return divmod(gps_ms, MS_PER_WEEK)


def leap_seconds_at_gps_ms(gps_ms: int) -> int:
    """Return GPS-UTC in seconds. During a leap second, this is the value before it."""
    return bisect_right(_STEPS_GPS_MS, gps_ms)


def unix_ms_from_gps_ms(gps_ms: int) -> int:
    """Return the POSIX milliseconds of a GPS time. A leap second has the same numbers as the second after it."""
    return gps_ms + 1000 * (GPS_EPOCH_UNIX_S - leap_seconds_at_gps_ms(gps_ms))


def gps_ms_from_unix_ms(unix_ms: int) -> int:
    """Return the GPS milliseconds of a POSIX time.

    Of the two instants with the same POSIX time at a leap second, the later one is returned.
    """
    return unix_ms + 1000 * (bisect_right(_STEPS_UNIX_MS, unix_ms) - GPS_EPOCH_UNIX_S)


def _in_leap_second(gps_ms: int) -> bool:
    following = bisect_right(_STEPS_GPS_MS, gps_ms)
    return following < len(_STEPS_GPS_MS) and gps_ms >= _STEPS_GPS_MS[following] - 1000


def utc_iso_from_gps_ms(gps_ms: int) -> str:
    """Return UTC as "YYYY-MM-DDThh:mm:ss.sssZ" (ISO 8601). Within a leap second the seconds are 60."""
    leap = _in_leap_second(gps_ms)
    unix_ms = unix_ms_from_gps_ms(gps_ms) - 1000 * leap
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=unix_ms)
    return f"{moment:%Y-%m-%dT%H:%M}:{moment.second + leap:02d}.{unix_ms % 1000:03d}Z"


def gps_ms_from_utc_iso(text: str) -> int:
    """Return the GPS milliseconds of a UTC time such as "2025-03-20T09:01:28.000Z"; the fraction is optional.

    Raises:
        ValueError: The text has another form, is not a valid date or time, or has a second 60 where no leap second was
            inserted.
    """
    match = _ISO_UTC.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a UTC time like 2025-03-20T09:01:28.000Z")
    day, hours, minutes, seconds, fraction = match.groups(default="0")
    try:
        midnight_ms = midnight_unix_ms(day)
    except ValueError as error:
        raise ValueError(f"{text!r} is not a UTC time: {error}") from error
    if int(hours) > 23 or int(minutes) > 59 or int(seconds) > 60:
        raise ValueError(f"{text!r} is not a UTC time: hours up to 23, minutes up to 59 and seconds up to 60 are valid")
    unix_ms = midnight_ms + 1000 * (3600 * int(hours) + 60 * int(minutes) + int(seconds)) + int(fraction.ljust(3, "0"))
    if int(seconds) < 60:
        return gps_ms_from_unix_ms(unix_ms)
    gps_ms = gps_ms_from_unix_ms(unix_ms) - 1000
    if not _in_leap_second(gps_ms):
        raise ValueError(f"{text!r} is not a UTC time: no leap second was inserted there")
    return gps_ms


def gps_ms_from_spacecraft_s(t_spacecraft_s: int, offset_ms: int) -> int:
    """Return the GPS ms of a spacecraft time; `offset_ms` is GPS time minus spacecraft time of the boot segment."""
    return 1000 * t_spacecraft_s + offset_ms


def spacecraft_offset_ms(t_spacecraft_s: int, gps_ms: int) -> int:
    """Return GPS time minus spacecraft time in milliseconds, from the times of one instant on both clocks."""
    return gps_ms - 1000 * t_spacecraft_s


TAG_JITTER_S: Final = 7
"""Largest inconsistency of spacecraft times that does not mean a restart of the clock. The host's time tags are up to
3 s early or late, and rounded to whole seconds."""


class SpacecraftReading(NamedTuple):
    """One instant on the spacecraft clock, s, and on the computer's monotonic clock, ns."""

    t_spacecraft_s: int
    t_mono_ns: int


def spacecraft_ms_at(t_mono_ns: int, reference: SpacecraftReading) -> int:
    """Return the spacecraft time at `t_mono_ns`, extrapolated from `reference`, in whole milliseconds, rounded down."""
    return 1000 * reference.t_spacecraft_s + (t_mono_ns - reference.t_mono_ns) // 1_000_000
