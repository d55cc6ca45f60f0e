"""Magnetometer calibration without attitude: bias, scale and misalignment from the field strength alone.

With a reading m, the strength of the true field is |matrix (m - bias)|. The matrix is symmetric, because a rotation of
all axes does not change any strength. The method is TWOSTEP (Alonso & Shuster, Complete linear attitude-independent
magnetometer calibration, J. Astronaut. Sci. 50, 2002): a centred linear estimate, then maximum likelihood by
Gauss-Newton iterations on z = |matrix (m - bias)|^2 - |field|^2, minus its mean under noise.

The partial derivatives are evaluated on the sphere of the modelled field strength, in the direction of the corrected
reading. At the reading itself, their noise would be correlated with that of z. The scale would then be too small by
twice (noise / field)^2, 4e-4 with a noise of 0.6 uT, as much as its sigma after an orbit.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np

from pygnc.common.arrays import Array, median
from pygnc.common.validation import require_positive
from pygnc.estimators.attitude.state import Flags

BIAS: Final = slice(0, 3)
MATRIX: Final = slice(3, 9)
"""Matrix elements among the parameters, in the order xx, yy, zz, xy, xz, yz."""

ROWS: Final = np.array([0, 1, 2, 0, 0, 1])
COLUMNS: Final = np.array([0, 1, 2, 1, 2, 2])
TWICE: Final = np.array([1.0, 1.0, 1.0, 2.0, 2.0, 2.0])
"""Number of occurrences of each of these elements in the symmetric matrix."""
MEDIAN_TO_SIGMA: Final = 1.4826
"""Ratio of standard deviation to median absolute value of a normal distribution."""

_CENTRED_ITERATIONS: Final = 20
_HUBER: Final = 1.345
"""Deviation in standard deviations beyond which a reading loses weight (Huber)."""


class Readings(NamedTuple):
    """Plausible readings and modelled fields, (n, 3), and modelled field strengths, (n,), all in uT."""

    mag_ut: Array
    field_ut: Array
    strength_ut: Array

    def select(self, rows: Flags) -> "Readings":
        """Return the readings whose flag in `rows` (n,) is True."""
        return Readings(self.mag_ut[rows], self.field_ut[rows], self.strength_ut[rows])


def centred_estimate(readings: Readings, free: int) -> tuple[Array, Array] | None:
    """Return bias (uT) and matrix by linear least squares with Huber weights; None if they are not determined.

    `free` is 3 for the bias alone, 9 with the matrix. For the reading m and the bias b, the squared field strength is
    m' S m - 2 (S b)' m + constant, with S = matrix squared; subtracting the mean removes the constant.
    """
    mag_ut, strength_ut = readings.mag_ut, readings.strength_ut
    columns = np.concatenate((-2.0 * mag_ut, mag_ut[:, ROWS] * mag_ut[:, COLUMNS] * TWICE), axis=1)
    wanted = np.square(strength_ut)
    if free == 3:
        wanted = wanted - np.square(mag_ut).sum(axis=1)
        columns = columns[:, BIAS]
    weight = np.square(1.0 / strength_ut)
    share = np.ones_like(weight)
    for _ in range(_CENTRED_ITERATIONS):
        total = weight * share
        centred = columns - total.dot(columns) / total.sum()
        left = wanted - total.dot(wanted) / total.sum()
        root = np.sqrt(total)
        solution, _, rank, _ = np.linalg.lstsq(root[:, np.newaxis] * centred, root * left, rcond=1e-10)
        if rank < free:
            return None
        off = np.abs((left - centred.dot(solution)) * np.sqrt(weight))
        limit = _HUBER * MEDIAN_TO_SIGMA * float(median(off))
        share = limit / np.maximum(off, limit) if limit > 0.0 else share
    if free == 3:
        return solution, np.eye(3)
    squared = np.zeros((3, 3))
    squared[ROWS, COLUMNS] = squared[COLUMNS, ROWS] = solution[MATRIX]
    values, vectors = np.linalg.eigh(squared)
    if values[0] <= 0.0:
        return None
    return np.linalg.solve(squared, solution[BIAS]), (vectors * np.sqrt(values)).dot(vectors.T)


@dataclass(frozen=True, slots=True)
class CalibrationSettings:
    """Assumed errors (1 sigma) of magnetometer and field model, and requirements of a solution."""

    field_error_ut: float = 0.3
    """Error of the field model per axis, constant in inertial axes; increases the covariance."""
    scale_error: float = 0.05
    """Error of each element of the matrix if it is not estimated."""
    samples_min: int = 60
    """Smallest number of used readings."""
    gate: float = 4.5
    """Largest deviation, in sigmas of the other readings' noise, with which a reading is used."""
    bias_sigma_max_ut: float = 3.0
    """Largest standard deviation of the bias with which an axis counts as resolved."""
    prior_sigma_max_ut: float = 1.0
    """Largest sigma with which a solution may serve as prior of the attitude filter."""

    def __post_init__(self) -> None:
        require_positive(self, zero_allowed=("field_error_ut",))
        if self.samples_min < 20:
            raise ValueError(f"samples_min must be at least 20, not {self.samples_min}")


