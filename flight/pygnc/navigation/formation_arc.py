"""Observations from which the formation is solved: ranges with GPS times, and fixes of all satellites.

Memory holds those of the last `[formation] arc_max_s` seconds: about 0.3 kB per range and 1 kB per fix.

Packets have no checksum, and one flipped bit in the week of a GPS packet would make all other observations older than
the arc. An observation that is later than all others by more than the arc is therefore held until others agree with it.
Inputs come in order of time, so several observations with such a time are wrong if as many earlier ones follow them.
"""

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from pygnc.bus.messages import BatchEnd, GnssFix, Message, RangeMeasurement
from pygnc.estimators.clock.clock_map import CONFIRMATIONS
from pygnc.estimators.formation.observations import RangeObservation, SatelliteFix
from pygnc.estimators.formation.settings import FormationSettings
from pygnc.estimators.orbit.settings import ScreeningSettings
from pygnc.navigation.range_clock import HELD_MAX, RangeClock
from pygnc.navigation.screening import fix_from, screen

Observation: TypeAlias = RangeObservation | SatelliteFix


class MeasurementTime(NamedTuple):
    """Time of a measurement that concerns a partner; sorts by time.

    Attributes:
        gps_ms: GPS milliseconds of the measurement.
        partner: Radio id of the partner.
        input_seq: Input number of the packet.
    """

    gps_ms: int
    partner: int
    input_seq: int


