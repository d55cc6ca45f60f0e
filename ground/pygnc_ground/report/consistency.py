"""The running mean of normalised squares, with the band in which it should lie."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from pygnc_ground.orbit.consistency import band
from pygnc_ground.orbit.solution import FloatArray, IntArray

_WINDOW_MAX: Final = 50


@dataclass(frozen=True, slots=True, eq=False)
class RunningMean:
    """Means per degree of freedom over windows of neighbouring squares; all (k,)."""

    middle: IntArray
    """Index of the square in the middle of each window"""
    mean: FloatArray
    low: FloatArray
    """Ends of the 95 % band of a mean of independent squares"""
    high: FloatArray


def running_mean(squares: FloatArray, dof: IntArray) -> RunningMean:
    """Means over a tenth of the squares at a time, over 50 at most.

    Args:
        squares: Normalised squares, finite, shape (n,).
        dof: Their degrees of freedom, positive, shape (n,).
    """
    if not len(squares):
        return RunningMean(np.empty(0, np.int64), *[np.empty(0)] * 3)
    window = min(_WINDOW_MAX, max(1, len(squares) // 10))
    sums = np.lib.stride_tricks.sliding_window_view(squares, window).sum(axis=1)
    dofs = np.lib.stride_tricks.sliding_window_view(dof, window).sum(axis=1)
    different, which = np.unique(dofs, return_inverse=True)
    bands = np.array([band(int(total), 1) for total in different])[which]
    return RunningMean(np.arange(len(sums)) + window // 2, sums / dofs, bands[:, 0] / dofs, bands[:, 1] / dofs)
