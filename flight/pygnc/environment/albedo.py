"""Sunlight that the Earth throws back on a satellite: a Lambert sphere, seen in three dozen directions.

Ground that reflects all, where the Sun stands s from the zenith, gives a plate that faces it the share

    max(cos s, 0) / pi dw

of full sunlight when it is seen under the solid angle dw, and a plate with another normal the cosine of it. The
directions stand in rings around the nadir, spread over the Earth's disc by Gauss' rule, and are the same for all plates
and attitudes. From 300 to 1000 km a plate's sum is off by 0.005 at most, where up to 0.86 comes back. How much the
ground and the clouds reflect, 0.1 to 0.8, is for the caller to know.
"""

import math
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np

from pygnc.common.arrays import Array, cross_matrix
from pygnc.environment.frames import WGS84_RADIUS_M

_SECTORS: Final = 12
_AZIMUTH_RAD: Final = (np.arange(_SECTORS) + 0.5) * (2.0 * math.pi / _SECTORS)
_COSINE: Final = np.tile(np.cos(_AZIMUTH_RAD), 3)
_SINE: Final = np.tile(np.sin(_AZIMUTH_RAD), 3)
_INWARD: Final = np.repeat((0.5 - math.sqrt(0.15), 0.5, 0.5 + math.sqrt(0.15)), _SECTORS)
"""Where the three rings lie between horizon (0) and nadir (1), by the cosine of the angle from the nadir."""
_SOLID_ANGLE_BY_PI: Final = np.repeat((5.0 / 9.0, 8.0 / 9.0, 5.0 / 9.0), _SECTORS) / _SECTORS
"""Of each direction if the disc filled a hemisphere."""
_STEP_M: Final = 1000.0
"""Heights are rounded to this: it changes a plate's share by less than 0.0002."""
_GROUND: Final = round(WGS84_RADIUS_M / _STEP_M)
_OVERHEAD: Final = 1e-9
"""With the Sun so close to the zenith or to its opposite (sine of the angle), any axis along the horizon will do."""


class EarthLight(NamedTuple):
    """Light from n = 36 directions.

    Attributes:
        directions: Unit vectors from the satellite to the ground, shape (n, 3).
        shares: What each gives to a plate that faces it, of full sunlight, for a reflectivity of one, shape (n,).
    """

    directions: Array
    shares: Array

    def on_plates(self, normals: Array) -> tuple[Array, Array]:
        """Light on k plates as a share of full sunlight, shape (k,), and its derivative by the normals, shape (k, 3).

        Args:
            normals: Outward unit normals in the axes of `directions`, shape (k, 3). A plate's share is the product of
                its normal and its derivative.
        """
        seen = normals.dot(self.directions.T) > 0.0
        by_normal = (seen * self.shares).dot(self.directions)
        return np.einsum("ki,ki->k", normals, by_normal), by_normal


def earth_light(position_m: Array, sun_m: Array) -> EarthLight:
    """The Earth's light at a satellite.

    Args:
        position_m: Geocentric position, shape (3,). On the ground and below it, the ground's light is taken.
        sun_m: Geocentric position of the Sun, or the direction to it, in the same axes, whichever; shape (3,).
    """
    radius_m = math.sqrt(position_m.dot(position_m))
    up = position_m / radius_m
    sun = sun_m / math.sqrt(sun_m.dot(sun_m))
    sun_up = float(up.dot(sun))
    ahead = sun - sun_up * up
    sun_ahead = math.sqrt(ahead.dot(ahead))
    across = cross_matrix(up)
    if sun_ahead < _OVERHEAD:
        ahead = across[np.abs(up).argmin()]
    ahead = ahead / math.sqrt(ahead.dot(ahead))
    axes = np.array((ahead, across.dot(ahead), up))
    disc = _disc(max(round(radius_m / _STEP_M), _GROUND))
    sunlight = sun_ahead * disc.by_ahead + sun_up * disc.by_up
    return EarthLight(disc.directions.dot(axes), np.maximum(sunlight, 0.0))


class _Disc(NamedTuple):
    """The Earth's disc from one height, in axes x ahead to the Sun, y left of it, z up.

    Attributes:
        directions: Unit vectors to the ground, shape (n, 3).
        by_ahead: Share of each direction for a sunward component of one, negative where the Sun is below, shape (n,).
        by_up: The same for a component of one upwards, shape (n,).
    """

    directions: Array
    by_ahead: Array
    by_up: Array


@lru_cache(maxsize=64)
def _disc(radius_steps: int) -> _Disc:
    # Lengths in Earth radii.
    radius = max(radius_steps * _STEP_M / WGS84_RADIUS_M, 1.0)
    horizon = math.sqrt(1.0 - 1.0 / radius**2)
    cosine = horizon + (1.0 - horizon) * _INWARD
    sine = np.sqrt(1.0 - cosine * cosine)
    x = sine * _COSINE
    away = radius * cosine - np.sqrt(1.0 - (radius * sine) ** 2)
    weight = _SOLID_ANGLE_BY_PI * (1.0 - horizon)
    directions = np.array((x, sine * _SINE, -cosine)).T
    return _Disc(np.ascontiguousarray(directions), away * x * weight, (radius - away * cosine) * weight)
