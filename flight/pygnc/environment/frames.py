"""Reference frames: rotations between GCRF and ITRF, orbital RTN axes and the WGS 84 ellipsoid.

GCRF and ITRF follow the IERS Conventions (2010), chapter 5: IAU 2006/2000A, CIO based. "ECEF" in names means ITRF. The
celestial pole and the CIO locator come from daily polynomials, accurate to 1e-13 rad; Earth rotation and polar motion
are computed in each call.
"""

import math
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pygnc.common.arrays import Array, cross_matrix
from pygnc.environment.chebyshev import ChebyshevDays
from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc.environment.erfa_functions import erfa
from pygnc.environment.time_scales import (
    GPS_EPOCH_JULIAN_DATE,
    MS_PER_DAY,
    SECONDS_PER_DAY,
    TT_MINUS_GPS_S,
    julian_date,
)

EARTH_ROTATION_RAD_S: Final = 2.0 * np.pi * 1.002_737_811_911_354_48 / SECONDS_PER_DAY
"""Rate of the Earth rotation angle (IERS Conventions 2010, equation 5.15). Length-of-day changes are 1e-8 of it."""

WGS84_RADIUS_M: Final = 6_378_137.0
WGS84_FLATTENING: Final = 1.0 / 298.257_223_563

_NODES_PER_DAY: Final = 14
_TIO_LOCATOR_RAD: Final = float(erfa.sp00(2_451_545.0, 0.25 * 36_525.0))
"""TIO locator s' in 2025; it changes by 0.05 mas (2 mm) per century."""


class EarthAttitude(NamedTuple):
    """Orientation of the Earth-fixed frame at k instants.

    Attributes:
        ecef_from_gcrf: Rotation matrices from GCRF to ITRF, shape (k, 3, 3).
        rotation_gcrf_rad_s: Angular velocity of ITRF in GCRF, rad/s, shape (3,).
    """

    ecef_from_gcrf: Array
    rotation_gcrf_rad_s: Array


class EarthFrames:
    """Rotations between GCRF and ITRF by an Earth orientation table; about 15 us per call."""

    def __init__(self, orientation: EarthOrientationTable) -> None:
        self.orientation = orientation
        self._celestial_pole = ChebyshevDays(_sample_celestial_pole, _NODES_PER_DAY)

    def at(self, gps_ms: int, offsets_s: Array) -> EarthAttitude:
        """Return the Earth's orientation at `gps_ms` (ms) plus `offsets_s` (s, shape (k,), at most 60 s apart).

        Earth rotation is computed for each instant. The celestial pole (which moves by 1e-10 rad in 15 s) is taken at
        the middle of the span, and the Earth orientation parameters (at most 3e-11 rad in 30 s) at `gps_ms`.
        """
        orientation = self.orientation.at(gps_ms)
        middle_s = 0.5 * float(offsets_s[0] + offsets_s[-1])
        x, y, locator = self._celestial_pole.at(gps_ms, middle_s).tolist()
        intermediate_from_gcrf = erfa.c2ixys(x + orientation.dx_rad, y + orientation.dy_rad, locator)
        rotation_angle = erfa.era00(*julian_date(gps_ms, offsets_s + orientation.ut1_minus_gps_s))
        polar_motion = erfa.pom00(orientation.x_pole_rad, orientation.y_pole_rad, _TIO_LOCATOR_RAD)
        return EarthAttitude(
            erfa.c2tcio(intermediate_from_gcrf, rotation_angle, polar_motion),
            EARTH_ROTATION_RAD_S * intermediate_from_gcrf[2],
        )

    def at_each(self, gps_ms: npt.NDArray[np.int64], offsets_s: Array) -> EarthAttitude:
        """Return the Earth's orientation at n times `gps_ms` (ms), each plus its offset in s, both (n,), as `at` does.

        The angular velocity is that at each time, shape (n, 3). Cost: a third of that of n calls of `at`.
        """
        times = list(zip(gps_ms.tolist(), offsets_s.tolist(), strict=True))
        orientation = np.array([self.orientation.at(ms) for ms, _ in times]).reshape(-1, 5).T
        ut1_minus_gps_s, x_pole_rad, y_pole_rad, dx_rad, dy_rad = orientation
        x, y, locator = np.array([self._celestial_pole.at(ms, offset_s) for ms, offset_s in times]).reshape(-1, 3).T
        intermediate_from_gcrf = erfa.c2ixys(x + dx_rad, y + dy_rad, locator)
        day, ms_of_day = np.divmod(gps_ms, MS_PER_DAY)
        of_day = (ms_of_day * 1e-3 + (offsets_s + ut1_minus_gps_s)) / SECONDS_PER_DAY
        rotation_angle = erfa.era00(GPS_EPOCH_JULIAN_DATE + day, of_day)
        polar_motion = erfa.pom00(x_pole_rad, y_pole_rad, _TIO_LOCATOR_RAD)
        return EarthAttitude(
            erfa.c2tcio(intermediate_from_gcrf, rotation_angle, polar_motion),
            EARTH_ROTATION_RAD_S * intermediate_from_gcrf[:, 2],
        )

    def ecef_state_from_gcrf(self, gps_ms: int) -> Array:
        """Return the matrix (6, 6) from GCRF to ITRF for position and velocity relative to the rotating Earth."""
        attitude = self.at(gps_ms, np.zeros(1))
        return _of_states(attitude.ecef_from_gcrf[0], attitude.rotation_gcrf_rad_s)

    def ecef_states_from_gcrf(self, gps_ms: npt.NDArray[np.int64]) -> Array:
        """Return the matrices of `ecef_state_from_gcrf` at n times, GPS ms, shape (n, 6, 6)."""
        return _of_states(*self.at_each(gps_ms, np.zeros(len(gps_ms))))


def _of_states(rotation: Array, spin_rad_s: Array) -> Array:
    """Return the matrices (..., 6, 6) that turn states by rotations (..., 3, 3), relative to a spin (..., 3)."""
    transform = np.zeros((*rotation.shape[:-2], 6, 6))
    transform[..., :3, :3] = transform[..., 3:, 3:] = rotation
    transform[..., 3:, :3] = -rotation @ cross_matrix(spin_rad_s)
    return transform


def _sample_celestial_pole(gps_ms: int, offsets_s: Array) -> Array:
    """Return X, Y of the celestial intermediate pole and the CIO locator s in rad, shape (n, 3)."""
    return np.stack(erfa.xys06a(*julian_date(gps_ms, offsets_s + TT_MINUS_GPS_S)), axis=1)


def rtn_axes(position_m: Array, velocity_mps: Array) -> Array:
    """Return the unit vectors radial, transverse and normal of an orbit as columns, shape (3, 3).

    Args:
        position_m: Geocentric position in an inertial frame, m, shape (3,).
        velocity_mps: Velocity in that frame, m/s, shape (3,), not parallel to the position.
    """
    x, y, z = position_m.tolist()
    vx, vy, vz = velocity_mps.tolist()
    radius_m = math.hypot(x, y, z)
    rx, ry, rz = x / radius_m, y / radius_m, z / radius_m
    climb_mps = rx * vx + ry * vy + rz * vz
    tx, ty, tz = vx - climb_mps * rx, vy - climb_mps * ry, vz - climb_mps * rz
    speed_mps = math.hypot(tx, ty, tz)
    tx, ty, tz = tx / speed_mps, ty / speed_mps, tz / speed_mps
    return np.array(((rx, tx, ry * tz - rz * ty), (ry, ty, rz * tx - rx * tz), (rz, tz, rx * ty - ry * tx)))
