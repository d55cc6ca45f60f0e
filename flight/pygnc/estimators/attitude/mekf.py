"""Multiplicative extended Kalman filter: one step of propagation, gate tests and update.

After Lefferts, Markley & Shuster (J. Guid. Control Dyn. 5, 1982), in square-root form. The magnetometer and each face
have gates of their own. The size of the innovations adapts factors on the standard deviations of both.
"""

import math
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final, NamedTuple

import numpy as np

from pygnc.common import quaternion
from pygnc.common.arrays import Array
from pygnc.estimators.attitude.measurement import IlluminanceObservation, SensorModel, light_sources
from pygnc.estimators.attitude.model_errors import NO_TIME_TAG_ERRORS, TimeTagErrors
from pygnc.estimators.attitude.propagation import AttitudeDynamics, AttitudeStep
from pygnc.estimators.attitude.sample import AttitudeEnvironment, AttitudeSample
from pygnc.estimators.attitude.sensor_health import FaceHealth, GyroHealth
from pygnc.estimators.attitude.settings import AttitudeSettings
from pygnc.estimators.attitude.state import ATTITUDE, MAG_MATRIX, AttitudeState, Flags
from pygnc.estimators.kalman import chi_square, triangular

_WEIGHT: Final = 1.0 / 50.0
"""Weight of a sample in the running means of the misfits."""
_REJECTED_WEIGHT: Final = 1.0 / 10.0
"""Weight of a sample in the running mean of samples whose light was rejected."""
_FIELD_REJECTED_WEIGHT: Final = 1.0 / 100.0
"""Weight of a sample in the mean of rejected fields: small, as magnetorquers may disturb the field for minutes."""
_FIRST_SAMPLES: Final = 3.0
"""In a young track, its samples so far plus this replace the inverse of the weight."""
_JUDGING_SIGMA_RAD: Final = math.radians(10.0)
"""Faces are checked for faults while the attitude is known better than this."""


_FIELD_MAX_UT: Final = 60.0
"""Strongest field in a low orbit."""
_ENDED_GATE: Final = 7.8
"""Chi-square limit of the first reading after a disturbance; with 3 degrees of freedom, exceeded once in 20."""
_ENDED_SAMPLES: Final = 3
"""Readings after a sudden change that may end a disturbance."""
DISTURBED_MAX: Final = 36
"""Readings without a change from which a disturbance may end without one."""


@unique
class AttitudeRejectCause(StrEnum):
    """Reason why a sample, or a part of it, was rejected."""

    NOT_LATER = "not_later"
    """The sample is not later than the previous sample."""
    NOT_FINITE = "not_finite"
    """The sample contains a value that is not finite."""
    NO_SURROUNDINGS = "no_surroundings"
    """The environment is unknown because the orbit is."""
    GATE = "gate"
    """The innovation exceeds the chi-square limit."""


@dataclass(frozen=True, slots=True, eq=False)
class FieldInnovation:
    """Innovation of the magnetometer: measured minus predicted in uT, sensor axes.

    Attributes:
        residual: Shape (3,).
        sigma: Predicted standard deviations, shape (3,).
        chi_square: Normalised innovation squared, which the gate tests.
        cause: Reason why the reading was rejected; None if it was used.
    """

    residual: Array
    sigma: Array
    chi_square: float
    cause: AttitudeRejectCause | None


@dataclass(frozen=True, slots=True, eq=False)
class IlluminanceInnovation:
    """Innovation of the sun sensors: measured minus predicted as fractions of full sunlight.

    Attributes:
        residual: Shape (6,).
        sigma: Predicted standard deviations, shape (6,).
        usable: Faces that carry information on the attitude, shape (6,).
        used: Faces that updated the state, shape (6,).
        saturated: Faces at full scale, shape (6,).
    """

    residual: Array
    sigma: Array
    usable: Flags
    used: Flags
    saturated: Flags


