"""Attitude filter: searches the attitude, tracks it, and searches again when the track is abandoned.

The filter performs no I/O; each sample carries its environment. Without an environment it still provides a body rate.
"""

import math
from dataclasses import dataclass, replace
from enum import StrEnum, unique
from typing import Final

import msgspec
import numpy as np

from pygnc.common.arrays import Array
from pygnc.estimators.attitude.measurement import DAYLIGHT_SHARE, light_sources
from pygnc.estimators.attitude.mekf import (
    DISTURBED_MAX,
    AttitudeRejectCause,
    FieldInnovation,
    IlluminanceInnovation,
    MultiplicativeEkf,
    Track,
    TrackUpdate,
)
from pygnc.estimators.attitude.model_errors import WHOLE_SECOND_SIGMA_S, ModelErrors, SunSensorErrors
from pygnc.estimators.attitude.propagation import AttitudeStep
from pygnc.estimators.attitude.sample import AttitudeEnvironment, AttitudeSample
from pygnc.estimators.attitude.search import HOPELESS_SAMPLES, Search
from pygnc.estimators.attitude.sensor_health import FaceHealth, GyroHealth
from pygnc.estimators.attitude.settings import AttitudeSettings
from pygnc.estimators.attitude.state import ATTITUDE, GYRO_BIAS, MAG_BIAS, SIZE, AttitudeState, Flags
from pygnc.estimators.attitude.window import (
    MagnetometerBias,
    WindowSample,
    bias_prior_from_state,
    field_direction_known,
    initial_bias_prior,
    with_calibrated_bias,
)
from pygnc.estimators.checkpoint import decode, encode
from pygnc.estimators.kalman import triangular

_BACKWARDS_MAX: Final = 3
"""The clock was set if this many successive, ascending sample times are not later than the state."""
_WITHOUT_FIELD_MAX_MS: Final = 3_600_000
"""Longest time by Sun and gyro alone where the field is weak. The rotation about the Sun's direction is then
unobserved, and the resolution of the gyro makes an error of some degrees per hour.
"""
_MISLED_SIGMA_RAD: Final = math.radians(8.0)
"""Uncertainty of an attitude that a wrong magnetometer bias has misled."""
_UNUSED_MAX: Final = 3
"""Successive samples with light of which nothing was used that end a track."""
_YOUNG_SAMPLES: Final = 150
"""Samples of a track before which the magnetometer ends it sooner."""
_STUCK_SHARE: Final = 0.3
"""Sigma of the attitude when an axis is found stuck, as a fraction of that of an unknown attitude."""


@unique
class Mode(StrEnum):
    """Accuracy class of the attitude."""

    SEARCHING = "searching"
    """The attitude is unknown."""
    COARSE = "coarse"
    FINE = "fine"


