"""HTTP operations of the page: newest values, air quality and places of all gadgets, and the coastline of the map."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, select
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from pygnc_devices.files import data_file
from pygnc_station.server import air_quality
from pygnc_station.server.context import context_of
from pygnc_station.server.corrections import HUMIDITY, Correction
from pygnc_station.server.operations import Operation
from pygnc_station.server.series_api import corrected_summary, value_and_humidity
from pygnc_station.settings import Serve
from pygnc_station.store import schema
from pygnc_station.store.hourly import hours_of
from pygnc_station.store.query import Span, newest_of_each_kind, streams_of
from pygnc_station.store.readings import HOUR_MS, Quality, StoredReading, Stream, clock_ms

COASTLINE: Final = "coastline/coastline.txt"
_HEADLINES: Final = 4
_ORDER: Final = tuple(
    re.compile(pattern)
    for pattern in (
        r"pm_?2[._]?5", r"pm_?10(?!\d)", r"pm_?0?1(?!\d)", r"state_of_charge", r"^pack_v", r"^current_a",
        r"^cell_min_v", r"^cell_max_v", r"^temperature_(average_)?deg|^temp", r"^humidity|^rh$",
    )
)  # fmt: skip
"""Names of values, the most interesting first."""
_A_DAY_S: Final = 86_400


def overview(request: Request) -> object:
    """Return the newest values, the air quality index and the place of each gadget.

    `values` contains the most interesting values, PM2.5 first, with their corrected values if a correction applies.
    """
    context = context_of(request)
    newest: dict[str, list[tuple[StoredReading, Stream]]] = defaultdict(list)
    for found in newest_of_each_kind(context.store):
        newest[found[1].gadget_id].append(found)
    now_ms = clock_ms()
    with context.store.reads() as connection:
        by_gadget: dict[str, list[Stream]] = defaultdict(list)
        for stream in streams_of(connection):
            by_gadget[stream.gadget_id].append(stream)
        gateways = _gateways(connection)
        gadgets = [
            {
                "gadget": name,
                "gateway": gateways.get(name, ""),
                **_newest_json(newest[name], context.serve),
                "air_quality": _air_quality(connection, by_gadget[name], context.serve, now_ms),
                "location": msgspec.to_builtins(context.serve.gadget(name).location),
            }
            for name in sorted(newest)
        ]
    categories = [each.category for each in air_quality.break_points()["pm_2_5_ug_m3"]]
    return {"time_ms": now_ms, "air_quality_categories": categories, "gadgets": gadgets}


def coastline(_: Request) -> Response:
    """Return the coastline of the map; data/coastline/README.md describes the text."""
    headers = {"cache-control": f"private, max-age={_A_DAY_S}"}
    return FileResponse(data_file(COASTLINE), media_type="text/plain; charset=utf-8", headers=headers)


def _gateways(connection: Connection) -> dict[str, str]:
    d, g = schema.devices.c, schema.gateways.c
    query = select(d.gadget_id, g.name).join_from(schema.devices, schema.gateways, d.gateway_id == g.id)
    return {row.gadget_id: row.name for row in connection.execute(query)}


def _newest_json(found: Sequence[tuple[StoredReading, Stream]], serve: Serve) -> dict[str, Any]:
    """Return time, flags and the most interesting values of the newest readings of a gadget."""
    last, stream = max(found, key=lambda each: each[0].t_utc_ms)
    values = sorted(_values(found, serve), key=lambda each: each[0])
    names: dict[str, dict[str, Any]] = {}
    for _, value in values:
        names.setdefault(value["name"], value)
    return {
        "kind": stream.layout.kind,
        "family": stream.family,
        "last_reading_ms": last.t_utc_ms,
        "quality": [flag.name for flag in Quality(last.quality)],
        "flags": last.flags.split(",") if last.flags else [],
        "values": list(names.values())[:_HEADLINES],
    }


def _values(
    found: Sequence[tuple[StoredReading, Stream]], serve: Serve
) -> Iterator[tuple[tuple[int, int, int], dict[str, Any]]]:
    """Yield the numbers of readings with their order: by name, the newest reading first, by column."""
    for reading, stream in found:
        settings = serve.gadget(stream.gadget_id)
        columns = stream.layout.columns
        numbers = {
            column.name: value
            for column, value in zip(columns, reading.values, strict=False)
            if isinstance(value, int | float) and not isinstance(value, bool)
        }
        for rank, column in enumerate(columns):
            if column.name not in numbers:
                continue
            value = numbers[column.name]
            each: dict[str, Any] = {
                "name": column.name,
                "title": column.csv_name or column.name,
                "unit": column.csv_unit if column.csv_per_unit != 1.0 else column.unit,
                "per_unit": column.csv_per_unit,
                "value": value,
            }
            if correct := Correction.of(stream.layout, column.name, settings, serve.kappa):
                each["corrected"] = correct(value, numbers.get(HUMIDITY))
            yield (_prominence(column.name, column.unit), -reading.t_utc_ms, rank), each


def _prominence(name: str, unit: str) -> int:
    for rank, pattern in enumerate(_ORDER):
        if pattern.search(name):
            return rank
    return len(_ORDER) + (0 if unit and not re.fullmatch(r"[mµun]?s", unit) else 1)


def _air_quality(
    connection: Connection, among: Sequence[Stream], serve: Serve, now_ms: int
) -> dict[str, str | int | float] | None:
    """Return the highest index of the NowCasts of corrected hourly means, None if the last hours have no means."""
    this_hour = now_ms // HOUR_MS
    span = Span((this_hour - air_quality.HOURS) * HOUR_MS, this_hour * HOUR_MS)
    worst: dict[str, str | int | float] | None = None
    for name in air_quality.break_points():
        means = _hourly_means(connection, among, name, serve, span)
        concentration = air_quality.nowcast([means.get(this_hour - age) for age in range(1, air_quality.HOURS + 1)])
        if concentration is not None:
            found = air_quality.air_quality(name, concentration)
            if worst is None or found.index > int(worst["index"]):
                worst = {"index": found.index, "category": found.category, "rank": found.rank}
                worst |= {"name": name, "nowcast_ug_m3": round(concentration, 2)}
    return worst


def _hourly_means(
    connection: Connection, among: Sequence[Stream], name: str, serve: Serve, span: Span
) -> dict[int, float]:
    """Return the corrected means of one value by hour; of several streams, the one that was created last counts."""
    means: dict[int, float] = {}
    for stream in among:
        if name in stream.layout.names:
            correct = Correction.of(stream.layout, name, serve.gadget(stream.gadget_id), serve.kappa)
            for hour in hours_of(connection, stream, value_and_humidity(name, correct), span):
                if (found := corrected_summary(hour, correct)) is not None:
                    means[found.hour] = found.mean
    return means


OPERATIONS: Final = (
    Operation("GET", "/api/v1/overview/", overview),
    Operation("GET", "/api/v1/coastline/", coastline),
)
