"""GPS time of range packets, which carry the spacecraft time of the satellite that measured them.

Each satellite has its own clock, which restarts at each boot. It is mapped by the GPS packets of its own files: a GPS
packet of a range file and the first range after it are from about the same time. Our own sense records carry both times
in one packet; if there are any, they map our clock.

A range gets a time once three GPS packets of its boot agree. Until then it is held, and so is a range whose time
contradicts the map, because it belongs to a new boot or is damaged.
"""

from typing import Final, NamedTuple

from pygnc.bus.messages import BatchEnd, GpsFix, Message, RangeMeasurement
from pygnc.common.clock import gps_ms_from_week
from pygnc.estimators.clock.clock_map import CONFIRMATIONS, TOLERANCE_MS, ClockMap, ClockVerdict

HELD_MAX: Final = 256
"""More than an hour of ranges to three partners, one per minute each."""
ALONE_S: Final = 3600
"""A range without GPS time in its group is accepted within this time of one that has it."""


class TimedRange(NamedTuple):
    """A range and its GPS time, accurate to a second."""

    measurement: RangeMeasurement
    gps_ms: int


class HeldRange(NamedTuple):
    """A range whose time is unknown; `gps_ms` is that of the GPS packet before it, None if it has none."""

    measurement: RangeMeasurement
    gps_ms: int | None


class SatelliteClock:
    """Clock of one satellite, and its ranges whose time is unknown.

    Attributes:
        untimed: Number of ranges discarded because their time was not confirmed.
    """

    def __init__(self) -> None:
        self._map = ClockMap()
        self._held: list[HeldRange] = []
        self._group_gps_ms: int | None = None
        self._group_is_new = False
        self._from_sense = False
        self._accepted_s: int | None = None
        self.untimed = 0

    def take_fix(self, fix: GpsFix) -> list[TimedRange]:
        """Process a GPS packet; return the ranges whose time is known now, in the order of arrival."""
        gps_ms = gps_ms_from_week(fix.gps_week, fix.gps_tow_ms)
        if fix.t_spacecraft_s is None:
            self._group_gps_ms, self._group_is_new = gps_ms, True
            return []
        self._from_sense |= gps_ms is not None
        return self._observe(fix.t_spacecraft_s, gps_ms)

    def take_range(self, measurement: RangeMeasurement) -> list[TimedRange]:
        """Process a range packet; return the ranges whose time is known now, in the order of arrival."""
        self._held.append(HeldRange(measurement, self._group_gps_ms))
        is_first, self._group_is_new = self._group_is_new, False
        if is_first and not self._from_sense:
            timed = self._observe(measurement.t_spacecraft_s, self._group_gps_ms)
        else:
            timed = self._release(CONFIRMATIONS)
        discarded = max(0, len(self._held) - HELD_MAX)
        self._held = self._held[discarded:]
        self.untimed += discarded
        return timed

    def finish(self) -> list[TimedRange]:
        """Return held ranges with a time by the present map, at the end of the batch."""
        return self._release(1)

    def _observe(self, t_spacecraft_s: int, gps_ms: int | None) -> list[TimedRange]:
        verdict = self._map.observe(t_spacecraft_s, gps_ms)
        return self._release(CONFIRMATIONS, t_spacecraft_s if verdict is ClockVerdict.CONSISTENT else None)

    def _release(self, observations: int, confirmed_s: int | None = None) -> list[TimedRange]:
        """Return held ranges of the present boot, once its map has the given number of observations.

        If spacecraft time `confirmed_s` agrees with the map, the other held ranges are discarded.
        """
        segment = self._map.current
        if segment is None or segment.observations < observations:
            return []
        timed: list[TimedRange] = []
        held, self._held = self._held, []
        for waiting in held:
            gps_ms = self._map.to_gps_ms(waiting.measurement.t_spacecraft_s)
            if gps_ms is not None and self._belongs(waiting, gps_ms, confirmed_s, segment.readings_s[-1]):
                timed.append(TimedRange(waiting.measurement, gps_ms))
            elif confirmed_s is None:
                self._held.append(waiting)
            else:
                self.untimed += 1
        return timed

    def _belongs(self, waiting: HeldRange, gps_ms: int, confirmed_s: int | None, last_reading_s: int) -> bool:
        """Return True if a range is of the current boot; `gps_ms` is its time by that boot's map."""
        t_spacecraft_s = waiting.measurement.t_spacecraft_s
        if waiting.gps_ms is not None and abs(gps_ms - waiting.gps_ms) <= TOLERANCE_MS:
            self._accepted_s = t_spacecraft_s
            return True
        if self._accepted_s is not None and confirmed_s is not None:
            # The clock was continuous in between, so the GPS packet of the group is damaged or missing.
            return self._accepted_s <= t_spacecraft_s <= confirmed_s
        near_s = last_reading_s if self._accepted_s is None else self._accepted_s
        return waiting.gps_ms is None and abs(t_spacecraft_s - near_s) <= ALONE_S


class RangeClock:
    """Clocks of all satellites; our own is satellite 0."""

    def __init__(self) -> None:
        self._clocks: dict[int, SatelliteClock] = {}

    @property
    def untimed(self) -> int:
        """Number of ranges discarded because their time was not confirmed."""
        return sum(clock.untimed for clock in self._clocks.values())

    def process(self, message: Message) -> list[TimedRange]:
        """Process one input; return the ranges whose time is known now, per satellite in the order of arrival."""
        if isinstance(message, GpsFix):
            return self._clock(message.satellite_id).take_fix(message)
        if isinstance(message, RangeMeasurement):
            return self._clock(message.satellite_id).take_range(message)
        if isinstance(message, BatchEnd):
            return [timed for clock in self._clocks.values() for timed in clock.finish()]
        return []

    def _clock(self, satellite_id: int) -> SatelliteClock:
        return self._clocks.setdefault(satellite_id, SatelliteClock())
