"""Finding the attitude from nothing: many hypotheses side by side until one wins clearly.

Neither bias is known at first, and the magnetometer's may be as large as the field. Hypotheses are seeded on three
samples (`initial_hypotheses`). With every sample the window grows, each hypothesis is fitted to the whole of it by a damped
Gauss-Newton step or two, and those that fit much worse or have become equal are dropped.

What a search begins with: attitudes and gyro biases that one sample allows.

All turns about the line to the Sun, each with several gyro biases along that line, which is what the line's motion does
not show. If the magnetometer's bias is known from before, Davenport's method on Sun and field takes the place of the
turns, and in the dark the field's line that of the Sun's.
"""

import math
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from pygnc.common import quaternion
from pygnc.common.arrays import Array
from pygnc.estimators.attitude import wahba
from pygnc.estimators.attitude.hypotheses import BiasPrior, Hypotheses, field_direction_known
from pygnc.estimators.attitude.settings import AttitudeSettings
from pygnc.estimators.attitude.state import FIELD_ERROR, SIZE, AttitudeState
from pygnc.estimators.attitude.window import Fit, Window, WindowSample

_TURNS: Final = 12
_BIASES: Final = (0.0, 0.7, -0.7, 1.4, -1.4)
"""In prior standard deviations."""
_BRIGHT_SHARE: Final = 0.2
_SIGMA_RAD: Final = np.radians((15.0, 10.0))
"""Of the directions to the Sun, Earth's light and saturation included, and of the field."""
_APART_SINE: Final = 0.3
"""Sun and field closer to each other's line than this leave a turn open."""
_SHORTEST: Final = 1e-3
"""Opposite faces that cancel, in shares of full sunlight, or a field that the bias takes away, in uT."""


class DirectionPair(NamedTuple):
    """A direction as unit vector in body axes and in GCRF, each (3,)."""

    body: Array
    gcrf: Array

    @classmethod
    def along(cls, body: Array, gcrf: Array) -> "DirectionPair | None":
        """Of vectors of any length; None when the first has none."""
        length = np.linalg.norm(body)
        return cls(body / length, gcrf / np.linalg.norm(gcrf)) if length > _SHORTEST else None

    def turns(self) -> Array:
        """Attitudes in which it stands where it does, all around it, shape (k, 4)."""
        return wahba.rotations_about(self.body, self.gcrf, _TURNS)


def initial_hypotheses(
    moment: WindowSample, settings: AttitudeSettings, prior: BiasPrior, left_out: int | None
) -> Hypotheses | None:
    """Attitudes and biases that a sample allows, without the light of one face; None when it says too little."""
    mounting = settings.mounting
    mag_body_ut = (moment.sample.mag_imu_ut - prior.mean[3:]).dot(mounting.magnetometer)
    field = DirectionPair.along(mag_body_ut, moment.surroundings.field_gcrf_ut)
    field = field if field_direction_known(prior) else None
    sun = sun_direction(moment, settings, left_out)
    line = sun or field
    if line is None:
        return None
    if sun is None or field is None or np.linalg.norm(np.cross(sun.gcrf, field.gcrf)) < _APART_SINE:
        turns = line.turns()
    else:
        both = wahba.solve(np.array((sun.body, field.body)), np.array((sun.gcrf, field.gcrf)), _SIGMA_RAD)
        turns = both.quaternion[None]
    along = mounting.gyro.dot(line.body) * prior.sigma[:3].max()
    gyro = prior.mean[:3] + np.multiply.outer(np.array(_BIASES), along)
    return Hypotheses(
        np.repeat(turns, len(gyro), axis=0),
        np.tile(gyro, (len(turns), 1)),
        np.tile(prior.mean[3:], (len(turns) * len(gyro), 1)),
    )


def sun_direction(moment: WindowSample, settings: AttitudeSettings, left_out: int | None) -> DirectionPair | None:
    """Where the Sun stands, by the sum of all light but that of one face; None in the dark."""
    share = moment.sample.lux / moment.sky.full_sun_lux
    if left_out is not None:
        share[left_out] = 0.0
    if moment.sky.sunlit_fraction <= 0.5 or share.max() <= _BRIGHT_SHARE:
        return None
    return DirectionPair.along(share.dot(np.array(settings.mounting.face_normals_body)), moment.sky.sun_gcrf)


_SEED_SAMPLES: Final = 3
_SEED_ITERATIONS: Final = 6
_SEED_DAMPING: Final = 1e-2
_ITERATIONS: Final = 2
_HOPELESS: Final = 150.0
"""A hypothesis whose cost is so much above the best is dropped."""
_SAME_RAD: Final = math.radians(5.0)
_SAME_RAD_S: Final = math.radians(0.1)
_SAME_UT: Final = 5.0
_APART_RAD: Final = math.radians(15.0)
"""Attitudes closer than this are no rivals."""
_CONFIRMATIONS: Final = 3


