"""Errors of sensor models that are estimated only as long as the readings may contain them.

Scale, misalignment and panel field of the magnetometer, large gain errors and the cosine law of the sun sensors, and
samples at any time within the tagged second would make all estimates of a good satellite worse if the filter always
allowed for them. The magnetometer's states are therefore known exactly at first. When the normalised innovations of a
sensor exceed what noise explains, the step to the next sample inflates the variances of its states, and of the states
that they have misled.

The first samples of a track fit as well with wrong gains of the sun sensors and a wrong attitude. Gains and cosine law
are therefore estimated from the first sample on, until the estimates are evidence that the sensors are as good as
declared. From then on they are held to that.
"""

import math
from collections.abc import Mapping
from enum import StrEnum, unique
from typing import Final, NamedTuple

import numpy as np

from pygnc.common.arrays import Array
from pygnc.estimators.attitude.settings import AttitudeSettings
from pygnc.estimators.attitude.state import (
    ATTITUDE,
    COSINE_ERROR,
    GYRO_BIAS,
    MAG_BIAS,
    MAG_MATRIX,
    PANEL_FIELD,
    AttitudeState,
    error_size,
    light_rows,
)

_MAGNETOMETER: Final = "magnetometer"
_SUN_SENSORS: Final = "sun_sensors"
NOT_ESTIMATED_SIGMA: Final = 1e-4
"""Standard deviation of states that are not estimated; positive, so that the covariance is not singular."""
_MISFIT_MAX: Final = 2.0
"""Running mean of normalised innovations squared, per measurement, from which a model is wrong."""
_EVIDENCE_MIN: Final = 5.0
"""Natural logarithm of the Bayes factor, of small errors over large ones, from which errors count as small."""
_LIGHT_SAMPLES_MIN: Final = 8
"""Samples of a track before the innovations of its light count; the first ones are not linear."""
_FIELD_SAMPLES_MIN: Final = 36
"""Samples of a track before the innovations of its field count; wrong light makes them wrong, too, so they wait."""
_ATTITUDE_SIGMA_RAD: Final = math.radians(8.0)
"""Uncertainty of an attitude that a wrong model has misled."""
_GYRO_BIAS_SIGMA_RAD_S: Final = math.radians(0.02)
_MAG_BIAS_SIGMA_UT: Final = 5.0

_TAG_MEMORY: Final = 1.0 / 300.0
"""Weight of a sample in the estimate of the tag variance."""
_TAG_EVIDENCE: Final = 6.0
"""Standard deviations by which the tag variance must exceed zero."""
_TAG_SAMPLES_MIN: Final = 40
_TAG_VARIANCE_MAX_S2: Final = 1.0
WHOLE_SECOND_SIGMA_S: Final = 1.0 / math.sqrt(12.0)
"""Standard deviation of a time that is known to the second only."""


class TimeTagErrors(NamedTuple):
    """Scatter of the sample times about their tags, estimated from the innovations along the rotation.

    A time error d changes the prediction by h d. The variance v of d has the score (h' S^-1 r)^2 - h' S^-1 h, whose
    Fisher information is (h' S^-1 h)^2 / 2; v follows by scoring with a forgetting factor.

    Attributes:
        variance_s2: Estimated variance.
        information: Twice its Fisher information.
        samples: Number of samples so far.
        detected: True once the scatter was significant. The tags are then whole seconds, whose constant difference from
            those of the GPS packets is unknown too.
    """

    variance_s2: float = 0.0
    information: float = 0.0
    samples: int = 0
    detected: bool = False

    @property
    def used_s2(self) -> float:
        """Variance for the measurement noise: zero until it was significant."""
        return self.variance_s2 if self.detected else 0.0

    def used_with(self, time_sigma_s: float | None) -> float:
        """Return the variance for a sample whose source states an error of its time, s2."""
        return self.used_s2 if time_sigma_s is None else max(self.used_s2, time_sigma_s * time_sigma_s)

    def updated(self, score: float, sensitivity: float, time_sigma_s: float | None) -> "TimeTagErrors":
        """Return the estimate after a sample.

        Args:
            score: (h' S^-1 r)^2 - h' S^-1 h with the variance that was used.
            sensitivity: h' S^-1 h.
            time_sigma_s: Error of the sample's time as stated by its source; None if it is not stated.
        """
        square = sensitivity * sensitivity
        information = (1.0 - _TAG_MEMORY) * self.information + square
        expected = square * (self.variance_s2 - self.used_with(time_sigma_s))
        variance = self.variance_s2 + (score - expected) / max(information, 1e-12)
        variance = min(max(variance, 0.0), _TAG_VARIANCE_MAX_S2)
        excess = variance - (0.0 if time_sigma_s is None else time_sigma_s * time_sigma_s)
        significant = excess * math.sqrt(0.5 * information) > _TAG_EVIDENCE and self.samples >= _TAG_SAMPLES_MIN
        if significant and not self.detected:
            # A detected scatter is part of the innovation covariance S, so that each sample is less informative.
            information = _TAG_SAMPLES_MIN * (sensitivity / (1.0 + variance * sensitivity)) ** 2
        return TimeTagErrors(variance, information, self.samples + 1, self.detected or significant)

    def restarted(self) -> "TimeTagErrors":
        """Return these errors without the innovations so far, which had another cause."""
        return self if self.detected else TimeTagErrors()


