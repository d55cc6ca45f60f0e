"""Weights that keep wild fixes from the solution, and the scale of the noise, from the residuals themselves.

A residual is judged as a vector: its length in standard deviations, squared, is chi-square with three degrees of
freedom. While the orbit still moves, Huber's weights are used (1964): they never leave anything out for good. Then
those of Yang's IGG III scheme (J. Geodesy 73, 1999): one, falling to zero at the gate.
"""

import math
from typing import Final

import numpy as np

from pygnc_ground.orbit.solution import FloatArray

_HUBER_LIMIT: Final = 2.5
"""Nine in ten lengths of three normal components are below."""
_FULL_WEIGHT: Final = 0.75
"""Up to this fraction of the gate's length a residual has full weight."""
_MEDIAN_OF_CHI_SQUARE: Final = 2.366
"""With three degrees of freedom."""
_FITTED_MAX: Final = 0.8
_CLAIM: Final = 20.0
"""The receiver's own standard deviations count as much as so many residuals."""


def huber(length: FloatArray) -> FloatArray:
    """Weights for residuals of a length in standard deviations, shape (n,)."""
    return _HUBER_LIMIT / np.maximum(length, _HUBER_LIMIT)


def redescending(length: FloatArray, gate: float) -> FloatArray:
    """Weights that are zero from the chi-square limit `gate` on, shape (n,)."""
    last = np.sqrt(gate)
    full = _FULL_WEIGHT * last
    falling = full / np.maximum(length, full) * (np.clip(last - length, 0.0, last - full) / (last - full)) ** 2
    return np.where(length <= full, 1.0, falling)


def noise_scale(chi_square: FloatArray, fitted: float, gate: float, scale_min: float) -> float:
    """Factor on the receiver's standard deviations: by the median, then by the median of what the gate lets pass.

    Args:
        chi_square: Squared lengths of residuals in the receiver's standard deviations, shape (n,).
        fitted: Part of the numbers that went into the fit and lowers the residuals, 0 to 1.
        gate: Chi-square limit.
        scale_min: Least factor.
    """
    if not len(chi_square):
        return 1.0
    passing = chi_square[chi_square <= gate * max(_variance(chi_square), scale_min**2)]
    variance = _variance(passing) / (1.0 - min(fitted, _FITTED_MAX))
    return max(math.sqrt((len(passing) * variance + _CLAIM) / (len(passing) + _CLAIM)), scale_min)


def _variance(chi_square: FloatArray) -> float:
    """Of one component, by the median."""
    return float(np.median(chi_square)) / _MEDIAN_OF_CHI_SQUARE