@dataclass(frozen=True, slots=True, eq=False)
class SearchResult:
    """The winner at the newest sample.

    Attributes:
        quaternion: GCRF from body, shape (4,).
        gyro_bias_rad_s: Sensor axes, shape (3,).
        mag_bias_ut: Sensor axes, shape (3,).
        covariance: Of attitude (body axes), both biases and the field model's error (GCRF), shape (12, 12).
        left_out: The sun sensor that did not fit; None when all did.
    """

    quaternion: Array
    gyro_bias_rad_s: Array
    mag_bias_ut: Array
    covariance: Array
    left_out: int | None


class Search:
    """A search in progress.

    Args:
        settings: The filter's.
        prior: What is known of the biases.
    """

    def __init__(self, settings: AttitudeSettings, prior: BiasPrior) -> None:
        self._settings = settings
        self.prior = prior
        self.moments: list[WindowSample] = []
        self.hypotheses: Hypotheses | None = None
        self.damping = np.zeros(0)
        self.confirmations = 0
        self.left_out: int | None = None
        """The face that this attempt does without"""
        self.untried: list[int] = []
        """Those that the next attempts are to do without"""

    def process(self, moment: WindowSample) -> SearchResult | None:
        """Take in one sample; the attitude once it is clear."""
        limits = self._settings.start
        if self.moments:
            step_s = (moment.sample.gps_ms - self.moments[-1].sample.gps_ms) * 1e-3
            if step_s > self._settings.gyro.bridged_max_s:
                self.forget()
        guess = self._carried(moment)
        self.moments = [*self.moments, moment][-limits.window_samples :]
        if guess is None:
            self.moments = self.moments[-_SEED_SAMPLES:]
            if len(self.moments) < _SEED_SAMPLES:
                return None
            guess = initial_hypotheses(moment, self._settings, self.prior, self.left_out)
            if guess is None:
                return None
            self.damping = np.full(len(guess.quaternion), _SEED_DAMPING)
            iterations = _SEED_ITERATIONS
        else:
            iterations = _ITERATIONS
        window = Window(self.moments, self._settings, self.left_out)
        guess, fit = self._pruned(*self._improved(window, guess, iterations))
        if len(self.moments) >= limits.samples_min and self.confirmations == 0:
            guess, fit = self._challenged(moment, window, guess, fit)
        self.hypotheses = guess
        misfit = float(fit.cost[0]) / window.measurements
        if misfit > limits.misfit_max and len(self.moments) >= limits.samples_judged:
            self._next_attempt(window, guess)
            return None
        return self._winner(window, guess, fit) if misfit <= limits.misfit_max else None

    def forget(self) -> None:
        """Begin anew, with the same prior and faces."""
        self.moments, self.hypotheses, self.confirmations = [], None, 0

    def _next_attempt(self, window: Window, guess: Hypotheses) -> None:
        """Begin anew without one face, in turn that which fitted worst when all were used."""
        if self.left_out is None:
            costs = window.face_costs(guess.chosen(np.array([0])))[0]
            self.untried = np.argsort(-costs).tolist()
        self.left_out = self.untried.pop(0) if self.untried else None
        self.forget()

    def _challenged(self, moment: WindowSample, window: Window, guess: Hypotheses, fit: Fit) -> tuple[Hypotheses, Fit]:
        """The best beside all turns about the line to the Sun, if it is about to win.

        Where the body hardly turns, an attitude may have dropped out before the window told it from others.
        """
        sun = sun_direction(moment, self._settings, self.left_out)
        if sun is None or not self._clear(guess, fit, window.measurements):
            return guess, fit
        turns = sun.turns()
        biases = guess.gyro_bias_rad_s[:1], guess.mag_bias_ut[:1]
        rivals = Hypotheses(turns, *(np.repeat(bias, len(turns), axis=0) for bias in biases))
        self.damping = np.concatenate((self.damping, np.full(len(turns), _SEED_DAMPING)))
        return self._pruned(*self._improved(window, guess.joined(rivals), _SEED_ITERATIONS))

    def _carried(self, moment: WindowSample) -> Hypotheses | None:
        """The hypotheses at the time of a new sample."""
        guess = self.hypotheses
        if guess is None:
            return None
        body_from_gyro = self._settings.mounting.gyro.T
        before = self.moments[-1].sample
        step_s = (moment.sample.gps_ms - before.gps_ms) * 1e-3
        first, last = (
            (gyro - guess.gyro_bias_rad_s).dot(body_from_gyro.T)
            for gyro in (before.gyro_imu_rad_s, moment.sample.gyro_imu_rad_s)
        )
        turn = 0.5 * step_s * (first + last) + step_s**2 / 12.0 * np.cross(first, last)
        carried = quaternion.multiply(guess.quaternion, quaternion.exponential(turn))
        return Hypotheses(carried, guess.gyro_bias_rad_s, guess.mag_bias_ut)

    def _improved(self, window: Window, guess: Hypotheses, iterations: int) -> tuple[Hypotheses, Fit]:
        """Levenberg's and Marquardt's steps, each hypothesis with its own damping."""
        fit = window.fit(guess, self.prior)
        for _ in range(iterations):
            damped = fit.information.copy()
            diagonal = np.arange(damped.shape[-1])
            damped[:, diagonal, diagonal] *= 1.0 + self.damping[:, None]
            step = np.linalg.solve(damped, fit.gradient[..., None])[..., 0]
            trial = guess.corrected(step.astype(np.float64, copy=False))
            tried = window.fit(trial, self.prior)
            better = tried.cost < fit.cost
            guess = trial.where(better, guess)
            fit = Fit(
                *(
                    np.where(better.reshape(-1, *[1] * (new.ndim - 1)), new, old)
                    for new, old in zip(tried, fit, strict=True)
                )
            )
            self.damping = np.clip(np.where(better, self.damping * 0.2, self.damping * 8.0), 1e-6, 1e3)
        return guess, fit

    def _pruned(self, guess: Hypotheses, fit: Fit) -> tuple[Hypotheses, Fit]:
        """The best, each once."""
        limits = self._settings.start
        order = np.argsort(fit.cost)
        kept: list[int] = []
        most = limits.hypotheses_max if len(self.moments) > _SEED_SAMPLES + 3 else 60
        for row in order.tolist():
            if len(kept) == most or fit.cost[row] > fit.cost[order[0]] + _HOPELESS:
                break
            if kept:
                turn = _angle(guess.quaternion[kept], guess.quaternion[row])
                gyro = np.abs(guess.gyro_bias_rad_s[kept] - guess.gyro_bias_rad_s[row]).max(axis=1)
                mag = np.abs(guess.mag_bias_ut[kept] - guess.mag_bias_ut[row]).max(axis=1)
                if ((turn < _SAME_RAD) & (gyro < _SAME_RAD_S) & (mag < _SAME_UT)).any():
                    continue
            kept.append(row)
        rows = np.array(kept)
        self.damping = self.damping[rows]
        return guess.chosen(rows), Fit(*(part[rows] for part in fit))

    def _winner(self, window: Window, guess: Hypotheses, fit: Fit) -> SearchResult | None:
        """The best hypothesis when it was clear several times in a row."""
        enough = len(self.moments) >= self._settings.start.samples_min
        clear = enough and self._clear(guess, fit, window.measurements)
        self.confirmations = self.confirmations + 1 if clear else 0
        if self.confirmations < _CONFIRMATIONS:
            return None
        best = guess.chosen(np.array([0]))
        covariance = _scatter(fit, window.measurements) * window.covariances(best, self.prior)[0]
        return SearchResult(
            guess.quaternion[0], guess.gyro_bias_rad_s[0], guess.mag_bias_ut[0], covariance, self.left_out
        )

    def _clear(self, guess: Hypotheses, fit: Fit, measurements: int) -> bool:
        """Whether the first hypothesis is certain enough and fits much better than any other attitude."""
        limits = self._settings.start
        scatter = _scatter(fit, measurements)
        sigma = math.sqrt(scatter * float(np.trace(np.linalg.inv(fit.information[0])[:3, :3])))
        rivals = fit.cost[_angle(guess.quaternion, guess.quaternion[0]) > _APART_RAD]
        advantage = (float(rivals.min(initial=math.inf)) - float(fit.cost[0])) / scatter
        return sigma <= limits.attitude_sigma_max_rad and advantage >= limits.advantage


