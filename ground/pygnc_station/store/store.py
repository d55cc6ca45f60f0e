"""Store of readings: it creates streams, numbers readings, and stores each reading once."""

import json
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, Self

from sqlalchemy import Connection, Engine, Insert, Table, insert, select, update

from pygnc_station.store import schema
from pygnc_station.store.database import open_engine, translated_errors
from pygnc_station.store.readings import HOUR_MS, TIMES_MS, Layout, NewReading, Quality, Stream, clock_ms

UNKNOWN_STATUS: Final = "U"
"""Status of a device that was not registered; `server.devices_api` lists all statuses."""
_ORIGIN: Final = "origin"
_MAX_PARAMETERS: Final = 500


class Store:
    """Database of readings of any devices.

    Args:
        engine: open database, see `database.open_engine`.

    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._writer = engine.execution_options(writes=True)  # SQLite then locks at the begin
        self._streams: dict[tuple[str, str, str], Stream] = {}
        with self.writes() as connection:
            add_once(connection, schema.facts, [{"name": _ORIGIN, "value": uuid.uuid4().hex}])

    @classmethod
    def open(cls, where: str) -> Self:
        """Open a store; see `database.open_engine`.

        Raises:
            StoreError: the store cannot be opened.
        """
        engine = open_engine(where)
        with translated_errors(engine.url):
            return cls(engine)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    @property
    def origin(self) -> str:
        """Identifier of this store in the identity of its readings; another program may renew it."""
        with self.reads() as connection:
            return store_origin(connection)

    def renew_origin(self) -> str:
        """Give this store and its own streams a new origin, because a copy of the store uses the old one; return it."""
        origin = uuid.uuid4().hex
        streams = schema.streams
        with self.writes() as connection:
            # The streams keep ids and numbers, so loggers and cursors continue in them.
            own = streams.c.origin == store_origin(connection)
            connection.execute(update(streams).where(own).values(origin=origin))
            connection.execute(update(schema.facts).where(schema.facts.c.name == _ORIGIN).values(value=origin))
        return origin

    def used_bytes(self) -> int:
        """Return the size of the used part of an SQLite database; 0 for other databases."""
        if self.engine.dialect.name != "sqlite":
            return 0
        with self.reads() as connection:
            pages, free, page = (
                int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())
                for name in ("page_count", "freelist_count", "page_size")
            )
        return (pages - free) * page

    @contextmanager
    def writes(self) -> Iterator[Connection]:
        """Begin a write transaction; errors are those of `database.translated_errors`."""
        with translated_errors(self.engine.url), self._writer.begin() as connection:
            yield connection

    @contextmanager
    def reads(self) -> Iterator[Connection]:
        """Begin a read transaction."""
        with translated_errors(self.engine.url), self.engine.connect() as connection:
            yield connection

    def stream(self, gadget_id: str, layout: Layout, *, family: str = "", origin: str = "") -> Stream:
        """Return a stream; the stream and its device are created if they are new.

        Args:
            gadget_id: name of the device.
            layout: values of its readings.
            family: kind of a new device.
            origin: identifier of the store that numbered the readings; by default this store.
        """
        key = (gadget_id, origin, layout.digest)
        if key not in self._streams:
            with self.writes() as connection:
                origin = origin or store_origin(connection)
                self._streams[key] = make_stream(connection, gadget_id, layout, family=family, origin=origin)
        return self._streams[key]

    def append(self, stream: Stream, new: Sequence[NewReading]) -> int:
        """Store all readings under the next numbers, or none of them.

        Returns:
            The number of the first reading, 0 if there are none.
        """
        if not new:
            return 0
        with self.writes() as connection:
            return append(connection, stream.id, new)

    def put(self, stream: Stream, numbered: Iterable[tuple[int, NewReading]]) -> None:
        """Store readings that already have numbers; readings that are already stored are not changed."""
        with self.writes() as connection:
            put(connection, stream.id, numbered)


def append(connection: Connection, stream_id: int, new: Sequence[NewReading]) -> int:
    """Store readings within a transaction; see `Store.append`."""
    table = schema.streams
    # This locks the counter until the transaction ends, so numbers become visible in order and no cursor skips one.
    counted = update(table).where(table.c.id == stream_id).values(next_number=table.c.next_number + len(new))
    connection.execute(counted)
    after = connection.execute(select(table.c.next_number).where(table.c.id == stream_id)).scalar_one()
    first = int(after) - len(new)
    connection.execute(insert(schema.readings), [_row(stream_id, first + rank, item) for rank, item in enumerate(new)])
    return first


def put(
    connection: Connection,
    stream_id: int,
    numbered: Iterable[tuple[int, NewReading]],
    latest_ms: int = TIMES_MS.stop,
) -> None:
    """Store numbered readings within a transaction and flag those after `latest_ms` as FUTURE; see `Store.put`."""
    rows = [_row(stream_id, number, item) for number, item in numbered]
    if not rows:
        return
    for row in rows:
        if row["t_utc_ms"] > latest_ms:
            row["quality"] |= Quality.FUTURE
    table = schema.streams
    # The lock keeps another transaction from storing higher numbers first, which would make these late unnoticed.
    counter = select(table.c.next_number).where(table.c.id == stream_id).with_for_update()
    next_number = connection.execute(counter).scalar_one()
    late = {row["t_utc_ms"] // HOUR_MS for row in rows if row["number"] < next_number}
    if late:
        add_once(connection, schema.late_hours, [{"stream_id": stream_id, "hour": hour} for hour in sorted(late)])
    add_once(connection, schema.readings, rows)
    after = max(row["number"] for row in rows) + 1
    if after > next_number:
        connection.execute(update(table).where(table.c.id == stream_id).values(next_number=after))


def conflicting(connection: Connection, stream_id: int, numbered: Sequence[tuple[int, NewReading]]) -> set[int]:
    """Return the numbers under which a stream contains readings of another time, other values or other bytes."""
    c = schema.readings.c
    next_number = connection.execute(
        select(schema.streams.c.next_number).where(schema.streams.c.id == stream_id)
    ).scalar_one()
    known = [(number, new) for number, new in numbered if number < next_number]
    found: set[int] = set()
    for start in range(0, len(known), _MAX_PARAMETERS):
        news = dict(known[start : start + _MAX_PARAMETERS])
        query = select(c.number, c.t_utc_ms, c.content, c.raw).where(c.stream_id == stream_id, c.number.in_(news))
        for number, t_utc_ms, content, raw in connection.execute(query):
            new = news[number]
            is_same = t_utc_ms == new.t_utc_ms and raw == new.raw
            if not is_same or (content != new.content and json.loads(content) != json.loads(new.content)):
                found.add(number)
    return found


def stored_elsewhere(connection: Connection, stream: Stream, numbered: Sequence[tuple[int, NewReading]]) -> set[int]:
    """Return the numbers of readings that the stream's device has under another origin: same time, values and bytes."""
    s, c = schema.streams.c, schema.readings.c
    device_id = select(s.device_id).where(s.id == stream.id).scalar_subquery()
    same = (s.device_id == device_id, s.kind == stream.layout.kind, s.layout_digest == stream.layout.digest)
    others = connection.execute(select(s.id).where(*same, s.id != stream.id)).scalars().all()
    if not others:
        return set()
    found: set[int] = set()
    for start in range(0, len(numbered), _MAX_PARAMETERS):
        news = numbered[start : start + _MAX_PARAMETERS]
        times = {new.t_utc_ms for _, new in news}
        query = select(c.t_utc_ms, c.content, c.raw).where(c.stream_id.in_(others), c.t_utc_ms.in_(times))
        known = {(t_utc_ms, content, raw) for t_utc_ms, content, raw in connection.execute(query)}
        found |= {number for number, new in news if (new.t_utc_ms, new.content, new.raw) in known}
    return found


