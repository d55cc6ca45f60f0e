import math

import erfa
import numpy as np
import pytest
import satkit

from pygnc.common.arrays import Array
from pygnc.common.clock import gps_ms_from_utc_iso, week_from_gps_ms
from pygnc.environment.sun_moon import (
    ASTRONOMICAL_UNIT_M,
    GM_MOON_M3_S2,
    GM_SUN_M3_S2,
    SunMoon,
    third_body_acceleration,
)
from pygnc.environment.time_scales import GPS_EPOCH_JULIAN_DATE, MS_PER_DAY, TT_MINUS_GPS_S
from tests.pygnc.environment.authority import brahe, epoch
from tests.pygnc.environment.moments import moments

# Geocentric Sun in GCRF in km, by satkit 0.24.1 from JPL's DE440 (satkit-data 0.9.0).
DE440_SUN_KM = (
    ("2000-01-01T12:00:00Z", 26_500_946, -132_757_095, -57_556_579),
    ("2003-03-21T01:02:03Z", 148_992_166, -79_776, -34_354),
    ("2006-06-21T05:30:00Z", 956_169, 139_481_920, 60_470_535),
    ("2009-09-23T09:15:00Z", -150_103_840, -847_842, -367_461),
    ("2012-12-21T11:11:11Z", -461_365, -135_019_378, -58_532_853),
    ("2016-02-29T23:59:59Z", 139_825_718, -45_144_260, -19_570_749),
    ("2019-05-05T17:00:00Z", 107_326_854, 97_303_184, 42_180_139),
    ("2022-08-14T04:44:44Z", -117_933_038, 87_322_856, 37_854_188),
    ("2025-11-03T20:20:20Z", -111_447_781, -89_879_952, -38_960_496),
    ("2029-07-04T08:00:00Z", -32_218_706, 136_382_917, 59_118_973),
)


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


@pytest.mark.parametrize(("utc", "x_km", "y_km", "z_km"), DE440_SUN_KM)
def test_the_sun_is_where_jpl_has_it(utc: str, x_km: int, y_km: int, z_km: int) -> None:
    sun_m, _ = SunMoon().at(gps_ms_from_utc_iso(utc))
    assert np.linalg.norm(sun_m / 1e3 - (x_km, y_km, z_km)) < 20.0


def test_the_sun_is_within_a_hundredth_of_a_degree_of_satkits() -> None:
    bodies = SunMoon()
    for gps_ms in moments():
        week, tow_ms = week_from_gps_ms(gps_ms)
        theirs = satkit.sun.pos_gcrf(satkit.time.from_gps_week_and_second(week, tow_ms * 1e-3))
        assert angle(bodies.at(gps_ms)[0], theirs) < math.radians(0.01)


def test_neglecting_aberration_costs_less_than_a_hundredth_of_a_degree() -> None:
    bodies, random = SunMoon(), np.random.default_rng(9)
    apart_rad = []
    for gps_ms in moments():
        date = GPS_EPOCH_JULIAN_DATE, (gps_ms * 1e-3 + TT_MINUS_GPS_S) / 86_400.0
        sun_m, _ = bodies.at(gps_ms)
        position_m, across = random.normal(size=(2, 3))
        position_m *= 6.9e6 / np.linalg.norm(position_m)
        across = np.cross(position_m, across)
        # Barycentric velocity of the Earth plus the satellite's around it, by the velocity of light.
        earth_m_s = erfa.epv00(*date)[1]["v"] * ASTRONOMICAL_UNIT_M / 86_400.0
        velocity = (earth_m_s + 7.6e3 * across / np.linalg.norm(across)) / 299_792_458.0
        towards = (sun_m - position_m) / np.linalg.norm(sun_m - position_m)
        seen = erfa.ab(towards, velocity, 1.0, math.sqrt(1.0 - velocity.dot(velocity)))
        apart_rad.append(angle(towards, seen))
    assert math.radians(0.004) < min(apart_rad)
    assert max(apart_rad) < math.radians(0.008)


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