class FormationArc:
    """Observations within the arc.

    Attributes:
        ranges: Ranges between all satellites, in the order of arrival, as keys.
        newest_gps_ms: GPS milliseconds of the newest observation that concerns a partner; None before the first.
    """

    def __init__(self, settings: FormationSettings, screening: ScreeningSettings) -> None:
        self._own_id = settings.own_id
        self._arc_max_ms = round(1e3 * settings.arc_max_s)
        self._screening = screening
        self._clock = RangeClock()
        self._fixes: dict[tuple[int, int], SatelliteFix] = {}
        self.ranges: dict[RangeObservation, None] = {}
        self._times: dict[tuple[int, int], MeasurementTime] = {}
        self._last_ms: int | None = None
        """GPS milliseconds of the latest observation whose time others confirm."""
        self._ahead: list[tuple[Observation, int]] = []
        """Held observations, later than `_last_ms` by more than the arc, with the numbers of their inputs."""
        self._behind = 0
        """Number of successive observations that are earlier than `_last_ms` by more than the arc."""
        self.newest_gps_ms: int | None = None
        ranges = ("received", "held", "no_time", "rejected", "repeated", "old")
        self._counts = dict.fromkeys(("fixes_of_partners", *(f"ranges_{name}" for name in ranges)), 0)

    @property
    def counts(self) -> dict[str, int]:
        """Counters of ranges received, held, without time, rejected, repeated and old, and of partners' fixes.

        The names are those of the status record. Held ranges wait until their time is known, rejected ones are from a
        satellite to itself, and old ones are older than the arc.
        """
        counts = self._counts | {"ranges_no_time": self._counts["ranges_no_time"] + self._clock.discarded}
        left = sum(counts[f"ranges_{name}"] for name in ("no_time", "rejected", "repeated", "old"))
        return counts | {"ranges_held": counts["ranges_received"] - left - len(self.ranges)}

    @property
    def fixes(self) -> Sequence[SatelliteFix]:
        """Fixes of all satellites, the first of each time."""
        return tuple(self._fixes.values())

    @property
    def times(self) -> list[MeasurementTime]:
        """Times of measurements that concern a partner, sorted."""
        return sorted(self._times.values())

    def process(self, message: Message) -> list[tuple[Observation, int]]:
        """Process an input; return the observations that became usable, in order, with the numbers of their inputs."""
        usable = self._confirmed(self._arrived(message))
        if isinstance(message, BatchEnd) and self._last_ms is None:
            # Fewer than `CONFIRMATIONS` agreeing times cannot show which of them is wrong, so all are used.
            usable, self._ahead = self._ahead, []
        new = [entry for entry in usable if self._is_added(entry[0])]
        for observation, seq in new:
            gps_ms = observation.gps_ms
            for satellite in observation.satellites:
                if satellite != self._own_id:
                    self._times.setdefault((gps_ms, satellite), MeasurementTime(gps_ms, satellite, seq))
                    self.newest_gps_ms = max(self.newest_gps_ms or gps_ms, gps_ms)
        return new

    def _arrived(self, message: Message) -> list[tuple[Observation, int]]:
        """Return the fix of an input, and the ranges whose time it makes known."""
        arrived: list[tuple[Observation, int]] = []
        if isinstance(message, RangeMeasurement):
            self._counts["ranges_received"] += 1
        elif isinstance(message, GnssFix) and screen(message, self._screening) is None:
            self._counts["fixes_of_partners"] += not message.is_own
            fix = SatelliteFix(message.satellite_id or self._own_id, fix_from(message, self._screening))
            arrived.append((fix, message.seq))
        for packet, gps_ms in self._clock.process(message):
            measured = RangeObservation(gps_ms, packet.satellite_id or self._own_id, packet.partner_id, packet.range_m)
            if measured.one == measured.other:
                self._counts["ranges_rejected"] += 1
            else:
                arrived.append((measured, packet.seq))
        return arrived

    def _confirmed(self, arrived: list[tuple[Observation, int]]) -> list[tuple[Observation, int]]:
        """Return the new and held observations whose times are confirmed; hold or discard the others."""
        confirmed: list[tuple[Observation, int]] = []
        for entry in arrived:
            gps_ms = entry[0].gps_ms
            if self._last_ms is not None and gps_ms <= self._last_ms + self._arc_max_ms:
                confirmed.append(entry)
                self._behind = self._behind + 1 if gps_ms < self._last_ms - self._arc_max_ms else 0
                if self._behind >= CONFIRMATIONS:
                    self._remove_if_outnumbered(self._last_ms - self._arc_max_ms, gps_ms)
                self._last_ms = max(self._last_ms, gps_ms)
                continue
            held = [*self._ahead, entry]
            agreeing = [other for other in held if abs(other[0].gps_ms - gps_ms) <= self._arc_max_ms]
            if len(agreeing) >= CONFIRMATIONS:
                confirmed += agreeing
                self._last_ms, self._ahead = max(other.gps_ms for other, _ in agreeing), []
                left = [other for other, _ in held if abs(other.gps_ms - gps_ms) > self._arc_max_ms]
            else:
                self._ahead = held[-HELD_MAX:]
                left = [other for other, _ in held[:-HELD_MAX]]
            self._counts["ranges_no_time"] += sum(isinstance(other, RangeObservation) for other in left)
        return confirmed

    def _remove_if_outnumbered(self, begin_ms: int, newest_ms: int) -> None:
        """Remove the observations from `begin_ms` on if as many earlier ones, up to `newest_ms`, have followed them."""
        fixes = {key: entry for key, entry in self._fixes.items() if entry.gps_ms < begin_ms}
        ranges = {measured: None for measured in self.ranges if measured.gps_ms < begin_ms}
        late_ranges = len(self.ranges) - len(ranges)
        if self._behind < len(self._fixes) - len(fixes) + late_ranges:
            return
        self._fixes, self.ranges = fixes, ranges
        self._counts["ranges_no_time"] += late_ranges
        self._times = {key: time for key, time in self._times.items() if time.gps_ms < begin_ms}
        self.newest_gps_ms = max((time.gps_ms for time in self._times.values()), default=None)
        self._last_ms, self._behind = newest_ms, 0

    def _is_added(self, observation: Observation) -> bool:
        """Add an observation to the arc; return False if the arc contains it already."""
        if isinstance(observation, SatelliteFix):
            key = observation.satellite, observation.gps_ms
            return self._fixes.setdefault(key, observation) is observation
        # Repeated ranges are normal: a sender without an acknowledgement sends its range again.
        if observation in self.ranges:
            self._counts["ranges_repeated"] += 1
            return False
        self.ranges[observation] = None
        return True

    def remove_old(self) -> int:
        """Remove observations older than the newest one by more than the arc; return the begin of the arc, GPS ms."""
        begin_ms = (self.newest_gps_ms or 0) - self._arc_max_ms
        self.remove_before(begin_ms)
        return begin_ms

    def remove_before(self, begin_ms: int) -> None:
        """Remove observations before `begin_ms`, GPS ms."""
        self._fixes = {key: entry for key, entry in self._fixes.items() if entry.gps_ms >= begin_ms}
        count = len(self.ranges)
        self.ranges = {measured: None for measured in self.ranges if measured.gps_ms >= begin_ms}
        self._counts["ranges_old"] += count - len(self.ranges)
        self._times = {key: time for key, time in self._times.items() if time.gps_ms >= begin_ms}