class Track(NamedTuple):
    """Memory of a track, an uninterrupted sequence of attitude estimates.

    Attributes:
        state: The estimate.
        gyro_imu_rad_s: Gyro reading at the time of the state, sensor axes, shape (3,).
        field_misfit: Running mean of the magnetometer's accepted normalised innovations squared, per axis, with
            unadapted standard deviations.
        light_misfit: Running mean of the sun sensors' accepted normalised innovations squared, per face.
        rejected: Running share of samples half of whose faces were rejected, 0 to 1.
        field_rejected: Running share of samples whose magnetometer was rejected, 0 to 1.
        samples: Number of samples in the track.
        field_left_ut: Difference of the last magnetometer reading from the state after it, sensor axes, shape (3,);
            None if there was no reading.
        disturbed: Number of readings since a magnetorquer seems to have been switched on; 0 if none disturbs them.
        unused: Number of successive samples of which nothing was used although a face saw light.
    """

    state: AttitudeState
    gyro_imu_rad_s: Array
    field_misfit: float = 1.0
    light_misfit: float = 1.0
    rejected: float = 0.0
    field_rejected: float = 0.0
    samples: int = 0
    field_left_ut: Array | None = None
    disturbed: int = 0
    unused: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class TrackUpdate:
    """Track after a sample, with the step and the innovations that led to it."""

    track: Track
    faces: FaceHealth
    step: AttitudeStep
    field: FieldInnovation | None = None
    light: IlluminanceInnovation | None = None
    nis: float = 0.0
    dof: int = 0
    time_tags: TimeTagErrors = NO_TIME_TAG_ERRORS


class _Accepted(NamedTuple):
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


class _TestedField(NamedTuple):
    """Reading of the magnetometer after its tests.

    Attributes:
        innovation: The innovation.
        partials: Derivative of the prediction by the error state, shape (3, 35).
        misfit: Running mean of the misfit after it.
        disturbed: Number of readings since a disturbance began or changed; 0 if there is none.
        accepted: The measurement; None if it was rejected.
    """

    innovation: FieldInnovation
    partials: Array
    misfit: float
    disturbed: int
    accepted: _Accepted | None


