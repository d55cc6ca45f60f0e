"""Measurement models of magnetometer and sun sensors: predicted readings, residuals and partial derivatives."""

import math
from typing import Final, NamedTuple

import numpy as np

from pygnc.common.arrays import Array, cross_matrix
from pygnc.environment.albedo import EarthAlbedo, earth_albedo
from pygnc.environment.sun_moon import ASTRONOMICAL_UNIT_M
from pygnc.estimators.attitude.sample import AttitudeEnvironment
from pygnc.estimators.attitude.settings import AttitudeSettings
from pygnc.estimators.attitude.state import (
    ATTITUDE,
    COSINE_ERROR,
    FACE_GAINS,
    FIELD_ERROR,
    MAG_BIAS,
    MAG_MATRIX,
    PANEL_FIELD,
    REFLECTIVITY,
    SIZE,
    AttitudeState,
    Flags,
)


class LightSources(NamedTuple):
    """Sun and Earth as light sources at the satellite.

    Attributes:
        sun_gcrf: Unit vector from the satellite to the Sun, shape (3,).
        full_sun_lux: Direct illuminance at normal incidence, outside the Earth's shadow.
        sunlit_fraction: Visible fraction of the Sun's disc, 0 to 1.
        earth: Light reflected by the Earth.
    """

    sun_gcrf: Array
    full_sun_lux: float
    sunlit_fraction: float
    earth: EarthAlbedo


def light_sources(environment: AttitudeEnvironment, settings: AttitudeSettings) -> LightSources:
    """Return Sun and Earth as seen from the satellite."""
    position_m = environment.position_gcrf_m
    to_sun_m = environment.sun_gcrf_m - position_m
    distance_m = math.sqrt(to_sun_m.dot(to_sun_m))
    full_sun_lux = settings.sun_sensors.full_sun_lux * (ASTRONOMICAL_UNIT_M / distance_m) ** 2
    light = earth_albedo(position_m, environment.sun_gcrf_m)
    return LightSources(to_sun_m / distance_m, full_sun_lux, environment.sunlit_fraction, light)


DIRECT_SUN_SHARE: Final = 0.2
"""A face above this fraction of full sunlight sees the Sun."""
DAYLIGHT_SHARE: Final = 0.05
"""Illuminance above this fraction of full sunlight comes from the Sun or from the sunlit Earth."""
_IDENTITY: Final = np.eye(3)
_CONTRADICTION_SIGMA: Final = 1.0
"""A saturated face is used if the predicted illuminance is below saturation by more than this many sigma."""


class Observation(NamedTuple):
    """A linearised measurement.

    Attributes:
        residual: Measured minus predicted, in uT or fractions of full sunlight, shape (m,).
        partials: Derivative of the prediction by the error state, shape (m, 35).
        sigma: Standard deviations of independent measurement errors, shape (m,).
    """

    residual: Array
    partials: Array
    sigma: Array


class IlluminanceObservation(NamedTuple):
    """Sun sensors of one sample.

    Attributes:
        share: Measured illuminance as a fraction of full sunlight, shape (6,).
        expected_share: Predicted illuminance without saturation, as a fraction of full sunlight, shape (6,).
        cosine: Predicted cosine of the angle between face normal and Sun, shape (6,).
        saturated: Faces at full scale, shape (6,).
        usable: Faces that carry information on the attitude, broken faces included, shape (6,).
        observation: Residuals of all six faces.
    """

    share: Array
    expected_share: Array
    cosine: Array
    saturated: Flags
    usable: Flags
    observation: Observation


