"""Allan deviation of an inertial sensor at rest, and the noise coefficients that explain it.

The Allan variance of readings averaged over the time tau is the sum of five kinds of noise:

    quantisation             3 Q^2 / tau^2
    white noise              N^2 / tau           angle or velocity random walk
    flicker noise            B^2 2 ln(2) / pi    bias instability
    random walk              K^2 tau / 3         rate or acceleration random walk
    ramp                     R^2 tau^2 / 2       drift, for example with temperature

Sources: IEEE Std 952-1997, annex C, for the model; NIST Special Publication 1065, sections 5.2.4 and 5.4.1, for the
overlapping estimator and its degrees of freedom.
"""

import math
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pygnc_instruments.device.columns import BLOCK, Column, FloatArray, Numbers, blocks, mean

MIN_READINGS: Final = 1000
_LONGEST_SHARE: Final = 5
"""The longest averaging time is this fraction of the duration; longer ones have too few degrees of freedom."""
_POINTS_PER_OCTAVE: Final = 4
_FLICKER: Final = 2.0 * math.log(2.0) / math.pi
_ITERATIONS: Final = 20
_SIGNIFICANT_SIGMAS: Final = 2.0
_KINDS, _QUANTISATION, _RAMP = 5, 0, 4


@dataclass(frozen=True, slots=True)
class AllanDeviation:
    """Overlapping Allan deviation.

    Attributes:
        tau_s: averaging times, s, (m,), ascending; each is a multiple of the sample interval.
        deviation: Allan deviation in the unit of the readings, (m,).
        freedom: degrees of freedom of each variance, for flicker noise, (m,).
    """

    tau_s: FloatArray
    deviation: FloatArray
    freedom: FloatArray

    @property
    def relative_sigma(self) -> FloatArray:
        """Standard deviation of each deviation, relative, (m,)."""
        return np.asarray(1.0 / np.sqrt(2.0 * self.freedom))


@dataclass(frozen=True, slots=True)
class Coefficient:
    """Coefficient of a kind of noise.

    Attributes:
        value: coefficient; 0 if the log does not show this noise.
        limit: upper limit, 2 sigma.
        is_significant: True if the coefficient differs from 0 by more than 2 sigma.
    """

    value: float
    limit: float
    is_significant: bool


@dataclass(frozen=True, slots=True)
class NoiseModel:
    """Noise coefficients in the unit u of the readings.

    Attributes:
        quantisation: Q, u s.
        white: N, u s^0.5, the angle random walk of a gyro or the velocity random walk of an accelerometer.
        flicker: B, u, the bias instability.
        walk: K, u s^-0.5, the random walk of the bias.
        ramp: R, u/s.
    """

    quantisation: Coefficient
    white: Coefficient
    flicker: Coefficient
    walk: Coefficient
    ramp: Coefficient

    def deviation(self, tau_s: FloatArray) -> FloatArray:
        """Return the Allan deviation of the model, (m,)."""
        kinds = (self.quantisation, self.white, self.flicker, self.walk, self.ramp)
        return np.asarray(np.sqrt(_terms(tau_s) @ np.square([kind.value for kind in kinds])))


def allan_deviation(readings: Numbers, interval_s: float, sizes: NDArray[np.int64] | None = None) -> AllanDeviation:
    """Return the overlapping Allan deviation of equidistant readings.

    Args:
        readings: readings, (n,).
        interval_s: time between readings, s.
        sizes: numbers of readings to average, (m,); None: four per octave, up to a fifth of the readings.

    Raises:
        ValueError: there are fewer than `MIN_READINGS` readings.
    """
    count = len(readings)
    if count < MIN_READINGS:
        raise ValueError(f"{count} readings are too few for an Allan deviation; at least {MIN_READINGS} are needed")
    if sizes is None:
        octaves = np.arange(0.0, math.log2(count / _LONGEST_SHARE), 1.0 / _POINTS_PER_OCTAVE)
        sizes = np.unique(np.round(2.0**octaves)).astype(np.int64)
    total = _total(readings)
    variances = np.empty(len(sizes))
    for index, size in enumerate(sizes.tolist()):
        terms, square = count + 1 - 2 * size, 0.0
        for start in range(0, terms, BLOCK):
            stop = min(start + BLOCK, terms)
            first, middle, last = (total[start + shift : stop + shift] for shift in (0, size, 2 * size))
            second = last - 2.0 * middle + first
            square += float(second.dot(second))
        variances[index] = square / (2.0 * size**2 * terms)
    freedom = np.maximum(1.0, 1.25 * count**2 / (sizes * (count + 3.0 * sizes)))
    return AllanDeviation(np.asarray(sizes * interval_s, np.float64), np.sqrt(variances), freedom)


