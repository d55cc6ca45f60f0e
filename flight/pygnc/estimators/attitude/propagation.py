"""Propagation of the attitude state from one gyro reading to the next.

The rate is integrated by the trapezoidal rule with the coning correction of one twelfth of the cross product of both
readings (Bortz, IEEE TAES 7, 1971). Half of each reading's noise enters the step before it, half the step after it. The
filter adds the noise of one reading per step instead, which gives the correct random walk over many steps.

The effect of a scale error is proportional to the rate. A reading as that rate would share its noise with the attitude
error that the update observes, which pulls the estimated scale error towards +1 (errors in variables). A smoothed
reading does not.
"""

import math
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np

from pygnc.common import quaternion
from pygnc.common.arrays import Array, cross
from pygnc.environment.solar_radiation import THERMAL_TIME_S
from pygnc.estimators.attitude.bias_walks import NO_WALKS, BiasWalks
from pygnc.estimators.attitude.settings import AttitudeSettings
from pygnc.estimators.attitude.state import ERRORS, AttitudeState, Flags

_MEAN_ERROR: Final = 0.01
"""Error of the mean rate of a step, as a fraction of the difference of its first and last rate."""
_SMOOTHED_CHANGE: Final = 1000.0
"""Squared change of the rate, in variances of a reading, of which the smoothed reading takes over one half at once: a
change of 0.8 deg/s with the default noise. It takes 0.3 % of the noise, so its memory is longer than the filter's.
"""
_UNKNOWN_WEIGHT: Final = 0.25
"""Weight of the variance of the estimated change of a bias in its mean square, for the errors of warmth. With 1, the
sigma in the first shadow of a good flight is 1.24 times as large, and realistic flights gain nothing.
"""


class AttitudeStep(NamedTuple):
    """One step of the error state.

    Attributes:
        state: Propagated state; its covariance root is not triangular, shape (size, size + noisy elements).
        transition: State transition matrix of the error state, shape (size, size).
        noise_sigma: Standard deviations of the process noise of the step, shape (size,).
        rate_body_rad_s: Body rate at the end of the step, corrected with the biases before the step, shape (3,).
        turn_rad: Rotation during the step as a rotation vector, body axes, shape (3,).
    """

    state: AttitudeState
    transition: Array
    noise_sigma: Array
    rate_body_rad_s: Array
    turn_rad: Array


