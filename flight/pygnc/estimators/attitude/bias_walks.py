"""Random walks of the biases of gyro and magnetometer, adapted to how far the biases move.

A bias that follows the temperature moves steadily, much farther than the random walk of the settings allows, and the
attitude follows it while all innovations look right. The corrections of a bias by successive updates are then not
independent: over two minutes they add up to more than the variance that the updates have removed. The walk is widened
until they no longer do, and narrows again while the bias rests.
"""

import math
from typing import Final, NamedTuple

import numpy as np

from pygnc.common.arrays import Array
from pygnc.estimators.attitude.state import GYRO_BIAS, MAG_BIAS

BIASES: Final = slice(GYRO_BIAS.start, MAG_BIAS.stop)
"""Elements of both biases in the error state."""
_SAMPLES: Final = 24
"""Number of samples whose corrections are added: short enough that a fast bias does not mislead the attitude first."""
_MOVES: Final = 8.0
"""Chi-square of the sum on the axis that moves most, above which a walk is too narrow; by chance in one of 70 sums."""
_RESTS: Final = 4.0
"""Chi-square below which a walk becomes narrower."""
_WIDENED_MAX: Final = 10.0
"""Largest factor by which a walk becomes wider at once."""
_NARROWED: Final = 0.93
"""Factor by which it becomes narrower: by half in 20 minutes with a sample every 5 s."""
_FACTOR_MAX: Final = 1000.0, 100.0
"""Largest factors on the walks of the settings, for gyro and magnetometer: with the default settings, a gyro bias that
moves by a degree per second in an hour, and a magnetometer bias by 5 uT.
"""


class BiasWalks(NamedTuple):
    """Factors on the random walks of both biases, and the corrections since they were last judged.

    Attributes:
        gyro: Factor on the random walk of the gyro bias, at least 1.
        magnetometer: Factor on that of the magnetometer bias, at least 1.
        moved: Sum of corrections of both biases (rad/s, uT), shape (6,).
        variance: Variance that the updates have removed, which that of the sum equals if the walks are right, (6,).
        samples: Number of samples in the sums.
    """

    gyro: float = 1.0
    magnetometer: float = 1.0
    moved: Array = np.zeros(6)
    variance: Array = np.zeros(6)
    samples: int = 0

    def updated(self, correction: Array, removed: Array) -> "BiasWalks":
        """Return the walks after a sample that corrected the biases and removed variance, each of shape (6,)."""
        moved, variance = self.moved + correction, self.variance + np.maximum(removed, 0.0)
        if self.samples + 1 < _SAMPLES:
            return self._replace(moved=moved, variance=variance, samples=self.samples + 1)
        square = moved * moved / np.maximum(variance, 1e-30)
        largest = float(square[:3].max()), float(square[3:].max())
        # A moving bias also moves the other one, less far.
        first = int(largest[1] > largest[0])
        factors = [self.gyro, self.magnetometer]
        for number, chi_square in enumerate(largest):
            if chi_square < _RESTS:
                factors[number] = max(_NARROWED * factors[number], 1.0)
            elif chi_square > _MOVES and number == first:
                widened = factors[number] * min(math.sqrt(chi_square), _WIDENED_MAX)
                factors[number] = min(widened, _FACTOR_MAX[number])
        return BiasWalks(factors[0], factors[1])


NO_WALKS: Final = BiasWalks()
