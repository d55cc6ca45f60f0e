"""Detection of sensor model errors, which the filter estimates only if the readings may contain them.

These errors are scale, misalignment and panel field of the magnetometer, large gain errors and a deviation from the
cosine law of the sun sensors, and sample times known to the second only. Always estimating them would make the attitude
of a satellite with good sensors less accurate. The magnetometer's errors have therefore variances of almost zero at
first. When the normalised innovations of a sensor are too large for noise, the step to the next sample inflates the
variances of its model errors, and of the attitude and biases that they have falsified.

The first samples of a track fit a wrong attitude with wrong gains of the sun sensors as well as the true one. Gains and
cosine error are therefore estimated from the first sample on, until their estimates are evidence that the sensors agree
with the settings. From then on, their variances are those of the settings.
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
"""Standard deviation of states that are not estimated; not zero, because the covariance would be singular."""
_MISFIT_MAX: Final = 2.0
"""Running mean of normalised innovations squared per measurement, above which a sensor model has errors."""
_EVIDENCE_MIN: Final = 5.0
"""Natural logarithm of the Bayes factor of small over large errors, from which the errors count as small."""
_LIGHT_SAMPLES_MIN: Final = 8
"""Number of samples of a track before the innovations of sun sensors count; the first updates are far from linear."""
_FIELD_SAMPLES_MIN: Final = 36
"""Number of samples of a track before the innovations of the magnetometer count; errors of sun sensors enlarge them."""
_ATTITUDE_SIGMA_RAD: Final = math.radians(8.0)
"""Standard deviation added to the attitude, about each axis, when an error of a sensor model is detected."""
_GYRO_BIAS_SIGMA_RAD_S: Final = math.radians(0.02)
"""Standard deviation added to the gyro bias then."""
_MAG_BIAS_SIGMA_UT: Final = 5.0
"""Standard deviation added to the magnetometer bias when the error is one of the magnetometer."""
_TAG_MEMORY: Final = 1.0 / 300.0
"""Forgetting factor of the estimated variance of sample times: weight of a new sample."""
_TAG_EVIDENCE: Final = 6.0
"""Significant excess of the estimated over the stated variance, in standard deviations of the estimate."""
_TAG_SAMPLES_MIN: Final = 40
_TAG_VARIANCE_MAX_S2: Final = 1.0
WHOLE_SECOND_SIGMA_S: Final = 1.0 / math.sqrt(12.0)
"""Standard deviation of a time that is known to the second only."""


class TimeTagErrors(NamedTuple):
    """Errors of the sample times, estimated from innovations along the rotation of the body.

    A time error d changes the prediction by h d. With residuals r of covariance S, twice the score of its variance v is
    (h' S^-1 r)^2 - h' S^-1 h, and twice the Fisher information (h' S^-1 h)^2; v is estimated by Fisher scoring with a
    forgetting factor.

    Attributes:
        variance_s2: Estimated variance v.
        information: Twice the Fisher information of v.
        samples: Number of samples so far.
        detected: True once v was significant. The times are then whole seconds, whose constant difference from the
            times of GPS packets is also unknown.
    """

    variance_s2: float = 0.0
    information: float = 0.0
    samples: int = 0
    detected: bool = False

    @property
    def used_s2(self) -> float:
        """Variance that the filter applies, s2: the estimated one once it was significant, before that zero."""
        return self.variance_s2 if self.detected else 0.0

    def used_with(self, time_sigma_s: float | None) -> float:
        """Return the variance of a sample's time, s2, for the standard deviation that its source states, if any."""
        return self.used_s2 if time_sigma_s is None else max(self.used_s2, time_sigma_s * time_sigma_s)

    def updated(self, score: float, sensitivity: float, time_sigma_s: float | None) -> "TimeTagErrors":
        """Return the estimate after a sample.

        Args:
            score: (h' S^-1 r)^2 - h' S^-1 h. r are the residuals, S is their covariance with the variance from
                `used_with`, and h is the change of the prediction per second of delay.
            sensitivity: h' S^-1 h, 1/s2.
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
            # From now on S contains the time error, so each sample is less informative than those so far.
            information = _TAG_SAMPLES_MIN * (sensitivity / (1.0 + variance * sensitivity)) ** 2
        return TimeTagErrors(variance, information, self.samples + 1, self.detected or significant)

    def restarted(self) -> "TimeTagErrors":
        """Return the estimate after another error was detected, to which the innovations so far were due.

        A detected scatter is kept; otherwise the estimate begins again.
        """
        return self if self.detected else TimeTagErrors()


NO_TIME_TAG_ERRORS: Final = TimeTagErrors()


@unique
class SunSensorErrors(StrEnum):
    """Conclusion on the size of the sun sensors' gain errors and deviations from the cosine law."""

    UNDECIDED = "undecided"
    """Large errors are possible and are estimated."""
    SMALL = "small"
    """The readings are evidence that the errors are within the settings, whose small variances are used."""
    LARGE = "large"
    """The innovations prove large errors, which are estimated."""


class ModelErrors(NamedTuple):
    """Conclusions on errors of the sensor models, which remain when a track ends.

    Attributes:
        field: True if scale, misalignment or panel field of the magnetometer have errors.
        sun_sensors: Errors of the sun sensors' gains and cosine law.
        time_tags: Errors of the sample times.
    """

    field: bool = False
    sun_sensors: SunSensorErrors = SunSensorErrors.UNDECIDED
    time_tags: TimeTagErrors = NO_TIME_TAG_ERRORS

    def detected(self, misfits: Mapping[str, float], samples: int) -> "ModelErrors":
        """Return the errors after a sample of a track, given `ModelMemory.misfit` by name of the model."""
        field = self.field or (misfits.get(_MAGNETOMETER, 1.0) > _MISFIT_MAX and samples >= _FIELD_SAMPLES_MIN)
        is_large = misfits.get(_SUN_SENSORS, 1.0) > _MISFIT_MAX and samples >= _LIGHT_SAMPLES_MIN
        sun_sensors = SunSensorErrors.LARGE if is_large else self.sun_sensors
        if (field, sun_sensors) == self[:2]:
            return self
        return ModelErrors(field, sun_sensors, self.time_tags.restarted())

    def selected(self, state: AttitudeState, settings: AttitudeSettings) -> "tuple[ModelErrors, AttitudeState]":
        """Decide by the estimated errors of the sun sensors whether they are small; return errors and state.

        If they are, the state is conditioned on small errors; otherwise it is returned unchanged. The Bayes factor of
        small over large errors is the Savage-Dickey ratio: probability density of small errors after the readings,
        divided by that before (Dickey, Ann. Math. Statist. 42, 1971).
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
        """Return standard deviations at the beginning of a track, shape (size,); 0 for all but the model errors."""
        sigma = np.zeros(error_size(settings.mounting.faces))
        magnetometer, faces = settings.magnetometer, settings.sun_sensors
        sigma[MAG_MATRIX] = magnetometer.matrix_sigma if self.field else NOT_ESTIMATED_SIGMA
        sigma[PANEL_FIELD] = magnetometer.panel_sigma_ut if self.field else NOT_ESTIMATED_SIGMA
        are_small = self.sun_sensors is SunSensorErrors.SMALL
        sigma[light_rows(len(sigma))] = faces.gain_sigma if are_small else faces.gain_sigma_max
        sigma[COSINE_ERROR] = NOT_ESTIMATED_SIGMA if are_small else faces.cosine_sigma
        return sigma

    def variance_inflation(self, before: "ModelErrors", settings: AttitudeSettings) -> Array | None:
        """Return the standard deviations to add to the state, (size,), after errors `before`; None without a change."""
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
