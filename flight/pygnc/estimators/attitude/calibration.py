"""Bias, scale and axes of the magnetometer from the field's strength alone, with no attitude.

With a reading m, the true field is as strong as matrix (m - bias). The matrix is symmetric: a turn of all axes does not
show in any strength. The method is TWOSTEP: `calibration_start`, then `calibration_fit`.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from pygnc.common.quantiles import median
from pygnc.environment.arrays import Array
from pygnc.estimators.attitude.calibration_fit import Solution, rms, solved
from pygnc.estimators.attitude.calibration_settings import CalibrationSettings
from pygnc.estimators.attitude.calibration_start import BIAS, MATRIX, Readings
from pygnc.estimators.attitude.state import Flags

_FARTHEST: Final = 3.0
"""In strengths of the field: no two good readings are farther apart, even with scale errors of a third."""
_SIGMA_TOLD_UT: Final = 1e3
_MISFIT_MAX: Final = 1.5
"""By which the scatter may be larger with the bias alone."""


class CalibrationFailed(ValueError):  # noqa: N818 - it is no mistake of the caller's
    """The readings do not tell the bias; the message says why."""


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """What the readings tell of the magnetometer.

    Attributes:
        bias_ut: In sensor axes, shape (3,).
        matrix: Symmetric, shape (3, 3).
        covariance: Of bias (uT) and matrix (xx, yy, zz, xy, xz, yz), shape (9, 9). It holds the field model's error,
            and where the matrix was not estimated that of the assumed one.
        full: Whether the matrix was estimated; otherwise it is the identity.
        noise_ut: Scatter of the used readings, per axis.
        rms_before_ut: Root mean square of strength as read minus strength of the field, over the used readings.
        rms_after_ut: The same as corrected.
        samples: How many readings there were.
        used: Which of them were used, shape (samples,).
        converged: Whether the iteration came to its end.
    """

    bias_ut: Array
    matrix: Array
    covariance: Array
    full: bool
    noise_ut: float
    rms_before_ut: float
    rms_after_ut: float
    samples: int
    used: Flags
    converged: bool

    @property
    def bias_sigma_ut(self) -> Array:
        """Shape (3,)."""
        sigma: Array = np.sqrt(np.diagonal(self.covariance)[BIAS])
        return sigma

    @property
    def matrix_sigma(self) -> Array:
        """Of the elements xx, yy, zz, xy, xz, yz, shape (6,)."""
        sigma: Array = np.sqrt(np.diagonal(self.covariance)[MATRIX])
        return sigma

    def corrected_ut(self, mag_imu_ut: Array) -> Array:
        """Readings (n, 3) or (3,) without bias and with equal, orthogonal axes."""
        corrected: Array = (mag_imu_ut - self.bias_ut).dot(self.matrix)
        return corrected

    def good_enough(self, settings: CalibrationSettings) -> bool:
        """Whether an attitude filter does better to start with it than without.

        It is handed over as `Prior` (`attitude.window`): the bias and its sigma behind those of the gyro. A filter
        that is given corrected readings takes zero for the bias.
        """
        return self.converged and bool(self.bias_sigma_ut.max() <= settings.prior_sigma_max_ut)


def calibrate(mag_imu_ut: Array, field_gcrf_ut: Array, settings: CalibrationSettings) -> Calibration:
    """Calibrate with all of these readings; 20 ms for a thousand.

    The matrix is estimated if that makes the bias better known than an assumed one does.

    Args:
        mag_imu_ut: Readings in sensor axes, shape (n, 3).
        field_gcrf_ut: The modelled field at their places, shape (n, 3). The calibration takes its strength alone; the
            direction says how errors of the model hang together.
        settings: Limits and errors.

    Raises:
        CalibrationFailed: There are too few readings, or the body has turned too little.
    """
    finite = np.isfinite(mag_imu_ut).all(axis=1) & np.isfinite(field_gcrf_ut).all(axis=1)
    plausible = np.flatnonzero(finite)[_plausible(mag_imu_ut[finite], field_gcrf_ut[finite])]
    if len(plausible) < settings.samples_min:
        raise CalibrationFailed(f"too few samples: {len(plausible)}, and {settings.samples_min} are needed")
    mag_ut, field_ut = mag_imu_ut[plausible], field_gcrf_ut[plausible]
    readings = Readings(mag_ut, field_ut, np.sqrt(np.square(field_ut).sum(axis=1)))

    best = _best(readings, settings)
    kept = readings.chosen(best.used)
    after_ut = np.linalg.norm((kept.mag_ut - best.bias_ut).dot(best.matrix), axis=1) - kept.strength_ut
    used = np.zeros(len(mag_imu_ut), np.bool_)
    used[plausible[best.used]] = True
    return Calibration(
        best.bias_ut,
        best.matrix,
        best.covariance,
        not np.array_equal(best.matrix, np.eye(3)),
        best.noise_ut,
        rms(np.linalg.norm(kept.mag_ut, axis=1) - kept.strength_ut),
        rms(after_ut),
        len(mag_imu_ut),
        used,
        best.converged,
    )


def _best(readings: Readings, settings: CalibrationSettings) -> Solution:
    """The solution with or without the matrix that knows the bias better.

    Raises:
        CalibrationFailed: It does not know it well enough.
    """
    biased, full = solved(readings, settings)
    if biased is not None and full is not None and biased.noise_ut > _MISFIT_MAX * full.noise_ut:
        # The axes are too unequal for it; its sigmas do not know.
        biased = None
    found = [one for one in (biased, full) if one is not None]
    best = min(found, key=lambda one: one.bias_variance, default=None)
    sigma_ut = np.full(3, np.inf) if best is None else np.sqrt(np.diagonal(best.covariance)[BIAS])
    unresolved = [axis for axis, sigma in zip("xyz", sigma_ut, strict=True) if not sigma <= settings.bias_sigma_max_ut]
    if best is None or unresolved:
        axes = f"{', '.join(unresolved)} {'axis' if len(unresolved) == 1 else 'axes'} unresolved"
        known = f", known to {sigma_ut.max():.0f} uT only" if sigma_ut.max() < _SIGMA_TOLD_UT else ""
        raise CalibrationFailed(f"not enough rotation: {axes}{known}")
    return best


def _plausible(mag_ut: Array, field_ut: Array) -> Flags:
    """Readings near enough to the others to be of the same field, whatever the bias."""
    if not len(mag_ut):
        return np.zeros(0, np.bool_)
    apart_ut = np.linalg.norm(mag_ut - median(mag_ut), axis=1)
    strength_ut = np.linalg.norm(field_ut, axis=1)
    near: Flags = (apart_ut <= _FARTHEST * strength_ut.max()) & (strength_ut > 0.0)
    return near
