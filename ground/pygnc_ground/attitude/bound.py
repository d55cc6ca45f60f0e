"""How small the errors of an attitude can be with the same samples: the posterior Cramer-Rao bound.

The covariances of Kalman filter and smoother, linearised on the truth (Tichavsky, Muravchik & Nehorai, IEEE TSP 46,
1998), by the flight's own step and measurements: before each step the state is put to the truth and only its covariance
is carried on. So no search, no wrong linearisation and no adapted sigma adds to it. It is a bound for estimators that
know of noises and models what the settings say; what the truth does not tell, such as the gains of faces, is taken to
be as expected there. Readings decide which faces the Sun saturates. Between rows of the truth the gyro carries the
attitude, within half a minute by a fraction of a degree.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from pygnc.estimators.attitude.mekf import MultiplicativeEkf, Track
from pygnc.estimators.attitude.propagation import AttitudeStep
from pygnc.estimators.attitude.sample import AttitudeEnvironment, AttitudeSample, MagnetometerCorrection
from pygnc.estimators.attitude.sensor_health import FaceHealth, GyroHealth
from pygnc.estimators.attitude.settings import AttitudeSettings
from pygnc.estimators.attitude.state import ATTITUDE, GYRO_BIAS, MAG_BIAS, REFLECTIVITY, SIZE, AttitudeState
from pygnc_ground.attitude.smoother import smooth
from pygnc_ground.orbit.solution import FloatArray
from pygnc_ground.truth.attitude_truth import TrueAttitude

_UNKNOWN_RAD: Final = 1.0
"""Sigma of the attitude about each axis before the first sample."""


class BoundSample(NamedTuple):
    """A sample that the filter took in.

    Attributes:
        row: Its place among all n samples.
        sample: As the filter was given it.
        surroundings: None where the orbit was unknown.
    """

    row: int
    sample: AttitudeSample
    surroundings: AttitudeEnvironment | None


@dataclass(frozen=True, slots=True, eq=False)
class AttitudeBound:
    """Least standard deviations of the attitude at n samples, about all three axes; NaN where there is no bound."""

    filter_rad: FloatArray
    """(n,), with the samples so far"""
    smoother_rad: FloatArray
    """(n,), with all samples"""


class _Moment(NamedTuple):
    """The truth with a covariance, and the step that led there, as the smoother takes them."""

    state: AttitudeState | None
    step: AttitudeStep | None


def attitude_bound(seen: Sequence[BoundSample], truth: TrueAttitude, settings: AttitudeSettings) -> AttitudeBound:
    """The bound from the first sample whose truth is known on; as costly as filter and smoother.

    Args:
        seen: In the order of time.
        truth: At the times of all n samples.
        settings: What the noises are.
    """
    known = np.flatnonzero(truth.known)
    covered = [one for one in seen if known.size and known[0] <= one.row <= known[-1]]
    moments = list(_filtered(covered, truth, settings))
    sigmas = np.full((2, len(truth.quaternion)), np.nan)
    for line, states in zip(sigmas, ([moment.state for moment in moments], smooth(moments)), strict=True):
        for one, state in zip(covered, states, strict=True):
            if state is not None:
                line[one.row] = state.attitude_sigma_rad
    return AttitudeBound(*sigmas)


def _filtered(seen: Sequence[BoundSample], truth: TrueAttitude, settings: AttitudeSettings) -> Iterator[_Moment]:
    tracker, correction = MultiplicativeEkf(settings), MagnetometerCorrection(settings.magnetometer)
    faces, gyro = FaceHealth.unknown(), GyroHealth.unknown()
    track: Track | None = None
    for row, sample, surroundings in seen:
        gyro = gyro.judged(sample.gyro_imu_rad_s, settings.gyro)
        step = None
        if track is None:
            nothing = np.zeros(SIZE - ATTITUDE.stop)
            state = AttitudeState(sample.gps_ms, truth.quaternion[row], nothing, np.diag(_unknown_sigma(settings)))
        else:
            tracked = tracker.follow(track, sample, surroundings, faces, gyro)
            faces, step = tracked.faces, tracked.step
            state = step.state.corrected(None, tracked.track.state.sqrt_covariance)
        if truth.known[row]:
            slow = state.slow.copy()
            slow[GYRO_BIAS.start - 3 : GYRO_BIAS.stop - 3] = truth.gyro_bias_imu_rad_s[row]
            slow[MAG_BIAS.start - 3 : MAG_BIAS.stop - 3] = correction.corrected_ut(truth.mag_bias_imu_ut[row])
            slow[REFLECTIVITY - 3] = settings.sun_sensors.reflectivity
            state = AttitudeState(sample.gps_ms, truth.quaternion[row], slow, state.sqrt_covariance)
        track = Track(state, sample.gyro_imu_rad_s)
        yield _Moment(state, step)


def _unknown_sigma(settings: AttitudeSettings) -> FloatArray:
    """Standard deviations of the error state before the first sample, shape (22,)."""
    sun, magnetometer = settings.sun_sensors, settings.magnetometer
    parts = (
        (_UNKNOWN_RAD, 3),
        (settings.gyro.bias_sigma_rad_s, 3),
        (magnetometer.bias_sigma_ut, 3),
        (settings.gyro.scale_sigma, 3),
        (sun.gain_sigma, 6),
        (sun.reflectivity_sigma, 1),
        (magnetometer.field_error_ut, 3),
    )
    return np.concatenate([np.full(count, sigma) for sigma, count in parts])