@dataclass(frozen=True, slots=True, eq=False)
class AttitudeUpdate:
    """Result of one sample.

    Attributes:
        gps_ms: Time of the sample, GPS ms.
        seq: Sequence number of the sample.
        mode: Accuracy class of the attitude.
        state: Estimate at the sample's time; None if the attitude is unknown.
        rate_body_rad_s: Body rate, corrected for the known part of the bias, body axes, shape (3,).
        in_sun: True if the Sun shines on the satellite, by model and light; by light alone if the environment is
            unknown.
        cause: Reason why the sample was rejected entirely; None if any part of it was used.
        faces: Fault counters of the sun sensors.
        gyro: Faults of the gyro axes.
        field: Innovation of the magnetometer; None without a prediction.
        light: Innovation of the sun sensors; None without a prediction and in the Earth's shadow.
        nis: Normalised innovation squared of the used measurements; chi-square with `dof` degrees of freedom if the
            filter is consistent.
        dof: Number of measurements used.
        restarted: True if a search found this state, so that it does not follow from the previous state.
        step: Step from the state before, for the smoother; None if there is none.
        time_sigma_s: Uncertainty of the sample's time that is common to all samples. The state is that of the instant
            of the sample; at `gps_ms`, this time the body rate is an additional error.
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
    time_sigma_s: float = 0.0


class _Memory(msgspec.Struct, forbid_unknown_fields=True):
    """State of the attitude filter that a restarted task needs."""

    search: Search
    track: Track | None = None
    calibrated: MagnetometerBias | None = None
    faces: FaceHealth = msgspec.field(default_factory=FaceHealth.unknown)
    gyro: GyroHealth = msgspec.field(default_factory=GyroHealth.unknown)
    errors: ModelErrors = ModelErrors()
    inflation: Array | None = None
    """Variance inflation of the next step: standard deviations added to the error state."""
    last_ms: int | None = None
    field_ms: int | None = None
    """GPS ms of the last sample at which the magnetic field was strong enough, or unknown."""
    backwards: tuple[int, int] = (0, 0)
    """Number of successive samples that were not later than `last_ms`, and the GPS ms of the last of them."""


class AttitudeFilter:
    """Filter that estimates attitudes from samples; about 0.2 ms each once the attitude is known, constant memory."""

    def __init__(self, settings: AttitudeSettings) -> None:
        self.settings = settings
        self._ekf = MultiplicativeEkf(settings)
        self._memory = _Memory(Search(settings, initial_bias_prior(settings)))

    @property
    def state(self) -> AttitudeState | None:
        """Estimate after the last sample; None while the attitude is unknown."""
        return None if self._memory.track is None else self._memory.track.state

    @property
    def mag_bias_ut(self) -> Array | None:
        """Magnetometer bias in sensor axes, uT, shape (3,), with or without an attitude; None while it is unknown."""
        if self._memory.track is not None:
            return self._memory.track.state.mag_bias_ut
        prior = self._memory.search.prior
        return prior.mean[3:] if field_direction_known(prior) else None

    def process(self, sample: AttitudeSample, environment: AttitudeEnvironment | None) -> AttitudeUpdate:
        """Process one sample.

        Args:
            sample: The next sample in time.
            environment: Environment at its time; None if the orbit is unknown. A track is propagated through such
                samples by the gyro alone, until its attitude is as good as unknown.
        """
        memory = self._memory
        if not _finite(sample):
            return self._result(sample, environment, None, AttitudeRejectCause.NOT_FINITE)
        if memory.last_ms is not None and sample.gps_ms <= memory.last_ms and not self._clock_was_set(sample):
            return self._result(sample, environment, None, AttitudeRejectCause.NOT_LATER)
        memory.last_ms, memory.backwards = sample.gps_ms, (0, 0)
        if environment is not None and environment.field_is_weak(self.settings.magnetometer):
            sample = replace(sample, field_unusable=True)
            if memory.field_ms is not None and sample.gps_ms - memory.field_ms > _WITHOUT_FIELD_MAX_MS:
                self._abandon_track()
        else:
            memory.field_ms = sample.gps_ms
        before = memory.gyro.stuck
        memory.gyro = memory.gyro.updated(sample.gyro_imu_rad_s, self.settings.gyro)
        if np.count_nonzero(memory.gyro.beyond_range):
            self._abandon_track()
        if memory.track is not None:
            track = self._widened(memory.track, memory.gyro.stuck & ~before)
            return self._update_track(track, sample, environment)
        return self._update_search(sample, environment)

    def set_calibrated_bias(self, calibrated: MagnetometerBias) -> None:
        """Start searches with this magnetometer bias; a current track does not change."""
        self._memory.calibrated = calibrated
        if self._memory.track is None:
            search = self._memory.search
            search.prior = with_calibrated_bias(search.prior, calibrated)

    def checkpoint(self) -> bytes:
        """Return the memory of the filter; `restore` continues from it bit for bit."""
        return encode(self._memory)

    @classmethod
    def restore(cls, settings: AttitudeSettings, checkpoint: bytes) -> "AttitudeFilter":
        """Return a filter that continues from a checkpoint.

        Raises:
            ValueError: The checkpoint is damaged.
        """
        restored = cls(settings)
        restored._memory = decode(checkpoint, _Memory)
        return restored

    # --- Track -----------------------------------------------------------------------------------------------------

    def _update_track(
        self, track: Track, sample: AttitudeSample, environment: AttitudeEnvironment | None
    ) -> AttitudeUpdate:
        memory, limits = self._memory, self.settings.start
        update = self._ekf.process(
            track,
            sample,
            environment,
            memory.faces,
            memory.gyro,
            time_tags=memory.errors.time_tags,
            inflation=memory.inflation,
        )
        memory.track, memory.faces = update.track, update.faces
        before = ModelErrors(memory.errors.field, memory.errors.sun_sensors, update.time_tags)
        memory.errors = before.detected(update.track.field_misfit, update.track.light_misfit, update.track.samples)
        memory.inflation = memory.errors.variance_inflation(before, self.settings)
        if memory.errors.sun_sensors is SunSensorErrors.UNDECIDED:
            memory.errors, state = memory.errors.selected(update.track.state, self.settings)
            update = replace(update, track=update.track._replace(state=state))
            memory.track = update.track
        if memory.inflation is not None:
            memory.track = update.track._replace(field_misfit=1.0, light_misfit=1.0)
        lit = update.light is not None and bool(np.count_nonzero(update.light.used))
        field_rejected = update.track.field_rejected
        dark_rejected = not lit and field_rejected > limits.field_rejected_dark_max
        if update.track.rejected > limits.rejected_max or dark_rejected or _contradicted(update.track):
            # A wrong attitude has led to wrong biases.
            self._abandon_track(keep_biases=False)
        elif update.step.state.attitude_sigma_rad > limits.unknown_sigma_rad:
            # With such an error, the update of a linearised filter is not reliable.
            self._abandon_track()
        elif lit and field_rejected > limits.field_rejected_max:
            memory.track, memory.inflation = self._with_unknown_mag_bias(memory.track)
        unused = AttitudeRejectCause.NO_SURROUNDINGS if environment is None else AttitudeRejectCause.GATE
        if memory.track is None:
            return self._result(sample, environment, None, unused)
        return self._result(sample, environment, memory.track, None if update.dof else unused, update)

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

    def _with_unknown_mag_bias(self, track: Track) -> tuple[Track, Array]:
        """Return a track that the light supports but the field does not, and what its next step opens.

        The search may have taken the field of magnetorquers for a bias.
        """
        inflation = np.zeros(SIZE)
        inflation[MAG_BIAS] = self.settings.magnetometer.bias_sigma_ut
        inflation[ATTITUDE] = _MISLED_SIGMA_RAD
        return track._replace(field_rejected=0.0, samples=0, field_left_ut=None, disturbed=0), inflation

    def _abandon_track(self, *, keep_biases: bool = True) -> None:
        """Begin a new search, with the biases of the track if they are to be kept."""
        memory = self._memory
        if memory.track is None:
            return
        state, settings = memory.track.state, self.settings
        prior = bias_prior_from_state(state, settings) if keep_biases else initial_bias_prior(settings)
        prior = with_calibrated_bias(prior, memory.calibrated)
        # A track that was short has probably been wrong.
        searched = memory.search.received if memory.track.samples < HOPELESS_SAMPLES else 0
        memory.track, memory.inflation = None, None
        memory.search = Search(settings, prior, memory.errors, received=searched)

    def _clock_was_set(self, sample: AttitudeSample) -> bool:
        """Count a sample that is not later than the last one; return True and begin a new search if the clock was set.

        The clock was set back if several such samples in a row are in ascending order.
        """
        memory = self._memory
        count, last_ms = memory.backwards
        memory.backwards = (count + 1 if sample.gps_ms > last_ms else 1), sample.gps_ms
        if memory.backwards[0] < _BACKWARDS_MAX:
            return False
        if memory.track is None:
            memory.search = Search(self.settings, memory.search.prior, memory.errors)
        self._abandon_track()
        return True

    # --- Search ----------------------------------------------------------------------------------------------------

    def _update_search(self, sample: AttitudeSample, environment: AttitudeEnvironment | None) -> AttitudeUpdate:
        memory = self._memory
        is_weak = environment is not None and environment.field_is_weak(self.settings.magnetometer)
        if environment is None or is_weak or memory.gyro.beyond_range.any():
            memory.search.reset()
            cause = AttitudeRejectCause.NO_SURROUNDINGS if environment is None else None
            return self._result(sample, environment, None, cause)
        sources = light_sources(environment, self.settings)
        found = memory.search.process(WindowSample(sample, environment, sources))
        if found is None:
            return self._result(sample, environment, None, None)
        memory.track = self._widened(Track(found, sample.gyro_imu_rad_s), memory.gyro.stuck)
        if memory.search.excluded_face is not None:
            memory.faces = memory.faces.with_suspect(memory.search.excluded_face)
        memory.errors = memory.search.errors
        searched = memory.search.received
        memory.search = Search(self.settings, memory.search.prior, memory.errors, received=searched)
        return self._result(sample, environment, memory.track, None, restarted=True)

    # --- Results ---------------------------------------------------------------------------------------------------

    def _result(
        self,
        sample: AttitudeSample,
        environment: AttitudeEnvironment | None,
        track: Track | None,
        cause: AttitudeRejectCause | None,
        update: TrackUpdate | None = None,
        *,
        restarted: bool = False,
    ) -> AttitudeUpdate:
        """Return the result of a sample; `track` is None if it gives no attitude for the sample's time."""
        memory, settings = self._memory, self.settings
        if track is not None:
            fine = track.state.attitude_sigma_rad < settings.start.fine_sigma_rad
            mode = Mode.FINE if fine else Mode.COARSE
            rate_body_rad_s = self._ekf.motion.rate_body_rad_s(sample.gyro_imu_rad_s, track.state)
        else:
            mode = Mode.SEARCHING
            bias = memory.search.prior.mean[:3] if memory.track is None else memory.track.state.gyro_bias_rad_s
            rate_body_rad_s = (sample.gyro_imu_rad_s - bias).dot(settings.mounting.gyro)
        bright = bool(max(sample.lux.tolist()) > DAYLIGHT_SHARE * settings.sun_sensors.full_sun_lux)
        return AttitudeUpdate(
            gps_ms=sample.gps_ms,
            seq=sample.seq,
            mode=mode,
            state=None if track is None else track.state,
            rate_body_rad_s=rate_body_rad_s,
            in_sun=bright and (environment is None or environment.sunlit_fraction > 0.0),
            cause=cause,
            faces=memory.faces,
            gyro=memory.gyro,
            field=None if update is None else update.field,
            light=None if update is None else update.light,
            nis=0.0 if update is None else update.nis,
            dof=0 if update is None else update.dof,
            restarted=restarted,
            step=None if update is None else update.step,
            time_sigma_s=WHOLE_SECOND_SIGMA_S if memory.errors.time_tags.detected else 0.0,
        )


def _contradicted(track: Track) -> bool:
    """Return True if a young track contradicts its readings for longer than a disturbance explains."""
    return track.unused >= _UNUSED_MAX or (track.samples < _YOUNG_SAMPLES and track.disturbed > DISTURBED_MAX)


def _finite(sample: AttitudeSample) -> bool:
    # A value that is not finite makes the sum of squares not finite.
    return all(math.isfinite(part.dot(part)) for part in (sample.mag_imu_ut, sample.gyro_imu_rad_s, sample.lux))