def _scatter(fit: Fit, measurements: int) -> float:
    """Factor on all variances that the best hypothesis asks for; 1 where it fits as well as it should."""
    return max(1.0, float(fit.cost[0]) / measurements)


def _angle(quaternions: Array, other: Array) -> Array:
    """Angles in rad between attitudes, shapes (k, 4), (4,) -> (k,)."""
    angles: Array = 2.0 * np.arccos(np.clip(np.abs(quaternions.dot(other)), 0.0, 1.0))
    return angles


def initial_state(gps_ms: int, found: SearchResult, settings: AttitudeSettings) -> AttitudeState:
    """The state of a track on what was found."""
    slow = np.zeros(SIZE - 3)
    slow[0:3], slow[3:6] = found.gyro_bias_rad_s, found.mag_bias_ut
    slow[15] = settings.sun_sensors.reflectivity
    faces = settings.sun_sensors
    sigma = np.repeat((settings.gyro.scale_sigma, faces.gain_sigma, faces.reflectivity_sigma), (3, 6, 1))
    covariance = np.zeros((SIZE, SIZE))
    covariance[9:19, 9:19] = np.diag(sigma**2)
    together = np.r_[0:9, FIELD_ERROR]
    covariance[np.ix_(together, together)] = found.covariance
    root = np.asarray(np.linalg.cholesky(covariance), np.float64)
    return AttitudeState(gps_ms, found.quaternion, slow, root)
