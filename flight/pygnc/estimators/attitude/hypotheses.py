"""Attitude hypotheses of the search, and the prior of the biases.

A hypothesis is an attitude at the newest sample, a gyro bias and a magnetometer bias.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from pygnc.common import quaternion
from pygnc.common.arrays import Array
from pygnc.estimators.attitude.settings import AttitudeSettings
from pygnc.estimators.attitude.state import GYRO_BIAS, MAG_BIAS, AttitudeState, Flags


class BiasPrior(NamedTuple):
    """Prior of the biases.

    Attributes:
        mean: Gyro bias (rad/s) and magnetometer bias (uT), sensor axes, shape (6,).
        sigma: Their standard deviations, shape (6,).
    """

    mean: Array
    sigma: Array


@dataclass(frozen=True, slots=True, eq=False)
class Hypotheses:
    """k hypotheses at the newest sample.

    Attributes:
        quaternion: GCRF from body, shape (k, 4).
        gyro_bias_rad_s: Sensor axes, shape (k, 3).
        mag_bias_ut: Sensor axes, shape (k, 3).
    """

    quaternion: Array
    gyro_bias_rad_s: Array
    mag_bias_ut: Array

    def select(self, rows: Array) -> "Hypotheses":
        """Return the hypotheses of the given rows."""
        return Hypotheses(self.quaternion[rows], self.gyro_bias_rad_s[rows], self.mag_bias_ut[rows])

    def corrected(self, error: Array) -> "Hypotheses":
        """Return the hypotheses corrected by errors (k, 9)."""
        rotated = quaternion.multiply(self.quaternion, quaternion.exponential(error[:, :3]))
        return Hypotheses(
            quaternion.normalised(rotated), self.gyro_bias_rad_s + error[:, 3:6], self.mag_bias_ut + error[:, 6:]
        )

    def joined(self, other: "Hypotheses") -> "Hypotheses":
        """Return these hypotheses followed by others."""
        return Hypotheses(
            np.concatenate((self.quaternion, other.quaternion)),
            np.concatenate((self.gyro_bias_rad_s, other.gyro_bias_rad_s)),
            np.concatenate((self.mag_bias_ut, other.mag_bias_ut)),
        )

    def where(self, first: Flags, other: "Hypotheses") -> "Hypotheses":
        """Return these hypotheses where `first` (k,) is true, and the others elsewhere."""
        pick = first[:, None]
        return Hypotheses(
            np.where(pick, self.quaternion, other.quaternion),
            np.where(pick, self.gyro_bias_rad_s, other.gyro_bias_rad_s),
            np.where(pick, self.mag_bias_ut, other.mag_bias_ut),
        )


_FIELD_KNOWN_SIGMA_UT: Final = 5.0
"""A magnetometer bias known better than this determines the direction of the field."""


class MagnetometerBias(NamedTuple):
    """Magnetometer bias from a calibration without attitude.

    Attributes:
        mean_ut: Sensor axes, shape (3,).
        sigma_ut: Standard deviations, shape (3,).
    """

    mean_ut: Array
    sigma_ut: Array


def with_calibrated_bias(prior: BiasPrior, calibrated: MagnetometerBias | None) -> BiasPrior:
    """Return the prior with the magnetometer bias of a calibration, if that is more accurate."""
    if calibrated is None or calibrated.sigma_ut.max() >= prior.sigma[3:].max():
        return prior
    mean, sigma = np.append(prior.mean[:3], calibrated.mean_ut), np.append(prior.sigma[:3], calibrated.sigma_ut)
    return BiasPrior(mean, sigma)


def field_direction_known(prior: BiasPrior) -> bool:
    """Return whether the magnetometer bias is known well enough for a reading to give the direction of the field."""
    return bool(prior.sigma[3:].max() < _FIELD_KNOWN_SIGMA_UT)


_KEPT_SIGMA_FACTOR: Final = 2.0
"""Factor on the sigmas of biases that are kept from a lost track."""


def initial_bias_prior(settings: AttitudeSettings, calibrated: MagnetometerBias | None) -> BiasPrior:
    """Return the prior of the biases at the first search, or after a track with wrong biases."""
    sigma = [settings.gyro.bias_sigma_rad_s] * 3 + [settings.magnetometer.bias_sigma_ut] * 3
    return with_calibrated_bias(BiasPrior(np.zeros(6), np.array(sigma)), calibrated)


def bias_prior_from_state(
    state: AttitudeState, settings: AttitudeSettings, calibrated: MagnetometerBias | None
) -> BiasPrior:
    """Return the prior of the biases after a track lost its attitude."""
    magnetometer, gyro = settings.magnetometer, settings.gyro
    unknown = np.repeat((gyro.bias_sigma_rad_s, magnetometer.bias_sigma_ut), 3)
    floor = 0.02 * unknown
    sigma = np.concatenate((state.sigma[GYRO_BIAS], state.sigma[MAG_BIAS]))
    kept = BiasPrior(state.slow[:6].copy(), np.clip(_KEPT_SIGMA_FACTOR * sigma, floor, unknown))
    return with_calibrated_bias(kept, calibrated)
