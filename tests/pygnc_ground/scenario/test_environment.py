"""Frames, Sun, eclipse and magnetic field against erfa, closed forms and another field model."""
# mypy: disable-error-code="arg-type"
# brahe's stubs declare the members of its enumerations as methods.

import brahe
import erfa
import numpy as np
import pytest

from pygnc.common.clock import gps_ms_from_utc_iso
from pygnc_ground.scenario import environment

START_GPS_MS = 2358 * 604_800_000 + 345_600_000
T_S = np.arange(0.0, 86_400.0, 7200.0)
ORBIT_RADIUS_M = 6.9e6
AU_M = 149_597_870_700.0
SUN_RADIUS_M = 6.957e8


def test_the_instants_are_gps_time() -> None:
    # 2025-03-20 00:00:18 UTC is 18 leap seconds after the same reading of a GPS clock.
    (instant,) = environment.epochs(START_GPS_MS, [36.0])
    assert instant.to_time_system(brahe.TimeSystem.UTC).isostring() == "2025-03-20T00:00:18Z"


def test_the_rotation_to_itrf_against_erfa() -> None:
    instants = environment.epochs(START_GPS_MS, T_S)
    for rotation, instant in zip(environment.itrf_from_gcrf(instants), instants, strict=True):
        mjd_utc = instant.mjd_as_time_system(brahe.TimeSystem.UTC)
        mjd_tt = instant.mjd_as_time_system(brahe.TimeSystem.TT)
        xp, yp = brahe.get_global_pm(mjd_utc)
        mjd_ut1 = mjd_utc + brahe.get_global_ut1_utc(mjd_utc) / 86_400.0
        expected = erfa.c2t06a(2_400_000.5, mjd_tt, 2_400_000.5, mjd_ut1, xp, yp)
        # erfa's call omits the celestial pole offsets, some 3e-9 rad.
        np.testing.assert_allclose(rotation, expected, atol=6e-9)


def test_the_sun_crosses_the_equator_at_the_published_equinox() -> None:
    # 2025-03-20 09:01 UTC (Astronomical Almanac), apparent place: equator of date, aberration of 20.5 arc seconds.
    equinox_s = 9 * 3600 + 60 + 18
    (sun_m,) = environment.sun_position_gcrf_m(START_GPS_MS, [equinox_s])
    of_date = erfa.pnm06a(2_400_000.5, 60_754.376) @ sun_m
    longitude_rad = np.arctan2(of_date[1], of_date[0]) - np.radians(20.5 / 3600.0) * np.cos(np.radians(23.44))
    declination_rad = np.arcsin(of_date[2] / np.linalg.norm(of_date)) - np.radians(20.5 / 3600.0) * np.sin(
        np.radians(23.44)
    )
    # The Sun moves an arc second in 24 s, and the published minute is rounded.
    np.testing.assert_allclose([longitude_rad, declination_rad], 0.0, atol=np.radians(3.0 / 3600.0))


def test_the_sun_against_brahes_series() -> None:
    t_s = 86_400.0 * np.arange(0.0, 360.0, 30.0)
    expected = [brahe.sun_position(instant) for instant in environment.epochs(START_GPS_MS, t_s)]
    np.testing.assert_allclose(environment.sun_position_gcrf_m(START_GPS_MS, t_s), expected, atol=2e-3 * AU_M)


def test_the_shadow_is_a_cone_with_a_penumbra() -> None:
    sun_m = np.array([AU_M, 0.0, 0.0])
    # Angle from the anti-solar point at which the Sun's centre, seen from the satellite, touches the Earth's edge.
    edge_rad = np.arcsin(brahe.R_EARTH / ORBIT_RADIUS_M)
    sun_half_angle_rad = SUN_RADIUS_M / AU_M
    angle_rad = edge_rad + sun_half_angle_rad * np.array([-1.05, -0.95, 0.0, 0.95, 1.05])
    position_m = ORBIT_RADIUS_M * np.column_stack((-np.cos(angle_rad), np.sin(angle_rad), np.zeros(5)))
    lit = environment.sunlit_fraction(position_m, np.tile(sun_m, (5, 1)))
    assert lit[0] == 0.0
    assert 0.0 < lit[1] < 0.1
    assert lit[2] == pytest.approx(0.5, abs=0.05)
    assert 0.9 < lit[3] < 1.0
    assert lit[4] == 1.0


