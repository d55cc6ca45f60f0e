"""Light vector: direction and strength of all light on the satellite, from sun sensors on opposite faces.

The illuminance of a face minus that of the opposite face is the component of the light vector along the normal,
whatever the extent of the sources. Without an attitude, the length of the vector and its scalar products with other
vectors are known: those of the Sun vector plus the reflectivity times the light vector of the Earth.
"""

import math
from typing import Final, NamedTuple

import numpy as np

from pygnc.common.arrays import Array
from pygnc.estimators.attitude.sample import AttitudeEnvironment
from pygnc.estimators.attitude.sensor_health import DIRECT_SUN_SHARE
from pygnc.estimators.attitude.settings import AttitudeSettings, MountingSettings
from pygnc.estimators.attitude.sun_sensors import is_full_scale, light_sources

_PERPENDICULAR: Final = 1e-6
_LENGTH_ERROR: Final = 0.25
"""Largest difference of measured and modelled length, with gains, reflectivity and cosine law uncertain by a tenth."""
_FILLED_SIGMA: Final = (0.0, 0.05, 0.07)
"""Error of a light vector of which no, one or two components were at full scale and follow from its length."""


class LightVector(NamedTuple):
    """Light in fractions of full sunlight.

    Attributes:
        body: Measured vector in body axes, shape (3,).
        pairs: Measured components along the normals of three faces, shape (3,).
        gcrf: Modelled vector in GCRF, shape (3,).
        earth: Length of the part that the Earth reflects.
        filled_sigma: Error per axis of components that follow from the length.
    """

    body: Array
    pairs: Array
    gcrf: Array
    earth: float
    filled_sigma: float


class NetLight:
    """Converter of illuminances into light vectors.

    Attributes:
        is_measured: False if the sun sensors are not on three perpendicular pairs of opposite faces.
    """

    def __init__(self, settings: AttitudeSettings) -> None:
        self._settings = settings
        self._front, self._back = _opposite_faces(settings.mounting)
        self._body_from_pairs = settings.mounting.face_normals[self._front].T
        self.is_measured = len(self._front) == 3

    def vector(self, lux: Array, environment: AttitudeEnvironment) -> LightVector | None:
        """Return the light vector from illuminances in lux, shape (faces,), in full sunlight.

        Returns None without three perpendicular pairs of opposite faces, if the length is not that of the model, as
        with a dead sensor, if opposite faces both see the Sun, as with a sensor that is turned around, or if three
        components are at full scale.
        """
        if not self.is_measured:
            return None
        sources = light_sources(environment, self._settings)
        earth = self._settings.sun_sensors.reflectivity * sources.earth.shares[0].dot(sources.earth.directions)
        earth_share = math.sqrt(earth.dot(earth))
        gcrf = sources.sun_gcrf + earth
        square = float(gcrf.dot(gcrf))
        share = lux / sources.full_sun_lux
        full_scale = self._settings.sun_sensors.saturation_lux / sources.full_sun_lux
        front, back = share[self._front], share[self._back]
        pairs = front - back
        at_full_scale = is_full_scale(np.maximum(front, back), full_scale)
        filled = int(np.count_nonzero(at_full_scale))
        darker = np.minimum(front, back)
        if filled > 2 or darker.min() < 0.0 or darker.max() > earth_share + DIRECT_SUN_SHARE:
            return None
        if filled:
            left = square - float(np.square(pairs[~at_full_scale]).sum())
            # Two components at full scale share the rest; each is at least the full scale.
            if left < filled * max(full_scale - 0.5 * _LENGTH_ERROR, 0.0) ** 2:
                return None
            pairs[at_full_scale] = np.copysign(math.sqrt(left / filled), pairs[at_full_scale])
        elif abs(math.sqrt(pairs.dot(pairs)) - math.sqrt(square)) > _LENGTH_ERROR:
            return None
        body = self._body_from_pairs.dot(pairs)
        return LightVector(body, pairs, gcrf, earth_share, _FILLED_SIGMA[filled])


def _opposite_faces(mounting: MountingSettings) -> tuple[list[int], list[int]]:
    """Return the numbers of faces on perpendicular axes, and of their opposite faces; up to three of each."""
    normals = np.array(mounting.face_normals_body)
    front: list[int] = []
    back: list[int] = []
    for number, normal in enumerate(normals):
        opposite = np.flatnonzero(normals.dot(normal) < _PERPENDICULAR - 1.0)
        is_new = len(front) < 3 and bool((np.abs(normals[front].dot(normal)) < _PERPENDICULAR).all())
        if len(opposite) and is_new:
            front.append(number)
            back.append(int(opposite[0]))
    return front, back