_ITERATIONS: Final = 20
_GATE_ITERATIONS: Final = 10
"""Largest number of repetitions of the selection of readings by the innovation gate."""
_NOISE_MIN_UT: Final = 1e-6
_NOISE_STEP: Final = 1e-3
"""Relative change of the noise below which an unchanged selection is final."""
_STEP_NOISE_MIN_UT: Final = 0.1
"""Smallest noise for the limit of steps, so that readings without noise do not need endless iterations."""
_SCALE_MIN: Final = 0.1
"""Eigenvalue of the matrix below which the iteration has diverged."""
_CONDITION_MAX: Final = 1e14
_SHARE_MIN: Final = 0.5
"""Share of the information on a combination of parameters that must not come from noise; less leaves it unresolved."""
_UNRESOLVED: Final = 1e-9
"""Share of information that an unresolved combination keeps, so that its variance is large but finite."""
_STEP_MAX: Final = 1e-3
"""Length of a step, in standard deviations of the parameters, at or below which the iteration has converged."""
_DISTANCE_MAX: Final = 3.0
"""Largest distance of plausible readings from their median, in field strengths; allows for scale errors of a third."""
_SIGMA_REPORTED_MAX_UT: Final = 1e3
_MISFIT_MAX: Final = 1.5
"""Ratio of noise without to noise with estimated matrix above which the solution for the bias alone is wrong."""


class CalibrationError(ValueError):
    """Error raised if the readings do not determine the bias; the message names the reason and a remedy."""


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """Calibration of the magnetometer.

    Attributes:
        bias_ut: Bias in sensor axes, uT, shape (3,).
        matrix: Correction of scale and misalignment, symmetric, shape (3, 3); the identity if it was not estimated.
        covariance: Covariance of bias (uT) and matrix (xx, yy, zz, xy, xz, yz), shape (9, 9). It includes the error of
            the field model and, if the matrix was not estimated, that of the assumed matrix.
        noise_ut: Standard deviation of the noise of the used readings, per axis.
        used: True for readings that were used, shape (n,).
        converged: True if both the iteration and the selection of readings converged.
        rms_before_ut: Root mean square of measured minus modelled field strength, over the used readings.
        rms_after_ut: Root mean square of corrected minus modelled field strength, over the used readings.
    """

    bias_ut: Array
    matrix: Array
    covariance: Array
    noise_ut: float
    used: Flags
    converged: bool
    rms_before_ut: float
    rms_after_ut: float

    @property
    def full(self) -> bool:
        """True if the matrix was estimated."""
        return not np.array_equal(self.matrix, np.eye(3))

    @property
    def bias_sigma_ut(self) -> Array:
        """Standard deviations of the bias in uT, shape (3,)."""
        sigma: Array = np.sqrt(np.diagonal(self.covariance)[BIAS])
        return sigma

    @property
    def matrix_sigma(self) -> Array:
        """Standard deviations of the elements xx, yy, zz, xy, xz, yz, shape (6,)."""
        sigma: Array = np.sqrt(np.diagonal(self.covariance)[MATRIX])
        return sigma

    def corrected_ut(self, mag_imu_ut: Array) -> Array:
        """Return readings in uT, (n, 3) or (3,), corrected for bias, scale and misalignment."""
        corrected: Array = (mag_imu_ut - self.bias_ut).dot(self.matrix)
        return corrected

    def good_enough(self, settings: CalibrationSettings) -> bool:
        """Return True if the solution converged and its bias is accurate enough for a prior of the attitude filter."""
        return self.converged and bool(self.bias_sigma_ut.max() <= settings.prior_sigma_max_ut)


