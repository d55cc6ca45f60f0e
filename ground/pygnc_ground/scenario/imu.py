"""IMU (BMX160 magnetometer and gyro): mounting, misalignment, scale, bias, noise, range and quantisation.

The magnetometer also measures the fields of the satellite itself: panel currents, magnetorquers and a payload.
"""

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from pygnc.common.constants import GYRO_DEG_S_PER_COUNT, MAGNETOMETER_UT_PER_COUNT
from pygnc_ground.scenario.environment import Conditions, FloatArray
from pygnc_ground.scenario.sensor_settings import Drawn, Imu, Payload, SignedAxes, Torquers, Vector3
from pygnc_ground.scenario.settings import noise_generator

MAG_RANGE_UT: Final = np.array([1150.0, 1150.0, 2500.0])
"""Range by the BMX160 data sheet. Along z the 16-bit word of the file ends earlier, at 2048 uT."""
GYRO_RANGE_DEG_S: Final = 500.0
"""Range set on the satellites; the 16-bit word of the file ends slightly earlier, at 499.5 deg/s."""
_WORD: Final = np.iinfo(np.int16)


def magnetometer_ut(imu: Imu, field_body_ut: FloatArray, bias_imu_ut: FloatArray, seed: int) -> FloatArray:
    """Return quantised readings in sensor axes; field in body axes, bias in sensor axes, all of shape (n, 3)."""
    matrix = np.diag(1.0 + np.array(imu.mag_scale_error)) @ axes_from_orthogonal(imu) @ _mounting(imu, imu.mag_axes)
    noise = noise_generator(seed, "magnetometer").standard_normal(field_body_ut.shape)
    reading_ut = field_body_ut @ matrix.T + bias_imu_ut + imu.mag_noise_ut * noise
    return _in_counts(imu, reading_ut, MAG_RANGE_UT, MAGNETOMETER_UT_PER_COUNT)


def gyro_rad_s(imu: Imu, rate_body_rad_s: FloatArray, bias_imu_rad_s: FloatArray, seed: int) -> FloatArray:
    """Return quantised readings in sensor axes; rate in body axes, bias in sensor axes, all of shape (n, 3)."""
    matrix = np.diag(1.0 + np.array(imu.gyro_scale_error)) @ _mounting(imu, imu.gyro_axes)
    noise = noise_generator(seed, "gyro").standard_normal(rate_body_rad_s.shape)
    reading_deg_s = np.degrees(rate_body_rad_s @ matrix.T + bias_imu_rad_s) + imu.gyro_noise_deg_s * noise
    return np.radians(_in_counts(imu, reading_deg_s, GYRO_RANGE_DEG_S, GYRO_DEG_S_PER_COUNT))


def _mounting(imu: Imu, axes: SignedAxes) -> FloatArray:
    """Return the matrix from body to sensor components of a sensor that measures the given axes, shape (3, 3)."""
    return np.asarray(np.sign(axes)[:, np.newaxis] * np.array(imu.imu_from_body)[np.abs(axes) - 1])


_MINUTE_S = 60.0


