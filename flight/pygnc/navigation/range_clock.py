"""GPS time of range packets, which carry the spacecraft time of the satellite that measured them.

Each satellite has its own clock, which restarts at each boot. The GPS packets of its own files map the clock: a GPS
packet of a range file and the first range after it are from about the same time. Our own sense records contain both
times in one packet; if there are any, they map our clock instead.

A range gets a time once three GPS packets of its boot agree; until then it is held. A range whose time contradicts the
map belongs to a new boot or is damaged. It is also held.
"""

from collections import defaultdict
from typing import Final

from pygnc.bus.messages import BatchEnd, GnssFix, Message, RangeMeasurement
from pygnc.estimators.clock.clock_map import CONFIRMATIONS, TOLERANCE_MS, ClockMap, ClockVerdict

HELD_MAX: Final = 256
"""Maximum number of held ranges of a satellite: over an hour of ranges to three partners, each once per minute."""
ALONE_S: Final = 3600
"""Maximum time in s from an accepted range to a range whose group (a GPS packet and its ranges) has no GPS time."""


class SatelliteClock:
    """Clock map of one satellite, and its ranges whose GPS time is unknown.

    Attributes:
        discarded: Number of ranges discarded because their time was not confirmed.
    """

    def __init__(self) -> None:
        self._map = ClockMap()
        self._held: list[tuple[RangeMeasurement, int | None]] = []
        """Ranges whose time is unknown, with the GPS time (ms) of the packet before each; None if it has none."""
        self._group_gps_ms: int | None = None
        self._group_is_new = False
        self._from_sense = False
        self._accepted_s: int | None = None
        self.discarded = 0

    def take_fix(self, fix: GnssFix) -> list[tuple[RangeMeasurement, int]]:
        """Process a GPS packet; return held ranges whose time becomes known, with their GPS milliseconds."""
        gps_ms = fix.gps_ms
        if fix.t_spacecraft_s is None:
            self._group_gps_ms, self._group_is_new = gps_ms, True
            return []
        self._from_sense |= gps_ms is not None
        return self._observe(fix.t_spacecraft_s, fix.gps_ms_at_second)

    def take_range(self, measurement: RangeMeasurement) -> list[tuple[RangeMeasurement, int]]:
        """Process a range packet; return ranges whose time becomes known, with their GPS milliseconds."""
        self._held.append((measurement, self._group_gps_ms))
        is_first, self._group_is_new = self._group_is_new, False
        if is_first and not self._from_sense:
            timed = self._observe(measurement.t_spacecraft_s, self._group_gps_ms)
        else:
            timed = self._release(CONFIRMATIONS)
        excess = max(0, len(self._held) - HELD_MAX)
        self._held = self._held[excess:]
        self.discarded += excess
        return timed

    def finish(self) -> list[tuple[RangeMeasurement, int]]:
        """Return held ranges with GPS milliseconds at the end of the batch, when one GPS packet suffices for a map."""
        return self._release(1)

    def _observe(self, t_spacecraft_s: int, gps_ms: int | None) -> list[tuple[RangeMeasurement, int]]:
        verdict = self._map.observe(t_spacecraft_s, gps_ms)
        return self._release(CONFIRMATIONS, t_spacecraft_s if verdict is ClockVerdict.CONSISTENT else None)

    def _release(self, observations: int, confirmed_s: int | None = None) -> list[tuple[RangeMeasurement, int]]:
        """Return held ranges of the current boot, once its map has the given number of observations.

        If spacecraft time `confirmed_s` agrees with the map, the other held ranges are discarded.
        """
        segment = self._map.current
        if segment is None or segment.observations < observations:
            return []
        timed: list[tuple[RangeMeasurement, int]] = []
        held, self._held = self._held, []
        for measurement, group_gps_ms in held:
            t_spacecraft_s = measurement.t_spacecraft_s
            gps_ms = self._map.to_gps_ms(t_spacecraft_s)
            if gps_ms is None:
                belongs = False
            elif group_gps_ms is not None and abs(gps_ms - group_gps_ms) <= TOLERANCE_MS:
                self._accepted_s, belongs = t_spacecraft_s, True
            elif self._accepted_s is not None and confirmed_s is not None:
                # The clock was continuous in between, so the GPS packet of the group is damaged or missing.
                belongs = self._accepted_s <= t_spacecraft_s <= confirmed_s
            else:
                near_s = segment.readings_s[-1] if self._accepted_s is None else self._accepted_s
                belongs = group_gps_ms is None and abs(t_spacecraft_s - near_s) <= ALONE_S
            if gps_ms is not None and belongs:
                timed.append((measurement, gps_ms))
            elif confirmed_s is None:
                self._held.append((measurement, group_gps_ms))
            else:
                self.discarded += 1
        return timed


class RangeClock:
    """Clocks of all satellites by id; our own has id 0 in inputs."""

    def __init__(self) -> None:
        self._clocks: defaultdict[int, SatelliteClock] = defaultdict(SatelliteClock)

    @property
    def discarded(self) -> int:
        """Number of ranges discarded because their time was not confirmed."""
        return sum(clock.discarded for clock in self._clocks.values())

    def process(self, message: Message) -> list[tuple[RangeMeasurement, int]]:
        """Process one input; return the ranges whose time is known now, with GPS milliseconds accurate to a second.

        The ranges of a satellite are in the order of arrival.
        """
        if isinstance(message, GnssFix):
            return self._clocks[message.satellite_id].take_fix(message)
        if isinstance(message, RangeMeasurement):
            return self._clocks[message.satellite_id].take_range(message)
        if isinstance(message, BatchEnd):
            return [timed for clock in self._clocks.values() for timed in clock.finish()]
        return []