def calibrate(mag_imu_ut: Array, field_gcrf_ut: Array, settings: CalibrationSettings) -> Calibration:
    """Return the calibration from n readings; takes 20 ms for a thousand.

    The matrix is estimated if the covariance of the bias is then smaller than with an assumed matrix.

    Args:
        mag_imu_ut: Readings in sensor axes, uT, shape (n, 3).
        field_gcrf_ut: Modelled field at the positions of the readings, GCRF, uT, shape (n, 3). Its strength determines
            the calibration; its direction only correlates the errors of the field model.
        settings: Limits and assumed errors.

    Raises:
        CalibrationError: There are too few readings, or the body has rotated too little.
    """
    finite = np.isfinite(mag_imu_ut).all(axis=1) & np.isfinite(field_gcrf_ut).all(axis=1)
    plausible = np.flatnonzero(finite)[_plausible(mag_imu_ut[finite], field_gcrf_ut[finite])]
    if len(plausible) < settings.samples_min:
        raise CalibrationError(f"too few samples: {len(plausible)}; add samples until there are {settings.samples_min}")
    mag_ut, field_ut = mag_imu_ut[plausible], field_gcrf_ut[plausible]
    best = _best(Readings(mag_ut, field_ut, np.sqrt(np.square(field_ut).sum(axis=1))), settings)
    used = np.zeros(len(mag_imu_ut), np.bool_)
    used[plausible[best.used]] = True
    return replace(best, used=used)


def _plausible(mag_ut: Array, field_ut: Array) -> Flags:
    """Return True for readings that are, whatever the bias, not too far from the others for the field strength."""
    if not len(mag_ut):
        return np.zeros(0, np.bool_)
    distance_ut = np.linalg.norm(mag_ut - median(mag_ut), axis=1)
    strength_ut = np.linalg.norm(field_ut, axis=1)
    near: Flags = (distance_ut <= _DISTANCE_MAX * strength_ut.max()) & (strength_ut > 0.0)
    return near


def _best(readings: Readings, settings: CalibrationSettings) -> Calibration:
    """Return the maximum likelihood solution, with or without matrix, that has the smaller variance of the bias.

    If the rotation of the body hardly separates scale from bias, noise makes the scale of the centred estimate much too
    small. The solution with matrix is therefore iterated both from that estimate and from the solution without matrix.

    Raises:
        CalibrationError: There is no solution, or a sigma of its bias exceeds `bias_sigma_max_ut`.
    """
    bias_only = _solved_from([centred_estimate(readings, 3)], readings, 3, settings)
    other = None if bias_only is None else (bias_only.bias_ut, bias_only.matrix)
    full = _solved_from([centred_estimate(readings, 9), other], readings, 9, settings)
    if bias_only is not None and full is not None and bias_only.noise_ut > _MISFIT_MAX * full.noise_ut:
        # The scales of the axes differ too much for an assumed matrix, but the sigmas do not contain this error.
        bias_only = None
    solutions = [solution for solution in (bias_only, full) if solution is not None]
    best = min(solutions, key=lambda solution: float(np.trace(solution.covariance[BIAS, BIAS])), default=None)
    sigma_ut = np.full(3, np.inf) if best is None else best.bias_sigma_ut
    unresolved = [axis for axis, sigma in zip("xyz", sigma_ut, strict=True) if not sigma <= settings.bias_sigma_max_ut]
    if best is None or unresolved:
        axes = f"{', '.join(unresolved)} {'axis' if len(unresolved) == 1 else 'axes'} unresolved"
        known = f", known to {sigma_ut.max():.0f} uT only" if sigma_ut.max() < _SIGMA_REPORTED_MAX_UT else ""
        raise CalibrationError(f"not enough rotation: {axes}{known}; add samples of a rotation about another axis")
    return best


