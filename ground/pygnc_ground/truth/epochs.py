"""Calendar times of ephemeris files in their time systems, converted to GPS time."""

import re
from datetime import date, timedelta
from functools import lru_cache

from pygnc.common.clock import gps_ms_from_utc_iso

_NS_PER_S = 1_000_000_000
_NS_PER_MS = 1_000_000
_S_PER_DAY = 86_400
_GPS_EPOCH = date(1980, 1, 6)
_YEARS = range(1980, 2200)
"""Supported years; nanoseconds of GPS time fit in 64 bits until 2272."""

_UTC_SYSTEMS = frozenset({"UTC", "GLO"})
"""GLONASS time in files is UTC without the three hours of Moscow time (RINEX 3.04, SP3-d)."""
_GPS_MINUS_SYSTEM_MS = {
    "GPS": 0,
    "GAL": 0,
    "QZS": 0,
    "IRN": 0,
    "TAI": -19_000,
    "TT": -51_184,
    "BDT": 14_000,
}
"""Galileo, QZSS and NavIC time equal GPS time to tens of nanoseconds; BeiDou time is 14 s behind."""
SP3_TIME_SYSTEMS = ("GPS", "GLO", "GAL", "BDT", "QZS", "IRN", "TAI", "UTC")
OEM_TIME_SYSTEMS = ("GPS", "TAI", "TT", "UTC")

_CCSDS_TIME = re.compile(r"(\d{4})-(?:(\d\d)-(\d\d)|(\d{3}))T(\d\d):(\d\d):(\d\d)(?:\.(\d*))?Z?", re.ASCII)


def calendar_date(year: int, month: int, day: int) -> date:
    """Return a date of the GPS era.

    Raises:
        ValueError: The date does not exist or is out of range.
    """
    if year not in _YEARS:
        raise ValueError(f"the year {year} is not in {_YEARS.start} to {_YEARS.stop - 1}; correct the date")
    try:
        return date(year, month, day)
    except ValueError as error:
        raise ValueError(f"{year}-{month:02d}-{day:02d} is not a date ({error}); correct the date") from error


def gps_ns_from_ccsds(text: str, time_system: str) -> int:
    """Return a CCSDS time (301.0-B-4, code A or B, such as 2025-079T09:01:28.5) in nanoseconds since the GPS epoch.

    Raises:
        ValueError: The text has another form, or the time does not exist.
    """
    match = _CCSDS_TIME.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a time; write 2025-03-20T09:01:28.000 or 2025-079T09:01:28.000")
    year, month, day, day_of_year, hour, minute, second, fraction = match.groups()
    if day_of_year is None:
        moment = calendar_date(int(year), int(month), int(day))
    else:
        moment = calendar_date(int(year), 1, 1) + timedelta(days=int(day_of_year) - 1)
        if moment.year != int(year):
            raise ValueError(f"{text!r}: day {day_of_year} does not exist in {year}; correct the date")
    digits = (fraction or "0")[:9].ljust(9, "0")
    return gps_ns(moment, int(hour), int(minute), int(second) * _NS_PER_S + int(digits), time_system)


def gps_ns(day: date, hour: int, minute: int, second_ns: int, time_system: str) -> int:
    """Return a clock reading in nanoseconds since the GPS epoch.

    Args:
        day: Date of the GPS era, by `calendar_date`.
        hour: Hour of the day, 0 to 23.
        minute: Minute of the hour, 0 to 59.
        second_ns: Seconds of the minute in nanoseconds; 60 s and more only in a leap second of UTC.
        time_system: A name in `SP3_TIME_SYSTEMS` or `OEM_TIME_SYSTEMS`.

    Raises:
        ValueError: The time does not exist or is before the GPS epoch.
    """
    of_day_ns = (3600 * hour + 60 * minute) * _NS_PER_S + second_ns
    begin_ns, end_ns = _day_gps_ns(day, time_system)
    longest_ns = 61 * _NS_PER_S if (hour, minute) == (23, 59) else 60 * _NS_PER_S
    within_minute = 0 <= hour < 24 and 0 <= minute < 60 and 0 <= second_ns < longest_ns
    if not (within_minute and begin_ns + of_day_ns < end_ns):
        raise ValueError(
            f"{day} {hour:02d}:{minute:02d}:{second_ns / _NS_PER_S:06.3f} does not exist in {time_system};"
            " correct the time"
        )
    return begin_ns + of_day_ns


@lru_cache(maxsize=16)
def _day_gps_ns(day: date, time_system: str) -> tuple[int, int]:
    """Return the first instants of a day and of the next; in UTC a day may have 86 401 s."""
    if day < _GPS_EPOCH:
        raise ValueError(f"{day} is before the GPS epoch, {_GPS_EPOCH}; correct the date")
    if time_system in _UTC_SYSTEMS:
        begin_ms, end_ms = (gps_ms_from_utc_iso(f"{at}T00:00:00Z") for at in (day, day + timedelta(days=1)))
        return begin_ms * _NS_PER_MS, end_ms * _NS_PER_MS
    begin_ms = (day - _GPS_EPOCH).days * _S_PER_DAY * 1000 + _GPS_MINUS_SYSTEM_MS[time_system]
    return begin_ms * _NS_PER_MS, (begin_ms + _S_PER_DAY * 1000) * _NS_PER_MS
