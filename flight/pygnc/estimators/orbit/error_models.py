"""Hypotheses on the time correlation of a receiver's errors, each with its own square-root filter of the orbit.

Ionosphere, multipath and broadcast ephemerides change the fixes slowly. A filter that takes such errors as white is too
certain: it averages the same error many times. How much of the errors is correlated, and for how long, is unknown, so a
bank of filters runs side by side (Magill, IEEE TAC 10, 1965). Each splits the variance of the position and of the
velocity into a white and a first-order Gauss-Markov part, whose six errors along the ITRF axes extend the state, and
adapts its own noise factors. The likelihood of its innovations weighs each filter, and the estimate is the mean of the
mixture.

Two more hypotheses distrust the velocities, which may have a slow error that the receiver does not report. Nothing in
the velocities themselves contradicts such an error if it changes slowly, so the velocities do not weigh these
hypotheses: only the positions do. A sudden change of the velocities is an impulse or an error of the receiver, both as
likely until the positions decide; these hypotheses continue without the impulse.

The error of a receiver's clock displaces all fixes alike, so no fix shows it. It is not estimated: each filter keeps
the effect of one standard deviation of it on its state, which adds to the covariance of the mixture (consider analysis;
Schmidt, Advances in Control Systems 3, 1966).

All filters are linearised about one common trajectory: the equations of motion are integrated once, and a hypothesis
costs two small factorisations per fix.

A slowly varying force that the dynamics lack resembles correlated errors. One more hypothesis therefore has white
errors and an unknown force from the first fix on; the likelihood decides between the two. Good fixes refute this
hypothesis within half an hour. It is not added again, because a force that begins later is a manoeuvre or widens the
process noise.

Two successive innovations of a filter distinguish wrong noise from a wrong model:

- Their difference adapts a factor on the receiver's standard deviations (`measurement`); a slowly varying model error
  cancels in it.
- Their product (Mehra, IEEE TAC 15, 1970) is zero on average if the model is right, whatever the noise. It adapts the
  process noise. A hypothesis that describes correlated errors has uncorrelated innovations, so they do not widen its
  process noise.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np

from pygnc.common.arrays import Array
from pygnc.estimators import kalman
from pygnc.estimators.kalman import Observation
from pygnc.estimators.orbit.dynamics import LinearStep
from pygnc.estimators.orbit.hypotheses import ERRORS, EXTENDED, Hypotheses
from pygnc.estimators.orbit.measurement import Innovation, adapted_noise_factor
from pygnc.estimators.orbit.settings import MeasurementSettings, ProcessNoiseSettings
from pygnc.estimators.orbit.state import EMPIRICAL, SIZE


class ErrorModel(NamedTuple):
    """Split of the error variance of a receiver.

    Attributes:
        position_share: Correlated share of the variance of the position, 0 to 1.
        velocity_share: Correlated share of the variance of the velocity, 0 to 1.
        time_s: Correlation time, s.
    """

    position_share: float
    velocity_share: float
    time_s: float


WHITE: Final = ErrorModel(0.0, 0.0, 600.0)
CORRELATED: Final = (
    ErrorModel(0.5, 0.0, 600.0),
    ErrorModel(0.5, 0.1, 600.0),
    ErrorModel(0.8, 0.1, 600.0),
    ErrorModel(0.8, 0.1, 1800.0),
    ErrorModel(0.7, 0.1, 120.0),
)
ERROR_MODELS: Final = (WHITE, *CORRELATED)
DISTRUSTING: Final = (ErrorModel(0.0, 1.0, 600.0), ErrorModel(0.8, 1.0, 600.0))
"""Models of which the velocity has white errors and, beside them, a slow error of `slow_velocity_error_mps`."""
BANK: Final = (*ERROR_MODELS, *DISTRUSTING, WHITE)
"""Models of the hypotheses in order; the last one is that of the unknown force."""
_FIRST: Final = len(ERROR_MODELS)
_DISTRUST: Final = slice(_FIRST, _FIRST + len(DISTRUSTING))
_VELOCITY_ERROR_TIME_S: Final = 120.0
"""Correlation time of the slow error of the velocity: it may become another one from fix to fix, and its mean over ten
minutes is still 0.6 of it.
"""
_PRIOR_WHITE: Final = 0.95
"""Prior weight of white errors; the other models share the remaining weight equally."""

_PRIOR_UNKNOWN_FORCE: Final = 1e-3
_PRIOR_DISTRUST: Final = 1e-3
"""Prior weights of an unknown force and of distrust in the velocities; the error models share the remaining weight."""


def log_prior(model: ErrorModel) -> float:
    """Return the logarithm of the prior weight of an error model, given trust in velocities and known forces."""
    return math.log(_PRIOR_WHITE if model == WHITE else (1.0 - _PRIOR_WHITE) / len(CORRELATED))


class InnovationTest(NamedTuple):
    """Innovations of a fix.

    Attributes:
        position: Innovation of the position in the mixture.
        velocity: Innovation of the velocity in the mixture; None without a velocity.
        accepted: True if the position (first) and the velocity (second) passes its gate.
        residual: Innovations of the hypotheses, shape (k, m) with m 3 or 6.
        partials: Partial derivatives with respect to the extended state, shape (k, m, 16).
        of_clock: Effects of one standard deviation of the clock's error on `residual`, shape (k, m).
        sigma: Standard deviations of the white errors, shape (k, m).
        variance: Predicted variances of the innovations, shape (k, m).
        log_likelihood: Logarithm of the likelihood of the innovations in the mixture, up to a constant. A position or
            velocity beyond its gate counts as one at the gate.
        position_log_likelihood: Logarithm of the likelihood of the position alone in each hypothesis, without the gate,
            shape (k,).
    """

    position: Innovation
    velocity: Innovation | None
    accepted: tuple[bool, bool]
    residual: Array
    partials: Array
    of_clock: Array
    sigma: Array
    variance: Array
    log_likelihood: float
    position_log_likelihood: Array


class ErrorBank:
    """Operations on hypotheses: prediction, innovation test, update and adaptation."""

    def __init__(self, measurement: MeasurementSettings, process_noise: ProcessNoiseSettings) -> None:
        self._limits = measurement
        models = BANK if measurement.correlated_errors else (WHITE,)
        shares = np.array([(model.position_share, model.velocity_share) for model in models])
        self._correlated = np.repeat(np.sqrt(shares), 3, axis=1)
        self._white = np.repeat(np.sqrt(1.0 - shares), 3, axis=1)
        self._time_s = np.repeat([[model.time_s] for model in models], ERRORS, axis=1)
        self._factor_min, self._factor_max = np.ones(len(models)), process_noise.empirical_factor_max
        # A lower limit of the weights lets the bank follow later changes of the receiver's errors.
        self._log_prior, self._log_weight_min = np.zeros(1), np.full(len(models), -12.0)
        if measurement.correlated_errors:
            self._white[_DISTRUST, 3:] = 1.0
            self._time_s[_DISTRUST, 3:] = _VELOCITY_ERROR_TIME_S
            known = math.log1p(-_PRIOR_UNKNOWN_FORCE - _PRIOR_DISTRUST)
            distrust = math.log(_PRIOR_DISTRUST / len(DISTRUSTING))
            self._log_prior = np.array(
                [distrust if model in DISTRUSTING else log_prior(model) + known for model in models]
            )
            self._log_prior[-1] = math.log(_PRIOR_UNKNOWN_FORCE)
            factor = process_noise.unknown_force_mps2 / min(process_noise.empirical_sigma_mps2)
            self._factor_min[-1] = min(max(factor, 1.0), self._factor_max)
            self._log_weight_min[-1] = -math.inf

    def unknown(self) -> Hypotheses:
        """Return the hypotheses before the first fix, with prior weights and unit covariance roots."""
        count = len(self._time_s)
        return Hypotheses(
            deviation=np.zeros((count, EXTENDED)),
            root=np.tile(np.eye(EXTENDED), (count, 1, 1)),
            of_clock=np.zeros((count, EXTENDED)),
            log_weight=self._log_prior,
            empirical_factor=self._factor_min,
            noise_factor=np.ones((2, count)),
            residual=np.zeros((2, count, 3)),
            variance=np.full((2, count, 3), math.inf),
        )

    def restarted(self, hypotheses: Hypotheses, root: Array, spreads: Sequence[float]) -> Hypotheses:
        """Return the hypotheses at a new state with root (10, 10), from fixes that scatter by `spreads` sigmas."""
        count = len(hypotheses.log_weight)
        start = self.unknown().first(count)
        start.root[:, :SIZE, :SIZE] = root
        start.root[:, EMPIRICAL, EMPIRICAL] *= self._factor_min[:count, None, None]
        # If half a dozen fixes scatter by a factor of 2, the receiver's standard deviations are too small.
        scale = np.array([[spread if spread > 2.0 else 1.0] for spread in spreads])
        return replace(
            start,
            log_weight=hypotheses.log_weight,
            empirical_factor=hypotheses.empirical_factor,
            noise_factor=np.minimum(np.maximum(hypotheses.noise_factor, scale), self._limits.noise_scale_max),
        )

    def predicted(self, hypotheses: Hypotheses, step: LinearStep, step_s: float) -> Hypotheses:
        """Return the hypotheses at the end of `step`, which has one root of the process noise per hypothesis."""
        transition, noise = self.transition(step, step_s)
        deviation = (transition @ hypotheses.deviation[:, :, None])[:, :, 0]
        array = np.concatenate((transition @ hypotheses.root, noise), axis=2)
        of_clock = (transition @ hypotheses.of_clock[:, :, None])[:, :, 0]
        return replace(hypotheses, deviation=deviation, root=kalman.triangular(array), of_clock=of_clock)

    def transition(self, step: LinearStep, step_s: float) -> tuple[Array, Array]:
        """Return transition matrices (k, 16, 16) and roots of the process noise (k, 16, 24) of the extended state."""
        count, _, columns = step.sqrt_noise.shape
        kept = np.exp(-step_s / self._time_s[:count])
        transition = np.zeros((count, EXTENDED, EXTENDED))
        transition[:, :SIZE, :SIZE] = step.transition
        error = np.arange(SIZE, EXTENDED)
        transition[:, error, error] = kept
        noise = np.zeros((count, EXTENDED, columns + ERRORS))
        noise[:, :SIZE, :columns] = step.sqrt_noise
        noise[:, error, columns + np.arange(ERRORS)] = np.sqrt(1.0 - kept * kept)
        return transition, noise

    def test(
        self,
        hypotheses: Hypotheses,
        position: Observation,
        velocity: Observation | None,
        of_clock: Array,
        count: int = 1,
    ) -> InnovationTest:
        """Test position and velocity of a fix, linearised about the common state, against the predicted mixture.

        `of_clock` (6,) is the effect of one standard deviation of the clock's error on position and velocity. In the
        mean of `count` fixes, white errors are smaller than in one of them, but correlated ones are not.
        """
        parts = [position] if velocity is None else [position, velocity]
        seen = Observation.stacked(parts)
        rows = len(seen.residual)
        sigma = np.repeat(hypotheses.noise_factor[: len(parts)].T, 3, axis=1) * seen.sigma
        partials = np.zeros((len(sigma), rows, EXTENDED))
        partials[:, :, :SIZE] = seen.partials
        correlated = self._correlated[: len(sigma), :rows] * sigma
        if rows > 3:
            correlated[_DISTRUST, 3:] = self._limits.slow_velocity_error_mps
        partials[:, np.arange(rows), SIZE + np.arange(rows)] = correlated
        white = self._white[: len(sigma), :rows] * (sigma / math.sqrt(count))
        residual = seen.residual - (partials @ hypotheses.deviation[:, :, None])[:, :, 0]
        projected = partials @ hypotheses.root
        covariance = projected @ projected.swapaxes(1, 2)
        covariance[:, np.arange(rows), np.arange(rows)] += white * white
        variance = covariance[:, np.arange(rows), np.arange(rows)]
        weight = hypotheses.weight
        mean = weight.dot(residual)
        spread = residual - mean
        seen_clock = of_clock[:rows] - (partials @ hypotheses.of_clock[:, :, None])[:, :, 0]
        common = weight.dot(seen_clock)
        mixed = np.einsum("k,kij->ij", weight, covariance) + (weight[:, None] * spread).T @ spread
        mixed += common[:, None] * common
        innovations = [_innovation(mean[at : at + 3], mixed[at : at + 3, at : at + 3]) for at in range(0, rows, 3)]
        accepted = [innovation.chi_square <= self._limits.gate for innovation in innovations]
        return InnovationTest(
            innovations[0],
            innovations[1] if velocity else None,
            (accepted[0], velocity is not None and accepted[1]),
            residual,
            partials,
            seen_clock,
            white,
            variance,
            -0.5 * sum(min(innovation.chi_square, self._limits.gate) for innovation in innovations)
            - 0.5 * sum(_log_determinant(mixed[at : at + 3, at : at + 3]) for at in range(0, rows, 3)),
            _log_likelihood(residual[:, :3], covariance[:, :3, :3]),
        )

    def widening(self, hypotheses: Hypotheses) -> float:
        """Return the mean factor (1 or more) by which correlated innovations widened the empirical accelerations."""
        ratio = hypotheses.empirical_factor / self._factor_min[: len(hypotheses.empirical_factor)]
        return float(hypotheses.weight.dot(ratio))

    def changed(self, hypotheses: Hypotheses, root: Array, factor_min: float = 1.0) -> Hypotheses:
        """Return the hypotheses with a change of the motion of covariance R R', with R the `root` (10, m).

        Those that distrust the velocities remain as they are. The others have at least `factor_min` as factor on the
        empirical accelerations.
        """
        changed = hypotheses.inflated(root)
        factor = np.maximum(hypotheses.empirical_factor, factor_min)
        factor[_DISTRUST] = hypotheses.empirical_factor[_DISTRUST]
        changed.root[_DISTRUST] = hypotheses.root[_DISTRUST]
        return replace(changed, empirical_factor=factor)

    @staticmethod
    def distrust(hypotheses: Hypotheses) -> float:
        """Return the probability that the velocities have a slow error, 0 to 1."""
        return float(hypotheses.weight[_DISTRUST].sum())

    def position_lead(
        self, changed: Hypotheses, result: InnovationTest, unchanged: Hypotheses, test: InnovationTest
    ) -> float:
        """Return the logarithm of the likelihood ratio of a position with a change to that of distrusted velocities.

        `result` and `test` are the tests of the fix by the hypotheses with the change and by those without it. One
        outlier contributes no more than the gate allows.
        """
        distrusting = unchanged.log_weight[_DISTRUST]
        if not len(distrusting):
            return math.inf
        without = _log_sum(distrusting + test.position_log_likelihood[_DISTRUST]) - _log_sum(distrusting)
        lead = _log_sum(changed.log_weight + result.position_log_likelihood) - without
        most = 0.5 * self._limits.gate
        return min(max(lead, -most), most)

    def doubted(self, hypotheses: Hypotheses) -> Hypotheses:
        """Return the hypotheses with at least half of the weight for distrust in the velocities."""
        distrust = self.distrust(hypotheses)
        if not 0.0 < distrust < 0.5:
            return hypotheses
        log_weight = hypotheses.log_weight - math.log(2.0 - 2.0 * distrust)
        log_weight[_DISTRUST] = hypotheses.log_weight[_DISTRUST] - math.log(2.0 * distrust)
        return replace(hypotheses, log_weight=log_weight)

    def without_acceleration(self, hypotheses: Hypotheses, x: Array, sigma_mps2: Array) -> Hypotheses:
        """Return the hypotheses, relative to the state vector `x` (10,), with empirical accelerations reset to zero.

        `sigma_mps2` (3,) are the new standard deviations of the accelerations.
        """
        deviation, root = hypotheses.deviation.copy(), hypotheses.root.copy()
        deviation[:, EMPIRICAL] = -x[EMPIRICAL]
        root[:, EMPIRICAL] = 0.0
        added = np.zeros((SIZE, 3))
        added[EMPIRICAL] = np.diag(sigma_mps2)
        quiet = replace(hypotheses, deviation=deviation, root=root, empirical_factor=self._factor_min[: len(root)])
        return quiet.inflated(added)

    def updated(
        self, hypotheses: Hypotheses, test: InnovationTest, used: tuple[bool, bool]
    ) -> tuple[Hypotheses, float]:
        """Return the hypotheses, with new weights, after the `used` parts of a fix, and the weighted mean NIS."""
        rows = np.flatnonzero(np.repeat(used, 3))
        if not len(rows):
            return hypotheses, 0.0
        x, root, nis, log_likelihood = kalman.update_stacked(
            hypotheses.deviation,
            hypotheses.root,
            test.residual[:, rows],
            test.partials[:, rows],
            test.sigma[:, rows],
        )
        if used[1] and len(log_likelihood) > _FIRST:
            self._trust_positions(hypotheses.log_weight, log_likelihood, test, with_position=used[0])
        log_weight = hypotheses.log_weight + log_likelihood
        log_weight -= log_weight.max()
        log_weight = np.maximum(log_weight, self._log_weight_min[: len(log_weight)])
        log_weight -= math.log(np.exp(log_weight).sum())
        of_clock = hypotheses.of_clock
        if test.of_clock.any():
            observed = test.of_clock[:, rows], test.partials[:, rows], test.sigma[:, rows]
            of_clock, *_ = kalman.update_stacked(of_clock, hypotheses.root, *observed)
        updated = replace(hypotheses, deviation=x, root=root, of_clock=of_clock, log_weight=log_weight)
        return updated, float(hypotheses.weight.dot(nis))

    @staticmethod
    def _trust_positions(
        log_weight: Array,
        log_likelihood: Array,
        test: InnovationTest,
        *,
        with_position: bool,
    ) -> None:
        """Replace the likelihood of velocities, where they are distrusted, by its mean over the other hypotheses."""
        alone = test.position_log_likelihood if with_position else np.zeros(len(log_likelihood))
        others = np.ones(len(log_likelihood), bool)
        others[_DISTRUST] = False
        with_velocity = _log_sum((log_weight + log_likelihood)[others])
        log_likelihood[_DISTRUST] = alone[_DISTRUST] + with_velocity - _log_sum((log_weight + alone)[others])

    def adapted(self, hypotheses: Hypotheses, test: InnovationTest) -> Hypotheses:
        """Return the hypotheses, noise factors adapted to a fix, without an unknown force of a weight below e^-20."""
        limits = self._limits
        kinds = test.residual.shape[1] // 3
        most = limits.gate / 3.0
        # The axes are now: position or velocity, hypothesis, component.
        now = test.residual.reshape(-1, kinds, 3).swapaxes(0, 1)
        of_now = test.variance.reshape(-1, kinds, 3).swapaxes(0, 1)
        before, of_before = hypotheses.residual[:kinds], hypotheses.variance[:kinds]
        is_comparable = [test.accepted[kind] == hypotheses.accepted[kind] for kind in range(kinds)]
        if not all(is_comparable):
            of_before = np.where(np.array(is_comparable)[:, None, None], of_before, math.inf)
        noise_factor = hypotheses.noise_factor.copy()
        noise_factor[:kinds] = adapted_noise_factor(noise_factor[:kinds], (now, of_now), (before, of_before), limits)
        correlation = np.zeros(now.shape[1])
        for kind in range(kinds):
            if of_before[kind, 0, 0] < math.inf:
                scale = np.sqrt(of_now[kind] * of_before[kind])
                product = (now[kind] * before[kind] / scale).sum(axis=1) / (3.0 * kinds)
                correlation += np.minimum(np.maximum(product, -most / kinds), most / kinds)
        residual, variance = hypotheses.residual.copy(), hypotheses.variance.copy()
        residual[:kinds], variance[:kinds] = now, of_now
        # A correlation above 0.1 widens the empirical accelerations; a lower one lets the factor return to its minimum.
        empirical = hypotheses.empirical_factor * np.exp(0.5 * 0.2 * (correlation - 0.1))
        adapted = replace(
            hypotheses,
            empirical_factor=np.minimum(np.maximum(empirical, self._factor_min[: len(empirical)]), self._factor_max),
            noise_factor=noise_factor,
            residual=residual,
            variance=variance,
            accepted=(test.accepted[0], test.accepted[1] if kinds > 1 else hypotheses.accepted[1]),
        )
        is_refuted = hypotheses.log_weight[-1] < -20.0
        return adapted.first(len(hypotheses.log_weight) - 1) if is_refuted else adapted


def _log_sum(values: Array) -> float:
    """Return the logarithm of the sum of the exponentials."""
    most = float(values.max())
    return most + math.log(float(np.exp(values - most).sum()))


def _log_likelihood(residual: Array, covariance: Array) -> Array:
    """Return the logarithms of the Gaussian densities of residuals (k, m), up to a common constant, shape (k,)."""
    normalised = np.linalg.solve(covariance, residual[:, :, None])[:, :, 0]
    density: Array = -0.5 * ((residual * normalised).sum(axis=1) + np.linalg.slogdet(covariance)[1])
    return density


def _log_determinant(covariance: Array) -> float:
    """Return the logarithm of the determinant of a covariance (3, 3), in closed form if that is accurate enough."""
    (a, b, c), (_, d, e), (_, _, f) = covariance.tolist()
    determinant = a * (d * f - e * e) - b * (b * f - e * c) + c * (b * e - d * c)
    # Rounding makes it negative if the clock's error is millions of times larger than all others.
    return math.log(determinant) if determinant > 0.0 else float(np.linalg.slogdet(covariance)[1])


def _innovation(residual: Array, covariance: Array) -> Innovation:
    sigma = np.sqrt(np.diagonal(covariance))
    return Innovation(tuple(residual.tolist()), tuple(sigma.tolist()), kalman.chi_square(residual, covariance))
