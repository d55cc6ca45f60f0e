"""Polynomials through neighbouring samples of an orbit.

Each moment is interpolated from the few samples around it, by position alone (Lagrange) or by position and velocity
(Hermite). All moments of a call are done at once: scipy's Krogh interpolation, which gives the same numbers, builds one
polynomial per window in Python and takes a hundred times as long.
"""

import numpy as np

from pygnc_ground.truth.orbit_truth import FloatArray, IntArray

_NS_PER_S = 1e9


def lagrange(sample_ns: IntArray, position_m: FloatArray, window: int, gps_ns: IntArray) -> FloatArray:
    """Positions, and their derivative by time, from positions alone.

    Args:
        sample_ns: Times of the samples, ascending, shape (s,), s >= window.
        position_m: Samples, shape (s, 3).
        window: How many samples each polynomial passes through; its degree is one less.
        gps_ns: Moments within the samples' span, shape (n,).

    Returns:
        Position in m and velocity in m/s, shape (n, 6).
    """
    near, offset, step_s = _windows(sample_ns, window, gps_ns)
    value, slope = _lagrange_basis(*offset)
    return np.concatenate(
        (_combine(value, position_m[near]), _combine(slope, position_m[near]) / step_s[:, None]), axis=1
    )


def hermite(sample_ns: IntArray, state: FloatArray, window: int, gps_ns: IntArray) -> FloatArray:
    """Positions and velocities from both.

    Args:
        sample_ns: Times of the samples, ascending, shape (s,), s >= window.
        state: Position in m and velocity in m/s at them, shape (s, 6).
        window: How many samples each polynomial passes through; its degree is twice as many, less one.
        gps_ns: Moments within the samples' span, shape (n,).

    Returns:
        Position in m and velocity, the position's derivative, in m/s, shape (n, 6).
    """
    near, (offset, spacing), step_s = _windows(sample_ns, window, gps_ns)
    value, slope = _lagrange_basis(offset, spacing)
    # Hildebrand, Introduction to Numerical Analysis, section 8.2: from the Lagrange basis l and its slope at the own
    # sample, h = (1 - 2 l'(x_j) (x - x_j)) l^2 takes the values and k = (x - x_j) l^2 the slopes.
    own_slope = (1.0 / (spacing + np.diag(np.full(window, np.inf)))).sum(axis=2)
    factor = 1.0 - 2.0 * own_slope * offset
    square, twice = value**2, 2.0 * value * slope
    position_m = _combine(factor * square, state[near, :3])
    position_m += _combine(offset * square, state[near, 3:]) * step_s[:, None]
    velocity_mps = _combine(factor * twice - 2.0 * own_slope * square, state[near, :3]) / step_s[:, None]
    velocity_mps += _combine(square + offset * twice, state[near, 3:])
    return np.concatenate((position_m, velocity_mps), axis=1)


def _windows(
    sample_ns: IntArray, window: int, gps_ns: IntArray
) -> tuple[IntArray, tuple[FloatArray, FloatArray], FloatArray]:
    """Which samples surround each moment, (n, window), and their times in units of their mean step.

    The times are the moment less each sample, (n, window), and each sample less each other, (n, window, window). The
    third value is that step in s, (n,). Near an end the window stops there and the moment leaves its middle.
    """
    before = np.searchsorted(sample_ns, gps_ns, side="right") - 1
    first = np.clip(before - (window - 1) // 2, 0, len(sample_ns) - window)
    near = first[:, None] + np.arange(window)
    times_ns = sample_ns[near]
    step_ns = (times_ns[:, -1] - times_ns[:, 0]) / (window - 1)
    offset = (gps_ns[:, None] - times_ns) / step_ns[:, None]
    spacing = (times_ns[:, :, None] - times_ns[:, None, :]) / step_ns[:, None, None]
    return near, (offset, spacing), step_ns / _NS_PER_S


def _lagrange_basis(offset: FloatArray, spacing: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Lagrange's polynomials and their slopes, each (n, window), at moments given as `_windows` does."""
    window = offset.shape[1]
    own = np.eye(window, dtype=bool)
    divisor = np.where(own, 1.0, spacing)
    # Divided and not multiplied by the inverse: a moment at a sample then gives that sample to the last bit.
    factors = np.where(own, 1.0, offset[:, None, :] / divisor)
    slope = np.zeros_like(offset)
    for other in range(window):
        differentiated = factors.copy()
        differentiated[:, :, other] = 1.0 / divisor[:, :, other]
        differentiated[:, other, other] = 0.0
        slope += differentiated.prod(axis=2)
    return factors.prod(axis=2), slope


def _combine(weights: FloatArray, samples: FloatArray) -> FloatArray:
    """Weighted sums; shapes (n, window), (n, window, 3) -> (n, 3)."""
    combined: FloatArray = np.einsum("nw,nwc->nc", weights, samples)
    return combined
