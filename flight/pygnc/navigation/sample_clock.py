"""GPS time of sensor samples, which contain only spacecraft time.

A sample's time is accepted if it continues the previous sample's time. After a gap, a restart of the clock or a damaged
value, the following times are uncertain until a GPS packet agrees with the clock map.
"""

from typing import Final

import msgspec

from pygnc.common.clock import TAG_JITTER_S, gps_ms_from_spacecraft_s
from pygnc.estimators.clock.clock_map import ClockMap, ClockVerdict

STEP_MAX_S: Final = 16
"""Largest step forward, s, of continuous times: three missing samples. Times after longer gaps must be confirmed."""
OFFSET_STEP_MS: Final = 500
"""Change of the map's offset in ms above which it replaces the offset in use. The map's offset is a median and varies
all the time; each change of the offset in use would look like a rotation of the body."""


class SampleClock(msgspec.Struct):
    """Clock map with a check that spacecraft times are continuous; msgspec encodes it in checkpoints.

    Attributes:
        map: Map from spacecraft time to GPS time.
        reference_s: Last accepted spacecraft time; None if unknown.
        offset_ms: GPS time minus spacecraft time in use for samples; None if unknown.
        as_utc_ms: GPS time minus spacecraft time if the spacecraft clock counts UTC, used while `offset_ms` is unknown;
            None if unknown.
    """

    map: ClockMap = msgspec.field(default_factory=ClockMap)
    reference_s: int | None = None
    offset_ms: int | None = None
    as_utc_ms: int | None = None

    def is_continuous(self, t_spacecraft_s: int) -> bool:
        """Return True if a spacecraft time continues the last accepted one."""
        return self.reference_s is not None and -TAG_JITTER_S <= t_spacecraft_s - self.reference_s <= STEP_MAX_S

    def observe(self, t_spacecraft_s: int, gps_ms: int | None) -> bool:
        """Process the times of a GPS packet; return True if its spacecraft time is accepted."""
        verdict = self.map.observe(t_spacecraft_s, gps_ms)
        offset_ms = self.map.offset_ms
        if self.offset_ms is None or offset_ms is None or abs(offset_ms - self.offset_ms) > OFFSET_STEP_MS:
            self.offset_ms = offset_ms
        is_first = self.reference_s is None and self._uses_utc
        accepted = verdict is ClockVerdict.CONSISTENT or self.is_continuous(t_spacecraft_s) or is_first
        if accepted:
            self.reference_s = t_spacecraft_s
        return accepted

    def settle(self, t_spacecraft_s: int) -> None:
        """Accept an uncertain time that no GPS packet can confirm, if the map covers it; otherwise accept none."""
        is_covered = self._uses_utc or self.map.to_gps_ms(t_spacecraft_s) is not None
        self.reference_s = t_spacecraft_s if is_covered else None

    def fell_back(self, t_spacecraft_s: int) -> bool:
        """Return True if a time is before the last accepted one: the clock was restarted or the value is damaged."""
        return self.reference_s is not None and t_spacecraft_s < self.reference_s - TAG_JITTER_S

    def gps_ms(self, t_spacecraft_s: int) -> int | None:
        """Return the GPS time in ms of an accepted spacecraft time; None while the clock offset is unknown."""
        offset_ms = self.as_utc_ms if self._uses_utc else self.offset_ms
        return None if offset_ms is None else gps_ms_from_spacecraft_s(t_spacecraft_s, offset_ms)

    @property
    def _uses_utc(self) -> bool:
        return self.offset_ms is None and self.as_utc_ms is not None