def test_a_satellite_between_earth_and_sun_is_lit() -> None:
    sun_m = np.array([[AU_M, 0.0, 0.0]])
    assert environment.sunlit_fraction(np.array([[ORBIT_RADIUS_M, 0.0, 0.0]]), sun_m)[0] == 1.0
    assert environment.sunlit_fraction(np.array([[-ORBIT_RADIUS_M, 0.0, 0.0]]), sun_m)[0] == 0.0


@pytest.mark.parametrize("height_m", [0.0, 8e3, 20e3, 60e3])
def test_the_air_dims_rays_as_an_integral_along_them_does(height_m: float) -> None:
    # The satellite is far behind the terminator, on a ray that touches this height over the equator.
    position_m = np.array([[-2.5e6, brahe.R_EARTH + height_m, 0.0]])
    sun_m = np.array([[AU_M, brahe.R_EARTH + height_m, 0.0]])
    along_m = np.arange(-1e6, 1e6, 100.0)
    heights_m = np.hypot(along_m, brahe.R_EARTH + height_m) - brahe.R_EARTH
    depth = 0.1 * np.sum(np.exp(-heights_m / 8000.0)) * 100.0 / 8000.0
    (through,) = environment.air_transmission(position_m, sun_m, 0.1)
    assert through == pytest.approx(np.exp(-depth), rel=0.01)
    assert environment.air_transmission(position_m, sun_m, 0.0) == 1.0
    before_m = position_m * [-1.0, 1.0, 1.0]
    assert environment.air_transmission(before_m, sun_m, 0.1) == 1.0, "the air is behind the satellite"


def test_the_share_of_a_circular_orbit_in_shadow_is_the_closed_form() -> None:
    around_rad = np.linspace(0.0, 2.0 * np.pi, 20_000, endpoint=False)
    position_m = ORBIT_RADIUS_M * np.column_stack((np.cos(around_rad), np.sin(around_rad), np.zeros(20_000)))
    lit = environment.sunlit_fraction(position_m, np.tile([AU_M, 0.0, 0.0], (20_000, 1)))
    assert 1.0 - lit.mean() == pytest.approx(np.arcsin(brahe.R_EARTH / ORBIT_RADIUS_M) / np.pi, abs=1e-3)


def test_the_field_against_the_world_magnetic_model() -> None:
    rng = np.random.default_rng(1)
    direction = rng.standard_normal((12, 3))
    position_m = ORBIT_RADIUS_M * direction / np.linalg.norm(direction, axis=1, keepdims=True)
    instants = environment.epochs(START_GPS_MS, T_S)
    geodetic = brahe.position_ecef_to_geodetic(position_m, brahe.AngleFormat.RADIANS)
    expected = [
        brahe.wmmhr_ecef(instant, place, brahe.AngleFormat.RADIANS)
        for instant, place in zip(instants, geodetic, strict=True)
    ]
    field_ut = environment.magnetic_field_itrf_ut(instants, position_m)
    np.testing.assert_allclose(field_ut, np.array(expected) * 1e-3, atol=0.15)


def test_the_field_points_down_in_the_north_and_along_the_equator_to_the_north() -> None:
    poles_and_equator_m = ORBIT_RADIUS_M * np.array([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])
    field_ut = environment.magnetic_field_itrf_ut(
        environment.epochs(START_GPS_MS, [0.0, 0.0, 0.0]), poles_and_equator_m
    )
    assert np.all(field_ut[:2, 2] < -35.0)
    assert field_ut[2, 2] > 15.0


@pytest.mark.parametrize("day", ["1980-01-12", "2040-01-01"])
def test_times_outside_the_bundled_tables_are_rejected(day: str) -> None:
    gps_ms = gps_ms_from_utc_iso(f"{day}T00:00:00Z")
    with pytest.raises(ValueError, match="cover 1980-01-13 to 20"):
        environment.require_coverage(gps_ms, gps_ms + 1)


def test_times_inside_the_bundled_tables_are_accepted() -> None:
    environment.require_coverage(START_GPS_MS, START_GPS_MS + 86_400_000)
