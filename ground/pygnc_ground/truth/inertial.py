"""Orbits given in inertial axes, turned into ITRF after IERS Conventions (2010), chapter 5, by erfa.

Sub-daily tides in polar motion and UT1 are left out, 3 cm at most in a low orbit, and so are the length of day (6 um/s)
and the motion of the celestial pole (30 um/s) in the velocity.
"""

from enum import Enum, auto
from typing import Literal

import erfa
import numpy as np

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
