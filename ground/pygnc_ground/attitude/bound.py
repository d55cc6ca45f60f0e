"""Posterior Cramer-Rao bound of the attitude for given samples.

The bound is the covariance of Kalman filter and smoother, linearised about the truth (Tichavsky, Muravchik & Nehorai,
IEEE TSP 46, 1998), computed with the flight's own step and measurements: before each step the state is set to the truth
and only its covariance is propagated. Search, wrong linearisation and adapted sigmas have therefore no effect. It is a
bound for estimators that know noises and models as the settings describe them; parameters that the truth does not
contain, such as the gains of the faces, take their expected values. The readings decide which faces the Sun saturates.
Between rows of the truth the gyro propagates the attitude, which within half a minute adds a fraction of a degree.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np

from pygnc.estimators.attitude.measurement_models import measurement_models
from pygnc.estimators.attitude.mekf import MultiplicativeEkf, Standing, Track
from pygnc.estimators.attitude.model_errors import NOT_ESTIMATED_SIGMA, ErrorSize, ModelErrors
from pygnc.estimators.attitude.propagation import AttitudeStep
from pygnc.estimators.attitude.sample import AttitudeEnvironment, AttitudeSample, MagnetometerCorrection
from pygnc.estimators.attitude.sensor_health import SensorHealth
from pygnc.estimators.attitude.settings import AttitudeSettings
from pygnc.estimators.attitude.state import ERRORS, AttitudeState
from pygnc.estimators.kalman import triangular_by_cholesky
from pygnc_ground.attitude.smoother import Filtered, emptied, smoothed_backwards
from pygnc_ground.orbit.solution import FloatArray, IntArray
from pygnc_ground.truth.attitude_truth import TrueAttitude

_UNKNOWN_RAD: Final = 1.0
"""Sigma of the attitude about each axis before the first sample."""
_KNOWN: Final = 1e-9
"""Sigma of the changes of the biases by warmth (rad/s, uT), which the bound takes as known."""


class BoundSample(NamedTuple):
    """Sample that the filter processed."""

    row: int
    """Index of the sample among all n samples."""
    sample: AttitudeSample
    """Sample with the corrections of the filter."""
    environment: AttitudeEnvironment | None
    """Environment of the satellite; None if the orbit was unknown."""


@dataclass(frozen=True, slots=True, eq=False)
class AttitudeBound:
    """Least standard deviations of the attitude about all three axes at n samples; NaN if there is no bound."""

    filter_rad: FloatArray
    """Bound for the samples so far, shape (n,)."""
    smoother_rad: FloatArray
    """Bound for all samples, shape (n,)."""


def attitude_bound(
    seen: Sequence[BoundSample],
    truth: TrueAttitude,
    settings: AttitudeSettings,
    stored: Callable[[FloatArray], FloatArray] = lambda array: array,
    release: Callable[[], None] = lambda: None,
) -> AttitudeBound:
    """Return the bound of the attitude from the first sample with known truth on; takes as long as filter and smoother.

    The samples are in order of time; the truth is that at the times of all n samples. `stored` and `release` keep
    arrays out of the memory, as in `Filtered.of` and `emptied`.
    """
    known = np.flatnonzero(truth.known)
    covered = [one for one in seen if known.size and known[0] <= one.row <= known[-1]]
    ekf = MultiplicativeEkf(settings, measurement_models(settings))
    correction = MagnetometerCorrection(settings.magnetometer)
    health, kept = SensorHealth.unknown(settings.mounting.faces), _estimated_rows(settings)
    track: Track | None = None
    warmth = next((one.environment.warmth for one in covered if one.environment is not None), 0.0)
    moments: list[Filtered] = []
    sigmas = np.full((2, len(truth.quaternion)), np.nan)
    for row, sample, environment in covered:
        health = health._replace(gyro=health.gyro.updated(sample.gyro_imu_rad_s, settings.gyro))
        step = None
        if track is None:
            sigma = _unknown_sigma(settings)
            nothing = np.zeros(len(sigma) - ERRORS.attitude.stop)
            state = AttitudeState(sample.gps_ms, truth.quaternion[row], nothing, np.diag(sigma))
        else:
            update = ekf.process(track, sample, environment, health)
            health, step, warmth = update.health, update.step, update.track.warmth
            state = step.state.corrected(None, update.track.state.sqrt_covariance)
        if truth.known[row]:
            slow = state.slow.copy()
            slow[ERRORS.in_slow(ERRORS.gyro_bias)] = truth.gyro_bias_imu_rad_s[row]
            slow[ERRORS.in_slow(ERRORS.mag_bias)] = correction.corrected_ut(truth.mag_bias_imu_ut[row])
            slow[ERRORS.in_slow(ERRORS.reflectivity).start] = settings.sun_sensors.reflectivity
            state = AttitudeState(sample.gps_ms, truth.quaternion[row], slow, state.sqrt_covariance)
        track = Track(state, sample.gyro_imu_rad_s, standing=Standing.MEASURED, warmth=warmth)
        moments.append(Filtered.of(_estimated(state, kept), _estimated_step(step, kept), stored))
        sigmas[0, row] = state.attitude_sigma_rad
    for one, smoothed in zip(reversed(covered), smoothed_backwards(emptied(moments, release)), strict=True):
        if smoothed is not None:
            sigmas[1, one.row] = smoothed.attitude_sigma_rad
    return AttitudeBound(*sigmas)


def _estimated_rows(settings: AttitudeSettings) -> IntArray:
    """Return the rows of the error state that the bound does not take as known: fewer make its smoother faster."""
    estimated = np.ones(ERRORS.size(settings.mounting.faces), np.bool_)
    estimated[ERRORS.field_rows] = estimated[ERRORS.thermal] = estimated[ERRORS.cosine_error] = False
    return np.flatnonzero(estimated)


def _estimated(state: AttitudeState, kept: IntArray) -> AttitudeState:
    """Return a state with the rows `kept` of the error state only."""
    root = triangular_by_cholesky(state.sqrt_covariance[kept])
    return AttitudeState(state.gps_ms, state.quaternion, state.slow[kept[3:] - 3], root)


def _estimated_step(step: AttitudeStep | None, kept: IntArray) -> AttitudeStep | None:
    if step is None:
        return None
    predicted = replace(step.state, slow=step.state.slow[kept[3:] - 3])
    return step._replace(
        state=predicted, transition=step.transition[kept[:, None], kept], noise_sigma=step.noise_sigma[kept]
    )


def _unknown_sigma(settings: AttitudeSettings) -> FloatArray:
    """Return the standard deviations of the error state before the first sample, shape (size,)."""
    sun, magnetometer = settings.sun_sensors, settings.magnetometer
    sigma = ModelErrors(ErrorSize.SMALL, ErrorSize.SMALL, ErrorSize.SMALL, ErrorSize.SMALL).sigma(settings)
    sigma[ERRORS.attitude], sigma[ERRORS.gyro_bias] = _UNKNOWN_RAD, settings.gyro.bias_sigma_rad_s
    sigma[ERRORS.mag_bias], sigma[ERRORS.gyro_scale] = magnetometer.bias_sigma_ut, settings.gyro.scale_sigma
    sigma[ERRORS.reflectivity], sigma[ERRORS.field_error] = sun.reflectivity_sigma, magnetometer.field_error_ut
    sigma[ERRORS.field_rows], sigma[ERRORS.thermal] = NOT_ESTIMATED_SIGMA, _KNOWN
    return sigma
