"""Magnetometer calibration without attitude: bias, scale and misalignment from the field strength alone.

With a reading m, the strength of the true field is |matrix (m - bias)|. The matrix is symmetric, because a rotation of
all axes does not change any strength. The method is TWOSTEP (Alonso & Shuster, Complete linear attitude-independent
magnetometer calibration, J. Astronaut. Sci. 50, 2002): a centred linear estimate, then Gauss-Newton iterations on
z = |matrix (m - bias)|^2 - |field|^2, minus its mean under noise. The iterations maximise the posterior density with
the prior of the matrix in the settings: the readings of a body that hardly rotates do not separate scale from bias.

The partial derivatives are evaluated on the sphere of the modelled field strength, in the direction of the corrected
reading. At the reading itself, their noise would be correlated with that of z. The scale would then be too small by
twice (noise / field)^2, 4e-4 with a noise of 0.6 uT, as much as its sigma after an orbit.
"""

import math
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np

from pygnc.common.arrays import Array, median
from pygnc.estimators.attitude.model_errors import chi_square_limit
from pygnc.estimators.attitude.settings import SCALE_MIN, MagnetometerSettings
from pygnc.estimators.attitude.state import Flags

BIAS: Final = slice(0, 3)
MATRIX: Final = slice(3, 9)
"""Matrix elements among the parameters, in the order xx, yy, zz, xy, xz, yz."""

ROWS: Final = np.array([0, 1, 2, 0, 0, 1])
COLUMNS: Final = np.array([0, 1, 2, 1, 2, 2])
_PRIOR_MEAN: Final = np.concatenate((np.zeros(3), np.repeat((1.0, 0.0), 3)))
PANEL_SHARE: Final = 0.5
"""Part of the field of the solar panels that the bias contains, because readings are of sunlight and shadow."""

_SAMPLES_MIN: Final = 60
"""Smallest number of used readings."""
_DISTANCE_MAX: Final = 3.0
"""Largest distance of plausible readings from their median, in field strengths; allows for scale errors of a third."""
_MEDIAN_TO_SIGMA: Final = 1.4826
"""Ratio of standard deviation to median absolute value of a normal distribution."""
_HUBER: Final = 1.345
"""Deviation in standard deviations beyond which a reading loses weight in the first estimate (Huber)."""
_ITERATIONS: Final = 20
"""Largest number of iterations, and of selections of readings by the innovation gate."""
_NOISE_MIN_UT: Final = 1e-6
_STEP_MAX: Final = 1e-3
"""Length of a step, in standard deviations of the parameters, at or below which the iteration has converged; also the
relative change of the noise below which an unchanged selection is final.
"""
_HIDDEN_SIGMA: Final = 3.0
"""Spread of the readings in a direction that errors of the matrix may hide, in their sigma times the field."""
_BIAS_SIGMA_MAX_UT: Final = 3.0
"""Largest standard deviation of the bias with which an axis counts as resolved."""
_GOOD_SIGMA_MAX_UT: Final = 1.0
"""Largest sigma of the bias with which the attitude filter uses a solution."""


class CalibrationError(ValueError):
    """Error raised if the readings do not determine the bias; the message names the reason and a remedy."""


