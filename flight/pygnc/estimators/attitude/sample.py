"""Inputs of the attitude filter: sensor samples, their correction by the settings, and the environment.

The filter processes corrected readings, so its magnetometer bias is what remains after the calibration of the settings.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from pygnc.common.arrays import Array
from pygnc.estimators.attitude.settings import FACES, AttitudeSettings, MagnetometerSettings

SUCCESSIVE_SAMPLES: Final = 3
"""Number of successive samples that a single faulty one does not explain. So many are fitted by the first hypotheses of
a search, and the best one must be clear at so many.
"""
_FIELD_PER_ERROR_MIN: Final = 10.0
"""Smallest usable field, in standard deviations of the field model; one sigma then rotates it by 0.1 rad."""


@dataclass(frozen=True, slots=True, eq=False)
class AttitudeSample:
    """One sample of magnetometer, gyro and sun sensors, corrected by `SampleCorrection`.

    Attributes:
        gps_ms: GPS milliseconds since the GPS epoch.
        mag_imu_ut: Magnetic field in sensor axes, uT, shape (3,).
        gyro_imu_rad_s: Body rate in sensor axes, rad/s, shape (3,).
        lux: Illuminance in lux, in the order of the settings' normals, shape (faces,). With fewer than six sun sensors,
            the remaining elements are 0. A negative value means that a sensor after the sixth has no reading.
        seq: Sequence number of the sample, which updates repeat.
        field_unusable: True if magnetorquers disturb the magnetic field, or if its model is too weak.
        readings: Readings of further sensors by the name of their measurement model, arrays of shape (k,).
        time_sigma_s: Standard deviation of the time; None if its source does not state it.
    """

    gps_ms: int
    mag_imu_ut: Array
    gyro_imu_rad_s: Array
    lux: Array
    seq: int = 0
    field_unusable: bool = False
    readings: Mapping[str, Array] = field(default_factory=dict)
    time_sigma_s: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class AttitudeEnvironment:
    """Modelled environment at the satellite.

    Attributes:
        field_gcrf_ut: Geomagnetic field, GCRF, uT, shape (3,).
        sun_gcrf_m: Geocentric position of the Sun, GCRF, m, shape (3,).
        position_gcrf_m: Geocentric position of the satellite, GCRF, m, shape (3,).
        sunlit_fraction: Visible fraction of the Sun's disc, 0 to 1.
        warmth: Temperature inside the satellite by sunlight: 0 at the equilibrium in darkness, 1 at that in sunlight.
    """

    field_gcrf_ut: Array
    sun_gcrf_m: Array
    position_gcrf_m: Array
    sunlit_fraction: float
    warmth: float

    def field_is_weak(self, settings: MagnetometerSettings) -> bool:
        """Return True if the field is weaker than ten standard deviations of its model, as at high altitude.

        Its direction is then too uncertain, and a linearised filter would underestimate the attitude error.
        """
        return math.sqrt(self.field_gcrf_ut.dot(self.field_gcrf_ut)) < _FIELD_PER_ERROR_MIN * settings.field_error_ut


class MagnetometerCorrection:
    """Magnetometer calibration of the settings, and its inverse. Vectors are in sensor axes, uT."""

    def __init__(self, settings: MagnetometerSettings) -> None:
        self._bias_ut = np.array(settings.bias_ut)
        self._matrix = np.array(settings.matrix)
        self._inverse = np.linalg.inv(self._matrix)

    def corrected_ut(self, mag_imu_ut: Array) -> Array:
        """Return a raw reading, shape (3,), corrected by the calibration."""
        corrected: Array = self._matrix.dot(mag_imu_ut - self._bias_ut)
        return corrected

    def total_bias_ut(self, left_ut: Array) -> Array:
        """Return the bias of raw readings, shape (3,), given the bias `left_ut` (3,) that correction leaves."""
        total: Array = self._bias_ut + self._inverse.dot(left_ut)
        return total

    def total_bias_sigma_ut(self, left_covariance: Array) -> Array:
        """Return the standard deviations of `total_bias_ut`, shape (3,), from the covariance of `left_ut`, (3, 3)."""
        sigma: Array = np.sqrt(np.diagonal(self._inverse.dot(left_covariance).dot(self._inverse.T)))
        return sigma


class SampleCorrection:
    """Converter of raw readings into samples: applies the calibration and the scale factors of the settings."""

    def __init__(self, settings: AttitudeSettings) -> None:
        self.magnetometer = MagnetometerCorrection(settings.magnetometer)
        self.gyro_scale = settings.gyro.scale
        self._lux_scale = settings.sun_sensors.scale
        self._faces, self._sensors = settings.mounting.faces, len(settings.mounting.face_normals_body)

    def illuminance(self, lux: Sequence[float]) -> Array:
        """Return `AttitudeSample.lux` from raw readings in lux of any number of sensors in the order of the normals."""
        illuminance, given = np.zeros(self._faces), lux[: self._sensors]
        illuminance[FACES:] = -1.0
        illuminance[: len(given)] = given
        return self._lux_scale * illuminance

    def sample(
        self,
        seq: int,
        gps_ms: int,
        mag_imu_ut: Sequence[float],
        gyro_imu_rad_s: Sequence[float],
        lux: Sequence[float],
        *,
        field_unusable: bool = False,
        readings: Mapping[str, Sequence[float]] | None = None,
        time_sigma_s: float | None = None,
    ) -> AttitudeSample:
        """Return the corrected sample; the arguments are the raw values of the attributes of `AttitudeSample`."""
        mag_ut = self.magnetometer.corrected_ut(np.array(mag_imu_ut))
        rate = self.gyro_scale * np.array(gyro_imu_rad_s)
        others = {name: np.array(values) for name, values in readings.items()} if readings else {}
        return AttitudeSample(gps_ms, mag_ut, rate, self.illuminance(lux), seq, field_unusable, others, time_sigma_s)
