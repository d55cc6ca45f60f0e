"""Store of readings: it creates streams, numbers readings, and stores each reading once."""

import contextlib
import functools
import threading
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, Self

from sqlalchemy import Connection, Engine, Table, bindparam, func, insert, select, update

from pygnc_station.store import schema
from pygnc_station.store.database import open_engine, translated_errors
from pygnc_station.store.readings import HOUR_MS, TIMES_MS, Layout, NewReading, Quality, Stream, clock_ms

UNKNOWN_STATUS: Final = "U"
"""Status of a device that was not registered; `server.devices_api` lists all statuses."""
EPOCH: Final = "epoch"
"""Fact: identifier that changes when a backup of the store is restored."""
_FACT: Final = select(schema.facts.c.value).where(schema.facts.c.name == bindparam("name"))
_S: Final = schema.streams.c
_D: Final = schema.devices.c
_P: Final = schema.pruned_numbers.c
# Statements of each upload: SQLAlchemy takes as long to build one as SQLite to execute it.
_NEXT_NUMBER: Final = select(_S.next_number).where(_S.id == bindparam("stream"))
_COUNTER: Final = _NEXT_NUMBER.with_for_update()
"""The lock keeps another transaction from storing higher numbers first, which would make these late unnoticed."""
_COUNTED: Final = update(schema.streams).where(_S.id == bindparam("stream")).values(next_number=bindparam("after"))
_COLUMNS: Final = ("stream_id", "number", *NewReading._fields)
_PRUNED: Final = select(_P.first, _P.last).where(
    _P.stream_id == bindparam("stream"), _P.first <= bindparam("last"), _P.last >= bindparam("first")
)
_STREAM: Final = (
    select(_S.id, _S.next_number)
    .join_from(schema.streams, schema.devices)
    .where(
        _D.gadget_id == bindparam("gadget"),
        _S.origin == bindparam("origin"),
        _S.kind == bindparam("kind"),
        _S.layout_digest == bindparam("digest"),
    )
)
_ORIGIN: Final = "origin"
_FIRST_ORIGIN: Final = "first_origin"


class Store:
    """Database of readings of any devices, on an engine of `database.open_engine`."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._writer = engine.execution_options(writes=True)  # SQLite then locks at the begin
        # Threads that wait for their turn to write leave the pool's connections to those that read.
        self._turn = threading.RLock() if self.is_file else contextlib.nullcontext()
        with self.writes() as connection:
            add_once(connection, schema.facts, [{"name": name, "value": uuid.uuid4().hex} for name in (_ORIGIN, EPOCH)])

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

    @property
    def first_origin(self) -> str:
        """Origin that this store had at first, which all its copies share."""
        with self.reads() as connection:
            return first_origin(connection)

    def renew_origin(self) -> str:
        """Give this store and its own streams a new origin, because a copy of the store uses the old one; return it."""
        origin = uuid.uuid4().hex
        streams = schema.streams
        with self.writes() as connection:
            # The streams keep ids and numbers, so loggers and cursors continue in them.
            before = store_origin(connection)
            add_once(connection, schema.facts, [{"name": _FIRST_ORIGIN, "value": before}])
            own = streams.c.origin == before
            connection.execute(update(streams).where(own).values(origin=origin))
            put_row(connection, schema.facts, {"name": _ORIGIN, "value": origin})
        return origin

    @property
    def is_file(self) -> bool:
        """True if the store is an SQLite database."""
        return self.engine.dialect.name == "sqlite"

    def renew_epoch(self) -> None:
        """Record that the content of this store was restored from a backup."""
        with self.writes() as connection:
            put_row(connection, schema.facts, {"name": EPOCH, "value": uuid.uuid4().hex})

    def used_bytes(self) -> int:
        """Return the size of the used part of an SQLite database; 0 for other databases."""
        if not self.is_file:
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
        with self._turn, translated_errors(self.engine.url), self._writer.begin() as connection:
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
        with self.reads() as connection:
            found = _find_stream(connection, gadget_id, layout, family, origin or store_origin(connection))
        if found is not None:
            return found
        with self.writes() as connection:
            origin = origin or store_origin(connection)
            return make_stream(connection, gadget_id, layout, family=family, origin=origin)

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
    rows = _not_pruned(connection, stream_id, rows) if rows else rows
    if not rows:
        return
    for row in rows:
        if row["t_utc_ms"] > latest_ms:
            row["quality"] |= Quality.FUTURE
    next_number = connection.execute(_COUNTER, {"stream": stream_id}).scalar_one()
    late = {row["t_utc_ms"] // HOUR_MS for row in rows if row["number"] < next_number}
    if late:
        add_once(connection, schema.late_hours, [{"stream_id": stream_id, "hour": hour} for hour in sorted(late)])
    add_once(connection, schema.readings, rows)
    after = max(row["number"] for row in rows) + 1
    if after > next_number:
        connection.execute(_COUNTED, {"stream": stream_id, "after": after})


def _not_pruned(connection: Connection, stream_id: int, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of readings that were not stored and deleted before; their statistics would count them twice."""
    numbers = [row["number"] for row in rows]
    among = {"stream": stream_id, "last": max(numbers), "first": min(numbers)}
    pruned = [range(first, last + 1) for first, last in connection.execute(_PRUNED, among)]
    return [row for row in rows if not any(row["number"] in part for part in pruned)] if pruned else rows


