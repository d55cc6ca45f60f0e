"""Map from spacecraft time to GPS time, estimated from one GPS packet at a time.

Within one boot of the main controller, GPS time minus spacecraft time is constant except for whole-second readings and
a jitter of a few seconds. Between boots it changes arbitrarily. The map holds the segment of the current boot, whose
offset is the median of its latest consistent observations, which a single outlier cannot shift.

A new segment starts as a challenger: observations that contradict the current segment, by their GPS time or because
the spacecraft clock restarted, but are consistent with each other. After `CONFIRMATIONS` successive ones the
challenger becomes the current segment. A single corrupt week or spacecraft time is followed by values that fit the
current segment again and has no effect other than its verdict.

GPS time does not go back, and it does not jump ahead while the spacecraft clock runs on. A challenger that contradicts
this has wrong GPS times, or the current segment has them; it must have as many observations as the current segment.
Such a jump of the GPS time is no boot.

Map and segments are structs that msgspec encodes: a decoded map continues with identical results.
"""

from enum import Enum, unique
from statistics import median_low
from typing import Final

import msgspec

from pygnc.common.clock import SPACECRAFT_RESTART_S, TAG_JITTER_S, gps_ms_from_spacecraft_s, spacecraft_offset_ms

TOLERANCE_MS: Final = 1000 * TAG_JITTER_S
"""Largest difference between two offsets of one boot."""
RESTART_WINDOW_S: Final = 3600
"""A spacecraft clock that falls back to within this time after its start value has restarted, with or without GPS time.
"""
CONFIRMATIONS: Final = 3
"""Number of successive observations at different spacecraft times that confirm a segment."""
CONTINUED_S: Final = 600
"""Largest step of a spacecraft clock that runs on, s. After longer ones it may have been restarted in between."""

_OFFSETS_KEPT: Final = 31
_READINGS_KEPT: Final = 3


@unique
class ClockVerdict(Enum):
    """Agreement of one observation with the clock map."""

    NO_GPS_TIME = "no GPS time"
    UNCONFIRMED = "unconfirmed"
    """The segment has fewer than `CONFIRMATIONS` observations, too few to decide."""
    CONSISTENT = "consistent"
    INCONSISTENT = "inconsistent"
    """GPS time and spacecraft time contradict the map; either may be wrong."""


class ClockSegment(msgspec.Struct):
    """One boot of the spacecraft clock; memory is constant.

    Attributes:
        readings_s: Latest spacecraft times, s.
        offsets_ms: Latest differences of GPS time and spacecraft time, ms.
        length: Number of observations at different spacecraft times; a record repeated in a file counts once.
        observations: Number of those observations that have a GPS time.
    """

    readings_s: list[int] = []
    offsets_ms: list[int] = []
    length: int = 0
    observations: int = 0

    @property
    def offset_ms(self) -> int | None:
        """GPS time minus spacecraft time in ms (median of the latest ones); None without any GPS time."""
        return median_low(self.offsets_ms) if self.offsets_ms else None

    def fits(self, t_spacecraft_s: int, gps_ms: int | None) -> bool:
        """Return True if an observation may belong to this boot, judged by GPS times alone if both have them."""
        if gps_ms is not None and self.offsets_ms:
            offset_ms = spacecraft_offset_ms(t_spacecraft_s, gps_ms)
            return abs(offset_ms - median_low(self.offsets_ms)) <= TOLERANCE_MS
        # Compare with the median of the latest readings, because the latest one itself may be corrupt.
        fell_back = 1000 * (median_low(self.readings_s) - t_spacecraft_s) > TOLERANCE_MS
        return not (fell_back and 0 <= t_spacecraft_s - SPACECRAFT_RESTART_S < RESTART_WINDOW_S)

    def elapsed_ms(self, gps_ms: int | None) -> int | None:
        """Return the GPS time from the latest readings to `gps_ms`, ms; None if either is unknown."""
        if gps_ms is None or not self.offsets_ms:
            return None
        return gps_ms - gps_ms_from_spacecraft_s(median_low(self.readings_s), median_low(self.offsets_ms))

    def gps_time_jumped(self, t_spacecraft_s: int, gps_ms: int | None) -> bool:
        """Return True if GPS time went back, or jumped ahead while the spacecraft clock ran on."""
        elapsed_ms = self.elapsed_ms(gps_ms)
        if elapsed_ms is None:
            return False
        ran_on = t_spacecraft_s - median_low(self.readings_s) <= CONTINUED_S and self.fits(t_spacecraft_s, None)
        return elapsed_ms < -TOLERANCE_MS or (ran_on and elapsed_ms > 1000 * CONTINUED_S)

    def add(self, t_spacecraft_s: int, gps_ms: int | None) -> None:
        """Add an observation that `fits` accepts."""
        is_new = not self.readings_s or t_spacecraft_s != self.readings_s[-1]
        self.readings_s = [*self.readings_s, t_spacecraft_s][-_READINGS_KEPT:]
        self.length += is_new
        if gps_ms is not None:
            offset_ms = spacecraft_offset_ms(t_spacecraft_s, gps_ms)
            self.offsets_ms = [*self.offsets_ms, offset_ms][-_OFFSETS_KEPT:]
            self.observations += is_new


