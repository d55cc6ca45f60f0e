"""The map from spacecraft time to GPS time, learnt one GPS packet at a time.

Within one boot of the main controller GPS time minus spacecraft time is constant, but for whole-second readings and a
jitter of a few seconds. Between boots it is anything. A map holds one segment per boot; a segment's offset is the
median of its latest agreeing observations, so no single value can pull it.

A new segment begins with a challenger: observations that do not fit the present segment, because GPS time contradicts
its map or because the spacecraft clock fell back to its start, but that fit one another. When `CONFIRMATIONS` of them
stand in a row the challenger takes over. One corrupt week or spacecraft time is followed by values that fit the present
segment again; it leaves no trace but its verdict.

One boot of the spacecraft clock: which observations belong to it, and its offset from GPS time.
"""

from collections import deque
from enum import Enum, unique
from statistics import median_low
from typing import Final, NamedTuple, Self, TypedDict

from pygnc.common.clock import SPACECRAFT_RESTART_S, gps_ms_from_spacecraft_s, spacecraft_offset_ms

TOLERANCE_MS: Final = 7000
"""How far two observations of one boot may differ: jitter of 3 s to either side, and whole seconds."""
RESTART_WINDOW_S: Final = 3600
"""A spacecraft clock that falls back to within this time of its start has been restarted, GPS time or not."""
CONFIRMATIONS: Final = 3
"""Observations in a row, at different spacecraft times, that make a segment."""

_OFFSETS_KEPT: Final = 31
_READINGS_KEPT: Final = 3


class Segment(NamedTuple):
    """What is known of one boot.

    `offset_ms` (GPS time - spacecraft time, median) and `spread_ms` (largest - smallest) are of the latest agreeing
    observations, None as long as there is none; `observations` is the number of agreeing ones so far.
    """

    number: int
    first_t_spacecraft_s: int
    last_t_spacecraft_s: int
    offset_ms: int | None
    spread_ms: int | None
    observations: int

    def to_gps_ms(self, t_spacecraft_s: int) -> int | None:
        """GPS time of a spacecraft time of this boot; None without any GPS time in it."""
        return None if self.offset_ms is None else gps_ms_from_spacecraft_s(t_spacecraft_s, self.offset_ms)


class SegmentState(TypedDict):
    """A `GrowingSegment` as plain values."""

    first_t_spacecraft_s: int
    readings_s: list[int]
    offsets_ms: list[int]
    length: int
    observations: int


class GrowingSegment:
    """A segment that still takes observations; memory is constant."""

    def __init__(self, t_spacecraft_s: int) -> None:
        self._first_t_spacecraft_s = t_spacecraft_s
        self._readings_s: deque[int] = deque(maxlen=_READINGS_KEPT)
        self._offsets_ms: deque[int] = deque(maxlen=_OFFSETS_KEPT)
        self.length = 0
        """Observations at different spacecraft times; a record that stands twice in a file counts once."""
        self.observations = 0
        """Of those, the ones with a GPS time."""

    def fits(self, t_spacecraft_s: int, gps_ms: int | None) -> bool:
        """Whether an observation may belong to this boot. Where GPS time can tell, it alone decides."""
        if gps_ms is not None and self._offsets_ms:
            offset_ms = spacecraft_offset_ms(t_spacecraft_s, gps_ms)
            return abs(offset_ms - median_low(self._offsets_ms)) <= TOLERANCE_MS
        # The median of the latest readings, because the latest one itself may be corrupt.
        fell_back = 1000 * (median_low(self._readings_s) - t_spacecraft_s) > TOLERANCE_MS
        return not (fell_back and 0 <= t_spacecraft_s - SPACECRAFT_RESTART_S < RESTART_WINDOW_S)

    def add(self, t_spacecraft_s: int, gps_ms: int | None) -> None:
        """Take an observation that fits."""
        is_new = not self._readings_s or t_spacecraft_s != self._readings_s[-1]
        self._readings_s.append(t_spacecraft_s)
        self.length += is_new
        if gps_ms is not None:
            self._offsets_ms.append(spacecraft_offset_ms(t_spacecraft_s, gps_ms))
            self.observations += is_new

    def snapshot(self, number: int) -> Segment:
        """What is known of it now."""
        offsets_ms = self._offsets_ms
        return Segment(
            number=number,
            first_t_spacecraft_s=self._first_t_spacecraft_s,
            last_t_spacecraft_s=self._readings_s[-1],
            offset_ms=median_low(offsets_ms) if offsets_ms else None,
            spread_ms=max(offsets_ms) - min(offsets_ms) if offsets_ms else None,
            observations=self.observations,
        )

    def checkpoint(self) -> SegmentState:
        """All of its state."""
        return {
            "first_t_spacecraft_s": self._first_t_spacecraft_s,
            "readings_s": list(self._readings_s),
            "offsets_ms": list(self._offsets_ms),
            "length": self.length,
            "observations": self.observations,
        }

    @classmethod
    def restore(cls, state: SegmentState) -> Self:
        """The segment a checkpoint was taken of."""
        segment = cls(state["first_t_spacecraft_s"])
        segment._readings_s.extend(state["readings_s"])
        segment._offsets_ms.extend(state["offsets_ms"])
        segment.length, segment.observations = state["length"], state["observations"]
        return segment


