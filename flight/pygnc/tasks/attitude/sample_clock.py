"""GPS time of sensor samples, which carry spacecraft time only.

A sample is believed when its time goes on from the one before. After a gap, a boot or a damaged reading the times that
come next are in doubt until a GPS packet agrees with the map of the clock.
"""

from typing import Final

import msgspec

from pygnc.common.clock import gps_ms_from_spacecraft_s
from pygnc.estimators.clock.clock_map import ClockMap, ClockMapState, ClockVerdict

BACK_MAX_S: Final = 7
"""Jitter of three seconds to either side, and whole seconds."""
STEP_MAX_S: Final = 16
"""Three samples missing; later ones, and damaged readings, have to be confirmed."""
OFFSET_STEP_MS: Final = 500
"""The map's offset is a median of latest observations and moves a little all the time. In the steps of a turning body
each move would look like a turn, so the offset in use stays until it is off by more than this."""


class SampleClockState(msgspec.Struct, frozen=True):
    """A `SampleClock` as plain values."""

    map: ClockMapState
    reference_s: int | None
    offset_ms: int | None


class SampleClock:
    """The map of the spacecraft clock, and which of its readings to believe.

    Attributes:
        reference_s: Spacecraft time from which it goes on; None when it is not known.
    """

    def __init__(self, state: SampleClockState | None = None) -> None:
        self._map = ClockMap() if state is None else ClockMap.restore(state.map)
        self.reference_s = None if state is None else state.reference_s
        self._offset_ms = None if state is None else state.offset_ms

    def checkpoint(self) -> SampleClockState:
        """Everything that later times depend on."""
        return SampleClockState(self._map.checkpoint(), self.reference_s, self._offset_ms)

    def goes_on(self, t_spacecraft_s: int) -> bool:
        """Whether a reading goes on from the last one that was believed."""
        return self.reference_s is not None and -BACK_MAX_S <= t_spacecraft_s - self.reference_s <= STEP_MAX_S

    def advance(self, t_spacecraft_s: int) -> None:
        """Go on from a sample that is believed."""
        self.reference_s = t_spacecraft_s

    def observe(self, t_spacecraft_s: int, gps_ms: int | None) -> bool:
        """Take the times of a GPS packet; return whether its spacecraft time is to be believed."""
        verdict = self._map.observe(t_spacecraft_s, gps_ms)
        offset_ms = self._map.segments[-1].offset_ms
        if self._offset_ms is None or offset_ms is None or abs(offset_ms - self._offset_ms) > OFFSET_STEP_MS:
            self._offset_ms = offset_ms
        believed = verdict is ClockVerdict.CONSISTENT or self.goes_on(t_spacecraft_s)
        if believed:
            self.reference_s = t_spacecraft_s
        return believed

    def settle(self, t_spacecraft_s: int) -> None:
        """Go on from a reading in doubt that nothing will confirm, if the map has a time for it."""
        self.reference_s = None if self._map.to_gps_ms(t_spacecraft_s) is None else t_spacecraft_s

    def fell_back(self, t_spacecraft_s: int) -> bool:
        """Whether a reading lies before the last one that was believed, so that it is of another boot or damaged."""
        return self.reference_s is not None and t_spacecraft_s < self.reference_s - BACK_MAX_S

    def lose(self) -> None:
        """Believe no reading until a GPS packet agrees with the map."""
        self.reference_s = None

    def gps_ms(self, t_spacecraft_s: int) -> int | None:
        """GPS time of a reading that is believed; None before the map is known."""
        return None if self._offset_ms is None else gps_ms_from_spacecraft_s(t_spacecraft_s, self._offset_ms)
