"""GPS time against UTC, TAI, TT and UT1 by erfa, and against brahe's and satkit's clocks; erfa knows no GPS time.

What is told in milliseconds must agree exactly once the authority's rounding (1 us) is taken off; what is told as a
Julian date must agree to a microsecond.
"""

from datetime import UTC, datetime, timedelta

import erfa
import numpy as np
import pytest
import satkit
from hypothesis import given
from hypothesis import strategies as st

from pygnc.common import clock
from pygnc.common.arrays import Array
from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc.environment.time_scales import TAI_MINUS_GPS_S, TT_MINUS_GPS_S, julian_date
from tests.pygnc.environment.authority import EOP, brahe

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
def test_unknown_and_invalid_times_are_none(week: int, tow_ms: int) -> None:
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
def test_rejects_text_that_is_not_utc(text: str) -> None:
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
    assert clock.spacecraft_ms_at(reference.t_mono_ns + elapsed_ns, reference) // 1000 == shown_s


MICROSECOND = 1e-6
LEAP_DAYS = {"2005-12-31": 14, "2008-12-31": 15, "2012-06-30": 16, "2015-06-30": 17, "2016-12-31": 18}
"""Days that end with a leap second, and GPS-UTC in s after it (IERS Bulletin C)"""
AROUND_S = (-86_399.0, -1.0, -0.5, -0.001, 0.0, 0.001, 0.5, 0.999, 1.0, 1.001, 2.0, 86_400.0)
"""From the start of the leap second, which lasts to 1"""
ROLL_OVERS = {"1999-08-22": 1024, "2019-04-07": 2048}
"""First days, in GPS time, of weeks whose number modulo 1024 is 0"""


def leap_second_gps_ms(day: str) -> int:
    return clock.gps_ms_from_utc_iso(f"{day}T23:59:60Z")


def around_events() -> list[int]:
    """Before, at and after leap seconds and roll-overs."""
    leaps = [leap_second_gps_ms(day) + round(1000 * after_s) for day in LEAP_DAYS for after_s in AROUND_S]
    weeks = [week * clock.MS_PER_WEEK + ms for week in ROLL_OVERS.values() for ms in (-1000, -1, 0, 1, 1000)]
    return leaps + weeks


MOMENTS = [
    *around_events(),
    *np.random.default_rng(3)
    .integers(clock.gps_ms_from_utc_iso("1980-01-13T00:00:00Z"), clock.LEAP_SECONDS_VALID_UNTIL_GPS_MS, 100)
    .tolist(),
]


def utc_fields(gps_ms: int) -> tuple[list[int], float]:
    """Year, month, day, hour and minute of our text, and its seconds."""
    text = clock.utc_iso_from_gps_ms(gps_ms)
    return [int(text[begin:end]) for begin, end in ((0, 4), (5, 7), (8, 10), (11, 13), (14, 16))], float(text[17:-1])


def utc_by_erfa(gps_ms: int) -> tuple[float, float]:
    """erfa's quasi Julian date, made from our text."""
    calendar, second = utc_fields(gps_ms)
    first, rest = erfa.dtf2d("UTC", *calendar, second)
    return float(first), float(rest)


def seconds_apart(ours: tuple[float, Array], theirs: tuple[float, float]) -> float:
    return float(((ours[0] - theirs[0]) + (ours[1][0] - theirs[1])) * 86_400.0)


def test_tai_and_tt_are_those_of_the_iau_routines() -> None:
    for gps_ms in MOMENTS:
        tai = erfa.utctai(*utc_by_erfa(gps_ms))
        assert abs(seconds_apart(julian_date(gps_ms, np.array([TAI_MINUS_GPS_S])), tai)) < MICROSECOND
        assert abs(seconds_apart(julian_date(gps_ms, np.array([TT_MINUS_GPS_S])), erfa.taitt(*tai))) < MICROSECOND


def test_utc_from_gps_time_is_that_of_the_iau_routines() -> None:
    for gps_ms in MOMENTS:
        day, of_day_ms = divmod(gps_ms, 86_400_000)
        utc = erfa.taiutc(2_444_244.5 + day, of_day_ms / 86_400_000 + 19.0 / 86_400.0)
        year, month, date, hmsf = erfa.d2dtf("UTC", 3, *utc)
        hour, minute, second, millisecond = (int(part) for part in hmsf.tolist())
        expected = (
            f"{int(year)}-{int(month):02d}-{int(date):02d}T{hour:02d}:{minute:02d}:{second:02d}.{millisecond:03d}Z"
        )
        assert clock.utc_iso_from_gps_ms(gps_ms) == expected
        assert clock.gps_ms_from_utc_iso(expected) == gps_ms


