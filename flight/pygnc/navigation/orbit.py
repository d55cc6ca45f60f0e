"""Orbit tracker: screens GPS packets, turns input messages into orbit estimates, and counts the fixes.

It combines the screening, the clock map and the orbit filter. It performs no I/O and reads no clock, so the replay on
the ground runs the same code.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import msgspec
import numpy as np

from pygnc.bus.messages import (
    BatchEnd,
    GnssFix,
    Message,
    OrbitEstimate,
    UploadedElements,
    vector3,
)
from pygnc.common.clock import TAG_JITTER_S
from pygnc.common.mean_elements import STATED_HOURS
from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc.estimators.checkpoint import decode, encode
from pygnc.estimators.clock.clock_map import TOLERANCE_MS, ClockMap, ClockVerdict
from pygnc.estimators.orbit.elements_fit import FittedElements, fit_in_steps
from pygnc.estimators.orbit.filter import FilterMemory, OrbitFilter
from pygnc.estimators.orbit.measurement import RejectCause
from pygnc.estimators.orbit.settings import RADIUS_RANGE_M, OrbitSettings
from pygnc.estimators.orbit.state import LOWER, POSITION, VELOCITY, OrbitState, covariance_rtn, to_ecef
from pygnc.estimators.orbit.time_errors import ERROR_MAX_S
from pygnc.estimators.orbit.update import OrbitUpdate
from pygnc.navigation.screening import fix_from, screen
from pygnc.navigation.uploaded_elements import ElementsMemory, ElementsSource, Notice

PREDICTION_SLICE_MS: Final = 900_000
PREDICTION_MAX_MS: Final = 3 * 86_400_000
"""Limit of the prediction: longer ones are useless because of drag, and a wrong clock could cost hours of computing."""
_DISTRUST_REPORTED: Final = 0.99
"""Probability of slow errors of the velocities from which they are reported."""
_MANOEUVRE_DOUBTED_MS: Final = 1_200_000
"""Time after a manoeuvre in which positions that contradict the velocities refute it, too."""


class FixOutcome(NamedTuple):
    """Result for one GPS packet.

    Attributes:
        seq: Input number of the packet.
        gps_ms: Time of the packet, without a known error; None if it carries none.
        state: Orbit at that time, also of a rejected packet; None if unknown.
        cause: Reason why the packet was rejected, or empty.
        update: Result of the filter; None if the packet was rejected before the filter.
        from_elements: True if the state comes from uploaded mean elements.
    """

    seq: int
    gps_ms: int | None
    state: OrbitState | None
    cause: str
    update: OrbitUpdate | None
    from_elements: bool = False


class _Memory(msgspec.Struct):
    """State of the tracker that a restarted task needs."""

    filter: FilterMemory | None = None
    coasting: OrbitState | None = None
    clock: ClockMap = msgspec.field(default_factory=ClockMap)
    elements: ElementsMemory = msgspec.field(default_factory=ElementsMemory)
    counts: dict[str, int] = msgspec.field(
        default_factory=lambda: {"fixes_received": 0, "fixes_accepted": 0, "fixes_waiting": 0}
    )
    last_input_seq: int = 0
    time_error_s: float = 0.0
    distrusts_velocities: bool = False
    manoeuvre_gps_ms: int = 0
    fix_gps_ms: int = 0
    nis_sum: float = 0.0
    nis_dof: int = 0
    nis_count: int = 0


class OrbitTracker:
    """Orbit of one satellite: screens its fixes, feeds the filter, and falls back on mean elements.

    It continues from a `checkpoint` if given. `kind` is the class of the filter; a replay may use a reference filter.
    """

    def __init__(
        self,
        settings: OrbitSettings,
        orientation: EarthOrientationTable,
        checkpoint: bytes | None = None,
        kind: type[OrbitFilter] = OrbitFilter,
    ) -> None:
        self._settings = settings
        self._memory = _Memory() if checkpoint is None else decode(checkpoint, _Memory)
        self._filter = kind(settings, orientation, self._memory.filter)
        self._notices: list[Notice] = []
        self._elements = ElementsSource(settings, self._filter.frames, self._memory.elements, self._notices)
        self._predicted: OrbitState | None = None

    def checkpoint(self) -> bytes:
        """Return all state that later estimates depend on, as bytes for a new tracker."""
        self._memory.filter = self._filter.memory
        return encode(self._memory)

    @property
    def counts(self) -> dict[str, int]:
        """Counters of manoeuvres and of fixes received, accepted, waiting and rejected by cause, as in the status."""
        return self._memory.counts

    @property
    def spacecraft_to_gps_ms(self) -> int | None:
        """Offset of the spacecraft clock, gps_ms - 1000 t_spacecraft_s; None if unknown."""
        offset_ms = self._memory.clock.offset_ms
        return self._memory.elements.clock_as_utc_ms if offset_ms is None else offset_ms

    def fit_in_steps(self) -> Iterator[FittedElements | None]:
        """Fit mean elements to the newest orbit from fixes; yields None after each step, and the result as last item.

        Nothing is yielded without an orbit from fixes.

        Raises:
            FitError: No mean elements fit the orbit.
        """
        state = self._predicted or self._filter.state
        if state is not None:
            yield from fit_in_steps(self._filter, state)

    def fit_values(self, fitted: FittedElements) -> dict[str, float]:
        """Return errors, RMS, fix age and number of accepted fixes of fitted elements, named as in their record."""
        errors = {f"error_{hours}h_m": error for hours, error in zip(STATED_HOURS, fitted.error_m, strict=True)}
        age_s = (fitted.elements.epoch_gps_ms - self._memory.fix_gps_ms) * 1e-3
        accepted = self.counts["fixes_accepted"]
        return errors | {"fit_rms_m": fitted.rms_m, "fix_age_s": age_s, "fixes_accepted": accepted}

    def take_notices(self) -> list[Notice]:
        """Return the events about uploaded elements and screened fixes since the last call."""
        notices = [*self._notices]
        self._notices.clear()
        return notices

    def outcomes(self, message: Message) -> Iterator[FixOutcome]:
        """Process one input; yield one result per own GPS packet, that of a buffered packet with a later input."""
        if isinstance(message, GnssFix) and message.is_own:
            self._memory.last_input_seq = message.seq
            yield from self._process_packet(message)
        elif isinstance(message, BatchEnd):
            self._memory.last_input_seq = message.seq
            updates = self._filter.initialise_from_buffered()
            self._report_first_times(updates)
            yield from map(self._counted, updates)
        elif isinstance(message, UploadedElements):
            self._elements.take(message)

    def estimate(self, outcome: FixOutcome, seq: int) -> OrbitEstimate:
        """Return the message for an outcome with a state; call this method before taking the next outcome.

        Raises:
            ValueError: The outcome has no state.
        """
        state, update, memory = outcome.state, outcome.update, self._memory
        if state is None:
            raise ValueError(f"outcome of input {outcome.seq} has no orbit; an estimate needs one")
        ecef, manoeuvre = to_ecef(state, self._filter.frames), update.manoeuvre if update else None
        estimate = OrbitEstimate(
            seq=seq,
            last_input_seq=memory.last_input_seq,
            gps_ms=state.gps_ms,
            fix_gps_ms=self._elements.epoch_gps_ms if outcome.from_elements else memory.fix_gps_ms,
            position_ecef_m=vector3(ecef.position_m),
            velocity_ecef_mps=vector3(ecef.velocity_mps),
            position_sigma_m=vector3(ecef.position_sigma_m),
            velocity_sigma_mps=vector3(ecef.velocity_sigma_mps),
            position_gcrf_m=vector3(state.x[POSITION]),
            velocity_gcrf_mps=vector3(state.x[VELOCITY]),
            accepted=update is not None and (update.position_accepted or update.velocity_accepted),
            cause=outcome.cause,
            nis=update.nis if update else 0.0,
            nis_dof=update.dof if update else 0,
            nis_mean=memory.nis_sum / memory.nis_dof if memory.nis_dof else 0.0,
            nis_count=memory.nis_count,
            spacecraft_to_gps_ms=self.spacecraft_to_gps_ms,
            input_seq=outcome.seq,
            from_elements=outcome.from_elements,
            time_error_s=memory.time_error_s,
            covariance_rtn=tuple(covariance_rtn(state)[LOWER].tolist()) if outcome.seq else None,
        )
        if manoeuvre is None:
            return estimate
        return msgspec.structs.replace(
            estimate,
            manoeuvre=str(manoeuvre.change),
            manoeuvre_gps_ms=manoeuvre.first_gps_ms,
            delta_v_rtn_mps=vector3(np.array(manoeuvre.delta_v_rtn_mps)),
            delta_v_sigma_rtn_mps=vector3(np.array(manoeuvre.sigma_rtn_mps)),
        )

    def predict_to(self, t_spacecraft_s: int) -> tuple[OrbitEstimate | None, bool]:
        """Continue the prediction towards spacecraft time `t_spacecraft_s` by at most `PREDICTION_SLICE_MS`.

        Returns:
            The prediction once it has reached that time, else None; and True if more calls are needed.
        """
        state = self._predicted or self._filter.state
        now_ms = self._memory.clock.to_gps_ms(t_spacecraft_s)
        if state is None or (now_ms is not None and now_ms > self._memory.fix_gps_ms + PREDICTION_MAX_MS):
            by_elements = self._elements.at_spacecraft_time(t_spacecraft_s, self._memory.clock)
            return (None if by_elements is None else self._prediction(by_elements, from_elements=True)), False
        if now_ms is None or now_ms <= state.gps_ms:
            return None, False
        target_ms = min(now_ms, state.gps_ms + PREDICTION_SLICE_MS)
        self._predicted = self._filter.predict(target_ms, state)
        if target_ms < now_ms:
            return None, True
        return self._prediction(self._predicted), False

    def _prediction(self, state: OrbitState, *, from_elements: bool = False) -> OrbitEstimate:
        return self.estimate(FixOutcome(0, None, state, "", None, from_elements), 0)

    def _process_packet(self, packet: GnssFix) -> Iterator[FixOutcome]:
        self._count("fixes_received")
        corrected = packet.with_time(self._memory.time_error_s)
        gps_ms = corrected.gps_ms
        cause: str | None = screen(packet, self._settings.screening)
        if packet.t_spacecraft_s is not None:
            segment = self._memory.clock.current
            verdict = self._memory.clock.observe(packet.t_spacecraft_s, corrected.gps_ms_at_second)
            if gps_ms is not None and self._memory.clock.current is not segment:
                self._discard_later_orbit(gps_ms)
            if verdict is ClockVerdict.INCONSISTENT and not self._orbit_decides(corrected):
                cause = cause or RejectCause.TIME_INCONSISTENT
        if cause:
            self._count(f"rejected_{cause}")
            if cause == RejectCause.RADIUS and self._only_radius_rejected():
                self._notices.append(("warning", "fixes_beyond_radius", self._radius_text(packet)))
            state = None if cause == RejectCause.TIME_INCONSISTENT else self._coast(gps_ms)
            by_elements = self._by_elements(packet, gps_ms, cause) if state is None else None
            yield FixOutcome(packet.seq, gps_ms, by_elements or state, str(cause), None, by_elements is not None)
            return
        self._count("fixes_waiting")
        updates = self._filter.process(fix_from(packet, self._settings.screening))
        self._report_first_times(updates)
        yield from map(self._counted, updates)

    def _discard_later_orbit(self, gps_ms: int) -> None:
        """Discard an orbit later than a fix with whose time the clock map now begins: the orbit's times were wrong."""
        memory, state = self._memory, self._filter.state
        if state is None or state.gps_ms - gps_ms <= TOLERANCE_MS:
            return
        self._filter.discard()
        memory.coasting = self._predicted = None
        memory.fix_gps_ms = memory.time_error_s = 0
        text = (
            f"the orbit at GPS {state.gps_ms} ms is discarded: spacecraft clock and later fixes from GPS {gps_ms} ms on"
            " contradict the times of its fixes"
        )
        self._notices.append(("warning", "fix_times", text))

    def _orbit_decides(self, packet: GnssFix) -> bool:
        """Return True if the filter can tell whether a time that contradicts the clock map is wrong by seconds."""
        now_ms = self._memory.clock.to_gps_ms(packet.t_spacecraft_s or 0)
        if self._filter.state is None or now_ms is None or packet.gps_ms is None:
            return False
        return abs(packet.gps_ms - now_ms) <= 1000 * (ERROR_MAX_S + TAG_JITTER_S)

    def _only_radius_rejected(self) -> bool:
        """Return True at the fix with which enough for an initialisation were rejected by radius, if none was used."""
        counts = self.counts
        used = counts["fixes_accepted"] + counts["fixes_waiting"]
        return not used and counts[f"rejected_{RejectCause.RADIUS}"] == self._settings.start.fixes

    def _radius_text(self, packet: GnssFix) -> str:
        limits, radius_m = self._settings.screening, math.hypot(*packet.position_ecef_m)
        low_m, high_m = RADIUS_RANGE_M
        return (
            f"no fix was used: {self._settings.start.fixes} fixes are outside [orbit.screening] radius_min_m"
            f" {limits.radius_min_m:.0f} and radius_max_m {limits.radius_max_m:.0f}, the last one {radius_m:.0f} m from"
            f" the Earth's centre; set them below the perigee and above the apogee, from {low_m:.0f} to {high_m:.0f}"
        )

    def _coast(self, gps_ms: int | None) -> OrbitState | None:
        """Return the orbit predicted to the time of a rejected packet; None if it is over `gap_max_s` after the state.

        During an outage with a packet every few seconds, each prediction starts from the previous prediction.
        """
        state, coasting = self._filter.state, self._memory.coasting
        if state is None or gps_ms is None:
            return None
        if not 0 <= gps_ms - state.gps_ms <= 1e3 * self._settings.start.gap_max_s:
            return None
        if coasting is not None and coasting.gps_ms <= gps_ms:
            state = coasting
        self._memory.coasting = self._filter.predict(gps_ms, state)
        return self._memory.coasting

    def _by_elements(self, packet: GnssFix, gps_ms: int | None, cause: str) -> OrbitState | None:
        """Return the orbit by uploaded elements at a rejected packet; None if the last fix is recent enough."""
        clock, t_spacecraft_s, state = self._memory.clock, packet.t_spacecraft_s, self._filter.state
        if gps_ms is None or cause == RejectCause.TIME_INCONSISTENT:
            gps_ms = None if t_spacecraft_s is None else clock.to_gps_ms(t_spacecraft_s)
        if state is not None and (gps_ms is None or gps_ms - state.gps_ms <= 1e3 * self._settings.start.gap_max_s):
            return None
        return self._elements.at_spacecraft_time(t_spacecraft_s, clock) if gps_ms is None else self._elements.at(gps_ms)

    def _counted(self, update: OrbitUpdate) -> FixOutcome:
        memory, state = self._memory, update.state
        memory.counts["fixes_waiting"] -= 1
        if update.position_accepted:
            self._report_times(update)
            if update.dof and state is not None:
                self._elements.compare(state)
        self._report_velocities(update.fix.gps_ms)
        if update.position_accepted or update.velocity_accepted:
            memory.coasting = self._predicted = None
            memory.fix_gps_ms = max(memory.fix_gps_ms, update.fix.gps_ms)
            memory.nis_sum += update.nis
            memory.nis_dof += update.dof
            memory.nis_count += update.dof > 0
            if update.manoeuvre:
                self._count("manoeuvres")
                memory.manoeuvre_gps_ms = update.manoeuvre.first_gps_ms
        elif update.position_cause in {RejectCause.NOT_LATER, RejectCause.TIME_INCONSISTENT}:
            state = self._coast(update.fix.gps_ms)
        if not update.position_accepted:
            self._count(f"rejected_{update.position_cause}")
        else:
            self._count("fixes_accepted")
            if not update.velocity_accepted:
                self._count("velocities_rejected")
        return FixOutcome(update.fix.seq, update.fix.gps_ms, state, str(update.position_cause or ""), update)

    def _report_times(self, update: OrbitUpdate) -> None:
        """Report a change of the error of the times of the fixes."""
        error_s = update.time_error_s
        if error_s == self._memory.time_error_s:
            return
        self._memory.time_error_s = error_s
        fixes = f"the fixes from GPS {update.fix.gps_ms + round(1000 * error_s)} ms on"
        if error_s:
            text = f"{fixes} agree with the orbit if their times are wrong by {error_s:+g} s, and are used with this"
            text += " correction; if all earlier ones were wrong, begin without the checkpoint"
        else:
            text = f"{fixes} agree with the orbit without a correction of their times"
        self._notices.append(("warning", "fix_times", text))

    def _report_first_times(self, updates: Sequence[OrbitUpdate]) -> None:
        """Report a step of the times among the first fixes, of which the orbit cannot use both sides."""
        unused = [update for update in updates if update.position_cause == RejectCause.START and update.time_error_s]
        for error_s in sorted({update.time_error_s for update in unused}):
            times_ms = [update.fix.gps_ms for update in unused if update.time_error_s == error_s]
            self._report_unused(f"{len(times_ms)} of the first fixes, the last at GPS {max(times_ms)} ms,", error_s)
        for update in updates:
            if update.replaced_error_s:
                fixes = f"the first fixes, those before GPS {update.restarted_from_ms} ms,"
                self._report_unused(fixes, update.replaced_error_s)

    def _report_unused(self, fixes: str, error_s: float) -> None:
        text = f"{fixes} agree with the orbit of the others if their times are wrong by {error_s:+g} s"
        text += ", and are not used; if these times are right, all later ones are wrong"
        self._notices.append(("warning", "fix_times", text))

    def _report_velocities(self, gps_ms: int) -> None:
        """Report once that the positions contradict the velocities, until they agree again."""
        distrust = self._filter.velocity_distrust
        if distrust > _DISTRUST_REPORTED and not self._memory.distrusts_velocities:
            self._memory.distrusts_velocities = True
            text = f"positions contradict the velocities of the fixes up to GPS {gps_ms} ms, which hardly count now"
            reported_ms = self._memory.manoeuvre_gps_ms
            if reported_ms and gps_ms - reported_ms < _MANOEUVRE_DOUBTED_MS:
                text += f"; the manoeuvre before GPS {reported_ms} ms was probably an error of these velocities"
            self._notices.append(("warning", "fix_velocities", text))
        elif distrust < 1.0 - _DISTRUST_REPORTED:
            self._memory.distrusts_velocities = False

    def _count(self, name: str) -> None:
        self.counts[name] = self.counts.get(name, 0) + 1
