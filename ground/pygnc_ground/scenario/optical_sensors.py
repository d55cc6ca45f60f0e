"""Star tracker and fine Sun sensor, each with noise and a misalignment. No file of the interface has their readings.

The star tracker measures the attitude, except near the Sun and during fast rotation. The fine Sun sensor measures the
direction to the Sun with a distortion, in a limited field of view.
"""

import numpy as np
from scipy.spatial.transform import Rotation

from pygnc_ground.scenario.environment import FloatArray
from pygnc_ground.scenario.sensor_settings import FineSunSensor, StarTracker
from pygnc_ground.scenario.settings import noise_generator

_RAD_PER_ARCSEC = np.radians(1.0 / 3600.0)


def measured_quaternions(
    sensor: StarTracker, gcrf_from_body: FloatArray, rate_body_rad_s: FloatArray, sun_body_m: FloatArray, seed: int
) -> FloatArray:
    """Return quaternions GCRF from sensor, scalar first, shape (n, 4); NaN where the sensor sees no stars.

    They follow from n true attitudes, scalar first, body rates, and vectors to the Sun in body axes.
    """
    draw = noise_generator(seed, "star tracker")
    body_from_sensor = Rotation.from_matrix(np.array(sensor.sensor_from_body).T)
    noise_arcsec = np.array((sensor.across_noise_arcsec, sensor.across_noise_arcsec, sensor.boresight_noise_arcsec))
    noise = noise_arcsec * draw.standard_normal((len(gcrf_from_body), 3))
    errors = Rotation.from_rotvec(_RAD_PER_ARCSEC * (noise + np.array(sensor.misalignment_arcsec)))
    measured = Rotation.from_quat(gcrf_from_body, scalar_first=True) * body_from_sensor * errors
    quaternions: FloatArray = measured.as_quat(scalar_first=True)
    boresight = body_from_sensor.apply((0.0, 0.0, 1.0))
    sun_cosine = sun_body_m @ boresight / np.linalg.norm(sun_body_m, axis=1)
    is_blind = sun_cosine > np.cos(np.radians(sensor.sun_exclusion_deg))
    is_blind |= np.linalg.norm(rate_body_rad_s, axis=1) > np.radians(sensor.rate_max_deg_s)
    is_blind |= draw.random(len(quaternions)) < sensor.lost_fraction
    quaternions[is_blind] = np.nan
    return quaternions


def measured_directions(
    sensor: FineSunSensor, sun_body_m: FloatArray, sunlit_fraction: FloatArray, seed: int
) -> FloatArray:
    """Return unit vectors towards the Sun in sensor axes, shape (n, 3); NaN where the sensor does not see the Sun.

    They follow from vectors to the Sun in body axes, shape (n, 3), and the visible fraction of its disc, shape (n,).
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
