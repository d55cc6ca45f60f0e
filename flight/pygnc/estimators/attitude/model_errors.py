"""Errors of the sensor models: possible until the readings show that they are small, or prove that they are large.

These errors are scale, misalignment and panel field of the magnetometer, gain errors of the sun sensors and their
deviation from the cosine law, and sample times known to the second only. At first all of them are possible and are
estimated, because biases and a wrong attitude can absorb them: innovations that fit do not prove that there are none.
Their estimates may become evidence that they are small. From then on, their variances are small, and the attitude is as
accurate as that of good sensors. Innovations that are too large for noise, or estimates that are implausible, prove
large errors: the step to the next sample inflates the variances of these errors, and of the attitude and biases that
they have falsified.
"""

import math
from collections.abc import Mapping, Sequence
from enum import StrEnum, unique
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pygnc.common.arrays import Array
from pygnc.estimators.attitude.bias_walks import BiasWalks
from pygnc.estimators.attitude.settings import AttitudeSettings
from pygnc.estimators.attitude.state import ERRORS, AttitudeState

_ROWS: Final = {
    "magnetometer": ERRORS.field_rows,
    "sun_sensors": ERRORS.light_errors,
    "gyro": ERRORS.gyro_thermal,
    "magnetometer_thermal": ERRORS.mag_thermal,
}
"""Model errors in the error state by name of their size in `ModelErrors`."""
NOT_ESTIMATED_SIGMA: Final = 1e-4
"""Standard deviation of states that are not estimated; not zero, because the covariance would be singular."""
_MISFIT_MAX: Final = 2.0
"""Running mean of normalised innovations squared per measurement, above which a sensor model has errors."""
_IMPLAUSIBLE_SIGMA: Final = 3.72
"""Estimated errors of a sensor are implausible if their chi-square over their prior has this normal deviate, which is
exceeded once in 10 000.
"""
_EVIDENCE_MIN: Final = 5.0
"""Natural logarithm of the Bayes factor of small over large errors, from which the errors count as small."""
_SAMPLES_MIN: Final = 36
"""Number of samples of a track before its innovations prove errors of sensors or times, because the first updates are
far from linear.
"""
MISLED_SIGMA_RAD: Final = math.radians(8.0)
"""Standard deviation added to an attitude, about each axis, that a detected error of a sensor has falsified."""
_GYRO_BIAS_SIGMA_RAD_S: Final = math.radians(0.02)
"""Standard deviation added to the gyro bias then."""
FIELD_KNOWN_SIGMA_UT: Final = 5.0
"""Sigma of the magnetometer bias per axis, below which a reading determines the direction of the field; added to the
bias when the error is one of the magnetometer.
"""
_TAG_MEMORY: Final = 1.0 / 300.0
"""Forgetting factor of the estimated variance of sample times: weight of a new sample."""
_TAG_EVIDENCE: Final = 6.0
"""Significant excess of the estimated over the stated variance, in standard deviations of the estimate."""
WHOLE_SECOND_SIGMA_S: Final = 1.0 / math.sqrt(12.0)
"""Standard deviation of a time that is known to the second only."""


@unique
class ErrorSize(StrEnum):
    """Conclusion on the size of a sensor's model errors."""

    UNDECIDED = "undecided"
    """Large errors are possible and are estimated."""
    SMALL = "small"
    """The readings are evidence that the errors are small; they are estimated with small standard deviations."""
    LARGE = "large"
    """The innovations have proved large errors, which are estimated."""


