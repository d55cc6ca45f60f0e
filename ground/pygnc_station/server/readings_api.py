"""HTTP endpoints of readings: lists with filters and pages, newest and single readings, import, CSV, plot series."""

import csv
import hashlib
import io
import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from pygnc_station.server.context import context_of, integer_parameter, json_body_of, json_response, require_token
from pygnc_station.store import query
from pygnc_station.store.export import COMMON, csv_row
from pygnc_station.store.query import Span
from pygnc_station.store.readings import (
    Column,
    Layout,
    NewReading,
    Quality,
    StoredReading,
    Stream,
    parse_time,
    plain,
    to_text,
)
from pygnc_station.store.schema import MAX_NAME_LENGTH
from pygnc_station.store.store import Store, add_new, make_stream

IMPORTED: Final = "import"
_PAGE: Final = 100
_SERIES_INTERVALS: Final = 600
_ID: Final = re.compile(r"([0-9]{1,18})-([0-9]{1,18})")
"""Id of a reading: stream and number."""


class BulkImport(msgspec.Struct, frozen=True):
    """Readings of a device, in the form in which tinycloud forwards them."""

    gadget_id: str
    readings: list[dict[str, Any]]
    source_ref: str = ""


async def listing(request: Request) -> Response:
    """Return a page of readings, the newest first."""
    await require_token(request)
    context = context_of(request)
    limit = max(1, integer_parameter(request, "limit", _PAGE, context.serve.limits.rows))
    offset = integer_parameter(request, "offset", 0, 1_000_000)
    found = await run_in_threadpool(_list, context.store, _filters(request), limit + 1, offset)
    next_page = request.url.include_query_params(limit=limit, offset=offset + limit) if len(found) > limit else None
    previous_page = request.url.include_query_params(limit=limit, offset=max(0, offset - limit)) if offset else None
    links = {"next": next_page and str(next_page), "previous": previous_page and str(previous_page)}
    return json_response(links | {"results": found[:limit]})


async def latest(request: Request) -> Response:
    """Return the newest reading of each device and kind."""
    await require_token(request)
    newest = await run_in_threadpool(query.newest_of_each_kind, context_of(request).store)
    return json_response({"results": [reading_to_json(*found) for found in newest]})


async def single(request: Request) -> Response:
    """Return one reading."""
    await require_token(request)
    id_ = _ID.fullmatch(request.path_params["id"])
    found = await run_in_threadpool(_one, context_of(request).store, int(id_[1]), int(id_[2])) if id_ else None
    if found is None:
        raise HTTPException(404, "unknown reading")
    return json_response(found)


async def bulk(request: Request) -> Response:
    """Import readings; readings of the same device, time and source as a stored one are ignored."""
    await require_token(request, to_write=True)
    readings = await json_body_of(request, BulkImport)
    created = await run_in_threadpool(_import, context_of(request).store, readings)
    return json_response({"created": created}, 201)


async def export(request: Request) -> Response:
    """Stream all readings of a device and kind as CSV."""
    await require_token(request)
    store, (gadget, kind, span) = context_of(request).store, _filters(request)
    streams = await run_in_threadpool(query.streams, store, gadget, kind)
    if len({(stream.gadget_id, stream.layout) for stream in streams}) != 1:
        kinds = sorted({f"{stream.gadget_id} / {stream.layout.kind}" for stream in streams})
        raise HTTPException(400, f"gadget and kind must select one layout; found: {', '.join(kinds) or 'none'}")
    headers = {"content-disposition": 'attachment; filename="readings.csv"'}
    return StreamingResponse(_csv(store, streams, span), media_type="text/csv", headers=headers)


async def series(request: Request) -> Response:
    """Return one value over time for a plot, reduced to minimum and maximum per time interval."""
    await require_token(request)
    name = request.query_params.get("name", "")
    points = await run_in_threadpool(_series, context_of(request).store, _filters(request), name)
    return json_response({"name": name, "points": points})


ROUTES: Final = [
    Route("/api/v1/reading/", listing),
    Route("/api/v1/readings/", listing, methods=["GET"]),
    Route("/api/v1/readings/", bulk, methods=["POST"]),
    Route("/api/v1/reading/latest/", latest),
    Route("/api/v1/reading/{id}/", single),
    Route("/api/v1/export/", export),
    Route("/api/v1/series/", series),
]


def reading_to_json(reading: StoredReading, stream: Stream) -> dict[str, Any]:
    """Return the JSON object of a reading: values in SI units, customary units, and labels of codes."""
    values, columns = reading.values, stream.layout.columns
    return {
        "id": f"{stream.id}-{reading.number}",
        "gadget": stream.gadget_id,
        "kind": stream.layout.kind,
        "timestamp": reading.time,
        "quality": [flag.name for flag in Quality(reading.quality)],
        "flags": reading.flags.split(",") if reading.flags else [],
        "values": dict(zip(stream.layout.names, values, strict=False)),
        "units": {column.name: column.unit for column in columns if column.unit},
        "people": {column.name: _customary_unit(column) for column in columns if column.csv_per_unit != 1.0},
        "words": stream.layout.labels_of(values),
    }