class MultiplicativeEkf:
    """Propagation and update of tracks.

    Attributes:
        motion: Model of the attitude motion between samples.
    """

    def __init__(self, settings: AttitudeSettings) -> None:
        self._settings = settings
        self.motion = AttitudeDynamics(settings)
        self._sensors = SensorModel(settings)

    def process(
        self,
        track: Track,
        sample: AttitudeSample,
        environment: AttitudeEnvironment | None,
        faces: FaceHealth,
        gyro: GyroHealth,
        *,
        time_tags: TimeTagErrors = NO_TIME_TAG_ERRORS,
        inflation: Array | None = None,
    ) -> TrackUpdate:
        """Propagate the track to a sample and update it with the measurements that pass the gates.

        Args:
            track: Track before the sample.
            sample: The sample.
            environment: Environment at its time; None if unknown.
            faces: Fault counters of the sun sensors.
            gyro: Faults of the gyro axes.
            time_tags: Errors of the sample times; none by default.
            inflation: Variance inflation: standard deviations added to the error state in this step, shape (35,).
        """
        gyro_imu_rad_s = sample.gyro_imu_rad_s
        step = self.motion.advance(
            track.state, track.gyro_imu_rad_s, gyro_imu_rad_s, sample.gps_ms, gyro.stuck, inflation=inflation
        )
        samples = track.samples + 1
        if environment is None:
            state = step.state.corrected(None, _triangular(step.state.sqrt_covariance))
            left = track._replace(state=state, gyro_imu_rad_s=gyro_imu_rad_s, samples=samples)
            return TrackUpdate(left, faces, step, time_tags=time_tags)

        body_from_gcrf = quaternion.to_matrix(step.state.quaternion).T
        accepted, tested, field_rejected = [], None, track.field_rejected
        if not sample.field_unusable:
            tested = self._test_field(
                track, step, body_from_gcrf, sample.mag_imu_ut, environment, tag_variance_s2=time_tags.used_s2
            )
            accepted += [] if tested.accepted is None else [tested.accepted]
            weight = max(_FIELD_REJECTED_WEIGHT, 1.0 / (samples + _FIRST_SAMPLES))
            field_rejected += weight * ((tested.accepted is None) - field_rejected)
        light, light_misfit, rejected = None, track.light_misfit, track.rejected
        if environment.sunlit_fraction > 0.0:
            factor = self._factor(track.light_misfit)
            sources = light_sources(environment, self._settings)
            illuminance = self._sensors.light(step.state, body_from_gcrf, sample.lux, sources, factor)
            if environment.sunlit_fraction == 1.0 and step.state.attitude_sigma_rad < _JUDGING_SIGMA_RAD:
                faces = faces.updated(illuminance, self._settings.sun_sensors.dark_share)
            light, light_misfit, used_light = self._test_illuminance(track, step, illuminance, faces, time_tags.used_s2)
            is_rejected = 2 * len(used_light.sigma) < int(np.count_nonzero(light.usable))
            rejected += _REJECTED_WEIGHT * (is_rejected - rejected)
            if len(used_light.sigma):
                accepted.append(used_light)

        state, error, nis, dof, time_tags = _updated(step.state, accepted, time_tags)
        unused = 0 if dof else track.unused + (light is not None and bool(np.count_nonzero(light.usable)))
        updated_track = Track(
            state=state,
            gyro_imu_rad_s=gyro_imu_rad_s,
            field_misfit=track.field_misfit if tested is None else tested.misfit,
            light_misfit=light_misfit,
            rejected=rejected,
            field_rejected=field_rejected,
            samples=samples,
            field_left_ut=None if tested is None else tested.innovation.residual - tested.partials.dot(error),
            disturbed=0 if tested is None else tested.disturbed,
            unused=unused,
        )
        field = None if tested is None else tested.innovation
        return TrackUpdate(updated_track, faces, step, field, light, nis, dof, time_tags)

    def _factor(self, misfit: float) -> float:
        """Return the factor on a sensor's standard deviations for the running mean of its misfit."""
        return min(max(math.sqrt(misfit), 1.0), self._settings.noise_scale_max)

    def _test_field(
        self,
        track: Track,
        step: AttitudeStep,
        body_from_gcrf: Array,
        mag_imu_ut: Array,
        environment: AttitudeEnvironment,
        *,
        tag_variance_s2: float,
    ) -> _TestedField:
        """Return the tested reading of the magnetometer."""
        predicted = step.state
        factor = self._factor(track.field_misfit)
        residual, partials, sigma = self._sensors.field(predicted, body_from_gcrf, mag_imu_ut, environment, factor)
        projected = partials.dot(predicted.sqrt_covariance)
        d_time = partials[:, ATTITUDE].dot(step.rate_body_rad_s)
        covariance = projected.dot(projected.T)
        if tag_variance_s2 > 0.0:
            covariance += tag_variance_s2 * np.multiply.outer(d_time, d_time)
        covariance.ravel()[::4] += sigma * sigma
        distance = chi_square(residual, covariance)
        sample_variance = 2.0 * float(sigma[0]) ** 2
        jumped = track.field_left_ut is not None and self._jumped(
            residual - track.field_left_ut, step, d_time, sample_variance, tag_variance_s2
        )
        if track.disturbed:
            ended = jumped or not _ENDED_SAMPLES < track.disturbed <= DISTURBED_MAX
            accepted = ended and distance <= _ENDED_GATE
        else:
            accepted = not jumped and distance <= self._settings.magnetometer.gate
        # With unadapted sigmas, the squares would be larger by about the square of the factor.
        cause = None if accepted else AttitudeRejectCause.GATE
        innovation = FieldInnovation(residual, np.sqrt(covariance.diagonal()), distance, cause)
        if not accepted:
            disturbed = 1 if jumped else track.disturbed + 1
            return _TestedField(innovation, partials, track.field_misfit, disturbed, None)
        misfit = _running_mean(track.field_misfit, distance * factor * factor / 3.0)
        return _TestedField(innovation, partials, misfit, 0, _Accepted(residual, projected, sigma, d_time))

    def _jumped(
        self, change_ut: Array, step: AttitudeStep, d_time: Array, variance_ut2: float, tag_variance_s2: float
    ) -> bool:
        """Return True if residuals of two successive readings differ by more than noise and rotation explain.

        Errors of attitude and biases change them slowly; a magnetorquer that is switched changes them at once.
        """
        gate = self._settings.magnetometer.gate
        square = float(change_ut.dot(change_ut))
        if square <= gate * variance_ut2:
            return False
        matrix_root = step.state.sqrt_covariance[MAG_MATRIX]
        relative2 = step.noise_sigma[0] ** 2 + float(np.einsum("ij,ij->i", matrix_root, matrix_root).max())
        variance_ut2 += relative2 * _FIELD_MAX_UT**2 + 2.0 * tag_variance_s2 * float(d_time.dot(d_time))
        return square > gate * variance_ut2

    def _test_illuminance(
        self,
        track: Track,
        step: AttitudeStep,
        illuminance: IlluminanceObservation,
        faces: FaceHealth,
        tag_variance_s2: float,
    ) -> tuple[IlluminanceInnovation, float, _Accepted]:
        """Return the innovation, the running mean of the misfit after it, and the accepted measurements."""
        limits = self._settings.sun_sensors
        residual, partials, sigma = illuminance.observation
        projected = partials.dot(step.state.sqrt_covariance)
        d_time = partials[:, ATTITUDE].dot(step.rate_body_rad_s)
        variance = np.einsum("ij,ij->i", projected, projected) + sigma * sigma + tag_variance_s2 * d_time * d_time
        squares = residual * residual / variance
        usable = illuminance.usable & faces.trusted
        if max(illuminance.share.tolist()) <= limits.dark_share:
            # All faces dark: a shadow that is not modelled.
            usable = np.zeros_like(usable)
        used = usable & (squares <= limits.gate)
        misfit = track.light_misfit
        plain = squares[used & ~illuminance.saturated].tolist()
        if plain:
            misfit = _running_mean(misfit, sum(plain) / len(plain) * self._factor(misfit) ** 2)
        innovation = IlluminanceInnovation(residual, np.sqrt(variance), usable, used, illuminance.saturated)
        rows = used.nonzero()[0]
        accepted = _Accepted(residual.take(rows), projected.take(rows, axis=0), sigma.take(rows), d_time.take(rows))
        return innovation, misfit, accepted