class _Readings(NamedTuple):
    """Plausible readings and modelled fields, (n, 3), and modelled field strengths, (n,), all in uT.

    `sunlit` (n,) are the visible fractions of the Sun's disc.
    """

    mag_ut: Array
    field_ut: Array
    strength_ut: Array
    sunlit: Array

    def select(self, rows: Flags) -> "_Readings":
        """Return the readings whose flag in `rows` (n,) is True."""
        return _Readings(*(part[rows] for part in self))


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """Calibration of the magnetometer.

    Attributes:
        bias_ut: Bias in sensor axes with half of the field of the solar panels, uT, shape (3,).
        matrix: Correction of scale and misalignment, symmetric, shape (3, 3).
        covariance: Covariance of bias (uT) and matrix (xx, yy, zz, xy, xz, yz), shape (9, 9). It includes the errors of
            the field model and the field of the solar panels.
        matrix_chi_square: Chi-square of the matrix over its prior, with 6 degrees of freedom.
        noise_ut: Standard deviation of the noise of the used readings, per axis.
        used: True for readings that were used, shape (n,).
        converged: True if both the iteration and the selection of readings converged.
        rms_before_ut: Root mean square of measured minus modelled field strength, over the used readings.
        rms_after_ut: Root mean square of corrected minus modelled field strength, over the used readings.
    """

    bias_ut: Array
    matrix: Array
    covariance: Array
    matrix_chi_square: float
    noise_ut: float
    used: Flags
    converged: bool
    rms_before_ut: float
    rms_after_ut: float

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

    @property
    def is_plausible(self) -> bool:
        """True if the matrix does not contradict its prior."""
        return self.matrix_chi_square <= chi_square_limit(MATRIX.stop - MATRIX.start)

    @property
    def is_good_enough(self) -> bool:
        """True if the solution converged, is plausible, and is accurate enough for the attitude filter."""
        return self.converged and self.is_plausible and bool(self.bias_sigma_ut.max() <= _GOOD_SIGMA_MAX_UT)

    def corrected_ut(self, mag_imu_ut: Array) -> Array:
        """Return readings in uT, (n, 3) or (3,), corrected for bias, scale and misalignment."""
        corrected: Array = (mag_imu_ut - self.bias_ut).dot(self.matrix)
        return corrected


def calibrate(
    mag_imu_ut: Array, field_gcrf_ut: Array, sunlit_fraction: Array, settings: MagnetometerSettings
) -> Calibration:
    """Return the calibration from n readings; takes 5 ms for a thousand.

    Args:
        mag_imu_ut: Readings in sensor axes, uT, shape (n, 3).
        field_gcrf_ut: Modelled field at the positions of the readings, GCRF, uT, shape (n, 3). Its strength determines
            the calibration; its direction only correlates the errors of the field model.
        sunlit_fraction: Visible fraction of the Sun's disc, 0 to 1, shape (n,).
        settings: Prior of the matrix, errors of the field model, field of the solar panels, and gate.

    Raises:
        CalibrationError: There are too few readings, or the body has rotated too little.
    """
    finite = np.isfinite(mag_imu_ut).all(axis=1) & np.isfinite(field_gcrf_ut).all(axis=1)
    plausible = np.flatnonzero(finite)[_plausible(mag_imu_ut[finite], field_gcrf_ut[finite])]
    if len(plausible) < _SAMPLES_MIN:
        raise CalibrationError(f"too few samples: {len(plausible)}; add samples until there are {_SAMPLES_MIN}")
    field_ut = field_gcrf_ut[plausible]
    strength_ut = np.sqrt(np.square(field_ut).sum(axis=1))
    readings = _Readings(mag_imu_ut[plausible], field_ut, strength_ut, sunlit_fraction[plausible])
    found = _solved(readings, settings)
    sigma_ut = np.full(3, np.inf) if found is None else found.bias_sigma_ut
    unresolved = [axis for axis, sigma in zip("xyz", sigma_ut, strict=True) if not sigma <= _BIAS_SIGMA_MAX_UT]
    if found is None or unresolved:
        axes = f"{', '.join(unresolved)} {'axis' if len(unresolved) == 1 else 'axes'} unresolved"
        known = f", known to {sigma_ut.max():.0f} uT only" if np.linalg.norm(sigma_ut) < _rms(strength_ut) else ""
        raise CalibrationError(f"not enough rotation: {axes}{known}; add samples of a rotation about another axis")
    used = np.zeros(len(mag_imu_ut), np.bool_)
    used[plausible[found.used]] = True
    return replace(found, used=used)


def _plausible(mag_ut: Array, field_ut: Array) -> Flags:
    """Return True for readings that are, whatever the bias, not too far from the others for the field strength."""
    if not len(mag_ut):
        return np.zeros(0, np.bool_)
    distance_ut = np.linalg.norm(mag_ut - median(mag_ut), axis=1)
    strength_ut = np.linalg.norm(field_ut, axis=1)
    near: Flags = (distance_ut <= _DISTANCE_MAX * strength_ut.max()) & (strength_ut > 0.0)
    return near


