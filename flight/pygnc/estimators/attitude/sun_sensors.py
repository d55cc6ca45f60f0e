"""Measurement model of the sun sensors: illuminance of the faces by the Sun and by light from the Earth."""

import math
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from pygnc.common import quaternion
from pygnc.common.arrays import Array, cross_matrix
from pygnc.environment.albedo import EarthAlbedo, earth_albedo
from pygnc.environment.solar_radiation import sunlit_fraction
from pygnc.environment.sun_moon import ASTRONOMICAL_UNIT_M
from pygnc.estimators.attitude.measurement_model import (
    REJECTED_WEIGHT,
    Accepted,
    Innovation,
    MeasurementModel,
    ModelMemory,
    Prediction,
    Tested,
    with_kept_predictions,
)
from pygnc.estimators.attitude.sample import AttitudeEnvironment, AttitudeSample
from pygnc.estimators.attitude.settings import AttitudeSettings, SunSensorSettings
from pygnc.estimators.attitude.state import ERRORS, AttitudeState, Flags
from pygnc.estimators.kalman import Observation

_AIR_HEIGHT_M: Final = 60e3
"""Height of rays that graze the Earth below which the air takes more than 1 % of their light: a clear atmosphere with
an optical depth of 0.3 towards the zenith and a scale height of 8 km.
"""
_CENSORED_MIN: Final = -2.0
"""Full scale minus prediction in standard deviations below which a reading at full scale says nothing."""


class LightSources(NamedTuple):
    """Sunlight and light from the Earth at the satellite.

    Attributes:
        sun_gcrf: Unit vector from the satellite to the Sun, shape (3,).
        full_sun_lux: Illuminance by the Sun at normal incidence, at the actual distance, without eclipse, lux.
        sunlit_fraction: Visible fraction of the Sun's disc, 0 to 1.
        is_clear: True if neither the Earth nor its air dims the Sun.
        earth: Light reflected by the Earth.
    """

    sun_gcrf: Array
    full_sun_lux: float
    sunlit_fraction: float
    is_clear: bool
    earth: EarthAlbedo


def light_sources(environment: AttitudeEnvironment, settings: AttitudeSettings) -> LightSources:
    """Return sunlight and light from the Earth at the position of an environment."""
    position_m = environment.position_gcrf_m
    to_sun_m = environment.sun_gcrf_m - position_m
    distance_m = math.sqrt(to_sun_m.dot(to_sun_m))
    full_sun_lux = settings.sun_sensors.full_sun_lux * (ASTRONOMICAL_UNIT_M / distance_m) ** 2
    light = earth_albedo(position_m, environment.sun_gcrf_m)
    is_clear = sunlit_fraction(position_m, environment.sun_gcrf_m, _AIR_HEIGHT_M) == 1.0
    return LightSources(to_sun_m / distance_m, full_sun_lux, environment.sunlit_fraction, is_clear, light)


def is_daylight(lux: Array, settings: SunSensorSettings) -> bool:
    """Return True if the brightest face is not dark; `lux` has the shape (faces,)."""
    return bool(max(lux.tolist()) > settings.dark_share * settings.full_sun_lux)


def is_full_scale(share: Array, full_scale: Array | float) -> Flags:
    """Return True for readings at full scale but for rounding; both are fractions of full sunlight."""
    flags: Flags = share >= (1.0 - 1e-6) * full_scale
    return flags


class IlluminanceObservation(NamedTuple):
    """Measured and predicted light of one sample.

    Attributes:
        share: Measured illuminance as a fraction of full sunlight, shape (faces,); negative without a reading.
        expected_share: Predicted illuminance without saturation, as a fraction of full sunlight, shape (faces,).
        cosine: Predicted cosine of the angle between face normal and Sun, shape (faces,).
        saturated: True for readings at full scale, shape (faces,).
        usable: True for readings that are not near grazing incidence; faulty faces are not excluded. Shape (faces,).
        observation: Linearised readings of all faces, usable or not, with m = faces.
    """

    share: Array
    expected_share: Array
    cosine: Array
    saturated: Flags
    usable: Flags
    observation: Observation


