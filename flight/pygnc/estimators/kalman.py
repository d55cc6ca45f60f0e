"""Square-root Kalman filter algebra: triangularisation, innovation covariance and measurement update.

Array algorithm by orthogonal triangularisation (Kaminski, Bryson & Schmidt, IEEE TAC 16, 1971): one QR factorisation of
the pre-array gives the square root of the innovation covariance, the gain and the new square root of the state
covariance. Nothing is subtracted from a covariance.
"""

import math

import numpy as np

from pygnc.common.arrays import Array


def triangular(root: Array) -> Array:
    """Return the lower triangular L (n, n) with L L' = root root', for a root of shape (n, m).

    The result is always a new array in C order: a filter that continues from a checkpoint must have the same memory
    layout, or sums may round differently.
    """
    size = len(root)
    reflectors, _ = np.linalg.qr(root.T, mode="raw")
    lower: Array = np.tri(size) * reflectors[:, :size]
    return lower


def innovation_covariance(root: Array, partials: Array, sigma: Array) -> Array:
    """Return the covariance of measured minus predicted, shape (m, m).

    Args:
        root: L with prior covariance L L', shape (n, n).
        partials: Measurement partials H, shape (m, n).
        sigma: Standard deviations of independent measurement errors, shape (m,).
    """
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
    size = len(sigma)
    array = np.zeros((size + len(x), size + len(x)))
    array[:size, :size].flat[:: size + 1] = sigma
    array[:size, size:] = partials.dot(root)
    array[size:, size:] = root
    lower = triangular(array)
    normalised = np.linalg.solve(lower[:size, :size], residual)
    return x + lower[size:, :size].dot(normalised), lower[size:, size:].copy(), float(normalised.dot(normalised))


def chi_square(residual: Array, covariance: Array) -> float:
    """Return the normalised innovation squared r' S^-1 r of three components, by Cholesky factorisation."""
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
