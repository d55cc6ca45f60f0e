"""Fewer points for the same picture."""

import numpy as np

from pygnc_ground.orbit.solution import FloatArray, IntArray


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
