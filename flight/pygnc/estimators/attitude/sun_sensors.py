"""Sun sensors: the illuminance of the faces by the Sun and by the light that the Earth reflects."""

import math
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from pygnc.common.arrays import Array, cross_matrix
from pygnc.environment.albedo import EarthAlbedo, earth_albedo
from pygnc.environment.sun_moon import ASTRONOMICAL_UNIT_M
from pygnc.estimators.attitude.measurement_model import (
    REJECTED_WEIGHT,
    Accepted,
    Innovation,
    MeasurementModel,
    ModelMemory,
    Prediction,
    Tested,
)
from pygnc.estimators.attitude.sample import AttitudeEnvironment, AttitudeSample
from pygnc.estimators.attitude.settings import AttitudeSettings, SunSensorSettings
from pygnc.estimators.attitude.state import (
    ATTITUDE,
    COSINE_ERROR,
    REFLECTIVITY,
    AttitudeState,
    Flags,
    light_rows,
)
from pygnc.estimators.kalman import Observation

_DAYLIGHT_SHARE: Final = 0.05
"""Illuminance above this fraction of full sunlight comes from the Sun or from the sunlit Earth."""
_CONTRADICTION_SIGMA: Final = 1.0
"""A saturated face is used if the predicted illuminance is below saturation by more than this many sigma."""
_JUDGING_SIGMA_RAD: Final = math.radians(10.0)
"""Faces are checked for faults while the attitude is known better than this."""


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


def is_daylight(lux: Array, settings: SunSensorSettings) -> bool:
    """Return True if a face sees the Sun or the sunlit Earth; `lux` has the shape (6,)."""
    return bool(max(lux.tolist()) > _DAYLIGHT_SHARE * settings.full_sun_lux)


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


@dataclass(frozen=True, slots=True, eq=False)
class IlluminanceInnovation(Innovation):
    """Innovation of the sun sensors as fractions of full sunlight, m = 6.

    Attributes:
        usable: Faces that carry information on the attitude, shape (6,).
        used: Faces that updated the state, shape (6,).
    """

    usable: Flags
    used: Flags


class SunSensors(MeasurementModel):
    """Model of the sun sensors; each face has a gate of its own."""

    name = "sun_sensors"

    def __init__(self, settings: AttitudeSettings) -> None:
        super().__init__(settings)
        self._normals = settings.mounting.face_normals
        self._normal_crosses = np.array([cross_matrix(normal) for normal in self._normals])
        # Indices of the partials by the gains, each of the reading of one face, in the raveled array.
        self._gain_elements = np.arange(len(self._normals)) * self._size + light_rows(self._size)[:-1]

    def observation(
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
        partials = np.zeros((len(self._normals), self._size))
        d_attitude = (self._normal_crosses @ (sun_vector + earth_vector)[:, :, None])[:, :, 0]
        partials[:, ATTITUDE] = gain[:, None] * d_attitude
        partials.ravel()[self._gain_elements] = ungained
        partials[:, REFLECTIVITY] = gain * albedo_share
        partials[:, COSINE_ERROR] = -gain * direct * sine2

        limits = self._settings.sun_sensors
        share = lux / sources.full_sun_lux
        full_scale = limits.saturation_lux / sources.full_sun_lux
        saturated = share >= (1.0 - 1e-6) * full_scale
        residual = np.minimum(share, full_scale) - expected_share
        earth_share = gain * state.reflectivity * albedo_share
        sigma = factor * np.hypot(limits.noise_share, limits.albedo_model_error * earth_share)
        usable = (
            (cosine > limits.cosine_min) & (share >= 0.0) & (~saturated | (residual > _CONTRADICTION_SIGMA * sigma))
        )
        observation = Observation(residual, partials, sigma)
        return IlluminanceObservation(share, expected_share, cosine, saturated, usable, observation)

    def test(self, memory: ModelMemory, sample: AttitudeSample, prediction: Prediction) -> Tested | None:
        """Return the tested readings of a sample; None in the Earth's shadow."""
        environment, step = prediction.environment, prediction.step
        if environment.sunlit_fraction <= 0.0:
            return None
        limits, factor = self._settings.sun_sensors, self._factor(memory)
        sources = light_sources(environment, self._settings)
        light = self.observation(step.state, prediction.body_from_gcrf, sample.lux, sources, factor)
        health = prediction.health
        if environment.sunlit_fraction == 1.0 and step.state.attitude_sigma_rad < _JUDGING_SIGMA_RAD:
            faces = health.faces.updated(light.share, light.cosine, light.expected_share, limits.dark_share)
            health = health._replace(faces=faces)
        residual, partials, sigma = light.observation
        projected = partials.dot(step.state.sqrt_covariance)
        d_time = partials[:, ATTITUDE].dot(step.rate_body_rad_s)
        tag_variance_s2 = prediction.tag_variance_s2
        variance = np.einsum("ij,ij->i", projected, projected) + sigma * sigma + tag_variance_s2 * d_time * d_time
        squares = residual * residual / variance
        usable = light.usable & health.faces.trusted
        if max(light.share.tolist()) <= limits.dark_share:
            # All faces dark: a shadow that is not modelled.
            usable = np.zeros_like(usable)
        used = usable & (squares <= limits.gate)
        plain = squares[used & ~light.saturated].tolist()
        misfit = memory.misfit_after(sum(plain) / len(plain) * factor**2) if plain else memory.misfit
        rows, expected = used.nonzero()[0], int(np.count_nonzero(usable))
        is_rejected = 2 * len(rows) < expected
        after = ModelMemory(misfit, memory.rejected + REJECTED_WEIGHT * (is_rejected - memory.rejected))
        innovation = IlluminanceInnovation(residual, np.sqrt(variance), len(rows) > 0, expected > 0, usable, used)
        accepted = None
        if len(rows):
            accepted = Accepted(residual.take(rows), projected.take(rows, axis=0), sigma.take(rows), d_time.take(rows))
        return Tested(innovation, partials, after, accepted, health)
