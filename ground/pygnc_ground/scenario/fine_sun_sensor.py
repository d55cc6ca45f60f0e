"""Fine Sun sensor: the direction to the Sun with noise, a misalignment and a distortion, in a limited field of view."""

import numpy as np
from scipy.spatial.transform import Rotation

from pygnc_ground.scenario.environment import FloatArray
from pygnc_ground.scenario.sensor_settings import FineSunSensor
from pygnc_ground.scenario.settings import noise_generator


def measured_directions(
    sensor: FineSunSensor, sun_body_m: FloatArray, sunlit_fraction: FloatArray, seed: int
) -> FloatArray:
    """Return unit vectors towards the Sun in sensor axes, shape (n, 3); NaN where the sensor does not see the Sun.

    Args:
        sensor: Settings.
        sun_body_m: Vectors to the Sun in body axes, shape (n, 3).
        sunlit_fraction: Visible fraction of the Sun's disc, shape (n,).
        seed: Seed of the noise.
    """
    draw = noise_generator(seed, "fine Sun sensor")
    mounting = Rotation.from_matrix(np.array(sensor.sensor_from_body))
    misalignment = Rotation.from_rotvec(np.array(sensor.misalignment_deg), degrees=True)
    true: FloatArray = (misalignment.inv() * mounting).apply(sun_body_m)
    true /= np.linalg.norm(true, axis=1)[:, None]
    angle = np.arccos(np.clip(true[:, 2], -1.0, 1.0))
    # About the axis that leads from the boresight to the Sun.
    axis = np.cross((0.0, 0.0, 1.0), true)
    axis /= np.maximum(np.linalg.norm(axis, axis=1), 1e-12)[:, None]
    noise = np.radians(sensor.noise_deg) * draw.standard_normal(true.shape)
    measured: FloatArray = Rotation.from_rotvec((sensor.distortion * angle)[:, None] * axis).apply(true)
    measured = Rotation.from_rotvec(noise).apply(measured)
    measured[(sunlit_fraction <= 0.0) | (angle > np.radians(sensor.field_of_view_deg))] = np.nan
    return measured
