"""Whitening of observations whose errors are partly correlated in time.

The error of an observation is white noise plus a first-order Gauss-Markov process. The scalar Kalman filter of that
process turns observations into independent innovations of unit variance (Cholesky factorisation of a semiseparable
matrix), at a cost that is linear in their number. The same linear operation applies to derivatives.
"""

import math

import numpy as np

from pygnc_ground.orbit.solution import FloatArray, IntArray


class Whitening:
    """Linear operation that makes n observations of unit variance independent.

    Args:
        gps_ms: Times of the observations in order, GPS milliseconds, shape (n,).
        weight: Weights of the observations, which divide the variance of their white errors, shape (n,).
        share: Correlated share of the variance, 0 to less than 1.
        time_s: Correlation time.
    """

    def __init__(self, gps_ms: IntArray, weight: FloatArray, share: float, time_s: float) -> None:
        self._kept = np.exp(-np.diff(gps_ms, prepend=gps_ms[:1]) * (1e-3 / time_s))
        variance = np.divide(1.0 - share, weight, out=np.full(len(weight), np.inf), where=weight > 0.0)
        self._gain, self._unit = np.zeros(len(weight)), np.zeros(len(weight))
        self._is_white = share == 0.0
        known, self.log_determinant = share, 0.0
        for row, (kept, white) in enumerate(zip(self._kept.tolist(), variance.tolist(), strict=True)):
            known = kept * kept * known + (1.0 - kept * kept) * share
            if white < math.inf:
                total = known + white
                self._gain[row], self._unit[row] = known / total, 1.0 / math.sqrt(total)
                known *= white / total
                self.log_determinant += math.log(total)
        """`log_determinant`: logarithm of the determinant of the covariance of the observations with a weight."""

    def apply(self, values: FloatArray, first: int, state: FloatArray) -> FloatArray:
        """Return whitened values of the same shape (k, ...).

        Args:
            values: Values that belong to the observations from number `first` on.
            first: Index of the first observation.
            state: Predicted correlated part, zero for the first observation, shape (...); it is updated.
        """
        rows = slice(first, first + len(values))
        unit = self._unit[rows].reshape(-1, *[1] * (values.ndim - 1))
        if self._is_white:
            return np.asarray(unit * values)
        innovations = np.empty_like(values)
        if values.ndim == 2:
            for column, before in enumerate(state.tolist()):
                innovations[:, column], state[column] = self._innovations(values[:, column], rows, before)
        else:
            for row, (kept, gain) in enumerate(zip(self._kept[rows].tolist(), self._gain[rows].tolist(), strict=True)):
                state *= kept
                np.subtract(values[row], state, out=innovations[row])
                state += gain * innovations[row]
        innovations *= unit
        return innovations

    def _innovations(self, values: FloatArray, rows: slice, state: float) -> tuple[list[float], float]:
        """Return the innovations of one number per observation, and the state; plain numbers are the fastest here."""
        innovations = []
        kept_and_gain = zip(self._kept[rows].tolist(), self._gain[rows].tolist(), strict=True)
        for value, (kept, gain) in zip(values.tolist(), kept_and_gain, strict=True):
            state *= kept
            innovation = value - state
            state += gain * innovation
            innovations.append(innovation)
        return innovations, state
