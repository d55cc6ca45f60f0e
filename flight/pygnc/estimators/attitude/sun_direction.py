"""Measurement model of a fine Sun sensor, which measures the direction to the Sun."""

import math
from typing import Final

import numpy as np

from pygnc.common.arrays import Array, cross_matrix
from pygnc.estimators.attitude.measurement_model import (
    MeasurementModel,
    ModelMemory,
    Prediction,
    Tested,
)
from pygnc.estimators.attitude.sample import AttitudeSample
from pygnc.estimators.attitude.settings import AttitudeSettings
from pygnc.estimators.attitude.state import ERRORS
from pygnc.estimators.kalman import Observation

_LENGTH_MIN: Final = 0.5
"""Length of a reading below which the sensor did not see the Sun."""


class SunDirection(MeasurementModel):
    """Model of the fine Sun sensor. A reading is a vector towards the Sun in sensor axes, shape (3,), of any length."""

    name = "sun_direction"
    device_values = ("sun_x", "sun_y", "sun_z")

    def __init__(self, settings: AttitudeSettings) -> None:
        super().__init__(settings)
        self._sensor_from_body = np.array(settings.sun_direction.sensor_from_body)

    def observation(self, body_from_gcrf: Array, sun_gcrf: Array, measured: Array) -> Observation:
        """Return the linearised reading: two components perpendicular to the predicted direction, nearly in rad.

        Args:
            body_from_gcrf: Rotation matrix of the predicted attitude, shape (3, 3).
            sun_gcrf: Unit vector from the satellite to the Sun, shape (3,).
            measured: Measured unit vector in sensor axes, shape (3,), less than 90 degrees from the predicted one.
        """
        sun_body = body_from_gcrf.dot(sun_gcrf)
        across = _across(self._sensor_from_body.dot(sun_body))
        partials = np.zeros((2, self._size))
        partials[:, ERRORS.attitude] = across.dot(self._sensor_from_body).dot(cross_matrix(sun_body))
        return Observation(across.dot(measured), partials, np.full(2, self._settings.sun_direction.sigma_rad))

    def test(self, memory: ModelMemory, sample: AttitudeSample, prediction: Prediction) -> Tested | None:
        """Predict and test the reading; None in the Earth's shadow, or without a vector of usable length."""
        reading, environment = sample.readings.get(self.name), prediction.environment
        if reading is None or reading.shape != (3,) or environment.sunlit_fraction <= 0.0:
            return None
        length = math.sqrt(reading.dot(reading))
        if length < _LENGTH_MIN:
            return None
        to_sun_m = environment.sun_gcrf_m - environment.position_gcrf_m
        sun_gcrf, measured = to_sun_m / math.sqrt(to_sun_m.dot(to_sun_m)), reading / length
        observation = self.observation(prediction.body_from_gcrf, sun_gcrf, measured)
        # For a direction opposite to the predicted one, the perpendicular components would also be small.
        is_ahead = self._sensor_from_body.dot(prediction.body_from_gcrf).dot(sun_gcrf).dot(measured) > 0.0
        gate = self._settings.sun_direction.gate if is_ahead else -math.inf
        return self._tested(observation, memory, prediction, gate=gate)


def _across(direction: Array) -> Array:
    """Return two unit vectors, shape (2, 3), perpendicular to a unit vector and to each other."""
    least = np.zeros(3)
    least[np.argmin(np.abs(direction))] = 1.0
    first = np.cross(direction, least)
    first /= math.sqrt(first.dot(first))
    return np.array((first, np.cross(direction, first)))
