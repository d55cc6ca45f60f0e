"""Synchronisation with a central store, which receives all readings in order and keeps each of them once.

The cursor advances after the central store has committed. If the program is killed in between, the same readings are
sent again, and the central store ignores them.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from sqlalchemy import delete, insert, select

from pygnc_station.errors import RefusedReadingsError, StoreError
from pygnc_station.store import schema
from pygnc_station.store.copies import conflicting
from pygnc_station.store.cursors import SYNC, advance, pending
from pygnc_station.store.query import numbered, numbered_pages, streams
from pygnc_station.store.readings import NewReading, StoredReading, Stream
from pygnc_station.store.store import Store, put
from pygnc_station.upload.retry import note_failure, note_success

_PAGE: Final = 1000
_CONFLICT: Final = (
    "the central store contains another reading under this number: two stations use copies of one store; this station"
    " has a new origin now, and `pygnc station sync --dead-letters` sends the reading"
)


class SyncResult(NamedTuple):
    """Result of a synchronisation.

    Attributes:
        sent: number of readings that the central store has stored.
        refused: number of readings that it refuses; they are recorded as dead letters.
        problem: failure that ended the synchronisation early, or None.
    """

    sent: int = 0
    refused: int = 0
    problem: StoreError | None = None


def synchronise(local: Store, central_url: str, now_ms: int) -> SyncResult:
    """Send all readings that the central store does not have yet."""
    sent = refused = 0
    try:
        with Store.open(central_url) as central:
            with local.reads() as connection:
                waiting = pending(connection, SYNC)
            for part in waiting:
                stream = _central_stream(central, part.stream)
                for page in numbered_pages(local, part.stream.id, part.first, part.last, _PAGE):
                    refusals = _send(central, stream, page)
                    with local.writes() as connection:
                        for reading, reason in refusals:
                            letter = (SYNC, part.stream.id, reading.number, reason, now_ms)
                            connection.execute(insert(schema.dead_letters).values(letter))
                        advance(connection, SYNC, part.stream.id, page[-1].number)
                    if part.stream.origin == local.origin and any(reason == _CONFLICT for _, reason in refusals):
                        local.renew_origin()
                    sent += len(page) - len(refusals)
                    refused += len(refusals)
    except StoreError as error:
        note_failure(local, SYNC, str(error), now_ms)
        return SyncResult(sent, refused, error)
    note_success(local, SYNC, now_ms)
    return SyncResult(sent, refused)


def dead_letters(local: Store) -> list[tuple[int, int, str]]:
    """Return stream id, number and reason of the readings that the central store has refused."""
    c = schema.dead_letters.c
    query = select(c.stream_id, c.number, c.reason).where(c.target == SYNC).order_by(c.stream_id, c.number)
    with local.reads() as connection:
        return [(row[0], row[1], row[2]) for row in connection.execute(query)]


def send_dead_letters(local: Store, central_url: str) -> SyncResult:
    """Send refused readings again.

    Raises:
        StoreError: the central store cannot be reached.
    """
    sent = refused = 0
    with Store.open(central_url) as central:
        by_id = {stream.id: stream for stream in streams(local)}
        for stream_id, number, _ in dead_letters(local):
            with local.reads() as connection:
                page = numbered(connection, stream_id, number, number)
            if _send(central, _central_stream(central, by_id[stream_id]), page):
                refused += 1
                continue
            c = schema.dead_letters.c
            sent_letter = (c.target == SYNC, c.stream_id == stream_id, c.number == number)
            with local.writes() as connection:
                connection.execute(delete(schema.dead_letters).where(*sent_letter))
            sent += 1
    return SyncResult(sent, refused)


def _central_stream(central: Store, stream: Stream) -> Stream:
    return central.stream(stream.gadget_id, stream.layout, family=stream.family, origin=stream.origin)


def _send(central: Store, stream: Stream, page: Sequence[StoredReading]) -> list[tuple[StoredReading, str]]:
    """Store a page in the central store; return the readings that it refuses, found by bisection, with reasons."""
    try:
        rows = [(reading.number, NewReading(*reading[2:])) for reading in page]
        with central.writes() as connection:
            refused = conflicting(connection, stream.id, rows)
            put(connection, stream.id, [row for row in rows if row[0] not in refused])
    except RefusedReadingsError as error:
        if len(page) == 1:
            return [(page[0], str(error))]
        middle = len(page) // 2
        return _send(central, stream, page[:middle]) + _send(central, stream, page[middle:])
    return [(reading, _CONFLICT) for reading in page if reading.number in refused]
