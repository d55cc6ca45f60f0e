"""Position and clock of each epoch from pseudoranges alone, with outliers removed."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from pygnc_ground.gnss.measurements import SPEED_OF_LIGHT_M_S
from pygnc_ground.gnss.ranges import Links
from pygnc_ground.orbit.solution import BoolArray, FloatArray, IntArray

_ITERATIONS: Final = 12
_FEWEST: Final = 5
"""Least number of satellites; with four, an outlier could not be detected."""
_RADIUS_M: Final = 6.9e6
_CONVERGED_M: Final = 1e3


@dataclass(frozen=True, slots=True, eq=False)
class PointSolutions:
    """Solutions of m epochs; NaN where there is none."""

    position_ecef_m: FloatArray
    """Positions of the antenna in ITRF at the times of reception, shape (m, 3)."""
    clock_s: FloatArray
    """Clock of the receiver minus GPS time, shape (m,)."""
    residual_m: FloatArray
    """Residuals of the n pseudoranges, shape (n,); NaN if not used."""
    rms_m: FloatArray
    """Root mean square of the used residuals of each epoch, shape (m,)."""

    @property
    def known(self) -> BoolArray:
        """True where there is a solution, shape (m,)."""
        return np.isfinite(self.clock_s)


def point_solutions(links: Links, code_m: FloatArray, epoch: IntArray, limit_m: FloatArray) -> PointSolutions:
    """Solve each epoch for itself.

    Args:
        links: Satellites of n pseudoranges.
        code_m: Pseudoranges, shape (n,); NaN where missing.
        epoch: Index of the epoch of each pseudorange, ascending from 0, shape (n,).
        limit_m: Residuals above which the largest outlier of an epoch is removed, shape (n,).
    """
    count = int(epoch.max(initial=-1)) + 1
    used = links.known & np.isfinite(code_m)
    # The sum of unit vectors to the satellites points from the Earth's centre to the receiver.
    unit = np.nan_to_num(links.position_ecef_m / np.linalg.norm(links.position_ecef_m, axis=1, keepdims=True))
    position_m = _sums(epoch, unit * used[:, None], count)
    position_m *= _RADIUS_M / np.maximum(np.linalg.norm(position_m, axis=1, keepdims=True), 1e-9)
    clock_s = np.zeros(count)
    residual_m = np.full(len(code_m), np.nan)
    solvable = np.bincount(epoch, used, count) >= _FEWEST
    for iteration in range(_ITERATIONS):
        predicted = links.ranges(position_m[epoch], clock_s[epoch])
        residual_m = code_m - predicted.range_m - SPEED_OF_LIGHT_M_S * clock_s[epoch]
        weight = (used & solvable[epoch]).astype(np.float64)
        partials = np.concatenate((np.nan_to_num(predicted.direction), np.ones((len(epoch), 1))), axis=1)
        correction = _solved(partials, np.where(weight > 0.0, residual_m, 0.0), weight, epoch, count)
        position_m += correction[:, :3]
        clock_s += correction[:, 3] / SPEED_OF_LIGHT_M_S
        after_m = np.where(weight > 0.0, residual_m - np.einsum("nk,nk->n", partials, correction[epoch]), np.nan)
        moved_m = np.abs(correction).max(axis=1, initial=0.0)
        if iteration > 2:
            used &= ~_worst(after_m, epoch, count, limit_m, moved_m < _CONVERGED_M)
            solvable &= np.bincount(epoch, used, count) >= _FEWEST
    good = solvable & (moved_m < _CONVERGED_M)
    used &= good[epoch]
    residual_m = np.where(used, after_m, np.nan)
    numbers = np.maximum(np.bincount(epoch, used, count), 1.0)
    rms_m = np.sqrt(np.bincount(epoch, np.nan_to_num(residual_m) ** 2, count) / numbers)
    position_m[~good], clock_s[~good], rms_m[~good] = np.nan, np.nan, np.nan
    return PointSolutions(position_m, clock_s, residual_m, rms_m)


def _sums(epoch: IntArray, values: FloatArray, count: int) -> FloatArray:
    """Return the sums of values (n, k) by epoch, shape (m, k)."""
    return np.stack([np.bincount(epoch, column, count) for column in values.T], axis=1)


def _solved(
    partials: FloatArray, residual_m: FloatArray, weight: FloatArray, epoch: IntArray, count: int
) -> FloatArray:
    """Return least-squares corrections of all epochs, shape (m, k); zero where the geometry is singular."""
    size = partials.shape[1]
    products = (weight[:, None, None] * partials[:, :, None] * partials[:, None, :]).reshape(-1, size * size)
    normal = _sums(epoch, products, count).reshape(count, size, size)
    right = _sums(epoch, (weight * residual_m)[:, None] * partials, count)
    good = np.linalg.det(normal) > 1e-6
    normal[~good] = np.eye(size)
    corrections = np.asarray(np.linalg.solve(normal, right[:, :, None])[:, :, 0], dtype=np.float64)
    corrections[~good] = 1e9
    return corrections


def _worst(residual_m: FloatArray, epoch: IntArray, count: int, limit_m: FloatArray, judged: BoolArray) -> BoolArray:
    """Return flags of the largest residual of each judged epoch, if it exceeds the limit, shape (n,)."""
    size = np.nan_to_num(np.abs(residual_m))
    largest = np.zeros(count)
    np.maximum.at(largest, epoch, size)
    return np.asarray((size > limit_m) & (size >= largest[epoch]) & judged[epoch])
