"""Attitude tracker: turns input messages and orbits into attitude estimates, and counts the samples.

It combines the sample clock, the environment along the orbit, the magnetometer calibration and the attitude filter. It
performs no I/O and reads no clock, so the replay on the ground runs the same code.

A sample uses the orbit that resulted from the last GPS packet before it. The first samples are held until an orbit and
a clock map exist, and use that orbit propagated backwards. Samples whose time is uncertain are held until a GPS packet
confirms it. At most `HELD_MAX` samples are held, and after a live sample at most `LIVE_HELD_MAX`.
"""

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple, Protocol, TypeAlias

import msgspec
import numpy as np

from pygnc.bus.messages import (
    LIVE,
    AttitudeEstimate,
    BatchEnd,
    GpsFix,
    Message,
    OrbitEstimate,
    OrbitMessage,
    SensorSample,
    vector3,
)
from pygnc.common.arrays import Array
from pygnc.common.clock import gps_ms_from_week
from pygnc.estimators.attitude.filter import AttitudeFilter, AttitudeUpdate, Mode
from pygnc.estimators.attitude.hypotheses import MagnetometerBias
from pygnc.estimators.attitude.measurement import DAYLIGHT_SHARE
from pygnc.estimators.attitude.sample import AttitudeEnvironment, AttitudeSample, SampleCorrection
from pygnc.estimators.attitude.settings import AttitudeSettings
from pygnc.estimators.attitude.state import ATTITUDE, AttitudeState, Flags
from pygnc.tasks.attitude.environment import UNKNOWN_ENVIRONMENT, EnvironmentModel, OrbitalEnvironment, PropagatedOrbit
from pygnc.tasks.attitude.mag_calibration import MagCalibration, MagCalibrationState, TotalBias
from pygnc.tasks.attitude.sample_clock import SampleClock, SampleClockState

NO_TIME: Final = "no_time"
"""Cause: the GPS time of the sample is unknown."""


class SampleOutcome(NamedTuple):
    """Result for one sample.

    Attributes:
        sample: The sample.
        gps_ms: Time of the sample; None if unknown.
        environment: Environment at that time.
        update: The filter's result; None if the sample was rejected before the filter.
        late: Whether the orbit task had not answered in time.
        calibrated: The magnetometer's bias by the calibration that needs no attitude; None before it has succeeded.
        calibrated_anew: Whether that bias is new.
    """

    sample: SensorSample
    gps_ms: int | None
    environment: OrbitalEnvironment
    update: AttitudeUpdate | None
    late: bool
    calibrated: TotalBias | None = None
    calibrated_anew: bool = False


