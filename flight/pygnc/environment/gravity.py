"""Gravity of the Earth: EGM2008 (Pavlis et al. 2012), tide free, to degree 70, and the solid Earth tide.

satkit evaluates EGM2008 with coefficients that are compiled in. It never downloads this model, but a file EGM2008.gfc
in one of its data folders would take precedence; the flight software installs none.
"""

import math
from typing import Final

import numpy as np
import satkit

from pygnc.common.arrays import Array
from pygnc.environment.sun_moon import GM_MOON_M3_S2, GM_SUN_M3_S2

GM_EARTH_M3_S2: Final = 3.986_004_415e14
EARTH_RADIUS_M: Final = 6_378_136.3
"""Reference radius of the gravity coefficients; it belongs to no ellipsoid."""
DEGREE_MAX: Final = 70

_EGM2008: Final = satkit.gravmodel.egm2008


def gravity(position_ecef_m: Array, degree: int) -> Array:
    """Return the gravitational acceleration in m/s^2, ITRF, shape (3,), without the centrifugal part.

    Args:
        position_ecef_m: Position in ITRF, m, shape (3,).
        degree: Degree and order of the expansion, 2 to 70. The cost grows with its square: 5 us for 20, 20 us for 50.
    """
    return satkit.gravity(position_ecef_m, model=_EGM2008, degree=degree)


def gravity_and_gradient(position_ecef_m: Array, degree: int) -> tuple[Array, Array]:
    """Return `gravity` (m/s^2), (3,), and its derivative with respect to position (1/s^2), (3, 3), both in ITRF.

    The cost is twice that of `gravity`.
    """
    return satkit.gravity_and_partials(position_ecef_m, model=_EGM2008, degree=degree)


def gravity_by_all_coefficients() -> Array:
    """Return the gravity at a fixed place, m/s^2, ITRF, shape (3,); it shows a change of any coefficient."""
    return gravity(np.array((0.48, -0.6, 0.64)) * EARTH_RADIUS_M, DEGREE_MAX)


_LOVE_NUMBER: Final = 0.3
"""Love number k2 of the degree-two tide. The IERS Conventions (2010), table 6.3, list 0.2983 to 0.3019 for its orders.
"""


def solid_tide_acceleration(position_m: Array, sun_m: Array, moon_m: Array) -> Array:
    """Return the acceleration in m/s^2 by the degree-two solid Earth tide, permanent part included, shape (3,).

    It is the gradient of k2 GM R^5 P2(cos) / (d^3 r^3), with the distance d of Sun or Moon and the angle between body
    and satellite (Montenbruck & Gill, Satellite Orbits, 3.7.2), and is to be added to a tide-free gravity field. Higher
    degrees, the lag and ocean tides, together about a tenth of it, are neglected. The positions of satellite, Sun and
    Moon are geocentric, in one frame, m, shape (3,).
    """
    x, y, z = position_m.tolist()
    radius_m = math.hypot(x, y, z)
    along_radius, acceleration = 0.0, [0.0, 0.0, 0.0]
    for gm_m3_s2, body_m in ((GM_SUN_M3_S2, sun_m), (GM_MOON_M3_S2, moon_m)):
        bx, by, bz = body_m.tolist()
        distance_m = math.hypot(bx, by, bz)
        cosine = (x * bx + y * by + z * bz) / (radius_m * distance_m)
        strength = 0.5 * _LOVE_NUMBER * gm_m3_s2 * EARTH_RADIUS_M**5 / (distance_m**3 * radius_m**4)
        along_radius += strength * (3.0 - 15.0 * cosine * cosine)
        towards = 6.0 * strength * cosine / distance_m
        acceleration = [sum_ + towards * b for sum_, b in zip(acceleration, (bx, by, bz), strict=True)]
    outwards = along_radius / radius_m
    return np.array([sum_ + outwards * r for sum_, r in zip(acceleration, (x, y, z), strict=True)])
