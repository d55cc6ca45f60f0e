"""One boot of the spacecraft clock: which observations belong to it, and its offset from GPS time."""

from collections import deque
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
