"""Map from spacecraft time to GPS time, estimated from one GPS packet at a time.

Within one boot of the main controller, GPS time minus spacecraft time is constant except for whole-second readings and
a jitter of a few seconds. Between boots it changes arbitrarily. The map holds one segment per boot; the offset of a
segment is the median of its latest consistent observations, which a single outlier cannot shift.

A new segment starts as a challenger: observations that contradict the current segment, because of their GPS time or
because the spacecraft clock restarted, but are consistent with each other. After `CONFIRMATIONS` successive ones the
challenger becomes the current segment. A single corrupt week or spacecraft time is followed by values that fit the
current segment again and has no effect other than its verdict.
"""

from collections import deque
from enum import Enum, unique
from statistics import median_low
from typing import Final, NamedTuple, Self, TypedDict

from pygnc.common.clock import SPACECRAFT_RESTART_S, gps_ms_from_spacecraft_s, spacecraft_offset_ms

TOLERANCE_MS: Final = 7000
"""Largest difference between two offsets of one boot: 3 s of jitter on either side, and whole seconds."""
RESTART_WINDOW_S: Final = 3600
"""A spacecraft clock that falls back to within this time after its start value has restarted, with or without GPS time.
"""
CONFIRMATIONS: Final = 3
"""Number of successive observations at different spacecraft times that confirm a segment."""

_OFFSETS_KEPT: Final = 31
_READINGS_KEPT: Final = 3


class ClockSegment(NamedTuple):
    """One boot of the spacecraft clock.

    `offset_ms` (GPS time minus spacecraft time, median) and `spread_ms` (largest minus smallest offset) describe the
    latest consistent observations and are None without any; `observations` counts the consistent ones so far.
    """

    number: int
    first_t_spacecraft_s: int
    last_t_spacecraft_s: int
    offset_ms: int | None
    spread_ms: int | None
    observations: int

    def to_gps_ms(self, t_spacecraft_s: int) -> int | None:
        """Return the GPS time of a spacecraft time of this boot; None without any GPS time in it."""
        return None if self.offset_ms is None else gps_ms_from_spacecraft_s(t_spacecraft_s, self.offset_ms)


class SegmentState(TypedDict):
    """Checkpoint of a `GrowingSegment`."""

    first_t_spacecraft_s: int
    readings_s: list[int]
    offsets_ms: list[int]
    length: int
    observations: int


class GrowingSegment:
    """A segment that is still open; memory is constant."""

    def __init__(self, t_spacecraft_s: int) -> None:
        self._first_t_spacecraft_s = t_spacecraft_s
        self._readings_s: deque[int] = deque(maxlen=_READINGS_KEPT)
        self._offsets_ms: deque[int] = deque(maxlen=_OFFSETS_KEPT)
        self.length = 0
        """Number of observations at different spacecraft times; a record repeated in a file counts once."""
        self.observations = 0
        """Number of those with a GPS time."""

    def fits(self, t_spacecraft_s: int, gps_ms: int | None) -> bool:
        """Return whether an observation may belong to this boot. If both have GPS time, it alone decides."""
        if gps_ms is not None and self._offsets_ms:
            offset_ms = spacecraft_offset_ms(t_spacecraft_s, gps_ms)
            return abs(offset_ms - median_low(self._offsets_ms)) <= TOLERANCE_MS
        # The median of the latest readings, because the latest one itself may be corrupt.
        fell_back = 1000 * (median_low(self._readings_s) - t_spacecraft_s) > TOLERANCE_MS
        return not (fell_back and 0 <= t_spacecraft_s - SPACECRAFT_RESTART_S < RESTART_WINDOW_S)

    def add(self, t_spacecraft_s: int, gps_ms: int | None) -> None:
        """Add an observation that fits."""
        is_new = not self._readings_s or t_spacecraft_s != self._readings_s[-1]
        self._readings_s.append(t_spacecraft_s)
        self.length += is_new
        if gps_ms is not None:
            self._offsets_ms.append(spacecraft_offset_ms(t_spacecraft_s, gps_ms))
            self.observations += is_new

    def snapshot(self, number: int) -> ClockSegment:
        """Return the segment as it is now."""
        offsets_ms = self._offsets_ms
        return ClockSegment(
            number=number,
            first_t_spacecraft_s=self._first_t_spacecraft_s,
            last_t_spacecraft_s=self._readings_s[-1],
            offset_ms=median_low(offsets_ms) if offsets_ms else None,
            spread_ms=max(offsets_ms) - min(offsets_ms) if offsets_ms else None,
            observations=self.observations,
        )

    def checkpoint(self) -> SegmentState:
        """Return the state for `restore`."""
        return {
            "first_t_spacecraft_s": self._first_t_spacecraft_s,
            "readings_s": list(self._readings_s),
            "offsets_ms": list(self._offsets_ms),
            "length": self.length,
            "observations": self.observations,
        }

    @classmethod
    def restore(cls, state: SegmentState) -> Self:
        """Return the segment of a checkpoint."""
        segment = cls(state["first_t_spacecraft_s"])
        segment._readings_s.extend(state["readings_s"])
        segment._offsets_ms.extend(state["offsets_ms"])
        segment.length, segment.observations = state["length"], state["observations"]
        return segment


