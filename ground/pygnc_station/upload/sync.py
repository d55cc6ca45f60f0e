"""Brings the readings of a local store to a central one: each once, in order, whatever is killed or down when.

The cursor moves after the central store has committed. Killed in between, the same are sent again, and are there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import delete, select

from pygnc_station.errors import RefusedReadingsError, StoreError
from pygnc_station.store import schema
from pygnc_station.store.cursors import SYNC, add_dead_letter, advance, pending
from pygnc_station.store.query import numbered, numbered_pages, streams_of
from pygnc_station.store.readings import NewReading, StoredReading, Stream
from pygnc_station.store.store import Store
from pygnc_station.upload.retry import note_failure, note_success

_PAGE: Final = 1000


@dataclass(frozen=True, slots=True)
class SyncResult:
    """What a synchronisation did.

    Attributes:
        sent: readings that the central store has now.
        refused: readings that it will not take; they are put aside as dead letters.
        problem: what ended it before everything was sent, "" if nothing did.
    """

    sent: int = 0
    refused: int = 0
    problem: str = ""


def synchronise(local: Store, central: str, now_ms: int) -> SyncResult:
    """Send all readings that the central store does not have yet.

    Args:
        local: where they are.
        central: URL of the store where they go.
        now_ms: time, for the books.
    """
    sent = refused = 0
    try:
        with Store.open(central) as there:
            with local.reads() as connection:
                waiting = pending(connection, SYNC)
            for piece in waiting:
                stream = _mirror(there, piece.stream)
                for page in numbered_pages(local, piece.stream.id, piece.first, piece.last, _PAGE):
                    bad = _send(there, stream, page)
                    _note(local, piece.stream, page, bad, now_ms)
                    sent += len(page) - len(bad)
                    refused += len(bad)
    except StoreError as error:
        note_failure(local, SYNC, str(error), now_ms)
        return SyncResult(sent, refused, str(error))
    note_success(local, SYNC, now_ms)
    return SyncResult(sent, refused)


def dead_letters(local: Store) -> list[tuple[int, int, str]]:
    """Return stream, number and reason of what was put aside."""
    c = schema.dead_letters.c
    query = select(c.stream_id, c.number, c.reason).where(c.target == SYNC).order_by(c.stream_id, c.number)
    with local.reads() as connection:
        return [(row[0], row[1], row[2]) for row in connection.execute(query)]


def send_dead_letters(local: Store, central: str) -> SyncResult:
    """Try once more what was put aside.

    Raises:
        StoreError: the central store cannot be reached.
    """
    sent = refused = 0
    with Store.open(central) as there:
        with local.reads() as connection:
            by_id = {stream.id: stream for stream in streams_of(connection)}
        for stream_id, number, _ in dead_letters(local):
            with local.reads() as connection:
                page = numbered(connection, stream_id, number, number)
            if _send(there, _mirror(there, by_id[stream_id]), page):
                refused += 1
                continue
            c = schema.dead_letters.c
            with local.writes() as connection:
                connection.execute(
                    delete(schema.dead_letters).where(c.target == SYNC, c.stream_id == stream_id, c.number == number)
                )
            sent += 1
    return SyncResult(sent, refused)


def _mirror(there: Store, stream: Stream) -> Stream:
    return there.stream(stream.gadget_id, stream.layout, family=stream.family, origin=stream.origin)


def _send(there: Store, stream: Stream, page: Sequence[StoredReading]) -> list[tuple[StoredReading, str]]:
    """Put a page into the central store; return what it refuses, found by halving."""
    try:
        there.put(stream, [(reading.number, NewReading(*reading[2:])) for reading in page])
    except RefusedReadingsError as error:
        if len(page) == 1:
            return [(page[0], str(error))]
        middle = len(page) // 2
        return _send(there, stream, page[:middle]) + _send(there, stream, page[middle:])
    return []


def _note(
    local: Store, stream: Stream, page: Sequence[StoredReading], bad: list[tuple[StoredReading, str]], now_ms: int
) -> None:
    with local.writes() as connection:
        for reading, reason in bad:
            add_dead_letter(connection, SYNC, stream.id, reading.number, reason=reason, now_ms=now_ms)
        advance(connection, SYNC, stream.id, page[-1].number)
