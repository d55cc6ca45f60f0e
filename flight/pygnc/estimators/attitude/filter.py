"""Attitude filter: search, track, abandon the track, search again.

The filter performs no I/O; each sample carries its environment. Without an environment it still provides a body rate.
"""

import math
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final

import msgspec
import numpy as np

from pygnc.common.arrays import Array
from pygnc.estimators.attitude.measurement import DAYLIGHT_SHARE
from pygnc.estimators.attitude.mekf import (
    AttitudeRejectCause,
    FieldInnovation,
    IlluminanceInnovation,
    MultiplicativeEkf,
    Track,
    TrackUpdate,
)
from pygnc.estimators.attitude.propagation import AttitudeStep
from pygnc.estimators.attitude.sample import AttitudeEnvironment, AttitudeSample
from pygnc.estimators.attitude.search import Search, initial_state
from pygnc.estimators.attitude.sensor_health import FaceHealth, GyroHealth
from pygnc.estimators.attitude.settings import AttitudeSettings
from pygnc.estimators.attitude.state import ATTITUDE, GYRO_BIAS, SIZE, AttitudeState, Flags
from pygnc.estimators.attitude.window import (
    BiasPrior,
    Hypotheses,
    MagnetometerBias,
    WindowSample,
    bias_prior_from_state,
    field_direction_known,
    initial_bias_prior,
    with_calibrated_bias,
)
from pygnc.estimators.checkpoint import decode, encode
from pygnc.estimators.kalman import triangular

_CHECKPOINT_VERSION: Final = 3
_BACKWARDS_MAX: Final = 3
"""The clock was set if this many successive samples, each later than the one before, are not later than the state."""
_STUCK_SHARE: Final = 0.3
"""Sigma of the attitude when an axis is found stuck, as a fraction of that of an unknown attitude."""


@unique
class Mode(StrEnum):
    """Accuracy of the attitude."""

    SEARCHING = "searching"
    """The attitude is unknown."""
    COARSE = "coarse"
    FINE = "fine"


@dataclass(frozen=True, slots=True, eq=False)
class AttitudeUpdate:
    """Result of one sample.

    Attributes:
        gps_ms: Time of the sample.
        seq: Its sequence number.
        mode: Accuracy of the attitude.
        state: Estimate at the sample's time; None if the attitude is unknown.
        rate_body_rad_s: Body rate, corrected for the known part of the bias, shape (3,).
        in_sun: Whether the Sun shines on the satellite, by model and light; by light alone if the environment is
            unknown.
        cause: Why the sample was rejected entirely; None if any part of it was used.
        faces: Fault counters of the sun sensors.
        gyro: Faults of the gyro axes.
        field: Innovation of the magnetometer; None without a prediction.
        light: The same of the sun sensors; also None in the Earth's shadow.
        nis: Normalised innovation squared of the used measurements; chi-square with `dof` degrees of freedom if the
            filter is consistent.
        dof: Number of measurements used.
        restarted: Whether a search found this state, so that it does not follow from the one before it.
        step: Step from the state before, for the smoother; None if there is none.
    """

    gps_ms: int
    seq: int
    mode: Mode
    state: AttitudeState | None
    rate_body_rad_s: Array
    in_sun: bool
    cause: AttitudeRejectCause | None
    faces: FaceHealth
    gyro: GyroHealth
    field: FieldInnovation | None = None
    light: IlluminanceInnovation | None = None
    nis: float = 0.0
    dof: int = 0
    restarted: bool = False
    step: AttitudeStep | None = None


class _Checkpoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    last_ms: int | None
    backwards: tuple[int, int]
    track: Track | None
    faces: FaceHealth
    gyro: GyroHealth
    calibrated: MagnetometerBias | None
    prior: BiasPrior
    samples: list[tuple[AttitudeSample, AttitudeEnvironment]]
    hypotheses: Hypotheses | None
    damping: Array
    confirmations: int
    excluded_face: int | None
    untried: list[int]


