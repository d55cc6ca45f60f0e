"""Orbit tracker: turns input messages into orbit estimates, and counts the fixes.

It combines the clock map, the screening of GPS packets and the orbit filter. It performs no I/O and reads no clock, so
the replay on the ground runs the same code.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple, Protocol, TypeAlias

import msgspec

from pygnc.bus.messages import BatchEnd, GpsFix, Message, OrbitEstimate, OrbitWatermark, vector3
from pygnc.common.clock import gps_ms_from_week
from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc.estimators.checkpoint import decode, encode
from pygnc.estimators.clock.clock_map import ClockMap, ClockMapState, ClockVerdict
from pygnc.estimators.orbit.filter import OrbitFilter, OrbitUpdate
from pygnc.estimators.orbit.gps_fix import Fix, RejectCause, fix_from, screen
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.estimators.orbit.state import POSITION, VELOCITY, EcefOrbit, OrbitState

TIME_INCONSISTENT: Final = "time_inconsistent"
"""Reject cause: the fix's GPS time contradicts the spacecraft clock, so one of the two is damaged."""
PREDICTION_SLICE_MS: Final = 900_000
PREDICTION_MAX_MS: Final = 3 * 86_400_000
"""Limit of the prediction: beyond it drag makes it worthless, and a wrong clock must not cost hours of computing."""


class FixOutcome(NamedTuple):
    """Result for one GPS packet.

    Attributes:
        seq: Input number of the packet.
        gps_ms: Time of the packet; None if it carries none.
        state: Orbit at that time, whether or not the packet was used; None if unknown.
        cause: Why the packet was rejected, or empty.
        update: The filter's result; None if the packet was rejected before the filter.
    """

    seq: int
    gps_ms: int | None
    state: OrbitState | None
    cause: str
    update: OrbitUpdate | None


class OrbitEstimator(Protocol):
    """Interface of the flight's `OrbitFilter` and of the reference filters on the ground."""

    @property
    def state(self) -> OrbitState | None:
        """Estimate after the last accepted fix; None before initialisation."""

    def process(self, fix: Fix) -> tuple[OrbitUpdate, ...]:
        """Process one fix; return the results of all fixes that are decided now."""

    def initialise_from_buffered(self) -> tuple[OrbitUpdate, ...]:
        """Initialise from the buffered fixes at the end of the input."""

    def predict(self, gps_ms: int, start: OrbitState | None = None) -> OrbitState:
        """Return the orbit at a later time, propagated from `start` (default: the estimate)."""

    def ecef(self, state: OrbitState) -> EcefOrbit:
        """Return a state in the Earth-fixed frame."""


MakeEstimator: TypeAlias = Callable[[OrbitSettings, EarthOrientationTable], OrbitEstimator]


class TrackerState(msgspec.Struct, frozen=True):
    """Checkpoint of an `OrbitTracker`."""

    filter: bytes
    coasting: bytes | None
    clock: ClockMapState
    counts: dict[str, int]
    last_input_seq: int
    fix_gps_ms: int
    nis_sum: float
    nis_dof: int
    nis_count: int


