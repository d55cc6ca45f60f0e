"""Environment of the satellite: Earth orientation, Sun, eclipse, magnetic field, computed by brahe and erfa.

brahe is the independent reference: the models of the flight software (pygnc.environment) share no code with it. Nothing
is downloaded; Earth orientation, space weather, EGM2008 and IGRF-14 come with the package. brahe's force models use
low-precision series for Sun and Moon with errors of 0.08 degrees in 2025. That is enough for their attraction but not
for sun sensors and eclipses, so the position of the Sun comes from erfa.
"""
# mypy: disable-error-code="arg-type, misc, operator"
# brahe's stubs declare enumeration members as methods, and the type of Epoch + float as float.

from __future__ import annotations  # brahe's types are not evaluated

from collections.abc import Sequence
from functools import cache
from typing import Final, NamedTuple

import erfa
import numpy as np
import numpy.typing as npt

from pygnc.common.clock import gps_ms_from_utc_iso, week_from_gps_ms
from pygnc_ground.scenario.reference import brahe

FloatArray = npt.NDArray[np.float64]

_UT_PER_NT = 1e-3
_GPS_EPOCH_JD = 2_444_244.5
_TT_MINUS_GPS_S = 51.184
_GPS_WEEK_1_MJD = 44_251.0
"""1980-01-13; week 0 stands for an unknown time."""


@cache
def _load_earth_data() -> None:
    """Load brahe's bundled tables into its global providers, once per process."""
    brahe.set_global_eop_provider(brahe.FileEOPProvider.from_default_standard(interpolate=True, extrapolate="Error"))
    brahe.set_global_space_weather_provider(brahe.FileSpaceWeatherProvider.from_default_file())


def epochs(start_gps_ms: int, t_s: npt.ArrayLike) -> list[brahe.Epoch]:
    """Return the instants `t_s` seconds after the start, shape (n,)."""
    _load_earth_data()
    week, tow_ms = week_from_gps_ms(start_gps_ms)
    start = brahe.Epoch.from_gps_date(week, tow_ms / 1000.0)
    return [start + float(seconds) for seconds in np.asarray(t_s)]


def covers(first_gps_ms: int, last_gps_ms: int) -> bool:
    """Return True if brahe is installed and its tables cover a time span."""
    try:
        require_coverage(first_gps_ms, last_gps_ms)
    except (ModuleNotFoundError, ValueError):
        return False
    return True


def require_coverage(first_gps_ms: int, last_gps_ms: int) -> None:
    """Check that the bundled tables cover a time span, given in milliseconds since the GPS epoch.

    Raises:
        ValueError: The tables do not cover the span; the message names the first and last day of the tables.
    """
    _load_earth_data()
    first_day, last_day = (
        brahe.Epoch.from_mjd(mjd, brahe.TimeSystem.UTC).isostring()[:10]
        for mjd in (_GPS_WEEK_1_MJD, brahe.get_global_eop_mjd_last_dxdy() - 1.0)
    )
    known = range(gps_ms_from_utc_iso(f"{first_day}T00:00:00Z"), gps_ms_from_utc_iso(f"{last_day}T00:00:00Z"))
    if first_gps_ms not in known or last_gps_ms not in known:
        raise ValueError(
            f"the tables of Earth orientation and GPS weeks cover {first_day} to {last_day} only; change the time"
        )


def itrf_from_gcrf(instants: Sequence[brahe.Epoch]) -> FloatArray:
    """Return rotation matrices by IAU 2006/2000A with Earth orientation parameters, shape (n, 3, 3)."""
    return np.asarray(brahe.rotation_gcrf_to_itrf(instants))


def sun_position_gcrf_m(start_gps_ms: int, t_s: npt.ArrayLike) -> FloatArray:
    """Return the geocentric position of the Sun in GCRF `t_s` seconds after the start, shape (n, 3).

    The position is geometric, without aberration.
    Source: VSOP2000 as truncated in erfa's epv00, accurate to 0.01 arc seconds.
    """
    elapsed_s = start_gps_ms / 1000.0 + np.asarray(t_s, dtype=np.float64) + _TT_MINUS_GPS_S
    heliocentric_earth, _ = erfa.epv00(_GPS_EPOCH_JD, elapsed_s / 86_400.0)
    return -brahe.AU * np.asarray(heliocentric_earth["p"], dtype=np.float64)