NO_TIME_TAG_ERRORS: Final = TimeTagErrors()


@unique
class SunSensorErrors(StrEnum):
    """Size of the errors of the sun sensors' gains and cosine law."""

    UNDECIDED = "undecided"
    """Large errors are possible and estimated; the readings are no evidence against them yet."""
    SMALL = "small"
    """The readings are evidence that the sensors are as good as declared; they are held to that."""
    LARGE = "large"
    """The innovations show large errors, which are estimated."""


class ModelErrors(NamedTuple):
    """Detected errors of the sensor models; they outlast a track.

    Attributes:
        field: True if errors of the magnetometer are detected.
        sun_sensors: Errors of the sun sensors' gains and cosine law.
        time_tags: Scatter of the sample times.
    """

    field: bool = False
    sun_sensors: SunSensorErrors = SunSensorErrors.UNDECIDED
    time_tags: TimeTagErrors = NO_TIME_TAG_ERRORS

    def detected(self, misfits: Mapping[str, float], samples: int) -> "ModelErrors":
        """Return the detected errors after a sample of a track, given the misfits of the measurement models."""
        field = self.field or (misfits[_MAGNETOMETER] > _MISFIT_MAX and samples >= _FIELD_SAMPLES_MIN)
        is_large = misfits[_SUN_SENSORS] > _MISFIT_MAX and samples >= _LIGHT_SAMPLES_MIN
        sun_sensors = SunSensorErrors.LARGE if is_large else self.sun_sensors
        if (field, sun_sensors) == self[:2]:
            return self
        return ModelErrors(field, sun_sensors, self.time_tags.restarted())

    def selected(self, state: AttitudeState, settings: AttitudeSettings) -> "tuple[ModelErrors, AttitudeState]":
        """Return errors and state after an undecided sensor model was tested by its estimated errors.

        The Bayes factor of small errors over large ones is the ratio of the densities of zero after and before the
        readings (Dickey, Ann. Math. Statist. 42, 1971).
        """
        if self.sun_sensors is not SunSensorErrors.UNDECIDED:
            return self, state
        rows = light_rows(len(state.sqrt_covariance))
        error, root = state.slow[rows - 3], state.sqrt_covariance[rows]
        sizes = SunSensorErrors.SMALL, SunSensorErrors.LARGE
        small, large = (self._replace(sun_sensors=size).sigma(settings)[rows] ** 2 for size in sizes)
        covariance = root.dot(root.T) + np.diag(small)
        normalised = np.linalg.solve(covariance, error)
        density_after = -0.5 * (np.linalg.slogdet(covariance)[1] + float(error.dot(normalised)))
        if density_after + 0.5 * float(np.log(large + small).sum()) < _EVIDENCE_MIN:
            return self, state
        cross = state.sqrt_covariance.dot(root.T)
        known = state.covariance - cross.dot(np.linalg.solve(covariance, cross.T))
        known_root = np.asarray(np.linalg.cholesky(0.5 * (known + known.T)), np.float64)
        return self._replace(sun_sensors=SunSensorErrors.SMALL), state.corrected(-cross.dot(normalised), known_root)

    def sigma(self, settings: AttitudeSettings) -> Array:
        """Return the standard deviations of the states at the begin of a track, zero for those it does not know."""
        sigma = np.zeros(error_size(settings.mounting.faces))
        magnetometer, faces = settings.magnetometer, settings.sun_sensors
        sigma[MAG_MATRIX] = magnetometer.matrix_sigma if self.field else NOT_ESTIMATED_SIGMA
        sigma[PANEL_FIELD] = magnetometer.panel_sigma_ut if self.field else NOT_ESTIMATED_SIGMA
        are_small = self.sun_sensors is SunSensorErrors.SMALL
        sigma[light_rows(len(sigma))] = faces.gain_sigma if are_small else faces.gain_sigma_max
        sigma[COSINE_ERROR] = NOT_ESTIMATED_SIGMA if are_small else faces.cosine_sigma
        return sigma

    def variance_inflation(self, before: "ModelErrors", settings: AttitudeSettings) -> Array | None:
        """Return the standard deviations to add after `before` became these errors, shape (35,); None if none."""
        large = SunSensorErrors.LARGE
        if (self.field, self.sun_sensors is large) == (before.field, before.sun_sensors is large):
            return None
        sigma = self.sigma(settings)
        if self.field == before.field:
            sigma[MAG_MATRIX] = sigma[PANEL_FIELD] = 0.0
        else:
            sigma[MAG_BIAS] = _MAG_BIAS_SIGMA_UT
        if self.sun_sensors is before.sun_sensors:
            sigma[light_rows(len(sigma))] = 0.0
        sigma[ATTITUDE], sigma[GYRO_BIAS] = _ATTITUDE_SIGMA_RAD, _GYRO_BIAS_SIGMA_RAD_S
        return sigma
