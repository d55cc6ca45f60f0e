"""Cursors: position of each reader of a store, and deletion of readings that no reader needs any more.

Numbers of readings have no gaps, so the last number that a reader has processed is all that has to be recorded.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from sqlalchemy import Connection, delete, select, update

from pygnc_station.store import schema
from pygnc_station.store.batches import ReadingRange, first_unaccepted
from pygnc_station.store.query import streams, streams_of
from pygnc_station.store.readings import Stream
from pygnc_station.store.store import Store, add_once

BATCHES: Final = "batches"
"""Reader that selects readings for batches."""
SYNC: Final = "sync"
"""Reader that sends readings to the central store."""
INFLUX: Final = "influx"
"""Reader that sends readings to InfluxDB."""
_DELETED_AT_ONCE: Final = 2000
"""Readings deleted in one transaction; a logger that writes at this time waits for the transaction."""


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
    table = schema.cursors
    add_once(connection, table, [{"reader": reader, "stream_id": stream_id, "number": 0}])
    connection.execute(
        update(table).where(table.c.reader == reader, table.c.stream_id == stream_id).values(number=number)
    )


def prune(store: Store, before_ms: int, readers: Sequence[str] = ()) -> int:
    """Delete old readings that all readers have processed and that are in no unaccepted batch.

    Args:
        store: store to delete from.
        before_ms: delete readings that are older than this, milliseconds since 1970 (UTC).
        readers: names of the cursors that limit the deletion.

    Returns:
        The number of deleted readings.
    """
    deleted = 0
    table = schema.readings
    for stream in streams(store):
        while True:
            with store.writes() as connection:
                last = min((position(connection, reader, stream.id) for reader in readers), default=stream.next_number)
                last = min(last, first_unaccepted(connection).get(stream.id, last + 1) - 1)
                old = (table.c.stream_id == stream.id, table.c.t_utc_ms < before_ms, table.c.number <= last)
                query = select(table.c.number).where(*old).order_by(table.c.t_utc_ms).limit(_DELETED_AT_ONCE)
                numbers = list(connection.execute(query).scalars())
                if not numbers:
                    break
                condition = (table.c.stream_id == stream.id, table.c.number.in_(numbers))
                connection.execute(delete(table).where(*condition))
                deleted += len(numbers)
    return deleted


def delete_range(store: Store, part: ReadingRange, readers: Sequence[str] = ()) -> int:
    """Delete the readings of a range that all readers have processed; return their number."""
    table = schema.readings
    with store.writes() as connection:
        last = min((position(connection, reader, part.stream_id) for reader in readers), default=part.last)
        condition = (table.c.stream_id == part.stream_id, table.c.number.between(part.first, min(part.last, last)))
        return int(connection.execute(delete(table).where(*condition)).rowcount)