_PAST_SEGMENTS_KEPT: Final = 7


@unique
class Verdict(Enum):
    """What the map says of one observation."""

    NO_GPS_TIME = "no GPS time"
    UNCONFIRMED = "unconfirmed"
    """The segment has too few observations yet to tell right from wrong."""
    CONSISTENT = "consistent"
    INCONSISTENT = "inconsistent"
    """GPS time and spacecraft time contradict the map; either may be wrong."""


class ClockMapState(TypedDict):
    """A `ClockMap` as plain values, for a checkpoint."""

    past: list[Segment]
    number: int
    current: SegmentState | None
    challenger: SegmentState | None


class ClockMap:
    """Spacecraft time to GPS time, per boot segment. Deterministic, constant in memory and in time per observation."""

    def __init__(self) -> None:
        self._past: list[Segment] = []
        self._number = 0
        self._current: GrowingSegment | None = None
        self._challenger: GrowingSegment | None = None

    def observe(self, t_spacecraft_s: int, gps_ms: int | None) -> Verdict:
        """Take the next GPS packet's two times, in the order in which packets came.

        Args:
            t_spacecraft_s: Spacecraft time of the packet.
            gps_ms: GPS time of the packet, milliseconds since 1980-01-06; None where the receiver does not know it.
        """
        if self._current is None:
            self._current = GrowingSegment(t_spacecraft_s)
            self._current.add(t_spacecraft_s, gps_ms)
        elif self._current.fits(t_spacecraft_s, gps_ms):
            self._current.add(t_spacecraft_s, gps_ms)
            self._challenger = None
        elif not self._challenge(self._current, t_spacecraft_s, gps_ms) and gps_ms is not None:
            return Verdict.INCONSISTENT if self._current.observations >= CONFIRMATIONS else Verdict.UNCONFIRMED
        if gps_ms is None:
            return Verdict.NO_GPS_TIME
        return Verdict.CONSISTENT if self._current.observations >= CONFIRMATIONS else Verdict.UNCONFIRMED

    def _challenge(self, current: GrowingSegment, t_spacecraft_s: int, gps_ms: int | None) -> bool:
        """Add an observation that does not fit to the challenger; True if that made it the current segment."""
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
    def segments(self) -> tuple[Segment, ...]:
        """The latest boots, oldest first; the last one is the current segment."""
        current = () if self._current is None else (self._current.snapshot(self._number),)
        return (*self._past, *current)

    def to_gps_ms(self, t_spacecraft_s: int, number: int | None = None) -> int | None:
        """GPS time of a spacecraft time in the current segment, or in the one with that number.

        None if the segment has no GPS time yet, is not kept, or if none was named and a restart is suspected to which
        `t_spacecraft_s` belongs.
        """
        if number is None and self._restart_suspected(t_spacecraft_s):
            return None
        segment = self._segment(number)
        return None if segment is None else segment.to_gps_ms(t_spacecraft_s)

    def residual_ms(self, t_spacecraft_s: int, gps_ms: int, number: int | None = None) -> int | None:
        """Observed minus mapped GPS time, in the current segment or in the one with that number; None without a map."""
        segment = self._segment(number)
        if segment is None or segment.offset_ms is None:
            return None
        return spacecraft_offset_ms(t_spacecraft_s, gps_ms) - segment.offset_ms

    def _restart_suspected(self, t_spacecraft_s: int) -> bool:
        if self._current is None or self._challenger is None:
            return False
        return not self._current.fits(t_spacecraft_s, None)

    def _segment(self, number: int | None) -> Segment | None:
        wanted = self._number if number is None else number
        return next((segment for segment in self.segments if segment.number == wanted), None)

    def checkpoint(self) -> ClockMapState:
        """All of its state as plain values; `restore` gives a map that answers exactly alike."""
        return {
            "past": list(self._past),
            "number": self._number,
            "current": None if self._current is None else self._current.checkpoint(),
            "challenger": None if self._challenger is None else self._challenger.checkpoint(),
        }

    @classmethod
    def restore(cls, state: ClockMapState) -> Self:
        """The map a checkpoint was taken of."""
        clock_map = cls()
        clock_map._past = [Segment(*segment) for segment in state["past"]]
        clock_map._number = state["number"]
        if state["current"] is not None:
            clock_map._current = GrowingSegment.restore(state["current"])
        if state["challenger"] is not None:
            clock_map._challenger = GrowingSegment.restore(state["challenger"])
        return clock_map
