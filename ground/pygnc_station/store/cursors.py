"""How far each reader of a store has come: batches, a central store. Numbers have no holes, so a number is enough."""

from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, update

from pygnc_station.store import schema
from pygnc_station.store.query import streams_of
from pygnc_station.store.records import Stream
from pygnc_station.store.store import add_once


@dataclass(frozen=True, slots=True)
class Pending:
    """Readings that a reader has not taken yet, both ends included."""

    stream: Stream
    first: int
    last: int


def pending(connection: Connection, reader: str) -> list[Pending]:
    """Return what a reader has not taken yet, of all streams."""
    waiting = []
    for stream in streams_of(connection):
        first, last = position(connection, reader, stream.id) + 1, stream.next_number - 1
        if first <= last:
            waiting.append(Pending(stream, first, last))
    return waiting


def position(connection: Connection, reader: str, stream_id: int) -> int:
    """Return the number up to which a reader has come; 0: it has not begun."""
    c = schema.cursors.c
    query = select(c.number).where(c.reader == reader, c.stream_id == stream_id)
    return int(connection.execute(query).scalar() or 0)


def advance(connection: Connection, reader: str, stream_id: int, number: int) -> None:
    """Note that a reader has come up to a number."""
    table = schema.cursors
    add_once(connection, table, [{"reader": reader, "stream_id": stream_id, "number": 0}])
    connection.execute(
        update(table).where(table.c.reader == reader, table.c.stream_id == stream_id).values(number=number)
    )


def bury(connection: Connection, reader: str, stream_id: int, number: int, *, reason: str, now_ms: int) -> None:
    """Put a reading aside that a reader's target refuses."""
    letter = {"target": reader, "stream_id": stream_id, "number": number, "reason": reason, "t_utc_ms": now_ms}
    connection.execute(insert(schema.dead_letters), letter)
