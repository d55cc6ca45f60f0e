from datetime import UTC, datetime, timedelta

import erfa
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygnc.common import clock

LEAP_2016_GPS_MS = 1_167_264_017_000
"""2016-12-31 23:59:60 UTC, the start of the last leap second: 1 167 264 017 s after the GPS epoch."""

weeks = st.integers(1, 65_535)
tows = st.integers(0, clock.MS_PER_WEEK - 1)
gps_times = st.integers(0, clock.LEAP_SECONDS_VALID_UNTIL_GPS_MS)


@given(weeks, tows)
def test_week_round_trip(week: int, tow_ms: int) -> None:
    gps_ms = clock.gps_ms_from_week(week, tow_ms)
    assert gps_ms is not None
    assert clock.week_from_gps_ms(gps_ms) == (week, tow_ms)


@pytest.mark.parametrize(("week", "tow_ms"), [(0, 43_000), (2283, clock.MS_PER_WEEK), (2283, -1), (-1, 0)])
def test_no_time_is_told(week: int, tow_ms: int) -> None:
    assert clock.gps_ms_from_week(week, tow_ms) is None
    assert clock.gps_ms_from_weeks(np.array([week]), np.array([tow_ms]))[0] == clock.UNKNOWN_GPS_MS


@given(st.lists(st.tuples(st.integers(0, 65_535), st.integers(0, 2**32 - 1)), min_size=1, max_size=20))
def test_arrays_agree_with_scalars_whatever_their_integer_type(pairs: list[tuple[int, int]]) -> None:
    week = np.array([week for week, _ in pairs], dtype="<u2")
    tow_ms = np.array([tow for _, tow in pairs], dtype="<u4")
    expected = [clock.gps_ms_from_week(*pair) for pair in pairs]
    actual = clock.gps_ms_from_weeks(week, tow_ms).tolist()
    assert actual == [clock.UNKNOWN_GPS_MS if value is None else value for value in expected]


@given(gps_times)
def test_utc_against_erfa(gps_ms: int) -> None:
    midnight_jd, fraction_day = 2_444_244.5 + gps_ms // 86_400_000, gps_ms % 86_400_000 / 86_400_000
    # TAI = GPS + 19 s; erfa carries its own table of leap seconds.
    utc1, utc2 = erfa.taiutc(midnight_jd, fraction_day + 19 / 86_400)
    year, month, day, (hour, minute, second, millisecond) = erfa.d2dtf("UTC", 3, utc1, utc2)
    hmsf = [int(part) for part in (hour, minute, second, millisecond)]
    expected = "{}-{:02d}-{:02d}T{:02d}:{:02d}:{:02d}.{:03d}Z".format(int(year), int(month), int(day), *hmsf)
    assert clock.utc_iso_from_gps_ms(gps_ms) == expected
    assert clock.gps_ms_from_utc_iso(expected) == gps_ms


def test_table_agrees_with_erfa_entry_by_entry() -> None:
    steps = [entry for entry in erfa.leap_seconds.get() if (entry["year"], entry["month"]) > (1980, 1)]
    for entry in steps:
        gps_ms = clock.gps_ms_from_utc_iso(f"{entry['year']}-{entry['month']:02d}-01T00:00:00Z")
        assert clock.leap_seconds_at_gps_ms(gps_ms) == entry["tai_utc"] - 19
        assert clock.leap_seconds_at_gps_ms(gps_ms - 1) == entry["tai_utc"] - 20
    assert len(steps) == 18


@given(gps_times)
def test_unix_round_trip_outside_leap_seconds(gps_ms: int) -> None:
    back = clock.gps_ms_from_unix_ms(clock.unix_ms_from_gps_ms(gps_ms))
    assert back == gps_ms + 1000 * (clock.utc_iso_from_gps_ms(gps_ms)[17:19] == "60")


@given(st.datetimes(datetime(1980, 1, 6), datetime(2027, 6, 27)))  # noqa: DTZ001 (hypothesis wants naive bounds)
def test_unix_against_the_standard_library(moment: datetime) -> None:
    text = f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
    unix_ms = (moment.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    assert clock.unix_ms_from_gps_ms(clock.gps_ms_from_utc_iso(text)) == unix_ms


@pytest.mark.parametrize(
    ("after_ms", "text", "unix_ms"),
    [
        (-1, "2016-12-31T23:59:59.999Z", 1_483_228_799_999),
        (0, "2016-12-31T23:59:60.000Z", 1_483_228_800_000),
        (999, "2016-12-31T23:59:60.999Z", 1_483_228_800_999),
        (1000, "2017-01-01T00:00:00.000Z", 1_483_228_800_000),
    ],
)
def test_across_the_leap_second_of_2016(after_ms: int, text: str, unix_ms: int) -> None:
    assert clock.utc_iso_from_gps_ms(LEAP_2016_GPS_MS + after_ms) == text
    assert clock.gps_ms_from_utc_iso(text) == LEAP_2016_GPS_MS + after_ms
    assert clock.unix_ms_from_gps_ms(LEAP_2016_GPS_MS + after_ms) == unix_ms


@pytest.mark.parametrize(
    "text",
    [
        "2025-03-20",
        "2025-03-20T09:01:28",
        "2025-13-20T09:01:28Z",
        "2025-02-29T09:01:28Z",
        "2025-03-20T24:00:00Z",
        "2025-03-20T09:60:00Z",
        "2025-12-31T23:59:60Z",
        "2016-12-31T22:59:60Z",
        "2025-03-20T09:01:61Z",
    ],
)
def test_what_is_no_utc_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"UTC time|no leap second"):
        clock.gps_ms_from_utc_iso(text)


@given(st.integers(0, 2**32 - 1), gps_times)
def test_spacecraft_time_round_trip(t_spacecraft_s: int, gps_ms: int) -> None:
    offset_ms = clock.spacecraft_offset_ms(t_spacecraft_s, gps_ms)
    assert clock.gps_ms_from_spacecraft_s(t_spacecraft_s, offset_ms) == gps_ms


@pytest.mark.parametrize(
    ("elapsed_ns", "shown_s"), [(0, 500), (999_999_999, 500), (1_000_000_000, 501), (-1, 499), (61_500_000_000, 561)]
)
def test_spacecraft_time_advances_with_the_monotonic_clock(elapsed_ns: int, shown_s: int) -> None:
    reference = clock.SpacecraftReading(t_spacecraft_s=500, t_mono_ns=7_000_000_123)
    assert clock.spacecraft_s_at(reference.t_mono_ns + elapsed_ns, reference) == shown_s
