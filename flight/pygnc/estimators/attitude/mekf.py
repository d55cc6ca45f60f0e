"""One step of the multiplicative extended Kalman filter: propagation, gates, update.

After Lefferts, Markley & Shuster (J. Guid. Control Dyn. 5, 1982), in square-root form. Magnetometer and each face pass
gates of their own. Factors on the sigmas of both follow the size of the innovations.
"""

import math
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Any, Final, Generic, NamedTuple, TypeVar

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
"""Of one sample in the running means."""
_REJECTED_WEIGHT: Final = 1.0 / 10.0
"""The same of rejected samples."""
_JUDGING_SIGMA_RAD: Final = math.radians(10.0)
"""Faces are judged while the attitude is known better than this."""


@unique
class AttitudeRejectCause(StrEnum):
    """Why a sample, or a part of it, was not used."""

    NOT_LATER = "not_later"
    """The sample is not later than the one before it."""
    NOT_FINITE = "not_finite"
    """The sample holds something that is no number."""
    NO_SURROUNDINGS = "no_surroundings"
    """Where the satellite is, is not known."""
    GATE = "gate"
    """The innovation exceeds the chi-square limit."""


@dataclass(frozen=True, slots=True, eq=False)
class FieldInnovation:
    """Magnetometer: measured minus predicted in uT, sensor axes.

    Attributes:
        residual: Shape (3,).
        sigma: Expected standard deviations, shape (3,).
        chi_square: What the gate judges.
        cause: Why it was not used; None when it was.
    """

    residual: Array
    sigma: Array
    chi_square: float
    cause: AttitudeRejectCause | None


@dataclass(frozen=True, slots=True, eq=False)
class IlluminanceInnovation:
    """Sun sensors: measured minus predicted in shares of full sunlight.

    Attributes:
        residual: Shape (6,).
        sigma: Expected standard deviations, shape (6,).
        usable: Faces that said something of the attitude, shape (6,).
        used: Those that went into the state, shape (6,).
        saturated: Faces at full scale, shape (6,).
    """

    residual: Array
    sigma: Array
    usable: Flags
    used: Flags
    saturated: Flags


class Track(NamedTuple):
    """What the filter remembers of a track.

    Attributes:
        state: The estimate.
        gyro_imu_rad_s: Gyro reading at its time, shape (3,).
        field_misfit: Running mean of the magnetometer's accepted innovations squared over their plain variance.
        light_misfit: The same of the sun sensors.
        rejected: Running mean of samples whose magnetometer or half of whose faces were rejected, 0 to 1.
    """

    state: AttitudeState
    gyro_imu_rad_s: Array
    field_misfit: float = 1.0
    light_misfit: float = 1.0
    rejected: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class TrackUpdate:
    """A track after a sample, and what was seen on the way."""

    track: Track
    faces: FaceHealth
    step: AttitudeStep
    field: FieldInnovation | None = None
    light: IlluminanceInnovation | None = None
    nis: float = 0.0
    dof: int = 0


class _Accepted(NamedTuple):
    """Numbers that passed a gate.

    Attributes:
        residual: Measured minus predicted, shape (m,).
        projected: Partial derivatives times the predicted root, shape (m, k).
        sigma: Standard deviations of the measurement errors, shape (m,).
    """

    residual: Array
    projected: Array
    sigma: Array


_Innovation = TypeVar("_Innovation", FieldInnovation, IlluminanceInnovation)


class _Verdict(NamedTuple, Generic[_Innovation]):
    """What a gate says, the running mean after it, what passed, and whether too little did."""

    innovation: _Innovation
    misfit: float
    accepted: _Accepted | None
    rejected: bool


