"""Orbits given in inertial axes, turned into ITRF after IERS Conventions (2010), chapter 5, by erfa.

Sub-daily tides in polar motion and UT1 are left out, 3 cm at most in a low orbit, and so are the length of day (6 um/s)
and the motion of the celestial pole (30 um/s) in the velocity.

Earth orientation for ephemerides in inertial axes, from the table that brahe brings along (IERS finals2000A).
"""

from enum import Enum, auto
from functools import cache
from typing import Literal

import erfa
import numpy as np

from pygnc.common.clock import utc_iso_from_gps_ms
from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc.environment.frames import EARTH_ROTATION_RAD_S
from pygnc.environment.time_scales import GPS_EPOCH_JULIAN_DATE, TT_MINUS_GPS_S
from pygnc_ground.truth.orbit_truth import FloatArray, IntArray

_NS_PER_DAY = 86_400_000_000_000
_NS_PER_MS = 1_000_000
_J2000_TT = 2_451_545.0


class Frame(Enum):
    """Axes an ephemeris may be given in, centred on the Earth."""

    ITRF = auto()
    """Any realisation, and WGS 84 or an IGS frame: they agree to centimetres"""
    GCRF = auto()
    """ICRF's axes"""
    EME2000 = auto()
    """Mean equator and equinox of J2000.0; 23 mas from GCRF, 0.8 m in a low orbit"""


def itrf_states(
    frame: Literal[Frame.GCRF, Frame.EME2000], gps_ns: IntArray, state: FloatArray, orientation: EarthOrientationTable
) -> FloatArray:
    """Position in m and velocity in m/s relative to the rotating Earth, in ITRF, shape (n, 6).

    Args:
        frame: Of the states.
        gps_ns: Their times, nanoseconds since the GPS epoch, shape (n,).
        state: Position in m and velocity in m/s, shape (n, 6).
        orientation: Observed part of the Earth's rotation.
    """
    position_m, velocity_mps = state[:, :3], state[:, 3:]
    if frame is Frame.EME2000:
        gcrf_from_eme2000 = erfa.bp06(_J2000_TT, 0.0)[0].T
        position_m, velocity_mps = position_m @ gcrf_from_eme2000.T, velocity_mps @ gcrf_from_eme2000.T
    itrf_from_gcrf, spin_rad_s = _earth_attitude(gps_ns, orientation)
    relative_mps = velocity_mps - np.cross(spin_rad_s, position_m)
    turned = [np.einsum("nij,nj->ni", itrf_from_gcrf, vector) for vector in (position_m, relative_mps)]
    return np.concatenate(turned, axis=1)


def _earth_attitude(gps_ns: IntArray, orientation: EarthOrientationTable) -> tuple[FloatArray, FloatArray]:
    """Rotation matrices from GCRF to ITRF, shape (n, 3, 3), and the Earth's angular velocity in GCRF, shape (n, 3)."""
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


# mypy: disable-error-code="operator"
# brahe's stubs declare properties as methods.


_UNIX_EPOCH_MJD = 40_587
_GPS_EPOCH_MJD = 44_244


def earth_orientation(last_gps_ms: int) -> EarthOrientationTable:
    """Daily values since 1980, if they reach to `last_gps_ms`.

    Raises:
        ValueError: brahe is not installed, or its table ends earlier; the message names the remedy.
    """
    table = _bundled()
    end_gps_ms = table.expires_gps_ms or 0
    if last_gps_ms > end_gps_ms:
        raise ValueError(
            f"the Earth's orientation is known to {utc_iso_from_gps_ms(end_gps_ms)[:10]} only and the ephemeris goes to"
            f" {utc_iso_from_gps_ms(last_gps_ms)[:10]}: install a newer brahe, or take the ephemeris in ITRF"
        )
    return table


@cache
def _bundled() -> EarthOrientationTable:
    try:
        import brahe  # noqa: PLC0415 - Earth-fixed ephemerides do without it
    except ModuleNotFoundError as error:
        raise ValueError(
            "an ephemeris in inertial axes needs the Earth's orientation from the library brahe:"
            " pip install 'pygnc[scenario]', or take the ephemeris in ITRF"
        ) from error
    provider = brahe.FileEOPProvider.from_default_standard(interpolate=False, extrapolate="Error")
    days_mjd = np.arange(float(_GPS_EPOCH_MJD), provider.mjd_max() + 1.0)
    # The offsets of the celestial pole are predicted for some weeks only; later their last value stands.
    rows = [
        (
            provider.get_ut1_utc(day),
            *provider.get_pm(day),
            *provider.get_dxdy(min(day, provider.mjd_last_dxdy())),
        )
        for day in days_mjd.tolist()
    ]
    return EarthOrientationTable("IERS finals2000A in brahe", days_mjd, np.array(rows))