class AttitudeFilter:
    """Estimates attitudes from samples; about 0.2 ms each once the attitude is known, memory is constant."""

    def __init__(self, settings: AttitudeSettings) -> None:
        self.settings = settings
        self._ekf = MultiplicativeEkf(settings)
        self._track: Track | None = None
        self._calibrated: MagnetometerBias | None = None
        self._search = Search(settings, initial_bias_prior(settings, None))
        self._faces = FaceHealth.unknown()
        self._gyro = GyroHealth.unknown()
        self._last_ms: int | None = None
        self._backwards: tuple[int, int] = (0, 0)
        """Number of successive samples that were not later than the last one, and the time of the last of them."""

    @property
    def state(self) -> AttitudeState | None:
        """The estimate after the last sample; None while the attitude is unknown."""
        return None if self._track is None else self._track.state

    @property
    def mag_bias_ut(self) -> Array | None:
        """Magnetometer bias in sensor axes, shape (3,), with or without an attitude; None while it is unknown."""
        if self._track is not None:
            return self._track.state.mag_bias_ut
        return self._search.prior.mean[3:] if field_direction_known(self._search.prior) else None

    def process(self, sample: AttitudeSample, environment: AttitudeEnvironment | None) -> AttitudeUpdate:
        """Process one sample.

        Args:
            sample: The next one in time.
            environment: At its time; None if the orbit is unknown. A track is propagated through such samples by the
                gyro alone, until its attitude is as good as unknown.
        """
        if not _finite(sample):
            return self._without_attitude(sample, environment, AttitudeRejectCause.NOT_FINITE)
        if self._last_ms is not None and sample.gps_ms <= self._last_ms and not self._clock_was_set(sample):
            return self._without_attitude(sample, environment, AttitudeRejectCause.NOT_LATER)
        self._last_ms, self._backwards = sample.gps_ms, (0, 0)
        before = self._gyro.stuck
        self._gyro = self._gyro.updated(sample.gyro_imu_rad_s, self.settings.gyro)
        if self._track is not None and self._gyro.beyond_range.any():
            self._abandon_track(bias_prior_from_state(self._track.state, self.settings, self._calibrated))
        if self._track is not None:
            track = self._widened(self._track, self._gyro.stuck & ~before)
            return self._update_track(track, sample, environment)
        return self._update_search(sample, environment)

    def set_calibrated_bias(self, calibrated: MagnetometerBias) -> None:
        """Start searches with this magnetometer bias; a current track does not change."""
        self._calibrated = calibrated
        if self._track is None:
            self._search.prior = with_calibrated_bias(self._search.prior, calibrated)

    def checkpoint(self) -> bytes:
        """Return the memory of the filter; `restore` continues from it bit for bit."""
        search = self._search
        return encode(
            _Checkpoint(
                version=_CHECKPOINT_VERSION,
                last_ms=self._last_ms,
                backwards=self._backwards,
                track=self._track,
                faces=self._faces,
                gyro=self._gyro,
                calibrated=self._calibrated,
                prior=search.prior,
                samples=[(each.sample, each.environment) for each in search.samples],
                hypotheses=search.hypotheses,
                damping=search.damping,
                confirmations=search.confirmations,
                excluded_face=search.excluded_face,
                untried=search.untried,
            )
        )

    @classmethod
    def restore(cls, settings: AttitudeSettings, checkpoint: bytes) -> "AttitudeFilter":
        """Return a filter that continues from a checkpoint.

        Raises:
            ValueError: The checkpoint is damaged or has another version.
        """
        saved = decode(checkpoint, _Checkpoint)
        if saved.version != _CHECKPOINT_VERSION:
            raise ValueError(f"attitude checkpoint has version {saved.version}, expected {_CHECKPOINT_VERSION}")
        restored = cls(settings)
        restored._last_ms, restored._backwards = saved.last_ms, saved.backwards
        restored._track, restored._calibrated = saved.track, saved.calibrated
        restored._faces, restored._gyro = saved.faces, saved.gyro
        search = Search(settings, saved.prior)
        search.samples = [WindowSample.of(sample, environment, settings) for sample, environment in saved.samples]
        search.hypotheses, search.damping = saved.hypotheses, saved.damping
        search.confirmations = saved.confirmations
        search.excluded_face, search.untried = saved.excluded_face, saved.untried
        restored._search = search
        return restored

    # --- Track -----------------------------------------------------------------------------------------------------

    def _update_track(
        self, track: Track, sample: AttitudeSample, environment: AttitudeEnvironment | None
    ) -> AttitudeUpdate:
        limits = self.settings.start
        update = self._ekf.process(track, sample, environment, self._faces, self._gyro)
        self._track, self._faces = update.track, update.faces
        if update.track.rejected > limits.rejected_max:
            # A wrong attitude has led to wrong biases.
            self._abandon_track(initial_bias_prior(self.settings, self._calibrated))
        elif update.step.state.attitude_sigma_rad > limits.unknown_sigma_rad:
            # With such an error, the update of a linearised filter is not reliable.
            self._abandon_track(bias_prior_from_state(update.track.state, self.settings, self._calibrated))
        if self._track is None:
            cause = AttitudeRejectCause.GATE if update.field else AttitudeRejectCause.NO_SURROUNDINGS
            return self._without_attitude(sample, environment, cause)
        return self._with_attitude(self._track, sample, environment, update)

    def _widened(self, track: Track, stuck: Flags) -> Track:
        """Return the track with the gyro bias of the stuck axes reset to unknown."""
        if not np.count_nonzero(stuck):
            return track
        column = np.zeros((SIZE, 3))
        column[GYRO_BIAS] = np.diag(stuck * self.settings.gyro.bias_sigma_rad_s)
        # The attitude has followed the stuck axis since it began to repeat itself.
        column[ATTITUDE] = _STUCK_SHARE * self.settings.start.unknown_sigma_rad * np.eye(3)
        state = track.state
        root = triangular(np.concatenate((state.sqrt_covariance, column), axis=1))
        return track._replace(state=AttitudeState(state.gps_ms, state.quaternion, state.slow, root))

    def _abandon_track(self, prior: BiasPrior) -> None:
        self._track = None
        self._search = Search(self.settings, prior)

    def _clock_was_set(self, sample: AttitudeSample) -> bool:
        """Return whether time continues from an earlier one for good; the attitude is then unknown."""
        count, last_ms = self._backwards
        self._backwards = (count + 1 if sample.gps_ms > last_ms else 1), sample.gps_ms
        if self._backwards[0] < _BACKWARDS_MAX:
            return False
        if self._track is None:
            self._abandon_track(self._search.prior)
        else:
            self._abandon_track(bias_prior_from_state(self._track.state, self.settings, self._calibrated))
        return True

    # --- Search ----------------------------------------------------------------------------------------------------

    def _update_search(self, sample: AttitudeSample, environment: AttitudeEnvironment | None) -> AttitudeUpdate:
        if environment is None or self._gyro.beyond_range.any():
            self._search.reset()
            cause = AttitudeRejectCause.NO_SURROUNDINGS if environment is None else None
            return self._without_attitude(sample, environment, cause)
        found = self._search.process(WindowSample.of(sample, environment, self.settings))
        if found is None:
            return self._without_attitude(sample, environment, None)
        track = Track(initial_state(sample.gps_ms, found, self.settings), sample.gyro_imu_rad_s)
        self._track = self._widened(track, self._gyro.stuck)
        if found.excluded_face is not None:
            self._faces = self._faces.with_suspect(found.excluded_face)
        self._search = Search(self.settings, self._search.prior)
        return self._with_attitude(self._track, sample, environment, None)

    # --- Results ---------------------------------------------------------------------------------------------------

    def _without_attitude(
        self, sample: AttitudeSample, environment: AttitudeEnvironment | None, cause: AttitudeRejectCause | None
    ) -> AttitudeUpdate:
        bias = self._search.prior.mean[:3] if self._track is None else self._track.state.gyro_bias_rad_s
        return AttitudeUpdate(
            sample.gps_ms,
            sample.seq,
            Mode.SEARCHING,
            None,
            (sample.gyro_imu_rad_s - bias).dot(self.settings.mounting.gyro),
            self._in_sun(sample, environment),
            cause,
            self._faces,
            self._gyro,
        )

    def _with_attitude(
        self,
        track: Track,
        sample: AttitudeSample,
        environment: AttitudeEnvironment | None,
        update: TrackUpdate | None,
    ) -> AttitudeUpdate:
        """Return the result of a sample with an attitude; `update` is None if a search has just found it."""
        fine = track.state.attitude_sigma_rad < self.settings.start.fine_sigma_rad
        cause = None
        if update is not None and update.dof == 0:
            cause = AttitudeRejectCause.NO_SURROUNDINGS if environment is None else AttitudeRejectCause.GATE
        return AttitudeUpdate(
            sample.gps_ms,
            sample.seq,
            Mode.FINE if fine else Mode.COARSE,
            track.state,
            self._ekf.rate_body_rad_s(sample.gyro_imu_rad_s, track.state),
            self._in_sun(sample, environment),
            cause,
            self._faces,
            self._gyro,
            field=update.field if update else None,
            light=update.light if update else None,
            nis=update.nis if update else 0.0,
            dof=update.dof if update else 0,
            restarted=update is None,
            step=update.step if update else None,
        )

    def _in_sun(self, sample: AttitudeSample, environment: AttitudeEnvironment | None) -> bool:
        bright = bool(sample.lux.max() > DAYLIGHT_SHARE * self.settings.sun_sensors.full_sun_lux)
        return bright and (environment is None or environment.sunlit_fraction > 0.0)


def _finite(sample: AttitudeSample) -> bool:
    # A value that is not finite makes the sum of squares not finite.
    return all(math.isfinite(part.dot(part)) for part in (sample.mag_imu_ut, sample.gyro_imu_rad_s, sample.lux))
