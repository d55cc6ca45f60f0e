"""HTTP operations of readings: lists with filters and pages, newest and single readings, import, CSV."""

import hashlib
import re
from typing import Any, Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from pygnc_station.server.access import printable
from pygnc_station.server.context import context_of, flat_json_for
from pygnc_station.server.corrections import Corrections
from pygnc_station.server.fleet import places
from pygnc_station.server.operations import Access, Name, Natural, Operation
from pygnc_station.server.ownership import stored_name
from pygnc_station.store.export import csv_pages
from pygnc_station.store.query import Span, count, newest_of_each_kind, numbered, recent, streams, streams_of
from pygnc_station.store.readings import (
    Column,
    Layout,
    NewReading,
    Quality,
    StoredReading,
    Stream,
    clock_ms,
    parse_time,
    plain,
    to_text,
)
from pygnc_station.store.schema import MAX_NAME_LENGTH
from pygnc_station.store.store import add_new, make_stream

IMPORTED: Final = "import"
_PAGE: Final = 100
_MAX_OFFSET: Final = 1_000_000
_ID: Final = re.compile(r"([0-9]{1,18})-([0-9]{1,18})")
"""Id of a reading: stream and number."""


class Filters(msgspec.Struct, frozen=True):
    """Selection of readings by device, kind, and time span in ISO 8601; "" selects all."""

    gadget: str = ""
    gadget_id: str = ""
    kind: str = ""
    timestamp__gte: str = ""
    timestamp__lte: str = ""

    @property
    def span(self) -> Span:
        """Time span, both ends included."""
        try:
            start_ms = parse_time(self.timestamp__gte) if self.timestamp__gte else None
            stop_ms = parse_time(self.timestamp__lte) + 1 if self.timestamp__lte else None
        except ValueError:
            raise HTTPException(
                400, "timestamp__gte and timestamp__lte must be in ISO 8601, such as 2026-11-21T17:00:00Z"
            ) from None
        return Span(start_ms, stop_ms)

    def streams(self, request: Request) -> list[Stream]:
        """Return the streams of the readings."""
        return streams(context_of(request).store, self.gadget or self.gadget_id, self.kind)


class Shape(msgspec.Struct, frozen=True):
    """Shape of readings: flat as on batonopc's own server, which its clients also get without asking, or complete."""

    flat: bool = False


class LatestFilters(Shape, frozen=True):
    """Selection of a device for its newest readings; "" selects all."""

    gadget: str = ""


class Page(Filters, frozen=True):
    """Selection of one page of readings: at most `limit`, after the `offset` newest of the selected readings."""

    limit: Natural = _PAGE
    offset: Natural = 0
    flat: bool = False


class BulkImport(msgspec.Struct, frozen=True):
    """Request to import readings of a device, in the form in which tinycloud forwards them."""

    gadget_id: Name
    readings: list[dict[str, Any]]
    source_ref: str = ""


def listing(request: Request, query: Page) -> object:
    """Return a page of readings, the newest first; a flat list without `limit` is one page of the maximum size."""
    context = context_of(request)
    most, offset = context.serve.limits.rows, min(query.offset, _MAX_OFFSET)
    flat_json = flat_json_for(request, is_wanted=query.flat)
    is_paged = flat_json is None or "limit" in request.query_params
    limit = max(1, min(query.limit, most)) if is_paged else most
    among = query.streams(request)
    by_id = {stream.id: stream for stream in among}
    found = recent(context.store, among, limit + 1, query.span, offset)
    to_json = flat_json or reading_to_json
    results = [to_json(reading, by_id[reading.stream_id]) for reading in found[:limit]]
    if not is_paged:
        return results
    next_page = request.url.include_query_params(limit=limit, offset=offset + limit) if len(found) > limit else None
    previous_page = request.url.include_query_params(limit=limit, offset=max(0, offset - limit)) if offset else None
    page: dict[str, object] = {
        "next": next_page and str(next_page),
        "previous": previous_page and str(previous_page),
        "results": results,
    }
    if flat_json:
        page["count"] = sum(count(context.store, stream, query.span) for stream in among)
    return page


