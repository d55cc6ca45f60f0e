"""Comparison of particle counters with their neighbours: units that are stuck, drift or are implausible.

Units within 10 km measure similar hourly means of PM2.5. Each hour is compared with the median of a unit and its
neighbours, of three units or more: one faulty unit does not move it, and is doubted itself.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Final, NamedTuple

from sqlalchemy import Connection

from pygnc_station.server.corrections import Corrections
from pygnc_station.server.fleet import Fleet
from pygnc_station.server_settings import Serve
from pygnc_station.settings_types import Location
from pygnc_station.store.hourly import hours_of
from pygnc_station.store.query import Span, streams_of
from pygnc_station.store.readings import HOUR_MS

NAME: Final = "pm_2_5_ug_m3"
RADIUS_KM: Final = 10.0
HOURS: Final = 28 * 24
_FEWEST_UNITS: Final = 3
_DAY_H: Final = 24
_WEEK_H: Final = 168
_FEWEST_HOURS_OF_DAY: Final = 12
_FEWEST_HOURS_OF_WEEK: Final = 48
_STUCK_H: Final = 6
_MOVED_UG_M3: Final = 5.0
"""Change of the neighbours' median during which a working unit changes, too."""
_DIFFERENCE_UG_M3: Final = 10.0
_FACTOR: Final = 2.0
_DRIFT_FACTOR: Final = 1.5
_LEAST_UG_M3: Final = 5.0
"""Concentration from which ratios are compared."""
_EARTH_KM: Final = 6371.0


class Hour(NamedTuple):
    """Lowest and highest stored value of an hour, and its corrected mean."""

    low: float
    high: float
    mean: float


class Unit(NamedTuple):
    """Unit with its place and its hours since 1970."""

    gadget: str
    location: Location
    hours: Mapping[int, Hour]


class Doubt(NamedTuple):
    """Unit that is doubted, and the reason."""

    gadget: str
    text: str


def read_units(connection: Connection, fleet: Fleet, serve: Serve) -> list[Unit]:
    """Return the units with a place, and their hours of the last four weeks."""
    gadgets = [gadget for gateway in fleet.gateways for gadget in gateway.gadgets] + fleet.gadgets
    places = {each.name: serve.gadget(each.name).location or each.location for each in gadgets}
    this_hour, of_server = fleet.time_ms // HOUR_MS, Corrections(connection, serve)
    among, corrections = [], {}
    for stream in streams_of(connection):
        if NAME in stream.layout.names and places.get(stream.gadget_id) is not None:
            corrections[stream.id] = correct = of_server.of(stream, NAME)
            among.append((stream, [NAME, *([correct.humidity] if correct and correct.humidity else [])]))
    found: dict[str, dict[int, Hour]] = {}
    span = Span((this_hour - HOURS) * HOUR_MS, this_hour * HOUR_MS)
    for stream, hour, (value, *humidities) in hours_of(connection, among, span):
        if value is not None:
            count, total, low, high = value
            wet, correct = humidities[0] if humidities else None, corrections[stream.id]
            mean = total / count
            if correct is not None:
                mean = correct(mean, wet[1] / wet[0] if wet else None, hour * HOUR_MS)
            found.setdefault(stream.gadget_id, {})[hour] = Hour(low, high, mean)
    return [Unit(name, place, hours) for name, hours in found.items() if (place := places[name]) is not None]


def doubts(units: Sequence[Unit], this_hour: int) -> Iterator[Doubt]:
    """Yield the units that differ from their neighbours; `this_hour`, since 1970, is not complete."""
    known: dict[tuple[str, ...], dict[int, float]] = {}
    for unit in units:
        group = [each for each in units if distance_km(unit.location, each.location) <= RADIUS_KM]
        if len(group) < _FEWEST_UNITS:
            continue
        key = tuple(each.gadget for each in group)
        of_group = known.get(key) or known.setdefault(key, _medians(group))
        medians = {hour: value for hour, value in of_group.items() if this_hour - HOURS <= hour and hour in unit.hours}
        day = {hour: value for hour, value in medians.items() if hour >= this_hour - _DAY_H}
        for text in (_stuck(unit, day), _implausible(unit, day), _drifting(unit, medians)):
            if text:
                yield Doubt(unit.gadget, text)


def _medians(group: Sequence[Unit]) -> dict[int, float]:
    """Return the median of each hour with values of enough units."""
    means: dict[int, list[float]] = {}
    for unit in group:
        for hour, found in unit.hours.items():
            means.setdefault(hour, []).append(found.mean)
    return {hour: median(values) for hour, values in means.items() if len(values) >= _FEWEST_UNITS}


def distance_km(one: Location, other: Location) -> float:
    """Return the distance on a sphere."""
    latitudes = math.radians(one.latitude_deg), math.radians(other.latitude_deg)
    d_longitude = math.radians(other.longitude_deg - one.longitude_deg)
    haversine = (
        math.sin((latitudes[1] - latitudes[0]) / 2) ** 2
        + math.cos(latitudes[0]) * math.cos(latitudes[1]) * math.sin(d_longitude / 2) ** 2
    )
    return 2 * _EARTH_KM * math.asin(min(1.0, math.sqrt(haversine)))


def _stuck(unit: Unit, day: Mapping[int, float]) -> str:
    """Return the reason if the newest hours have one value although the neighbours have moved."""
    if not day:
        return ""
    newest = unit.hours[max(day)]
    same = []
    for hour in sorted(day, reverse=True):
        if not newest.low == unit.hours[hour].low == unit.hours[hour].high:
            break
        same.append(day[hour])
    if len(same) < _STUCK_H or max(same) - min(same) < _MOVED_UG_M3:
        return ""
    moved = max(same) - min(same)
    return f"is stuck at {newest.low:g} µg/m³ for {len(same)} h, in which its neighbours moved by {moved:.0f} µg/m³"


def _implausible(unit: Unit, day: Mapping[int, float]) -> str:
    """Return the reason if the last day is far from that of the neighbours."""
    if len(day) < _FEWEST_HOURS_OF_DAY:
        return ""
    own, others = median(unit.hours[hour].mean for hour in day), median(day.values())
    is_far = abs(own - others) > _DIFFERENCE_UG_M3 and not others / _FACTOR <= own <= others * _FACTOR
    return f"is implausible: {own:.0f} µg/m³ in the last day, where its neighbours have {others:.0f}" if is_far else ""


def _drifting(unit: Unit, medians: Mapping[int, float]) -> str:
    """Return the reason if the ratio to the neighbours has changed within the weeks."""
    ratios = {
        hour: unit.hours[hour].mean / others
        for hour, others in medians.items()
        if others >= _LEAST_UG_M3 and unit.hours[hour].mean > 0
    }
    if not ratios:
        return ""
    first, last = min(ratios), max(ratios)
    early = [ratio for hour, ratio in ratios.items() if hour < first + _WEEK_H]
    late = [ratio for hour, ratio in ratios.items() if hour > last - _WEEK_H]
    if min(len(early), len(late)) < _FEWEST_HOURS_OF_WEEK or last - first < 2 * _WEEK_H:
        return ""
    change = median(late) / median(early)
    if 1 / _DRIFT_FACTOR <= change <= _DRIFT_FACTOR:
        return ""
    days = (last - first) / _DAY_H
    ends = f"from {median(early):.2f} to {median(late):.2f}"
    return f"drifts: its ratio to its neighbours has changed {ends} in {days:.0f} days"