def _updated(
    predicted: AttitudeState, accepted: list[_Accepted], time_tags: TimeTagErrors
) -> tuple[AttitudeState, Array, float, int, TimeTagErrors]:
    """Update the predicted state.

    Returns:
        State, its correction (35,), normalised innovation squared, number of measurements, and tag errors.

    This is the array algorithm of `pygnc.estimators.kalman` on a root that is not triangular yet. Triangularisation
    turns the residuals in the last row but one into the error, in units of the new root. The last row shows how the
    normalised residuals change with the time of the sample, whose error is common to all measurements.
    """
    root = predicted.sqrt_covariance
    if not accepted:
        return predicted.corrected(None, _triangular(root)), np.zeros(len(root)), 0.0, 0, time_tags
    count = sum(len(part.sigma) for part in accepted)
    array = np.zeros((count + len(root) + 2, count + root.shape[1] + 3))
    diagonal = array.ravel()[: count * array.shape[1] : array.shape[1] + 1]
    tag_sigma_s, begin = math.sqrt(time_tags.used_s2), 0
    for residual, projected, sigma, d_time in accepted:
        rows = slice(begin, begin := begin + len(sigma))
        diagonal[rows] = sigma
        array[rows, count:-3] = projected
        array[rows, -3] = tag_sigma_s * d_time
        array[-2, rows] = -residual / sigma
        array[-1, rows] = d_time / sigma
    array[count:-2, count:-3] = root
    # Keeps the array non-singular.
    array[-2, -2] = array[-1, -1] = 1.0
    lower = _triangular(array)
    updated = lower[count:-2, count:-2].copy()
    normalised, delayed = lower[-2, :count], lower[-1, :count]
    error = updated.dot(lower[-2, count:-2])
    sensitivity = float(delayed.dot(delayed))
    along = float(delayed.dot(normalised))
    time_tags = time_tags.updated(along * along - sensitivity, sensitivity)
    return predicted.corrected(error, updated), error, float(normalised.dot(normalised)), count, time_tags


def _triangular(root: Array) -> Array:
    """Return the result of `triangular` in less than half the time.

    The product root root' loses a few of its sixteen digits; process noise, which enters every element in every step,
    keeps it far from singular.
    """
    try:
        lower: Array = np.linalg.cholesky(root.dot(root.T))
    except np.linalg.LinAlgError:
        return triangular(root)
    return lower


def _running_mean(mean: float, ratio: float) -> float:
    return mean + _WEIGHT * (ratio - mean)
