"""A magnetometer's bias that was found without an attitude, for the search to begin with."""

from typing import Final, NamedTuple

import numpy as np

from pygnc.environment.arrays import Array
from pygnc.estimators.attitude.hypotheses import Prior

_KNOWN_UT: Final = 5.0
"""A bias known better than this leaves the field's direction."""


class MagBias(NamedTuple):
    """What a calibration tells.

    Attributes:
        mean_ut: Sensor axes, shape (3,).
        sigma_ut: Standard deviations, shape (3,).
    """

    mean_ut: Array
    sigma_ut: Array


def informed(prior: Prior, calibrated: MagBias | None) -> Prior:
    """The prior with the magnetometer's bias of a calibration, if that knows it better."""
    if calibrated is None or calibrated.sigma_ut.max() >= prior.sigma[3:].max():
        return prior
    mean, sigma = np.append(prior.mean[:3], calibrated.mean_ut), np.append(prior.sigma[:3], calibrated.sigma_ut)
    return Prior(mean, sigma)


def tells_field(prior: Prior) -> bool:
    """Whether the magnetometer's bias is known well enough for a reading to show where the field points."""
    return bool(prior.sigma[3:].max() < _KNOWN_UT)
