"""What may be true while the attitude is searched for.

A hypothesis is an attitude at the newest sample, a gyro bias and a magnetometer bias.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pygnc.common import quaternion
from pygnc.environment.arrays import Array
from pygnc.estimators.attitude.state import Flags


class Prior(NamedTuple):
    """What is known of the biases before the window.

    Attributes:
        mean: Gyro bias (rad/s) and magnetometer bias (uT), shape (6,).
        sigma: Their standard deviations, shape (6,).
    """

    mean: Array
    sigma: Array


@dataclass(frozen=True, slots=True, eq=False)
class Hypotheses:
    """k guesses at the newest sample.

    Attributes:
        quaternion: GCRF from body, shape (k, 4).
        gyro_bias_rad_s: Sensor axes, shape (k, 3).
        mag_bias_ut: Sensor axes, shape (k, 3).
    """

    quaternion: Array
    gyro_bias_rad_s: Array
    mag_bias_ut: Array

    def chosen(self, rows: Array) -> "Hypotheses":
        """Some of them."""
        return Hypotheses(self.quaternion[rows], self.gyro_bias_rad_s[rows], self.mag_bias_ut[rows])

    def corrected(self, error: Array) -> "Hypotheses":
        """After errors (k, 9) were found in them."""
        turned = quaternion.multiply(self.quaternion, quaternion.exponential(error[:, :3]))
        return Hypotheses(
            quaternion.normalised(turned), self.gyro_bias_rad_s + error[:, 3:6], self.mag_bias_ut + error[:, 6:]
        )

    def joined(self, other: "Hypotheses") -> "Hypotheses":
        """Both."""
        return Hypotheses(
            np.concatenate((self.quaternion, other.quaternion)),
            np.concatenate((self.gyro_bias_rad_s, other.gyro_bias_rad_s)),
            np.concatenate((self.mag_bias_ut, other.mag_bias_ut)),
        )

    def where(self, first: Flags, other: "Hypotheses") -> "Hypotheses":
        """These where `first` (k,), the others elsewhere."""
        pick = first[:, None]
        return Hypotheses(
            np.where(pick, self.quaternion, other.quaternion),
            np.where(pick, self.gyro_bias_rad_s, other.gyro_bias_rad_s),
            np.where(pick, self.mag_bias_ut, other.mag_bias_ut),
        )
