from contextlib import suppress
from datetime import date

import erfa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygnc_ground.truth.epochs import (
    OEM_TIME_SYSTEMS,
    SP3_TIME_SYSTEMS,
    calendar_date,
    gps_ns,
    gps_ns_from_ccsds,
)

GPS_EPOCH_TAI = (2_444_244.5, 19.0 / 86_400.0)


def authority_ns(text: str, time_system: str) -> float:
    """Return the same time by erfa, accurate to a microsecond."""
    day, time = text.split("T")
    hour, minute, second = time.split(":")
    scale = "UTC" if time_system == "UTC" else "TAI"  # one without leap seconds
    moment = erfa.dtf2d(scale, *map(int, day.split("-")), int(hour), int(minute), float(second))
    tai = {"UTC": erfa.utctai, "TT": erfa.tttai}.get(time_system, lambda *parts: parts)(*moment)
    elapsed_s = ((tai[0] - GPS_EPOCH_TAI[0]) + (tai[1] - GPS_EPOCH_TAI[1])) * 86_400.0
    return float(elapsed_s + (19.0 if time_system == "GPS" else 0.0)) * 1e9


LEAP_TIMES = [
    f"{day}T{time}"
    for day, after in (
        ("2005-12-31", "2006-01-01"),
        ("2008-12-31", "2009-01-01"),
        ("2012-06-30", "2012-07-01"),
        ("2015-06-30", "2015-07-01"),
        ("2016-12-31", "2017-01-01"),
    )
    for day, time in ((day, "23:59:59.5"), (after, "00:00:00.25"), (day, "12:00:00"))
]


@pytest.mark.parametrize("time_system", OEM_TIME_SYSTEMS)
@pytest.mark.parametrize("text", [*LEAP_TIMES, "1999-08-22T00:00:00", "2019-04-07T00:00:00", "2025-03-20T09:01:28.125"])
def test_times_are_those_of_the_iau_routines(text: str, time_system: str) -> None:
    assert gps_ns_from_ccsds(text, time_system) == pytest.approx(authority_ns(text, time_system), abs=2e3, rel=0.0)


@pytest.mark.parametrize("year", [2005, 2008, 2012, 2015, 2016])
def test_a_leap_second_of_utc_has_times_of_its_own(year: int) -> None:
    day = f"{year}-06-30" if year in (2012, 2015) else f"{year}-12-31"
    before, within, later = (
        gps_ns_from_ccsds(f"{day}T23:59:{second}", "UTC") for second in ("59.000", "60.000", "60.999999999")
    )
    assert within - before == 10**9
    assert later - within == 999_999_999
    assert within == pytest.approx(authority_ns(f"{day}T23:59:60", "UTC"), abs=2e3, rel=0.0)
    for time_system in ("GPS", "TAI", "TT"):
        with pytest.raises(ValueError, match=f"does not exist in {time_system}"):
            gps_ns_from_ccsds(f"{day}T23:59:60", time_system)


@given(st.dates(date(1980, 1, 6), date(2199, 12, 31)), st.integers(0, 86_400 * 10**9 - 1))
def test_day_of_year_and_month_are_the_same_time(day: date, of_day_ns: int) -> None:
    second, fraction_ns = divmod(of_day_ns, 10**9)
    time = f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}.{fraction_ns:09d}Z"
    found = gps_ns_from_ccsds(f"{day.isoformat()}T{time}", "GPS")
    assert found == gps_ns_from_ccsds(f"{day:%Y-%j}T{time}", "GPS")
    assert found == (day - date(1980, 1, 6)).days * 86_400 * 10**9 + of_day_ns


@pytest.mark.parametrize(
    ("time_system", "behind_gps_s"),
    [("GPS", 0), ("GAL", 0), ("QZS", 0), ("IRN", 0), ("BDT", 14), ("UTC", 18), ("GLO", 18), ("TAI", -19)],
)
def test_the_clocks_of_the_navigation_systems(time_system: str, behind_gps_s: int) -> None:
    # BeiDou time started at 2006-01-01 00:00:00 UTC, when GPS time was 14 s ahead of UTC (BDS-SIS-ICD).
    assert time_system in SP3_TIME_SYSTEMS
    noon = (date(2025, 3, 20), 12, 0, 0)
    assert gps_ns(*noon, time_system) - gps_ns(*noon, "GPS") == behind_gps_s * 10**9


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("2025-03-20 00:00:00", "is not a time"),
        ("2025-03-20T00:00", "is not a time"),
        ("25-03-20T00:00:00", "is not a time"),
        ("2025-13-20T00:00:00", "is not a date"),
        ("2025-02-29T00:00:00", "is not a date"),
        ("2025-366T00:00:00", "day 366"),
        ("2025-000T00:00:00", "day 000"),
        ("2025-03-20T24:00:00", "does not exist in UTC"),
        ("2025-03-20T00:60:00", "does not exist in UTC"),
        ("2025-03-20T23:59:60", "does not exist in UTC"),
        ("2016-12-31T22:59:60", "does not exist in UTC"),
        ("2016-12-31T23:59:61", "does not exist in UTC"),
        ("1980-01-05T00:00:00", "before the GPS epoch"),
        ("1979-01-05T00:00:00", "year 1979"),
        ("9999-366T00:00:00", "year 9999"),
    ],
)
def test_invalid_times_are_rejected(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        gps_ns_from_ccsds(text, "UTC")


@pytest.mark.parametrize(("hour", "minute", "second_ns"), [(-1, 0, 0), (0, -1, 0), (0, 0, -1), (24, 0, 0), (0, 60, 0)])
def test_readings_outside_the_day_are_rejected(hour: int, minute: int, second_ns: int) -> None:
    with pytest.raises(ValueError, match="does not exist in GPS"):
        gps_ns(date(2025, 3, 20), hour, minute, second_ns, "GPS")


@given(st.text(max_size=30) | st.from_regex(r"\A\d{4}-\d{2,3}(-\d\d)?T\d\d:\d\d:\d\d\.\d*Z?\Z"))
def test_any_text_is_a_time_or_rejected(text: str) -> None:
    with suppress(ValueError):
        assert 0 < gps_ns_from_ccsds(text, "UTC") + 10**15 < 2**63


@given(st.integers(-10, 10_000), st.integers(-1, 14), st.integers(-1, 33))
def test_any_three_numbers_are_a_date_or_rejected(year: int, month: int, day: int) -> None:
    with suppress(ValueError):
        assert calendar_date(year, month, day) == date(year, month, day)
