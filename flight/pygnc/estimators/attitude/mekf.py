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
from pygnc.estimators.attitude.propagation import AttitudeDynamics, AttitudeStep
from pygnc.estimators.attitude.sample import AttitudeEnvironment, AttitudeSample
from pygnc.estimators.attitude.sensor_health import FaceHealth, GyroHealth
from pygnc.estimators.attitude.settings import AttitudeSettings
from pygnc.estimators.attitude.state import AttitudeState, Flags
from pygnc.estimators.kalman import chi_square, triangular

_WEIGHT: Final = 1.0 / 50.0
"""Weight of a sample in the running means of the misfits."""
_REJECTED_WEIGHT: Final = 1.0 / 10.0
"""Weight of a sample in the running mean of rejected samples."""
_JUDGING_SIGMA_RAD: Final = math.radians(10.0)
"""Faces are checked for faults while the attitude is known better than this."""


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
        rejected: Running share, 0 to 1, of samples whose magnetometer or half of whose faces were rejected.
    """

    state: AttitudeState
    gyro_imu_rad_s: Array
    field_misfit: float = 1.0
    light_misfit: float = 1.0
    rejected: float = 0.0


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


class _Accepted(NamedTuple):
    """Measurements that passed a gate.

    Attributes:
        residual: Measured minus predicted, shape (m,).
        projected: Measurement partials times the square root of the predicted covariance, shape (m, k).
        sigma: Standard deviations of the measurement errors, shape (m,).
    """

    residual: Array
    projected: Array
    sigma: Array


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
    ) -> TrackUpdate:
        """Propagate the track to a sample and update it with the measurements that pass the gates."""
        gyro_imu_rad_s = sample.gyro_imu_rad_s
        step = self.motion.advance(track.state, track.gyro_imu_rad_s, gyro_imu_rad_s, sample.gps_ms, gyro.stuck)
        if environment is None:
            state = step.state.corrected(None, _triangular(step.state.sqrt_covariance))
            return TrackUpdate(track._replace(state=state, gyro_imu_rad_s=gyro_imu_rad_s), faces, step)

        body_from_gcrf = quaternion.to_matrix(step.state.quaternion).T
        field, field_misfit, used_field = self._test_field(
            track, step.state, body_from_gcrf, sample.mag_imu_ut, environment.field_gcrf_ut
        )
        rejected = field.cause is not None
        accepted = [] if used_field is None else [used_field]
        light, light_misfit = None, track.light_misfit
        if environment.sunlit_fraction > 0.0:
            factor = self._factor(track.light_misfit)
            sources = light_sources(environment, self._settings)
            illuminance = self._sensors.light(step.state, body_from_gcrf, sample.lux, sources, factor)
            if environment.sunlit_fraction == 1.0 and step.state.attitude_sigma_rad < _JUDGING_SIGMA_RAD:
                faces = faces.updated(illuminance, self._settings.sun_sensors.dark_share)
            light, light_misfit, used_light = self._test_illuminance(track, step.state, illuminance, faces)
            rejected |= 2 * len(used_light.sigma) < int(np.count_nonzero(light.usable))
            if len(used_light.sigma):
                accepted.append(used_light)

        state, nis, dof = _updated(step.state, accepted)
        rejected_mean = track.rejected + _REJECTED_WEIGHT * (rejected - track.rejected)
        updated_track = Track(state, gyro_imu_rad_s, field_misfit, light_misfit, rejected_mean)
        return TrackUpdate(updated_track, faces, step, field, light, nis, dof)

    def _factor(self, misfit: float) -> float:
        """Return the factor on a sensor's standard deviations for the running mean of its misfit."""
        return min(max(math.sqrt(misfit), 1.0), self._settings.noise_scale_max)

    def _test_field(
        self, track: Track, predicted: AttitudeState, body_from_gcrf: Array, mag_imu_ut: Array, field_gcrf_ut: Array
    ) -> tuple[FieldInnovation, float, _Accepted | None]:
        """Return the innovation, the running mean of the misfit after it, and the measurement if it is accepted."""
        factor = self._factor(track.field_misfit)
        residual, partials, sigma = self._sensors.field(predicted, body_from_gcrf, mag_imu_ut, field_gcrf_ut, factor)
        projected = partials.dot(predicted.sqrt_covariance)
        covariance = projected.dot(projected.T)
        covariance.ravel()[::4] += sigma * sigma
        distance = chi_square(residual, covariance)
        accepted = distance <= self._settings.magnetometer.gate
        # With unadapted sigmas, the squares would be larger by about the square of the factor.
        cause = None if accepted else AttitudeRejectCause.GATE
        innovation = FieldInnovation(residual, np.sqrt(np.diagonal(covariance)), distance, cause)
        if not accepted:
            return innovation, track.field_misfit, None
        misfit = _running_mean(track.field_misfit, distance * factor * factor / 3.0)
        return innovation, misfit, _Accepted(residual, projected, sigma)

    def _test_illuminance(
        self, track: Track, predicted: AttitudeState, illuminance: IlluminanceObservation, faces: FaceHealth
    ) -> tuple[IlluminanceInnovation, float, _Accepted]:
        """Return the innovation, the running mean of the misfit after it, and the accepted measurements."""
        limits = self._settings.sun_sensors
        residual, partials, sigma = illuminance.observation
        projected = partials.dot(predicted.sqrt_covariance)
        variance = np.einsum("ij,ij->i", projected, projected) + sigma * sigma
        squares = residual * residual / variance
        usable = illuminance.usable & faces.trusted
        if max(illuminance.share.tolist()) <= limits.dark_share:
            # All faces dark: a shadow that is not modelled.
            usable = np.zeros_like(usable)
        used = usable & (squares <= limits.gate)
        misfit = track.light_misfit
        plain = squares[used & ~illuminance.saturated]
        if len(plain):
            misfit = _running_mean(misfit, float(plain.sum()) / len(plain) * self._factor(misfit) ** 2)
        innovation = IlluminanceInnovation(residual, np.sqrt(variance), usable, used, illuminance.saturated)
        return innovation, misfit, _Accepted(residual[used], projected[used], sigma[used])


def _updated(predicted: AttitudeState, accepted: list[_Accepted]) -> tuple[AttitudeState, float, int]:
    """Return the state after the accepted measurements, their normalised innovation squared, and their number.

    This is the array algorithm of `pygnc.estimators.kalman` on a root that is not triangular yet. Triangularisation
    turns the residuals in the last row into the error, in units of the new root.
    """
    root = predicted.sqrt_covariance
    if not accepted:
        return predicted.corrected(None, _triangular(root)), 0.0, 0
    residual, projected, sigma = map(np.concatenate, zip(*accepted, strict=True))
    count = len(sigma)
    array = np.zeros((count + len(root) + 1, count + root.shape[1] + 1))
    array.ravel()[: count * array.shape[1] : array.shape[1] + 1] = sigma
    array[:count, count:-1] = projected
    array[count:-1, count:-1] = root
    array[-1, :count] = -residual / sigma
    # Keeps the array non-singular.
    array[-1, -1] = 1.0
    lower = _triangular(array)
    updated = lower[count:-1, count:-1].copy()
    normalised = lower[-1, :count]
    error = updated.dot(lower[-1, count:-1])
    return predicted.corrected(error, updated), float(normalised.dot(normalised)), count


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