def _total(readings: Numbers) -> Column:
    """Return the sums of the first 0, 1, 2 ... readings; a mean that is not subtracted first would cost digits."""
    total, centre, newest = Column(), mean(readings), 0.0
    total.append(newest)
    for block in blocks(readings):
        sums = newest + np.cumsum(block - centre)
        total.extend(sums)
        newest = float(sums[-1])
    return total


def fit_noise(allan: AllanDeviation) -> NoiseModel:
    """Return the coefficients, none negative, that fit an Allan variance best, relative to its uncertainty.

    Raises:
        ValueError: all readings are equal.
    """
    if not np.all(allan.deviation > 0.0):
        raise ValueError("the readings do not change; the sensor is stuck, or its resolution hides the noise")
    every = np.ones(_KINDS, bool)
    squares, sigmas = _fit(allan, every)
    # Without a ramp or quantisation that the log does not show, the other coefficients are more certain.
    shown = every.copy()
    shown[[_QUANTISATION, _RAMP]] = (squares > _SIGNIFICANT_SIGMAS * sigmas)[[_QUANTISATION, _RAMP]]
    squares[shown], sigmas[shown] = (part[shown] for part in _fit(allan, shown))
    return NoiseModel(*map(_coefficient, np.where(shown, squares, 0.0), sigmas))


def _fit(allan: AllanDeviation, shown: NDArray[np.bool_]) -> tuple[FloatArray, FloatArray]:
    """Return the squares of the coefficients and their standard deviations, (5,), of the kinds of noise in a mask."""
    variance = np.square(allan.deviation)
    terms = _terms(allan.tau_s)[:, shown]
    scale = terms.max(axis=0) / variance.max()
    # Neighbouring points of the grid share most readings: together, those of an octave count as one.
    weight = np.sqrt(allan.freedom / 2.0 / _POINTS_PER_OCTAVE)
    expected = variance
    for _ in range(_ITERATIONS):
        rows = terms / scale * (weight / expected)[:, np.newaxis]
        found = _least_squares(rows, variance * weight / expected)
        expected = terms / scale @ found
    squares, sigmas = np.zeros(len(shown)), np.zeros(len(shown))
    squares[shown] = found / scale
    sigmas[shown] = np.sqrt(np.diag(np.linalg.pinv(rows.T @ rows))) / scale
    return squares, sigmas


def _least_squares(rows: FloatArray, wanted: FloatArray) -> FloatArray:
    """Return the solution without negative values that fits best: at most five unknowns have few subsets.

    SciPy's `nnls` needs 50 MB of memory for its package.
    """
    best, least = np.zeros(rows.shape[1]), float(wanted @ wanted)
    for size in range(1, rows.shape[1] + 1):
        for subset in map(list, combinations(range(rows.shape[1]), size)):
            found = np.linalg.lstsq(rows[:, subset], wanted)[0]
            error = wanted - rows[:, subset] @ found
            if found.min() >= 0.0 and error @ error < least:
                least = float(error @ error)
                best = np.zeros(rows.shape[1])
                best[subset] = found
    return best


def _coefficient(square: float, sigma: float) -> Coefficient:
    limit = math.sqrt(square + _SIGNIFICANT_SIGMAS * sigma)
    return Coefficient(math.sqrt(square), limit, bool(square > _SIGNIFICANT_SIGMAS * sigma))


def _terms(tau_s: FloatArray) -> FloatArray:
    """Return the Allan variance of each kind of noise with a coefficient of 1, (m, 5)."""
    flat = np.full(len(tau_s), _FLICKER)
    return np.column_stack([3.0 / tau_s**2, 1.0 / tau_s, flat, tau_s / 3.0, tau_s**2 / 2.0])
