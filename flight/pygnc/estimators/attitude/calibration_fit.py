"""The magnetometer's calibration, second step: maximum likelihood by Gauss-Newton, and how well it is known.

What is compared is z = |matrix (m - bias)|^2 - |field|^2, less its mean under noise (Alonso & Shuster, Complete linear
attitude-independent magnetometer calibration, J. Astronaut. Sci. 50, 2002).

The partial derivatives are taken where the corrected reading meets the sphere of the field. At the reading itself
their noise goes with that of z, and the scale comes out too small by twice (noise / field)^2, 4e-4 here, which is as
much as its sigma after an orbit.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from pygnc.common.quantiles import median
from pygnc.environment.arrays import Array
from pygnc.estimators.attitude.calibration_settings import CalibrationSettings
from pygnc.estimators.attitude.calibration_start import (
    BIAS,
    COLUMNS,
    MATRIX,
    MEDIAN_TO_SIGMA,
    ROWS,
    TWICE,
    Readings,
    centred_estimate,
)
from pygnc.estimators.attitude.state import Flags

_ITERATIONS: Final = 20
_GATINGS: Final = 10
"""So many times the readings are sorted again into those that fit and those that do not."""
_NOISE_MIN_UT: Final = 1e-6
_NOISE_STEP: Final = 1e-3
"""Relative: smaller changes of the scatter end the sorting."""
_STEP_NOISE_MIN_UT: Final = 0.1
_SCALE_MIN: Final = 0.1
"""No magnetometer shows ten times too much: the iteration has gone astray."""
_CONDITION_MAX: Final = 1e14
_SHARE_MIN: Final = 0.5
"""Where less of the information is more than noise, nothing is resolved."""
_UNRESOLVED: Final = 1e-9
_STEP_MAX: Final = 1e-3
"""In sigmas: smaller steps end the iteration."""


class Solution(NamedTuple):
    """Bias (3,), matrix (3, 3), covariance of both (9, 9), scatter, which readings were used, whether it settled."""

    bias_ut: Array
    matrix: Array
    covariance: Array
    noise_ut: float
    used: Flags
    converged: bool

    @property
    def bias_variance(self) -> float:
        """Summed over the axes."""
        return float(np.trace(self.covariance[BIAS, BIAS]))


def solved(readings: Readings, settings: CalibrationSettings) -> tuple[Solution | None, Solution | None]:
    """Maximum likelihood with the bias free, and with bias and matrix; None where there is no answer.

    Where the body's turns hardly tell scale from bias, noise makes the centred estimate's scale too small by much. So
    the matrix is also looked for from the solution for the bias alone, and the better end is taken.
    """
    biased = _solved_from([centred_estimate(readings, 3)], readings, 3, settings)
    other = None if biased is None else (biased.bias_ut, biased.matrix)
    return biased, _solved_from([centred_estimate(readings, 9), other], readings, 9, settings)


def _solved_from(
    starts: Sequence[tuple[Array, Array] | None], readings: Readings, free: int, settings: CalibrationSettings
) -> Solution | None:
    """The best end to which starts (bias, matrix) lead."""
    begun = [start for start in starts if start is not None]
    ends = [end for start in begun if (end := _from(readings, *start, free, settings)) is not None]
    # More readings outweigh less scatter, or those that do not fit would be left out.
    return max(ends, key=lambda end: (end.converged, end.used.sum() / end.noise_ut), default=None)


def _from(
    readings: Readings, bias_ut: Array, matrix: Array, free: int, settings: CalibrationSettings
) -> Solution | None:
    """The end to which a start leads; readings that do not fit are left out and taken in again on the way."""
    misfit_ut = _linearised(readings, bias_ut, matrix, 0.0).misfit_ut
    gate_ut = settings.gate * MEDIAN_TO_SIGMA * float(median(np.abs(misfit_ut)))
    noise_ut, used, settled = 0.0, np.abs(misfit_ut) <= gate_ut, False
    for _ in range(_GATINGS):
        if used.sum() < settings.samples_min:
            return None
        kept = readings.chosen(used)
        iterated = _iterated(kept, bias_ut, matrix, noise_ut, free)
        if iterated is None:
            return None
        bias_ut, matrix, converged = iterated
        if settled:
            break
        misfit_ut = _linearised(readings, bias_ut, matrix, noise_ut).misfit_ut
        before, noise_before_ut = used, noise_ut
        noise_ut = max(rms(misfit_ut[used]) * float(np.sqrt(used.sum() / (used.sum() - free))), _NOISE_MIN_UT)
        used = np.abs(misfit_ut) <= settings.gate * noise_ut
        settled = np.array_equal(before, used) and abs(noise_ut - noise_before_ut) <= _NOISE_STEP * noise_ut
    kept = readings.chosen(used)
    linear = _linearised(kept, bias_ut, matrix, noise_ut)
    of_noise = _of_noise(linear, kept.strength_ut, matrix, noise_ut)
    covariance = _covariance(linear, of_noise, noise_ut, free, settings)
    return None if covariance is None else Solution(bias_ut, matrix, covariance, noise_ut, used, converged and settled)


class _Linear(NamedTuple):
    """The likelihood about an estimate, in uT of strength.

    Attributes:
        misfit_ut: z over twice the strength, shape (n,): its sigma is that of a reading.
        partials: Its derivatives by bias and matrix elements, shape (n, 9).
        by_field: Its derivatives by an error of the modelled field (inertial axes), shape (n, 3).
        directions: Of the corrected readings, shape (n, 3).
    """

    misfit_ut: Array
    partials: Array
    by_field: Array
    directions: Array


def _linearised(readings: Readings, bias_ut: Array, matrix: Array, noise_ut: float) -> _Linear:
    corrected = (readings.mag_ut - bias_ut).dot(matrix)
    squared = np.square(corrected).sum(axis=1)
    directions = corrected / np.sqrt(np.maximum(squared, 1e-12))[:, np.newaxis]
    gain = _gain(directions, matrix)
    misfit = squared - np.square(readings.strength_ut) - noise_ut**2 * float(np.trace(matrix.dot(matrix)))
    scale_ut = readings.strength_ut * gain
    return _Linear(
        0.5 * misfit / scale_ut,
        _partials(directions, readings.strength_ut, matrix),
        -readings.field_ut / scale_ut[:, np.newaxis],
        directions,
    )


def _gain(directions: Array, matrix: Array) -> Array:
    """By which noise of a reading becomes noise of its strength, shape (n,)."""
    gain: Array = np.sqrt(np.square(directions.dot(matrix)).sum(axis=1))
    return gain


def _partials(directions: Array, strength_ut: Array, matrix: Array) -> Array:
    """Derivatives of the misfit by bias and matrix elements for corrected readings on the sphere, shape (n, 9)."""
    on_sphere = strength_ut[:, np.newaxis] * directions.dot(np.linalg.inv(matrix))
    crossed = 0.5 * (directions[:, ROWS] * on_sphere[:, COLUMNS] + directions[:, COLUMNS] * on_sphere[:, ROWS])
    partials = np.concatenate((-directions.dot(matrix), crossed * TWICE), axis=1)
    partials /= _gain(directions, matrix)[:, np.newaxis]
    return partials


def _of_noise(linear: _Linear, strength_ut: Array, matrix: Array, noise_ut: float) -> Array:
    """The part of the normal matrix, (9, 9), that comes from the noise in the readings' directions alone.

    It pretends to resolve what no turn of the body has shown, to about the field over the root of the readings' number.
    """
    directions = linear.directions
    apart = np.eye(3)[np.abs(directions).argmin(axis=1)]
    first = np.cross(directions, apart)
    first /= np.sqrt(np.square(first).sum(axis=1))[:, np.newaxis]
    total = np.zeros((9, 9))
    for tangent in (first, np.cross(directions, first)):
        turned = directions + (noise_ut * _gain(tangent, matrix) / strength_ut)[:, np.newaxis] * tangent
        turned /= np.sqrt(np.square(turned).sum(axis=1))[:, np.newaxis]
        change = _partials(turned, strength_ut, matrix) - linear.partials
        total += change.T.dot(change)
    return total


def _iterated(
    readings: Readings, bias_ut: Array, matrix: Array, noise_ut: float, free: int
) -> tuple[Array, Array, bool] | None:
    """Gauss-Newton to its end: bias, matrix, and whether it came there; None where it leads nowhere."""
    for _ in range(_ITERATIONS):
        linear = _linearised(readings, bias_ut, matrix, noise_ut)
        partials = linear.partials[:, :free]
        normal = partials.T.dot(partials)
        try:
            step = -np.linalg.solve(normal, partials.T.dot(linear.misfit_ut))
        except np.linalg.LinAlgError:
            return None
        bias_ut = bias_ut + step[BIAS]
        if free == 9:
            turned = np.zeros((3, 3))
            turned[ROWS, COLUMNS] = turned[COLUMNS, ROWS] = step[MATRIX]
            matrix = matrix + turned
        if not np.isfinite(step).all() or np.linalg.eigvalsh(matrix)[0] <= _SCALE_MIN:
            return None
        if step.dot(normal).dot(step) <= np.square(_STEP_MAX * max(noise_ut, _STEP_NOISE_MIN_UT)):
            return bias_ut, matrix, True
    return bias_ut, matrix, False


def _covariance(
    linear: _Linear, of_noise: Array, noise_ut: float, free: int, settings: CalibrationSettings
) -> Array | None:
    """Of bias and matrix, shape (9, 9): noise, and what is not estimated as far as it would shift the estimate."""
    estimated, assumed = linear.partials[:, :free], linear.partials[:, free:]
    normal = estimated.T.dot(estimated)
    if np.linalg.cond(normal) > _CONDITION_MAX:
        return None
    whitening = np.linalg.inv(np.linalg.cholesky(normal))
    shares, vectors = np.linalg.eigh(np.eye(free) - whitening.dot(of_noise[:free, :free]).dot(whitening.T))
    root = whitening.T.dot(vectors) / np.sqrt(np.where(shares > _SHARE_MIN, shares, _UNRESOLVED))
    inverse = root.dot(root.T)
    gain = inverse.dot(estimated.T)
    by_field = settings.field_error_ut * gain.dot(linear.by_field)
    by_matrix = settings.scale_error * gain.dot(assumed)
    covariance = np.eye(9) * settings.scale_error**2
    covariance[:free, :free] = noise_ut**2 * inverse + by_field.dot(by_field.T) + by_matrix.dot(by_matrix.T)
    covariance[:free, free:] = -settings.scale_error * by_matrix
    covariance[free:, :free] = covariance[:free, free:].T
    return covariance


def rms(values: Array) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(values))))