class SensorModel:
    """Model that predicts the readings of magnetometer and sun sensors."""

    def __init__(self, settings: AttitudeSettings) -> None:
        self._sun_sensors = settings.sun_sensors
        self._magnetometer_from_body = settings.mounting.magnetometer
        self._normals = np.array(settings.mounting.face_normals_body)
        self._normal_crosses = np.array([cross_matrix(normal) for normal in self._normals])
        self._field_sigma_ut = np.full(3, settings.magnetometer.noise_ut)

    def field(
        self,
        state: AttitudeState,
        body_from_gcrf: Array,
        mag_imu_ut: Array,
        environment: AttitudeEnvironment,
        factor: float,
    ) -> Observation:
        """Return the observation of the magnetometer.

        Args:
            state: Predicted state.
            body_from_gcrf: Rotation matrix of its attitude, shape (3, 3).
            mag_imu_ut: Reading in sensor axes, uT, shape (3,).
            environment: Modelled field and sunlight.
            factor: Multiplies the standard deviations.
        """
        field_body = body_from_gcrf.dot(environment.field_gcrf_ut + state.field_error_gcrf_ut)
        matrix = (_IDENTITY + state.mag_matrix_error).dot(self._magnetometer_from_body)
        partials = np.zeros((3, SIZE))
        partials[:, ATTITUDE] = matrix.dot(cross_matrix(field_body))
        partials[:, MAG_BIAS] = _IDENTITY
        partials[:, FIELD_ERROR] = matrix.dot(body_from_gcrf)
        ideal = self._magnetometer_from_body.dot(field_body)
        for axis in range(3):
            partials[axis, MAG_MATRIX.start + 3 * axis : MAG_MATRIX.start + 3 * axis + 3] = ideal
        partials[:, PANEL_FIELD] = environment.sunlit_fraction * _IDENTITY
        predicted = matrix.dot(field_body) + state.mag_bias_ut + environment.sunlit_fraction * state.panel_field_ut
        return Observation(mag_imu_ut - predicted, partials, factor * self._field_sigma_ut)

    def light(
        self, state: AttitudeState, body_from_gcrf: Array, lux: Array, sources: LightSources, factor: float
    ) -> IlluminanceObservation:
        """Return the observation of the sun sensors.

        Args:
            state: Predicted state.
            body_from_gcrf: Rotation matrix of its attitude, shape (3, 3).
            lux: Illuminance of the six faces, lux, shape (6,).
            sources: Sun and Earth at the satellite.
            factor: Multiplies the standard deviations.
        """
        sun = body_from_gcrf.dot(sources.sun_gcrf)
        cosine = self._normals.dot(sun)
        # Reflected light as a vector: its product with a normal is the share on that face.
        albedo_share, vector_gcrf = sources.earth.on_plates(self._normals.dot(body_from_gcrf))
        earth_vector = state.reflectivity * vector_gcrf.dot(body_from_gcrf.T)
        lit = (cosine > 0.0) * sources.sunlit_fraction
        below, sine2 = state.cosine_error, 1.0 - cosine * cosine
        sun_vector = (lit * (1.0 + below * (2.0 - 3.0 * sine2)))[:, None] * sun
        gain = 1.0 + state.face_gain_errors
        direct = lit * cosine
        ungained = direct * (1.0 - below * sine2) + state.reflectivity * albedo_share
        expected_share = gain * ungained
        partials = np.zeros((len(self._normals), SIZE))
        d_attitude = (self._normal_crosses @ (sun_vector + earth_vector)[:, :, None])[:, :, 0]
        partials[:, ATTITUDE] = gain[:, None] * d_attitude
        # The diagonal of this block, in place.
        partials.ravel()[FACE_GAINS.start :: SIZE + 1] = ungained
        partials[:, REFLECTIVITY] = gain * albedo_share
        partials[:, COSINE_ERROR] = -gain * direct * sine2

        limits = self._sun_sensors
        share = lux / sources.full_sun_lux
        full_scale = limits.saturation_lux / sources.full_sun_lux
        saturated = share >= (1.0 - 1e-6) * full_scale
        residual = np.minimum(share, full_scale) - expected_share
        earth_share = gain * state.reflectivity * albedo_share
        sigma = factor * np.hypot(limits.noise_share, limits.albedo_model_error * earth_share)
        usable = (cosine > limits.cosine_min) & (~saturated | (residual > _CONTRADICTION_SIGMA * sigma))
        observation = Observation(residual, partials, sigma)
        return IlluminanceObservation(share, expected_share, cosine, saturated, usable, observation)
