"""Earth albedo: sunlight that the Earth reflects to a satellite, from a Lambert sphere sampled in 36 directions.

With a reflectivity of 1, a plate that faces a ground element seen under the solid angle dw receives the fraction

    max(cos s, 0) / pi dw

of full sunlight, where s is the Sun's zenith angle at the element. For another plate normal, the fraction is multiplied
by the cosine of the angle of incidence. The directions lie on three rings around the nadir, placed by Gauss quadrature
over the Earth's disc, and are the same for all plates and attitudes. From 300 to 1000 km altitude, the error of the
sum on a plate is at most 0.005 (the largest sum is 0.86). The caller supplies the reflectivity, 0.1 to 0.8.
"""

import math
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np

from pygnc.common.arrays import Array
from pygnc.environment.frames import WGS84_RADIUS_M

_SECTORS: Final = 12
_COUNT: Final = 3 * _SECTORS
_AZIMUTH_RAD: Final = (np.arange(_SECTORS) + 0.5) * (2.0 * math.pi / _SECTORS)
_COSINE: Final = np.tile(np.cos(_AZIMUTH_RAD), 3)
_SINE: Final = np.tile(np.sin(_AZIMUTH_RAD), 3)
_INWARD: Final = np.repeat((0.5 - math.sqrt(0.15), 0.5, 0.5 + math.sqrt(0.15)), _SECTORS)
"""Position of the three rings between horizon (0) and nadir (1), in the cosine of the angle from the nadir."""
_SOLID_ANGLE_BY_PI: Final = np.repeat((5.0 / 9.0, 8.0 / 9.0, 5.0 / 9.0), _SECTORS) / _SECTORS
"""Solid angle of each direction divided by pi, for an Earth's disc that fills a hemisphere."""
_STEP_M: Final = 1000.0
"""Radii are rounded to this step, which changes the fraction on a plate by less than 0.0002."""
_GROUND: Final = round(WGS84_RADIUS_M / _STEP_M)
_OVERHEAD: Final = 1e-9
"""Sine of the Sun's zenith angle below which the choice of the horizontal axis has no effect on the result."""


class EarthAlbedo(NamedTuple):
    """Reflected sunlight from n = 36 directions.

    The reflectivity of the ground is a mean plus two slopes, which multiply the horizontal components of the direction
    to the ground: towards the Sun, and to the left of it.

    Attributes:
        directions: Unit vectors from the satellite to the ground, in the axes of the positions, shape (n, 3).
        shares: Fraction of full sunlight that each direction contributes on a plate facing it, for a mean or a slope of
            1, shape (3, n).
    """

    directions: Array
    shares: Array

    def on_plates(self, normals: Array) -> tuple[Array, Array]:
        """Return the fractions of full sunlight on k plates, (k, 3), and their gradients by the normals, (k, 3, 3).

        The first axis after the plates is that of mean and slopes.

        Args:
            normals: Outward unit normals in the axes of `directions`, shape (k, 3). The fraction on a plate is the
                scalar product of its normal and its gradient.
        """
        seen = normals.dot(self.directions.T) > 0.0
        d_normal = (seen[:, None] * self.shares) @ self.directions
        return np.einsum("ki,kri->kr", normals, d_normal), d_normal


def earth_albedo(position_m: Array, sun_m: Array) -> EarthAlbedo:
    """Return the sunlight that the Earth reflects to a satellite.

    Args:
        position_m: Geocentric position in m in any Earth-centred frame, shape (3,). Below the ground the light at the
            ground is returned.
        sun_m: Geocentric position of the Sun or the direction to it, in the axes of `position_m`, shape (3,).
    """
    # Plain numbers are faster than arrays of three.
    x, y, z = position_m.tolist()
    sun_x, sun_y, sun_z = sun_m.tolist()
    radius_m = math.hypot(x, y, z)
    x, y, z = x / radius_m, y / radius_m, z / radius_m
    distance = math.hypot(sun_x, sun_y, sun_z)
    sun_up = (x * sun_x + y * sun_y + z * sun_z) / distance
    ahead = sun_x / distance - sun_up * x, sun_y / distance - sun_up * y, sun_z / distance - sun_up * z
    sun_ahead = math.hypot(*ahead)
    length = sun_ahead
    if sun_ahead < _OVERHEAD:
        ahead = (0.0, -z, y) if abs(x) < 0.6 else (z, 0.0, -x)
        length = math.hypot(*ahead)
    ahead_x, ahead_y, ahead_z = ahead[0] / length, ahead[1] / length, ahead[2] / length
    across = y * ahead_z - z * ahead_y, z * ahead_x - x * ahead_z, x * ahead_y - y * ahead_x
    axes = np.array(((ahead_x, ahead_y, ahead_z), across, (x, y, z)))
    disc = _disc(max(round(radius_m / _STEP_M), _GROUND))
    per_ahead, per_up = disc[_COUNT : 2 * _COUNT], disc[:_COUNT]
    directions = disc[2 * _COUNT :].reshape(_COUNT, 3)
    # The sum is negative where the Sun is below the horizon of the ground, which is dark there.
    even = np.maximum(sun_ahead * per_ahead + sun_up * per_up, 0.0)
    return EarthAlbedo(directions.dot(axes), even * np.vstack((np.ones(_COUNT), directions[:, :2].T)))


@lru_cache(maxsize=64)
def _disc(radius_steps: int) -> Array:
    """Return the Earth's disc in axes x towards the Sun along the horizon, y to the left, z up.

    Returns:
        The fraction of full sunlight per direction for a unit component of the Sun vector along z and along x, each
        (n,), and the unit vectors to the ground (n, 3). They are one array, (5 n,), because the seal of a task visits
        each array in a cache.
    """
    # All lengths are in Earth radii.
    radius = max(radius_steps * _STEP_M / WGS84_RADIUS_M, 1.0)
    horizon = math.sqrt(1.0 - 1.0 / radius**2)
    cosine = horizon + (1.0 - horizon) * _INWARD
    sine = np.sqrt(1.0 - cosine * cosine)
    x = sine * _COSINE
    away = radius * cosine - np.sqrt(1.0 - (radius * sine) ** 2)
    weight = _SOLID_ANGLE_BY_PI * (1.0 - horizon)
    directions = np.array((x, sine * _SINE, -cosine)).T
    return np.concatenate(((radius - away * cosine) * weight, away * x * weight, directions.ravel()))