def add_new(connection: Connection, stream_id: int, numbered: Sequence[tuple[int, NewReading]], latest_ms: int) -> int:
    """Store numbered readings within a transaction as `put` does; return the number of new readings."""
    c = schema.readings.c
    known: set[int] = set()
    numbers = [number for number, _ in numbered]
    for start in range(0, len(numbers), _MAX_PARAMETERS):
        query = select(c.number).where(c.stream_id == stream_id, c.number.in_(numbers[start : start + _MAX_PARAMETERS]))
        known |= set(connection.execute(query).scalars())
    put(connection, stream_id, numbered, latest_ms)
    return len(set(numbers) - known)


def store_origin(connection: Connection) -> str:
    """Return the origin of a store within a transaction; see `Store.origin`."""
    query = select(schema.facts.c.value).where(schema.facts.c.name == _ORIGIN)
    return str(connection.execute(query).scalar_one())


def add_once(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    """Insert rows; rows whose key already exists are not changed."""
    statement: Insert
    if connection.dialect.name == "sqlite":
        from sqlalchemy.dialects import sqlite  # noqa: PLC0415 - only the dialect in use is imported

        statement = sqlite.insert(table).on_conflict_do_nothing()
    else:  # INSERT IGNORE would hide other errors too
        from sqlalchemy.dialects import mysql  # noqa: PLC0415 - likewise

        key = next(iter(table.primary_key)).name
        statement = mysql.insert(table).on_duplicate_key_update({key: table.c[key]})
    connection.execute(statement, rows)


def make_device(connection: Connection, gadget_id: str, family: str = "", status: str = UNKNOWN_STATUS) -> int:
    """Return the id of a device; the device is created if it is new."""
    new = {"gadget_id": gadget_id, "family": family, "serial_number": "", "title": "", "status": status, "notes": ""}
    query = select(schema.devices.c.id).where(schema.devices.c.gadget_id == gadget_id)
    found = connection.execute(query).scalar()
    if found is None:
        add_once(connection, schema.devices, [new | {"created_ms": clock_ms()}])
        found = connection.execute(query).scalar_one()
    return int(found)


def make_stream(connection: Connection, gadget_id: str, layout: Layout, *, family: str, origin: str) -> Stream:
    """Return a stream within a transaction; see `Store.stream`."""
    digest = layout.digest
    device_id = make_device(connection, gadget_id, family)
    table = schema.streams
    query = select(table.c.id, table.c.next_number).where(
        table.c.device_id == device_id,
        table.c.origin == origin,
        table.c.kind == layout.kind,
        table.c.layout_digest == digest,
    )
    if connection.execute(query).first() is None:
        new = {"device_id": device_id, "origin": origin, "kind": layout.kind, "layout_digest": digest}
        add_once(connection, table, [new | {"layout": layout.to_json(), "next_number": 1}])
    stream_id, next_number = connection.execute(query).one()
    return Stream(stream_id, gadget_id, family, origin, layout, next_number)


def _row(stream_id: int, number: int, new: NewReading) -> dict[str, Any]:
    return {"stream_id": stream_id, "number": number, **new._asdict()}