class MultiplicativeEkf:
    """Carries tracks on under one set of settings."""

    def __init__(self, settings: AttitudeSettings) -> None:
        self._settings = settings
        self._motion = AttitudeDynamics(settings)
        self._sensors = SensorModel(settings)

    def rate_body_rad_s(self, gyro_imu_rad_s: Array, state: AttitudeState) -> Array:
        """Body rate, bias and scale error removed, shape (3,)."""
        return self._motion.rate_body_rad_s(gyro_imu_rad_s, state)

    def follow(
        self,
        track: Track,
        sample: AttitudeSample,
        surroundings: AttitudeEnvironment | None,
        faces: FaceHealth,
        gyro: GyroHealth,
    ) -> TrackUpdate:
        """Carry the track to a sample and take in what passes the gates."""
        gyro_imu_rad_s = sample.gyro_imu_rad_s
        step = self._motion.advance(track.state, track.gyro_imu_rad_s, gyro_imu_rad_s, sample.gps_ms, gyro.stuck)
        if surroundings is None:
            state = step.state.corrected(None, _triangular(step.state.sqrt_covariance))
            return TrackUpdate(track._replace(state=state, gyro_imu_rad_s=gyro_imu_rad_s), faces, step)

        body_from_gcrf = quaternion.to_matrix(step.state.quaternion).T
        field = self._judged_field(track, step.state, body_from_gcrf, sample.mag_imu_ut, surroundings.field_gcrf_ut)
        light = None
        if surroundings.sunlit_fraction > 0.0:
            factor = self._factor(track.light_misfit)
            from_where = light_sources(surroundings, self._settings)
            seen = self._sensors.light(step.state, body_from_gcrf, sample.lux, from_where, factor)
            if surroundings.sunlit_fraction == 1.0 and step.state.attitude_sigma_rad < _JUDGING_SIGMA_RAD:
                faces = faces.judged(seen, self._settings.sun_sensors.dark_share)
            light = self._judged_light(track, step.state, seen, faces)

        verdicts: list[_Verdict[Any]] = [field] if light is None else [field, light]
        accepted = [verdict.accepted for verdict in verdicts if verdict.accepted is not None]
        state, nis, dof = _updated(step.state, accepted)
        followed = Track(
            state,
            gyro_imu_rad_s,
            field.misfit,
            track.light_misfit if light is None else light.misfit,
            track.rejected + _REJECTED_WEIGHT * (any(verdict.rejected for verdict in verdicts) - track.rejected),
        )
        return TrackUpdate(followed, faces, step, field.innovation, light.innovation if light else None, nis, dof)

    def _factor(self, misfit: float) -> float:
        """By which sigmas are widened."""
        return min(max(math.sqrt(misfit), 1.0), self._settings.noise_scale_max)

    def _judged_field(
        self, track: Track, predicted: AttitudeState, body_from_gcrf: Array, mag_imu_ut: Array, field_gcrf_ut: Array
    ) -> _Verdict[FieldInnovation]:
        factor = self._factor(track.field_misfit)
        residual, partials, sigma = self._sensors.field(predicted, body_from_gcrf, mag_imu_ut, field_gcrf_ut, factor)
        projected = partials.dot(predicted.sqrt_covariance)
        covariance = projected.dot(projected.T)
        covariance.ravel()[::4] += sigma * sigma
        distance = chi_square(residual, covariance)
        accepted = distance <= self._settings.magnetometer.gate
        # Were the sigmas not widened, the squares would be larger by about the factor's square.
        cause = None if accepted else AttitudeRejectCause.GATE
        innovation = FieldInnovation(residual, np.sqrt(np.diagonal(covariance)), distance, cause)
        if not accepted:
            return _Verdict(innovation, track.field_misfit, None, rejected=True)
        misfit = _followed(track.field_misfit, distance * factor * factor / 3.0)
        return _Verdict(innovation, misfit, _Accepted(residual, projected, sigma), rejected=False)

    def _judged_light(
        self, track: Track, predicted: AttitudeState, seen: IlluminanceObservation, faces: FaceHealth
    ) -> _Verdict[IlluminanceInnovation]:
        limits = self._settings.sun_sensors
        residual, partials, sigma = seen.observation
        projected = partials.dot(predicted.sqrt_covariance)
        variance = np.einsum("ij,ij->i", projected, projected) + sigma * sigma
        squares = residual * residual / variance
        usable = seen.usable & faces.trusted
        if max(seen.share.tolist()) <= limits.dark_share:
            # All faces dark: a shadow of which the model does not know.
            usable = np.zeros_like(usable)
        used = usable & (squares <= limits.gate)
        misfit = track.light_misfit
        plain = squares[used & ~seen.saturated]
        if len(plain):
            misfit = _followed(misfit, float(plain.sum()) / len(plain) * self._factor(misfit) ** 2)
        taken = int(np.count_nonzero(used))
        accepted = _Accepted(residual[used], projected[used], sigma[used]) if taken else None
        innovation = IlluminanceInnovation(residual, np.sqrt(variance), usable, used, seen.saturated)
        return _Verdict(innovation, misfit, accepted, rejected=2 * taken < int(np.count_nonzero(usable)))


def _updated(predicted: AttitudeState, accepted: list[_Accepted]) -> tuple[AttitudeState, float, int]:
    """State after the accepted numbers, their normalised innovation squared, and how many they are.

    The array algorithm of `orbit.square_root`, on a root that is not triangular yet. Its last row turns the residuals
    into the error, in units of the new root, as it is made triangular with the others.
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
    # Whatever the last row makes of the others, its own element does not vanish.
    array[-1, -1] = 1.0
    lower = _triangular(array)
    updated = lower[count:-1, count:-1].copy()
    normalised = lower[-1, :count]
    error = updated.dot(lower[-1, count:-1])
    return predicted.corrected(error, updated), float(normalised.dot(normalised)), count


def _triangular(root: Array) -> Array:
    """The same as `triangular`, in less than half the time.

    Noise enters every element in every step, so products of the rows of such a root are far from singular: of the
    sixteen digits of a covariance this takes a few.
    """
    try:
        lower: Array = np.linalg.cholesky(root.dot(root.T))
    except np.linalg.LinAlgError:
        return triangular(root)
    return lower


def _followed(mean: float, ratio: float) -> float:
    return mean + _WEIGHT * (ratio - mean)
