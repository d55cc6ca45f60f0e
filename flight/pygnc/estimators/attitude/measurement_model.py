"""Measurement models of the attitude filter, one for each kind of reading.

A model predicts a reading, tests it, defines its errors, and judges the track by its residuals. The filter updates a
track with the measurements that the models accept, in the order of `measurement_models`.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum, auto, unique
from typing import ClassVar, Final, NamedTuple

import numpy as np

from pygnc.common.arrays import Array
from pygnc.estimators.attitude.propagation import AttitudeStep
from pygnc.estimators.attitude.sample import AttitudeEnvironment, AttitudeSample
from pygnc.estimators.attitude.sensor_health import SensorHealth
from pygnc.estimators.attitude.settings import AttitudeSettings
from pygnc.estimators.attitude.state import ATTITUDE, error_size
from pygnc.estimators.kalman import Observation, chi_square

_WEIGHT: Final = 1.0 / 50.0
"""Weight of a sample in the running means of the misfits."""
REJECTED_WEIGHT: Final = 1.0 / 10.0
"""Weight of a reading in the running mean of rejected readings."""


class Prediction(NamedTuple):
    """Predicted state and its environment, from which the models predict readings.

    Attributes:
        step: Step to the time of the sample, with the predicted state.
        body_from_gcrf: Rotation matrix of the predicted attitude, shape (3, 3).
        environment: Environment at that time.
        health: Faults of the sensors before the sample.
        tag_variance_s2: Variance of the sample's time about its tag.
        samples: Number of samples in the track, including this one.
    """

    step: AttitudeStep
    body_from_gcrf: Array
    environment: AttitudeEnvironment
    health: SensorHealth
    tag_variance_s2: float
    samples: int


class Accepted(NamedTuple):
    """Measurements that passed a gate.

    Attributes:
        residual: Measured minus predicted, shape (m,).
        projected: Measurement partials times the square root of the predicted covariance, shape (m, k).
        sigma: Standard deviations of the measurement errors, shape (m,).
        d_time: Change of the prediction per second of delay of the sample, shape (m,).
    """

    residual: Array
    projected: Array
    sigma: Array
    d_time: Array


@dataclass(frozen=True, slots=True, eq=False)
class Innovation:
    """Innovation of a model: measured minus predicted.

    Attributes:
        residual: Shape (m,).
        sigma: Predicted standard deviations, shape (m,).
        is_used: True if a part of the reading updated the state.
        is_evidence: True if nothing but a wrong attitude or a broken sensor explains that no part was used.
    """

    residual: Array
    sigma: Array
    is_used: bool
    is_evidence: bool


@dataclass(frozen=True, slots=True, eq=False)
class VectorInnovation(Innovation):
    """Innovation of a reading that is tested as a whole.

    Attributes:
        chi_square: Normalised innovation squared, which the gate tests.
    """

    chi_square: float


class ModelMemory(NamedTuple):
    """State of a model within a track.

    Attributes:
        misfit: Running mean of the accepted normalised innovations squared, per measurement, with unadapted standard
            deviations.
        rejected: Running share of rejected readings, 0 to 1.
        left: Difference of the last reading from the state after it, shape (m,); None if there was no reading.
        disturbed: Number of readings since a disturbance seems to have begun; 0 if there is none.
    """

    misfit: float = 1.0
    rejected: float = 0.0
    left: Array | None = None
    disturbed: int = 0

    def misfit_after(self, square: float) -> float:
        """Return the misfit after an accepted reading with this unadapted normalised innovation squared."""
        return self.misfit + _WEIGHT * (square - self.misfit)


class Tested(NamedTuple):
    """A reading after its tests.

    Attributes:
        innovation: The innovation.
        partials: Derivative of the prediction by the error state, shape (m, 35).
        memory: Memory after the tests.
        accepted: The measurements that passed; None if there are none.
        health: Faults of the sensors after the sample.
    """

    innovation: Innovation
    partials: Array
    memory: ModelMemory
    accepted: Accepted | None
    health: SensorHealth


@unique
class Verdict(Enum):
    """Judgement of a track by the readings of a sensor."""

    WRONG = auto()
    """Attitude and biases are wrong."""
    OWN_BIAS = auto()
    """The bias of this sensor is wrong; other sensors support the attitude."""


class MeasurementModel(ABC):
    """Model of one kind of reading.

    Attributes:
        name: Name of the model, by which samples, tracks and updates have its reading, memory and innovation.
        device_values: Values of a device's reading that the model takes from one of the computer's own sensors.
    """

    name: ClassVar[str]
    device_values: ClassVar[tuple[str, ...]] = ()

    def __init__(self, settings: AttitudeSettings) -> None:
        self._settings = settings
        self._size = error_size(settings.mounting.faces)

    @abstractmethod
    def test(self, memory: ModelMemory, sample: AttitudeSample, prediction: Prediction) -> Tested | None:
        """Return the tested reading of a sample; None if the sample has none."""

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
        """Return a reading tested by the normalised square of all its residuals together.

        Args:
            observation: The linearised reading, with standard deviations that are not adapted.
            memory: Memory of the model before the test.
            prediction: Prediction that `observation` was linearised about.
            gate: Chi-square limit.
            rejected_weight: Weight of the reading in the running mean of rejected readings.
            is_evidence: `Innovation.is_evidence` of the reading.
        """
        factor = self._factor(memory)
        residual, partials, sigma = observation.scaled(factor)
        projected = partials.dot(prediction.step.state.sqrt_covariance)
        d_time = partials[:, ATTITUDE].dot(prediction.step.rate_body_rad_s)
        covariance = projected.dot(projected.T)
        if prediction.tag_variance_s2 > 0.0:
            covariance += prediction.tag_variance_s2 * np.multiply.outer(d_time, d_time)
        covariance.ravel()[:: len(sigma) + 1] += sigma * sigma
        distance = chi_square(residual, covariance)
        is_accepted = distance <= gate
        # With unadapted sigmas, the square would be larger by about the square of the factor.
        misfit = memory.misfit_after(distance * factor * factor / len(residual)) if is_accepted else memory.misfit
        after = ModelMemory(misfit, memory.rejected + rejected_weight * ((not is_accepted) - memory.rejected))
        innovation = VectorInnovation(residual, np.sqrt(covariance.diagonal()), is_accepted, is_evidence, distance)
        accepted = Accepted(residual, projected, sigma, d_time) if is_accepted else None
        return Tested(innovation, partials, after, accepted, prediction.health)

    def attitude(self, sample: AttitudeSample) -> tuple[Array, Array] | None:  # noqa: ARG002 - most sensors have none
        """Return the attitude that a sensor measures by itself, which may begin a track; None if it measures none.

        Returns:
            Quaternion GCRF from body, shape (4,), and a root of the covariance of its error in body axes, (3, 3).
        """
        return None

    def without_reading(self, memory: ModelMemory) -> ModelMemory:
        """Return the memory after a sample without a reading."""
        return memory

    def after_update(self, tested: Tested, error: Array) -> ModelMemory:  # noqa: ARG002 - for models that use it
        """Return the memory after the state was corrected by `error`, shape (35,)."""
        return tested.memory

    def verdict(self, memory: ModelMemory, samples: int, *, is_supported: bool) -> Verdict | None:  # noqa: ARG002
        """Return the verdict of the readings on a track of `samples` samples; None if they agree with it.

        By default, a track is wrong if most of the newest readings were rejected.

        Args:
            memory: Memory after the newest sample.
            samples: Number of samples in the track.
            is_supported: True if evidence of the newest sample supports the track.
        """
        return Verdict.WRONG if memory.rejected > self._settings.start.rejected_max else None

    def reopened(self, memory: ModelMemory) -> tuple[ModelMemory, Array]:  # noqa: ARG002 - as in `after_update`
        """Return memory and variance inflation, shape (35,), after the verdict `OWN_BIAS`."""
        raise TypeError(f"the {self.name} has no bias of its own")

    def _factor(self, memory: ModelMemory) -> float:
        """Return the factor on the standard deviations that explains the running mean of the misfit."""
        return min(max(math.sqrt(memory.misfit), 1.0), self._settings.noise_scale_max)
