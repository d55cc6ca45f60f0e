"""Multiplicative extended Kalman filter: one step of propagation, tests and update.

Method of Lefferts, Markley & Shuster (J. Guid. Control Dyn. 5, 1982), in square-root form. The measurement models
predict and test the readings; large innovations widen the standard deviations of later readings of the same sensor.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum, unique
from typing import Final, NamedTuple

import numpy as np

from pygnc.common import quaternion
from pygnc.common.arrays import Array
from pygnc.estimators.attitude.bias_walks import NO_WALKS, BiasWalks
from pygnc.estimators.attitude.measurement_model import (
    Accepted,
    Innovation,
    MeasurementModel,
    ModelMemory,
    Prediction,
    Tested,
)
from pygnc.estimators.attitude.model_errors import NO_TIME_TAG_ERRORS, TimeTagErrors
from pygnc.estimators.attitude.propagation import AttitudeDynamics, AttitudeStep
from pygnc.estimators.attitude.sample import AttitudeEnvironment, AttitudeSample
from pygnc.estimators.attitude.sensor_health import SensorHealth
from pygnc.estimators.attitude.settings import AttitudeSettings
from pygnc.estimators.attitude.state import AttitudeState
from pygnc.estimators.kalman import triangular_by_cholesky

_NO_MEMORIES: Final[dict[str, ModelMemory]] = {}


@unique
class AttitudeRejectCause(StrEnum):
    """Reason why no measurement of a sample was used."""

    NOT_LATER = "not_later"
    """The sample is not later than the previous sample."""
    NOT_FINITE = "not_finite"
    """The sample contains a value that is not finite."""
    NO_ENVIRONMENT = "no_surroundings"
    """The environment is unknown because the orbit is. The value is an older name that status and journals keep."""
    GATE = "gate"
    """The innovation gates rejected all measurements, or no reading was usable."""


@unique
class Standing(StrEnum):
    """Trust in a track, by the way it began."""

    TENTATIVE = "tentative"
    """A search has found an uncertain attitude, which is not reported until a second search confirms it."""
    DOUBTED = "doubted"
    """A second search disagrees with the track, which is not reported until another one agrees, or ends it."""
    FOUND = "found"
    """A search has found the attitude; a second one has not confirmed it yet."""
    CONFIRMED = "confirmed"
    """A second search agrees with the track."""
    MEASURED = "measured"
    """A sensor measured the first attitude by itself. The covariance is right, even while biases make it large."""


class Track(NamedTuple):
    """Memory of a track, an uninterrupted sequence of attitude estimates.

    Attributes:
        state: The estimate.
        gyro_imu_rad_s: Gyro reading at the time of the state, sensor axes, shape (3,).
        memories: Memory by name of each measurement model that has had a reading; this dictionary must not be modified.
        samples: Number of samples in the track.
        standing: Trust in the track.
        warmth: Warmth to which the gyro bias of the state belongs.
        smoothed_imu_rad_s: Smoothed gyro reading, sensor axes, shape (3,); None before the second reading.
    """

    state: AttitudeState
    gyro_imu_rad_s: Array
    memories: dict[str, ModelMemory] = _NO_MEMORIES
    samples: int = 0
    standing: Standing = Standing.FOUND
    warmth: float = 0.0
    smoothed_imu_rad_s: Array | None = None

    @property
    def is_reported(self) -> bool:
        """True if the attitude is certain enough to be reported."""
        return self.standing is not Standing.TENTATIVE and self.standing is not Standing.DOUBTED

    @property
    def is_confirmed(self) -> bool:
        """True if no second search is necessary."""
        return self.standing is Standing.CONFIRMED or self.standing is Standing.MEASURED

    def memory(self, name: str) -> ModelMemory:
        """Return the memory of the model with this name; a new one if it had no reading yet."""
        return self.memories.get(name) or ModelMemory()

    def with_memory(self, name: str, memory: ModelMemory) -> "Track":
        """Return a copy in which the model with this name has another memory."""
        return self._replace(memories={**self.memories, name: memory})

    def without_misfits(self) -> "Track":
        """Return a copy in which the misfit of each model is 1 again."""
        return self._replace(memories={name: one._replace(misfit=1.0) for name, one in self.memories.items()})


@dataclass(frozen=True, slots=True, eq=False)
class TrackUpdate:
    """Track after a sample, with the step and the innovations.

    Attributes:
        linear: State after the linear update, whose readings the state of the track keeps; the others are described in
            `AttitudeUpdate`.
    """

    track: Track
    linear: AttitudeState
    health: SensorHealth
    step: AttitudeStep
    innovations: Mapping[str, Innovation] = field(default_factory=dict)
    nis: float = 0.0
    dof: int = 0
    time_tags: TimeTagErrors = NO_TIME_TAG_ERRORS


class MultiplicativeEkf:
    """Propagation of tracks, and their update by all measurements of a sample at once, in the order of the models.

    Attributes:
        motion: Model of the attitude motion between samples.
    """

    def __init__(self, settings: AttitudeSettings, models: tuple[MeasurementModel, ...]) -> None:
        self.motion = AttitudeDynamics(settings)
        self._fine_sigma_rad = settings.start.fine_sigma_rad
        self._models = models

    def process(
        self,
        track: Track,
        sample: AttitudeSample,
        environment: AttitudeEnvironment | None,
        health: SensorHealth,
        *,
        time_tags: TimeTagErrors = NO_TIME_TAG_ERRORS,
        inflation: Array | None = None,
        walks: BiasWalks = NO_WALKS,
    ) -> TrackUpdate:
        """Propagate the track to a sample and update it with the measurements that the models accept.

        Args:
            track: Track before the sample.
            sample: The sample.
            environment: Environment at the time of the sample; None if unknown, for propagation alone.
            health: Faults of the sensors; those of the gyro are already updated with this sample.
            time_tags: Errors of the sample times; none by default.
            inflation: Standard deviations to add to the error state in this step, shape (size,); None for none.
            walks: Factors on the random walks of the biases.
        """
        gyro_imu_rad_s = sample.gyro_imu_rad_s
        warmth = track.warmth if environment is None else environment.warmth
        warming = warmth - track.warmth
        smoothed_before = track.gyro_imu_rad_s if track.smoothed_imu_rad_s is None else track.smoothed_imu_rad_s
        smoothed = self.motion.smoothed_imu_rad_s(smoothed_before, gyro_imu_rad_s)
        step = self.motion.advance(
            track.state,
            track.gyro_imu_rad_s,
            gyro_imu_rad_s,
            sample.gps_ms,
            health.gyro.stuck,
            smoothed_imu_rad_s=smoothed,
            inflation=inflation,
            walks=walks,
            tag_variance_s2=time_tags.used_with(sample.time_sigma_s),
            warming=warming,
            sunlit_fraction=0.0 if environment is None else environment.sunlit_fraction,
        )
        samples = track.samples + 1
        if environment is None:
            state = step.state.corrected(None, triangular_by_cholesky(step.state.sqrt_covariance))
            left = track._replace(
                state=state, gyro_imu_rad_s=gyro_imu_rad_s, samples=samples, smoothed_imu_rad_s=smoothed
            )
            return TrackUpdate(left, state, health, step, time_tags=time_tags)

        body_from_gcrf = quaternion.to_matrix(step.state.quaternion).T
        tag_variance_s2 = time_tags.used_with(sample.time_sigma_s)
        prediction = Prediction(step, body_from_gcrf, environment, health, tag_variance_s2, samples)
        memories, innovations, accepted = dict(track.memories), {}, []
        tested: list[tuple[MeasurementModel, Tested]] = []
        is_uncertain = step.state.attitude_sigma_rad > self._fine_sigma_rad and track.standing is not Standing.MEASURED
        for model in self._models:
            name, memory = model.name, track.memory(model.name)
            one = model.test(memory, sample, prediction)
            if one is None:
                if name in memories:
                    memories[name] = model.without_reading(memory)
                continue
            tested.append((model, one))
            innovations[name] = one.innovation
            if one.accepted is not None:
                accepted.append(one.accepted.underweighted() if is_uncertain else one.accepted)
            if one.health is not prediction.health:
                health = one.health
        linear, error, nis, dof, time_tags = _updated(step.state, accepted, time_tags, sample.time_sigma_s)
        state = linear
        if dof and is_uncertain:
            for model in self._models:
                state = model.with_kept_reading(state, step.state, error, sample, environment)
            state = replace(state, sqrt_covariance=triangular_by_cholesky(state.sqrt_covariance))
        for model, one in tested:
            memories[model.name] = model.after_update(one, error)
        updated_track = Track(state, gyro_imu_rad_s, memories, samples, track.standing, warmth, smoothed)
        return TrackUpdate(updated_track, linear, health, step, innovations, nis, dof, time_tags)


def _updated(
    predicted: AttitudeState, accepted: list[Accepted], time_tags: TimeTagErrors, time_sigma_s: float | None
) -> tuple[AttitudeState, Array, float, int, TimeTagErrors]:
    """Update the predicted state with all accepted measurements.

    Returns:
        State, its correction (size,), normalised innovation squared, number of measurements, and errors of the times.

    This is the array algorithm of `pygnc.estimators.kalman` on a covariance root that is not yet triangular. The last
    row but one holds the normalised residuals; triangularisation turns it into the correction in units of the new root.
    The last row holds their derivatives with respect to the sample's time, whose error all measurements share.
    """
    root = predicted.sqrt_covariance
    if not accepted:
        return predicted.corrected(None, triangular_by_cholesky(root)), np.zeros(len(root)), 0.0, 0, time_tags
    count = sum(len(part.sigma) for part in accepted)
    array = np.zeros((count + len(root) + 2, count + root.shape[1] + 3))
    diagonal = array.ravel()[: count * array.shape[1] : array.shape[1] + 1]
    tag_sigma_s, begin = math.sqrt(time_tags.used_with(time_sigma_s)), 0
    for residual, projected, sigma, d_time in accepted:
        rows = slice(begin, begin := begin + len(sigma))
        diagonal[rows] = sigma
        array[rows, count:-3] = projected
        array[rows, -3] = tag_sigma_s * d_time
        array[-2, rows] = -residual / sigma
        array[-1, rows] = d_time / sigma
    array[count:-2, count:-3] = root
    # Without these two ones, the array would be singular and the Cholesky factorisation would fail.
    array[-2, -2] = array[-1, -1] = 1.0
    lower = triangular_by_cholesky(array)
    updated = lower[count:-2, count:-2].copy()
    normalised, delayed = lower[-2, :count], lower[-1, :count]
    error = updated.dot(lower[-2, count:-2])
    sensitivity = float(delayed.dot(delayed))
    along = float(delayed.dot(normalised))
    time_tags = time_tags.updated(along * along - sensitivity, sensitivity, time_sigma_s)
    return predicted.corrected(error, updated), error, float(normalised.dot(normalised)), count, time_tags
