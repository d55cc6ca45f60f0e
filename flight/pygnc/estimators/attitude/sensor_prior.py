"""Prior of the errors of gyro and magnetometer, with which a search begins.

It contains what an earlier track and the calibration without attitude have found, with all correlations: while a body
hardly rotates, only the sum of bias, scale error and misalignment is observable, so their separate sigmas say little.
"""

from typing import Final, NamedTuple

import numpy as np

from pygnc.common.arrays import Array
from pygnc.estimators.attitude.magnetometer_calibration import BIAS, COLUMNS, MATRIX, PANEL_SHARE, ROWS
from pygnc.estimators.attitude.model_errors import FIELD_KNOWN_SIGMA_UT, ModelErrors
from pygnc.estimators.attitude.settings import AttitudeSettings
from pygnc.estimators.attitude.state import ERRORS, AttitudeState
from pygnc.estimators.kalman import chi_square

PRIOR_ROWS: Final = np.r_[ERRORS.biases, ERRORS.field_rows, ERRORS.thermal]
"""Indices of the elements of the prior in the error state."""
_GYRO: Final = np.r_[0:3, 18:21]
_THERMAL: Final = slice(18, 24)
_KEPT_VARIANCE_FACTOR: Final = 4.0
"""Factor on the covariance after a track ends, because an abandoned track may underestimate its errors."""
_KEPT_SHARE_MIN: Final = 0.02
"""Least standard deviation of a bias after a track, as a fraction of the initial one."""


class SensorPrior(NamedTuple):
    """Prior distribution of the errors of gyro and magnetometer, in sensor axes.

    Attributes:
        mean: Gyro bias (rad/s) and magnetometer bias (uT) in lasting darkness, scale and misalignment row by row, field
            of the solar panels (uT), and changes of both biases by warmth, shape (24,).
        covariance: Covariance of these elements, shape (24, 24).
    """

    mean: Array
    covariance: Array

    @classmethod
    def initial(cls, settings: AttitudeSettings, errors: ModelErrors) -> "SensorPrior":
        """Return the prior by the settings, for the first search and after a track whose biases were wrong."""
        sigma = errors.sigma(settings)
        sigma[ERRORS.biases] = np.repeat((settings.gyro.bias_sigma_rad_s, settings.magnetometer.bias_sigma_ut), 3)
        return cls(np.zeros(len(PRIOR_ROWS)), np.diag(sigma[PRIOR_ROWS] ** 2))

    @classmethod
    def kept(
        cls, state: AttitudeState, warmth: float, settings: AttitudeSettings, errors: ModelErrors
    ) -> "SensorPrior":
        """Return the prior after a track lost its attitude: its errors, with doubled sigmas, fused with `initial`."""
        unknown = cls.initial(settings, errors)
        root = state.sqrt_covariance[PRIOR_ROWS]
        floor = np.diag(np.r_[np.full(6, _KEPT_SHARE_MIN**2), np.zeros(18)] * unknown.covariance.diagonal())
        found = cls(state.slow[PRIOR_ROWS - 3], _KEPT_VARIANCE_FACTOR * root.dot(root.T) + floor).warmed(-warmth)
        return unknown.updated(found.mean, np.eye(len(PRIOR_ROWS)), found.covariance)

    @property
    def sigma(self) -> Array:
        """Standard deviations, shape (24,)."""
        return np.sqrt(self.covariance.diagonal())

    @property
    def thermal(self) -> Array:
        """Changes of gyro bias (rad/s) and magnetometer bias (uT) by warmth, shape (6,)."""
        return self.mean[_THERMAL]

    def warmed(self, warmth: float) -> "SensorPrior":
        """Return the prior with the biases after a change of the warmth."""
        transition = np.eye(len(self.mean))
        transition[:6, _THERMAL] = warmth * np.eye(6)
        return SensorPrior(transition.dot(self.mean), transition.dot(self.covariance).dot(transition.T))

    @property
    def is_field_direction_known(self) -> bool:
        """True if the sigmas of the magnetometer bias are below 5 uT, so that readings have a direction."""
        return bool(self.sigma[3:6].max() < FIELD_KNOWN_SIGMA_UT)

    def updated(self, measured: Array, partials: Array, covariance: Array) -> "SensorPrior":
        """Return the prior after m measurements, (m,), with partials (m, 24) and covariance (m, m)."""
        cross = self.covariance.dot(partials.T)
        gain = np.linalg.solve(partials.dot(cross) + covariance, cross.T).T
        left = np.eye(len(self.mean)) - gain.dot(partials)
        updated = left.dot(self.covariance).dot(left.T) + gain.dot(covariance).dot(gain.T)
        return SensorPrior(self.mean + gain.dot(measured - partials.dot(self.mean)), updated)

    def calibrated(
        self, calibration: "MagnetometerErrors | None", settings: AttitudeSettings, errors: ModelErrors
    ) -> "SensorPrior":
        """Return the prior with the calibrated magnetometer; unchanged if its bias is not known better then."""
        if calibration is None or calibration.bias_sigma_ut.max() >= self.sigma[3:6].max():
            return self
        better, gyro = calibration.applied(SensorPrior.initial(settings, errors)), np.ix_(_GYRO, _GYRO)
        better.mean[_GYRO], better.covariance[gyro] = self.mean[_GYRO], self.covariance[gyro]
        return better


class MagnetometerErrors(NamedTuple):
    """Errors of the magnetometer by the calibration that needs no attitude.

    Attributes:
        mean: Bias in uT, then the elements xx, yy, zz, xy, xz, yz of the symmetric matrix of scale and misalignment,
            both in sensor axes, shape (9,).
        covariance: Their covariance, shape (9, 9).
    """

    mean: Array
    covariance: Array

    @property
    def bias_sigma_ut(self) -> Array:
        """Standard deviations of the bias, uT, shape (3,)."""
        return np.sqrt(self.covariance.diagonal()[BIAS])

    def disagreement(self, state: AttitudeState, warmth: float) -> float:
        """Return the chi-square of the difference between the bias and that of a track, with 3 degrees of freedom."""
        difference = self.mean[BIAS] - state.mag_bias_ut - PANEL_SHARE * state.panel_field_ut
        root = state.sqrt_covariance[ERRORS.mag_bias] + PANEL_SHARE * state.sqrt_covariance[ERRORS.panel_field]
        # The calibration finds the bias at a mean warmth.
        warming = PANEL_SHARE - warmth
        difference -= warming * state.thermal[3:]
        root += warming * state.sqrt_covariance[ERRORS.mag_thermal]
        return chi_square(difference, self.covariance[BIAS, BIAS] + root.dot(root.T))

    def applied(self, prior: SensorPrior) -> SensorPrior:
        """Return the prior after this calibration.

        A rotation of the sensor, the field of the panels and the change by warmth remain uncertain.
        """
        partials = np.zeros((9, len(prior.mean)))
        partials[BIAS, 3:6] = np.eye(3)
        partials[BIAS, 15:18] = partials[BIAS, 21:24] = PANEL_SHARE * np.eye(3)
        for row, (i, j) in enumerate(zip(ROWS, COLUMNS, strict=True), MATRIX.start):
            partials[row, 6 + 3 * i + j] += 0.5
            partials[row, 6 + 3 * j + i] += 0.5
        return prior.updated(self.mean, partials, self.covariance)
