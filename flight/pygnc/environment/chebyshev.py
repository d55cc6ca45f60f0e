"""Daily Chebyshev interpolation of slow functions of time.

Precession-nutation and the ephemerides of Sun and Moon cost hundreds of microseconds per call and hardly change within
a filter step. The polynomials span GPS days from midnight to midnight, so a value never depends on earlier calls: two
runs with different histories agree bit for bit.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Final

import numpy as np

from pygnc.common.arrays import Array
from pygnc.environment.time_scales import MS_PER_DAY, SECONDS_PER_DAY

_DAYS_KEPT: Final = 4


class ChebyshevDays:
    """Vector function of time with one Chebyshev polynomial per GPS day.

    Cost: `nodes` samples at the first use of each day, some microseconds per call after that.

    Args:
        sample: Function that returns the values (n, c) at `gps_ms` plus offsets (n,) in seconds.
        nodes: Samples per day; the error of a smooth function decreases geometrically with their number.
    """

    def __init__(self, sample: Callable[[int, Array], Array], nodes: int) -> None:
        self._sample = sample
        self._order = np.arange(float(nodes))
        angle = np.pi * (self._order + 0.5) / nodes
        self._node_s = (1.0 + np.cos(angle)) * SECONDS_PER_DAY / 2.0
        self._coefficients_from_values = np.cos(np.outer(self._order, angle)) * (2.0 / nodes)
        self._coefficients_from_values[0] *= 0.5
        self._coefficients = lru_cache(maxsize=_DAYS_KEPT)(self._coefficients_of_day)

    def at(self, gps_ms: int, offset_s: float) -> Array:
        """Return the values, shape (c,), at GPS time `gps_ms` (ms) plus `offset_s` (s)."""
        day, ms_of_day = divmod(gps_ms, MS_PER_DAY)
        seconds = ms_of_day * 1e-3 + offset_s
        if not 0.0 <= seconds < SECONDS_PER_DAY:
            days_on = math.floor(seconds / SECONDS_PER_DAY)
            day += days_on
            seconds -= days_on * SECONDS_PER_DAY
        angle = math.acos(seconds * (2.0 / SECONDS_PER_DAY) - 1.0)
        values: Array = np.cos(angle * self._order).dot(self._coefficients(day))
        return values

    def _coefficients_of_day(self, day: int) -> Array:
        coefficients: Array = self._coefficients_from_values.dot(self._sample(day * MS_PER_DAY, self._node_s))
        return coefficients
