"""The magnetometer's calibration in flight: readings along the orbit, and now and then what they tell of the bias.

A solution takes some 30 ms. It is tried when there are half as many readings again as at the last one, so that a batch
of hours has few. It counts when the one before it says the same: among a hundred readings, a damaged one can pass for
a scale.
"""

from typing import Final, NamedTuple

import msgspec
import numpy as np

from pygnc.bus.messages import Vector3, vector3
from pygnc.common.arrays import Array
from pygnc.estimators.attitude.calibration_samples import CalibrationSamples
from pygnc.estimators.attitude.hypotheses import MagnetometerBias
from pygnc.estimators.attitude.magnetometer_calibration import BIAS, Calibration, CalibrationError, CalibrationSettings
from pygnc.estimators.attitude.sample import AttitudeEnvironment, MagnetometerCorrection
from pygnc.estimators.attitude.settings import MagnetometerSettings

_FEWEST: Final = 120
"""More readings than at the last attempt, at least: ten minutes with a reading each 5 s."""
_MOST: Final = 720
"""The same at most."""
_AGREE: Final = 3.0
"""In sigmas: solutions that differ by more do not say the same."""


class TotalBias(msgspec.Struct, frozen=True):
    """The magnetometer's bias in its own axes, uT, with standard deviations."""

    bias_ut: Vector3
    sigma_ut: Vector3

    def agrees(self, other: "TotalBias") -> bool:
        """Whether both can be of the same bias, as if they had no readings in common."""
        limit_ut = _AGREE * np.hypot(self.sigma_ut, other.sigma_ut)
        return bool((np.abs(np.subtract(self.bias_ut, other.bias_ut)) <= limit_ut).all())

    def __str__(self) -> str:
        bias, sigma = (", ".join(f"{value:.2f}" for value in vector) for vector in (self.bias_ut, self.sigma_ut))
        return f"bias {bias} uT, sigma {sigma} uT, sensor axes"


class MagCalibrationState(msgspec.Struct, frozen=True):
    """A `MagCalibration` as plain values."""

    samples: bytes
    due: int
    last: TotalBias | None
    known: TotalBias | None
    told: TotalBias | None


class Solved(NamedTuple):
    """A solution that counts.

    Attributes:
        left: What the settings' calibration leaves, for the attitude filter.
        total: The whole bias.
        news: Whether it is the first, or does not say the same as what was last called news.
    """

    left: MagnetometerBias
    total: TotalBias
    news: bool


class MagCalibration:
    """Gathers readings and calibrates with them.

    Attributes:
        known: The bias by the newest solution that counts; None before the first.
    """

    def __init__(self, settings: MagnetometerSettings, state: MagCalibrationState | None = None) -> None:
        self._correction = MagnetometerCorrection(settings)
        self._noise_ut = settings.noise_ut
        self._limits = CalibrationSettings(field_error_ut=settings.field_error_ut)
        self._samples = CalibrationSamples() if state is None else CalibrationSamples.restore(state.samples)
        self._due = _FEWEST if state is None else state.due
        self._last = None if state is None else state.last
        self.known = None if state is None else state.known
        self._told = None if state is None else state.told

    def checkpoint(self) -> MagCalibrationState:
        """Return everything that later solutions depend on."""
        return MagCalibrationState(self._samples.checkpoint(), self._due, self._last, self.known, self._told)

    @property
    def counts(self) -> dict[str, int]:
        """Readings seen and kept, named as in the status record."""
        return {"mag_calibration_seen": self._samples.seen, "mag_calibration_kept": len(self._samples)}

    def take(self, mag_ut: Array, surroundings: AttitudeEnvironment | None) -> Solved | None:
        """Add a corrected reading (sensor axes) where the field is known; return what it led to."""
        if surroundings is None:
            return None
        self._samples.add(mag_ut, surroundings.field_gcrf_ut)
        seen = self._samples.seen
        if seen < self._due:
            return None
        self._due = seen + min(max(seen // 2, _FEWEST), _MOST)
        try:
            found = self._samples.solve(self._limits)
        except CalibrationError:
            return None
        total = TotalBias(
            vector3(self._correction.total_bias_ut(found.bias_ut)),
            vector3(self._correction.total_bias_sigma_ut(found.covariance[BIAS, BIAS])),
        )
        last, self._last = self._last, total
        counts = last is not None and total.agrees(last)
        return self._used(found, total) if counts and found.good_enough(self._limits) else None

    def _used(self, found: Calibration, total: TotalBias) -> Solved:
        news = self._told is None or not total.agrees(self._told)
        self.known = total
        self._told = total if news else self._told
        # The filter believes in equal, orthogonal axes as far as the settings make them so.
        return Solved(MagnetometerBias(found.bias_ut, np.maximum(found.bias_sigma_ut, self._noise_ut)), total, news)