def _centred_bias_ut(readings: _Readings) -> Array:
    """Return the bias of an ideal matrix in uT by linear least squares with Huber weights, shape (3,).

    The squared field strength is then |m|^2 - 2 b'm + constant, for the reading m and the bias b; subtracting the mean
    removes the constant.
    """
    columns = -2.0 * readings.mag_ut
    wanted = np.square(readings.strength_ut) - np.square(readings.mag_ut).sum(axis=1)
    weight = np.square(1.0 / readings.strength_ut)
    share = np.ones_like(weight)
    for _ in range(_ITERATIONS):
        total = weight * share
        centred = columns - total.dot(columns) / total.sum()
        left = wanted - total.dot(wanted) / total.sum()
        root = np.sqrt(total)
        bias_ut: Array = np.linalg.lstsq(root[:, np.newaxis] * centred, root * left, rcond=1e-10)[0]
        off = np.abs((left - centred.dot(bias_ut)) * np.sqrt(weight))
        limit = _HUBER * _MEDIAN_TO_SIGMA * float(median(off))
        share = limit / np.maximum(off, limit) if limit > 0.0 else share
    return bias_ut


@np.errstate(all="ignore")  # an iteration that diverges overflows before this is detected
def _solved(readings: _Readings, settings: MagnetometerSettings) -> Calibration | None:
    """Return the solution, or None if there is none; each iteration selects the readings anew by the gate."""
    gate, weight = math.sqrt(settings.gate), _prior_weight(settings)
    x = np.concatenate((_centred_bias_ut(readings), _PRIOR_MEAN[MATRIX.start :]))
    noise_ut, used = 0.0, np.zeros(len(readings.sunlit), np.bool_)
    for _ in range(_ITERATIONS):
        misfit_ut = _linearised(readings, x, noise_ut)[0]
        before, noise_before_ut = used, noise_ut
        noise_ut = max(_MEDIAN_TO_SIGMA * float(median(np.abs(misfit_ut))), _NOISE_MIN_UT)
        used = np.abs(misfit_ut) <= gate * noise_ut
        if used.sum() < _SAMPLES_MIN:
            return None
        kept = readings.select(used)
        # Readings without noise must not need endless iterations.
        iterated = _gauss_newton(kept, x, noise_ut, weight, step_noise_ut=max(noise_ut, settings.noise_ut))
        if iterated is None:
            return None
        x, inverse, converged = iterated
        settled = np.array_equal(before, used) and abs(noise_ut - noise_before_ut) <= _STEP_MAX * noise_ut
        if settled:
            break
    _, partials, d_field = _linearised(kept, x, noise_ut)
    # Errors of the field model and the field of the panels are not estimated, because noise could pass for them.
    d_panels = (kept.sunlit - PANEL_SHARE)[:, np.newaxis] * partials[:, BIAS]
    others = np.concatenate((settings.field_error_ut * d_field, settings.panel_sigma_ut * d_panels), axis=1)
    effect = inverse.dot(partials.T.dot(others))
    covariance = noise_ut**2 * inverse + effect.dot(effect.T)
    covariance[BIAS, BIAS] += _hidden_covariance(kept, settings)
    bias_ut, matrix = x[BIAS], _matrix(x)
    corrected_ut = np.linalg.norm((kept.mag_ut - bias_ut).dot(matrix), axis=1)
    return Calibration(
        bias_ut=bias_ut,
        matrix=matrix,
        covariance=covariance,
        matrix_chi_square=float(np.square(weight * (x - _PRIOR_MEAN))[MATRIX].sum()),
        noise_ut=noise_ut,
        used=used,
        converged=converged and settled,
        rms_before_ut=_rms(np.linalg.norm(kept.mag_ut, axis=1) - kept.strength_ut),
        rms_after_ut=_rms(corrected_ut - kept.strength_ut),
    )


