"""Fewer points for the same picture."""

from typing import Final

import numpy as np

from pygnc_ground.orbit.solution import FloatArray, IntArray

_GOLDEN: Final = 0.6180339887498949
"""Of its multiples, the fractional parts fill the interval evenly and without a period."""


def extremes(y: FloatArray, bins: int) -> IntArray:
    """Indices, ascending, of the lowest and the highest value in each of at most `bins` runs of equal length.

    All indices when there are not more than two per bin. `y` is (n,) and finite. Peaks survive, so that an outlier
    among thousands of points is still seen.
    """
    if len(y) <= 2 * bins:
        return np.arange(len(y))
    length = -(-len(y) // bins)
    runs = -(-len(y) // length)
    padded = np.pad(y, (0, runs * length - len(y)), mode="edge").reshape(runs, length)
    begin = np.arange(runs) * length
    picked = np.concatenate((begin + padded.argmin(axis=1), begin + padded.argmax(axis=1), [0, len(y) - 1]))
    return np.unique(np.minimum(picked, len(y) - 1))


def scattered(y: FloatArray, bins: int) -> IntArray:
    """Indices, ascending, of at most about two values per bin: peaks as `extremes`, the rest scattered as all are.

    Extremes alone would leave a void in the middle of noise. `y` is (n,) and finite.
    """
    if len(y) <= 2 * bins:
        return np.arange(len(y))
    runs = 7 * bins // 4
    edges = np.arange(runs + 1) * len(y) // runs
    within = np.arange(runs) * _GOLDEN % 1.0
    drawn = edges[:-1] + (within * np.diff(edges)).astype(np.int64)
    return np.unique(np.concatenate((drawn, extremes(y, max(1, bins // 8)))))
