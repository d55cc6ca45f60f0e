"""Questions to a store: the newest readings, those of a time, how many.

Readings of a MariaDB or MySQL server, many in one text: its driver is plain Python and takes 5 µs for each row.

docs/decisions/0016-database-server-packs-readings.md has the measurements.
"""

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from operator import itemgetter
from typing import Any, Final, TypeAlias

import msgspec
from sqlalchemy import ColumnElement, Connection, Select, and_, func, or_, select

from pygnc_station.store import schema
from pygnc_station.store.layout import Layout
from pygnc_station.store.readings import StoredReading, Stream
from pygnc_station.store.store import Store

_DECODER: Final = msgspec.json.Decoder(list[StoredReading])


def read_packed(connection: Connection, query: Select[Any]) -> list[StoredReading] | None:
    """Return the readings that a query selects, in any order; None if the server cannot put them into one text.

    Args:
        connection: to a server whose `group_concat_max_len` is `LONGEST_TEXT`.
        query: selects the columns of `StoredReading` by their names.
    """
    c = query.subquery().c
    in_base64 = func.replace(func.to_base64(c.raw), "\n", "")
    raw = func.coalesce(func.concat('"', in_base64, '"'), "null")  # else what is NULL would be left out
    numbers = (c.stream_id, c.number, c.t_utc_ms, c.quality, c.lost_before)
    row = func.concat_ws(",", *numbers, func.json_quote(c.flags), func.json_quote(c.content), raw)
    count, text = connection.execute(select(func.count(), func.group_concat(func.concat("[", row, "]")))).one()
    # What is too long is cut anywhere, and only a warning tells of it.
    try:
        readings = _DECODER.decode(f"[{text or ''}]")
    except msgspec.DecodeError:
        return None
    return readings if len(readings) == count else None


_R: Final = schema.readings.c
_COLUMNS: Final = (_R.stream_id, _R.number, _R.t_utc_ms, _R.quality, _R.lost_before, _R.flags, _R.content, _R.raw)
_PAGE: Final = 5000
_NUMBER: Final = StoredReading._fields.index("number")
_BY_NUMBER: Final = itemgetter(_NUMBER)
_BY_TIME: Final = itemgetter(StoredReading._fields.index("t_utc_ms"), _NUMBER)
Rows: TypeAlias = Select[tuple[int, int, int, int, int, str, str, bytes]]


@dataclass(frozen=True, slots=True)
class Span:
    """A time, milliseconds since 1970; the end is not in it. None is open."""

    start_ms: int | None = None
    stop_ms: int | None = None


ALWAYS: Final = Span()


def streams(store: Store, gadget_id: str = "", kind: str = "") -> list[Stream]:
    """Return the streams of a device and a kind of readings, "" for all."""
    with store.reads() as connection:
        return streams_of(connection, gadget_id, kind)


def streams_of(connection: Connection, gadget_id: str = "", kind: str = "") -> list[Stream]:
    """Return streams within a transaction; see `streams`."""
    s, d = schema.streams.c, schema.devices.c
    query = select(s.id, d.gadget_id, d.family, s.origin, s.layout, s.next_number).join_from(
        schema.streams, schema.devices
    )
    if gadget_id:
        query = query.where(func.lower(d.gadget_id) == gadget_id.lower())
    if kind:
        query = query.where(s.kind == kind)
    found = connection.execute(query.order_by(s.id)).all()
    return [Stream(row[0], row[1], row[2], row[3], Layout.from_json(row[4]), row[5]) for row in found]


def recent(
    store: Store, among: Sequence[Stream], limit: int, span: Span = ALWAYS, skip: int = 0
) -> list[StoredReading]:
    """Return the newest readings of some streams, the newest first.

    Args:
        store: where.
        among: streams.
        limit: how many at most.
        span: of what time.
        skip: how many of the newest are left out.
    """
    with store.reads() as connection:
        each = [
            _read(
                connection,
                select_readings(stream, span).order_by(_R.t_utc_ms.desc(), _R.number.desc()).limit(skip + limit),
            )
            for stream in among
        ]
    newest = heapq.merge(*each, key=lambda reading: reading.t_utc_ms, reverse=True)
    return list(islice(newest, skip, skip + limit))


