"""Gyro axes that cannot be believed: at the end of their range, or stuck."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from pygnc.environment.arrays import Array
from pygnc.estimators.attitude.settings import GyroSettings
from pygnc.estimators.attitude.state import Flags

_NEVER: Final = np.zeros(3)
_NONE: Final = np.zeros(3, np.bool_)


@dataclass(frozen=True, slots=True, eq=False)
class GyroHealth:
    """What the three axes, in sensor axes, have shown.

    Attributes:
        reading_rad_s: The last one, shape (3,); NaN before the first.
        repeats: How often each axis gave the same number in a row while another one changed, shape (3,).
        beyond_range: Axes whose last reading was at the end of the range, shape (3,).
        stuck: Axes that repeat themselves, shape (3,).
    """

    reading_rad_s: Array
    repeats: Array
    beyond_range: Flags
    stuck: Flags

    @classmethod
    def unknown(cls) -> "GyroHealth":
        """Before the first reading."""
        return cls(np.full(3, np.nan), _NEVER, _NONE, _NONE)

    def judged(self, reading_rad_s: Array, settings: GyroSettings) -> "GyroHealth":
        """After one more reading."""
        within_range = max(map(abs, reading_rad_s.tolist())) < settings.range_rad_s
        if within_range and not _alike(reading_rad_s, self.reading_rad_s):
            return GyroHealth(reading_rad_s, _NEVER, _NONE, _NONE)
        same = reading_rad_s == self.reading_rad_s
        repeats = np.where(same, self.repeats + (not same.all()), 0.0)
        beyond_range = np.abs(reading_rad_s) >= settings.range_rad_s
        return GyroHealth(reading_rad_s, repeats, beyond_range, (repeats >= settings.stuck_samples) & ~beyond_range)


def _alike(reading: Array, last: Array) -> bool:
    """Whether any axis gives the number that it gave before."""
    return any(new == old for new, old in zip(reading.tolist(), last.tolist(), strict=True))
