"""From input messages and orbits to attitude estimates: the attitude filter, times and places of samples, books.

Nothing here waits, reads a clock or a file, so that a replay on the ground runs this very code.

A sample takes the orbit that the last GPS packet before it has led to. The first samples are held until there are an
orbit and a map of the clock, and take that orbit back; samples whose time is in doubt are held until a GPS packet
confirms it. At most `HELD_MAX` are held, and behind a live sample `LIVE_HELD_MAX`; then nothing is waited for.

What became of a sensor sample, as the message that goes out.
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
"""The sample's GPS time is not known."""


class SampleOutcome(NamedTuple):
    """What became of one sample.

    Attributes:
        sample: The sample.
        gps_ms: Its time; None when it is not known.
        around: What was around then.
        update: What the filter said; None when the sample did not get that far.
        late: Whether the orbit task had not answered in time.
        calibrated: The magnetometer's bias by its calibration, which needs no attitude; None before that has succeeded.
        calibrated_anew: Whether that is worth an event.
    """

    sample: SensorSample
    gps_ms: int | None
    around: OrbitalEnvironment
    update: AttitudeUpdate | None
    late: bool
    calibrated: TotalBias | None = None
    calibrated_anew: bool = False


class AttitudeReport:
    """Makes messages with one set of settings."""

    def __init__(self, settings: AttitudeSettings) -> None:
        self._mounting = settings.mounting
        self._correction = SampleCorrection(settings)
        self._bright_lux = DAYLIGHT_SHARE * settings.sun_sensors.full_sun_lux

    def estimate(
        self, outcome: SampleOutcome, known: AttitudeState | None, mag_bias_ut: Array | None, through: int, seq: int
    ) -> AttitudeEstimate:
        """The message for an outcome.

        Args:
            outcome: What became of a sample.
            known: The filter's state, be it of an older sample: its gyro bias holds.
            mag_bias_ut: What is known of the bias of corrected readings, be the attitude unknown.
            through: Number of the newest input.
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
            last_input_seq=through,
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
            orbit_age_s=outcome.around.orbit_age_s,
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
"""Half an hour with a sample each five seconds. A batch is there as a whole, so that holding delays nobody; the orbit
filter starts with five fixes, be they minutes apart."""
LIVE_HELD_MAX: Final = 5
"""Of samples that come live somebody waits for each."""
HELD_SPAN_S: Final = 3600
"""Held samples lie within this time of the reading that confirms them."""


class AttitudeEstimator(Protocol):
    """What turns samples into attitudes: the flight's `AttitudeFilter`, or what takes its place in a test."""

    @property
    def state(self) -> AttitudeState | None:
        """The estimate after the last sample; None while the attitude is unknown."""

    @property
    def mag_bias_ut(self) -> Array | None:
        """What is known of the magnetometer's bias, sensor axes, shape (3,), be the attitude known or not."""

    def set_calibrated_bias(self, calibrated: MagnetometerBias) -> None:
        """Begin with this bias of the magnetometer when next the attitude is searched for."""

    def process(self, sample: AttitudeSample, surroundings: AttitudeEnvironment | None) -> AttitudeUpdate:
        """Take in one sample."""


MakeEstimator: TypeAlias = Callable[[AttitudeSettings], AttitudeEstimator]


class TrackerState(msgspec.Struct, frozen=True):
    """An `AttitudeTracker` as plain values."""

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
    """Takes inputs and orbits one by one and gives estimates.

    Attributes:
        counts: Samples received, held, used, and not used by cause, named as in the status record.
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
            self._expected, self._answered, self._through = 0, 0, 0
            self.counts = dict.fromkeys(("samples_received", "samples_held", "samples_used", "attitude_starts"), 0)
        else:
            self._filter = AttitudeFilter.restore(settings, state.filter)
            self._clock = SampleClock(state.clock)
            self._orbit = state.orbit
            self._held = list(state.held)
            self._started = state.started
            self._expected, self._answered, self._through = (
                state.expected,
                state.answered,
                state.last_input_seq,
            )
            self.counts = dict(state.counts)

    def checkpoint(self) -> TrackerState:
        """Return everything that later estimates depend on; with the flight's filter only."""
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
            last_input_seq=self._through,
            counts=dict(self.counts),
        )

    # --- Orbit -----------------------------------------------------------------------------------------------------

    @property
    def awaits_orbit(self) -> bool:
        """Whether the orbit task's answer to the last GPS packet is to be taken before the next input."""
        return self._answered < self._expected

    def take_orbit(self, message: OrbitMessage) -> None:
        """Take the next message of the orbit stream; none more than is awaited."""
        if isinstance(message, OrbitEstimate):
            self._orbit = PropagatedOrbit.of(message)
            if message.input_seq != message.last_input_seq:
                return
        self._answered = message.last_input_seq

    # --- Inputs ----------------------------------------------------------------------------------------------------

    def process(self, message: Message, first_seq: int) -> list[AttitudeEstimate]:
        """Process one input; return the estimates it gives, numbered from `first_seq`."""
        return [self.estimate(outcome, seq) for seq, outcome in enumerate(self.outcomes(message), first_seq)]

    def outcomes(self, message: Message) -> Iterator[SampleOutcome]:
        """Process one input; yield what has become of samples, each one sooner or later."""
        if isinstance(message, GpsFix) and not message.is_own:
            return
        if isinstance(message, SensorSample | GpsFix | BatchEnd):
            self._through = message.seq
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
        elif self._started and self._clock.goes_on(sample.t_spacecraft_s):
            # The clock goes on as before, so those in between were damaged.
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
        goes_on = self._clock.goes_on(fix.t_spacecraft_s)
        believed = self._clock.observe(fix.t_spacecraft_s, gps_ms_from_week(fix.gps_week, fix.gps_tow_ms))
        if self._started and believed:
            yield from self._drop() if goes_on else self._release()

    def _give_up_waiting(self) -> Iterator[SampleOutcome]:
        self._started = True
        if self._held:
            self._clock.settle(self._held[-1].t_spacecraft_s)
            yield from self._release()

    def _give_up_live(self, t_spacecraft_s: int) -> Iterator[SampleOutcome]:
        """A clock that fell back is that of another boot: its times are not known until a GPS packet tells them."""
        if self._clock.fell_back(t_spacecraft_s):
            self._clock.lose()
            yield from self._drop()
        else:
            yield from self._give_up_waiting()

    def _release(self) -> Iterator[SampleOutcome]:
        """Go on with the held samples, as far as their times are near the one that confirms them."""
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
        around, self._orbit = self._model.at(gps_ms, self._orbit)
        measured = self._correction.sample(sample, gps_ms)
        update = self._filter.process(measured, around.surroundings)
        self._book(update)
        solved = self._calibration.take(measured.mag_imu_ut, around.surroundings)
        if solved is not None:
            self._filter.set_calibrated_bias(solved.left)
        told = self._calibration.known, solved is not None and solved.news
        return SampleOutcome(sample, gps_ms, around, update, self.awaits_orbit, *told)

    def _untimed(self, sample: SensorSample) -> SampleOutcome:
        self._count(f"samples_{NO_TIME}")
        return SampleOutcome(sample, None, UNKNOWN_ENVIRONMENT, None, self.awaits_orbit, self._calibration.known)

    def _book(self, update: AttitudeUpdate) -> None:
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
        """Return the message for an outcome; before the next one is asked for."""
        return self._report.estimate(outcome, self._filter.state, self._filter.mag_bias_ut, self._through, seq)
