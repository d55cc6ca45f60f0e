"""Sun sensors that do not do as they should: dark where the Sun shines, or bright where it does not.

Judged only while the attitude is known well enough. A face in doubt is left out until it has been right as often as it
had been wrong.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from pygnc.environment.arrays import Array
from pygnc.estimators.attitude.measurement import Light
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

    def judged(self, light: Light, dark_share: float) -> "FaceHealth":
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