_PAST_SEGMENTS_KEPT: Final = 7


@unique
class ClockVerdict(Enum):
    """Result of one observation."""

    NO_GPS_TIME = "no GPS time"
    UNCONFIRMED = "unconfirmed"
    """The segment has too few observations to decide."""
    CONSISTENT = "consistent"
    INCONSISTENT = "inconsistent"
    """GPS time and spacecraft time contradict the map; either may be wrong."""


class ClockMapState(TypedDict):
    """Checkpoint of a `ClockMap`."""

    past: list[ClockSegment]
    number: int
    current: SegmentState | None
    challenger: SegmentState | None


class ClockMap:
    """Maps spacecraft time to GPS time, per boot segment. Deterministic; constant memory and time per observation."""

    def __init__(self) -> None:
        self._past: list[ClockSegment] = []
        self._number = 0
        self._current: GrowingSegment | None = None
        self._challenger: GrowingSegment | None = None

    def observe(self, t_spacecraft_s: int, gps_ms: int | None) -> ClockVerdict:
        """Add the two times of the next GPS packet, in the order of arrival.

        Args:
            t_spacecraft_s: Spacecraft time of the packet.
            gps_ms: GPS time of the packet, milliseconds since 1980-01-06; None if the receiver does not know it.
        """
        if self._current is None:
            self._current = GrowingSegment(t_spacecraft_s)
            self._current.add(t_spacecraft_s, gps_ms)
        elif self._current.fits(t_spacecraft_s, gps_ms):
            self._current.add(t_spacecraft_s, gps_ms)
            self._challenger = None
        elif not self._challenge(self._current, t_spacecraft_s, gps_ms) and gps_ms is not None:
            return (
                ClockVerdict.INCONSISTENT if self._current.observations >= CONFIRMATIONS else ClockVerdict.UNCONFIRMED
            )
        if gps_ms is None:
            return ClockVerdict.NO_GPS_TIME
        return ClockVerdict.CONSISTENT if self._current.observations >= CONFIRMATIONS else ClockVerdict.UNCONFIRMED

    def _challenge(self, current: GrowingSegment, t_spacecraft_s: int, gps_ms: int | None) -> bool:
        """Add an observation that does not fit to the challenger.

        Return whether the challenger replaced the current segment.
        """
        if self._challenger is None or not self._challenger.fits(t_spacecraft_s, gps_ms):
            self._challenger = GrowingSegment(t_spacecraft_s)
        self._challenger.add(t_spacecraft_s, gps_ms)
        if self._challenger.length < CONFIRMATIONS:
            return False
        restarted = not current.fits(t_spacecraft_s, None)
        # A map of fewer observations than now speak against it was damage at the start of the same boot.
        if current.observations >= CONFIRMATIONS or (restarted and current.length >= CONFIRMATIONS):
            self._past = [*self._past, current.snapshot(self._number)][-_PAST_SEGMENTS_KEPT:]
            self._number += 1
        self._current, self._challenger = self._challenger, None
        return True

    @property
    def segments(self) -> tuple[ClockSegment, ...]:
        """The latest boots, oldest first; the last one is the current segment."""
        current = () if self._current is None else (self._current.snapshot(self._number),)
        return (*self._past, *current)

    def to_gps_ms(self, t_spacecraft_s: int, number: int | None = None) -> int | None:
        """Return the GPS time of a spacecraft time in the current segment, or in the segment `number`.

        None is returned if the segment has no GPS time yet or is no longer stored. Without `number` it is also returned
        if `t_spacecraft_s` belongs to a suspected restart.
        """
        if number is None and self._restart_suspected(t_spacecraft_s):
            return None
        segment = self._segment(number)
        return None if segment is None else segment.to_gps_ms(t_spacecraft_s)

    def residual_ms(self, t_spacecraft_s: int, gps_ms: int, number: int | None = None) -> int | None:
        """Return observed minus mapped GPS time in the current segment, or in the segment `number`.

        None without a map.
        """
        segment = self._segment(number)
        if segment is None or segment.offset_ms is None:
            return None
        return spacecraft_offset_ms(t_spacecraft_s, gps_ms) - segment.offset_ms

    def _restart_suspected(self, t_spacecraft_s: int) -> bool:
        if self._current is None or self._challenger is None:
            return False
        return not self._current.fits(t_spacecraft_s, None)

    def _segment(self, number: int | None) -> ClockSegment | None:
        wanted = self._number if number is None else number
        return next((segment for segment in self.segments if segment.number == wanted), None)

    def checkpoint(self) -> ClockMapState:
        """Return the state as plain values; a map from `restore` gives identical results."""
        return {
            "past": list(self._past),
            "number": self._number,
            "current": None if self._current is None else self._current.checkpoint(),
            "challenger": None if self._challenger is None else self._challenger.checkpoint(),
        }

    @classmethod
    def restore(cls, state: ClockMapState) -> Self:
        """Return the map of a checkpoint."""
        clock_map = cls()
        clock_map._past = [ClockSegment(*segment) for segment in state["past"]]
        clock_map._number = state["number"]
        if state["current"] is not None:
            clock_map._current = GrowingSegment.restore(state["current"])
        if state["challenger"] is not None:
            clock_map._challenger = GrowingSegment.restore(state["challenger"])
        return clock_map