class AttitudeDynamics:
    """Model of the attitude motion between gyro readings."""

    def __init__(self, settings: AttitudeSettings) -> None:
        self._settings = settings
        self._body_from_gyro = settings.mounting.gyro.T
        sun, gyro = settings.sun_sensors, settings.gyro
        size = ERRORS.size(settings.mounting.faces)
        self._steady = np.full(size, np.inf)
        self._steady[ERRORS.gyro_scale], self._steady[ERRORS.face_gains] = gyro.scale_sigma, sun.gain_sigma
        self._steady[ERRORS.reflectivity] = sun.reflectivity_sigma
        self._steady[ERRORS.field_error] = settings.magnetometer.field_error_ut
        self._time_s = np.full(size, np.inf)
        self._time_s[ERRORS.gyro_scale], self._time_s[ERRORS.face_gains] = gyro.scale_time_s, sun.gain_time_s
        self._time_s[ERRORS.reflectivity] = sun.reflectivity_time_s
        self._time_s[ERRORS.field_error] = settings.magnetometer.field_error_time_s
        self._walk = np.zeros(size)
        self._walk[ERRORS.gyro_bias], self._walk[ERRORS.mag_bias] = (
            gyro.bias_walk_rad_s,
            settings.magnetometer.bias_walk_ut,
        )
        self._noisy = np.flatnonzero(
            np.isfinite(self._steady) | (self._walk > 0.0) | (np.arange(size) < ERRORS.attitude.stop)
        )
        """Elements with process noise in every step."""
        self._centre = np.zeros(size - 3)
        self._centre[ERRORS.reflectivity.start - 3] = sun.reflectivity
        self._slow = lru_cache(maxsize=64)(self._slow_parameters)

    def rate_body_rad_s(self, gyro_imu_rad_s: Array, state: AttitudeState) -> Array:
        """Return a gyro reading as body rate relative to GCRF, without bias and scale error: body axes, rad/s, (3,)."""
        rate_imu_rad_s = (gyro_imu_rad_s - state.gyro_bias_rad_s) / (1.0 + state.gyro_scale_error)
        return np.asarray(self._body_from_gyro.dot(rate_imu_rad_s))

    def smoothed_imu_rad_s(self, smoothed_imu_rad_s: Array, gyro_imu_rad_s: Array) -> Array:
        """Return the smoothed gyro reading, (3,), after the next reading; it follows changes that exceed the noise."""
        change = gyro_imu_rad_s - smoothed_imu_rad_s
        square = float(change.dot(change))
        weight = square / (square + _SMOOTHED_CHANGE * self._settings.gyro.noise_rad_s**2)
        return np.asarray(smoothed_imu_rad_s + weight * change)

    def advance(
        self,
        state: AttitudeState,
        before_imu_rad_s: Array,
        after_imu_rad_s: Array,
        gps_ms: int,
        stuck: Flags,
        *,
        smoothed_imu_rad_s: Array | None = None,
        inflation: Array | None = None,
        walks: BiasWalks = NO_WALKS,
        tag_variance_s2: float = 0.0,
        warming: float = 0.0,
        sunlit_fraction: float = 0.0,
    ) -> AttitudeStep:
        """Propagate a state to the next gyro reading.

        Args:
            state: State at the time of the first reading.
            before_imu_rad_s: Gyro reading at the time of the state, sensor axes, rad/s, shape (3,).
            after_imu_rad_s: Gyro reading at the end of the step, sensor axes, rad/s, shape (3,).
            gps_ms: End of the step in GPS ms, later than the state.
            stuck: True for gyro axes that are stuck, shape (3,).
            smoothed_imu_rad_s: Smoothed gyro reading, by which a scale error acts, sensor axes, rad/s, shape (3,); None
                for the mean of both readings.
            inflation: Standard deviations of additional process noise of this step, shape (size,); None for none.
            walks: Factors on the random walks of the biases.
            tag_variance_s2: Variance of the errors of the reading's times, s2.
            warming: Change of the warmth during the step.
            sunlit_fraction: Visible fraction of the Sun's disc, which heats the satellite.
        """
        step_s = (gps_ms - state.gps_ms) * 1e-3
        gain = 1.0 / (1.0 + state.gyro_scale_error)
        bias = state.gyro_bias_rad_s
        bias_after = bias + warming * state.thermal[:3]
        rates_imu = np.array((before_imu_rad_s - bias, after_imu_rad_s - bias_after)) * gain
        first, last = rates_imu.dot(self._body_from_gyro.T)
        rotation = (0.5 * step_s) * (first + last) + (step_s * step_s / 12.0) * cross(first, last)
        rotation_quaternion = quaternion.exponential(rotation)
        rotated = quaternion.multiply(state.quaternion, rotation_quaternion)
        rotated /= math.sqrt(rotated.dot(rotated))

        decay, slow_transition, slow_noise = self._slow(step_s)
        noise, transition = slow_noise.copy(), slow_transition.copy()
        if walks.gyro > 1.0 or walks.magnetometer > 1.0:
            noise[ERRORS.gyro_bias] *= walks.gyro
            noise[ERRORS.mag_bias] *= walks.magnetometer
        if np.count_nonzero(stuck):
            noise[ERRORS.gyro_bias][stuck] = self._settings.gyro.stuck_walk_rad_s * math.sqrt(step_s)
        root = state.sqrt_covariance[ERRORS.thermal]
        size2 = _UNKNOWN_WEIGHT * np.einsum("ij,ij->i", root, root) + state.thermal**2
        heat = self._settings.heat_error * sunlit_fraction * step_s / THERMAL_TIME_S
        lasting = THERMAL_TIME_S / step_s * ((self._settings.warmth_error * warming) ** 2 + heat * heat)
        noise[ERRORS.biases] = np.sqrt(noise[ERRORS.biases] ** 2 + lasting * size2)
        noise[ERRORS.attitude] = self._rotation_sigma_rad(step_s, rotation, last - first, tag_variance_s2)
        if inflation is not None:
            noise = np.hypot(noise, inflation)
        d_rate = -step_s * right_jacobian(rotation).dot(self._body_from_gyro * gain)
        transition[ERRORS.attitude, ERRORS.attitude] = quaternion.to_matrix(rotation_quaternion).T
        transition[ERRORS.attitude, ERRORS.gyro_bias] = d_rate
        smoothed = 0.5 * (before_imu_rad_s + after_imu_rad_s) if smoothed_imu_rad_s is None else smoothed_imu_rad_s
        transition[ERRORS.attitude, ERRORS.gyro_scale] = d_rate * ((smoothed - 0.5 * (bias + bias_after)) * gain)
        slow_after = self._centre + decay * (state.slow - self._centre)
        slow_after[:6] += warming * state.thermal
        transition[ERRORS.biases, ERRORS.thermal] = warming * np.eye(6)
        # The attitude turns with the mean bias of the step.
        transition[ERRORS.attitude, ERRORS.gyro_thermal] = 0.5 * warming * d_rate
        noisy, size = self._noisy if inflation is None else noise.nonzero()[0], len(noise)
        root = np.zeros((size, size + len(noisy)))
        # Only attitude and biases depend on other elements, so the full product is needed for their rows alone.
        np.multiply(transition.diagonal()[:, None], state.sqrt_covariance, out=root[:, :size])
        coupled = slice(ERRORS.attitude.start, ERRORS.biases.stop)
        root[coupled, :size] = transition[coupled].dot(state.sqrt_covariance)
        root[noisy, np.arange(size, root.shape[1])] = noise[noisy]
        return AttitudeStep(AttitudeState(gps_ms, rotated, slow_after, root), transition, noise, last, rotation)

    def _rotation_sigma_rad(self, step_s: float, rotation: Array, change_rad_s: Array, tag_variance_s2: float) -> Array:
        gyro = self._settings.gyro
        change2 = float(change_rad_s.dot(change_rad_s))
        variance = (step_s * gyro.noise_rad_s) ** 2 + (_MEAN_ERROR * step_s) ** 2 * change2
        if step_s > gyro.bridged_max_s:
            variance += gyro.gap_error**2 * float(rotation.dot(rotation))
        # A reading that is late by some time has the rate of that time; the step multiplies its error.
        sigma: Array = np.sqrt(variance + tag_variance_s2 * change_rad_s * change_rad_s)
        return sigma

    def _slow_parameters(self, step_s: float) -> tuple[Array, Array, Array]:
        """Return the part of a step that depends on its length only, which is cached.

        Returns:
            Decay factors of the slowly varying parameters, shape (size - 3,); diagonal state transition matrix without
            rotation, shape (size, size); standard deviations of the process noise, 0 for the attitude, shape (size,).
        """
        decay = np.exp(-step_s / self._time_s)
        lost = -np.expm1(-2.0 * step_s / self._time_s)
        fresh = np.where(np.isfinite(self._steady), self._steady, 0.0) * np.sqrt(lost)
        return decay[3:], np.diag(decay), fresh + self._walk * math.sqrt(step_s)


