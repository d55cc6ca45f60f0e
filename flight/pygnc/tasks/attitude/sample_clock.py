"""GPS time of sensor samples, which carry spacecraft time only.

A sample's time is accepted if it continues the previous one. After a gap, a restart of the clock or a damaged value,
the following times are uncertain until a GPS packet agrees with the clock map.
"""

from typing import Final

import msgspec

from pygnc.common.clock import gps_ms_from_spacecraft_s
from pygnc.estimators.clock.clock_map import ClockMap, ClockMapState, ClockVerdict

BACK_MAX_S: Final = 7
"""Tolerance for jitter of 3 s to either side and for rounding to whole seconds."""
STEP_MAX_S: Final = 16
"""Three missing samples; times after longer gaps must be confirmed."""
OFFSET_STEP_MS: Final = 500
"""The map's offset is the median of the latest observations and varies all the time. Each variation would look like a
rotation of the body, so the offset in use is kept until the map differs from it by more than this."""


class SampleClockState(msgspec.Struct, frozen=True):
    """Checkpoint of a `SampleClock`."""

    map: ClockMapState
    reference_s: int | None
    offset_ms: int | None


class SampleClock:
    """Clock map with a check of the continuity of spacecraft times.

    Attributes:
        reference_s: Last accepted spacecraft time; None if unknown.
    """

    def __init__(self, state: SampleClockState | None = None) -> None:
        self._map = ClockMap() if state is None else ClockMap.restore(state.map)
        self.reference_s = None if state is None else state.reference_s
        self._offset_ms = None if state is None else state.offset_ms

    def checkpoint(self) -> SampleClockState:
        """Return all state that later times depend on."""
        return SampleClockState(self._map.checkpoint(), self.reference_s, self._offset_ms)

    def is_continuous(self, t_spacecraft_s: int) -> bool:
        """Whether a time continues the last accepted one."""
        return self.reference_s is not None and -BACK_MAX_S <= t_spacecraft_s - self.reference_s <= STEP_MAX_S

    def advance(self, t_spacecraft_s: int) -> None:
        """Accept the time of a sample."""
        self.reference_s = t_spacecraft_s

    def observe(self, t_spacecraft_s: int, gps_ms: int | None) -> bool:
        """Process the times of a GPS packet; return whether its spacecraft time is accepted."""
        verdict = self._map.observe(t_spacecraft_s, gps_ms)
        offset_ms = self._map.segments[-1].offset_ms
        if self._offset_ms is None or offset_ms is None or abs(offset_ms - self._offset_ms) > OFFSET_STEP_MS:
            self._offset_ms = offset_ms
        accepted = verdict is ClockVerdict.CONSISTENT or self.is_continuous(t_spacecraft_s)
        if accepted:
            self.reference_s = t_spacecraft_s
        return accepted

    def settle(self, t_spacecraft_s: int) -> None:
        """Accept an uncertain time that cannot be confirmed, if the map covers it."""
        self.reference_s = None if self._map.to_gps_ms(t_spacecraft_s) is None else t_spacecraft_s

    def fell_back(self, t_spacecraft_s: int) -> bool:
        """Whether a time is before the last accepted one, so that the clock was restarted or the value is damaged."""
        return self.reference_s is not None and t_spacecraft_s < self.reference_s - BACK_MAX_S

    def reset(self) -> None:
        """Accept no time until a GPS packet agrees with the map."""
        self.reference_s = None

    def gps_ms(self, t_spacecraft_s: int) -> int | None:
        """Return the GPS time in ms of an accepted spacecraft time; None while the clock offset is unknown."""
        return None if self._offset_ms is None else gps_ms_from_spacecraft_s(t_spacecraft_s, self._offset_ms)
