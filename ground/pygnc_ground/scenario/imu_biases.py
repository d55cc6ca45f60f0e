"""True biases of magnetometer and gyro: given or drawn, and the gyro's walk."""

import math

import numpy as np
import numpy.typing as npt

from pygnc_ground.scenario.earth import FloatArray
from pygnc_ground.scenario.section import Vector3
from pygnc_ground.scenario.seeds import noise_generator
from pygnc_ground.scenario.sensor_settings import Drawn, Imu

_SECONDS_PER_HOUR = 3600.0


def mag_bias_ut(imu: Imu, count: int, seed: int) -> FloatArray:
    """Bias of the magnetometer in sensor axes, a constant, shape (count, 3)."""
    bias_ut = _given_or_drawn(imu.mag_bias_ut, imu.mag_bias_bound_ut, seed, "magnetometer bias")
    return np.tile(bias_ut, (count, 1))


def gyro_bias_rad_s(imu: Imu, t_s: npt.NDArray[np.int64], seed: int) -> FloatArray:
    """Bias of the gyro in sensor axes at `t_s` whole seconds after the start, shapes (n,) -> (n, 3).

    It walks every second, so that it does not depend on when it is asked.
    """
    bias_deg_s = _given_or_drawn(imu.gyro_bias_deg_s, imu.gyro_bias_bound_deg_s, seed, "gyro bias")
    step_deg_s = imu.gyro_bias_stability_deg_h / _SECONDS_PER_HOUR / math.sqrt(_SECONDS_PER_HOUR)
    steps = noise_generator(seed, "gyro bias walk").standard_normal((int(t_s.max(initial=0)), 3))
    walked_deg_s = step_deg_s * np.cumsum(np.vstack((np.zeros(3), steps)), axis=0)
    return np.radians(bias_deg_s + walked_deg_s[t_s])


def _given_or_drawn(bias: Vector3 | Drawn, bound: float, seed: int, name: str) -> FloatArray:
    if bias == "drawn":
        return noise_generator(seed, name).uniform(-bound, bound, 3)
    return np.array(bias)