class TimeTagErrors(NamedTuple):
    """Errors of the sample times, estimated from innovations along the rotation of the body.

    A time error d changes the prediction by h d. With residuals r of covariance S, twice the score of its variance v is
    (h' S^-1 r)^2 - h' S^-1 h, and twice the Fisher information (h' S^-1 h)^2; v is estimated by Fisher scoring with a
    forgetting factor.

    Attributes:
        variance_s2: Estimated variance v.
        information: Twice the Fisher information of v.
        samples: Number of samples so far.
        evidence: Natural logarithm of the Bayes factor of whole seconds over exact times.
        size: Conclusion on the times. LARGE once v was significant: the times are then whole seconds, whose constant
            difference from the times of GPS packets is also unknown.
    """

    variance_s2: float = 0.0
    information: float = 0.0
    samples: int = 0
    evidence: float = 0.0
    size: ErrorSize = ErrorSize.UNDECIDED

    @property
    def used_s2(self) -> float:
        """Variance that the filter applies, s2: the estimated one if large, that of whole seconds if undecided."""
        if self.size is ErrorSize.UNDECIDED:
            return WHOLE_SECOND_SIGMA_S**2
        return self.variance_s2 if self.size is ErrorSize.LARGE else 0.0

    def used_with(self, time_sigma_s: float | None) -> float:
        """Return the variance of a sample's time, s2, for the standard deviation that its source states, if any."""
        if time_sigma_s is None:
            return self.used_s2
        stated_s2 = time_sigma_s * time_sigma_s
        return max(self.variance_s2, stated_s2) if self.size is ErrorSize.LARGE else stated_s2

    def common_sigma_s(self, time_sigma_s: float | None) -> float:
        """Return the standard deviation of an error that may be common to all times, s; see `used_with`."""
        if self.size is ErrorSize.LARGE or (self.size is ErrorSize.UNDECIDED and time_sigma_s is None):
            return WHOLE_SECOND_SIGMA_S
        return time_sigma_s or 0.0

    def updated(self, score: float, sensitivity: float, time_sigma_s: float | None) -> "TimeTagErrors":
        """Return the estimate after a sample.

        Args:
            score: (h' S^-1 r)^2 - h' S^-1 h. r are the residuals, S is their covariance with the variance from
                `used_with`, and h is the change of the prediction per second of delay.
            sensitivity: h' S^-1 h, 1/s2.
            time_sigma_s: Error of the sample's time as stated by its source; None if it is not stated.
        """
        used_s2, evidence = self.used_with(time_sigma_s), self.evidence
        if self.size is ErrorSize.UNDECIDED:
            evidence = min(evidence + _evidence(score, sensitivity, used_s2), 2.0 * _EVIDENCE_MIN)
        square = sensitivity * sensitivity
        information = (1.0 - _TAG_MEMORY) * self.information + square
        variance = self.variance_s2 + (score - square * (self.variance_s2 - used_s2)) / max(information, 1e-12)
        variance = min(max(variance, 0.0), 1.0)
        size = self.size
        excess = variance - (0.0 if time_sigma_s is None else time_sigma_s * time_sigma_s)
        if excess * math.sqrt(0.5 * information) > _TAG_EVIDENCE and self.samples >= _SAMPLES_MIN:
            size = ErrorSize.LARGE
        elif size is ErrorSize.UNDECIDED and evidence < -_EVIDENCE_MIN:
            size = ErrorSize.SMALL
        if size is ErrorSize.LARGE is not self.size and used_s2 == 0.0:
            # From now on S contains the time error, so each sample is less informative than those so far.
            information = _SAMPLES_MIN * (sensitivity / (1.0 + variance * sensitivity)) ** 2
        return TimeTagErrors(variance, information, self.samples + 1, evidence, size)

    def restarted(self) -> "TimeTagErrors":
        """Return the estimate after another error was detected, to which the innovations so far were due.

        A detected scatter is kept; otherwise the estimate begins again.
        """
        return self if self.size is ErrorSize.LARGE else TimeTagErrors()


NO_TIME_TAG_ERRORS: Final = TimeTagErrors(size=ErrorSize.SMALL)


class ErrorPrior(NamedTuple):
    """Prior of the m model errors of a sensor, with mean zero.

    Attributes:
        name: Name of the sensor's measurement model.
        places: Indices of the errors in `AttitudeState.slow`, shape (m,).
        weights: Inverses of their standard deviations, shape (m,).
        limit: Chi-square of the estimates above which they are implausible.
    """

    name: str
    places: npt.NDArray[np.intp]
    weights: Array
    limit: float

    def is_contradicted(self, state: AttitudeState) -> bool:
        """Return True if the estimated errors are too large for the prior."""
        normalised = self.weights * state.slow[self.places]
        return float(normalised.dot(normalised)) > self.limit


