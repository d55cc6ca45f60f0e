"""Errors of sensor models that are estimated only once the innovations show them.

Scale, misalignment and panel field of the magnetometer, large gain errors and the cosine law of the sun sensors, and
samples at any time within the tagged second would make all estimates of a good satellite worse if the filter always
allowed for them. Their states are therefore known exactly at first. When the normalised innovations of a sensor exceed
what noise explains, the step to the next sample opens its states: process noise makes them, and the states that they
have misled, uncertain.
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
)

UNOPENED_SIGMA: Final = 1e-4
"""Standard deviation of states that are not estimated; positive, so that the covariance is not singular."""
_MISFIT_MAX: Final = 2.0
"""Running mean of normalised innovations squared, per measurement, from which a model is wrong."""
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
        light: True for the sun sensors.
        tags: Scatter of the sample times.
    """

    field: bool = False
    light: bool = False
    tags: TagErrors = NO_TAG_ERRORS

    def found(self, field_misfit: float, light_misfit: float, samples: int) -> "ModelErrors":
        """Return the flags after a sample of a track, given the misfits of its accepted innovations."""
        field = self.field or (field_misfit > _MISFIT_MAX and samples >= _FIELD_SAMPLES_MIN)
        light = self.light or (light_misfit > _MISFIT_MAX and samples >= _LIGHT_SAMPLES_MIN)
        return self if (field, light) == self[:2] else ModelErrors(field, light, self.tags.restarted())

    def sigma(self, settings: AttitudeSettings) -> Array:
        """Return the standard deviations of the states at the begin of a track, zero for those it does not know."""
        sigma = np.zeros(SIZE)
        magnetometer, faces = settings.magnetometer, settings.sun_sensors
        sigma[MAG_MATRIX] = magnetometer.matrix_sigma if self.field else UNOPENED_SIGMA
        sigma[PANEL_FIELD] = magnetometer.panel_sigma_ut if self.field else UNOPENED_SIGMA
        sigma[FACE_GAINS] = faces.gain_sigma_max if self.light else faces.gain_sigma
        sigma[COSINE_ERROR] = faces.cosine_sigma if self.light else UNOPENED_SIGMA
        return sigma

    def opening(self, before: "ModelErrors", settings: AttitudeSettings) -> Array | None:
        """Return the process noise of the step after `before` became these errors, shape (35,); None if it is none."""
        if self[:2] == before[:2]:
            return None
        sigma = self.sigma(settings)
        if self.field == before.field:
            sigma[MAG_MATRIX] = sigma[PANEL_FIELD] = 0.0
        else:
            sigma[MAG_BIAS] = _MAG_BIAS_SIGMA_UT
        if self.light == before.light:
            sigma[FACE_GAINS] = sigma[COSINE_ERROR] = 0.0
        sigma[ATTITUDE], sigma[GYRO_BIAS] = _ATTITUDE_SIGMA_RAD, _GYRO_BIAS_SIGMA_RAD_S
        return sigma