def _solved_from(
    starts: Sequence[tuple[Array, Array] | None], readings: Readings, free: int, settings: CalibrationSettings
) -> Calibration | None:
    """Return the best of the solutions from several initial values (bias, matrix); None if all of them fail."""
    solved = [_solve_from(readings, *start, free, settings) for start in starts if start is not None]
    # Less noise alone would prefer solutions that exclude all readings which do not fit.
    return max(
        (solution for solution in solved if solution is not None),
        key=lambda solution: (solution.converged, solution.used.sum() / solution.noise_ut),
        default=None,
    )


@np.errstate(all="ignore")  # an iteration that diverges overflows before this is detected
def _solve_from(
    readings: Readings, bias_ut: Array, matrix: Array, free: int, settings: CalibrationSettings
) -> Calibration | None:
    """Return the solution from an initial value, or None; each iteration selects the readings anew by the gate."""
    misfit_ut = _linearised(readings, bias_ut, matrix, 0.0).misfit_ut
    gate_ut = settings.gate * MEDIAN_TO_SIGMA * float(median(np.abs(misfit_ut)))
    noise_ut, used, settled = 0.0, np.abs(misfit_ut) <= gate_ut, False
    for _ in range(_GATE_ITERATIONS):
        if used.sum() < settings.samples_min:
            return None
        kept = readings.select(used)
        iterated = _gauss_newton(kept, bias_ut, matrix, noise_ut, free)
        if iterated is None:
            return None
        bias_ut, matrix, converged = iterated
        if settled:
            break
        misfit_ut = _linearised(readings, bias_ut, matrix, noise_ut).misfit_ut
        before, noise_before_ut = used, noise_ut
        noise_ut = max(_rms(misfit_ut[used]) * float(np.sqrt(used.sum() / (used.sum() - free))), _NOISE_MIN_UT)
        used = np.abs(misfit_ut) <= settings.gate * noise_ut
        settled = np.array_equal(before, used) and abs(noise_ut - noise_before_ut) <= _NOISE_STEP * noise_ut
    kept = readings.select(used)
    linear = _linearised(kept, bias_ut, matrix, noise_ut)
    noise_information = _noise_information(linear, kept.strength_ut, matrix, noise_ut)
    covariance = _covariance(linear, noise_information, noise_ut, free, settings)
    if covariance is None:
        return None
    after_ut = np.linalg.norm((kept.mag_ut - bias_ut).dot(matrix), axis=1) - kept.strength_ut
    return Calibration(
        bias_ut=bias_ut,
        matrix=matrix,
        covariance=covariance,
        noise_ut=noise_ut,
        used=used,
        converged=converged and settled,
        rms_before_ut=_rms(np.linalg.norm(kept.mag_ut, axis=1) - kept.strength_ut),
        rms_after_ut=_rms(after_ut),
    )


class _Linear(NamedTuple):
    """Misfits of the field strength and their derivatives at an estimate, scaled to uT of a reading.

    Attributes:
        misfit_ut: z scaled such that its standard deviation is the noise of a reading, shape (n,).
        partials: Derivatives with respect to bias and matrix elements, shape (n, 9).
        d_field: Derivatives with respect to an error of the modelled field in inertial axes, shape (n, 3).
        directions: Unit vectors along the corrected readings, shape (n, 3).
    """

    misfit_ut: Array
    partials: Array
    d_field: Array
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
    """Return the ratio of the noise of the corrected field strength to the noise of a reading, shape (n,)."""
    gain: Array = np.sqrt(np.square(directions.dot(matrix)).sum(axis=1))
    return gain


