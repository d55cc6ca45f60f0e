"""Sunlight at a satellite: how much of the Sun it sees past the Earth, and the light's pressure."""

import math
from typing import Final

from pygnc.environment.arrays import Array
from pygnc.environment.bodies import ASTRONOMICAL_UNIT_M

_EARTH_RADIUS_M: Final = 6_378_137.0
"""Of a spherical Earth: the polar radius is 21 km smaller, which moves the shadow's edge by 3 s at most."""
_SUN_RADIUS_M: Final = 6.957e8
"""IAU 2015 resolution B3."""
_PRESSURE_N_M2: Final = 1_361.0 / 299_792_458.0
"""Of the light at one astronomical unit, absorbed: solar constant (IAU 2015) over the speed of light."""


def sunlit_fraction(position_m: Array, sun_m: Array) -> float:
    """Visible fraction of the Sun's disc: 0 in the umbra, 1 in full sunlight.

    Args:
        position_m: Geocentric position of the satellite, shape (3,).
        sun_m: Geocentric position of the Sun in the same frame, shape (3,).

    The Earth's and the Sun's discs overlap on the satellite's sky as circles do on a plane (Montenbruck & Gill,
    Satellite Orbits, 3.4.2).
    """
    to_sun_m = sun_m - position_m
    sun_distance_m = math.sqrt(to_sun_m.dot(to_sun_m))
    radius_m = math.sqrt(position_m.dot(position_m))
    sun_rad = math.asin(_SUN_RADIUS_M / sun_distance_m)
    earth_rad = math.asin(min(_EARTH_RADIUS_M / radius_m, 1.0))
    cosine = -float(position_m.dot(to_sun_m)) / (radius_m * sun_distance_m)
    apart_rad = math.acos(min(max(cosine, -1.0), 1.0))
    if apart_rad >= sun_rad + earth_rad:
        return 1.0
    if apart_rad <= earth_rad - sun_rad:
        return 0.0
    # Both discs are cut by the chord through their intersections, `chord_rad` from the Sun's centre.
    chord_rad = (apart_rad**2 + sun_rad**2 - earth_rad**2) / (2.0 * apart_rad)
    half_rad = math.sqrt(max(sun_rad**2 - chord_rad**2, 0.0))
    hidden = (
        sun_rad**2 * math.acos(chord_rad / sun_rad)
        + earth_rad**2 * math.acos((apart_rad - chord_rad) / earth_rad)
        - apart_rad * half_rad
    )
    return 1.0 - hidden / (math.pi * sun_rad**2)


def radiation_pressure_acceleration(position_m: Array, sun_m: Array, area_per_mass_m2_kg: float) -> Array:
    """Acceleration of a sphere by sunlight in m/s^2, shape (3,); zero in the Earth's shadow.

    Args:
        position_m: Geocentric position of the satellite, shape (3,).
        sun_m: Geocentric position of the Sun in the same frame, shape (3,).
        area_per_mass_m2_kg: Cross section times reflectivity coefficient (1 absorbs, 2 reflects), by mass.
    """
    from_sun_m = position_m - sun_m
    distance_m = math.sqrt(from_sun_m.dot(from_sun_m))
    pressure = _PRESSURE_N_M2 * (ASTRONOMICAL_UNIT_M / distance_m) ** 2 * sunlit_fraction(position_m, sun_m)
    acceleration: Array = (pressure * area_per_mass_m2_kg / distance_m) * from_sun_m
    return acceleration
