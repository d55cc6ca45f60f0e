"""Observations of the formation estimator: ranges between radios, GPS fixes, and the arc selected from them."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from pygnc.estimators.formation.settings import FormationSettings
from pygnc.estimators.orbit.measurement import Fix

Pair: TypeAlias = tuple[int, int]
"""Radio ids of two satellites, the lower one first. Both directions of a pair share their range bias."""


@dataclass(frozen=True, slots=True)
class RangeObservation:
    """One measured range.

    Attributes:
        gps_ms: GPS milliseconds since the GPS epoch.
        one: Radio id of the satellite that measured the range.
        other: Radio id of the satellite at the other end.
        range_m: Measured range in m, including the bias of the pair.
    """

    gps_ms: int
    one: int
    other: int
    range_m: float

    @property
    def satellites(self) -> tuple[int, ...]:
        """Radio ids of the satellites: the measuring satellite, then the other end."""
        return self.one, self.other

    @property
    def pair(self) -> Pair:
        """Radio ids of the two satellites, the lower one first."""
        return min(self.one, self.other), max(self.one, self.other)


@dataclass(frozen=True, slots=True, eq=False)
class SatelliteFix:
    """A GPS fix with the radio id of the satellite that made it."""

    satellite: int
    fix: Fix

    @property
    def gps_ms(self) -> int:
        """GPS milliseconds since the GPS epoch."""
        return self.fix.gps_ms

    @property
    def satellites(self) -> tuple[int, ...]:
        """Radio id of the satellite."""
        return (self.satellite,)


class Arc(NamedTuple):
    """Observations of one solution, ordered by time and without duplicates.

    Attributes:
        fixes: Fixes by satellite; contains our own satellite even if it has none.
        ranges: Ranges by pair.
    """

    fixes: dict[int, tuple[Fix, ...]]
    ranges: dict[Pair, tuple[RangeObservation, ...]]

    @property
    def span_ms(self) -> tuple[int, int]:
        """GPS milliseconds of the first and the last observation."""
        times = [fix.gps_ms for fixes in self.fixes.values() for fix in fixes]
        times += [observation.gps_ms for ranges in self.ranges.values() for observation in ranges]
        return min(times), max(times)

    @property
    def satellites(self) -> tuple[int, ...]:
        """Radio ids of all satellites in the observations, in ascending order."""
        return tuple(sorted({*self.fixes, *(end for pair in self.ranges for end in pair)}))


def select_arc(
    settings: FormationSettings, near_gps_ms: int, fixes: Sequence[SatelliteFix], ranges: Sequence[RangeObservation]
) -> Arc | None:
    """Return the observations of the last `arc_max_s` without duplicates.

    Rejects observations farther than `arc_max_s` from `near_gps_ms` (wrong time tag), ranges of a satellite to itself
    and ranges that are not finite. Of duplicates, the first in the sequence is used.

    Args:
        settings: Radio id of our satellite and length of the arc.
        near_gps_ms: GPS milliseconds of a moment inside the arc.
        fixes: Fixes of all satellites, in any order.
        ranges: Ranges, in any order.

    Returns:
        The arc, or None if no observation is left.
    """
    arc_max_ms = round(1e3 * settings.arc_max_s)
    fix_by_key = {
        (entry.satellite, entry.gps_ms): entry.fix
        for entry in reversed(fixes)
        if abs(entry.gps_ms - near_gps_ms) <= arc_max_ms
    }
    range_by_key = {
        (observation.pair, observation.gps_ms, observation.one): observation
        for observation in reversed(ranges)
        if abs(observation.gps_ms - near_gps_ms) <= arc_max_ms
        and observation.one != observation.other
        and math.isfinite(observation.range_m)
    }
    times = [*(gps_ms for _, gps_ms in fix_by_key), *(gps_ms for _, gps_ms, _ in range_by_key)]
    if not times:
        return None
    begin_ms = max(times) - arc_max_ms
    satellite_fixes: dict[int, list[Fix]] = {settings.own_id: []}
    for satellite, gps_ms in sorted(fix_by_key):
        if gps_ms >= begin_ms:
            satellite_fixes.setdefault(satellite, []).append(fix_by_key[satellite, gps_ms])
    pair_ranges: dict[Pair, list[RangeObservation]] = {}
    for pair, gps_ms, one in sorted(range_by_key):
        if gps_ms >= begin_ms:
            pair_ranges.setdefault(pair, []).append(range_by_key[pair, gps_ms, one])
    return Arc(
        {satellite: tuple(observations) for satellite, observations in satellite_fixes.items()},
        {pair: tuple(observations) for pair, observations in pair_ranges.items()},
    )


def connected_groups(satellites: Sequence[int], pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Return the satellites in groups that are connected by pairs with ranges; pairs with others are ignored."""
    group = {satellite: satellite for satellite in satellites}
    for one, other in pairs:
        if one in group and other in group:
            merged, kept = group[other], group[one]
            group = {satellite: kept if label == merged else label for satellite, label in group.items()}
    return [
        [satellite for satellite in satellites if group[satellite] == label] for label in sorted(set(group.values()))
    ]