def _partials(directions: Array, strength_ut: Array, matrix: Array) -> Array:
    """Return the derivatives of the misfit with respect to bias and matrix, on the sphere of the field, (n, 9)."""
    on_sphere = strength_ut[:, np.newaxis] * directions.dot(np.linalg.inv(matrix))
    crossed = 0.5 * (directions[:, ROWS] * on_sphere[:, COLUMNS] + directions[:, COLUMNS] * on_sphere[:, ROWS])
    partials = np.concatenate((-directions.dot(matrix), crossed * TWICE), axis=1)
    partials /= _gain(directions, matrix)[:, np.newaxis]
    return partials


def _noise_information(linear: _Linear, strength_ut: Array, matrix: Array, noise_ut: float) -> Array:
    """Return the part of the normal matrix (9, 9) that only noise in the directions of the readings causes.

    If this part counted as information, a parameter that no rotation has made observable would seem to be known, to
    about the field strength divided by the square root of the number of readings.
    """
    directions = linear.directions
    farthest_axis = np.eye(3)[np.abs(directions).argmin(axis=1)]
    first = np.cross(directions, farthest_axis)
    first /= np.sqrt(np.square(first).sum(axis=1))[:, np.newaxis]
    total = np.zeros((9, 9))
    for tangent in (first, np.cross(directions, first)):
        turned = directions + (noise_ut * _gain(tangent, matrix) / strength_ut)[:, np.newaxis] * tangent
        turned /= np.sqrt(np.square(turned).sum(axis=1))[:, np.newaxis]
        change = _partials(turned, strength_ut, matrix) - linear.partials
        total += change.T.dot(change)
    return total


def _gauss_newton(
    readings: Readings, bias_ut: Array, matrix: Array, noise_ut: float, free: int
) -> tuple[Array, Array, bool] | None:
    """Iterate by Gauss-Newton; return bias, matrix, and True if the iteration converged, or None if it diverged."""
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
            change = np.zeros((3, 3))
            change[ROWS, COLUMNS] = change[COLUMNS, ROWS] = step[MATRIX]
            matrix = matrix + change
        if not np.isfinite(step).all() or np.linalg.eigvalsh(matrix)[0] <= _SCALE_MIN:
            return None
        if step.dot(normal).dot(step) <= np.square(_STEP_MAX * max(noise_ut, _STEP_NOISE_MIN_UT)):
            return bias_ut, matrix, True
    return bias_ut, matrix, False


def _covariance(
    linear: _Linear, noise_information: Array, noise_ut: float, free: int, settings: CalibrationSettings
) -> Array | None:
    """Return the covariance of bias and matrix, (9, 9), by noise and parameters not estimated; None if singular."""
    estimated, assumed = linear.partials[:, :free], linear.partials[:, free:]
    normal = estimated.T.dot(estimated)
    if np.linalg.cond(normal) > _CONDITION_MAX:
        return None
    whitening = np.linalg.inv(np.linalg.cholesky(normal))
    shares, vectors = np.linalg.eigh(np.eye(free) - whitening.dot(noise_information[:free, :free]).dot(whitening.T))
    root = whitening.T.dot(vectors) / np.sqrt(np.where(shares > _SHARE_MIN, shares, _UNRESOLVED))
    inverse = root.dot(root.T)
    gain = inverse.dot(estimated.T)
    d_field = settings.field_error_ut * gain.dot(linear.d_field)
    matrix_effect = settings.scale_error * gain.dot(assumed)
    covariance = np.eye(9) * settings.scale_error**2
    covariance[:free, :free] = noise_ut**2 * inverse + d_field.dot(d_field.T) + matrix_effect.dot(matrix_effect.T)
    covariance[:free, free:] = -settings.scale_error * matrix_effect
    covariance[free:, :free] = covariance[:free, free:].T
    return covariance


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
