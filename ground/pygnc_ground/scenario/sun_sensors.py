"""Light on the six faces: the Sun by the cosine law, and the Earth. The OPT3001's range and steps are the format's."""

import numpy as np

from pygnc_ground.scenario.albedo import albedo_shares
from pygnc_ground.scenario.earth import FloatArray
from pygnc_ground.scenario.seeds import noise_generator
from pygnc_ground.scenario.sensor_settings import SunSensors

_AU_M = 149_597_870_700.0

FACE_NORMALS_BODY = np.vstack((np.eye(3), -np.eye(3)))
"""+X, +Y, +Z, -X, -Y, -Z, the order of the sense record."""


def face_lux(
    sensors: SunSensors, sun_body_m: FloatArray, position_body_m: FloatArray, sunlit_fraction: FloatArray, seed: int
) -> FloatArray:
    """Illuminance that the sensor on each face would show if its range were larger, in lux, shape (n, 6).

    Args:
        sensors: Strength of sunlight, the Earth's reflectivity, errors of gain, noise.
        sun_body_m: Vector from the satellite to the Sun in body axes, shape (n, 3).
        position_body_m: Geocentric position of the satellite in body axes, shape (n, 3).
        sunlit_fraction: Visible part of the Sun's disc, shape (n,).
        seed: Of the scenario.
    """
    distance_m = np.linalg.norm(sun_body_m, axis=1, keepdims=True)
    full_lux = sensors.full_sun_lux * (_AU_M / distance_m) ** 2
    direct = sunlit_fraction[:, np.newaxis] * np.maximum(sun_body_m / distance_m @ FACE_NORMALS_BODY.T, 0.0)
    reflected = sensors.earth_reflectivity * albedo_shares(position_body_m, sun_body_m, FACE_NORMALS_BODY)
    shown = (1.0 + np.array(sensors.gain_errors)) * (direct + reflected)
    noise = noise_generator(seed, "sun sensors").standard_normal(shown.shape)
    noise *= sensors.noise_fraction * sunlit_fraction[:, np.newaxis]
    lux: FloatArray = np.maximum(full_lux * (shown + noise), 0.0)
    return lux
