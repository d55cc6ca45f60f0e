"""Square-root Kalman filter algebra: triangularisation, innovation covariance, update, and roots of covariances.

Array algorithm by orthogonal triangularisation (Kaminski, Bryson & Schmidt, IEEE TAC 16, 1971): one QR factorisation of
the pre-array gives the square root of the innovation covariance, the gain and the new square root of the state
covariance. No covariance is formed by subtraction, so none loses positive definiteness by rounding.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from pygnc.common.arrays import Array


class Observation(NamedTuple):
    """A linearised measurement of m components.

    Attributes:
        residual: Measured minus predicted, shape (m,).
        partials: Derivative of the prediction with respect to the n elements of the state, shape (m, n).
        sigma: Standard deviations of the independent measurement errors, shape (m,).
    """

    residual: Array
    partials: Array
    sigma: Array

    def scaled(self, factor: float) -> "Observation":
        """Return the observation with the standard deviations multiplied by `factor`."""
        return self if factor == 1.0 else Observation(self.residual, self.partials, factor * self.sigma)

    @staticmethod
    def stacked(observations: Sequence["Observation"]) -> "Observation":
        """Return one observation whose components are those of all observations in order."""
        return Observation(*(np.concatenate(parts) for parts in zip(*observations, strict=True)))


def triangular(root: Array) -> Array:
    """Return the lower triangular L (..., n, n) with L L' = root root', for roots of shape (..., n, m).

    With fewer columns than rows, L has the shape (..., n, m).
    The result is always a new array in C order: a filter that continues from a checkpoint must have the same memory
    layout, or sums may round differently.
    """
    size = root.shape[-2]
    reflectors, _ = np.linalg.qr(root.swapaxes(-1, -2), mode="raw")
    lower: Array = np.ascontiguousarray(_lower_ones(size)[:, : root.shape[-1]] * reflectors[..., :size])
    return lower


def triangular_by_cholesky(root: Array) -> Array:
    """Return the result of `triangular` for one root, (n, m), in less than half the time, by factorising root root'.

    The product loses a few of the sixteen digits, which is harmless while process noise keeps it far from singular.
    """
    try:
        lower: Array = np.linalg.cholesky(root.dot(root.T))
    except np.linalg.LinAlgError:
        return triangular(root)
    return lower


@lru_cache(maxsize=8)
def _lower_ones(size: int) -> Array:
    return np.tri(size)


def innovation_covariance(root: Array, partials: Array, sigma: Array) -> Array:
    """Return the covariance of measured minus predicted, shape (m, m); arguments as in `update`."""
    projected = partials.dot(root)
    covariance: Array = projected.dot(projected.T)
    covariance.flat[:: len(sigma) + 1] += sigma * sigma
    return covariance


def update(x: Array, root: Array, residual: Array, partials: Array, sigma: Array) -> tuple[Array, Array, float]:
    """Return state and covariance square root after a measurement.

    Args:
        x: Prior state, shape (n,).
        root: L with prior covariance L L', shape (n, n).
        residual: Measured minus predicted, shape (m,).
        partials: Measurement partials H, shape (m, n).
        sigma: Standard deviations of independent measurement errors, shape (m,).

    Returns:
        Posterior state (n,), lower triangular root (n, n), and the normalised innovation squared r' S^-1 r.
    """
    states, roots, nis, _ = update_stacked(x[None], root[None], residual[None], partials[None], sigma[None])
    return states[0], roots[0], float(nis[0])


def update_stacked(
    x: Array, root: Array, residual: Array, partials: Array, sigma: Array
) -> tuple[Array, Array, Array, Array]:
    """Return k independent states and covariance square roots after a measurement of each.

    The arguments are those of `update` with a leading axis of length k.

    Returns:
        Posterior states (k, n), lower triangular roots (k, n, n), normalised innovations squared (k,), and logarithms
        of the likelihoods of the innovations, without the constant that all measurements of m components share, (k,).
    """
    count, size = sigma.shape
    whole = size + x.shape[1]
    array = np.zeros((count, whole, whole))
    rows = np.arange(size)
    array[:, rows, rows] = sigma
    array[:, :size, size:] = partials @ root
    array[:, size:, size:] = root
    lower = triangular(array)
    normalised = np.linalg.solve(lower[:, :size, :size], residual[:, :, None])
    nis = np.einsum("kij,kij->k", normalised, normalised)
    log_likelihood = -0.5 * nis - np.log(np.abs(lower[:, rows, rows])).sum(axis=1)
    posterior = x + (lower[:, size:, :size] @ normalised)[:, :, 0]
    return posterior, np.ascontiguousarray(lower[:, size:, size:]), nis, log_likelihood


def chi_square(residual: Array, covariance: Array) -> float:
    """Return the normalised innovation squared r' S^-1 r by Cholesky factorisation; fastest for three components."""
    if len(residual) != 3:
        normalised = np.linalg.solve(np.linalg.cholesky(covariance), residual)
        return float(normalised.dot(normalised))
    r0, r1, r2 = residual.tolist()
    (s00, s10, s20), (_, s11, s21), (_, _, s22) = covariance.tolist()
    l00 = math.sqrt(s00)
    l10, l20 = s10 / l00, s20 / l00
    l11 = math.sqrt(s11 - l10 * l10)
    l21 = (s21 - l20 * l10) / l11
    l22 = math.sqrt(s22 - l20 * l20 - l21 * l21)
    y0 = r0 / l00
    y1 = (r1 - l10 * y0) / l11
    y2 = (r2 - l20 * y0 - l21 * y1) / l22
    return float(y0 * y0 + y1 * y1 + y2 * y2)


def scaled_inverse(matrices: Array) -> Array:
    """Return the inverses of symmetric positive definite matrices (..., p, p) whose parameters have different units.

    Rows and columns are divided by the roots of the diagonal before the inversion. The inverse of a normal matrix is
    the covariance, and vice versa.
    """
    # A diagonal element that is the difference of two large numbers may be negative or zero by rounding.
    unit = 1.0 / np.sqrt(np.maximum(np.diagonal(matrices, axis1=-2, axis2=-1), 1e-20))
    scaled = unit[..., :, None] * matrices * unit[..., None, :]
    inverse: Array = unit[..., :, None] * np.linalg.inv(scaled) * unit[..., None, :]
    return inverse


def covariance_root(matrices: Array) -> Array:
    """Return lower triangular roots L of covariances L L' (..., p, p) whose parameters have different units."""
    unit = np.sqrt(np.diagonal(matrices, axis1=-2, axis2=-1))
    values, vectors = np.linalg.eigh(matrices / unit[..., :, None] / unit[..., None, :])
    # Eigenvalues of a correlation matrix below 1e-14 are rounding errors and may be negative.
    lower = triangular(vectors * np.sqrt(np.maximum(values, 1e-14))[..., None, :])
    signs = np.where(np.diagonal(lower, axis1=-2, axis2=-1) < 0.0, -1.0, 1.0)
    root: Array = unit[..., :, None] * lower * signs[..., None, :]
    return root