def _gauss_newton(
    readings: _Readings, x: Array, noise_ut: float, weight: Array, step_noise_ut: float
) -> tuple[Array, Array, bool] | None:
    """Iterate from bias and matrix `x`, (9,), by Gauss-Newton; return None if the iteration diverges.

    Returns:
        Bias and matrix, the inverse of the normal matrix, (9, 9), and True if the iteration converged.
    """
    prior = np.square(noise_ut * weight)
    for _ in range(_ITERATIONS):
        misfit_ut, partials, _ = _linearised(readings, x, noise_ut)
        normal = partials.T.dot(partials) + np.diag(prior)
        try:
            inverse = np.linalg.inv(normal)
        except np.linalg.LinAlgError:
            return None
        step = -inverse.dot(partials.T.dot(misfit_ut) + prior * (x - _PRIOR_MEAN))
        x = x + step
        if not np.isfinite(x).all() or np.linalg.eigvalsh(_matrix(x))[0] <= SCALE_MIN:
            return None
        converged = step.dot(normal).dot(step) <= np.square(_STEP_MAX * step_noise_ut)
        if converged:
            break
    return x, inverse, bool(converged)


def _linearised(readings: _Readings, x: Array, noise_ut: float) -> tuple[Array, Array, Array]:
    """Return the misfits of the field strength, (n,), and their derivatives with respect to bias and matrix, (n, 9).

    The third array, (n, 3), are the derivatives with respect to an error of the modelled field in inertial axes. All
    are scaled such that the standard deviation of a misfit is that of a reading, in uT.
    """
    matrix = _matrix(x)
    corrected = (readings.mag_ut - x[BIAS]).dot(matrix)
    squared = np.square(corrected).sum(axis=1)
    directions = corrected / np.sqrt(np.maximum(squared, 1e-12))[:, np.newaxis]
    along = directions.dot(matrix)
    # Ratio of the noise of the corrected strength to that of a reading.
    gain = np.sqrt(np.square(along).sum(axis=1))
    on_sphere = readings.strength_ut[:, np.newaxis] * directions.dot(np.linalg.inv(matrix))
    # Elements beside the diagonal occur twice in the symmetric matrix.
    crossed = 0.5 * (directions[:, ROWS] * on_sphere[:, COLUMNS] + directions[:, COLUMNS] * on_sphere[:, ROWS])
    partials = np.concatenate((-along, crossed * (1.0 + (ROWS != COLUMNS))), axis=1) / gain[:, np.newaxis]
    misfit = squared - np.square(readings.strength_ut) - noise_ut**2 * float(np.trace(matrix.dot(matrix)))
    scale_ut = readings.strength_ut * gain
    return 0.5 * misfit / scale_ut, partials, -readings.field_ut / scale_ut[:, np.newaxis]


def _prior_weight(settings: MagnetometerSettings) -> Array:
    """Return the inverse standard deviations of bias and matrix before the readings, shape (9,)."""
    return np.concatenate((np.zeros(3), 1.0 / (settings.matrix_sigma * np.repeat((1.0, 0.5), 3))))


def _matrix(x: Array) -> Array:
    matrix = np.empty((3, 3))
    matrix[ROWS, COLUMNS] = matrix[COLUMNS, ROWS] = x[MATRIX]
    return matrix


def _hidden_covariance(readings: _Readings, settings: MagnetometerSettings) -> Array:
    """Return the covariance of the bias, uT2, (3, 3), across a plane near which all readings are; zero without one.

    There is a second solution then, with the bias on the other side. Errors of the matrix hide the spread across the
    plane, which excludes one of the two.
    """
    variances, axes = np.linalg.eigh(np.cov(readings.mag_ut.T))
    strength_ut = _rms(readings.strength_ut)
    hidden_ut = _HIDDEN_SIGMA * settings.matrix_sigma * strength_ut
    # The bias of the second solution may differ by twice the field.
    hidden = 2.0 * strength_ut * axes[:, variances < hidden_ut**2]
    covariance: Array = hidden.dot(hidden.T)
    return covariance


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
