"""Observations against an orbit: residuals, the noise they show, weights, and their part in the normal equations."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from pygnc.estimators.orbit.settings import MeasurementSettings
from pygnc_ground.orbit.batch.normal import NormalEquations
from pygnc_ground.orbit.batch.observations import Observations
from pygnc_ground.orbit.batch.trajectory import LinearMotion
from pygnc_ground.orbit.batch.weights import huber, noise_scale, redescending
from pygnc_ground.orbit.errors import rms_3d
from pygnc_ground.orbit.solution import BoolArray, FloatArray

_ACCEPTED_WEIGHT: Final = 0.1
_BLOCK: Final = 512
"""So many observations have their derivatives in memory at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Residuals:
    """One kind of observations against an orbit."""

    observations: Observations
    normalised: FloatArray
    """(n, 3), measured minus computed over the receiver's standard deviations"""
    scale: float
    """Factor on those standard deviations"""
    weight: FloatArray
    """(n,)"""

    @classmethod
    def of(
        cls,
        observations: Observations,
        motion: LinearMotion,
        limits: MeasurementSettings,
        fitted: float,
        *,
        settled: bool,
    ) -> "Residuals":
        """Compare with a motion.

        Args:
            observations: What was measured.
            motion: The orbit.
            limits: Gate and least noise.
            fitted: Part of the numbers that went into the fit, 0 to 1.
            settled: Whether the orbit is good enough to leave something out by it.
        """
        states = motion.states(observations.gps_ms, observations.offset_s)
        computed = np.einsum("nij,nj->ni", observations.from_gcrf, states)
        normalised = (observations.measured - computed) / observations.sigma
        length = np.linalg.norm(normalised, axis=1)
        scale = noise_scale(length**2, fitted, limits.gate, limits.noise_scale_min)
        weight = redescending(length / scale, limits.gate) if settled else huber(length / scale)
        return cls(observations, normalised, scale, weight)

    @property
    def chi_square(self) -> FloatArray:
        """Squared residuals over their variances, (n,); three degrees of freedom."""
        chi_square: FloatArray = (self.normalised**2).sum(axis=1) / self.scale**2
        return chi_square

    @property
    def accepted(self) -> BoolArray:
        """Which of them count, (n,)."""
        return self.weight >= _ACCEPTED_WEIGHT

    @property
    def rms(self) -> float:
        """Of the accepted residuals in m or m/s, 3-D; NaN for none."""
        return rms_3d((self.normalised * self.observations.sigma)[self.accepted])

    def add_to(self, normal: NormalEquations, motion: LinearMotion) -> None:
        """Add the observations, whitened and weighted, to normal equations for corrections of the motion's unknowns."""
        seen = self.observations
        each = (np.sqrt(self.weight) / self.scale)[:, None]
        for first in range(0, len(seen), _BLOCK):
            rows = slice(first, first + _BLOCK)
            derivatives = motion.derivatives(seen.gps_ms[rows], seen.offset_s[rows])
            whitened = (seen.from_gcrf[rows] * (each[rows] / seen.sigma[rows])[:, :, None]) @ derivatives
            normal.add(whitened.reshape(-1, whitened.shape[2]), (each[rows] * self.normalised[rows]).ravel())
