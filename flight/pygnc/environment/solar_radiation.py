"""Visible fraction of the Sun in an eclipse, and what sunlight does: warmth, and radiation pressure."""

import math
from typing import Final

from pygnc.common.arrays import Array, cross
from pygnc.environment.frames import WGS84_FLATTENING, WGS84_RADIUS_M
from pygnc.environment.sun_moon import ASTRONOMICAL_UNIT_M

_SPHERE_PER_ELLIPSOID: Final = 1.0 / (1.0 - WGS84_FLATTENING)
"""Factor that stretches the ellipsoid along its axis to a sphere. With a spherical Earth, shadow entries and exits
would be wrong by 4 s in half of all low orbits, by 10 s in a tenth of them, and by a minute in orbits that graze the
shadow.
"""
_SUN_RADIUS_M: Final = 6.957e8
"""Nominal solar radius, IAU 2015 resolution B3."""
THERMAL_TIME_S: Final = 1_500.0
"""Time constant of the temperature inside a CubeSat, which follows sunlight within tens of minutes."""
_PRESSURE_N_M2: Final = 1_361.0 / 299_792_458.0
"""Radiation pressure on an absorbing surface at 1 au: solar constant (IAU 2015) over the speed of light."""


def sunlit_fraction(position_m: Array, sun_m: Array, opaque_m: float = 0.0) -> float:
    """Return the visible fraction of the Sun's disc: 0 in umbra, 1 in full sunlight.

    All lengths are stretched along the Earth's axis, which makes the ellipsoid a sphere and keeps rays straight; the
    Sun, stretched by 0.3 % as well, is still treated as a disc (an error of 0.1 s). The discs overlap on the
    satellite's sky like circles on a plane (Montenbruck & Gill, Satellite Orbits, 3.4.2).

    Args:
        position_m: Geocentric position of the satellite in GCRF or ITRF (the Earth's axis is z), m, shape (3,).
        sun_m: Geocentric position of the Sun in the frame of `position_m`, m, shape (3,).
        opaque_m: Height up to which the atmosphere hides the Sun, m.
    """
    # Arithmetic with Python floats is faster than with arrays of three elements.
    x, y, z = position_m.tolist()
    sun_x, sun_y, sun_z = sun_m.tolist()
    z *= _SPHERE_PER_ELLIPSOID
    to_sun_m = (sun_x - x, sun_y - y, sun_z * _SPHERE_PER_ELLIPSOID - z)
    sun_distance_m = math.hypot(*to_sun_m)
    radius_m = math.hypot(x, y, z)
    sun_rad = math.asin(_SUN_RADIUS_M / sun_distance_m)
    earth_rad = math.asin(min((WGS84_RADIUS_M + opaque_m) / radius_m, 1.0))
    cosine = -(x * to_sun_m[0] + y * to_sun_m[1] + z * to_sun_m[2]) / (radius_m * sun_distance_m)
    separation_rad = math.acos(min(max(cosine, -1.0), 1.0))
    if separation_rad >= sun_rad + earth_rad:
        return 1.0
    if separation_rad <= earth_rad - sun_rad:
        return 0.0
    # Both discs are cut by the chord through their intersections, `chord_rad` from the Sun's centre.
    chord_rad = (separation_rad**2 + sun_rad**2 - earth_rad**2) / (2.0 * separation_rad)
    half_rad = math.sqrt(max(sun_rad**2 - chord_rad**2, 0.0))
    hidden = (
        sun_rad**2 * math.atan2(half_rad, chord_rad)
        + earth_rad**2 * math.atan2(half_rad, separation_rad - chord_rad)
        - separation_rad * half_rad
    )
    return 1.0 - hidden / (math.pi * sun_rad**2)


def warmth(position_m: Array, velocity_mps: Array, sun_m: Array, time_constant_s: float) -> float:
    """Return the first-order lag of the sunlight on a circular orbit that the satellite has flown for many periods.

    It follows the temperature inside the satellite, apart from heat that does not vary with the sunlight: 0 at the
    equilibrium in darkness, 1 at that in sunlight. The shadow is a cylinder. On an eccentric orbit, the circular orbit
    is that of the present radius and angular rate.

    Args:
        position_m: Geocentric position of the satellite, GCRF, m, shape (3,).
        velocity_mps: Its velocity, GCRF, m/s, shape (3,).
        sun_m: Geocentric position of the Sun, GCRF, m, shape (3,).
        time_constant_s: Time in which 63 % of a change of the equilibrium is reached.
    """
    radius_m = math.sqrt(position_m.dot(position_m))
    normal = cross(position_m, velocity_mps)
    normal_length = math.sqrt(normal.dot(normal))
    lag_rad = normal_length / radius_m**2 * time_constant_s
    midnight = cross(normal, cross(normal, sun_m)) / normal_length**2
    in_plane = math.sqrt(midnight.dot(midnight) / sun_m.dot(sun_m))
    half_cosine = math.sqrt(max(1.0 - (WGS84_RADIUS_M / radius_m) ** 2, 0.0)) / max(in_plane, 1e-9)
    if half_cosine >= 1.0:
        return 1.0
    half_rad = math.acos(half_cosine)
    along, ahead = float(position_m.dot(midnight)), float(cross(midnight, position_m).dot(normal)) / normal_length
    from_sunset_rad = (math.atan2(ahead, along) + half_rad) % (2.0 * math.pi)
    night, day = math.exp(-2.0 * half_rad / lag_rad), math.exp(-2.0 * (math.pi - half_rad) / lag_rad)
    at_sunset = (1.0 - day) / (1.0 - day * night)
    if from_sunset_rad <= 2.0 * half_rad:
        return at_sunset * math.exp(-from_sunset_rad / lag_rad)
    return 1.0 - (1.0 - at_sunset * night) * math.exp(-(from_sunset_rad - 2.0 * half_rad) / lag_rad)


def radiation_pressure_acceleration(position_m: Array, sun_m: Array, area_per_mass_m2_kg: float) -> Array:
    """Return the acceleration of a sphere by sunlight in m/s^2, shape (3,); zero in the Earth's shadow.

    Source: Montenbruck & Gill, Satellite Orbits, section 3.4.

    Args:
        position_m: Geocentric position of the satellite in GCRF or ITRF, m, shape (3,).
        sun_m: Geocentric position of the Sun in the frame of `position_m`, m, shape (3,).
        area_per_mass_m2_kg: Cross section times radiation pressure coefficient (1 absorbs, 2 reflects), divided by
            mass.
    """
    from_sun_m = position_m - sun_m
    distance_m = math.sqrt(from_sun_m.dot(from_sun_m))
    pressure = _PRESSURE_N_M2 * (ASTRONOMICAL_UNIT_M / distance_m) ** 2 * sunlit_fraction(position_m, sun_m)
    acceleration: Array = (pressure * area_per_mass_m2_kg / distance_m) * from_sun_m
    return acceleration