def test_ut1_is_that_of_the_iau_routines_with_the_same_parameters() -> None:
    days = np.arange(50_000.0, 61_400.0)
    ut1_minus_utc_s = np.array([EOP.get_ut1_utc(mjd) for mjd in days.tolist()])
    table = EarthOrientationTable("test", days, np.stack((ut1_minus_utc_s, *np.zeros((4, len(days)))), axis=1))
    leap_s = np.array([int(erfa.dat(*erfa.jd2cal(2_400_000.5, mjd)[:3], 0.0)) for mjd in days.tolist()])
    for gps_ms in MOMENTS:
        utc = utc_by_erfa(gps_ms)
        mjd_utc = (utc[0] - 2_400_000.5) + utc[1]
        if not days[0] <= mjd_utc < days[-1]:
            continue
        # TAI runs evenly, so UT1-TAI is what can be interpolated; erfa's date stretches over a day with a leap second.
        tai = erfa.utctai(*utc)
        tai_at_0h = days + leap_s / 86_400.0
        ut1_minus_tai_s = float(np.interp((tai[0] - 2_400_000.5) + tai[1], tai_at_0h, ut1_minus_utc_s - leap_s))
        expected = erfa.taiut1(*tai, ut1_minus_tai_s)
        ours = julian_date(gps_ms, np.array([table.at(gps_ms).ut1_minus_gps_s]))
        assert abs(seconds_apart(ours, expected)) < MICROSECOND


def test_utc_and_weeks_are_those_of_brahe() -> None:
    for gps_ms in MOMENTS:
        week, tow_ms = clock.week_from_gps_ms(gps_ms)
        epoch = brahe.Epoch.from_gps_date(week, tow_ms / 1000.0)
        *calendar, second, nanosecond = epoch.to_datetime_as_time_system(brahe.TimeSystem.UTC)
        our_calendar, our_second = utc_fields(gps_ms)
        assert our_calendar == calendar
        assert our_second == pytest.approx(second + nanosecond * 1e-9, abs=MICROSECOND)
        their_week, their_tow_s = epoch.gps_date()
        assert their_week * clock.MS_PER_WEEK + 1000.0 * their_tow_s == pytest.approx(gps_ms, abs=1e-3, rel=0.0)


def test_utc_is_that_of_satkit() -> None:
    for gps_ms in MOMENTS:
        week, tow_ms = clock.week_from_gps_ms(gps_ms)
        moment = satkit.time.from_gps_week_and_second(week, tow_ms / 1000.0)
        *calendar, second = moment.to_gregorian()
        our_calendar, our_second = utc_fields(gps_ms)
        assert our_calendar == calendar
        assert our_second == pytest.approx(second, abs=MICROSECOND)


@pytest.mark.parametrize(("day", "gps_minus_utc_s"), list(LEAP_DAYS.items()))
def test_the_offset_from_utc_steps_after_the_leap_second(day: str, gps_minus_utc_s: int) -> None:
    begin_ms = leap_second_gps_ms(day)
    assert clock.leap_seconds_at_gps_ms(begin_ms - 1) == gps_minus_utc_s - 1
    assert clock.leap_seconds_at_gps_ms(begin_ms + 999) == gps_minus_utc_s - 1
    assert clock.leap_seconds_at_gps_ms(begin_ms + 1000) == gps_minus_utc_s
    texts = [clock.utc_iso_from_gps_ms(begin_ms + ms) for ms in (-1000, 0, 1000)]
    assert [text[11:19] for text in texts] == ["23:59:59", "23:59:60", "00:00:00"]
    # POSIX counts no leap second, so the second after it has its number.
    unix_ms = [clock.unix_ms_from_gps_ms(begin_ms + ms) for ms in (-1000, 0, 1000)]
    assert unix_ms == [unix_ms[1] - 1000, unix_ms[1], unix_ms[1]]


@pytest.mark.parametrize(("day", "week"), list(ROLL_OVERS.items()))
def test_weeks_count_on_over_the_roll_over_of_ten_bits(day: str, week: int) -> None:
    # IS-GPS-200: the broadcast number is modulo 1024; the receiver's, and ours, is the full one.
    begin_ms = clock.gps_ms_from_week(week, 0)
    assert begin_ms is not None
    leap_s = clock.leap_seconds_at_gps_ms(begin_ms)
    assert clock.utc_iso_from_gps_ms(begin_ms + 1000 * leap_s) == f"{day}T00:00:00.000Z"
    assert clock.week_from_gps_ms(begin_ms - 1) == (week - 1, clock.MS_PER_WEEK - 1)
    assert clock.week_from_gps_ms(begin_ms) == (week, 0)
    assert week % 1024 == 0
    weeks, tows_ms = np.array([week - 1, week], dtype=np.uint16), np.array([604_799_999, 0], dtype=np.uint32)
    np.testing.assert_array_equal(np.diff(clock.gps_ms_from_weeks(weeks, tows_ms)), [1])