def torquers_on(torquers: Torquers, t_s: FloatArray, seed: int) -> npt.NDArray[np.bool_]:
    """Return whether the magnetorquers are on at `t_s` seconds after the start, shapes (n,) -> (n,)."""
    minute = (t_s // _MINUTE_S).astype(np.int64)
    draws = noise_generator(seed, "torquer minutes").random(int(minute.max(initial=0)) + 1)
    return np.asarray((draws < torquers.duty)[minute] & (torquers.field_ut > 0.0))


def satellite_field_body_ut(
    imu: Imu, torquers: Torquers, t_s: FloatArray, sunlit_fraction: FloatArray, seed: int
) -> FloatArray:
    """Return the field of panels and magnetorquers at the magnetometer in body axes, uT, shape (n, 3).

    `t_s` are seconds after the start, `sunlit_fraction` is the visible fraction of the Sun's disc, both of shape (n,).
    """
    minute = (t_s // _MINUTE_S).astype(np.int64)
    direction = noise_generator(seed, "torquer directions").standard_normal((int(minute.max(initial=0)) + 1, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    active = torquers.field_ut * torquers_on(torquers, t_s, seed)
    panels: FloatArray = sunlit_fraction[:, np.newaxis] * np.array(imu.panel_field_body_ut)
    own_ut = panels + active[:, np.newaxis] * direction[minute]
    if torquers.decay_s > 0.0:
        is_on = torquers_on(torquers, np.arange(len(direction), dtype=np.float64) * _MINUTE_S, seed)
        # Each current overrides what the one before has left, so only the last one decays.
        last_on = np.maximum.accumulate(np.where(is_on, np.arange(len(is_on)), -1))[minute]
        decay = np.exp(np.minimum(_MINUTE_S * (last_on + 1) - t_s, 0.0) / torquers.decay_s)
        decay[(last_on < 0) | (active > 0.0)] = 0.0
        own_ut += (torquers.field_ut * decay)[:, np.newaxis] * direction[last_on]
    return own_ut


def payload_field_body_ut(payload: Payload, t_s: FloatArray, seed: int) -> FloatArray:
    """Return the field of the payload at the magnetometer `t_s` seconds after the start, body axes, shape (n, 3)."""
    number, after = np.divmod(t_s, payload.period_s)
    draws = noise_generator(seed, "payload").random(int(number.max(initial=0)) + 1)
    begin_s = draws[number.astype(np.int64)] * max(payload.period_s - payload.on_s, 0.0)
    is_on = (after >= begin_s) & (after < begin_s + payload.on_s)
    return np.outer(is_on, payload.field_body_ut)


def axes_from_orthogonal(imu: Imu) -> FloatArray:
    """Return the directions of the magnetometer's axes as rows, shape (3, 3).

    The directions are components in orthogonal axes that share the sensor's x axis and xy plane. Parameters: C. C.
    Foster and G. H. Elkaim, Extension of a two-step calibration methodology to include nonorthogonal sensor axes, IEEE
    Transactions on Aerospace and Electronic Systems 44(3), 2008.
    """
    y_to_x, z_to_x, z_to_y = np.radians(imu.mag_nonorthogonality_deg)
    return np.array(
        [
            [1.0, 0.0, 0.0],
            [np.sin(y_to_x), np.cos(y_to_x), 0.0],
            [np.sin(z_to_x), np.cos(z_to_x) * np.sin(z_to_y), np.cos(z_to_x) * np.cos(z_to_y)],
        ]
    )


def _in_counts(imu: Imu, reading: FloatArray, largest: npt.ArrayLike, per_count: float) -> FloatArray:
    """Return the readings clipped to the range and rounded to whole counts of the file's 16-bit words."""
    counts = np.clip(reading, -np.asarray(largest), largest) / per_count
    whole = np.rint(counts) if imu.rounding == "nearest" else np.floor(counts)
    return per_count * np.clip(whole, _WORD.min, _WORD.max)


_SECONDS_PER_HOUR = 3600.0


def mag_bias_ut(imu: Imu, conditions: Conditions, seed: int) -> FloatArray:
    """Return the magnetometer bias without its thermal part in sensor axes under n conditions, shape (n, 3)."""
    bias_ut = _given_or_drawn(imu.mag_bias_ut, imu.mag_bias_bound_ut, seed, "magnetometer bias")
    return np.tile(bias_ut, (len(conditions.t_s), 1))


def gyro_bias_rad_s(imu: Imu, conditions: Conditions, seed: int) -> FloatArray:
    """Return constant part and random walk of the gyro bias in sensor axes under n conditions, shape (n, 3).

    The random walk has one step per second, so that the result does not depend on the sampling.
    """
    t_s = conditions.t_s
    bias_deg_s = _given_or_drawn(imu.gyro_bias_deg_s, imu.gyro_bias_bound_deg_s, seed, "gyro bias")
    step_deg_s = imu.gyro_bias_stability_deg_h / _SECONDS_PER_HOUR / math.sqrt(_SECONDS_PER_HOUR)
    steps = noise_generator(seed, "gyro bias walk").standard_normal((int(t_s.max(initial=0)), 3))
    walked_deg_s = step_deg_s * np.cumsum(np.vstack((np.zeros(3), steps)), axis=0)
    return np.radians(bias_deg_s + walked_deg_s[t_s.astype(np.int64)])


_GRAVITY_MPS2 = 9.80665


def gyro_bias_change_rad_s(imu: Imu, warmth: FloatArray, rate_body_rad_s: FloatArray) -> FloatArray:
    """Return the gyro bias by temperature, shape (n,), and by specific force at body rates, (n, 3), shape (n, 3).

    The force is the centripetal one of the rotation. Drag and the change of the rate add less than 1e-5 g.
    """
    force_mps2 = np.cross(rate_body_rad_s, np.cross(rate_body_rad_s, imu.imu_place_body_m))
    per_force = math.radians(imu.gyro_g_sensitivity_deg_s_per_g) / _GRAVITY_MPS2
    by_temperature = np.outer(warmth, np.radians(imu.gyro_bias_thermal_deg_s))
    return np.asarray(by_temperature + per_force * force_mps2 @ _mounting(imu, imu.gyro_axes).T)


def _given_or_drawn(bias: Vector3 | Drawn, bound: float, seed: int, name: str) -> FloatArray:
    if bias == "drawn":
        return noise_generator(seed, name).uniform(-bound, bound, 3)
    return np.array(bias)
