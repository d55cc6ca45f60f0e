"""Covariances kept as square roots, and the Kalman update on them.

Array algorithm by orthogonal triangularisation (Kaminski, Bryson & Schmidt, IEEE TAC 16, 1971): one QR factorisation of
the pre-array gives the innovation's root, the gain and the new root, and nothing is ever subtracted from a covariance.
"""

import numpy as np

from pygnc.environment.arrays import Array


def triangular(root: Array) -> Array:
    """Lower triangular L (n, n) with L L' = root root', for a root of shape (n, m).

    Always a new array in C order: a filter that goes on from a checkpoint must see the same memory layout, or sums may
    round differently.
    """
    size = len(root)
    reflectors, _ = np.linalg.qr(root.T, mode="raw")
    lower: Array = np.tri(size) * reflectors[:, :size]
    return lower


def innovation_covariance(root: Array, partials: Array, sigma: Array) -> Array:
    """Covariance of measured minus predicted, shape (m, m).

    Args:
        root: L with prior covariance L L', shape (n, n).
        partials: H, shape (m, n).
        sigma: Standard deviations of independent measurement errors, shape (m,).
    """
    projected = partials.dot(root)
    covariance: Array = projected.dot(projected.T)
    covariance.flat[:: len(sigma) + 1] += sigma * sigma
    return covariance


def update(x: Array, root: Array, residual: Array, partials: Array, sigma: Array) -> tuple[Array, Array, float]:
    """State and root after a measurement.

    Args:
        x: Prior state, shape (n,).
        root: L with prior covariance L L', shape (n, n).
        residual: Measured minus predicted, shape (m,).
        partials: H, shape (m, n).
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
