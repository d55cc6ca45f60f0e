"""Attitude search without prior attitude: many hypotheses in parallel, until one fits clearly better than all others.

Gyro and magnetometer bias are unknown at first, and the magnetometer bias may be as large as the field. The first
hypotheses are fitted to three samples (`initial_hypotheses`). The window then grows with every sample. Two damped
Gauss-Newton steps fit each hypothesis to the whole window; duplicates and those that fit much worse are dropped.

The first hypotheses are evenly spaced rotations about the direction to the Sun, each with several gyro biases along
that direction, which the motion of the direction does not reveal. In the dark, the field direction replaces that of the
Sun if the magnetometer bias is known beforehand.
"""

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Final, NamedTuple

import msgspec
import numpy as np

from pygnc.common import quaternion
from pygnc.common.arrays import Array, cross
from pygnc.estimators.attitude.magnetometer import Magnetometer
from pygnc.estimators.attitude.model_errors import ModelErrors
from pygnc.estimators.attitude.sample import SUCCESSIVE_SAMPLES
from pygnc.estimators.attitude.sensor_health import DIRECT_SUN_SHARE
from pygnc.estimators.attitude.sensor_prior import PRIOR_ROWS, SensorPrior
from pygnc.estimators.attitude.settings import AttitudeSettings
from pygnc.estimators.attitude.state import ERRORS, AttitudeState, Flags
from pygnc.estimators.attitude.window import LIGHT_ERROR_MIN, Fit, Hypotheses, Window, WindowSample
from pygnc.estimators.kalman import covariance_root, triangular

_ROTATIONS: Final = 12
"""Number of rotations about the known direction."""
_BIASES: Final = (0.0, 0.7, -0.7, 1.4, -1.4)
"""Gyro biases along the known direction in prior standard deviations."""
_LENGTH_MIN: Final = 1e-3
"""Smallest length of a vector that has a direction: summed illuminance (shares), or field minus bias (uT)."""


class DirectionPair(NamedTuple):
    """One direction as unit vectors in body axes and in GCRF, each of shape (3,)."""

    body: Array
    gcrf: Array

    @classmethod
    def along(cls, body: Array, gcrf: Array) -> "DirectionPair | None":
        """Return the pair for two vectors of any length; None if `body` is nearly zero."""
        length = np.linalg.norm(body)
        return cls(body / length, gcrf / np.linalg.norm(gcrf)) if length > _LENGTH_MIN else None


def initial_hypotheses(
    newest: WindowSample, settings: AttitudeSettings, prior: SensorPrior, excluded_face: int | None
) -> Hypotheses | None:
    """Return attitudes and biases that agree with a sample; None if neither Sun nor field has a known direction.

    `excluded_face` is the number of a face whose light is not used; None to use all.
    """
    mounting = settings.mounting
    mag_body_ut = (newest.sample.mag_imu_ut - prior.mean[3:6]).dot(mounting.magnetometer)
    line = sun_direction(newest, settings, excluded_face)
    if line is None and prior.is_field_direction_known and not newest.sample.field_unusable:
        line = DirectionPair.along(mag_body_ut, newest.environment.field_gcrf_ut)
    if line is None:
        return None
    rotations = rotations_about(*line, _ROTATIONS)
    along = mounting.gyro.dot(line.body) * prior.sigma[:3].max()
    biases = np.tile(prior.mean[:6], (len(_BIASES), 1))
    biases[:, :3] += np.multiply.outer(np.array(_BIASES), along)
    return Hypotheses(np.repeat(rotations, len(biases), axis=0), np.tile(biases, (len(rotations), 1)))


def sun_direction(newest: WindowSample, settings: AttitudeSettings, excluded_face: int | None) -> DirectionPair | None:
    """Return the direction to the Sun from the light of all faces but `excluded_face`; None without full sunlight."""
    share = np.maximum(newest.sample.lux, 0.0) / newest.sources.full_sun_lux
    if excluded_face is not None:
        share[excluded_face] = 0.0
    if not newest.sources.is_clear or share.max() <= DIRECT_SUN_SHARE:
        return None
    return DirectionPair.along(share.dot(settings.mounting.face_normals), newest.sources.sun_gcrf)


