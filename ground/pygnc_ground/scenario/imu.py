"""Magnetometer and gyro of the BMX160: mounting, constant bias, white noise. Quantisation is the file format's."""

import numpy as np

from pygnc_ground.scenario.earth import FloatArray
from pygnc_ground.scenario.seeds import noise_generator
from pygnc_ground.scenario.sensor_settings import Imu


def magnetometer_ut(imu: Imu, field_body_ut: FloatArray, seed: int) -> FloatArray:
    """Readings in sensor axes from the field in body axes, both in microtesla, shape (n, 3)."""
    noise = noise_generator(seed, "magnetometer").standard_normal(field_body_ut.shape)
    error_ut = np.array(imu.mag_bias_ut) + imu.mag_noise_ut * noise
    return _to_imu(imu, field_body_ut) + error_ut


def gyro_rad_s(imu: Imu, rate_body_rad_s: FloatArray, seed: int) -> FloatArray:
    """Readings in sensor axes from the angular velocity in body axes, both in rad/s, shape (n, 3)."""
    noise = noise_generator(seed, "gyro").standard_normal(rate_body_rad_s.shape)
    error_deg_s = np.array(imu.gyro_bias_deg_s) + imu.gyro_noise_deg_s * noise
    return _to_imu(imu, rate_body_rad_s) + error_deg_s * np.pi / 180.0


def _to_imu(imu: Imu, body: FloatArray) -> FloatArray:
    components: FloatArray = body @ np.array(imu.imu_from_body).T
    return components
