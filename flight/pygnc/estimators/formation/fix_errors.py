"""Correlated errors of the receivers: likelihoods of error models, and normal equations of whitened fixes.

Ionosphere, multipath and broadcast ephemerides change the fixes slowly. As in the orbit filter (`error_models`), the
variance of positions and velocities consists of a white and a first-order Gauss-Markov part. A share of the latter is
common to all receivers: satellites near each other see the same GPS satellites through the same ionosphere. Such errors
cancel in differences of simultaneous fixes, and thus in relative orbits.

A Kalman filter of the Gauss-Markov errors alone makes the fixes white: its innovations, divided by the root of their
covariance, are independent. The selected model has the largest evidence: the probability of the fixes with all orbits
marginalised (MacKay, Neural Computation 4, 1992).
"""

import math
from collections.abc import Iterable, Sequence
from itertools import product
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pygnc.common.arrays import Array
from pygnc.estimators.orbit.error_models import CORRELATED, WHITE, ErrorModel

COMMON_SHARES: Final = (0.0, 0.5, 0.9)
"""Shares of the variance of correlated errors that are common to all receivers."""


class FixErrors(NamedTuple):
    """Error model of all receivers.

    Attributes:
        model: Split of the error variance into a white and a correlated part.
        common: Share of the correlated variance that is common to all receivers, 0 to 1.
    """

    model: ErrorModel
    common: float = 0.0

    def inflation(self, interval_s: float) -> tuple[float, float]:
        """Return factors on standard deviations of positions and velocities for an estimator with white errors.

        With these factors, the mean of many fixes at intervals of `interval_s` seconds has its true variance.
        """
        kept = math.exp(-max(interval_s, 1.0) / self.model.time_s)
        growth = 2.0 * kept / (1.0 - kept)
        shares = self.model.position_share, self.model.velocity_share
        return math.sqrt(1.0 + shares[0] * growth), math.sqrt(1.0 + shares[1] * growth)


WHITE_ERRORS: Final = FixErrors(WHITE)
FIX_ERRORS: Final = (WHITE_ERRORS, *(FixErrors(*each) for each in product(CORRELATED, COMMON_SHARES)))


class FixRows(NamedTuple):
    """Fixes of s satellites at n times as equations, in units of their standard deviations.

    Attributes:
        time_s: Times in ascending order, (n,).
        values: Derivatives with respect to q - 1 parameters, then the residual; zero without a fix. Shape
            (n, 2, s, 3, q); index 0 of the second axis are positions, index 1 velocities.
        used: True where a position or velocity is used, (n, 2, s).
    """

    time_s: Array
    values: Array
    used: npt.NDArray[np.bool_]


def whitened_squares(blocks: Iterable[FixRows], errors: Sequence[FixErrors]) -> tuple[Array, Array]:
    """Return the normal equations of the fixes, whitened according to each of k error models.

    Args:
        blocks: Successive parts of the fixes, each with at least one time; all at once would take megabytes.
        errors: The error models.

    Returns:
        A' A of shape (k, q, q) for the whitened equations A (derivatives and residuals), and the logarithms of the
        determinants of the fixes' error covariances, (k,).
    """
    shares = np.array([(each.model.position_share, each.model.velocity_share) for each in errors])[..., None]
    common = np.array([each.common for each in errors])[:, None, None, None]
    correlation_s = np.array([each.model.time_s for each in errors])
    covariance = error = np.zeros(0)
    squares, log_determinant = np.zeros(0), np.zeros(len(errors))
    before_s = None
    for block in blocks:
        times, kinds, count, axes, columns = block.values.shape
        stationary = common + (1.0 - common) * np.eye(count)
        if before_s is None:
            before_s = block.time_s[0]
            covariance = np.broadcast_to(stationary, (len(errors), kinds, count, count))
            error = np.zeros((len(errors), kinds, count, axes * columns))
            squares = np.zeros((len(errors), columns, columns))
        white = np.empty((times, *error.shape))
        step_s, before_s = np.diff(block.time_s, prepend=before_s), block.time_s[-1]
        kept = np.exp(-step_s[:, None] / correlation_s)[..., None, None, None]
        for time, values in enumerate(block.values.reshape(times, kinds, count, -1)):
            covariance = kept[time] ** 2 * covariance + (1.0 - kept[time] ** 2) * stationary
            error = kept[time] * error
            response = np.sqrt(shares) * block.used[time]
            cross = response[..., None] * covariance
            variance = cross * response[..., None, :] + (1.0 - response**2)[..., None] * np.eye(count)
            root = np.linalg.cholesky(variance)
            # The inverse costs less than a solution, which would copy all columns of the right side twice.
            solved = np.linalg.inv(root) @ np.concatenate((cross, values - response[..., None] * error), axis=-1)
            gain, white[time] = solved[..., :count].swapaxes(-1, -2), solved[..., count:]
            covariance = covariance - gain @ solved[..., :count]
            error = error + gain @ white[time]
            log_determinant += 2.0 * axes * np.log(np.diagonal(root, axis1=-2, axis2=-1)).sum(axis=(1, 2))
        rows = white.swapaxes(0, 1).reshape(len(errors), -1, columns)
        squares += rows.swapaxes(1, 2) @ rows
    return squares, log_determinant
