"""Attitude tracker: turns input messages and orbits into attitude estimates, and counts the samples.

It combines the sample clock, the environment along the orbit, the magnetometer calibration, the check of the wiring and
the attitude filter. It performs no I/O and reads no clock, so the replay on the ground runs the same code.

A sample uses the orbit that resulted from the last GPS packet before it. The first samples are held until an orbit and
a clock map exist, and use that orbit propagated backwards. Samples whose time is uncertain are held until a GPS packet
confirms it. At most `HELD_MAX` samples are held, and after a live sample at most `LIVE_HELD_MAX`.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final, NamedTuple

import msgspec
import numpy as np

from pygnc.bus.messages import (
    STREAMS,
    AttitudeEstimate,
    BatchEnd,
    DeviceReading,
    GnssFix,
    Message,
    OrbitEstimate,
    OrbitMessage,
    SensorSample,
    vector3,
)
from pygnc.common.arrays import Array
from pygnc.estimators.attitude.filter import AttitudeFilter, AttitudeUpdate, FilterMemory, Mode
from pygnc.estimators.attitude.mekf import AttitudeRejectCause
from pygnc.estimators.attitude.net_light import NetLight
from pygnc.estimators.attitude.sample import AttitudeEnvironment, AttitudeSample, SampleCorrection
from pygnc.estimators.attitude.settings import AttitudeSettings
from pygnc.estimators.attitude.state import ERRORS, AttitudeState, Flags
from pygnc.estimators.attitude.sun_sensors import is_daylight
from pygnc.estimators.attitude.wiring import SensorAxes
from pygnc.estimators.checkpoint import decode, encode
from pygnc.navigation.environment import EnvironmentModel, PropagatedOrbit
from pygnc.navigation.mag_calibration import MagCalibration, TotalBias
from pygnc.navigation.own_sensors import OwnSensors, device_values
from pygnc.navigation.sample_clock import SampleClock
from pygnc.navigation.warmth import Warmth
from pygnc.navigation.wiring_check import WiringCheck

NO_TIME: Final = "no_time"
"""Cause: the GPS time of the sample is unknown."""
HELD_MAX: Final = 360
"""Maximum number of held samples: half an hour with a sample every 5 s. In a batch, which is complete, holding
delays no estimate; the orbit filter needs five fixes, which may be minutes apart."""
LIVE_HELD_MAX: Final = 5
"""Maximum number of held samples after a live sample, because the host waits for each estimate."""
HELD_SPAN_S: Final = 3600
"""Held samples are released if they are within this time of the packet that confirms their clock."""


class SampleOutcome(NamedTuple):
    """Result for one sample.

    Attributes:
        sample: The sample.
        measured: The sample, corrected by the settings.
        gps_ms: Time of the sample in GPS ms; None if unknown.
        environment: Environment at that time; None if unknown.
        orbit_age_s: Time from the newest fix in the orbit to the sample, s; None if the environment is unknown.
        update: Result of the filter; None if the sample was rejected before the filter.
        late: True if the orbit task had not responded in time.
        calibrated: Magnetometer bias by the calibration that needs no attitude; None before it has succeeded.
        calibrated_anew: True if that bias is new.
        axes: Verdicts on the axes of magnetometer and gyro.
        axes_judged_anew: True if one of these verdicts is new.
    """

    sample: SensorSample
    measured: AttitudeSample
    gps_ms: int | None
    environment: AttitudeEnvironment | None
    orbit_age_s: float | None
    update: AttitudeUpdate | None
    late: bool
    calibrated: TotalBias | None = None
    calibrated_anew: bool = False
    axes: SensorAxes = SensorAxes()
    axes_judged_anew: bool = False


class _Memory(msgspec.Struct):
    """State of the tracker that a restarted task needs."""

    filter: FilterMemory | None = None
    own: OwnSensors = msgspec.field(default_factory=OwnSensors)
    calibration: MagCalibration = msgspec.field(default_factory=MagCalibration)
    wiring: WiringCheck = msgspec.field(default_factory=WiringCheck)
    warmth: Warmth = msgspec.field(default_factory=Warmth)
    clock: SampleClock = msgspec.field(default_factory=SampleClock)
    orbit: PropagatedOrbit | None = None
    time_error_s: float = 0.0
    held: list[SensorSample] = []
    started: bool = False
    last_fix_seq: int = 0
    last_orbit_input_seq: int = 0
    last_input_seq: int = 0
    counts: dict[str, int] = msgspec.field(
        default_factory=lambda: dict.fromkeys(
            ("samples_received", "samples_held", "samples_used", "attitude_starts"), 0
        )
    )


class AttitudeTracker:
    """Converter of inputs and orbits into attitude estimates; it begins, or continues from a checkpoint."""

    def __init__(self, settings: AttitudeSettings, model: EnvironmentModel, checkpoint: bytes | None = None) -> None:
        self._settings = settings
        self._model = model
        self._correction = SampleCorrection(settings)
        self._values = device_values(settings)
        self._light = NetLight(settings)
        self._memory = _Memory() if checkpoint is None else decode(checkpoint, _Memory)
        self._filter = AttitudeFilter(settings, self._memory.filter)

    def checkpoint(self) -> bytes:
        """Return all state that later estimates depend on."""
        self._memory.filter = self._filter.memory
        return encode(self._memory)

    @property
    def counts(self) -> dict[str, int]:
        """Numbers of samples received, held, used, and unused by cause, named as in the status record."""
        return self._memory.counts | {"samples_held": len(self._memory.held)}

    # --- Orbit -----------------------------------------------------------------------------------------------------

    @property
    def awaits_orbit(self) -> bool:
        """True if the orbit task's response to the last GPS packet must be processed before the next input."""
        return self._memory.last_orbit_input_seq < self._memory.last_fix_seq

    def take_orbit(self, message: OrbitMessage) -> None:
        """Process the next message of the orbit stream; call it only while `awaits_orbit`."""
        if isinstance(message, OrbitEstimate):
            self._memory.orbit, self._memory.time_error_s = PropagatedOrbit.of(message), message.time_error_s
            if message.from_elements:
                self._memory.clock.as_utc_ms = message.spacecraft_to_gps_ms
            if message.input_seq != message.last_input_seq:
                return
        self._memory.last_orbit_input_seq = message.last_input_seq

    # --- Inputs ----------------------------------------------------------------------------------------------------

    def outcomes(self, message: Message) -> Iterator[SampleOutcome]:
        """Process one input; yield one result for each sample; that of a held sample comes with a later input."""
        memory = self._memory
        if isinstance(message, GnssFix) and not message.is_own:
            return
        if isinstance(message, SensorSample | GnssFix | BatchEnd):
            memory.last_input_seq = message.seq
        if not memory.started and memory.orbit is not None and memory.clock.reference_s is not None:
            memory.started = True
            yield from self._release()
        if isinstance(message, SensorSample):
            yield from self._process_sample(memory.own.measured(message, self._settings.own_sensors, self._values))
        elif isinstance(message, DeviceReading):
            memory.own.take(message, self._settings.own_sensors, self._values)
        elif isinstance(message, GnssFix):
            yield from self._process_fix(message)
        elif isinstance(message, BatchEnd):
            yield from self._give_up_waiting()
        memory.counts |= memory.calibration.counts

    def _process_sample(self, sample: SensorSample) -> Iterator[SampleOutcome]:
        memory, clock = self._memory, self._memory.clock
        is_continuous = memory.started and clock.reference_s is not None and clock.is_continuous(sample.t_spacecraft_s)
        if is_continuous:
            # The clock continues, so the held samples in between had damaged times.
            yield from self._drop()
        self._count("samples_received")
        if is_continuous:
            clock.reference_s = sample.t_spacecraft_s
            yield self._timed(sample)
        elif memory.started and clock.reference_s is None:
            yield self._untimed(sample)
        else:
            memory.held.append(sample)
            is_live = sample.source in STREAMS
            is_full = len(memory.held) > (LIVE_HELD_MAX if is_live else HELD_MAX)
            if is_full and is_live and clock.fell_back(sample.t_spacecraft_s):
                # After a restart of the clock, times are unknown until the next GPS packet.
                clock.reference_s = None
                yield from self._drop()
            elif is_full:
                yield from self._give_up_waiting()

    def _process_fix(self, fix: GnssFix) -> Iterator[SampleOutcome]:
        self._memory.last_fix_seq = fix.seq
        if fix.t_spacecraft_s is None:
            return
        clock = self._memory.clock
        is_continuous = clock.is_continuous(fix.t_spacecraft_s)
        at_second_ms = fix.with_time(self._memory.time_error_s).gps_ms_at_second
        accepted = clock.observe(fix.t_spacecraft_s, at_second_ms)
        if self._memory.started and accepted:
            yield from self._drop() if is_continuous else self._release()

    def _give_up_waiting(self) -> Iterator[SampleOutcome]:
        self._memory.started = True
        if self._memory.held:
            self._memory.clock.settle(self._memory.held[-1].t_spacecraft_s)
            yield from self._release()

    def _release(self) -> Iterator[SampleOutcome]:
        """Process the held samples; those that are not near the confirmed time remain without time."""
        reference_s = self._memory.clock.reference_s
        held = self._memory.held
        while held:
            sample = held.pop(0)
            near = reference_s is not None and abs(sample.t_spacecraft_s - reference_s) <= HELD_SPAN_S
            yield self._timed(sample) if near else self._untimed(sample)

    def _drop(self) -> Iterator[SampleOutcome]:
        held = self._memory.held
        while held:
            yield self._untimed(held.pop(0))

    def _timed(self, sample: SensorSample) -> SampleOutcome:
        gps_ms = self._memory.clock.gps_ms(sample.t_spacecraft_s)
        if gps_ms is None:
            return self._untimed(sample)
        gps_ms += sample.t_spacecraft_ms
        orbit, calibration = self._memory.orbit, self._memory.calibration
        environment = self._model.at(gps_ms, orbit)
        measured = self._measured(sample, gps_ms)
        if environment is not None:
            environment = self._memory.warmth.process(measured, environment, self._light)
        update = self._filter.process(measured, environment)
        judged_anew = self._check_wiring(measured, environment, update)
        if self._memory.wiring.axes.is_contradicted and update.mode is Mode.FINE:
            update = replace(update, mode=Mode.COARSE)
        self._memory.counts["attitude_starts"] += update.restarted
        if update.cause is not None:
            self._count(f"samples_{update.cause}")
        else:
            self._count("samples_searching" if update.mode is Mode.SEARCHING else "samples_used")
        for name in measured.readings.keys() & update.innovations.keys():
            if update.innovations[name].is_used:
                self._count("readings_used")
        orbit_age_s, solved = None, None
        if orbit is not None and environment is not None:
            orbit_age_s = orbit.age_s(gps_ms)
            if not measured.field_unusable and not environment.field_is_weak(self._settings.magnetometer):
                solved = calibration.process(
                    measured.mag_imu_ut,
                    environment.field_gcrf_ut,
                    environment.sunlit_fraction,
                    self._settings.magnetometer,
                )
        if solved is not None:
            self._filter.set_calibration(solved.residual)
        return SampleOutcome(
            sample=sample,
            measured=measured,
            gps_ms=gps_ms,
            environment=environment,
            orbit_age_s=orbit_age_s,
            update=update,
            late=self.awaits_orbit,
            calibrated=calibration.known,
            calibrated_anew=solved is not None and solved.is_new,
            axes=self._memory.wiring.axes,
            axes_judged_anew=judged_anew,
        )

    def _check_wiring(
        self, measured: AttitudeSample, environment: AttitudeEnvironment | None, update: AttitudeUpdate
    ) -> bool:
        if update.cause in {AttitudeRejectCause.NOT_FINITE, AttitudeRejectCause.NOT_LATER}:
            return False
        gyro_usable = not np.count_nonzero(update.gyro.stuck | update.gyro.beyond_range)
        return self._memory.wiring.process(measured, environment, self._settings, self._light, gyro_usable=gyro_usable)

    def _untimed(self, sample: SensorSample) -> SampleOutcome:
        self._count(f"samples_{NO_TIME}")
        measured, memory = self._measured(sample, 0), self._memory
        known, axes = memory.calibration.known, memory.wiring.axes
        return SampleOutcome(sample, measured, None, None, None, None, self.awaits_orbit, known, axes=axes)

    def _measured(self, sample: SensorSample, gps_ms: int) -> AttitudeSample:
        return self._correction.sample(
            sample.seq,
            gps_ms,
            sample.mag_imu_ut,
            sample.gyro_imu_rad_s,
            sample.lux,
            field_unusable=sample.torquers_on,
            readings=sample.readings,
            time_sigma_s=sample.time_sigma_s,
        )

    def _count(self, name: str) -> None:
        counts = self._memory.counts
        counts[name] = counts.get(name, 0) + 1

    # --- Messages --------------------------------------------------------------------------------------------------

    def estimate(self, outcome: SampleOutcome, seq: int) -> AttitudeEstimate:
        """Return the message for an outcome; call this method before taking the next outcome."""
        sample, measured, update = outcome.sample, outcome.measured, outcome.update
        state = None if update is None else update.state
        mounting, magnetometer = self._settings.mounting, self._correction.magnetometer
        # The bias is that of corrected readings; it may be known without the attitude.
        mag_ut, mag_bias_ut = measured.mag_imu_ut, self._filter.mag_bias_ut
        if mag_bias_ut is not None:
            mag_ut = mag_ut - mag_bias_ut
        if update is not None:
            rate_body_rad_s, in_sun, cause = update.rate_body_rad_s, update.in_sun, update.cause or ""
        else:
            # The gyro bias changes so slowly that the state of an older sample is good enough.
            gyro_bias_rad_s = np.zeros(3) if self._filter.state is None else self._filter.state.gyro_bias_rad_s
            rate_body_rad_s = (measured.gyro_imu_rad_s - gyro_bias_rad_s).dot(mounting.gyro)
            in_sun = is_daylight(measured.lux, self._settings.sun_sensors)
            cause = NO_TIME
        return AttitudeEstimate(
            seq=seq,
            last_input_seq=self._memory.last_input_seq,
            input_seq=sample.seq,
            t_spacecraft_s=sample.t_spacecraft_s,
            gps_ms=outcome.gps_ms,
            mode=Mode.SEARCHING.value if update is None else update.mode.value,
            quaternion_gcrf_from_body=None if state is None else _vector4(state.quaternion),
            rate_body_rad_s=vector3(rate_body_rad_s),
            mag_body_ut=vector3(mag_ut.dot(mounting.magnetometer)),
            gyro_bias_imu_rad_s=None if state is None else vector3(state.gyro_bias_rad_s),
            mag_bias_imu_ut=None if mag_bias_ut is None else vector3(magnetometer.total_bias_ut(mag_bias_ut)),
            sigma_rad=None if update is None or state is None else vector3(_sigma_rad(update, state)),
            in_sun=in_sun,
            orbit_age_s=outcome.orbit_age_s,
            orbit_late=outcome.late,
            nis=0.0 if update is None else update.nis,
            dof=0 if update is None else update.dof,
            cause=str(cause),
            found=update is not None and update.restarted,
            dead_faces=() if update is None else _numbers(update.faces.dead),
            mirrored_faces=() if update is None else _numbers(update.faces.mirrored),
            stuck_gyro_axes=() if update is None else _numbers(update.gyro.stuck),
            gyro_axes_beyond_range=() if update is None else _numbers(update.gyro.beyond_range),
            mag_calibration_sigma_ut=None if outcome.calibrated is None else outcome.calibrated.sigma_ut,
            magnetometer_wiring=outcome.axes.magnetometer.verdict.value,
            magnetometer_axes=outcome.axes.magnetometer.axes,
            gyro_wiring=outcome.axes.gyro.verdict.value,
            gyro_axes=outcome.axes.gyro.axes,
        )


def _sigma_rad(update: AttitudeUpdate, state: AttitudeState) -> Array:
    """Return the standard deviations of the attitude at the time of the estimate about the body axes, shape (3,)."""
    root = state.sqrt_covariance[ERRORS.attitude]
    sigma: Array = np.hypot(np.sqrt(np.einsum("ij,ij->i", root, root)), update.time_sigma_s * update.rate_body_rad_s)
    return sigma


def _numbers(flags: Flags) -> tuple[int, ...]:
    # Faults are rare, and counting is faster than searching.
    return tuple(np.flatnonzero(flags).tolist()) if np.count_nonzero(flags) else ()


def _vector4(vector: Array) -> tuple[float, float, float, float]:
    w, x, y, z = vector.tolist()
    return w, x, y, z
