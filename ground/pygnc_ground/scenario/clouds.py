"""Clouds: reflectivity of the Earth that varies with place and time.

The reflectivity is a uniformly distributed random field: plane waves through the Earth's volume with random directions,
lengths and phases, which move with the weather, add up to a Gaussian field on its surface (central limit theorem), of
which the distribution function makes a uniform one. Measured reflectivities range from 0.1 over oceans to above 0.6
over thick clouds and ice (Bhanderi & Bak, Modeling Earth Albedo for Satellites in Earth Orbit, AIAA 2005-6465).
"""

import math
from typing import Final, NamedTuple, Self

import numpy as np
from scipy.special import ndtr

from pygnc_ground.scenario.environment import FloatArray
from pygnc_ground.scenario.sensor_settings import SunSensors
from pygnc_ground.scenario.settings import noise_generator

_WAVES: Final = 16
_SHORTEST_RAD: Final = 0.3
_LONGEST_RAD: Final = 2.0
"""Wavelengths on the Earth's surface: 1900 km, a cyclone and its gap, to 13000 km, a climate zone and the next."""
_CHANGE_S: Final = 6.0 * 3600.0
"""Time in which a wave typically moves by one radian of its phase."""


class Clouds(NamedTuple):
    """Reflectivity, relative to its mean, around n places at n times."""

    waves: FloatArray
    """Wave vectors in the axes of the sensors in 1/Earth radius, shape (n, w, 3)."""
    phases: FloatArray
    """Phases at the Earth's centre, shape (n, w)."""
    variation: float
    """Largest deviation of the reflectivity as a fraction of the mean."""

    @classmethod
    def over(cls, sensors: SunSensors, t_s: FloatArray, itrf_from_body: FloatArray, seed: int) -> Self:
        """Return the clouds `t_s` seconds after the start, shapes (n,) and (n, 3, 3)."""
        draw = noise_generator(seed, "clouds")
        directions = draw.standard_normal((_WAVES, 3))
        lengths_rad = np.exp(draw.uniform(math.log(_SHORTEST_RAD), math.log(_LONGEST_RAD), (_WAVES, 1)))
        waves_itrf = 2.0 * np.pi / lengths_rad * directions / np.linalg.norm(directions, axis=1, keepdims=True)
        rates_rad_s = draw.standard_normal(_WAVES) / _CHANGE_S
        phases = draw.uniform(0.0, 2.0 * np.pi, _WAVES) + np.outer(t_s, rates_rad_s)
        return cls(waves_itrf @ itrf_from_body, phases, sensors.earth_reflectivity_variation)

    def brightness(self, rows: slice, axes: FloatArray, places: FloatArray) -> FloatArray:
        """Return the reflectivity relative to its mean at g places around each selected row, shape (k, g).

        Args:
            rows: The k rows.
            axes: Axes of the places as rows in the axes of the sensors, shape (k, 3, 3).
            places: Unit vectors from the Earth's centre in these axes, shape (k, g, 3).
        """
        waves = self.waves[rows] @ np.swapaxes(axes, 1, 2)
        field = np.cos(places @ np.swapaxes(waves, 1, 2) + self.phases[rows, np.newaxis]).sum(axis=2)
        return np.asarray(1.0 + self.variation * (2.0 * ndtr(field * math.sqrt(2.0 / _WAVES)) - 1.0))
