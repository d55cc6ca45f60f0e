"""Queries: streams, newest readings, readings by time and by number.

The driver for MariaDB and MySQL is plain Python and needs 5 µs per row, so many readings are selected as one JSON text;
docs/decisions/0016-database-server-packs-readings.md contains the measurements.
"""

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from operator import attrgetter
from typing import Any, Final, TypeAlias

import msgspec
from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, func, or_, select

from pygnc_station.store import schema
from pygnc_station.store.readings import Layout, Quality, StoredReading, Stream
from pygnc_station.store.store import Store

_R: Final = schema.readings.c
_COLUMNS: Final = (_R.stream_id, _R.number, _R.t_utc_ms, _R.quality, _R.lost_before, _R.flags, _R.content, _R.raw)
IS_CREDIBLE: Final = _R.quality.bitwise_and(int(Quality.FUTURE)) == 0
"""Condition on readings: the reading was not dated in the future when it was received."""
_NEWEST: Final = (
    select(*_COLUMNS)
    .where(_R.stream_id == bindparam("stream"), IS_CREDIBLE)
    .order_by(_R.t_utc_ms.desc(), _R.number.desc())
    .limit(1)
)
"""Statement built once, because its construction takes longer than its execution."""
_PAGE: Final = 5000
_BY_NUMBER: Final = attrgetter("number")
_BY_TIME: Final = attrgetter("t_utc_ms", "number")
_PACKED_DECODER: Final = msgspec.json.Decoder(list[StoredReading])
Rows: TypeAlias = Select[tuple[int, int, int, int, int, str, str, bytes]]


@dataclass(frozen=True, slots=True)
class Span:
    """Time span from `start_ms` to before `stop_ms`, milliseconds since 1970 (UTC); None means unlimited."""

    start_ms: int | None = None
    stop_ms: int | None = None


ALWAYS: Final = Span()


def streams(store: Store, gadget_id: str = "", kind: str = "") -> list[Stream]:
    """Return the streams of a device and a kind of reading; "" selects all."""
    with store.reads() as connection:
        return streams_of(connection, gadget_id, kind)


def streams_of(connection: Connection, gadget_id: str = "", kind: str = "") -> list[Stream]:
    """Return streams within a transaction; see `streams`."""
    s, d = schema.streams.c, schema.devices.c
    query = select(s.id, d.gadget_id, d.family, s.origin, s.layout, s.next_number).join_from(
        schema.streams, schema.devices
    )
    if gadget_id:
        query = query.where(schema.is_named(d.gadget_id, gadget_id))
    if kind:
        query = query.where(s.kind == kind)
    found = connection.execute(query.order_by(s.id)).all()
    return [Stream(row[0], row[1], row[2], row[3], msgspec.json.decode(row[4], type=Layout), row[5]) for row in found]


def count_numbered(store: Store) -> int:
    """Return how many readings were ever numbered; it changes with each new reading, and is cheap to query."""
    with store.reads() as connection:
        return int(connection.execute(select(func.sum(schema.streams.c.next_number))).scalar() or 0)


def recent(
    store: Store, among: Sequence[Stream], limit: int, span: Span = ALWAYS, skip: int = 0
) -> list[StoredReading]:
    """Return at most `limit` readings of some streams after the `skip` newest ones, the newest first."""
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


def newest_of_each_kind(store: Store, gadget_id: str = "") -> list[tuple[StoredReading, Stream]]:
    """Return the newest reading of each kind of a device ("" selects all) with its stream, by device and kind.

    Readings that were dated in the future when they were received do not count.
    """
    found: dict[tuple[str, str], tuple[StoredReading, Stream]] = {}
    with store.reads() as connection:
        for stream in streams_of(connection, gadget_id):
            for row in connection.execute(_NEWEST, {"stream": stream.id}):
                reading = StoredReading._make(row)
                key = (stream.gadget_id, stream.layout.kind)
                if key not in found or found[key][0].t_utc_ms < reading.t_utc_ms:
                    found[key] = (reading, stream)
    return [found[key] for key in sorted(found)]


