"""Measurement model of the magnetometer, with bias, scale, misalignment and the field of the solar panels."""

import math
from typing import Final

import numpy as np

from pygnc.common import quaternion
from pygnc.common.arrays import Array, cross_matrix
from pygnc.estimators.attitude.measurement_model import (
    REJECTED_WEIGHT,
    MeasurementModel,
    ModelMemory,
    Prediction,
    Tested,
    Verdict,
    with_kept_predictions,
)
from pygnc.estimators.attitude.model_errors import MISLED_SIGMA_RAD
from pygnc.estimators.attitude.sample import SUCCESSIVE_SAMPLES, AttitudeEnvironment, AttitudeSample
from pygnc.estimators.attitude.settings import AttitudeSettings
from pygnc.estimators.attitude.state import ERRORS, AttitudeState
from pygnc.estimators.kalman import Observation

_REJECTED_WEIGHT: Final = 1.0 / 100.0
"""Weight of a reading in the running mean of rejected readings; small, as magnetorquers may disturb it for minutes. In
a young track, it is the share of the reading in all samples, at most that of other sensors.
"""
_ENDED_GATE: Final = 7.8
"""Chi-square limit for the reading that ends a disturbance, and for the change before it that may be its end; with 3
degrees of freedom, exceeded once in 20.
"""