@dataclass(frozen=True, slots=True, eq=False)
class IlluminanceInnovation(Innovation):
    """Innovation of the sun sensors as fractions of full sunlight, with m = faces.

    Attributes:
        usable: True for readings that inform on the attitude, of faces without suspicion of a fault, shape (faces,).
        used: True for readings that passed the innovation gate and updated the state, shape (faces,).
    """

    usable: Flags
    used: Flags


class SunSensors(MeasurementModel):
    """Model of the sun sensors; an innovation gate accepts or rejects the reading of each face separately."""

    name = "sun_sensors"

    def __init__(self, settings: AttitudeSettings) -> None:
        super().__init__(settings)
        self._normals = settings.mounting.face_normals
        self._normal_crosses = np.array([cross_matrix(normal) for normal in self._normals])
        self._gain_rows = np.arange(self._size)[ERRORS.face_gains]
        # Each reading depends on the gain of its own face only: flat indices of these partials.
        self._gain_elements = np.arange(len(self._normals)) * self._size + self._gain_rows

    def observation(
        self, state: AttitudeState, body_from_gcrf: Array, lux: Array, sources: LightSources, factor: float
    ) -> IlluminanceObservation:
        """Return measured and predicted light, with its partials.

        Args:
            state: Predicted state.
            body_from_gcrf: Rotation matrix of the predicted attitude, shape (3, 3).
            lux: Illuminance of the faces as in `AttitudeSample`, lux, shape (faces,).
            sources: Sunlight and light from the Earth.
            factor: Factor on the standard deviations of the settings.
        """
        sun = body_from_gcrf.dot(sources.sun_gcrf)
        cosine = self._normals.dot(sun)
        # The scalar product of `earth_vector` and a face normal is the share of reflected light on the face.
        d_reflectivity, vectors_gcrf = sources.earth.on_plates(self._normals.dot(body_from_gcrf))
        earth_vector = state.reflectivity.dot(vectors_gcrf).dot(body_from_gcrf.T)
        earth_share = d_reflectivity.dot(state.reflectivity)
        # A reading in the light proves that the attitude is wrong if the face should be dark; it would else not count.
        limits, share = self._settings.sun_sensors, lux / sources.full_sun_lux
        seen = share - earth_share > limits.cosine_min
        lit = ((cosine > 0.0) | seen) * sources.sunlit_fraction
        below, sine2 = state.cosine_error, 1.0 - cosine * cosine
        sun_vector = (lit * (1.0 + below * (2.0 - 3.0 * sine2)))[:, None] * sun
        gain = 1.0 + state.face_gain_errors
        direct = lit * cosine
        ungained = direct * (1.0 - below * sine2) + earth_share
        expected_share = gain * ungained
        partials = np.zeros((len(self._normals), self._size))
        d_attitude = (self._normal_crosses @ (sun_vector + earth_vector)[:, :, None])[:, :, 0]
        partials[:, ERRORS.attitude] = gain[:, None] * d_attitude
        partials.ravel()[self._gain_elements] = ungained
        partials[:, ERRORS.reflectivity] = gain[:, None] * d_reflectivity
        partials[:, ERRORS.cosine_error] = -gain * direct * sine2

        full_scale = limits.saturation_lux / sources.full_sun_lux
        saturated = is_full_scale(share, full_scale)
        residual = np.minimum(share, full_scale) - expected_share
        sigma = factor * np.hypot(limits.noise_share, limits.albedo_model_error * gain * earth_share)
        usable = ((cosine > limits.cosine_min) | seen) & (share >= 0.0)
        observation = Observation(residual, partials, sigma)
        return IlluminanceObservation(share, expected_share, cosine, saturated, usable, observation)

    def with_kept_reading(
        self,
        corrected: AttitudeState,
        predicted: AttitudeState,
        error: Array,
        sample: AttitudeSample,
        environment: AttitudeEnvironment,
    ) -> AttitudeState:
        """Return a corrected state with other gains, as `Magnetometer.with_kept_reading` does with the bias."""
        sources = self._sources(environment)
        if sources is None:
            return corrected
        before, after = (
            self.observation(state, quaternion.to_matrix(state.quaternion).T, sample.lux, sources, 1.0)
            for state in (predicted, corrected)
        )
        ungained = after.observation.partials.ravel()[self._gain_elements]
        kept = before.usable & after.usable & ~before.saturated & (ungained > self._settings.sun_sensors.cosine_min)
        faces = kept.nonzero()[0]
        parts = [Observation(*(part[faces] for part in light.observation)) for light in (before, after)]
        return with_kept_predictions(corrected, error, (parts[0], parts[1]), self._gain_rows[faces], ungained[faces])

    def _sources(self, environment: AttitudeEnvironment) -> LightSources | None:
        """Return the sources of light; None if Earth or air dims the Sun."""
        if environment.sunlit_fraction < 1.0:
            return None
        sources = light_sources(environment, self._settings)
        return sources if sources.is_clear else None

    def test(self, memory: ModelMemory, sample: AttitudeSample, prediction: Prediction) -> Tested | None:
        """Predict and test the readings, and update the faults of the faces; None if Earth or air dims the Sun."""
        step, sources = prediction.step, self._sources(prediction.environment)
        if sources is None:
            return None
        limits, factor = self._settings.sun_sensors, self._factor(memory)
        light = self.observation(step.state, prediction.body_from_gcrf, sample.lux, sources, factor)
        health = prediction.health
        # An attitude that would have to be confirmed cannot prove faults.
        if step.state.attitude_sigma_rad < self._settings.start.unconfirmed_sigma_max_rad:
            faces = health.faces.updated(light.share, light.cosine, light.expected_share, limits)
            health = health._replace(faces=faces)
        residual, partials, sigma = light.observation
        projected = partials.dot(step.state.sqrt_covariance)
        d_time = partials[:, ERRORS.attitude].dot(step.rate_body_rad_s)
        tag_variance_s2 = prediction.tag_variance_s2
        variance = np.einsum("ij,ij->i", projected, projected) + sigma * sigma + tag_variance_s2 * d_time * d_time
        deviation = residual / np.sqrt(variance)
        squares = deviation * deviation
        usable = light.usable & health.faces.trusted & (~light.saturated | (deviation > _CENSORED_MIN))
        if max(light.share.tolist()) <= limits.dark_share:
            # No face sees light, so the satellite must be in a shadow that the model does not contain.
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
            if np.count_nonzero(light.saturated & used):
                residual, sigma = _censored(residual, sigma, variance, light.saturated & used)
            accepted = Accepted(residual.take(rows), projected.take(rows, axis=0), sigma.take(rows), d_time.take(rows))
        return Tested(innovation, partials, after, accepted, health)


def _censored(residual: Array, sigma: Array, variance: Array, saturated: Flags) -> tuple[Array, Array]:
    """Return residuals and sigmas of readings that are as informative as readings at full scale, all of shape (faces,).

    The light is at least full scale, so the prediction becomes a normal distribution without its part below: its mean
    grows, and its variance decreases (Johnson, Kotz & Balakrishnan, Continuous Univariate Distributions 1, 1994). An
    ordinary reading with the returned residual and sigma has the same effect.
    """
    residual, sigma = residual.copy(), sigma.copy()
    for face in np.flatnonzero(saturated).tolist():
        scale = math.sqrt(variance[face])
        limit = float(residual[face]) / scale
        mean = math.exp(-0.5 * limit * limit) * math.sqrt(2.0 / math.pi) / math.erfc(limit * math.sqrt(0.5))
        removed = mean * (mean - limit)
        residual[face] = scale * mean / removed
        sigma[face] = math.sqrt(sigma[face] ** 2 + variance[face] * (1.0 / removed - 1.0))
    return residual, sigma
