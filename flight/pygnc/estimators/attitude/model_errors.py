"""Errors of sensor models that are estimated only once the innovations show them.

Scale, misalignment and panel field of the magnetometer, large gain errors and the cosine law of the sun sensors, and
samples at any time within the tagged second would make all estimates of a good satellite worse if the filter always
allowed for them. The magnetometer's states are therefore known exactly at first. When the normalised innovations of a
sensor exceed what noise explains, the step to the next sample opens its states: process noise makes them, and the
states that they have misled, uncertain.

The first samples of a track fit as well with wrong gains of the sun sensors and a wrong attitude. Gains and cosine law
are therefore estimated from the first sample on, until the estimates are evidence that the sensors are as good as
declared. From then on they are held to that.
"""

import math
from typing import Final, NamedTuple

import numpy as np

from pygnc.common.arrays import Array
from pygnc.estimators.attitude.settings import AttitudeSettings
from pygnc.estimators.attitude.state import (
    ATTITUDE,
    COSINE_ERROR,
    FACE_GAINS,
    GYRO_BIAS,
    MAG_BIAS,
    MAG_MATRIX,
    PANEL_FIELD,
    SIZE,
    AttitudeState,
)

UNOPENED_SIGMA: Final = 1e-4
"""Standard deviation of states that are not estimated; positive, so that the covariance is not singular."""
_MISFIT_MAX: Final = 2.0
"""Running mean of normalised innovations squared, per measurement, from which a model is wrong."""
_EVIDENCE_MIN: Final = 5.0
"""Natural logarithm of the Bayes factor, of small errors over large ones, from which errors count as small."""
_LIGHT_ROWS: Final = np.r_[FACE_GAINS, COSINE_ERROR]
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


class TagErrors(NamedTuple):
    """Scatter of the sample times about their tags, estimated from the innovations along the rotation.

    A time error d changes the prediction by h d. The variance v of d has the score (h' S^-1 r)^2 - h' S^-1 h, whose
    Fisher information is (h' S^-1 h)^2 / 2; v follows by scoring with a forgetting factor.

    Attributes:
        variance_s2: Estimated variance.
        information: Twice its Fisher information.
        samples: Number of samples so far.
        found: True once the scatter was significant. The tags are then whole seconds, whose constant difference from
            those of the GPS packets is unknown too.
    """

    variance_s2: float = 0.0
    information: float = 0.0
    samples: int = 0
    found: bool = False

    @property
    def used_s2(self) -> float:
        """Variance for the measurement noise: zero until it was significant."""
        return self.variance_s2 if self.found else 0.0

    def updated(self, score: float, sensitivity: float) -> "TagErrors":
        """Return the estimate after a sample.

        Args:
            score: (h' S^-1 r)^2 - h' S^-1 h with the variance `used_s2`.
            sensitivity: h' S^-1 h.
        """
        square = sensitivity * sensitivity
        information = (1.0 - _TAG_MEMORY) * self.information + square
        expected = square * (self.variance_s2 - self.used_s2)
        variance = self.variance_s2 + (score - expected) / max(information, 1e-12)
        variance = min(max(variance, 0.0), _TAG_VARIANCE_MAX_S2)
        significant = variance * math.sqrt(0.5 * information) > _TAG_EVIDENCE and self.samples >= _TAG_SAMPLES_MIN
        if significant and not self.found:
            # From now on the variance is in S, which makes each sample less informative.
            information = _TAG_SAMPLES_MIN * (sensitivity / (1.0 + variance * sensitivity)) ** 2
        return TagErrors(variance, information, self.samples + 1, self.found or significant)

    def restarted(self) -> "TagErrors":
        """Return these errors without the innovations so far, which had another cause."""
        return self if self.found else TagErrors()


NO_TAG_ERRORS: Final = TagErrors()


class ModelErrors(NamedTuple):
    """Sensor models that have been found wrong; it outlasts a track.

    Attributes:
        field: True for the magnetometer.
        light: True for the sun sensors; None while that is undecided.
        tags: Scatter of the sample times.
    """

    field: bool = False
    light: bool | None = None
    tags: TagErrors = NO_TAG_ERRORS

    def found(self, field_misfit: float, light_misfit: float, samples: int) -> "ModelErrors":
        """Return the flags after a sample of a track, given the misfits of its accepted innovations."""
        field = self.field or (field_misfit > _MISFIT_MAX and samples >= _FIELD_SAMPLES_MIN)
        light = True if light_misfit > _MISFIT_MAX and samples >= _LIGHT_SAMPLES_MIN else self.light
        return self if (field, light) == self[:2] else ModelErrors(field, light, self.tags.restarted())

    def decided(self, state: AttitudeState, settings: AttitudeSettings) -> "tuple[ModelErrors, AttitudeState]":
        """Return errors and state after an undecided sensor model was tested by its estimated errors.

        The Bayes factor of small errors over large ones is the ratio of the densities of zero after and before the
        readings (Dickey, Ann. Math. Statist. 42, 1971).
        """
        if self.light is not None:
            return self, state
        error, root = state.slow[_LIGHT_ROWS - 3], state.sqrt_covariance[_LIGHT_ROWS]
        small, large = (self._replace(light=light).sigma(settings)[_LIGHT_ROWS] ** 2 for light in (False, True))
        covariance = root.dot(root.T) + np.diag(small)
        normalised = np.linalg.solve(covariance, error)
        density_after = -0.5 * (np.linalg.slogdet(covariance)[1] + float(error.dot(normalised)))
        if density_after + 0.5 * float(np.log(large + small).sum()) < _EVIDENCE_MIN:
            return self, state
        cross = state.sqrt_covariance.dot(root.T)
        known = state.covariance - cross.dot(np.linalg.solve(covariance, cross.T))
        known_root = np.asarray(np.linalg.cholesky(0.5 * (known + known.T)), np.float64)
        return self._replace(light=False), state.corrected(-cross.dot(normalised), known_root)

    def sigma(self, settings: AttitudeSettings) -> Array:
        """Return the standard deviations of the states at the begin of a track, zero for those it does not know."""
        sigma = np.zeros(SIZE)
        magnetometer, faces = settings.magnetometer, settings.sun_sensors
        sigma[MAG_MATRIX] = magnetometer.matrix_sigma if self.field else UNOPENED_SIGMA
        sigma[PANEL_FIELD] = magnetometer.panel_sigma_ut if self.field else UNOPENED_SIGMA
        sigma[FACE_GAINS] = faces.gain_sigma if self.light is False else faces.gain_sigma_max
        sigma[COSINE_ERROR] = UNOPENED_SIGMA if self.light is False else faces.cosine_sigma
        return sigma

    def opening(self, before: "ModelErrors", settings: AttitudeSettings) -> Array | None:
        """Return the process noise of the step after `before` became these errors, shape (35,); None if it is none."""
        if (self.field, self.light is True) == (before.field, before.light is True):
            return None
        sigma = self.sigma(settings)
        if self.field == before.field:
            sigma[MAG_MATRIX] = sigma[PANEL_FIELD] = 0.0
        else:
            sigma[MAG_BIAS] = _MAG_BIAS_SIGMA_UT
        if self.light is before.light:
            sigma[FACE_GAINS] = sigma[COSINE_ERROR] = 0.0
        sigma[ATTITUDE], sigma[GYRO_BIAS] = _ATTITUDE_SIGMA_RAD, _GYRO_BIAS_SIGMA_RAD_S
        return sigma