def add_new(connection: Connection, stream_id: int, numbered: Sequence[tuple[int, NewReading]], latest_ms: int) -> int:
    """Store numbered readings within a transaction as `put` does; return the number of new readings."""
    c, numbers = schema.readings.c, [number for number, _ in numbered]
    counted = select(func.count()).where(c.stream_id == stream_id, c.number.between(min(numbers), max(numbers)))
    before = connection.execute(counted).scalar_one()
    put(connection, stream_id, numbered, latest_ms)
    return connection.execute(counted).scalar_one() - before


def next_number(connection: Connection, stream_id: int) -> int:
    """Return the number of the next reading of a stream."""
    return int(connection.execute(_NEXT_NUMBER, {"stream": stream_id}).scalar_one())


def fact(connection: Connection, name: str) -> str | None:
    """Return a single value of a store, None if it has none of this name."""
    return connection.execute(_FACT, {"name": name}).scalar()


def store_origin(connection: Connection) -> str:
    """Return the origin of a store within a transaction; see `Store.origin`."""
    return fact(connection, _ORIGIN) or ""


def first_origin(connection: Connection) -> str:
    """Return the first origin of a store within a transaction; see `Store.first_origin`."""
    return fact(connection, _FIRST_ORIGIN) or store_origin(connection)


def add_once(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows with the same columns; rows whose key already exists are not changed."""
    if connection.dialect.name == "sqlite":
        statement, names = _sqlite_insertion(table, tuple(rows[0]))
        # SQLite needs no conversion of these values, which takes SQLAlchemy longer than the insertion.
        connection.exec_driver_sql(statement, [tuple([row[name] for name in names]) for row in rows])
        return
    from sqlalchemy.dialects import mysql  # noqa: PLC0415 - likewise

    key = next(iter(table.primary_key)).name  # INSERT IGNORE would hide other errors too
    connection.execute(mysql.insert(table).on_duplicate_key_update({key: table.c[key]}), rows)


@functools.cache
def _sqlite_insertion(table: Table, columns: tuple[str, ...]) -> tuple[str, list[str]]:
    """Return the statement that inserts rows whose key does not exist, and the columns in the order of its values."""
    from sqlalchemy.dialects import sqlite  # noqa: PLC0415 - only the dialect in use is imported

    insertion = sqlite.insert(table).on_conflict_do_nothing()
    compiled = insertion.compile(dialect=sqlite.dialect(), column_keys=list(columns))
    return str(compiled), list(compiled.positiontup or [])


def put_row(connection: Connection, table: Table, row: dict[str, Any]) -> None:
    """Insert a row, or replace the row with the same primary key."""
    add_once(connection, table, [row])
    connection.execute(update(table).where(*(column == row[column.name] for column in table.primary_key)).values(**row))


def make_device(connection: Connection, gadget_id: str, family: str = "", status: str = UNKNOWN_STATUS) -> int:
    """Return the id of a device; the device is created if it is new."""
    new = {"gadget_id": gadget_id, "family": family, "serial_number": "", "title": "", "status": status, "notes": ""}
    query = select(schema.devices.c.id).where(schema.devices.c.gadget_id == gadget_id)
    found = connection.execute(query).scalar()
    if found is None:
        add_once(connection, schema.devices, [new | {"created_ms": clock_ms()}])
        found = connection.execute(query).scalar_one()
    return int(found)


def make_stream(
    connection: Connection, gadget_id: str, layout: Layout, *, family: str, origin: str, first_origin: str | None = None
) -> Stream:
    """Return a stream within a transaction; see `Store.stream`. `first_origin` is that of `Store`, None if unknown."""
    if found := _find_stream(connection, gadget_id, layout, family, origin):
        return found
    device_id = make_device(connection, gadget_id, family)
    new: dict[str, Any] = {"device_id": device_id, "origin": origin, "kind": layout.kind}
    new |= {"layout_digest": layout.digest, "layout": layout.to_json(), "next_number": 1, "first_origin": first_origin}
    add_once(connection, schema.streams, [new])
    return make_stream(connection, gadget_id, layout, family=family, origin=origin)


def _find_stream(connection: Connection, gadget_id: str, layout: Layout, family: str, origin: str) -> Stream | None:
    like = {"gadget": gadget_id, "origin": origin, "kind": layout.kind, "digest": layout.digest}
    row = connection.execute(_STREAM, like).first()
    return None if row is None else Stream(row.id, gadget_id, family, origin, layout, row.next_number)


def _row(stream_id: int, number: int, new: NewReading) -> dict[str, Any]:
    return dict(zip(_COLUMNS, (stream_id, number, *new), strict=True))  # half the time of `new._asdict()`