def _customary_unit(column: Column) -> dict[str, str | float]:
    """Return customary name and unit of a value, and the factor from the stored value."""
    return {"name": column.csv_name or column.name, "unit": column.csv_unit, "per_unit": column.csv_per_unit}


def _filters(request: Request) -> tuple[str, str, Span]:
    values = request.query_params
    gadget = values.get("gadget", values.get("gadget_id", ""))
    try:
        start = parse_time(values["timestamp__gte"]) if "timestamp__gte" in values else None
        stop = parse_time(values["timestamp__lte"]) + 1 if "timestamp__lte" in values else None
    except ValueError:
        raise HTTPException(400, "timestamps must be in ISO 8601, such as 2026-11-21T17:00:00Z") from None
    return gadget, values.get("kind", ""), Span(start, stop)


def _list(store: Store, filters: tuple[str, str, Span], limit: int, offset: int) -> list[dict[str, Any]]:
    gadget, kind, span = filters
    streams = query.streams(store, gadget, kind)
    by_id = {stream.id: stream for stream in streams}
    return [reading_to_json(item, by_id[item.stream_id]) for item in query.recent(store, streams, limit, span, offset)]


def _one(store: Store, stream_id: int, number: int) -> dict[str, Any] | None:
    with store.reads() as connection:
        found = query.numbered(connection, stream_id, number, number)
        streams = query.streams_of(connection)
    stream = next((stream for stream in streams if stream.id == stream_id), None)
    return reading_to_json(found[0], stream) if found and stream is not None else None


def _import(store: Store, new: BulkImport) -> int:
    if not 0 < len(new.gadget_id) <= MAX_NAME_LENGTH:
        raise HTTPException(400, f"gadget_id must have 1 to {MAX_NAME_LENGTH} characters")
    groups: dict[tuple[str, ...], list[tuple[int, NewReading]]] = {}
    for entry in new.readings:
        try:
            values = {name: plain(value) for name, value in entry.items() if name not in {"timestamp", "gadget_id"}}
            t_utc_ms = parse_time(str(entry.get("timestamp", "")))
        except ValueError:
            raise HTTPException(400, f"invalid timestamp {entry.get('timestamp')!r}; use ISO 8601") from None
        except RecursionError:
            raise HTTPException(400, "values are nested too deeply") from None
        reading = NewReading(t_utc_ms, int(Quality.IMPORTED), 0, "", to_text(values.values()), None)
        groups.setdefault(tuple(values), []).append((t_utc_ms, reading))
    origin = f"{IMPORTED}-{hashlib.sha256(new.source_ref.encode()).hexdigest()[:32]}"
    with store.writes() as connection:
        created = 0
        for names, rows in groups.items():
            layout = Layout(IMPORTED, tuple(Column(name) for name in names))
            stream = make_stream(connection, new.gadget_id, layout, family="", origin=origin)
            created += add_new(connection, stream.id, rows)
    return created


def _csv(store: Store, streams: list[Stream], span: Span) -> Iterator[str]:
    columns = streams[0].layout.columns
    yield _line([*COMMON, *(column.title for column in columns), "raw"])
    for stream in streams:
        for page in query.walk(store, stream, span):
            yield "".join(_line(csv_row(reading, columns)) for reading in page)


def _line(cells: list[str]) -> str:
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerow(cells)
    return buffer.getvalue()


def _series(store: Store, filters: tuple[str, str, Span], name: str) -> list[list[float]]:
    gadget, kind, span = filters
    points: list[list[float]] = []
    for stream in query.streams(store, gadget, kind):
        if name not in stream.layout.names:
            continue
        rank = stream.layout.names.index(name)
        for reading in query.between(store, [stream], span):
            value = reading.values[rank]
            if isinstance(value, int | float) and not isinstance(value, bool):
                points.append([reading.t_utc_ms, value])
    points.sort()
    return _reduced(points)


def _reduced(points: list[list[float]]) -> list[list[float]]:
    """Return minimum and maximum of each interval, of which a plot looks like one of all points."""
    if len(points) <= 2 * _SERIES_INTERVALS:
        return points
    kept = []
    for rank in range(_SERIES_INTERVALS):
        interval = points[rank * len(points) // _SERIES_INTERVALS : (rank + 1) * len(points) // _SERIES_INTERVALS]
        extremes = (min(interval, key=lambda point: point[1]), max(interval, key=lambda point: point[1]))
        kept += sorted(extremes)
    return kept
