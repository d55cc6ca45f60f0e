"""Measurement models of the attitude filter, one for each kind of reading.

A model predicts a reading, accepts or rejects its measurements by innovation gates, and decides whether the readings
contradict the track. The filter updates the track with the accepted measurements in the order of `measurement_models`.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from enum import Enum, auto, unique
from typing import ClassVar, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pygnc.common.arrays import Array
from pygnc.estimators.attitude.propagation import AttitudeStep
from pygnc.estimators.attitude.sample import AttitudeEnvironment, AttitudeSample
from pygnc.estimators.attitude.sensor_health import SensorHealth
from pygnc.estimators.attitude.settings import AttitudeSettings
from pygnc.estimators.attitude.state import ERRORS, AttitudeState
from pygnc.estimators.kalman import Observation, chi_square

_WEIGHT: Final = 1.0 / 50.0
"""Weight of a new reading in the running mean `ModelMemory.misfit`."""
_UNDERWEIGHT: Final = 2.0
"""Share of its predicted variance that is added to the variance of a measurement while the attitude is not fine."""
REJECTED_WEIGHT: Final = 1.0 / 10.0
"""Weight of a new reading in the running mean `ModelMemory.rejected`."""


class Prediction(NamedTuple):
    """Predicted state at the time of a sample, with all else from which the models predict readings.

    Attributes:
        step: Step to the time of the sample; its state is the predicted one.
        body_from_gcrf: Rotation matrix of the predicted attitude, shape (3, 3).
        environment: Environment at the time of the sample.
        health: Faults of the sensors before the sample.
        tag_variance_s2: Variance of the error of the sample's time, s2.
        samples: Number of samples in the track, including this one.
    """

    step: AttitudeStep
    body_from_gcrf: Array
    environment: AttitudeEnvironment
    health: SensorHealth
    tag_variance_s2: float
    samples: int


class Accepted(NamedTuple):
    """The m measurements of a reading that passed the innovation gate.

    Attributes:
        residual: Measured minus predicted, shape (m,).
        projected: Measurement partials times the k columns of the predicted covariance root, shape (m, k).
        sigma: Standard deviations of the measurement errors, shape (m,).
        d_time: Derivative of the prediction with respect to the time of the sample, 1/s, shape (m,).
    """

    residual: Array
    projected: Array
    sigma: Array
    d_time: Array

    def underweighted(self) -> "Accepted":
        """Return the measurements with larger standard deviations, for an uncertain attitude.

        The second-order terms that linearisation neglects would otherwise make the covariance too small (Zanetti,
        DeMars & Bishop, Underweighting nonlinear measurements, J. Guid. Control Dyn. 33, 2010).
        """
        variance = np.einsum("ij,ij->i", self.projected, self.projected)
        return self._replace(sigma=np.sqrt(self.sigma * self.sigma + _UNDERWEIGHT * variance))


@dataclass(frozen=True, slots=True, eq=False)
class Innovation:
    """Innovation of one reading: measured minus predicted values.

    Attributes:
        residual: Measured minus predicted, shape (m,).
        sigma: Standard deviations of the residual by the filter, shape (m,).
        is_used: True if at least one measurement of the reading updated the state.
        is_evidence: True if only a wrong attitude or a broken sensor could explain that no measurement is used.
    """

    residual: Array
    sigma: Array
    is_used: bool
    is_evidence: bool


@dataclass(frozen=True, slots=True, eq=False)
class VectorInnovation(Innovation):
    """Innovation of a reading whose measurements are accepted or rejected together.

    Attributes:
        chi_square: Normalised innovation squared, which the innovation gate limits.
    """

    chi_square: float


class ModelMemory(NamedTuple):
    """State of a model within a track.

    Attributes:
        misfit: Running mean of the normalised innovations squared of accepted readings, per measurement, with the
            standard deviations of the settings. Larger values than 1 widen these standard deviations.
        rejected: Running mean of the share of rejected readings, 0 to 1.
        left: Residual of the last reading after the update, shape (m,); None if unknown. Only the magnetometer uses it.
        disturbed: Number of readings since a magnetic disturbance began; 0 if there is none.
    """

    misfit: float = 1.0
    rejected: float = 0.0
    left: Array | None = None
    disturbed: int = 0

    def misfit_after(self, square: float) -> float:
        """Return `misfit` after an accepted reading whose normalised innovation squared, as there, is `square`."""
        return self.misfit + _WEIGHT * (square - self.misfit)


class Tested(NamedTuple):
    """Result of the tests of one reading.

    Attributes:
        innovation: Innovation of all measurements, accepted or not.
        partials: Derivatives of the prediction with respect to the error state, shape (m, size).
        memory: Memory of the model after the tests.
        accepted: Measurements that passed the innovation gate; None if there are none.
        health: Faults of the sensors, updated with this reading.
    """

    innovation: Innovation
    partials: Array
    memory: ModelMemory
    accepted: Accepted | None
    health: SensorHealth


@unique
class Verdict(Enum):
    """Conclusion from the readings of one sensor that contradict the track."""

    WRONG = auto()
    """Attitude and biases are wrong; the track ends."""
    OWN_BIAS = auto()
    """The estimated bias of this sensor is wrong, and its variance is inflated; other sensors support the attitude."""


class MeasurementModel(ABC):
    """Model of one kind of reading.

    Attributes:
        name: Key of the model's reading, memory and innovation in samples, tracks and updates.
        device_values: Names of the values of a device's reading that form a reading of this model; empty for none.
    """

    name: ClassVar[str]
    device_values: ClassVar[tuple[str, ...]] = ()

    def __init__(self, settings: AttitudeSettings) -> None:
        self._settings = settings
        self._size = ERRORS.size(settings.mounting.faces)

    @abstractmethod
    def test(self, memory: ModelMemory, sample: AttitudeSample, prediction: Prediction) -> Tested | None:
        """Predict and test the reading of a sample; None if the sample has no usable reading."""

    def _tested(
        self,
        observation: Observation,
        memory: ModelMemory,
        prediction: Prediction,
        *,
        gate: float,
        rejected_weight: float = REJECTED_WEIGHT,
        is_evidence: bool = True,
    ) -> Tested:
        """Test a reading as a whole by its normalised innovation squared.

        Args:
            observation: The linearised reading, with the standard deviations of the settings.
            memory: Memory of the model before the test.
            prediction: Prediction about which `observation` was linearised.
            gate: Limit of the normalised innovation squared; -infinity rejects the reading.
            rejected_weight: Weight of the reading in the running mean `ModelMemory.rejected`.
            is_evidence: `Innovation.is_evidence` of the reading.
        """
        factor = self._factor(memory)
        residual, partials, sigma = observation.scaled(factor)
        projected = partials.dot(prediction.step.state.sqrt_covariance)
        d_time = partials[:, ERRORS.attitude].dot(prediction.step.rate_body_rad_s)
        covariance = projected.dot(projected.T)
        if prediction.tag_variance_s2 > 0.0:
            covariance += prediction.tag_variance_s2 * np.multiply.outer(d_time, d_time)
        covariance.ravel()[:: len(sigma) + 1] += sigma * sigma
        distance = chi_square(residual, covariance)
        is_accepted = distance <= gate
        # `distance` is with sigmas widened by the factor; the misfit refers to those of the settings.
        misfit = memory.misfit_after(distance * factor * factor / len(residual)) if is_accepted else memory.misfit
        after = ModelMemory(misfit, memory.rejected + rejected_weight * ((not is_accepted) - memory.rejected))
        innovation = VectorInnovation(residual, np.sqrt(covariance.diagonal()), is_accepted, is_evidence, distance)
        accepted = Accepted(residual, projected, sigma, d_time) if is_accepted else None
        return Tested(innovation, partials, after, accepted, prediction.health)

    def attitude(self, sample: AttitudeSample) -> tuple[Array, Array] | None:  # noqa: ARG002 - most sensors have none
        """Return the attitude that the sensor measures by itself, which may begin a track; None if there is none.

        Returns:
            Quaternion GCRF from body, shape (4,), and a root of the covariance of its error (rad, body axes), (3, 3).
        """
        return None

    def without_reading(self, memory: ModelMemory) -> ModelMemory:
        """Return the memory after a sample for which `test` returned None."""
        return memory

    def after_update(self, tested: Tested, error: Array) -> ModelMemory:  # noqa: ARG002 - for models that use it
        """Return the memory after the update, which corrected the state by `error`, shape (size,)."""
        return tested.memory

    def with_kept_reading(
        self,
        corrected: AttitudeState,
        predicted: AttitudeState,  # noqa: ARG002 - for models whose readings are nonlinear in many unknowns
        error: Array,  # noqa: ARG002
        sample: AttitudeSample,  # noqa: ARG002
        environment: AttitudeEnvironment,  # noqa: ARG002
    ) -> AttitudeState:
        """Return a corrected state that predicts the reading as the linear update does; see `Magnetometer`.

        Args:
            corrected: State after the correction.
            predicted: State before it, at the time of the sample.
            error: The correction, shape (size,).
            sample: The sample.
            environment: Environment at its time.

        Returns:
            The state; its covariance root may not be triangular.
        """
        return corrected

    def verdict(self, memory: ModelMemory, *, is_supported: bool) -> Verdict | None:  # noqa: ARG002
        """Return the conclusion if the readings contradict the track; None if they do not.

        By default, a track is wrong if the running mean of rejected readings exceeds `rejected_max` of the settings.

        Args:
            memory: Memory after the newest sample.
            is_supported: True if a reading with `is_evidence` in the newest sample was used.
        """
        return Verdict.WRONG if memory.rejected > self._settings.start.rejected_max else None

    def reopened(self, memory: ModelMemory) -> tuple[ModelMemory, Array]:  # noqa: ARG002 - as in `after_update`
        """Return memory and variance inflation after `OWN_BIAS`: standard deviations to add, shape (size,)."""
        raise TypeError(f"the {self.name} has no bias of its own")

    def _factor(self, memory: ModelMemory) -> float:
        """Return the factor on the settings' standard deviations: root of the misfit, from 1 to `noise_scale_max`."""
        return min(max(math.sqrt(memory.misfit), 1.0), self._settings.noise_scale_max)


def with_kept_predictions(
    corrected: AttitudeState,
    error: Array,
    linearised: tuple[Observation, Observation],
    rows: npt.NDArray[np.intp],
    partials: Array,
) -> AttitudeState:
    """Return a corrected state whose elements `rows` predict m measurements as the linear update does.

    Args:
        corrected: State after the correction.
        error: The correction, shape (size,).
        linearised: The m measurements linearised about the state before the correction, and about `corrected`.
        rows: Index of an element of the error state for each measurement, shape (m,).
        partials: Derivative of each measurement about `corrected` with respect to its element, shape (m,).

    Returns:
        The state; its covariance root is not triangular.
    """
    before, after = linearised
    slow, root = corrected.slow.copy(), corrected.sqrt_covariance.copy()
    slow[rows - ERRORS.attitude.stop] += (after.residual - before.residual + before.partials.dot(error)) / partials
    root[rows] += (before.partials - after.partials).dot(corrected.sqrt_covariance) / partials[:, None]
    return replace(corrected, slow=slow, sqrt_covariance=root)