class AttitudeReport:
    """Composes messages from outcomes."""

    def __init__(self, settings: AttitudeSettings) -> None:
        self._mounting = settings.mounting
        self._correction = SampleCorrection(settings)
        self._bright_lux = DAYLIGHT_SHARE * settings.sun_sensors.full_sun_lux

    def estimate(
        self,
        outcome: SampleOutcome,
        known: AttitudeState | None,
        mag_bias_ut: Array | None,
        last_input_seq: int,
        seq: int,
    ) -> AttitudeEstimate:
        """Return the message for an outcome.

        Args:
            outcome: Result for a sample.
            known: The filter's state, possibly of an older sample; its gyro bias is used.
            mag_bias_ut: Known bias of corrected readings, even if the attitude is unknown; sensor axes.
            last_input_seq: Number of the newest input.
            seq: Number of the message.
        """
        sample, update = outcome.sample, outcome.update
        state = None if update is None else update.state
        magnetometer = self._correction.magnetometer
        mag_ut = magnetometer.corrected_ut(np.array(sample.mag_imu_ut))
        if mag_bias_ut is not None:
            mag_ut = mag_ut - mag_bias_ut
        if update is not None:
            rate_body_rad_s = update.rate_body_rad_s
        else:
            gyro_bias_rad_s = np.zeros(3) if known is None else known.gyro_bias_rad_s
            rate_body_rad_s = (self._correction.gyro_rad_s(sample) - gyro_bias_rad_s).dot(self._mounting.gyro)
        return AttitudeEstimate(
            seq=seq,
            last_input_seq=last_input_seq,
            input_seq=sample.seq,
            t_spacecraft_s=sample.t_spacecraft_s,
            gps_ms=outcome.gps_ms,
            mode=Mode.SEARCHING.value if update is None else update.mode.value,
            quaternion_gcrf_from_body=None if state is None else _quadruple(state.quaternion),
            rate_body_rad_s=vector3(rate_body_rad_s),
            mag_body_ut=vector3(mag_ut.dot(self._mounting.magnetometer)),
            gyro_bias_imu_rad_s=None if state is None else vector3(state.gyro_bias_rad_s),
            mag_bias_imu_ut=None if mag_bias_ut is None else vector3(magnetometer.total_bias_ut(mag_bias_ut)),
            sigma_rad=None if state is None else vector3(state.sigma[ATTITUDE]),
            in_sun=bool(self._correction.lux(sample).max() > self._bright_lux) if update is None else update.in_sun,
            orbit_age_s=outcome.environment.orbit_age_s,
            orbit_late=outcome.late,
            nis=0.0 if update is None else update.nis,
            dof=0 if update is None else update.dof,
            cause=_cause(update),
            found=update is not None and update.restarted,
            dead_faces=() if update is None else _numbers(update.faces.dead),
            mirrored_faces=() if update is None else _numbers(update.faces.mirrored),
            stuck_gyro_axes=() if update is None else _numbers(update.gyro.stuck),
            gyro_axes_beyond_range=() if update is None else _numbers(update.gyro.beyond_range),
            mag_calibration_sigma_ut=None if outcome.calibrated is None else outcome.calibrated.sigma_ut,
        )


def _cause(update: AttitudeUpdate | None) -> str:
    if update is None:
        return NO_TIME
    return "" if update.cause is None else update.cause.value


def _numbers(flags: Flags) -> tuple[int, ...]:
    return tuple(np.flatnonzero(flags).tolist()) if flags.any() else ()


def _quadruple(vector: Array) -> tuple[float, float, float, float]:
    w, x, y, z = vector.tolist()
    return w, x, y, z


HELD_MAX: Final = 360
"""Half an hour with a sample every 5 s. A batch is complete, so holding its samples delays nothing; the orbit filter
needs five fixes, which may be minutes apart."""
LIVE_HELD_MAX: Final = 5
"""The host waits for the estimate of each live sample."""
HELD_SPAN_S: Final = 3600
"""Held samples are released if they are within this time of the one that confirms them."""


class AttitudeEstimator(Protocol):
    """Interface of the flight's `AttitudeFilter` and of its replacements in tests."""

    @property
    def state(self) -> AttitudeState | None:
        """Estimate after the last sample; None while the attitude is unknown."""

    @property
    def mag_bias_ut(self) -> Array | None:
        """Known bias of the magnetometer, uT, sensor axes, shape (3,), whether or not the attitude is known."""

    def set_calibrated_bias(self, calibrated: MagnetometerBias) -> None:
        """Use this bias of the magnetometer in the next search for the attitude."""

    def process(self, sample: AttitudeSample, surroundings: AttitudeEnvironment | None) -> AttitudeUpdate:
        """Process one sample."""


MakeEstimator: TypeAlias = Callable[[AttitudeSettings], AttitudeEstimator]


class TrackerState(msgspec.Struct, frozen=True):
    """Checkpoint of an `AttitudeTracker`."""

    filter: bytes
    calibration: MagCalibrationState
    clock: SampleClockState
    orbit: PropagatedOrbit | None
    held: tuple[SensorSample, ...]
    started: bool
    expected: int
    answered: int
    last_input_seq: int
    counts: dict[str, int]


