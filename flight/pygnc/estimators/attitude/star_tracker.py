"""Measurement model of a star tracker, which measures the attitude; the rotation about its boresight least well."""

import math

import numpy as np

from pygnc.common import quaternion
from pygnc.common.arrays import Array
from pygnc.estimators.attitude.measurement_model import (
    MeasurementModel,
    ModelMemory,
    Prediction,
    Tested,
)
from pygnc.estimators.attitude.sample import AttitudeSample
from pygnc.estimators.attitude.settings import AttitudeSettings
from pygnc.estimators.attitude.state import ERRORS, AttitudeState
from pygnc.estimators.kalman import Observation

_LENGTH_TOLERANCE = 0.01
"""Largest deviation from 1 of the length of a measured quaternion; others mean that the sensor saw no stars."""


class StarTracker(MeasurementModel):
    """Model of the star tracker. A reading is a quaternion GCRF from sensor, scalar first, shape (4,)."""

    name = "star_tracker"
    device_values = ("quaternion_w", "quaternion_x", "quaternion_y", "quaternion_z")

    def __init__(self, settings: AttitudeSettings) -> None:
        super().__init__(settings)
        sensor = settings.star_tracker
        self._sensor_from_body = np.array(sensor.sensor_from_body)
        self._body_from_sensor = quaternion.from_matrix(self._sensor_from_body.T)
        self._sigma_rad = np.array((sensor.across_sigma_rad, sensor.across_sigma_rad, sensor.boresight_sigma_rad))
        self._partials = np.zeros((3, self._size))
        self._partials[:, ERRORS.attitude] = self._sensor_from_body

    def observation(self, state: AttitudeState, gcrf_from_sensor: Array) -> Observation:
        """Return the linearised reading: rotation vector from predicted to measured attitude, rad, sensor axes.

        `gcrf_from_sensor` is the measured quaternion, shape (4,).
        """
        predicted = quaternion.multiply(state.quaternion, self._body_from_sensor)
        residual = quaternion.error_vector(gcrf_from_sensor, predicted)
        return Observation(residual, self._partials, self._sigma_rad)

    def attitude(self, sample: AttitudeSample) -> tuple[Array, Array] | None:
        """Return the measured quaternion GCRF from body and a root of the covariance of its error, rad, body axes."""
        measured = self._measured(sample)
        if measured is None:
            return None
        gcrf_from_body = quaternion.multiply(measured, quaternion.conjugate(self._body_from_sensor))
        return gcrf_from_body, self._sensor_from_body.T * self._sigma_rad

    def test(self, memory: ModelMemory, sample: AttitudeSample, prediction: Prediction) -> Tested | None:
        """Predict and test the reading; None if there is none or the sensor saw no stars."""
        measured = self._measured(sample)
        if measured is None:
            return None
        observation = self.observation(prediction.step.state, measured)
        return self._tested(observation, memory, prediction, gate=self._settings.star_tracker.gate)

    def _measured(self, sample: AttitudeSample) -> Array | None:
        reading = sample.readings.get(self.name)
        if reading is None or reading.shape != (4,):
            return None
        length = math.sqrt(reading.dot(reading))
        return reading / length if abs(length - 1.0) <= _LENGTH_TOLERANCE else None
