"""What the filter is given: one reading of the sensors, and what surrounds the satellite at that time.

What the sensors read and what the filter takes for it, by scale factors and calibration in the settings.

The filter is given corrected readings, and its magnetometer bias is what the calibration has left in those.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from pygnc.common.arrays import Array
from pygnc.estimators.attitude.settings import AttitudeSettings, MagnetometerSettings


@dataclass(frozen=True, slots=True, eq=False)
class AttitudeSample:
    """One reading of magnetometer, gyro and sun sensors.

    Attributes:
        gps_ms: GPS milliseconds since the GPS epoch.
        mag_imu_ut: Magnetic field in sensor axes, shape (3,).
        gyro_imu_rad_s: Body rate in sensor axes, shape (3,).
        lux: Light on the six faces in the order of the settings' normals, shape (6,).
        seq: Number of the sample, for whoever asks what became of it.
    """

    gps_ms: int
    mag_imu_ut: Array
    gyro_imu_rad_s: Array
    lux: Array
    seq: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class AttitudeEnvironment:
    """What the models say of the place where the satellite is.

    Attributes:
        field_gcrf_ut: The Earth's magnetic field, shape (3,).
        sun_gcrf_m: Geocentric position of the Sun, shape (3,).
        position_gcrf_m: Geocentric position of the satellite, shape (3,).
        sunlit_fraction: Visible part of the Sun's disc, 0 to 1.
    """

    field_gcrf_ut: Array
    sun_gcrf_m: Array
    position_gcrf_m: Array
    sunlit_fraction: float


class MagnetometerCorrection:
    """The calibration of the settings, there and back. All vectors are in sensor axes and uT."""

    def __init__(self, settings: MagnetometerSettings) -> None:
        self._bias_ut = np.array(settings.bias_ut)
        self._matrix = np.array(settings.matrix)
        self._inverse = np.linalg.inv(self._matrix)

    def corrected_ut(self, mag_imu_ut: Array) -> Array:
        """What the filter takes for a reading, shape (3,)."""
        corrected: Array = self._matrix.dot(mag_imu_ut - self._bias_ut)
        return corrected

    def total_bias_ut(self, left_ut: Array) -> Array:
        """The bias of the readings, of which `left_ut` is left in the corrected ones, shape (3,)."""
        total: Array = self._bias_ut + self._inverse.dot(left_ut)
        return total

    def total_bias_sigma_ut(self, left_covariance: Array) -> Array:
        """Standard deviations of the bias of the readings, shape (3,), from the covariance of what is left (3, 3)."""
        sigma: Array = np.sqrt(np.diagonal(self._inverse.dot(left_covariance).dot(self._inverse.T)))
        return sigma


class SensorReading(Protocol):
    """A sensor sample in its own words; the bus's is one. Field and rate are in sensor axes."""

    @property
    def seq(self) -> int:
        """The caller's number of it."""

    @property
    def mag_imu_ut(self) -> tuple[float, float, float]:
        """Magnetic field."""

    @property
    def gyro_imu_rad_s(self) -> tuple[float, float, float]:
        """Rate."""

    @property
    def lux(self) -> tuple[float, float, float, float, float, float]:
        """Light on the faces."""


class SampleCorrection:
    """All that settings say of readings.

    Attributes:
        magnetometer: The magnetometer's part.
    """

    def __init__(self, settings: AttitudeSettings) -> None:
        self.magnetometer = MagnetometerCorrection(settings.magnetometer)
        self._gyro_scale, self._lux_scale = settings.gyro.scale, settings.sun_sensors.scale

    def gyro_rad_s(self, reading: SensorReading) -> Array:
        """Rate, shape (3,)."""
        return self._gyro_scale * np.array(reading.gyro_imu_rad_s)

    def lux(self, reading: SensorReading) -> Array:
        """Light, shape (6,)."""
        return self._lux_scale * np.array(reading.lux)

    def sample(self, reading: SensorReading, gps_ms: int) -> AttitudeSample:
        """What the filter is given."""
        mag_ut = self.magnetometer.corrected_ut(np.array(reading.mag_imu_ut))
        return AttitudeSample(gps_ms, mag_ut, self.gyro_rad_s(reading), self.lux(reading), reading.seq)
