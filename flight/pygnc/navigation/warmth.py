"""Warmth of the satellite by the sunlight that it absorbs, as its sun sensors measure it.

The warmth of the environment is that of a body that turns and has a mean area in the sunlight. A body that is pointed,
or turns slowly, absorbs more or less: the difference is a first-order lag of the surplus that its faces measure.
"""

import math
from dataclasses import replace

import msgspec
import numpy as np

from pygnc.environment.solar_radiation import THERMAL_TIME_S
from pygnc.estimators.attitude.net_light import NetLight
from pygnc.estimators.attitude.sample import AttitudeEnvironment, AttitudeSample

_MEAN_SUM = 1.5
"""Sum of the faces' shares of sunlight, mean over all attitudes: six faces with the mean cosine 1/4."""
_STEP_MAX_S = 60.0
"""Longest time between samples over which the surplus is known."""


class Warmth(msgspec.Struct):
    """State of the lag; `pygnc.estimators.checkpoint` encodes it.

    Attributes:
        surplus: Warmth minus that of a body that turns.
        gps_ms: GPS ms of the newest sample; None before the first.
        light: Surplus of its sunlight, as a fraction of the mean.
    """

    surplus: float = 0.0
    gps_ms: int | None = None
    light: float = 0.0

    def process(self, sample: AttitudeSample, environment: AttitudeEnvironment, light: NetLight) -> AttitudeEnvironment:
        """Return the environment of the next sample with the warmth of this body."""
        vector = light.vector(sample.lux, environment) if environment.sunlit_fraction == 1.0 else None
        now = 0.0 if vector is None else float(np.abs(vector.pairs).sum()) / _MEAN_SUM - 1.0
        step_s = 0.0 if self.gps_ms is None else max((sample.gps_ms - self.gps_ms) * 1e-3, 0.0)
        mean = 0.5 * (self.light + now) if step_s <= _STEP_MAX_S else 0.0
        kept = math.exp(-step_s / THERMAL_TIME_S)
        self.surplus = kept * self.surplus + (1.0 - kept) * mean
        self.gps_ms, self.light = sample.gps_ms, now
        return replace(environment, warmth=environment.warmth + self.surplus)