class ModelErrors(NamedTuple):
    """Conclusions on errors of the sensor models, which remain when a track ends.

    Attributes:
        magnetometer: Size of scale, misalignment and panel field of the magnetometer.
        sun_sensors: Size of the sun sensors' gain errors and deviation from the cosine law.
        gyro: Size of the change of the gyro bias by warmth.
        magnetometer_thermal: Size of the change of the magnetometer bias by warmth.
        time_tags: Errors of the sample times.
        bias_walks: Random walks of the biases.
    """

    magnetometer: ErrorSize = ErrorSize.UNDECIDED
    sun_sensors: ErrorSize = ErrorSize.UNDECIDED
    gyro: ErrorSize = ErrorSize.UNDECIDED
    magnetometer_thermal: ErrorSize = ErrorSize.UNDECIDED
    time_tags: TimeTagErrors = TimeTagErrors()
    bias_walks: BiasWalks = BiasWalks()

    def _with(self, name: str, size: ErrorSize) -> "ModelErrors":
        return ModelErrors(**{**self._asdict(), name: size})

    def detected(self, misfits: Mapping[str, float], samples: int, implausible: Sequence[str]) -> "ModelErrors":
        """Return the errors after a sample of a track.

        Args:
            misfits: `ModelMemory.misfit` by name of the model.
            samples: Number of samples in the track.
            implausible: Names of the sensors with implausible estimates.
        """
        errors = self
        for name in _ROWS:
            is_misfit = misfits.get(name, 1.0) > _MISFIT_MAX and samples >= _SAMPLES_MIN
            is_wrong = name in implausible and getattr(self, name) is ErrorSize.SMALL
            if (is_misfit or is_wrong) and getattr(self, name) is not ErrorSize.LARGE:
                errors = errors._with(name, ErrorSize.LARGE)._replace(time_tags=self.time_tags.restarted())
        return errors

    def selected(self, state: AttitudeState, settings: AttitudeSettings) -> "tuple[ModelErrors, AttitudeState]":
        """Decide by the estimated errors of each undecided sensor whether they are small; return errors and state.

        If they are, the state is conditioned on small errors; otherwise it is returned unchanged. The Bayes factor of
        small over large errors is the Savage-Dickey ratio: probability density of small errors after the readings,
        divided by that before (Dickey, Ann. Math. Statist. 42, 1971).
        """
        errors = self
        for name in _ROWS:
            if getattr(errors, name) is ErrorSize.UNDECIDED:
                errors, state = errors._selected(name, state, settings)
        return errors, state

    def _selected(
        self, name: str, state: AttitudeState, settings: AttitudeSettings
    ) -> "tuple[ModelErrors, AttitudeState]":
        rows = _ROWS[name]
        error, root = np.r_[np.zeros(3), state.slow][rows], state.sqrt_covariance[rows]
        as_small = self._with(name, ErrorSize.SMALL)
        small, large = (errors.sigma(settings)[rows] ** 2 for errors in (as_small, self))
        covariance = root.dot(root.T) + np.diag(small)
        normalised = np.linalg.solve(covariance, error)
        density_after = -0.5 * (np.linalg.slogdet(covariance)[1] + float(error.dot(normalised)))
        if density_after + 0.5 * float(np.log(large + small).sum()) < _EVIDENCE_MIN:
            return self, state
        cross = state.sqrt_covariance.dot(root.T)
        known = state.covariance - cross.dot(np.linalg.solve(covariance, cross.T))
        known_root = np.asarray(np.linalg.cholesky(0.5 * (known + known.T)), np.float64)
        return as_small, state.corrected(-cross.dot(normalised), known_root)

    def sigma(self, settings: AttitudeSettings) -> Array:
        """Return standard deviations at the beginning of a track, shape (size,); 0 for all but the model errors."""
        sigma = np.zeros(ERRORS.size(settings.mounting.faces))
        magnetometer, faces = settings.magnetometer, settings.sun_sensors
        factor = 2.0 if self.magnetometer is ErrorSize.LARGE else 1.0
        matrix = np.full((3, 3), 0.5 * magnetometer.matrix_sigma)
        np.fill_diagonal(matrix, magnetometer.matrix_sigma)
        sigma[ERRORS.mag_matrix], sigma[ERRORS.panel_field] = (
            factor * matrix.ravel(),
            factor * magnetometer.panel_sigma_ut,
        )
        if self.magnetometer is ErrorSize.SMALL:
            sigma[ERRORS.mag_matrix], sigma[ERRORS.panel_field] = (
                magnetometer.matrix_sigma_small,
                magnetometer.panel_sigma_small_ut,
            )
        are_small = self.sun_sensors is ErrorSize.SMALL
        sigma[ERRORS.face_gains] = faces.gain_sigma if are_small else faces.gain_sigma_max
        gyro, gyro_is_steady = settings.gyro, self.gyro is ErrorSize.SMALL
        sigma[ERRORS.gyro_thermal] = gyro.thermal_sigma_small_rad_s if gyro_is_steady else gyro.thermal_sigma_rad_s
        field_is_steady = self.magnetometer_thermal is ErrorSize.SMALL
        sigma[ERRORS.mag_thermal] = (
            magnetometer.thermal_sigma_small_ut if field_is_steady else magnetometer.thermal_sigma_ut
        )
        sigma[ERRORS.cosine_error] = NOT_ESTIMATED_SIGMA if are_small else faces.cosine_sigma
        return sigma

    def priors(self, settings: AttitudeSettings) -> list["ErrorPrior"]:
        """Return the prior of the model errors of each sensor."""
        sigma = self.sigma(settings)
        places = {name: np.arange(len(sigma))[rows] for name, rows in _ROWS.items()}
        return [
            ErrorPrior(name, each - 3, 1.0 / sigma[each], chi_square_limit(len(each))) for name, each in places.items()
        ]

    def variance_inflation(self, before: "ModelErrors", settings: AttitudeSettings) -> Array | None:
        """Return the standard deviations to add to the state, (size,), after errors `before`; None without a change."""
        changed = [name for name in _ROWS if getattr(self, name) is ErrorSize.LARGE is not getattr(before, name)]
        if not changed:
            return None
        sigma, inflation = self.sigma(settings), np.zeros(ERRORS.size(settings.mounting.faces))
        for name in changed:
            inflation[_ROWS[name]] = sigma[_ROWS[name]]
        if "magnetometer" in changed:
            inflation[ERRORS.mag_bias] = FIELD_KNOWN_SIGMA_UT
        inflation[ERRORS.attitude], inflation[ERRORS.gyro_bias] = MISLED_SIGMA_RAD, _GYRO_BIAS_SIGMA_RAD_S
        return inflation


def _evidence(score: float, sensitivity: float, used_s2: float) -> float:
    """Return the logarithm of the likelihood ratio of whole seconds over exact times; arguments as in `updated`.

    `used_s2` is the variance of the time error that S contains.
    """
    # Without the time error in S: h' S^-1 h and (h' S^-1 r)^2.
    grown = 1.0 / max(1.0 - used_s2 * sensitivity, 1e-9)
    plain, along2 = sensitivity * grown, (score + sensitivity) * grown * grown
    whole_s2 = WHOLE_SECOND_SIGMA_S**2
    return 0.5 * (whole_s2 * along2 / (1.0 + whole_s2 * plain) - math.log1p(whole_s2 * plain))


def chi_square_limit(freedoms: int) -> float:
    """Return the chi-square of `_IMPLAUSIBLE_SIGMA` (Wilson & Hilferty, Proc. Nat. Acad. Sci. 17, 1931)."""
    spread = 2.0 / (9.0 * freedoms)
    return freedoms * (1.0 - spread + _IMPLAUSIBLE_SIGMA * math.sqrt(spread)) ** 3