class ClockMap(msgspec.Struct):
    """Map from spacecraft time to GPS time. It is deterministic, with constant memory and time per observation.

    Attributes:
        number: Number of earlier boots of the spacecraft clock.
        current: Segment of the current boot; None before the first observation.
        challenger: Segment that may replace the current one; None while observations fit the current segment.
        confirmations: Number of successive observations with which it does.
        has_jumped: True if the challenger began with a jump of the GPS time.
        jumps: Number of jumps of the GPS time within a boot.
        elapsed_ms: GPS time between the segment before and the challenger, ms; None if unknown.
    """

    number: int = 0
    current: ClockSegment | None = None
    challenger: ClockSegment | None = None
    confirmations: int = CONFIRMATIONS
    has_jumped: bool = False
    jumps: int = 0
    elapsed_ms: int | None = None

    def observe(self, t_spacecraft_s: int, gps_ms: int | None) -> ClockVerdict:
        """Add the two times of the next GPS packet, in the order of arrival; return the verdict.

        Args:
            t_spacecraft_s: Spacecraft time of the packet, s.
            gps_ms: GPS time of the packet, milliseconds since 1980-01-06; None if the receiver does not know it.
        """
        if self.current is None:
            self.current = ClockSegment()
            self.current.add(t_spacecraft_s, gps_ms)
            fits = True
        elif self.current.fits(t_spacecraft_s, gps_ms):
            self.current.add(t_spacecraft_s, gps_ms)
            self.challenger = None
            fits = True
        else:
            fits = self._challenge(self.current, t_spacecraft_s, gps_ms)
        if gps_ms is None:
            return ClockVerdict.NO_GPS_TIME
        if self.current.observations < CONFIRMATIONS:
            return ClockVerdict.UNCONFIRMED
        return ClockVerdict.CONSISTENT if fits else ClockVerdict.INCONSISTENT

    def _challenge(self, current: ClockSegment, t_spacecraft_s: int, gps_ms: int | None) -> bool:
        """Add a contradicting observation to the challenger; return True if that becomes the current segment."""
        if self.challenger is None or not self.challenger.fits(t_spacecraft_s, gps_ms):
            self.challenger = ClockSegment()
            self.elapsed_ms = current.elapsed_ms(gps_ms)
            self.has_jumped = current.gps_time_jumped(t_spacecraft_s, gps_ms)
            self.confirmations = max(CONFIRMATIONS, len(current.offsets_ms)) if self.has_jumped else CONFIRMATIONS
        self.challenger.add(t_spacecraft_s, gps_ms)
        if self.challenger.length < self.confirmations:
            return False
        restarted = not current.fits(t_spacecraft_s, None)
        # A segment with too few observations came from damaged times at the start of this boot; do not count it.
        is_jump = self.has_jumped and not restarted
        if current.observations >= CONFIRMATIONS or (restarted and current.length >= CONFIRMATIONS):
            self.number += not is_jump
            self.jumps += is_jump
        self.current, self.challenger = self.challenger, None
        return True

    @property
    def offset_ms(self) -> int | None:
        """GPS time minus spacecraft time of the current boot, ms; None while unknown."""
        return None if self.current is None else self.current.offset_ms

    def to_gps_ms(self, t_spacecraft_s: int) -> int | None:
        """Return the GPS time in ms of a spacecraft time (s) of the current boot.

        None is returned without any GPS time of this boot, and if `t_spacecraft_s` belongs to a suspected restart.
        """
        if self.current is None or (self.challenger is not None and not self.current.fits(t_spacecraft_s, None)):
            return None
        offset_ms = self.current.offset_ms
        return None if offset_ms is None else gps_ms_from_spacecraft_s(t_spacecraft_s, offset_ms)
