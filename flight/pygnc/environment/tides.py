"""How the solid Earth, stretched by Sun and Moon, attracts a satellite."""

import math
from typing import Final

import numpy as np

from pygnc.environment.arrays import Array
from pygnc.environment.bodies import GM_MOON_M3_S2, GM_SUN_M3_S2
from pygnc.environment.gravity import EARTH_RADIUS_M

_LOVE_NUMBER: Final = 0.3
"""k2 of the degree-two tide. The IERS Conventions (2010), table 6.3, have 0.2983 to 0.3019 for its orders."""


def solid_tide_acceleration(position_m: Array, sun_m: Array, moon_m: Array) -> Array:
    """Acceleration in m/s^2 by the degree-two tide without lag, permanent part included, shape (3,).

    It is the gradient of k2 GM R^5 P2(cos) / (d^3 r^3), with the body's distance d and the angle between body and
    satellite (Montenbruck & Gill, Satellite Orbits, 3.7.2). It goes with a tide-free gravity field. Left out are higher
    degrees, the lag and the ocean: a tenth of it.

    Args:
        position_m: Geocentric position, shape (3,).
        sun_m: Geocentric position of the Sun in the same frame, shape (3,).
        moon_m: Geocentric position of the Moon, shape (3,).
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
