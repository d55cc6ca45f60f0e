"""Cursors: position of each reader of a store.

Numbers of readings have no gaps, so the last number that a reader has processed is all that has to be recorded.
"""

from typing import Final, NamedTuple

from sqlalchemy import Connection, select

from pygnc_station.store import schema
from pygnc_station.store.query import streams_of
from pygnc_station.store.readings import Stream
from pygnc_station.store.store import put_row

BATCHES: Final = "batches"
"""Reader that selects readings for batches."""
SYNC: Final = "sync"
"""Reader that sends readings to the central store."""


class Pending(NamedTuple):
    """Readings `first` to `last` of a stream, both included, that a reader has not processed yet."""

    stream: Stream
    first: int
    last: int


def pending(connection: Connection, reader: str) -> list[Pending]:
    """Return the readings that a reader has not processed yet, of all streams."""
    waiting = [
        Pending(stream, position(connection, reader, stream.id) + 1, stream.next_number - 1)
        for stream in streams_of(connection)
    ]
    return [part for part in waiting if part.first <= part.last]


def position(connection: Connection, reader: str, stream_id: int) -> int:
    """Return the last number that a reader has processed; 0 before the first."""
    c = schema.cursors.c
    query = select(c.number).where(c.reader == reader, c.stream_id == stream_id)
    return int(connection.execute(query).scalar() or 0)


def advance(connection: Connection, reader: str, stream_id: int, number: int) -> None:
    """Record that a reader has processed the readings of a stream up to `number`."""
    put_row(connection, schema.cursors, {"reader": reader, "stream_id": stream_id, "number": number})