def rotations_about(body: Array, gcrf: Array, count: int) -> Array:
    """Return attitudes in which a body vector has a given GCRF direction, evenly spaced in rotation about it.

    Args:
        body: Unit vector in body axes, shape (3,).
        gcrf: Its direction in GCRF, unit vector, shape (3,).
        count: Number of attitudes.

    Returns:
        Quaternions, GCRF from body, shape (count, 4).
    """
    across = cross(body, gcrf)
    cosine = float(body.dot(gcrf))
    if cosine > -0.999:
        shortest = quaternion.normalised(np.array((1.0 + cosine, *across)))
    else:
        farthest_axis = np.zeros(3)
        farthest_axis[np.abs(body).argmin()] = 1.0
        shortest = quaternion.normalised(np.array((0.0, *cross(body, farthest_axis))))
        # Nearly opposite: rotate by 180 degrees about any perpendicular axis, then by the small remainder.
        rotated = quaternion.rotate(shortest, body)
        rest = np.array((1.0 + float(rotated.dot(gcrf)), *cross(rotated, gcrf)))
        shortest = quaternion.multiply(quaternion.normalised(rest), shortest)
    half = math.pi / count * np.arange(count)
    rotations = np.concatenate((np.cos(half)[:, None], np.sin(half)[:, None] * gcrf), axis=1)
    return quaternion.multiply(rotations, shortest)


_MANY_ITERATIONS: Final = 6
"""Number of steps from a guess, and of those that estimate gains if the fit without them has a misfit above 1.
Otherwise one linear step estimates gains: more steps would drift along the likelihood ridge while the first samples
hardly determine the attitude.
"""
_SEED_DAMPING: Final = 1e-2
_ITERATIONS: Final = 2
_SAME_RAD: Final = math.radians(5.0)
_SAME_BIASES: Final = np.repeat((math.radians(0.1), 5.0), 3)
"""Hypotheses whose attitudes and biases (rad/s, uT) differ by less than these limits are duplicates."""
UNSURE_SIGMA_RAD: Final = math.radians(15.0)
"""Largest sigma of a first attitude, gain errors included. A track with a larger one must be confirmed again: updates
are then far from linear and may make it a wrong one. Hypotheses within this angle count as the same attitude when costs
are compared.
"""
_TURN_RAD: Final = math.radians(40.0)
"""Rotation of the body during a search from which no wrong biases explain all readings. The field must rotate by half
of it in sensor axes; it rotates less than the body if that turns about the field.
"""


