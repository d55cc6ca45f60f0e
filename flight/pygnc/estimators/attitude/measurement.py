"""Magnetometer and sun sensors against the predicted state.

Light on the faces: what the state makes expect, and how that changes with the state.
"""

import math
from typing import Final, NamedTuple

import numpy as np

from pygnc.common.arrays import Array, cross_matrix
from pygnc.environment.albedo import EarthAlbedo, earth_albedo
from pygnc.environment.sun_moon import ASTRONOMICAL_UNIT_M
from pygnc.estimators.attitude.sample import AttitudeEnvironment
from pygnc.estimators.attitude.settings import AttitudeSettings, MountingSettings
from pygnc.estimators.attitude.state import (
    ATTITUDE,
    FACE_GAINS,
    FIELD_ERROR,
    MAG_BIAS,
    REFLECTIVITY,
    SIZE,
    AttitudeState,
    Flags,
)


class LightSources(NamedTuple):
    """Where light comes from.

    Attributes:
        sun_gcrf: Unit vector from the satellite to the Sun, shape (3,).
        full_sun_lux: Direct light on a plate that faces the Sun, outside the Earth's shadow.
        sunlit_fraction: Visible part of the Sun's disc, 0 to 1.
        earth: The Earth's light.
    """

    sun_gcrf: Array
    full_sun_lux: float
    sunlit_fraction: float
    earth: EarthAlbedo


class SunSensorGeometry(NamedTuple):
    """How the sun sensors look.

    Attributes:
        normals: Outward unit normals in body axes, shape (6, 3).
        crosses: Their cross products as matrices, shape (6, 3, 3).
    """

    normals: Array
    crosses: Array

    @classmethod
    def mounted(cls, mounting: MountingSettings) -> "SunSensorGeometry":
        """As the settings say."""
        normals = np.array(mounting.face_normals_body)
        return cls(normals, np.array([cross_matrix(normal) for normal in normals]))


class PredictedIlluminance(NamedTuple):
    """Light on six faces as shares of full sunlight.

    Attributes:
        cosine: Of the angle between normal and Sun, shape (6,).
        share: Expected reading, saturation left aside, shape (6,).
        earth_share: What the Earth adds to it, shape (6,).
        partials: Derivatives of `share` by the error state, shape (6, 22).
    """

    cosine: Array
    share: Array
    earth_share: Array
    partials: Array


def light_sources(surroundings: AttitudeEnvironment, settings: AttitudeSettings) -> LightSources:
    """Sun and Earth as seen from the satellite."""
    position_m = surroundings.position_gcrf_m
    to_sun_m = surroundings.sun_gcrf_m - position_m
    distance_m = math.sqrt(to_sun_m.dot(to_sun_m))
    full_sun_lux = settings.sun_sensors.full_sun_lux * (ASTRONOMICAL_UNIT_M / distance_m) ** 2
    light = earth_albedo(position_m, surroundings.sun_gcrf_m)
    return LightSources(to_sun_m / distance_m, full_sun_lux, surroundings.sunlit_fraction, light)


def predicted_illuminance(
    body_from_gcrf: Array, gain_errors: Array, reflectivity: float, from_where: LightSources, faces: SunSensorGeometry
) -> PredictedIlluminance:
    """Light on the faces of a body.

    Args:
        body_from_gcrf: Rotation matrix, shape (3, 3).
        gain_errors: Of the faces, shape (6,).
        reflectivity: Of the Earth.
        from_where: Sun and Earth.
        faces: How they look.
    """
    normals = faces.normals
    sun = body_from_gcrf.dot(from_where.sun_gcrf)
    cosine = normals.dot(sun)
    # Light as a vector: a plate's share of it is the product with its normal, and so is the derivative.
    by_earth, vector_gcrf = from_where.earth.on_plates(normals.dot(body_from_gcrf))
    from_earth = reflectivity * vector_gcrf.dot(body_from_gcrf.T)
    from_sun = ((cosine > 0.0) * from_where.sunlit_fraction)[:, None] * sun
    gain = 1.0 + gain_errors
    ungained = np.maximum(cosine, 0.0) * from_where.sunlit_fraction + reflectivity * by_earth
    partials = np.zeros((len(normals), SIZE))
    partials[:, ATTITUDE] = gain[:, None] * (faces.crosses @ (from_sun + from_earth)[:, :, None])[:, :, 0]
    # The diagonal of this block, without the price of making one.
    partials.ravel()[FACE_GAINS.start :: SIZE + 1] = ungained
    partials[:, REFLECTIVITY] = gain * by_earth
    return PredictedIlluminance(cosine, gain * ungained, gain * reflectivity * by_earth, partials)


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


class IlluminanceObservation(NamedTuple):
    """Light of one sample.

    Attributes:
        share: Measured, of full sunlight, shape (6,).
        expected: By the state.
        saturated: Faces at full scale, shape (6,).
        usable: Faces that say something of the attitude, broken ones included, shape (6,).
        observation: Of all six faces.
    """

    share: Array
    expected: PredictedIlluminance
    saturated: Flags
    usable: Flags
    observation: Observation


class SensorModel:
    """Compares samples with states under one set of settings."""

    def __init__(self, settings: AttitudeSettings) -> None:
        self._settings = settings
        self._magnetometer_from_body = settings.mounting.magnetometer
        self._faces = SunSensorGeometry.mounted(settings.mounting)
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

    def light(
        self, state: AttitudeState, body_from_gcrf: Array, lux: Array, sky: LightSources, factor: float
    ) -> IlluminanceObservation:
        """The sun sensors, their sigmas widened by `factor`."""
        limits = self._settings.sun_sensors
        expected = predicted_illuminance(body_from_gcrf, state.face_gain_errors, state.reflectivity, sky, self._faces)
        share = lux / sky.full_sun_lux
        full_scale = limits.saturation_lux / sky.full_sun_lux
        saturated = share >= (1.0 - 1e-6) * full_scale
        residual = np.minimum(share, full_scale) - expected.share
        sigma = factor * np.hypot(limits.noise_share, limits.albedo_model_error * expected.earth_share)
        usable = (expected.cosine > limits.cosine_min) & (~saturated | (residual > _CONTRADICTION_SIGMA * sigma))
        return IlluminanceObservation(
            share, expected, saturated, usable, Observation(residual, expected.partials, sigma)
        )