class AttitudeTracker:
    """Processes inputs and orbits one by one and returns estimates.

    Attributes:
        counts: Samples received, held, used, and unused by cause, named as in the status record.
    """

    def __init__(
        self,
        settings: AttitudeSettings,
        model: EnvironmentModel,
        state: TrackerState | None = None,
        make_filter: MakeEstimator = AttitudeFilter,
    ) -> None:
        self._settings = settings
        self._model = model
        self._report = AttitudeReport(settings)
        self._correction = SampleCorrection(settings)
        self._calibration = MagCalibration(settings.magnetometer, None if state is None else state.calibration)
        self._filter: AttitudeEstimator
        if state is None:
            self._filter = make_filter(settings)
            self._clock = SampleClock()
            self._orbit: PropagatedOrbit | None = None
            self._held: list[SensorSample] = []
            self._started = False
            self._expected, self._answered, self._last_input_seq = 0, 0, 0
            self.counts = dict.fromkeys(("samples_received", "samples_held", "samples_used", "attitude_starts"), 0)
        else:
            self._filter = AttitudeFilter.restore(settings, state.filter)
            self._clock = SampleClock(state.clock)
            self._orbit = state.orbit
            self._held = list(state.held)
            self._started = state.started
            self._expected, self._answered, self._last_input_seq = (
                state.expected,
                state.answered,
                state.last_input_seq,
            )
            self.counts = dict(state.counts)

    def checkpoint(self) -> TrackerState:
        """Return all state that later estimates depend on.

        Raises:
            TypeError: The filter is not the flight's.
        """
        if not isinstance(self._filter, AttitudeFilter):
            raise TypeError(f"{type(self._filter).__name__} has no checkpoints")
        return TrackerState(
            filter=self._filter.checkpoint(),
            calibration=self._calibration.checkpoint(),
            clock=self._clock.checkpoint(),
            orbit=self._orbit,
            held=tuple(self._held),
            started=self._started,
            expected=self._expected,
            answered=self._answered,
            last_input_seq=self._last_input_seq,
            counts=dict(self.counts),
        )

    # --- Orbit -----------------------------------------------------------------------------------------------------

    @property
    def awaits_orbit(self) -> bool:
        """Whether the orbit task's answer to the last GPS packet must be processed before the next input."""
        return self._answered < self._expected

    def take_orbit(self, message: OrbitMessage) -> None:
        """Process the next message of the orbit stream; call it only while `awaits_orbit`."""
        if isinstance(message, OrbitEstimate):
            self._orbit = PropagatedOrbit.of(message)
            if message.input_seq != message.last_input_seq:
                return
        self._answered = message.last_input_seq

    # --- Inputs ----------------------------------------------------------------------------------------------------

    def process(self, message: Message, first_seq: int) -> list[AttitudeEstimate]:
        """Process one input; return the resulting estimates, numbered from `first_seq`."""
        return [self.estimate(outcome, seq) for seq, outcome in enumerate(self.outcomes(message), first_seq)]

    def outcomes(self, message: Message) -> Iterator[SampleOutcome]:
        """Process one input; yield one result for each sample, possibly a later one."""
        if isinstance(message, GpsFix) and not message.is_own:
            return
        if isinstance(message, SensorSample | GpsFix | BatchEnd):
            self._last_input_seq = message.seq
        if not self._started and self._orbit is not None and self._clock.reference_s is not None:
            self._started = True
            yield from self._release()
        if isinstance(message, SensorSample):
            yield from self._take_sample(message)
        elif isinstance(message, GpsFix):
            yield from self._take_fix(message)
        elif isinstance(message, BatchEnd):
            yield from self._give_up_waiting()
        self.counts |= {"samples_held": len(self._held)} | self._calibration.counts

    def _take_sample(self, sample: SensorSample) -> Iterator[SampleOutcome]:
        self.counts["samples_received"] += 1
        if self._started and self._clock.reference_s is None:
            yield self._untimed(sample)
        elif self._started and self._clock.is_continuous(sample.t_spacecraft_s):
            # The clock continues, so the held samples in between had damaged times.
            yield from self._drop()
            self._clock.advance(sample.t_spacecraft_s)
            yield self._timed(sample)
        else:
            self._held.append(sample)
            if sample.source == LIVE and len(self._held) > LIVE_HELD_MAX:
                yield from self._give_up_live(sample.t_spacecraft_s)
            elif len(self._held) > HELD_MAX:
                yield from self._give_up_waiting()

    def _take_fix(self, fix: GpsFix) -> Iterator[SampleOutcome]:
        self._expected = fix.seq
        if fix.t_spacecraft_s is None:
            return
        is_continuous = self._clock.is_continuous(fix.t_spacecraft_s)
        accepted = self._clock.observe(fix.t_spacecraft_s, gps_ms_from_week(fix.gps_week, fix.gps_tow_ms))
        if self._started and accepted:
            yield from self._drop() if is_continuous else self._release()

    def _give_up_waiting(self) -> Iterator[SampleOutcome]:
        self._started = True
        if self._held:
            self._clock.settle(self._held[-1].t_spacecraft_s)
            yield from self._release()

    def _give_up_live(self, t_spacecraft_s: int) -> Iterator[SampleOutcome]:
        """Give up waiting; after a restart of the clock, times are unknown until the next GPS packet."""
        if self._clock.fell_back(t_spacecraft_s):
            self._clock.reset()
            yield from self._drop()
        else:
            yield from self._give_up_waiting()

    def _release(self) -> Iterator[SampleOutcome]:
        """Process the held samples; those that are not near the confirmed time remain without time."""
        reference_s = self._clock.reference_s
        held, self._held = self._held, []
        for sample in held:
            near = reference_s is not None and abs(sample.t_spacecraft_s - reference_s) <= HELD_SPAN_S
            yield self._timed(sample) if near else self._untimed(sample)

    def _drop(self) -> Iterator[SampleOutcome]:
        held, self._held = self._held, []
        yield from map(self._untimed, held)

    def _timed(self, sample: SensorSample) -> SampleOutcome:
        gps_ms = self._clock.gps_ms(sample.t_spacecraft_s)
        if gps_ms is None:
            return self._untimed(sample)
        environment, self._orbit = self._model.at(gps_ms, self._orbit)
        measured = self._correction.sample(sample, gps_ms)
        update = self._filter.process(measured, environment.surroundings)
        self._count_update(update)
        solved = self._calibration.take(measured.mag_imu_ut, environment.surroundings)
        if solved is not None:
            self._filter.set_calibrated_bias(solved.residual)
        calibrated = self._calibration.known, solved is not None and solved.is_new
        return SampleOutcome(sample, gps_ms, environment, update, self.awaits_orbit, *calibrated)

    def _untimed(self, sample: SensorSample) -> SampleOutcome:
        self._count(f"samples_{NO_TIME}")
        return SampleOutcome(sample, None, UNKNOWN_ENVIRONMENT, None, self.awaits_orbit, self._calibration.known)

    def _count_update(self, update: AttitudeUpdate) -> None:
        self.counts["attitude_starts"] += update.restarted
        if update.cause is not None:
            self._count(f"samples_{update.cause}")
        elif update.mode is Mode.SEARCHING:
            self._count("samples_searching")
        else:
            self._count("samples_used")

    def _count(self, name: str) -> None:
        self.counts[name] = self.counts.get(name, 0) + 1

    def estimate(self, outcome: SampleOutcome, seq: int) -> AttitudeEstimate:
        """Return the message for an outcome; call it before taking the next outcome."""
        return self._report.estimate(outcome, self._filter.state, self._filter.mag_bias_ut, self._last_input_seq, seq)
