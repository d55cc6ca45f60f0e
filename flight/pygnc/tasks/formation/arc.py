"""Observations from which the formation is solved: ranges with GPS times, and fixes of all satellites.

They are kept in memory as far back as `[formation] arc_max_s`: about 0.3 kB per range and 1 kB per fix.
"""

from collections.abc import Sequence
from typing import NamedTuple

from pygnc.bus.messages import GpsFix, Message, RangeMeasurement
from pygnc.estimators.formation.observations import RangeObservation, SatelliteFix
from pygnc.estimators.formation.settings import FormationSettings
from pygnc.estimators.orbit.settings import ScreeningSettings
from pygnc.tasks.formation.range_clock import RangeClock
from pygnc.tasks.orbit.tracker import fix_from, screen


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

    Args:
        settings: Settings of the formation.
        screening: Limits for plausible fixes.

    Attributes:
        ranges: Ranges between all satellites.
        newest_gps_ms: GPS milliseconds of the newest observation that concerns a partner; None before the first.
        counts: Numbers of ranges received, held until their time is known, without time, from a satellite to itself,
            repeated, and older than the arc, and of partners' fixes; named as in the status record.
    """

    def __init__(self, settings: FormationSettings, screening: ScreeningSettings) -> None:
        self._own_id = settings.own_id
        self._arc_max_ms = round(1e3 * settings.arc_max_s)
        self._screening = screening
        self._clock = RangeClock()
        self._fixes: dict[tuple[int, int], SatelliteFix] = {}
        self.ranges: list[RangeObservation] = []
        self._known: set[RangeObservation] = set()
        self._times: dict[tuple[int, int], MeasurementTime] = {}
        self.newest_gps_ms: int | None = None
        ranges = ("received", "held", "no_time", "rejected", "repeated", "old")
        self.counts = dict.fromkeys(("fixes_of_partners", *(f"ranges_{name}" for name in ranges)), 0)

    @property
    def fixes(self) -> Sequence[SatelliteFix]:
        """Fixes of all satellites, the first of each time."""
        return tuple(self._fixes.values())

    @property
    def times(self) -> list[MeasurementTime]:
        """Times of measurements that concern a partner, sorted."""
        return sorted(self._times.values())

    def process(self, message: Message) -> list[tuple[RangeObservation | SatelliteFix, int]]:
        """Process an input; return the observations that are usable now, in order, with the numbers of their inputs."""
        new: list[tuple[RangeObservation | SatelliteFix, int]] = []
        if isinstance(message, RangeMeasurement):
            self.counts["ranges_received"] += 1
            self.counts["ranges_held"] += 1
        elif isinstance(message, GpsFix) and screen(message, self._screening) is None:
            self.counts["fixes_of_partners"] += not message.is_own
            satellite_fix = SatelliteFix(message.satellite_id or self._own_id, fix_from(message, self._screening))
            key = satellite_fix.satellite, satellite_fix.gps_ms
            if key not in self._fixes:
                self._fixes[key] = satellite_fix
                new.append((satellite_fix, message.seq))
        discarded = self._clock.discarded
        for packet, gps_ms in self._clock.process(message):
            self.counts["ranges_held"] -= 1
            measured = RangeObservation(gps_ms, packet.satellite_id or self._own_id, packet.partner_id, packet.range_m)
            if measured.satellites[0] == measured.satellites[1]:
                self.counts["ranges_rejected"] += 1
                continue
            # A sender that got no acknowledgement repeats its range.
            if measured in self._known:
                self.counts["ranges_repeated"] += 1
                continue
            self._known.add(measured)
            self.ranges.append(measured)
            new.append((measured, packet.seq))
        self.counts["ranges_no_time"] += self._clock.discarded - discarded
        self.counts["ranges_held"] -= self._clock.discarded - discarded
        for observation, seq in new:
            gps_ms = observation.gps_ms
            for satellite in observation.satellites:
                if satellite != self._own_id:
                    self._times.setdefault((gps_ms, satellite), MeasurementTime(gps_ms, satellite, seq))
                    self.newest_gps_ms = max(self.newest_gps_ms or gps_ms, gps_ms)
        return new

    def remove_old(self) -> None:
        """Remove observations that are older than the arc."""
        begin_ms = (self.newest_gps_ms or 0) - self._arc_max_ms
        self._fixes = {key: entry for key, entry in self._fixes.items() if entry.gps_ms >= begin_ms}
        count = len(self.ranges)
        self.ranges = [measured for measured in self.ranges if measured.gps_ms >= begin_ms]
        self.counts["ranges_old"] += count - len(self.ranges)
        self._known = set(self.ranges)
        self._times = {key: time for key, time in self._times.items() if time.gps_ms >= begin_ms}