def last_times_ms(connection: Connection) -> dict[int, int]:
    """Return the time of the newest credible reading by id of the device, milliseconds since 1970 (UTC)."""
    s = schema.streams.c
    newest = select(_R.t_utc_ms).where(_R.stream_id == s.id, IS_CREDIBLE).order_by(_R.t_utc_ms.desc()).limit(1)
    found: dict[int, int] = {}
    for device_id, t_utc_ms in connection.execute(select(s.device_id, newest.scalar_subquery())):
        if t_utc_ms is not None:
            found[device_id] = max(found.get(device_id, 0), t_utc_ms)
    return found


def between(store: Store, among: Sequence[Stream], span: Span = ALWAYS) -> list[StoredReading]:
    """Return all readings of a time span, the oldest first."""
    with store.reads() as connection:
        each = [
            _read_many(connection, select_readings(stream, span).order_by(_R.t_utc_ms, _R.number), _BY_TIME)
            for stream in among
        ]
    return each[0] if len(each) == 1 else list(heapq.merge(*each, key=lambda reading: reading.t_utc_ms))


def walk(store: Store, stream: Stream, span: Span = ALWAYS) -> Iterator[list[StoredReading]]:
    """Yield all readings of a stream and a time span in pages, the oldest first, in constant memory."""
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
    """Return the readings `first` to `last` of a stream, both included, ordered by number."""
    query = select(*_COLUMNS).where(_R.stream_id == stream_id, _R.number >= first, _R.number <= last)
    return _read_many(connection, query.order_by(_R.number).limit(limit), _BY_NUMBER)


def numbered_pages(
    store: Store, stream_id: int, first: int, last: int, page: int = 2000
) -> Iterator[list[StoredReading]]:
    """Yield the readings `first` to `last` of a stream in pages; each page is a transaction of its own."""
    while first <= last:
        with store.reads() as connection:
            readings = numbered(connection, stream_id, first, last, page)
        if not readings:
            return
        yield readings
        first = readings[-1].number + 1


def count(store: Store, stream: Stream, span: Span = ALWAYS) -> int:
    """Return the number of readings of a stream and a time span."""
    with store.reads() as connection:
        query = select(func.count()).select_from(schema.readings).where(*conditions(stream, span))
        return int(connection.execute(query).scalar_one())


def select_readings(stream: Stream, span: Span = ALWAYS) -> Rows:
    """Return the unordered statement that selects the readings of a stream and a time span."""
    return select(*_COLUMNS).where(*conditions(stream, span))


def read_packed(connection: Connection, query: Select[Any]) -> list[StoredReading] | None:
    """Return the selected readings, unordered, as one JSON text; None if the text would be too long.

    Args:
        connection: connection to MariaDB or MySQL whose `group_concat_max_len` is `MAX_PACKED_BYTES`.
        query: statement that selects the columns of `StoredReading` by their names.
    """
    c = query.subquery().c
    in_base64 = func.replace(func.to_base64(c.raw), "\n", "")
    raw = func.coalesce(func.concat('"', in_base64, '"'), "null")  # concat_ws would leave out NULL
    numbers = (c.stream_id, c.number, c.t_utc_ms, c.quality, c.lost_before)
    row = func.concat_ws(",", *numbers, func.json_quote(c.flags), func.json_quote(c.content), raw)
    count, text = connection.execute(select(func.count(), func.group_concat(func.concat("[", row, "]")))).one()
    try:
        readings = _PACKED_DECODER.decode(f"[{text or ''}]")
    except msgspec.DecodeError:
        return None
    # The server truncates a text that is too long with no more than a warning, perhaps between two readings.
    return readings if len(readings) == count else None


def conditions(stream: Stream, span: Span) -> list[ColumnElement[bool]]:
    """Return the conditions that select the readings of a stream and a time span."""
    found = [_R.stream_id == stream.id]
    if span.start_ms is not None:
        found.append(_R.t_utc_ms >= span.start_ms)
    if span.stop_ms is not None:
        found.append(_R.t_utc_ms < span.stop_ms)
    return found


def _read(connection: Connection, query: Rows) -> list[StoredReading]:
    return [StoredReading._make(row) for row in connection.execute(query).all()]


def _read_many(connection: Connection, query: Rows, order: Callable[[StoredReading], Any]) -> list[StoredReading]:
    """Read a statement whose order is `order`, packed if the database supports it."""
    packed = None if connection.dialect.name == "sqlite" else read_packed(connection, query)
    return _read(connection, query) if packed is None else sorted(packed, key=order)
