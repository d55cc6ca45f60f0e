"""Standard deviations of a receiver that are not true: their factors, estimated from the residuals of the smoother.

The filter raises standard deviations that are too small. Those that are too large it takes for slow errors, which only
residuals over a good part of an orbit refute. A replay has them, and is repeated with the factors that they call for.
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Final, NamedTuple

import msgspec
import numpy as np

from pygnc.bus.messages import GnssFix, Message, Vector3
from pygnc.environment.frames import EarthFrames
from pygnc.estimators.orbit.measurement import linearise_fix
from pygnc.estimators.orbit.settings import MeasurementSettings
from pygnc.estimators.orbit.state import SIZE
from pygnc_ground.orbit.solution import FloatArray
from pygnc_ground.replay.collect import Collected
from pygnc_ground.replay.inputs import Inputs
from pygnc_ground.replay.result import ReplayResult

PASSES_MAX: Final = 3
_FEWEST: Final = 60
"""Least number of residuals: the standard deviation of the noise is then known to 10 %."""
_MOST: Final = 4000
"""About the largest number of residuals: the standard deviation of the noise is then known to 1 %."""
_SPAN_MIN_MS: Final = 2_700_000
"""Half an orbit: slow errors of shorter arcs would be taken for motion."""
_TOLERANCE: Final = 1.25
_MEDIAN_OF_SQUARE: Final = 0.4549
"""Median of a chi-square variable with one degree of freedom."""


class NoiseFactors(NamedTuple):
    """Factors on the standard deviations of positions and velocities that a receiver states."""

    position: float = 1.0
    velocity: float = 1.0

    def scaled(self, inputs: Inputs, settings: MeasurementSettings) -> Inputs:
        """Return inputs with scaled standard deviations of own fixes; unknown ones are the scaled defaults."""
        if self == NoiseFactors():
            return inputs
        return replace(inputs, messages=self._messages(inputs.messages, settings))

    def _messages(self, messages: Iterator[Message], settings: MeasurementSettings) -> Iterator[Message]:
        for message in messages:
            if not (isinstance(message, GnssFix) and message.is_own):
                yield message
                continue
            position = _scaled(message.position_sigma_m, self.position, settings.position_sigma_default_m)
            velocity = _scaled(message.velocity_sigma_mps, self.velocity, settings.velocity_sigma_default_mps)
            yield msgspec.structs.replace(message, position_sigma_m=position, velocity_sigma_mps=velocity)

    def refined(self, result: ReplayResult, collected: Collected, frames: EarthFrames) -> "NoiseFactors":
        """Return the factors that a replay with these factors calls for; these if its residuals are as expected."""
        settings = result.settings.orbit.measurement
        floors = (settings.position_sigma_floor_m, settings.velocity_sigma_floor_mps)
        parts = zip(_residuals(result, collected, frames, settings), floors, strict=True)
        position, velocity = (_ratio(residual, sigma, floor) for (residual, sigma), floor in parts)
        return NoiseFactors(self.position * position, self.velocity * velocity)


def _scaled(sigma: Vector3, factor: float, default: float) -> Vector3:
    x, y, z = (factor * (value if value > 0.0 else default) for value in sigma)
    return x, y, z


def _residuals(
    result: ReplayResult, collected: Collected, frames: EarthFrames, settings: MeasurementSettings
) -> tuple[tuple[FloatArray, FloatArray], tuple[FloatArray, FloatArray]]:
    """Return residuals and standard deviations, (n, 3) each, of the used positions, and of the used velocities."""
    rows: tuple[list[tuple[FloatArray, FloatArray]], ...] = ([], [])
    smoothed, x = result.smoothed, np.zeros(SIZE)
    times = result.fixes.gps_ms
    if smoothed is not None and np.ptp(times) >= _SPAN_MIN_MS:
        known = smoothed.known
        # An odd step also meets all of several receivers whose records alternate.
        for row in range(0, len(known), len(known) // _MOST | 1):
            record = collected.timed[row]
            if record.update is None or not known[row]:
                continue
            x[:3], x[3:6] = smoothed.position_gcrf_m[row], smoothed.velocity_gcrf_mps[row]
            accepted = (record.update.position_accepted, record.update.velocity_accepted)
            for found, part, is_used in zip(
                rows, linearise_fix(record.update.fix, x, frames, settings), accepted, strict=True
            ):
                if part is not None and is_used:
                    found.append((part.residual, part.sigma))
    position, velocity = (np.array(found).reshape(-1, 2, 3) for found in rows)
    return (position[:, 0], position[:, 1]), (velocity[:, 0], velocity[:, 1])


def _ratio(residual: FloatArray, sigma: FloatArray, floor: float) -> float:
    """Return the size of residuals (n, 3) over that expected, by their median; 1 within the tolerance."""
    if len(residual) < _FEWEST:
        return 1.0
    ratio = math.sqrt(float(np.median(np.square(residual / sigma))) / _MEDIAN_OF_SQUARE)
    is_least = ratio < 1.0 and float(np.median(sigma)) <= floor
    return 1.0 if is_least or 1.0 / _TOLERANCE <= ratio <= _TOLERANCE else ratio
