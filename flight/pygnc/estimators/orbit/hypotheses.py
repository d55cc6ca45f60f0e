"""Hypotheses on the errors of a receiver: the states of their filters about a common trajectory, and their mixture."""

import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from pygnc.common.arrays import Array
from pygnc.estimators import kalman
from pygnc.estimators.orbit.state import SIZE, OrbitState

ERRORS: Final = 6
"""Number of correlated errors of position and velocity; in the state they are in units of their standard deviations."""
EXTENDED: Final = SIZE + ERRORS
"""Size of the state of a hypothesis: orbit and correlated errors."""


@dataclass(frozen=True, slots=True, eq=False)
class Hypotheses:
    """Filters of k hypotheses, relative to a common state vector: one per model of `error_models.BANK`.

    The hypothesis of an unknown force is removed once it is refuted.

    Attributes:
        deviation: State minus the common state vector, then the correlated errors, shape (k, 16).
        root: Lower triangular roots of the covariances, shape (k, 16, 16).
        of_clock: Effects of one standard deviation of the clock's error on `deviation`, shape (k, 16).
        log_weight: Logarithms of the weights, which add up to 1, shape (k,).
        empirical_factor: Factors on the empirical accelerations, shape (k,).
        noise_factor: Factors on the receiver's standard deviations of position and velocity, shape (2, k).
        residual: Last innovations of position and velocity, m and m/s, shape (2, k, 3).
        variance: Predicted variances of `residual`, infinite without an innovation, shape (2, k, 3).
        accepted: True if the last position (first) and velocity (second) passed its gate. Only successive innovations
            with equal results are compared, because an outlier carries no information on noise or model.
    """

    deviation: Array
    root: Array
    of_clock: Array
    log_weight: Array
    empirical_factor: Array
    noise_factor: Array
    residual: Array
    variance: Array
    accepted: tuple[bool, bool] = (False, False)

    @property
    def weight(self) -> Array:
        """Probabilities of the hypotheses, shape (k,)."""
        return np.exp(self.log_weight)

    def mixture(self, gps_ms: int, x: Array) -> OrbitState:
        """Return mean and covariance of the mixture; `x` is the common state vector, shape (10,)."""
        return mixture(gps_ms, x + self.deviation[:, :SIZE], self.root[:, :SIZE], self.of_clock[:, :SIZE], self.weight)

    def centred(self, x: Array, at: Array) -> "Hypotheses":
        """Return the hypotheses relative to the common state vector `at` (10,) instead of `x` (10,)."""
        deviation = self.deviation.copy()
        # The order of the sum matters: rounded as a state vector, a single hypothesis is exactly at its mean.
        deviation[:, :SIZE] = (x + deviation[:, :SIZE]) - at
        return replace(self, deviation=deviation)

    def first(self, count: int) -> "Hypotheses":
        """Return the first `count` hypotheses with unchanged weights."""
        return replace(
            self,
            deviation=self.deviation[:count].copy(),
            root=self.root[:count].copy(),
            of_clock=self.of_clock[:count].copy(),
            log_weight=self.log_weight[:count].copy(),
            empirical_factor=self.empirical_factor[:count].copy(),
            noise_factor=self.noise_factor[:, :count].copy(),
            residual=self.residual[:, :count].copy(),
            variance=self.variance[:, :count].copy(),
        )

    def inflated(self, root: Array) -> "Hypotheses":
        """Return the hypotheses with R R' added to the covariance of the orbit, with R the `root` (10, m)."""
        added = np.zeros((len(self.root), EXTENDED, root.shape[1]))
        added[:, :SIZE] = root
        inflated = kalman.triangular(np.concatenate((self.root, added), axis=2))
        return replace(self, root=inflated, variance=np.full_like(self.variance, math.inf))

    def with_single(self, root: Array) -> "Hypotheses":
        """Return a single hypothesis at the common state vector, with covariance root `root` (10, 10) of the orbit."""
        extended = np.eye(EXTENDED)[None].copy()
        extended[0, :SIZE, :SIZE] = root
        nothing = np.zeros((1, EXTENDED))
        return replace(self, deviation=nothing, root=extended, of_clock=nothing)


def mixture(gps_ms: int, x: Array, root: Array, of_clock: Array, weight: Array) -> OrbitState:
    """Return mean and covariance of k weighted states.

    Args:
        gps_ms: Time, GPS ms.
        x: States, shape (k, 10).
        root: Roots of their covariances, shape (k, 10, m).
        of_clock: Effects of one standard deviation of the clock's error, which they have in common, (k, 10).
        weight: Weights, which add up to 1, shape (k,).
    """
    mean = weight.dot(x)
    each = np.sqrt(weight)[:, None, None] * np.concatenate((root, (x - mean)[:, :, None]), axis=2)
    columns = [*each, weight.dot(of_clock)[:, None]] if of_clock.any() else list(each)
    return OrbitState(gps_ms, mean, kalman.triangular(np.concatenate(columns, axis=1)))