class Search(msgspec.Struct, eq=False):
    """State of a search; `pygnc.estimators.checkpoint` encodes it.

    Attributes:
        settings: Settings of the filter.
        prior: Prior of gyro and magnetometer.
        errors: Detected errors of the sensor models, which determine the covariance of the first state.
        samples: Samples of the window, oldest first.
        hypotheses: Hypotheses at the newest sample, lowest cost first; None before the first ones.
        damping: Levenberg-Marquardt damping of each hypothesis, shape (k,).
        confirmations: Number of successive samples at which the best hypothesis was clear.
        tolerant: True in an attempt that reduces the weight of magnetometer readings with large residuals.
        excluded_face: Number of the face whose light this attempt does not use; None if it uses all.
        untried: Numbers of the faces that the next attempts exclude; None stands for a tolerant attempt with all faces.
        received: Number of samples received, including those of earlier searches that led only to short tracks.
        attempt_samples: Number of samples that this attempt has fitted.
        rest: Number of next samples to skip.
    """

    settings: AttitudeSettings
    prior: SensorPrior
    errors: ModelErrors = ModelErrors()
    samples: list[WindowSample] = []
    hypotheses: Hypotheses | None = None
    damping: Array = msgspec.field(default_factory=lambda: np.zeros(0))
    confirmations: int = 0
    tolerant: bool = False
    excluded_face: int | None = None
    untried: list[int | None] = []
    received: int = 0
    attempt_samples: int = 0
    rest: int = 0

    def process(self, newest: WindowSample) -> AttitudeState | None:
        """Process one sample; return the first state of a track once the best hypothesis is clear, until then None."""
        limits = self.settings.start
        self.received += 1
        if self.rest:
            self.rest -= 1
            return None
        if self.samples:
            step_s = (newest.sample.gps_ms - self.samples[-1].sample.gps_ms) * 1e-3
            if step_s > self.settings.gyro.bridged_max_s:
                self.reset()
        hypotheses = self._propagated(newest)
        self.samples = [*self.samples, newest][-limits.window_samples :]
        if hypotheses is None:
            self.samples = self.samples[-SUCCESSIVE_SAMPLES:]
            if len(self.samples) < SUCCESSIVE_SAMPLES:
                return None
            prior = self.prior.warmed(newest.environment.warmth)
            hypotheses = initial_hypotheses(newest, self.settings, prior, self.excluded_face)
            if hypotheses is None:
                # In the dark, a misfit before says nothing about a face; the next light needs all faces.
                self.excluded_face, self.tolerant, self.untried = None, False, []
                return None
            self.damping = np.full(len(hypotheses.quaternion), _SEED_DAMPING)
            iterations = _MANY_ITERATIONS
        else:
            iterations = _ITERATIONS
        self.attempt_samples += 1
        tag_sigma_s = np.sqrt([self.errors.time_tags.used_with(one.sample.time_sigma_s) for one in self.samples])
        window = Window(
            self.samples,
            self.settings,
            self.prior,
            self.excluded_face,
            tag_sigma_s=tag_sigma_s,
            tolerant=self.tolerant,
        )
        hypotheses, fit = self._pruned(*self._improved(window, hypotheses, iterations))
        if len(self.samples) >= limits.samples_min and self.confirmations == 0:
            hypotheses, fit = self._challenged(newest, window, hypotheses, fit)
        self.hypotheses = hypotheses
        misfit = float(fit.misfit[0])
        if misfit > limits.misfit_max and len(self.samples) >= limits.samples_judged:
            self._next_attempt(window, hypotheses)
            return None
        state = self._winner(window, hypotheses, fit) if misfit <= limits.misfit_max else None
        if self._is_hopeless and self.attempt_samples >= limits.window_samples and not self.confirmations:
            self._end_attempt()
        return state

    def has_turned(self, found: AttitudeState) -> bool:
        """Return True if the body has turned so far in the window that no wrong biases explain all readings.

        Both the gyro with the bias found and the field readings must show it: a wrong gyro bias turns a body at rest.
        """
        gyro_rad_s = np.array([one.sample.gyro_imu_rad_s for one in self.samples])
        rate_rad_s = gyro_rad_s.mean(axis=0) - found.gyro_bias_rad_s
        span_s = 1e-3 * (self.samples[-1].sample.gps_ms - self.samples[0].sample.gps_ms)
        return span_s * math.sqrt(rate_rad_s.dot(rate_rad_s)) >= _TURN_RAD and self._field_turn_rad() >= 0.5 * _TURN_RAD

    def _field_turn_rad(self) -> float:
        """Return the largest angle by which the body has turned the field in sensor axes since the first sample.

        Differences of readings have no bias. The field's own change in GCRF counts against the angle.
        """
        read_ut = np.array([one.sample.mag_imu_ut for one in self.samples])
        field_ut = np.array([one.environment.field_gcrf_ut for one in self.samples])
        chord_ut, own_ut = (np.linalg.norm(each - each[0], axis=1) for each in (read_ut, field_ut))
        chord = np.maximum(chord_ut - own_ut, 0.0) / np.linalg.norm(field_ut, axis=1)
        return 2.0 * math.asin(min(0.5 * float(chord.max()), 1.0))

    def reset(self) -> None:
        """Restart the attempt with an empty window; the prior and the kind of attempt remain."""
        self.samples, self.hypotheses, self.confirmations, self.attempt_samples = [], None, 0, 0

    @property
    def _is_hopeless(self) -> bool:
        return self.received > self.settings.start.full_rate_samples

    def _end_attempt(self) -> None:
        """Restart with an empty window; after `full_rate_samples`, first skip three samples for each one used."""
        self.rest = 3 * self.attempt_samples if self._is_hopeless else 0
        self.reset()

    def _next_attempt(self, window: Window, hypotheses: Hypotheses) -> None:
        """Restart with the next kind of attempt.

        The first attempt uses all faces. The next one excludes the face with the largest cost in it, because that
        sensor may be broken. Then follow a tolerant attempt with all faces, and attempts without each other face.
        """
        if self.excluded_face is None and not self.tolerant:
            costs = window.face_costs(hypotheses.select(np.array([0])))[0]
            first, *others = np.argsort(-costs).tolist()
            self.untried = [first, None, *others] if costs.any() else [None]
        if self.untried:
            self.excluded_face = self.untried.pop(0)
            self.tolerant = self.excluded_face is None
        else:
            self.excluded_face, self.tolerant = None, False
        self._end_attempt()

    def _challenged(
        self, newest: WindowSample, window: Window, hypotheses: Hypotheses, fit: Fit
    ) -> tuple[Hypotheses, Fit]:
        """Compare a clear best hypothesis with rotations about the Sun direction; return hypotheses and fit, pruned.

        If the body hardly rotates, the true attitude may have been dropped before the window could distinguish it.
        Without a clear hypothesis or a Sun direction, nothing changes.
        """
        sun = sun_direction(newest, self.settings, self.excluded_face)
        if sun is None or not self._clear(hypotheses, fit):
            return hypotheses, fit
        rotations = rotations_about(*sun, _ROTATIONS)
        biases = np.repeat(hypotheses.biases[:1], len(rotations), axis=0)
        joined = Hypotheses(
            np.concatenate((hypotheses.quaternion, rotations)), np.concatenate((hypotheses.biases, biases))
        )
        self.damping = np.concatenate((self.damping, np.full(len(rotations), _SEED_DAMPING)))
        return self._pruned(*self._improved(window, joined, _MANY_ITERATIONS))

    def _propagated(self, newest: WindowSample) -> Hypotheses | None:
        """Return the hypotheses propagated to the time of a new sample by the gyro; None if there are none yet."""
        hypotheses = self.hypotheses
        if hypotheses is None:
            return None
        body_from_gyro = self.settings.mounting.gyro.T
        before = self.samples[-1].sample
        biases = hypotheses.biases.copy()
        biases += self.prior.thermal * (newest.environment.warmth - self.samples[-1].environment.warmth)
        step_s = (newest.sample.gps_ms - before.gps_ms) * 1e-3
        first, last = (
            (gyro - bias[:, :3]).dot(body_from_gyro.T)
            for gyro, bias in (
                (before.gyro_imu_rad_s, hypotheses.biases),
                (newest.sample.gyro_imu_rad_s, biases),
            )
        )
        rotation = 0.5 * step_s * (first + last) + step_s**2 / 12.0 * np.cross(first, last)
        carried = quaternion.multiply(hypotheses.quaternion, quaternion.exponential(rotation))
        return Hypotheses(carried, biases)

    def _improved(self, window: Window, hypotheses: Hypotheses, iterations: int) -> tuple[Hypotheses, Fit]:
        """Take Levenberg-Marquardt steps, with separate damping for each hypothesis; return hypotheses and fit."""
        fit = window.fit(hypotheses)
        for _ in range(iterations):
            damped = fit.information.copy()
            diagonal = np.arange(damped.shape[-1])
            damped[:, diagonal, diagonal] *= 1.0 + self.damping[:, None]
            step = np.linalg.solve(damped, fit.gradient[..., None])[..., 0]
            trial = hypotheses.corrected(step.astype(np.float64, copy=False))
            tried = window.fit(trial)
            better = tried.cost < fit.cost
            hypotheses = Hypotheses(*_chosen(better, trial, hypotheses))
            fit = Fit(*_chosen(better, tried, fit))
            self.damping = np.clip(np.where(better, self.damping * 0.2, self.damping * 8.0), 1e-6, 1e3)
        return hypotheses, fit

    def _pruned(self, hypotheses: Hypotheses, fit: Fit) -> tuple[Hypotheses, Fit]:
        """Return the best hypotheses in order of cost, without duplicates and those that fit much worse."""
        limits = self.settings.start
        order = np.argsort(fit.cost)
        # A few more samples may turn the advantage of the best one around, but not five times that of a winner.
        dropped = 5.0 * limits.advantage
        kept: list[int] = []
        most = limits.hypotheses_max if len(self.samples) > SUCCESSIVE_SAMPLES + 3 else 60
        for row in order.tolist():
            if len(kept) == most or fit.cost[row] > fit.cost[order[0]] + dropped:
                break
            if kept:
                rotation = _angle(hypotheses.quaternion[kept], hypotheses.quaternion[row])
                same_biases = (np.abs(hypotheses.biases[kept] - hypotheses.biases[row]) < _SAME_BIASES).all(axis=1)
                if ((rotation < _SAME_RAD) & same_biases).any():
                    continue
            kept.append(row)
        rows = np.array(kept)
        self.damping = self.damping[rows]
        return hypotheses.select(rows), Fit(*(part[rows] for part in fit))

    def _winner(self, window: Window, hypotheses: Hypotheses, fit: Fit) -> AttitudeState | None:
        """Return the state of the best hypothesis once it was clear at enough samples in a row, else None."""
        enough = len(self.samples) >= self.settings.start.samples_min
        clear = enough and self._clear(hypotheses, fit)
        self.confirmations = self.confirmations + 1 if clear else 0
        if self.confirmations < SUCCESSIVE_SAMPLES:
            return None
        state = self._first_state(window, hypotheses.select(np.array([0])), _scatter(fit))
        if state.face_gain_errors.min() <= LIGHT_ERROR_MIN:
            # The light of a dead face fits an attitude that is a little wrong; another attempt must not use it.
            self.excluded_face, self.tolerant = int(state.face_gain_errors.argmin()), False
            self._end_attempt()
            return None
        return state if state.attitude_sigma_rad <= UNSURE_SIGMA_RAD else None

    def _first_state(self, window: Window, best: Hypotheses, scatter: float) -> AttitudeState:
        """Return the state of a hypothesis, with model errors estimated; `scatter` is a factor on its covariance."""
        settings = self.settings
        sigma = self.errors.sigma(settings)
        sigma[ERRORS.gyro_scale], sigma[ERRORS.reflectivity] = (
            settings.gyro.scale_sigma,
            settings.sun_sensors.reflectivity_sigma,
        )
        iterations = _MANY_ITERATIONS if scatter > 1.0 else 1
        error, covariance = window.solution(best, sigma, iterations=iterations)
        slow = np.zeros(len(error) - 3)
        slow[PRIOR_ROWS - 3] = self.prior.mean
        slow[:6] = best.biases[0]
        slow[ERRORS.in_slow(ERRORS.reflectivity).start] = settings.sun_sensors.reflectivity
        root = covariance_root(scatter * covariance)
        newest = self.samples[-1]
        fitted = AttitudeState(newest.sample.gps_ms, best.quaternion[0], slow, root)
        corrected = fitted.corrected(error, root)
        if iterations > 1:  # then the covariance is that of the corrected state
            return corrected
        kept = Magnetometer(settings).with_kept_reading(corrected, fitted, error, newest.sample, newest.environment)
        return replace(kept, sqrt_covariance=triangular(kept.sqrt_covariance))

    def _clear(self, hypotheses: Hypotheses, fit: Fit) -> bool:
        """Return True if the sigma of the first hypothesis is small and its cost clearly below any other attitude's."""
        limits = self.settings.start
        scatter = _scatter(fit)
        sigma = math.sqrt(scatter) * _attitude_sigma_rad(fit.information[0])
        rivals = fit.cost[_angle(hypotheses.quaternion, hypotheses.quaternion[0]) > UNSURE_SIGMA_RAD]
        advantage = (float(rivals.min(initial=math.inf)) - float(fit.cost[0])) / scatter
        return sigma <= limits.attitude_sigma_max_rad and advantage >= limits.advantage


def _attitude_sigma_rad(information: Array) -> float:
    """Return the standard deviation of the attitude, infinite if the matrix is singular but for rounding."""
    try:
        variance = float(np.trace(np.linalg.inv(information)[:3, :3]))
    except np.linalg.LinAlgError:
        return math.inf
    return math.sqrt(variance) if variance > 0.0 else math.inf


def _scatter(fit: Fit) -> float:
    """Return the factor on all variances with which the best hypothesis fits as expected, at least 1."""
    return max(1.0, float(fit.misfit[0]))


def _angle(quaternions: Array, other: Array) -> Array:
    """Return the angles in rad between attitudes, shapes (k, 4), (4,) -> (k,)."""
    angles: Array = 2.0 * np.arccos(np.clip(np.abs(quaternions.dot(other)), 0.0, 1.0))
    return angles


def _chosen(first: Flags, new: Iterable[Array], old: Iterable[Array]) -> list[Array]:
    """Return the rows of each new array where `first` (k,) is true, and those of the old one elsewhere."""
    return [np.where(first.reshape(-1, *[1] * (a.ndim - 1)), a, b) for a, b in zip(new, old, strict=True)]