def sun_position_itrf_m(start_gps_ms: int, t_s: npt.ArrayLike) -> FloatArray:
    """Return the geocentric position of the Sun in ITRF `t_s` seconds after the start, shape (n, 3)."""
    rotations = itrf_from_gcrf(epochs(start_gps_ms, t_s))
    return np.asarray(np.einsum("nij,nj->ni", rotations, sun_position_gcrf_m(start_gps_ms, t_s)))


def sunlit_fraction(position_gcrf_m: FloatArray, sun_gcrf_m: FloatArray) -> FloatArray:
    """Return the visible fraction of the Sun's disc, 0 to 1 (conical shadow); shapes (n, 3), (n, 3) -> (n,).

    The Earth's flattening shifts the edges of the shadow by seconds. The geometry is therefore stretched along the
    polar axis until the Earth is a sphere; lines of sight stay straight, and the distortion of the Sun's disc is
    negligible.
    """
    pairs = zip(_STRETCH * position_gcrf_m, _STRETCH * sun_gcrf_m, strict=True)
    return np.array([brahe.eclipse_conical(*pair) for pair in pairs])


_STRETCH: Final = np.array((1.0, 1.0, 1.0 / (1.0 - 1.0 / 298.257223563)))
"""Factors that make a sphere of the ellipsoid of WGS84."""
_SCALE_HEIGHT_M: Final = 8_000.0


def air_transmission(position_gcrf_m: FloatArray, sun_gcrf_m: FloatArray, optical_depth: float) -> FloatArray:
    """Return the part of the light of the Sun's centre that the air lets through; shapes (n, 3), (n, 3) -> (n,).

    The density decreases exponentially, so that a ray with the grazing height h crosses
    sqrt(2 pi R / H) exp(-h / H) times the depth towards the zenith. Rays are straight: refraction matters below 10 km,
    where little light is left.
    """
    position_m, to_sun = _STRETCH * position_gcrf_m, _STRETCH * (sun_gcrf_m - position_gcrf_m)
    to_sun /= np.linalg.norm(to_sun, axis=1, keepdims=True)
    along_m = np.einsum("ni,ni->n", position_m, to_sun)
    height_m = np.sqrt(np.einsum("ni,ni->n", position_m, position_m) - along_m**2) - brahe.R_EARTH
    crossed = optical_depth * np.sqrt(2.0 * np.pi * brahe.R_EARTH / _SCALE_HEIGHT_M)
    crossed *= np.exp(-np.maximum(height_m, 0.0) / _SCALE_HEIGHT_M)
    return np.asarray(np.where(along_m < 0.0, np.exp(-crossed), 1.0))


def density_kg_m3(gps_ms: int, position_itrf_m: FloatArray) -> float:
    """Return the density of the air by NRLMSISE-00 with the space weather of the day, observed or forecast."""
    (instant,) = epochs(gps_ms, [0.0])
    return float(brahe.density_nrlmsise00(instant, position_itrf_m))


def space_weather_end_gps_ms() -> int:
    """Return the end of the observed space weather."""
    _load_earth_data()
    last = brahe.Epoch.from_mjd(brahe.get_global_sw_mjd_last_observed(), brahe.TimeSystem.UTC)
    return gps_ms_from_utc_iso(last.isostring())


def magnetic_field_itrf_ut(instants: Sequence[brahe.Epoch], position_itrf_m: FloatArray) -> FloatArray:
    """Return the main field by IGRF-14 in microtesla; positions and result in ITRF, shape (n, 3)."""
    geodetic = brahe.position_ecef_to_geodetic(position_itrf_m, brahe.AngleFormat.RADIANS)
    field_nt = [
        brahe.igrf_ecef(instant, place, brahe.AngleFormat.RADIANS)
        for instant, place in zip(instants, geodetic, strict=True)
    ]
    return np.array(field_nt).reshape(-1, 3) * _UT_PER_NT


class Conditions(NamedTuple):
    """States of a satellite and its environment at n times. They depend on the path only, not on noise and attitude."""

    t_s: FloatArray
    """Times in seconds after the start, shape (n,)."""
    states_gcrf: FloatArray
    """Position in m and velocity in m/s in GCRF, shape (n, 6)."""
    states_itrf: FloatArray
    """Position in m and velocity relative to the rotating Earth in m/s, in ITRF, shape (n, 6)."""
    field_gcrf_ut: FloatArray
    """Modelled magnetic field in GCRF, uT, shape (n, 3)."""
    sun_gcrf_m: FloatArray
    """Geocentric position of the Sun in GCRF, m, shape (n, 3)."""
    sunlit_fraction: FloatArray
    """Visible fraction of the Sun's disc, shape (n,); 0 in the umbra."""
