"""HTTP operations of the page: newest values, air quality and places of all gadgets, map, and state of the fleet."""

import re
import shutil
from collections import defaultdict
from collections.abc import Container, Sequence
from dataclasses import asdict
from functools import cache
from typing import Any, Final, TypeAlias

import msgspec
from sqlalchemy import Connection, select
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from pygnc_station.server.air_quality import HOURS, LATEST_HOURS, AirQuality, Index, air_quality, break_points, nowcast
from pygnc_station.server.context import context_of
from pygnc_station.server.corrections import Corrections, value_of
from pygnc_station.server.fleet import read_fleet
from pygnc_station.server.operations import Operation
from pygnc_station.server.series_api import corrected_hours
from pygnc_station.store import schema
from pygnc_station.store.query import Span, newest_of_each_kind, streams_of
from pygnc_station.store.readings import HOUR_MS, Quality, StoredReading, Stream, clock_ms, number_of
from pygnc_system.files import data_file

COASTLINE: Final = "coastline/coastline.txt"
QualityJson: TypeAlias = dict[str, str | int | float]
_HEADLINES: Final = 4
_ORDER: Final = tuple(
    re.compile(pattern)
    for pattern in (
        r"pm_?2[._]?5", r"pm_?10(?!\d)", r"pm_?0?1(?!\d)", r"state_of_charge", r"^pack_v", r"^current_a",
        r"^cell_min_v", r"^cell_max_v", r"^temperature_(average_)?deg|^temp", r"^humidity|^rh$",
    )
)  # fmt: skip
"""Names of values, the most interesting first."""


def overview(request: Request) -> object:
    """Return the newest values, the air quality indices, the place and the time zone of each gadget.

    `values` contains the most interesting values, PM2.5 first, with their corrected values if a correction applies.
    """
    context = context_of(request)
    newest: dict[str, list[tuple[StoredReading, Stream]]] = defaultdict(list)
    for found in newest_of_each_kind(context.store):
        newest[found[1].gadget_id].append(found)
    now_ms = clock_ms()
    with context.store.reads() as connection:
        d, g = schema.devices.c, schema.gateways.c
        owners = select(d.gadget_id, g.name).join_from(schema.devices, schema.gateways, d.gateway_id == g.id)
        gateways = {row.gadget_id: row.name for row in connection.execute(owners)}
        corrections = Corrections(connection, context.serve)
        qualities, european = _air_qualities(connection, newest, corrections, now_ms)
    gadgets = [
        {
            "gadget": name,
            "gateway": gateways.get(name, ""),
            **_newest_json(newest[name], corrections),
            "air_quality": qualities.get(name),
            "european_air_quality": european.get(name),
            "location": msgspec.to_builtins(context.serve.gadget(name).location),
            "time_zone": context.serve.zone(name),
        }
        for name in sorted(newest)
    ]
    us, europe = ([each.category for each in break_points(of)["pm_2_5_ug_m3"]] for of in Index)
    return {
        "time_ms": now_ms,
        "air_quality_categories": us,
        "european_air_quality_categories": europe,
        "tiles": {"address": context.serve.tiles, "source": context.serve.tiles_source},
        "gadgets": gadgets,
    }


def coastline(_: Request) -> Response:
    """Return the coastline of the map; data/coastline/README.md describes the text."""
    headers = {"cache-control": "private, max-age=86400"}
    return FileResponse(data_file(COASTLINE), media_type="text/plain; charset=utf-8", headers=headers)


def fleet(request: Request) -> object:
    """Return the state of all gateways with their alerts and gadgets, and that of the server."""
    context = context_of(request)
    with context.store.reads() as connection:
        found = read_fleet(connection, clock_ms(), context.serve.alerts)
    disk = shutil.disk_usage(context.uploads.folder)
    return msgspec.to_builtins(found) | {"disk_free_bytes": disk.free, "disk_total_bytes": disk.total}


def _newest_json(found: Sequence[tuple[StoredReading, Stream]], corrections: Corrections) -> dict[str, Any]:
    """Return time, flags and the most interesting values of the newest readings of a gadget."""
    last, stream = max(found, key=lambda each: each[0].t_utc_ms)
    chosen: dict[str, dict[str, Any]] = {}
    # Of a value that several kinds of readings contain, the newest counts.
    for _, _, rank, of in sorted(
        (_prominence(column.name, column.unit), -reading.t_utc_ms, rank, of)
        for of, (reading, each) in enumerate(found)
        for rank, column in enumerate(each.layout.columns)
    ):
        reading, each = found[of]
        column, value = each.layout.columns[rank], number_of(reading.values[rank])
        if value is not None and column.name not in chosen:
            correct = corrections.of(each, column.name)
            unit = column.csv_unit if column.csv_per_unit != 1.0 else column.unit
            found_value = {"name": column.name, "unit": unit, "per_unit": column.csv_per_unit, "value": value}
            if correct is not None:
                read = value_of(each.layout, column.name, correct)
                found_value["corrected"] = read(reading.values, reading.t_utc_ms)
            chosen[column.name] = found_value
        if len(chosen) == _HEADLINES:
            break
    return {
        "kind": stream.layout.kind,
        "family": stream.family,
        "last_reading_ms": last.t_utc_ms,
        "quality": [flag.name for flag in Quality(last.quality)],
        "flags": last.flags.split(",") if last.flags else [],
        "values": list(chosen.values()),
    }


@cache
def _prominence(name: str, unit: str) -> int:
    for rank, pattern in enumerate(_ORDER):
        if pattern.search(name):
            return rank
    return len(_ORDER) + (0 if unit and not re.fullmatch(r"[mµun]?s", unit) else 1)


def _air_qualities(
    connection: Connection, gadgets: Container[str], corrections: Corrections, now_ms: int
) -> tuple[dict[str, QualityJson], dict[str, QualityJson]]:
    """Return the highest US and European index of the corrected hourly means by gadget; some gadgets have none."""
    this_hour = now_ms // HOUR_MS
    span = Span((this_hour - HOURS) * HOUR_MS, this_hour * HOUR_MS)
    us, europe = dict[str, QualityJson](), dict[str, QualityJson]()
    streams = [stream for stream in streams_of(connection) if stream.gadget_id in gadgets]
    for name in break_points():
        among = [(stream, corrections.of(stream, name)) for stream in streams if name in stream.layout.names]
        by_gadget: dict[str, dict[int, float]] = defaultdict(dict)
        for stream, each in corrected_hours(connection, among, name, span):
            by_gadget[stream.gadget_id][each.hour] = each.mean  # of several streams, the one created last counts
        for gadget, known in by_gadget.items():
            means = [known.get(this_hour - age) for age in range(1, HOURS + 1)]
            if (now := nowcast(means)) is not None:
                _keep_highest(us, gadget, air_quality(name, now), {"name": name, "nowcast_ug_m3": round(now, 2)})
            latest = next((mean for mean in means[:LATEST_HOURS] if mean is not None), None)
            if latest is not None:
                quality = air_quality(name, latest, Index.EUROPE)
                _keep_highest(europe, gadget, quality, {"name": name, "mean_ug_m3": round(latest, 2)})
    return us, europe


def _keep_highest(found: dict[str, QualityJson], gadget: str, quality: AirQuality, more: QualityJson) -> None:
    if gadget not in found or quality.index > int(found[gadget]["index"]):
        found[gadget] = asdict(quality) | more


OPERATIONS: Final = (
    Operation("GET", "/api/v1/overview/", overview),
    Operation("GET", "/api/v1/coastline/", coastline),
    Operation("GET", "/api/v1/fleet/", fleet),
)
