"""Light on the six faces: direct sunlight by the cosine law. The OPT3001's saturation and steps are the format's."""

import numpy as np

from pygnc_ground.scenario.earth import FloatArray
from pygnc_ground.scenario.seeds import noise_generator
from pygnc_ground.scenario.sensor_settings import SunSensors

_AU_M = 149_597_870_700.0

FACE_NORMALS_BODY = np.vstack((np.eye(3), -np.eye(3)))
"""+X, +Y, +Z, -X, -Y, -Z, the order of the sense record."""


def face_lux(sensors: SunSensors, sun_body_m: FloatArray, sunlit_fraction: FloatArray, seed: int) -> FloatArray:
    """Illuminance on each face in lux, shape (n, 6).

    Args:
        sensors: Strength of sunlight and noise.
        sun_body_m: Vector from the satellite to the Sun in body axes, shape (n, 3).
        sunlit_fraction: Visible part of the Sun's disc, shape (n,).
        seed: Of the scenario.
    """
    distance_m = np.linalg.norm(sun_body_m, axis=1)
    cosine = np.maximum(sun_body_m / distance_m[:, np.newaxis] @ FACE_NORMALS_BODY.T, 0.0)
    normal_lux = sensors.full_sun_lux * (_AU_M / distance_m) ** 2 * sunlit_fraction
    noise = noise_generator(seed, "sun sensors").standard_normal(cosine.shape)
    # Of the reading, so that a dark face stays dark.
    lux: FloatArray = normal_lux[:, np.newaxis] * cosine * (1.0 + sensors.noise_fraction * noise)
    return np.maximum(lux, 0.0)
