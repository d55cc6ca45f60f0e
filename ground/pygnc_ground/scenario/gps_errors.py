"""Errors of fixes: white noise, a Gauss-Markov process, outliers."""

import math
from dataclasses import dataclass
from itertools import accumulate
from typing import Self

import numpy as np
import numpy.typing as npt

from pygnc_ground.scenario.earth import FloatArray
from pygnc_ground.scenario.gps_settings import Gps
from pygnc_ground.scenario.seeds import noise_generator


@dataclass(frozen=True, slots=True)
class FixErrors:
    """The errors of one vector of the fixes, in m or m/s."""

    vector: str
    """Which, names the noise"""
    white: float
    coloured: float
    coloured_time_s: float
    outlier_rate: float
    outlier_size: float

    @classmethod
    def of_position(cls, receiver: Gps) -> Self:
        """In m."""
        return cls(
            "position",
            receiver.position_noise_m,
            receiver.coloured_position_noise_m,
            receiver.coloured_noise_time_s,
            receiver.position_outlier_rate,
            receiver.position_outlier_m,
        )

    @classmethod
    def of_velocity(cls, receiver: Gps) -> Self:
        """In m/s."""
        return cls(
            "velocity",
            receiver.velocity_noise_mps,
            receiver.coloured_velocity_noise_mps,
            receiver.coloured_noise_time_s,
            receiver.velocity_outlier_rate,
            receiver.velocity_outlier_mps,
        )

    @property
    def sigma(self) -> float:
        """True standard deviation per axis, outliers apart."""
        return math.hypot(self.white, self.coloured)

    def draw(self, t_s: npt.NDArray[np.int64], seed: int, log: str) -> FloatArray:
        """Errors at `t_s` whole seconds after the start, shape (n, 3).

        `log` names the white noise and the outliers; the coloured noise is the receiver's and common to its logs.
        """
        count, name = len(t_s), f"{log}.{self.vector}"
        errors: FloatArray = self.white * noise_generator(seed, name).standard_normal((count, 3))
        if self.coloured > 0.0:
            errors += self.coloured * self._gauss_markov(int(t_s.max(initial=0)), seed)[t_s]
        if self.outlier_rate > 0.0:
            is_outlier = noise_generator(seed, f"{name} outliers").random(count) < self.outlier_rate
            direction = noise_generator(seed, f"{name} outlier directions").standard_normal((count, 3))
            direction /= np.linalg.norm(direction, axis=1, keepdims=True)
            errors += self.outlier_size * is_outlier[:, np.newaxis] * direction
        return errors

    def _gauss_markov(self, last_s: int, seed: int) -> FloatArray:
        """A stationary process of unit variance at every second from 0 to `last_s`, shape (last_s + 1, 3)."""
        kept = math.exp(-1.0 / self.coloured_time_s)
        steps = noise_generator(seed, f"gps.coloured {self.vector}").standard_normal((last_s + 1, 3))
        steps[1:] *= math.sqrt(1.0 - kept**2)
        axes = [list(accumulate(axis, lambda before, step: kept * before + step)) for axis in steps.T.tolist()]
        return np.array(axes).T
