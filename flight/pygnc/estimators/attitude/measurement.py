"""Magnetometer and sun sensors against the predicted state."""

from typing import Final, NamedTuple

import numpy as np

from pygnc.environment.arrays import Array, cross_matrix
from pygnc.estimators.attitude.light import ExpectedLight, Faces, Sky, expected_light
from pygnc.estimators.attitude.settings import AttitudeSettings
from pygnc.estimators.attitude.state import ATTITUDE, FIELD_ERROR, MAG_BIAS, SIZE, AttitudeState, Flags

_IDENTITY: Final = np.eye(3)
_CONTRADICTION_SIGMA: Final = 1.0
"""A saturated face is used where the expected light is below saturation by more than this many sigma."""


class Observation(NamedTuple):
    """Measured minus predicted, its partial derivatives, and the noise.

    Attributes:
        residual: In uT or shares of full sunlight, shape (m,).
        partials: By the error state, shape (m, 22).
        sigma: Standard deviations of independent measurement errors, shape (m,).
    """

    residual: Array
    partials: Array
    sigma: Array


class Light(NamedTuple):
    """Light of one sample.

    Attributes:
        share: Measured, of full sunlight, shape (6,).
        expected: By the state.
        saturated: Faces at full scale, shape (6,).
        usable: Faces that say something of the attitude, broken ones included, shape (6,).
        observation: Of all six faces.
    """

    share: Array
    expected: ExpectedLight
    saturated: Flags
    usable: Flags
    observation: Observation


class Sensors:
    """Compares samples with states under one set of settings."""

    def __init__(self, settings: AttitudeSettings) -> None:
        self._settings = settings
        self._magnetometer_from_body = settings.mounting.magnetometer
        self._faces = Faces.mounted(settings.mounting)
        magnetometer = settings.magnetometer
        self._field_sigma_ut = np.full(3, magnetometer.noise_ut)

    def field(
        self, state: AttitudeState, body_from_gcrf: Array, mag_imu_ut: Array, field_gcrf_ut: Array, factor: float
    ) -> Observation:
        """The magnetometer, its sigmas widened by `factor`."""
        field_body = body_from_gcrf.dot(field_gcrf_ut + state.field_error_gcrf_ut)
        partials = np.zeros((3, SIZE))
        partials[:, ATTITUDE] = self._magnetometer_from_body.dot(cross_matrix(field_body))
        partials[:, MAG_BIAS] = _IDENTITY
        partials[:, FIELD_ERROR] = self._magnetometer_from_body.dot(body_from_gcrf)
        predicted = self._magnetometer_from_body.dot(field_body) + state.mag_bias_ut
        return Observation(mag_imu_ut - predicted, partials, factor * self._field_sigma_ut)

    def light(self, state: AttitudeState, body_from_gcrf: Array, lux: Array, sky: Sky, factor: float) -> Light:
        """The sun sensors, their sigmas widened by `factor`."""
        limits = self._settings.sun_sensors
        expected = expected_light(body_from_gcrf, state.face_gain_errors, state.reflectivity, sky, self._faces)
        share = lux / sky.full_sun_lux
        full_scale = limits.saturation_lux / sky.full_sun_lux
        saturated = share >= (1.0 - 1e-6) * full_scale
        residual = np.minimum(share, full_scale) - expected.share
        sigma = factor * np.hypot(limits.noise_share, limits.albedo_model_error * expected.earth_share)
        usable = (expected.cosine > limits.cosine_min) & (~saturated | (residual > _CONTRADICTION_SIGMA * sigma))
        return Light(share, expected, saturated, usable, Observation(residual, expected.partials, sigma))
