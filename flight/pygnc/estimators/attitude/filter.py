"""The attitude filter: search, track, give up, search again.

It asks nobody: what surrounds the satellite comes with each sample. Without it there is still a rate.

What the filter says of each sample.
"""

import math
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final

import numpy as np

from pygnc.common.arrays import Array
from pygnc.estimators.attitude import checkpoint as packing
from pygnc.estimators.attitude.hypotheses import (
    BiasPrior,
    MagnetometerBias,
    bias_prior_from_state,
    field_direction_known,
    initial_bias_prior,
    with_calibrated_bias,
)
from pygnc.estimators.attitude.measurement import light_sources
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
from pygnc.estimators.attitude.window import WindowSample
from pygnc.estimators.checkpoint import Checkpoint, take
from pygnc.estimators.kalman import triangular


@unique
class Mode(StrEnum):
    """How much is known of the attitude."""

    SEARCHING = "searching"
    """Nothing."""
    COARSE = "coarse"
    FINE = "fine"


@dataclass(frozen=True, slots=True, eq=False)
class AttitudeUpdate:
    """What became of one sample.

    Attributes:
        gps_ms: Time of the sample.
        seq: Its number.
        mode: How much is known of the attitude.
        state: Estimate at the sample's time; None when the attitude is unknown.
        rate_body_rad_s: Body rate, what is known of the bias removed, shape (3,).
        in_sun: Whether the Sun shines on the satellite, by model and light; by light alone where the place is unknown.
        cause: Why nothing at all of the sample was used; None when something was.
        faces: What is held against sun sensors.
        gyro: What is held against gyro axes.
        field: Innovation of the magnetometer; None where there was nothing to compare with.
        light: The same of the sun sensors; also None in the Earth's shadow.
        nis: Normalised innovation squared of what was used; chi-square with `dof` degrees of freedom if the filter is
            consistent.
        dof: Numbers used.
        restarted: Whether this state was found by a search, and does not follow from the one before it.
        step: How the state before led to this one; None where none did. For the smoother.
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


_BRIGHT_SHARE: Final = 0.05
"""Light that only the Sun, or the Earth lit by it, gives."""
_BACKWARDS_MAX: Final = 3
"""So many samples in a row, each later than the one before, that are not later than the state: the clock was set."""
_STUCK_SHARE: Final = 0.3
"""Sigma of the attitude when an axis is found stuck, as a share of that of an unknown attitude."""


class AttitudeFilter:
    """Turns samples into attitudes; about 0.2 ms each once the attitude is found, memory is constant."""

    def __init__(self, settings: AttitudeSettings) -> None:
        self.settings = settings
        self._tracker = MultiplicativeEkf(settings)
        self._track: Track | None = None
        self._calibrated: MagnetometerBias | None = None
        self._search = Search(settings, initial_bias_prior(settings, None))
        self._faces = FaceHealth.unknown()
        self._gyro = GyroHealth.unknown()
        self._last_ms: int | None = None
        self._backwards: tuple[int, int] = (0, 0)
        """How many samples in a row were not later than the last one, and the time of the last of them"""

    @property
    def state(self) -> AttitudeState | None:
        """The estimate after the last sample; None while the attitude is unknown."""
        return None if self._track is None else self._track.state

    @property
    def mag_bias_ut(self) -> Array | None:
        """What is known of the magnetometer's bias, sensor axes, shape (3,), be the attitude known or not."""
        if self._track is not None:
            return self._track.state.mag_bias_ut
        return self._search.prior.mean[3:] if field_direction_known(self._search.prior) else None

    def process(self, sample: AttitudeSample, surroundings: AttitudeEnvironment | None) -> AttitudeUpdate:
        """Take in one sample.

        Args:
            sample: The next one in time.
            surroundings: At its time; None where the orbit is unknown. A track is carried on through such samples by
                the gyro alone, until its attitude is as good as unknown.
        """
        if not _finite(sample):
            return self._told(sample, surroundings, AttitudeRejectCause.NOT_FINITE)
        if self._last_ms is not None and sample.gps_ms <= self._last_ms and not self._clock_was_set(sample):
            return self._told(sample, surroundings, AttitudeRejectCause.NOT_LATER)
        self._last_ms, self._backwards = sample.gps_ms, (0, 0)
        before = self._gyro.stuck
        self._gyro = self._gyro.judged(sample.gyro_imu_rad_s, self.settings.gyro)
        if self._track is not None and self._gyro.beyond_range.any():
            self._give_up(bias_prior_from_state(self._track.state, self.settings, self._calibrated))
        if self._track is not None:
            track = self._widened(self._track, self._gyro.stuck & ~before)
            return self._follow(track, sample, surroundings)
        return self._look(sample, surroundings)

    def take_mag_bias(self, calibrated: MagnetometerBias) -> None:
        """Begin searches with this bias of the magnetometer; a track goes on as it is."""
        self._calibrated = calibrated
        if self._track is None:
            self._search.prior = with_calibrated_bias(self._search.prior, calibrated)

    def checkpoint(self) -> Checkpoint:
        """All that the filter remembers; with `restore` it goes on bit for bit."""
        return {
            "version": packing.VERSION,
            "last_ms": -1 if self._last_ms is None else self._last_ms,
            "backwards": self._backwards[0],
            "backwards_ms": self._backwards[1],
            "track": packing.pack_track(self._track),
            "faces": packing.pack_faces(self._faces),
            "gyro": packing.pack_gyro(self._gyro),
            "prior": packing.pack_prior(self._search.prior),
            "calibrated": packing.pack_mag_bias(self._calibrated),
            "moments": packing.pack_moments(self._search.moments),
            "hypotheses": packing.pack_hypotheses(self._search.hypotheses, self._search.damping),
            "confirmations": self._search.confirmations,
            "left_out": -1 if self._search.left_out is None else self._search.left_out,
            "untried": bytes(self._search.untried),
        }

    @classmethod
    def restore(cls, settings: AttitudeSettings, checkpoint: Checkpoint) -> "AttitudeFilter":
        """A filter that goes on from a checkpoint.

        Raises:
            ValueError: The checkpoint has another version, or is damaged.
        """
        version = checkpoint.get("version")
        if version != packing.VERSION:
            raise ValueError(f"attitude checkpoint of version {version!r}, expected {packing.VERSION}")
        restored = cls(settings)
        last_ms = take(checkpoint, "last_ms", int)
        restored._last_ms = None if last_ms < 0 else last_ms
        restored._backwards = take(checkpoint, "backwards", int), take(checkpoint, "backwards_ms", int)
        restored._track = packing.unpack_track(take(checkpoint, "track", bytes))
        restored._faces = packing.unpack_faces(take(checkpoint, "faces", bytes))
        restored._calibrated = packing.unpack_mag_bias(take(checkpoint, "calibrated", bytes))
        restored._gyro = packing.unpack_gyro(take(checkpoint, "gyro", bytes))
        search = Search(settings, packing.unpack_prior(take(checkpoint, "prior", bytes)))
        search.moments = packing.unpack_moments(take(checkpoint, "moments", bytes), settings)
        search.hypotheses, search.damping = packing.unpack_hypotheses(take(checkpoint, "hypotheses", bytes))
        search.confirmations = take(checkpoint, "confirmations", int)
        left_out = take(checkpoint, "left_out", int)
        search.left_out = None if left_out < 0 else left_out
        search.untried = list(take(checkpoint, "untried", bytes))
        restored._search = search
        return restored

    # --- Track -----------------------------------------------------------------------------------------------------

    def _follow(self, track: Track, sample: AttitudeSample, surroundings: AttitudeEnvironment | None) -> AttitudeUpdate:
        limits = self.settings.start
        tracked = self._tracker.follow(track, sample, surroundings, self._faces, self._gyro)
        followed = tracked.track
        self._track, self._faces = followed, tracked.faces
        if followed.rejected > limits.rejected_max:
            # A wrong attitude has made wrong biases.
            self._give_up(initial_bias_prior(self.settings, self._calibrated))
        elif tracked.step.state.attitude_sigma_rad > limits.unknown_sigma_rad:
            # So far off, one update of a linearised filter cannot be trusted.
            self._give_up(bias_prior_from_state(followed.state, self.settings, self._calibrated))
        if self._track is None:
            return self._told(
                sample, surroundings, AttitudeRejectCause.GATE if tracked.field else AttitudeRejectCause.NO_SURROUNDINGS
            )
        return self._reported(sample, surroundings, tracked)

    def _widened(self, track: Track, stuck: Flags) -> Track:
        """The track with nothing known of the bias of axes that are stuck."""
        if not np.count_nonzero(stuck):
            return track
        column = np.zeros((SIZE, 3))
        column[GYRO_BIAS] = np.diag(stuck * self.settings.gyro.bias_sigma_rad_s)
        # The attitude has followed the stuck axis since it began to repeat itself.
        column[ATTITUDE] = _STUCK_SHARE * self.settings.start.unknown_sigma_rad * np.eye(3)
        state = track.state
        root = triangular(np.concatenate((state.sqrt_covariance, column), axis=1))
        return track._replace(state=AttitudeState(state.gps_ms, state.quaternion, state.slow, root))

    def _give_up(self, prior: BiasPrior) -> None:
        self._track = None
        self._search = Search(self.settings, prior)

    def _clock_was_set(self, sample: AttitudeSample) -> bool:
        """Whether time goes on from an earlier one for good; the attitude is then unknown."""
        count, last_ms = self._backwards
        self._backwards = (count + 1 if sample.gps_ms > last_ms else 1), sample.gps_ms
        if self._backwards[0] < _BACKWARDS_MAX:
            return False
        if self._track is None:
            self._give_up(self._search.prior)
        else:
            self._give_up(bias_prior_from_state(self._track.state, self.settings, self._calibrated))
        return True

    # --- Search ----------------------------------------------------------------------------------------------------

    def _look(self, sample: AttitudeSample, surroundings: AttitudeEnvironment | None) -> AttitudeUpdate:
        if surroundings is None or self._gyro.beyond_range.any():
            self._search.forget()
            cause = AttitudeRejectCause.NO_SURROUNDINGS if surroundings is None else None
            return self._told(sample, surroundings, cause)
        found = self._search.process(WindowSample(sample, surroundings, light_sources(surroundings, self.settings)))
        if found is None:
            return self._told(sample, surroundings, None)
        track = Track(initial_state(sample.gps_ms, found, self.settings), sample.gyro_imu_rad_s)
        self._track = self._widened(track, self._gyro.stuck)
        if found.left_out is not None:
            self._faces = self._faces.doubted(found.left_out)
        self._search = Search(self.settings, self._search.prior)
        return self._reported(sample, surroundings, None)

    # --- Report ----------------------------------------------------------------------------------------------------

    def _told(
        self, sample: AttitudeSample, surroundings: AttitudeEnvironment | None, cause: AttitudeRejectCause | None
    ) -> AttitudeUpdate:
        """A sample after which there is no attitude for its time."""
        bias = self._search.prior.mean[:3] if self._track is None else self._track.state.gyro_bias_rad_s
        return AttitudeUpdate(
            sample.gps_ms,
            sample.seq,
            Mode.SEARCHING,
            None,
            (sample.gyro_imu_rad_s - bias).dot(self.settings.mounting.gyro),
            self._in_sun(sample, surroundings),
            cause,
            self._faces,
            self._gyro,
        )

    def _reported(
        self, sample: AttitudeSample, surroundings: AttitudeEnvironment | None, tracked: TrackUpdate | None
    ) -> AttitudeUpdate:
        """A sample after which the attitude is known; `tracked` None when it was just found."""
        track = self._track
        if track is None:
            raise RuntimeError("there is no track to report")
        fine = track.state.attitude_sigma_rad < self.settings.start.fine_sigma_rad
        cause = None
        if tracked is not None and tracked.dof == 0:
            cause = AttitudeRejectCause.NO_SURROUNDINGS if surroundings is None else AttitudeRejectCause.GATE
        return AttitudeUpdate(
            sample.gps_ms,
            sample.seq,
            Mode.FINE if fine else Mode.COARSE,
            track.state,
            self._tracker.rate_body_rad_s(sample.gyro_imu_rad_s, track.state),
            self._in_sun(sample, surroundings),
            cause,
            self._faces,
            self._gyro,
            field=tracked.field if tracked else None,
            light=tracked.light if tracked else None,
            nis=tracked.nis if tracked else 0.0,
            dof=tracked.dof if tracked else 0,
            restarted=tracked is None,
            step=tracked.step if tracked else None,
        )

    def _in_sun(self, sample: AttitudeSample, surroundings: AttitudeEnvironment | None) -> bool:
        bright = bool(sample.lux.max() > _BRIGHT_SHARE * self.settings.sun_sensors.full_sun_lux)
        return bright and (surroundings is None or surroundings.sunlit_fraction > 0.0)


def _finite(sample: AttitudeSample) -> bool:
    # What is no number makes the sum of squares none.
    return all(math.isfinite(part.dot(part)) for part in (sample.mag_imu_ut, sample.gyro_imu_rad_s, sample.lux))