class OrbitTracker:
    """Processes inputs one by one and returns estimates.

    Args:
        settings: Settings of the orbit filter.
        orientation: Earth orientation parameters.
        state: Checkpoint to continue from.
        make_filter: Replaces the flight's filter by a reference filter.

    Attributes:
        counts: Fixes received, accepted, waiting, and rejected by cause, named as in the status record.
    """

    def __init__(
        self,
        settings: OrbitSettings,
        orientation: EarthOrientationTable,
        state: TrackerState | None = None,
        make_filter: MakeEstimator = OrbitFilter,
    ) -> None:
        self._settings = settings
        self._filter: OrbitEstimator
        if state is None:
            self._filter = make_filter(settings, orientation)
            self._coasting: OrbitState | None = None
            self._clock = ClockMap()
            self.counts = {"fixes_received": 0, "fixes_accepted": 0, "fixes_waiting": 0}
            self._last_input_seq, self._fix_gps_ms, self._nis_sum, self._nis_dof, self._nis_count = 0, 0, 0.0, 0, 0
        else:
            self._filter = OrbitFilter.restore(settings, orientation, state.filter)
            self._coasting = None if state.coasting is None else decode(state.coasting, OrbitState)
            self._clock = ClockMap.restore(state.clock)
            self.counts = dict(state.counts)
            self._last_input_seq, self._fix_gps_ms = state.last_input_seq, state.fix_gps_ms
            self._nis_sum, self._nis_dof, self._nis_count = state.nis_sum, state.nis_dof, state.nis_count
        self._predicted: OrbitState | None = None

    def checkpoint(self) -> TrackerState:
        """Return all state that later estimates depend on.

        Raises:
            TypeError: The filter is not the flight's.
        """
        if not isinstance(self._filter, OrbitFilter):
            raise TypeError(f"{type(self._filter).__name__} has no checkpoints")
        return TrackerState(
            filter=self._filter.checkpoint(),
            coasting=None if self._coasting is None else encode(self._coasting),
            clock=self._clock.checkpoint(),
            counts=dict(self.counts),
            last_input_seq=self._last_input_seq,
            fix_gps_ms=self._fix_gps_ms,
            nis_sum=self._nis_sum,
            nis_dof=self._nis_dof,
            nis_count=self._nis_count,
        )

    def process(self, message: Message, first_seq: int) -> list[OrbitEstimate]:
        """Process one input; return the resulting estimates, numbered from `first_seq`."""
        estimates: list[OrbitEstimate] = []
        for outcome in self.outcomes(message):
            if outcome.state is not None:
                estimates.append(self.estimate(outcome, first_seq + len(estimates)))
        return estimates

    def outcomes(self, message: Message) -> Iterator[FixOutcome]:
        """Process one input; yield one result for each of our own GPS packets, possibly a later one."""
        if isinstance(message, GpsFix) and message.is_own:
            self._last_input_seq = message.seq
            yield from self._take_fix(message)
        elif isinstance(message, BatchEnd):
            self._last_input_seq = message.seq
            yield from map(self._decided, self._filter.initialise_from_buffered())

    def estimate(self, outcome: FixOutcome, seq: int) -> OrbitEstimate:
        """Return the message for an outcome with a state; call it before taking the next outcome.

        Raises:
            ValueError: The outcome has no state.
        """
        if outcome.state is None:
            raise ValueError(f"no orbit is known at input {outcome.seq}")
        return self._message(outcome.state, seq, outcome)

    def predict_to(self, t_spacecraft_s: int) -> tuple[OrbitEstimate | None, bool]:
        """Continue the prediction towards spacecraft time `t_spacecraft_s` by one slice.

        Returns:
            The prediction once it has reached that time, else None; and whether more slices are needed.
        """
        state = self._predicted or self._filter.state
        now_ms = self._clock.to_gps_ms(t_spacecraft_s)
        if state is None or now_ms is None or not state.gps_ms < now_ms <= self._fix_gps_ms + PREDICTION_MAX_MS:
            return None, False
        target_ms = min(now_ms, state.gps_ms + PREDICTION_SLICE_MS)
        self._predicted = self._filter.predict(target_ms, state)
        if target_ms < now_ms:
            return None, True
        return self._message(self._predicted, 0, None), False

    def _take_fix(self, message: GpsFix) -> Iterator[FixOutcome]:
        self.counts["fixes_received"] += 1
        cause: str | None = screen(message, self._settings.screening)
        if self._contradicts_clock(message):
            cause = cause or TIME_INCONSISTENT
        if cause:
            self._count(f"rejected_{cause}")
            gps_ms = gps_ms_from_week(message.gps_week, message.gps_tow_ms)
            yield FixOutcome(message.seq, gps_ms, self._coast(gps_ms), str(cause), None)
            return
        self.counts["fixes_waiting"] += 1
        yield from map(self._decided, self._filter.process(fix_from(message, self._settings.screening)))

    def _coast(self, gps_ms: int | None) -> OrbitState | None:
        """Return the orbit predicted to the time of a rejected packet, or None if that is too far from the last fix.

        During an outage with a packet every few seconds, each prediction starts from the previous one.
        """
        state = self._filter.state
        if state is None or gps_ms is None:
            return None
        if not 0 <= gps_ms - state.gps_ms <= 1e3 * self._settings.start.gap_max_s:
            return None
        if self._coasting is not None and self._coasting.gps_ms <= gps_ms:
            state = self._coasting
        self._coasting = self._filter.predict(gps_ms, state)
        return self._coasting

    def _decided(self, update: OrbitUpdate) -> FixOutcome:
        self._count_update(update)
        state = update.state
        if update.position_accepted or update.velocity_accepted:
            self._coasting = self._predicted = None
        elif update.position_cause is RejectCause.NOT_LATER:
            state = self._coast(update.fix.gps_ms)
        return FixOutcome(update.fix.seq, update.fix.gps_ms, state, str(update.position_cause or ""), update)

    def _contradicts_clock(self, message: GpsFix) -> bool:
        if message.t_spacecraft_s is None:
            return False
        gps_ms = gps_ms_from_week(message.gps_week, message.gps_tow_ms)
        return self._clock.observe(message.t_spacecraft_s, gps_ms) is ClockVerdict.INCONSISTENT

    def _count_update(self, update: OrbitUpdate) -> None:
        self.counts["fixes_waiting"] -= 1
        if update.position_accepted or update.velocity_accepted:
            self.counts["fixes_accepted"] += 1
            self._fix_gps_ms = max(self._fix_gps_ms, update.fix.gps_ms)
            self._nis_sum += update.nis
            self._nis_dof += update.dof
            self._nis_count += update.dof > 0
            if not update.velocity_accepted:
                self._count("velocities_rejected")
        elif update.position_cause:
            self._count(f"rejected_{update.position_cause}")

    def _count(self, name: str) -> None:
        self.counts[name] = self.counts.get(name, 0) + 1

    def _message(self, state: OrbitState, seq: int, outcome: FixOutcome | None) -> OrbitEstimate:
        ecef = self._filter.ecef(state)
        update = outcome.update if outcome else None
        segments = self._clock.segments
        return OrbitEstimate(
            seq=seq,
            last_input_seq=self._last_input_seq,
            gps_ms=state.gps_ms,
            fix_gps_ms=self._fix_gps_ms,
            position_ecef_m=vector3(ecef.position_m),
            velocity_ecef_mps=vector3(ecef.velocity_mps),
            position_sigma_m=vector3(ecef.position_sigma_m),
            velocity_sigma_mps=vector3(ecef.velocity_sigma_mps),
            position_gcrf_m=vector3(state.x[POSITION]),
            velocity_gcrf_mps=vector3(state.x[VELOCITY]),
            accepted=update is not None and (update.position_accepted or update.velocity_accepted),
            cause=outcome.cause if outcome else "",
            nis=update.nis if update else 0.0,
            nis_dof=update.dof if update else 0,
            nis_mean=self._nis_sum / self._nis_dof if self._nis_dof else 0.0,
            nis_count=self._nis_count,
            spacecraft_to_gps_ms=segments[-1].offset_ms if segments else None,
            input_seq=outcome.seq if outcome else 0,
        )


def watermark_after(message: Message, estimates: Sequence[OrbitEstimate], first_seq: int) -> list[OrbitWatermark]:
    """Return the watermark that completes the answer to an input, if its estimates do not complete it."""
    if not isinstance(message, GpsFix | BatchEnd) or (isinstance(message, GpsFix) and not message.is_own):
        return []
    if estimates and estimates[-1].input_seq == message.seq:
        return []
    return [OrbitWatermark(seq=first_seq + len(estimates), last_input_seq=message.seq)]
