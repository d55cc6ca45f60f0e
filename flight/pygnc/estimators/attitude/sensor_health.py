"""Sun sensors that do not do as they should: dark where the Sun shines, or bright where it does not.

Judged only while the attitude is known well enough. A face in doubt is left out until it has been right as often as it
had been wrong.

Gyro axes that cannot be believed: at the end of their range, or stuck.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from pygnc.common.arrays import Array
from pygnc.estimators.attitude.measurement import IlluminanceObservation
from pygnc.estimators.attitude.settings import GyroSettings
from pygnc.estimators.attitude.state import Flags

_CLEAR_COSINE: Final = 0.3
"""Beyond this the Sun is clearly in front of a face, or behind it."""
_BRIGHT_SHARE: Final = 0.2
_PROVEN: Final = 4
"""So many times more wrong than right prove a fault."""
_MOST: Final = 12


@dataclass(frozen=True, slots=True, eq=False)
class FaceHealth:
    """What six sun sensors have shown.

    Attributes:
        dark: How much oftener each was dark than bright in clear sunlight, 0 to 12, shape (6,).
        reversed: How much oftener each was bright than dark with the Sun clearly behind it, shape (6,).
    """

    dark: Array
    reversed: Array

    @classmethod
    def unknown(cls) -> "FaceHealth":
        """Nothing held against any."""
        return cls(np.zeros(6), np.zeros(6))

    @property
    def dead(self) -> Flags:
        """Dark in sunlight, shape (6,)."""
        flags: Flags = (self.dark >= _PROVEN) & ~self.mirrored
        return flags

    @property
    def mirrored(self) -> Flags:
        """Bright with the Sun behind them, as if they looked the other way, shape (6,)."""
        flags: Flags = self.reversed >= _PROVEN
        return flags

    @property
    def trusted(self) -> Flags:
        """Neither, nor at present in doubt, shape (6,)."""
        flags: Flags = (self.dark == 0.0) & (self.reversed == 0.0)
        return flags

    def doubted(self, face: int) -> "FaceHealth":
        """With a face left out until it has been right once."""
        dark = self.dark.copy()
        dark[face] = max(dark[face], 1.0)
        return FaceHealth(dark, self.reversed)

    def judged(self, light: IlluminanceObservation, dark_share: float) -> "FaceHealth":
        """After one sample in full sunlight, at a known attitude.

        A sample in which no face is bright says nothing: that is a shadow of which the model does not know.
        """
        # Six plain numbers are compared sooner than six in an array.
        each = zip(light.share.tolist(), light.expected.cosine.tolist(), light.expected.share.tolist(), strict=True)
        bright, wrong = False, False
        for share, cosine, expected in each:
            bright |= share > _BRIGHT_SHARE
            wrong |= cosine > _CLEAR_COSINE and share < dark_share
            wrong |= cosine < -_CLEAR_COSINE and share > expected + _BRIGHT_SHARE
        if not bright or not (wrong or np.count_nonzero(self.dark) or np.count_nonzero(self.reversed)):
            return self
        in_front = light.expected.cosine > _CLEAR_COSINE
        dark = light.share < dark_share
        behind = light.expected.cosine < -_CLEAR_COSINE
        unexpected = light.share > light.expected.share + _BRIGHT_SHARE
        change_dark = (in_front & dark).astype(float) - (in_front & ~dark)
        change_reversed = (behind & unexpected).astype(float) - (behind & ~unexpected)
        return FaceHealth(
            np.clip(self.dark + change_dark, 0.0, _MOST), np.clip(self.reversed + change_reversed, 0.0, _MOST)
        )


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
