"""Deletes old readings, but none that somebody still has to take, or that is in a batch that is not accepted yet."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import delete, select

from pygnc_station.store import schema
from pygnc_station.store.cursors import position
from pygnc_station.store.pieces import Piece, first_on_the_way
from pygnc_station.store.query import streams
from pygnc_station.store.store import Store

_AT_ONCE: Final = 2000
"""A logger that waits for the lock waits for no more than that many."""


def prune(store: Store, before_ms: int, readers: Sequence[str] = ()) -> int:
    """Delete readings that are older than a time and that all readers have taken.

    Args:
        store: where.
        before_ms: time, milliseconds since 1970.
        readers: names of cursors.

    Returns:
        How many were deleted.
    """
    deleted = 0
    table = schema.readings
    for stream in streams(store):
        while True:
            with store.writes() as connection:
                last = min((position(connection, reader, stream.id) for reader in readers), default=stream.next_number)
                last = min(last, first_on_the_way(connection).get(stream.id, last + 1) - 1)
                old = (table.c.stream_id == stream.id, table.c.t_utc_ms < before_ms, table.c.number <= last)
                query = select(table.c.number).where(*old).order_by(table.c.t_utc_ms).limit(_AT_ONCE)
                numbers = list(connection.execute(query).scalars())
                if not numbers:
                    break
                condition = (table.c.stream_id == stream.id, table.c.number.in_(numbers))
                connection.execute(delete(table).where(*condition))
                deleted += len(numbers)
    return deleted


def forget(store: Store, piece: Piece, readers: Sequence[str] = ()) -> int:
    """Delete the readings of a piece that all readers have taken; return how many."""
    table = schema.readings
    with store.writes() as connection:
        taken = min((position(connection, reader, piece.stream_id) for reader in readers), default=piece.last)
        condition = (table.c.stream_id == piece.stream_id, table.c.number.between(piece.first, min(piece.last, taken)))
        return int(connection.execute(delete(table).where(*condition)).rowcount)
