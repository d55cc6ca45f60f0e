"""The magnetometer's calibration, first step: the centred estimate.

After Alonso & Shuster, Complete linear attitude-independent magnetometer calibration, J. Astronaut. Sci. 50, 2002.
"""

from typing import Final, NamedTuple

import numpy as np

from pygnc.common.quantiles import median
from pygnc.environment.arrays import Array
from pygnc.estimators.attitude.state import Flags

BIAS: Final = slice(0, 3)
MATRIX: Final = slice(3, 9)
"""Elements xx, yy, zz, xy, xz, yz."""

ROWS: Final = np.array([0, 1, 2, 0, 0, 1])
COLUMNS: Final = np.array([0, 1, 2, 1, 2, 2])
TWICE: Final = np.array([1.0, 1.0, 1.0, 2.0, 2.0, 2.0])
"""Off the diagonal an element stands twice."""
MEDIAN_TO_SIGMA: Final = 1.4826
"""From the median of absolute values to the standard deviation, for the normal distribution."""

_ITERATIONS: Final = 20
_HUBER: Final = 1.345
"""In standard deviations: readings farther off lose weight."""


class Readings(NamedTuple):
    """Measured and modelled field of those that are not damaged, both (n, 3), and the latter's strength (n,)."""

    mag_ut: Array
    field_ut: Array
    strength_ut: Array

    def chosen(self, rows: Flags) -> "Readings":
        """Some of them."""
        return Readings(self.mag_ut[rows], self.field_ut[rows], self.strength_ut[rows])


def centred_estimate(readings: Readings, free: int) -> tuple[Array, Array] | None:
    """Bias and matrix by linear least squares, with Huber's weights; None where that has no answer.

    The squared strength is m' S m - 2 (S b)' m + constant with S = matrix squared; the constant takes up the mean.
    """
    mag_ut, strength_ut = readings.mag_ut, readings.strength_ut
    columns = np.concatenate((-2.0 * mag_ut, mag_ut[:, ROWS] * mag_ut[:, COLUMNS] * TWICE), axis=1)
    wanted = np.square(strength_ut)
    if free == 3:
        wanted = wanted - np.square(mag_ut).sum(axis=1)
        columns = columns[:, BIAS]
    weight = np.square(1.0 / strength_ut)
    share = np.ones_like(weight)
    for _ in range(_ITERATIONS):
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
