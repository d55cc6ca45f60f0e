"""What the formation estimator is given: ranges between radios and GPS fixes, and which of them it takes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from pygnc.estimators.orbit.measurement import Fix

Pair: TypeAlias = tuple[int, int]
"""Radio ids, the lower one first: both directions of a pair share their bias."""


@dataclass(frozen=True, slots=True)
class RangeObservation:
    """One measured range.

    Attributes:
        gps_ms: GPS milliseconds since the GPS epoch.
        one: Radio id of the satellite that measured.
        other: Radio id of the satellite to which it measured.
        range_m: With the pair's bias.
    """

    gps_ms: int
    one: int
    other: int
    range_m: float

    @property
    def pair(self) -> Pair:
        """The two satellites."""
        return min(self.one, self.other), max(self.one, self.other)


@dataclass(frozen=True, slots=True, eq=False)
class SatelliteFix:
    """A GPS fix and the satellite, by radio id, that made it."""

    satellite: int
    fix: Fix


class Arc(NamedTuple):
    """The observations of one solution, in order of time, each once.

    Attributes:
        fixes: By satellite; our own is there even without any.
        ranges: By pair.
    """

    fixes: dict[int, tuple[Fix, ...]]
    ranges: dict[Pair, tuple[RangeObservation, ...]]

    @property
    def span_ms(self) -> tuple[int, int]:
        """First and last moment of an observation."""
        times = [fix.gps_ms for fixes in self.fixes.values() for fix in fixes]
        times += [seen.gps_ms for ranges in self.ranges.values() for seen in ranges]
        return min(times), max(times)

    @property
    def satellites(self) -> tuple[int, ...]:
        """Whoever is named, in order of ids."""
        return tuple(sorted({*self.fixes, *(end for pair in self.ranges for end in pair)}))


def select_arc(
    own_id: int,
    near_gps_ms: int,
    arc_max_ms: int,
    fixes: Sequence[SatelliteFix],
    ranges: Sequence[RangeObservation],
) -> Arc | None:
    """The observations of the last `arc_max_ms`, without repetitions.

    What lies farther than that from `near_gps_ms`, a moment of the arc, has a wrong time. A satellite's range to
    itself, and one that is no number, are left out.

    Returns:
        None when nothing is left.
    """
    by_moment = {
        (entry.satellite, entry.fix.gps_ms): entry.fix
        for entry in reversed(fixes)
        if abs(entry.fix.gps_ms - near_gps_ms) <= arc_max_ms
    }
    by_exchange = {
        (seen.pair, seen.gps_ms, seen.one): seen
        for seen in reversed(ranges)
        if abs(seen.gps_ms - near_gps_ms) <= arc_max_ms and seen.one != seen.other and math.isfinite(seen.range_m)
    }
    times = [*(gps_ms for _, gps_ms in by_moment), *(gps_ms for _, gps_ms, _ in by_exchange)]
    if not times:
        return None
    begin_ms = max(times) - arc_max_ms
    of_satellites: dict[int, list[Fix]] = {own_id: []}
    for satellite, gps_ms in sorted(by_moment):
        if gps_ms >= begin_ms:
            of_satellites.setdefault(satellite, []).append(by_moment[satellite, gps_ms])
    of_pairs: dict[Pair, list[RangeObservation]] = {}
    for pair, gps_ms, one in sorted(by_exchange):
        if gps_ms >= begin_ms:
            of_pairs.setdefault(pair, []).append(by_exchange[pair, gps_ms, one])
    return Arc(
        {satellite: tuple(some) for satellite, some in of_satellites.items()},
        {pair: tuple(some) for pair, some in of_pairs.items()},
    )
