import erfa
import numpy as np
import pytest

from pygnc.environment.arrays import Array
from pygnc.environment.bodies import (
    ASTRONOMICAL_UNIT_M,
    GM_MOON_M3_S2,
    GM_SUN_M3_S2,
    SunMoon,
    third_body_acceleration,
)
from pygnc.environment.time_scales import GPS_EPOCH_JULIAN_DATE, MS_PER_DAY, TT_MINUS_GPS_S
from tests.flight.environment.authority import brahe, epoch
from tests.flight.environment.moments import moments


def gps_ms_of_tt(year: int, month: int, day: int) -> int:
    midnight, mjd = erfa.cal2jd(year, month, day)
    days = float(midnight + mjd) - GPS_EPOCH_JULIAN_DATE
    return round(days * MS_PER_DAY - TT_MINUS_GPS_S * 1e3)


def angle(a: Array, b: Array) -> float:
    return float(np.linalg.norm(np.cross(a, b)) / (np.linalg.norm(a) * np.linalg.norm(b)))


def test_published_distances_are_reproduced() -> None:
    """Meeus, Astronomical Algorithms (1998), examples 25.b (VSOP87, Sun) and 47.a (ELP-2000/82, Moon)."""
    sun_m, _ = SunMoon().at(gps_ms_of_tt(1992, 10, 13))
    _, moon_m = SunMoon().at(gps_ms_of_tt(1992, 4, 12))
    assert np.linalg.norm(sun_m) / ASTRONOMICAL_UNIT_M == pytest.approx(0.997_608_53, abs=2e-8)
    assert np.linalg.norm(moon_m) / 1e3 == pytest.approx(368_409.7, abs=0.1)


def test_directions_agree_with_an_independent_low_precision_ephemeris() -> None:
    bodies = SunMoon()
    for gps_ms in moments():
        sun_m, moon_m = bodies.at(gps_ms)
        assert angle(sun_m, brahe.sun_position(epoch(gps_ms))) < 3e-3
        assert angle(moon_m, brahe.moon_position(epoch(gps_ms))) < 3e-3


def test_interpolation_adds_less_than_a_metre() -> None:
    bodies = SunMoon()
    for gps_ms in moments():
        day, ms_of_day = divmod(gps_ms, MS_PER_DAY)
        date = GPS_EPOCH_JULIAN_DATE + day, (ms_of_day * 1e-3 + TT_MINUS_GPS_S) / 86_400.0
        sun_m, moon_m = bodies.at(gps_ms)
        assert np.linalg.norm(sun_m + erfa.epv00(*date)[0]["p"] * ASTRONOMICAL_UNIT_M) < 1.0
        assert np.linalg.norm(moon_m - erfa.moon98(*date)["p"] * ASTRONOMICAL_UNIT_M) < 1.0


def test_the_tide_agrees_with_brahe() -> None:
    position_m = np.array([4_897_631.4, -749_565.6, 4_842_564.5])
    nowhere = np.array([0.0, 0.0, 1e20])
    for gps_ms in moments()[::10]:
        sun_m = np.asarray(brahe.sun_position(epoch(gps_ms)))
        moon_m = np.asarray(brahe.moon_position(epoch(gps_ms)))
        by_sun = third_body_acceleration(position_m, sun_m, nowhere)
        by_moon = third_body_acceleration(position_m, nowhere, moon_m)
        np.testing.assert_allclose(by_sun, brahe.accel_third_body_sun(epoch(gps_ms), position_m), atol=1e-11)
        np.testing.assert_allclose(by_moon, brahe.accel_third_body_moon(epoch(gps_ms), position_m), atol=1e-11)


def test_the_tide_is_twice_the_gradient_towards_a_distant_body() -> None:
    radius_m, sun_m, moon_m = 7e6, 1.5e11, 3.8e8
    tide = third_body_acceleration(
        np.array([radius_m, 0.0, 0.0]), np.array([sun_m, 0.0, 0.0]), np.array([moon_m, 0.0, 0.0])
    )
    expected = 2.0 * radius_m * (GM_SUN_M3_S2 / sun_m**3 + GM_MOON_M3_S2 / moon_m**3)
    assert tide[0] == pytest.approx(expected, rel=0.03)
    assert tide[1] == tide[2] == 0.0
