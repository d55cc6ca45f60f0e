"""Atmospheric drag: Harris-Priester density with the diurnal bulge, and the drag acceleration.

Source: Harris & Priester (1962) as modified by Jacchia, in the form of Montenbruck & Gill, Satellite Orbits (2000),
sections 3.5.2 (density) and 3.5 (acceleration). The density table holds for mean solar activity and needs no space
weather input; the orbit filter estimates a drag factor that corrects it.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

import numpy as np

from pygnc.common.arrays import Array, cross_matrix
from pygnc.environment.frames import WGS84_FLATTENING, WGS84_RADIUS_M

# Densities for mean solar activity: height in km, minimum (antapex) and maximum (apex) in g/km^3. Source: Montenbruck &
# Gill, Satellite Orbits (2000), table 3.8, after Long et al., GTDS Mathematical Theory (1989).
_DENSITY_TABLE: Final = (
    (100.0, 497_400.0, 497_400.0),
    (120.0, 24_900.0, 24_900.0),
    (130.0, 8_377.0, 8_710.0),
    (140.0, 3_899.0, 4_059.0),
    (150.0, 2_122.0, 2_215.0),
    (160.0, 1_263.0, 1_344.0),
    (170.0, 800.8, 875.8),
    (180.0, 528.3, 601.0),
    (190.0, 361.7, 429.7),
    (200.0, 255.7, 316.2),
    (210.0, 183.9, 239.6),
    (220.0, 134.1, 185.3),
    (230.0, 99.49, 145.5),
    (240.0, 74.88, 115.7),
    (250.0, 57.09, 93.08),
    (260.0, 44.03, 75.55),
    (270.0, 34.30, 61.82),
    (280.0, 26.97, 50.95),
    (290.0, 21.39, 42.26),
    (300.0, 17.08, 35.26),
    (320.0, 10.99, 25.11),
    (340.0, 7.214, 18.19),
    (360.0, 4.824, 13.37),
    (380.0, 3.274, 9.955),
    (400.0, 2.249, 7.492),
    (420.0, 1.558, 5.684),
    (440.0, 1.091, 4.355),
    (460.0, 0.7701, 3.362),
    (480.0, 0.5474, 2.612),
    (500.0, 0.3916, 2.042),
    (520.0, 0.2819, 1.605),
    (540.0, 0.2042, 1.267),
    (560.0, 0.1488, 1.005),
    (580.0, 0.1092, 0.7997),
    (600.0, 0.08070, 0.6390),
    (620.0, 0.06012, 0.5123),
    (640.0, 0.04519, 0.4121),
    (660.0, 0.03430, 0.3325),
    (680.0, 0.02632, 0.2691),
    (700.0, 0.02043, 0.2185),
    (720.0, 0.01607, 0.1779),
    (740.0, 0.01281, 0.1452),
    (760.0, 0.01036, 0.1190),
    (780.0, 0.008496, 0.09776),
    (800.0, 0.007069, 0.08059),
    (840.0, 0.004680, 0.05741),
    (880.0, 0.003200, 0.04210),
    (920.0, 0.002210, 0.03130),
    (960.0, 0.001560, 0.02360),
    (1000.0, 0.001150, 0.01810),
)

_ECCENTRICITY_SQUARED: Final = WGS84_FLATTENING * (2.0 - WGS84_FLATTENING)
_POLAR_RADIUS_M: Final = WGS84_RADIUS_M * (1.0 - WGS84_FLATTENING)

BULGE_EXPONENT: Final = 4.0
"""Exponent of the diurnal bulge, between 2 for orbits of low inclination and 6 for polar orbits."""
_LAG_COSINE: Final = math.cos(math.radians(30.0))
_LAG_SINE: Final = math.sin(math.radians(30.0))
"""Cosine and sine of the angle by which the bulge lags the Sun: 30 degrees, or two hours."""


_KG_M3_PER_G_KM3: Final = 1e-12
_HEIGHT_M: Final = [height_km * 1e3 for height_km, _, _ in _DENSITY_TABLE]
_LOG_DENSITIES: Final = np.log(np.array([densities for _, *densities in _DENSITY_TABLE]) * _KG_M3_PER_G_KM3)
_LOG_MINIMUM, _LOG_MAXIMUM = _LOG_DENSITIES.T.tolist()
"""Natural logarithms of the densities (kg/m^3) at each height."""
_MINIMUM_SLOPE, _MAXIMUM_SLOPE = (np.diff(_LOG_DENSITIES.T) / np.diff(_HEIGHT_M)).tolist()
"""Derivatives of the logarithms with respect to height (1/m) in the layer above each height."""


def drag_acceleration(  # noqa: PLR0917 - these are the arguments of the formula
    position_m: Array,
    velocity_mps: Array,
    sun_m: Array,
    earth_rotation_rad_s: Array,
    drag_area_per_mass_m2_kg: float,
    factor: float,
) -> tuple[Array, Array, Array]:
    """Return the drag acceleration in an atmosphere that rotates with the Earth, and its partial derivatives.

    Source: Montenbruck & Gill, Satellite Orbits, section 3.5.

    Args:
        position_m: Geocentric position in an inertial frame, m, shape (3,).
        velocity_mps: Velocity in that frame, m/s, shape (3,).
        sun_m: Geocentric position of the Sun in that frame, m, shape (3,).
        earth_rotation_rad_s: Angular velocity of the Earth in that frame, rad/s, shape (3,).
        drag_area_per_mass_m2_kg: Drag coefficient times cross section, divided by mass.
        factor: Factor on the model's density.

    Returns:
        Acceleration in m/s^2, shape (3,), and its derivatives by position in 1/s^2 and by velocity in 1/s, (3, 3) each.
    """
    spin_cross = cross_matrix(earth_rotation_rad_s)
    wind_mps = velocity_mps - spin_cross.dot(position_m)
    speed_mps = math.sqrt(wind_mps.dot(wind_mps))
    pole = earth_rotation_rad_s / math.sqrt(earth_rotation_rad_s.dot(earth_rotation_rad_s))
    density, gradient = harris_priester(position_m, sun_m, pole)
    strength = -0.5 * drag_area_per_mass_m2_kg * speed_mps * factor
    drag: Array = (strength * density) * wind_mps
    d_velocity = (drag / (speed_mps * speed_mps))[:, None] * wind_mps
    d_velocity.flat[::4] += strength * density
    d_position = (strength * wind_mps)[:, None] * gradient - d_velocity.dot(spin_cross)
    return drag, d_position, d_velocity


def harris_priester(position_m: Array, sun_m: Array, pole: Array) -> tuple[float, Array]:
    """Return the density in kg/m^3 and its gradient with respect to position in kg/m^4, shape (3,).

    The gradient assumes that the height changes along the radius only (the Earth's flattening adds up to 0.3 %).

    Args:
        position_m: Geocentric position in an inertial frame, m, shape (3,). Below 100 km the density at 100 km is
            returned; above 1000 km the scale height of the last layer continues.
        sun_m: Geocentric position of the Sun in that frame, m, shape (3,).
        pole: Unit vector of the Earth's rotation axis in that frame, shape (3,).
    """
    # Arithmetic with Python floats is three times as fast as with arrays of three elements.
    x, y, z = position_m.tolist()
    radius_m = math.hypot(x, y, z)
    up = (x / radius_m, y / radius_m, z / radius_m)
    height_m = max(radius_m - _ellipsoid_radius(_dot(up, pole.tolist())), _HEIGHT_M[0])
    layer = min(bisect_right(_HEIGHT_M, height_m) - 1, len(_HEIGHT_M) - 2)
    above_m = height_m - _HEIGHT_M[layer]
    minimum = math.exp(_LOG_MINIMUM[layer] + _MINIMUM_SLOPE[layer] * above_m)
    maximum = math.exp(_LOG_MAXIMUM[layer] + _MAXIMUM_SLOPE[layer] * above_m)

    apex = _bulge_apex(sun_m, pole)
    cosine = _dot(up, apex)
    half_angle_cosine_squared = max(0.5 + 0.5 * cosine, 0.0)
    bulge = half_angle_cosine_squared ** (BULGE_EXPONENT / 2.0)
    d_cosine = (maximum - minimum) * (BULGE_EXPONENT / 4.0) * half_angle_cosine_squared ** (BULGE_EXPONENT / 2.0 - 1.0)
    d_height = minimum * _MINIMUM_SLOPE[layer] * (1.0 - bulge) + maximum * _MAXIMUM_SLOPE[layer] * bulge
    along_up, along_apex = d_height - d_cosine * cosine / radius_m, d_cosine / radius_m
    gradient = [along_up * u + along_apex * a for u, a in zip(up, apex, strict=True)]
    return minimum + (maximum - minimum) * bulge, np.array(gradient)


def _dot(a: Sequence[float], b: Sequence[float]) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _ellipsoid_radius(sine_latitude: float) -> float:
    """Return the geocentric radius of the WGS 84 ellipsoid in m at a geocentric latitude."""
    return _POLAR_RADIUS_M / math.sqrt(1.0 - _ECCENTRICITY_SQUARED * (1.0 - sine_latitude * sine_latitude))


def _bulge_apex(sun_m: Array, pole: Array) -> tuple[float, float, float]:
    """Return the unit vector to the density maximum: the direction to the Sun, rotated eastwards about the pole."""
    sx, sy, sz = sun_m.tolist()
    px, py, pz = pole.tolist()
    distance_m = math.hypot(sx, sy, sz)
    cosine, sine = _LAG_COSINE / distance_m, _LAG_SINE / distance_m
    along = (sx * px + sy * py + sz * pz) * (1.0 - _LAG_COSINE) / distance_m
    return (
        cosine * sx + sine * (py * sz - pz * sy) + along * px,
        cosine * sy + sine * (pz * sx - px * sz) + along * py,
        cosine * sz + sine * (px * sy - py * sx) + along * pz,
    )