def newest_of_each_kind(store: Store) -> list[tuple[StoredReading, Stream]]:
    """Return the newest reading of each device and kind with its stream, ordered by device and kind."""
    found: dict[tuple[str, str], tuple[StoredReading, Stream]] = {}
    for stream in streams(store):
        for reading in recent(store, [stream], 1):
            key = (stream.gadget_id, stream.layout.kind)
            if key not in found or found[key][0].t_utc_ms < reading.t_utc_ms:
                found[key] = (reading, stream)
    return [found[key] for key in sorted(found)]


def between(store: Store, among: Sequence[Stream], span: Span = ALWAYS) -> list[StoredReading]:
    """Return all readings of a time, the oldest first."""
    with store.reads() as connection:
        each = [
            _read_many(connection, select_readings(stream, span).order_by(_R.t_utc_ms, _R.number), _BY_TIME)
            for stream in among
        ]
    return each[0] if len(each) == 1 else list(heapq.merge(*each, key=lambda reading: reading.t_utc_ms))


def walk(store: Store, stream: Stream, span: Span = ALWAYS) -> Iterator[list[StoredReading]]:
    """Yield all readings of a stream and a time in pages, the oldest first: memory does not grow with them."""
    after: StoredReading | None = None
    while True:
        query = select_readings(stream, span).order_by(_R.t_utc_ms, _R.number).limit(_PAGE)
        if after is not None:
            later = and_(_R.t_utc_ms == after.t_utc_ms, _R.number > after.number)
            query = query.where(_R.t_utc_ms >= after.t_utc_ms, or_(_R.t_utc_ms > after.t_utc_ms, later))
        with store.reads() as connection:
            page = _read_many(connection, query, _BY_TIME)
        if not page:
            return
        yield page
        after = page[-1]


def numbered(
    connection: Connection, stream_id: int, first: int, last: int, limit: int | None = None
) -> list[StoredReading]:
    """Return the readings of a stream by number, both ends included."""
    query = select(*_COLUMNS).where(_R.stream_id == stream_id, _R.number >= first, _R.number <= last)
    return _read_many(connection, query.order_by(_R.number).limit(limit), _BY_NUMBER)


def numbered_pages(
    store: Store, stream_id: int, first: int, last: int, page: int = 2000
) -> Iterator[list[StoredReading]]:
    """Yield the readings of a stream by number in pages, both ends included; each page is one transaction."""
    while first <= last:
        with store.reads() as connection:
            readings = numbered(connection, stream_id, first, last, page)
        if not readings:
            return
        yield readings
        first = readings[-1].number + 1


def count(store: Store, stream: Stream, span: Span = ALWAYS) -> int:
    """Return how many readings there are."""
    with store.reads() as connection:
        query = select(func.count()).select_from(schema.readings).where(*_conditions(stream, span))
        return int(connection.execute(query).scalar_one())


def select_readings(stream: Stream, span: Span = ALWAYS) -> Rows:
    """Return the statement that selects the readings of a stream and a time, in no order."""
    return select(*_COLUMNS).where(*_conditions(stream, span))


def _conditions(stream: Stream, span: Span) -> list[ColumnElement[bool]]:
    conditions = [_R.stream_id == stream.id]
    if span.start_ms is not None:
        conditions.append(_R.t_utc_ms >= span.start_ms)
    if span.stop_ms is not None:
        conditions.append(_R.t_utc_ms < span.stop_ms)
    return conditions


def _read(connection: Connection, query: Rows) -> list[StoredReading]:
    return [StoredReading._make(row) for row in connection.execute(query).all()]


def _read_many(connection: Connection, query: Rows, order: Callable[[StoredReading], Any]) -> list[StoredReading]:
    """Read as `_read`, by the shorter way if there is one; `order` is that of the query."""
    packed = None if connection.dialect.name == "sqlite" else read_packed(connection, query)
    return _read(connection, query) if packed is None else sorted(packed, key=order)
