"""Calibration of the magnetometer in flight: collects readings along the orbit and solves for the bias repeatedly.

A solution takes about 10 ms. It is attempted when the number of readings has grown by half (by 120 to 720 readings), so
a batch of hours has few attempts. A solution is accepted only if it agrees with the previous solution, because one
damaged reading among a hundred can look like a scale factor, and with the newest readings, because the bias may change.
"""

from typing import Final, NamedTuple

import msgspec
import numpy as np

from pygnc.bus.messages import Vector3, vector3
from pygnc.common.arrays import Array
from pygnc.estimators.attitude.calibration_samples import CalibrationSamples
from pygnc.estimators.attitude.magnetometer_calibration import (
    BIAS,
    COLUMNS,
    MATRIX,
    ROWS,
    Calibration,
    CalibrationError,
)
from pygnc.estimators.attitude.sample import MagnetometerCorrection
from pygnc.estimators.attitude.sensor_prior import MagnetometerErrors
from pygnc.estimators.attitude.settings import MagnetometerSettings

_FEWEST: Final = 120
"""Minimum number of new readings for an attempt: ten minutes with a reading every 5 s."""
_MOST: Final = 720
"""Maximum number of new readings between two attempts."""
_CURRENT_SHARE: Final = 0.75
"""Fraction of the newest `_FEWEST` readings that must fit; fewer do after the bias has changed."""
_AGREE: Final = 3.0
"""Solutions that differ by more than this many sigmas do not agree."""
_FIELD_UT: Final = 45.0
"""Typical field in a low orbit, by which noise is divided for a relative error."""


class TotalBias(msgspec.Struct, frozen=True):
    """Bias of the raw magnetometer readings in sensor axes, uT, with standard deviations."""

    bias_ut: Vector3
    sigma_ut: Vector3

    def agrees(self, other: "TotalBias") -> bool:
        """Return True if the biases differ by at most three sigmas per axis, taken as independent."""
        limit_ut = _AGREE * np.hypot(self.sigma_ut, other.sigma_ut)
        return bool((np.abs(np.subtract(self.bias_ut, other.bias_ut)) <= limit_ut).all())

    def __str__(self) -> str:
        bias, sigma = (", ".join(f"{value:.2f}" for value in vector) for vector in (self.bias_ut, self.sigma_ut))
        return f"bias {bias} uT, sigma {sigma} uT, sensor axes"


class AcceptedCalibration(NamedTuple):
    """An accepted solution.

    Attributes:
        residual: Errors that remain after the correction by the settings, for the attitude filter.
        total: Bias of the raw readings: that of the settings and the residual together.
        is_new: True if it is the first solution, or disagrees with the last solution that was new.
    """

    residual: MagnetometerErrors
    total: TotalBias
    is_new: bool


class MagCalibration(msgspec.Struct):
    """Collector of readings that calibrates the magnetometer; `pygnc.estimators.checkpoint` encodes it.

    Attributes:
        samples: Readings kept for the solution.
        due: Number of readings at which the next attempt is made.
        last: Bias of the last solution; None before the first solution.
        known: Bias of the newest accepted solution; None before the first.
        reported: Bias of the newest accepted solution that was new; None before the first.
    """

    samples: CalibrationSamples = msgspec.field(default_factory=CalibrationSamples)
    due: int = _FEWEST
    last: TotalBias | None = None
    known: TotalBias | None = None
    reported: TotalBias | None = None

    @property
    def counts(self) -> dict[str, int]:
        """Numbers of readings seen and kept, named as in the status record."""
        return {"mag_calibration_seen": self.samples.seen, "mag_calibration_kept": len(self.samples)}

    def process(
        self, mag_ut: Array, field_gcrf_ut: Array, sunlit_fraction: float, settings: MagnetometerSettings
    ) -> AcceptedCalibration | None:
        """Add a reading; return a newly accepted solution, or None if there was no attempt or it failed.

        Args:
            mag_ut: Reading corrected by the settings, sensor axes, uT, shape (3,).
            field_gcrf_ut: Modelled field at the satellite, GCRF, uT, shape (3,).
            sunlit_fraction: Visible fraction of the Sun's disc, 0 to 1.
            settings: Calibration, noise and errors of the magnetometer.
        """
        self.samples.add(mag_ut, field_gcrf_ut, sunlit_fraction)
        seen = self.samples.seen
        if seen < self.due:
            return None
        self.due = seen + min(max(seen // 2, _FEWEST), _MOST)
        try:
            solution = self.samples.solve(settings)
        except CalibrationError:
            return None
        correction = MagnetometerCorrection(settings)
        total = TotalBias(
            vector3(correction.total_bias_ut(solution.bias_ut)),
            vector3(correction.total_bias_sigma_ut(solution.covariance[BIAS, BIAS])),
        )
        last, self.last = self.last, total
        is_current = bool(solution.used[-_FEWEST:].mean() >= _CURRENT_SHARE)
        if last is None or not total.agrees(last) or not solution.is_good_enough or not is_current:
            return None
        is_new = self.reported is None or not total.agrees(self.reported)
        self.known = total
        self.reported = total if is_new else self.reported
        return AcceptedCalibration(_errors(solution, settings.noise_ut), total, is_new)


def _errors(solution: Calibration, noise_ut: float) -> MagnetometerErrors:
    """Return the errors of the readings that `solution` corrects, with the noise of one reading added."""
    matrix_error = np.linalg.inv(solution.matrix) - np.eye(3)
    covariance = solution.covariance.copy()
    # The matrix of readings is the inverse of that of corrections, so its errors have the opposite sign.
    covariance[BIAS, MATRIX] *= -1.0
    covariance[MATRIX, BIAS] *= -1.0
    floor = np.r_[np.full(3, noise_ut), np.full(6, noise_ut / _FIELD_UT)]
    return MagnetometerErrors(np.r_[solution.bias_ut, matrix_error[ROWS, COLUMNS]], covariance + np.diag(floor**2))
