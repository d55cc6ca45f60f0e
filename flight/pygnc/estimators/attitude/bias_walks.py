"""Random walks of the biases of gyro and magnetometer, adapted to how far the biases move.

A bias that follows the temperature moves steadily, much farther than the random walk of the settings allows, and the
attitude follows it while all innovations look right. The corrections of a bias by successive updates are then not
independent: over two minutes they add up to more than the variance that the updates have removed. The walk is widened
until they no longer do, and narrows again while the bias rests.
"""

import math
from typing import Final, NamedTuple

import numpy as np

from pygnc.common.arrays import Array
from pygnc.estimators.attitude.state import ERRORS, AttitudeState

SAMPLES: Final = 24
"""Number of samples after which the walks are judged: so few that a fast bias does not mislead the attitude first."""
_MOVES: Final = 8.0
"""Chi-square of the sum on the axis that moves most, above which a walk is too narrow, by chance in one of 70
sums; below, the walk becomes narrower.
"""
_NARROWED: Final = 0.97
"""Factor by which it becomes narrower if the updates have removed no more variance than the noise has added: by half in
46 minutes with a sample every 5 s. While they reduce the variance of a bias that is not known yet, its rest says less.
"""
_FACTOR_MAX: Final = 100.0
"""Largest factor on a walk of the settings: with the default settings, a gyro bias that moves by 0.1 degrees per second
in an hour, or a magnetometer bias by 5 uT.
"""


class Moment(NamedTuple):
    """Biases of gyro and magnetometer at a time, and their variances if no update followed it.

    Attributes:
        warmth: Warmth to which the biases belong.
        bias: Biases of gyro and magnetometer, rad/s and uT, shape (6,).
        variance: Their variances, with the process noise since that time, shape (6,).
        thermal: Changes of the biases by warmth, shape (6,).
        cross: Covariance of each bias with its change by warmth, shape (6,).
        thermal_variance: Variances of these changes, shape (6,).
        noise: Variances of the process noise since that time, shape (6,).
    """

    warmth: float
    bias: Array
    variance: Array
    thermal: Array
    cross: Array
    thermal_variance: Array
    noise: Array

    def grown(self, sigma: Array) -> "Moment":
        """Return the biases after a step whose process noise has these standard deviations, shape (6,)."""
        return self._replace(variance=self.variance + sigma * sigma, noise=self.noise + sigma * sigma)

    def rebased(self, before: "Moment", after: "Moment") -> "Moment":
        """Return the biases after the state has exchanged its estimates `before` for `after` without a reading."""
        return self._replace(
            bias=self.bias + after.bias - before.bias,
            variance=self.variance + after.variance - before.variance,
            cross=self.cross + after.cross - before.cross,
        )

    @classmethod
    def of(cls, state: AttitudeState, warmth: float) -> "Moment":
        """Return the biases of a state."""
        root, thermal = state.sqrt_covariance[ERRORS.biases], state.sqrt_covariance[ERRORS.thermal]
        parts = (np.einsum("ij,ij->i", *pair) for pair in ((root, root), (root, thermal), (thermal, thermal)))
        variance, cross, thermal_variance = parts
        return cls(warmth, state.slow[:6], variance, state.thermal, cross, thermal_variance, np.zeros(6))

    def at(self, warmth: float) -> tuple[Array, Array]:
        """Return the biases that this estimate predicts for another warmth, and their variances, each (6,)."""
        warming = warmth - self.warmth
        variance = self.variance + 2.0 * warming * self.cross + warming**2 * self.thermal_variance
        return self.bias + warming * self.thermal, variance


class BiasWalks(NamedTuple):
    """Factors on the random walks of both biases.

    Attributes:
        gyro: Factor on the random walk of the gyro bias, at least 1.
        magnetometer: Factor on that of the magnetometer bias, at least 1. It begins in the middle of its range, because
            payloads that are switched move the bias by 0.5 uT in an hour.
        begin: Biases when the walks were last judged, with the noise since then; None if they have changed otherwise.
    """

    gyro: float = 1.0
    magnetometer: float = math.sqrt(_FACTOR_MAX)
    begin: Moment | None = None

    def interrupted(self) -> "BiasWalks":
        """Return the walks without the biases at the begin, because something else has changed them."""
        return self if self.begin is None else self._replace(begin=None)

    def after_step(self, sigma: Array) -> "BiasWalks":
        """Return the walks after a step; `sigma` (6,) are the standard deviations of its noise on the biases."""
        return self if self.begin is None else self._replace(begin=self.begin.grown(sigma))

    def rebased(self, linear: AttitudeState, kept: AttitudeState) -> "BiasWalks":
        """Return the walks after a state was changed to keep its readings: that is not a movement of the biases."""
        if self.begin is None or kept is linear:
            return self
        return self._replace(begin=self.begin.rebased(Moment.of(linear, 0.0), Moment.of(kept, 0.0)))

    def judged(self, state: AttitudeState, warmth: float) -> "BiasWalks":
        """Return the walks after `SAMPLES` samples.

        The updates have removed the variance that the biases would have without them, minus that at the end.
        """
        now, begin = Moment.of(state, warmth), self.begin
        if begin is None:
            return self._replace(begin=now)
        predicted, variance = begin.at(warmth)
        removed = np.maximum(variance - now.variance, 1e-6 * now.variance)
        square = (now.bias - predicted) ** 2 / removed
        of_noise = np.minimum(begin.noise / removed, 1.0)
        largest = float(square[:3].max()), float(square[3:].max())
        # A moving bias also moves the other one, less far.
        first = int(largest[1] > largest[0])
        factors = [self.gyro, self.magnetometer]
        for number, chi_square in enumerate(largest):
            if chi_square < _MOVES:
                share = float(of_noise[3 * number : 3 * number + 3].mean())
                factors[number] = max(_NARROWED**share * factors[number], 1.0)
            elif number == first:
                factors[number] = min(factors[number] * math.sqrt(chi_square), _FACTOR_MAX)
        return BiasWalks(factors[0], factors[1], now)


NO_WALKS: Final = BiasWalks(magnetometer=1.0)
"""Walks of the settings."""
