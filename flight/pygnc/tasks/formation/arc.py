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
from pygnc.tasks.orbit.screening import fix_from, screen


class MeasurementTime(NamedTuple):
    """Time of a measurement that concerns a partner; sorts by time.

    Attributes:
        gps_ms: Time of the measurement.
        partner: Radio id of the partner.
        input_seq: Input number of the packet.
    """

    gps_ms: int
    partner: int
    input_seq: int


class Observed(NamedTuple):
    """A range or a fix with the input number of its packet."""

    what: RangeObservation | SatelliteFix
    input_seq: int

    @property
    def gps_ms(self) -> int:
        """Time of the measurement."""
        return self.what.gps_ms if isinstance(self.what, RangeObservation) else self.what.fix.gps_ms

    @property
    def satellites(self) -> tuple[int, ...]:
        """Radio ids of the satellites that it concerns."""
        if isinstance(self.what, RangeObservation):
            return self.what.one, self.what.other
        return (self.what.satellite,)


class FormationArc:
    """Observations within the arc.

    Args:
        settings: Settings of the formation.
        screening: Limits for plausible fixes.

    Attributes:
        ranges: Ranges between all satellites.
        newest_gps_ms: Time of the newest observation that concerns a partner; None before the first.
        counts: Ranges received, held until their time is known, without time, and partners' fixes; named as in the
            status record.
    """

    def __init__(self, settings: FormationSettings, screening: ScreeningSettings) -> None:
        self._own_id = settings.own_id
        self._arc_max_ms = round(1e3 * settings.arc_max_s)
        self._screening = screening
        self._clock = RangeClock()
        self._fix_of: dict[tuple[int, int], SatelliteFix] = {}
        self.ranges: list[RangeObservation] = []
        self._known: set[RangeObservation] = set()
        self._times: dict[tuple[int, int], MeasurementTime] = {}
        self.newest_gps_ms: int | None = None
        self.counts = dict.fromkeys(("ranges_received", "ranges_held", "ranges_no_time", "fixes_of_partners"), 0)

    @property
    def fixes(self) -> Sequence[SatelliteFix]:
        """Fixes of all satellites, the first of each time."""
        return tuple(self._fix_of.values())

    @property
    def times(self) -> list[MeasurementTime]:
        """Times of measurements that concern a partner, sorted."""
        return sorted(self._times.values())

    def process(self, message: Message) -> list[Observed]:
        """Process an input; return the observations that are usable now, in order."""
        new: list[Observed] = []
        if isinstance(message, RangeMeasurement):
            self.counts["ranges_received"] += 1
            self.counts["ranges_held"] += 1
        elif isinstance(message, GpsFix):
            new += self._take_fix(message)
        before = self._clock.untimed
        for seen, gps_ms in self._clock.process(message):
            one = seen.satellite_id or self._own_id
            self.counts["ranges_held"] -= 1
            measured = RangeObservation(gps_ms, one, seen.partner_id, seen.range_m)
            if measured in self._known:
                continue  # repeated by a sender that got no acknowledgement
            self._known.add(measured)
            self.ranges.append(measured)
            new.append(Observed(measured, seen.seq))
            self._note(gps_ms, (one, seen.partner_id), seen.seq)
        given_up = self._clock.untimed - before
        self.counts["ranges_no_time"] += given_up
        self.counts["ranges_held"] -= given_up
        return new

    def remove_old(self) -> None:
        """Remove observations that are older than the arc."""
        begin_ms = (self.newest_gps_ms or 0) - self._arc_max_ms
        self._fix_of = {key: seen for key, seen in self._fix_of.items() if seen.fix.gps_ms >= begin_ms}
        self.ranges = [seen for seen in self.ranges if seen.gps_ms >= begin_ms]
        self._known = set(self.ranges)
        self._times = {key: one for key, one in self._times.items() if one.gps_ms >= begin_ms}

    def _take_fix(self, message: GpsFix) -> list[Observed]:
        if screen(message, self._screening) is not None:
            return []
        fix = fix_from(message, self._screening)
        satellite = message.satellite_id or self._own_id
        self.counts["fixes_of_partners"] += not message.is_own
        if (satellite, fix.gps_ms) in self._fix_of:
            return []
        self._fix_of[satellite, fix.gps_ms] = SatelliteFix(satellite, fix)
        self._note(fix.gps_ms, (satellite,), message.seq)
        return [Observed(self._fix_of[satellite, fix.gps_ms], message.seq)]

    def _note(self, gps_ms: int, satellites: tuple[int, ...], seq: int) -> None:
        for satellite in satellites:
            if satellite != self._own_id:
                self._times.setdefault((gps_ms, satellite), MeasurementTime(gps_ms, satellite, seq))
                self.newest_gps_ms = max(self.newest_gps_ms or gps_ms, gps_ms)