def right_jacobian(rotation_rad: Array) -> Array:
    """Return the right Jacobian of a rotation vector in rad, shape (3, 3).

    It maps a small change of the rotation vector to the additional rotation, a vector in the axes after the rotation.
    Source: Chirikjian, Stochastic Models, Information Theory, and Lie Groups 2, equation 10.86.
    """
    angle2 = float(rotation_rad.dot(rotation_rad))
    if angle2 < 1e-8:
        first, second = 0.5 - angle2 / 24.0, 1.0 / 6.0 - angle2 / 120.0
    else:
        angle = math.sqrt(angle2)
        first, second = (1.0 - math.cos(angle)) / angle2, (angle - math.sin(angle)) / (angle2 * angle)
    x, y, z = rotation_rad.tolist()
    xy, xz, yz = second * x * y, second * x * z, second * y * z
    rows = (
        (1.0 - second * (y * y + z * z), xy + first * z, xz - first * y),
        (xy - first * z, 1.0 - second * (x * x + z * z), yz + first * x),
        (xz + first * y, yz - first * x, 1.0 - second * (x * x + y * y)),
    )
    return np.array(rows)


def cross_matrices(vectors: Array) -> Array:
    """Return the cross-product matrices of vectors, shapes (..., 3) -> (..., 3, 3)."""
    matrices = np.zeros((*vectors.shape, 3))
    x, y, z = vectors[..., 0], vectors[..., 1], vectors[..., 2]
    matrices[..., 0, 1], matrices[..., 0, 2], matrices[..., 1, 2] = -z, y, -x
    matrices[..., 1, 0], matrices[..., 2, 0], matrices[..., 2, 1] = z, -y, x
    return matrices


def right_jacobians(rotations: Array) -> Array:
    """Return the right Jacobians of rotation vectors in rad, shapes (..., 3) -> (..., 3, 3); see `right_jacobian`."""
    angle2 = (rotations**2).sum(axis=-1)
    angle = np.sqrt(np.maximum(angle2, 1e-8))
    first, second = (1.0 - np.cos(angle)) / angle**2, (angle - np.sin(angle)) / angle**3
    cross = cross_matrices(rotations)
    jacobians: Array = np.eye(3) - first[..., None, None] * cross + second[..., None, None] * (cross @ cross)
    return jacobians