class Magnetometer(MeasurementModel):
    """Model of the magnetometer. Sudden changes of the residual reveal magnetorquers, which may be on for minutes."""

    name = "magnetometer"

    def __init__(self, settings: AttitudeSettings) -> None:
        super().__init__(settings)
        self._magnetometer_from_body = settings.mounting.magnetometer
        self._identity = np.eye(3)
        self._bias_rows = np.arange(self._size)[ERRORS.mag_bias]
        self._sigma_ut = np.full(3, settings.magnetometer.noise_ut)

    def observation(
        self,
        state: AttitudeState,
        body_from_gcrf: Array,
        mag_imu_ut: Array,
        environment: AttitudeEnvironment,
    ) -> Observation:
        """Return the linearised reading, in uT.

        Args:
            state: Predicted state.
            body_from_gcrf: Rotation matrix of the predicted attitude, shape (3, 3).
            mag_imu_ut: Reading in sensor axes, uT, shape (3,).
            environment: Modelled field and sunlight.
        """
        field_body = body_from_gcrf.dot(environment.field_gcrf_ut + state.field_error_gcrf_ut)
        matrix = (self._identity + state.mag_matrix_error).dot(self._magnetometer_from_body)
        partials = np.zeros((3, self._size))
        partials[:, ERRORS.attitude] = matrix.dot(cross_matrix(field_body))
        partials[:, ERRORS.mag_bias] = self._identity
        partials[:, ERRORS.field_error] = matrix.dot(body_from_gcrf)
        ideal = self._magnetometer_from_body.dot(field_body)
        for axis in range(3):
            partials[axis, ERRORS.mag_matrix.start + 3 * axis : ERRORS.mag_matrix.start + 3 * axis + 3] = ideal
        partials[:, ERRORS.panel_field] = environment.sunlit_fraction * self._identity
        predicted = matrix.dot(field_body) + state.mag_bias_ut + environment.sunlit_fraction * state.panel_field_ut
        return Observation(mag_imu_ut - predicted, partials, self._sigma_ut)

    def test(self, memory: ModelMemory, sample: AttitudeSample, prediction: Prediction) -> Tested | None:
        """Predict and test the reading; None if the sample marks the field as unusable."""
        if sample.field_unusable:
            return None
        observation = self.observation(
            prediction.step.state, prediction.body_from_gcrf, sample.mag_imu_ut, prediction.environment
        )
        jumped = memory.left is not None and self._jumped(observation, memory, memory.left, prediction)
        if memory.disturbed:
            # A few faulty readings end without another sudden change, and the end of a long disturbance may be missed.
            longest = self._settings.magnetometer.disturbed_samples_max
            ended = jumped or not SUCCESSIVE_SAMPLES < memory.disturbed <= longest
            gate = _ENDED_GATE if ended else -math.inf
        else:
            gate = -math.inf if jumped else self._settings.magnetometer.gate
        weight = max(_REJECTED_WEIGHT, min(REJECTED_WEIGHT, 1.0 / prediction.samples))
        tested = self._tested(observation, memory, prediction, gate=gate, rejected_weight=weight, is_evidence=False)
        if tested.accepted is not None:
            return tested
        disturbed = 1 if jumped else memory.disturbed + 1
        return tested._replace(memory=tested.memory._replace(disturbed=disturbed))

    def without_reading(self, memory: ModelMemory) -> ModelMemory:
        """Return the memory without a last residual and without a disturbance."""
        return memory._replace(left=None, disturbed=0)

    def after_update(self, tested: Tested, error: Array) -> ModelMemory:
        """Return the memory with the residual after the update."""
        misfit, rejected, _, disturbed = tested.memory
        return ModelMemory(misfit, rejected, tested.innovation.residual - tested.partials.dot(error), disturbed)

    def with_kept_reading(
        self,
        corrected: AttitudeState,
        predicted: AttitudeState,
        error: Array,
        sample: AttitudeSample,
        environment: AttitudeEnvironment,
    ) -> AttitudeState:
        """Return a corrected state with another bias, with which it predicts the reading as the linear update does.

        Whether the reading was used does not matter.

        Readings determine the sum of the rotated field and the bias. Errors of attitude and bias are correlated along a
        direction that turns with the attitude. After a correction of many degrees, neither the sum nor this direction
        would be those of the corrected state. Readings before and after would count as constraints along different
        directions, which together determine the attitude although neither does: a body that hardly turns reached a
        standard deviation of 5 degrees with errors of 20. The bias and its covariance are therefore those with which
        prediction and its uncertainty stay the same. Huang, Mourikis & Roumeliotis (Int. J. Robotics Research 29, 2010)
        explain the cause for filters of positions and landmarks.
        """
        before, after = (
            self.observation(state, quaternion.to_matrix(state.quaternion).T, sample.mag_imu_ut, environment)
            for state in (predicted, corrected)
        )
        return with_kept_predictions(corrected, error, (before, after), self._bias_rows, np.ones(3))

    def verdict(self, memory: ModelMemory, *, is_supported: bool) -> Verdict | None:
        """Return a verdict if readings were rejected for longer than a magnetic disturbance explains, else None."""
        limits = self._settings.start
        if not is_supported:
            return Verdict.WRONG if memory.rejected > limits.field_rejected_dark_max else None
        return Verdict.OWN_BIAS if memory.rejected > limits.field_rejected_max else None

    def reopened(self, memory: ModelMemory) -> tuple[ModelMemory, Array]:
        """Return a new memory, and the inflation of bias and attitude, whose estimates magnetorquers have falsified."""
        inflation = np.zeros(self._size)
        inflation[ERRORS.mag_bias] = self._settings.magnetometer.bias_sigma_ut
        inflation[ERRORS.attitude] = MISLED_SIGMA_RAD
        return ModelMemory(misfit=memory.misfit), inflation

    def _jumped(self, observation: Observation, memory: ModelMemory, left_ut: Array, prediction: Prediction) -> bool:
        """Return True if the residual differs from the last one, `left_ut`, by more than noise and rotation explain.

        Errors of attitude and biases change the residual slowly; a magnetorquer that is switched changes it at once.
        """
        gate, step = _ENDED_GATE if memory.disturbed else self._settings.magnetometer.gate, prediction.step
        change_ut = observation.residual - left_ut
        variance_ut2: float = 2.0 * (self._factor(memory) * float(observation.sigma[0])) ** 2
        square = float(change_ut.dot(change_ut))
        if square <= gate * variance_ut2:
            return False
        matrix_root = step.state.sqrt_covariance[ERRORS.mag_matrix]
        # An error of the matrix acts on the change of the field since the last reading, at most on twice the field.
        turned2 = min(float(step.turn_rad.dot(step.turn_rad)), 4.0)
        relative2 = step.noise_sigma[0] ** 2 + turned2 * float(np.einsum("ij,ij->i", matrix_root, matrix_root).max())
        d_time = observation.partials[:, ERRORS.attitude].dot(step.rate_body_rad_s)
        field_ut = prediction.environment.field_gcrf_ut
        variance_ut2 += relative2 * float(field_ut.dot(field_ut)) + 2.0 * prediction.tag_variance_s2 * float(
            d_time.dot(d_time)
        )
        return square > gate * variance_ut2