def latest(request: Request, query: LatestFilters) -> object:
    """Return the newest reading of each device and kind; a flat list contains one reading of each device."""
    found = newest_of_each_kind(context_of(request).store, query.gadget)
    flat_json = flat_json_for(request, is_wanted=query.flat)
    if flat_json is None:
        return {"results": [reading_to_json(*each) for each in found]}
    newest = {
        stream.gadget_id: (reading, stream) for reading, stream in sorted(found, key=lambda each: each[0].t_utc_ms)
    }
    return [flat_json(*newest[name]) for name in sorted(newest)]


def single(request: Request, query: Shape) -> object:
    """Return the reading with the id STREAM-NUMBER."""
    if id_ := _ID.fullmatch(request.path_params["id"]):
        stream_id, number = int(id_[1]), int(id_[2])
        with context_of(request).store.reads() as connection:
            found = numbered(connection, stream_id, number, number)
            among = streams_of(connection)
        for stream in among:
            if found and stream.id == stream_id:
                to_json = flat_json_for(request, is_wanted=query.flat) or reading_to_json
                return to_json(found[0], stream)
    raise HTTPException(404, f"unknown reading {request.path_params['id']}; ids are STREAM-NUMBER")


def bulk(request: Request, body: BulkImport) -> object:
    """Import readings; readings of the same device, time and source as a stored reading are ignored."""
    given = {body.gadget_id, *(name for entry in body.readings for name in entry)}
    if bad := sorted(name for name in given if not name or printable(name) != name):
        raise HTTPException(400, f"the name {bad[0][:80]!a} must have 1 to {MAX_NAME_LENGTH} printable characters")
    groups: dict[tuple[str, ...], list[tuple[int, NewReading]]] = {}
    for entry in body.readings:
        try:
            values = {name: plain(value) for name, value in entry.items() if name not in {"timestamp", "gadget_id"}}
            t_utc_ms = parse_time(str(entry.get("timestamp", "")))
        except ValueError:
            raise HTTPException(400, f"invalid timestamp {entry.get('timestamp')!r}; use ISO 8601") from None
        except RecursionError:
            raise HTTPException(400, "a value of readings is nested too deeply") from None
        reading = NewReading(t_utc_ms, int(Quality.IMPORTED), 0, "", to_text(values.values()), None)
        groups.setdefault(tuple(values), []).append((t_utc_ms, reading))
    origin = f"{IMPORTED}-{hashlib.sha256(body.source_ref.encode()).hexdigest()[:32]}"
    created, context = 0, context_of(request)
    latest_ms = context.serve.limits.latest_ms(clock_ms())
    with context.store.writes() as connection:
        gadget_id = stored_name(connection, body.gadget_id)
        for names, rows in groups.items():
            layout = Layout(IMPORTED, tuple(Column(name) for name in names))
            stream = make_stream(connection, gadget_id, layout, family="", origin=origin)
            created += add_new(connection, stream.id, rows, latest_ms)
    return {"created": created}


def export(request: Request, query: Filters) -> Response:
    """Stream all readings of a device and kind as CSV."""
    among = query.streams(request)
    if len({(stream.gadget_id, stream.layout) for stream in among}) != 1:
        kinds = sorted({f"{stream.gadget_id} / {stream.layout.kind}" for stream in among})
        raise HTTPException(400, f"gadget and kind must select one layout; found: {', '.join(kinds) or 'none'}")
    headers = {"content-disposition": 'attachment; filename="readings.csv"'}
    context = context_of(request)
    with context.store.reads() as connection:
        place = places(connection).get(among[0].gadget_id)
        additions = Corrections(connection, context.serve).additions_to(among[0], place)
    text = csv_pages(context.store, among, query.span, additions)
    return StreamingResponse(text, media_type="text/csv", headers=headers)


OPERATIONS: Final = (
    Operation("GET", "/api/v1/reading/", listing),
    Operation("GET", "/api/v1/readings/", listing),
    Operation("POST", "/api/v1/readings/", bulk, Access.WRITE, 201, is_audited=False),
    Operation("GET", "/api/v1/reading/latest/", latest),
    Operation("GET", "/api/v1/reading/{id}/", single),
    Operation("GET", "/api/v1/export/", export),
)


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
        "people": {
            column.name: {
                "name": column.csv_name or column.name,
                "unit": column.csv_unit,
                "per_unit": column.csv_per_unit,
            }
            for column in columns
            if column.csv_per_unit != 1.0
        },
        "words": stream.layout.labels_of(values),
    }
