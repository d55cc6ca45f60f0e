"""Calibration of the magnetometer in flight: collects readings along the orbit and solves for the bias now and then.

A solution takes about 30 ms. It is attempted when there are half as many more readings as at the last attempt, so a
batch of hours has few attempts. A solution counts if it agrees with the previous one, because among a hundred readings
a damaged one can look like a scale factor.
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
"""Minimum number of new readings for an attempt: ten minutes with a reading every 5 s."""
_MOST: Final = 720
"""Maximum number of new readings between two attempts."""
_AGREE: Final = 3.0
"""Solutions that differ by more than this many sigmas do not agree."""


class TotalBias(msgspec.Struct, frozen=True):
    """The magnetometer's bias in its own axes, uT, with standard deviations."""

    bias_ut: Vector3
    sigma_ut: Vector3

    def agrees(self, other: "TotalBias") -> bool:
        """Whether both are consistent with one bias, treated as if they had no readings in common."""
        limit_ut = _AGREE * np.hypot(self.sigma_ut, other.sigma_ut)
        return bool((np.abs(np.subtract(self.bias_ut, other.bias_ut)) <= limit_ut).all())

    def __str__(self) -> str:
        bias, sigma = (", ".join(f"{value:.2f}" for value in vector) for vector in (self.bias_ut, self.sigma_ut))
        return f"bias {bias} uT, sigma {sigma} uT, sensor axes"


class MagCalibrationState(msgspec.Struct, frozen=True):
    """Checkpoint of a `MagCalibration`."""

    samples: bytes
    due: int
    last: TotalBias | None
    known: TotalBias | None
    reported: TotalBias | None


class AcceptedCalibration(NamedTuple):
    """An accepted solution.

    Attributes:
        residual: Bias that remains after the calibration of the settings, for the attitude filter.
        total: The total bias.
        is_new: Whether it is the first, or disagrees with the last one that was new.
    """

    residual: MagnetometerBias
    total: TotalBias
    is_new: bool


class MagCalibration:
    """Collects readings and calibrates with them.

    Attributes:
        known: Bias of the newest accepted solution; None before the first.
    """

    def __init__(self, settings: MagnetometerSettings, state: MagCalibrationState | None = None) -> None:
        self._correction = MagnetometerCorrection(settings)
        self._noise_ut = settings.noise_ut
        self._limits = CalibrationSettings(field_error_ut=settings.field_error_ut)
        self._samples = CalibrationSamples() if state is None else CalibrationSamples.restore(state.samples)
        self._due = _FEWEST if state is None else state.due
        self._last = None if state is None else state.last
        self.known = None if state is None else state.known
        self._reported = None if state is None else state.reported

    def checkpoint(self) -> MagCalibrationState:
        """Return all state that later solutions depend on."""
        return MagCalibrationState(self._samples.checkpoint(), self._due, self._last, self.known, self._reported)

    @property
    def counts(self) -> dict[str, int]:
        """Numbers of readings seen and kept, named as in the status record."""
        return {"mag_calibration_seen": self._samples.seen, "mag_calibration_kept": len(self._samples)}

    def take(self, mag_ut: Array, surroundings: AttitudeEnvironment | None) -> AcceptedCalibration | None:
        """Add a corrected reading (uT, sensor axes, shape (3,)); return a new accepted solution, or None."""
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

    def _used(self, found: Calibration, total: TotalBias) -> AcceptedCalibration:
        is_new = self._reported is None or not total.agrees(self._reported)
        self.known = total
        self._reported = total if is_new else self._reported
        # The filter assumes orthogonal axes of equal scale, as far as the settings' calibration makes them so.
        return AcceptedCalibration(
            MagnetometerBias(found.bias_ut, np.maximum(found.bias_sigma_ut, self._noise_ut)), total, is_new
        )
