"""Reference frames of ephemerides: inertial states to ITRF by erfa (IERS Conventions 2010).

The model omits sub-daily tides in polar motion and UT1 (at most 3 cm in a low orbit). In the velocity, it omits the
length of day (6 um/s) and the motion of the celestial pole (30 um/s). Earth orientation is the IERS finals2000A table
in brahe.
"""

from enum import Enum, auto
from functools import cache, lru_cache
from typing import Final, Literal, TypeAlias

import erfa
import numpy as np

from pygnc.common.clock import utc_iso_from_gps_ms
from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc.environment.frames import EARTH_ROTATION_RAD_S, EarthFrames
from pygnc.environment.sgp4 import gcrf_from_teme
from pygnc.environment.time_scales import GPS_EPOCH_JULIAN_DATE, TT_MINUS_GPS_S
from pygnc_ground.truth.orbit_truth import FloatArray, IntArray

_NS_PER_DAY = 86_400_000_000_000
_NS_PER_MS = 1_000_000
_J2000_TT = 2_451_545.0


class Frame(Enum):
    """Geocentric axes of an ephemeris."""

    ITRF = auto()
    """Any realisation of ITRF, WGS 84 or an IGS frame; these frames agree to centimetres"""
    GCRF = auto()
    """Axes of ICRF"""
    EME2000 = auto()
    """Mean equator and equinox of J2000.0; 23 mas from GCRF, 0.8 m in a low orbit"""
    TEME = auto()
    """True equator and mean equinox of date, as SGP4 has it"""


InertialFrame: TypeAlias = Literal[Frame.GCRF, Frame.EME2000, Frame.TEME]


def itrf_states(
    frame: InertialFrame, gps_ns: IntArray, state: FloatArray, orientation: EarthOrientationTable
) -> FloatArray:
    """Transform inertial states (n, 6) in m and m/s to ITRF, with velocities relative to the rotating Earth.

    `gps_ns` are their times in nanoseconds since the GPS epoch, shape (n,).
    """
    position_m, velocity_mps = state[:, :3], state[:, 3:]
    times, rows = np.unique(gps_ns, return_inverse=True)
    if frame is Frame.EME2000:
        gcrf_from_eme2000 = erfa.bp06(_J2000_TT, 0.0)[0].T
        position_m, velocity_mps = position_m @ gcrf_from_eme2000.T, velocity_mps @ gcrf_from_eme2000.T
    elif frame is Frame.TEME:
        earth, moments = _earth_frames(orientation), times // _NS_PER_MS
        turns = np.array([gcrf_from_teme(moment, earth) for moment in moments.tolist()])[rows]
        position_m, velocity_mps = (np.einsum("nij,nj->ni", turns, one) for one in (position_m, velocity_mps))
    itrf_from_gcrf, spin_rad_s = (values[rows] for values in _earth_attitude(times, orientation))
    relative_mps = velocity_mps - np.cross(spin_rad_s, position_m)
    turned = [np.einsum("nij,nj->ni", itrf_from_gcrf, vector) for vector in (position_m, relative_mps)]
    return np.concatenate(turned, axis=1)


@lru_cache(maxsize=1)
def _earth_frames(orientation: EarthOrientationTable) -> EarthFrames:
    return EarthFrames(orientation)


def _earth_attitude(gps_ns: IntArray, orientation: EarthOrientationTable) -> tuple[FloatArray, FloatArray]:
    """Return the rotation from GCRF to ITRF, (n, 3, 3), and the Earth's angular velocity in GCRF, shape (n, 3)."""
    gps_ms = gps_ns // _NS_PER_MS
    ut1_minus_gps_s, x_pole, y_pole, dx, dy = np.array([orientation.at(moment) for moment in gps_ms.tolist()]).T
    midnight = GPS_EPOCH_JULIAN_DATE + gps_ns // _NS_PER_DAY
    seconds = gps_ns % _NS_PER_DAY * 1e-9
    tt = midnight, (seconds + TT_MINUS_GPS_S) / 86_400.0
    x, y, s = erfa.xys06a(*tt)
    celestial = erfa.c2ixys(x + dx, y + dy, s)
    rotation_angle = erfa.era00(midnight, (seconds + ut1_minus_gps_s) / 86_400.0)
    polar_motion = erfa.pom00(x_pole, y_pole, erfa.sp00(*tt))
    return erfa.c2tcio(celestial, rotation_angle, polar_motion), EARTH_ROTATION_RAD_S * celestial[:, 2]


_GPS_EPOCH_MJD = 44_244


BUNDLED: Final = "IERS finals2000A in brahe"
"""Identification of the table of the library brahe."""


def earth_orientation(last_gps_ms: int) -> EarthOrientationTable:
    """Return daily Earth orientation since 1980 that reaches `last_gps_ms`.

    Raises:
        ValueError: brahe is not installed, or its table ends earlier; the message names the remedy.
    """
    table = _bundled()
    end_gps_ms = table.expires_gps_ms or 0
    if last_gps_ms > end_gps_ms:
        raise ValueError(
            f"the Earth orientation table ends at {utc_iso_from_gps_ms(end_gps_ms)[:10]}, the ephemeris at"
            f" {utc_iso_from_gps_ms(last_gps_ms)[:10]}; install a newer brahe, or get the ephemeris in ITRF"
        )
    return table


@cache
def _bundled() -> EarthOrientationTable:
    try:
        import brahe  # noqa: PLC0415 - Earth-fixed ephemerides do without it
    except ModuleNotFoundError as error:
        raise ValueError(
            "an ephemeris in inertial axes needs Earth orientation from the library brahe:"
            " pip install 'pygnc-ground[scenario]', or get the ephemeris in ITRF"
        ) from error
    provider = brahe.FileEOPProvider.from_default_standard(interpolate=False, extrapolate="Error")
    days_mjd = np.arange(float(_GPS_EPOCH_MJD), provider.mjd_max() + 1.0)
    # The celestial pole offsets are predicted for some weeks only; the last value is used afterwards.
    rows = [
        (
            provider.get_ut1_utc(day),
            *provider.get_pm(day),
            *provider.get_dxdy(min(day, provider.mjd_last_dxdy())),
        )
        for day in days_mjd.tolist()
    ]
    return EarthOrientationTable(BUNDLED, days_mjd, np.array(rows))
