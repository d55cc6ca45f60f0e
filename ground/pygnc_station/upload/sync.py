"""Synchronisation with a central store, which receives all readings in order and keeps each of them once.

The cursor advances after the central store has committed. If the program is killed in between, the same readings are
sent again, and the central store ignores them. The highest number that the central store has confirmed is recorded
beside it: a central store with a lower one was restored from a backup, and gets again what it lacks.
"""

import logging
from collections.abc import Sequence
from typing import Final, NamedTuple

from sqlalchemy import delete, select

from pygnc_station.errors import RefusedReadingsError, StoreError
from pygnc_station.store import schema
from pygnc_station.store.copies import conflicting
from pygnc_station.store.cursors import SYNC, advance, position
from pygnc_station.store.query import numbered, numbered_pages, streams, streams_of
from pygnc_station.store.readings import NewReading, StoredReading, Stream
from pygnc_station.store.store import Store, next_number, put, put_row
from pygnc_station.upload.retry import note_failure, note_success

_PAGE: Final = 1000
_log: Final = logging.getLogger(__name__)
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
                among = streams_of(connection)
            for stream in among:
                done = _synchronise_stream(local, central, stream, now_ms)
                sent += done.sent
                refused += done.refused
    except StoreError as error:
        note_failure(local, SYNC, str(error), now_ms)
        return SyncResult(sent, refused, error)
    note_success(local, SYNC, now_ms)
    return SyncResult(sent, refused)


def _synchronise_stream(local: Store, central: Store, stream: Stream, now_ms: int) -> SyncResult:
    there = _central_stream(central, stream)
    # A new origin of this store begins a new stream in the central store, whose numbers begin elsewhere.
    confirmed = f"{SYNC} {stream.origin}"
    with local.reads() as connection:
        last = position(connection, SYNC, stream.id)
        known = position(connection, confirmed, stream.id)
    if there.next_number <= known:
        lost = f"readings {there.next_number} to {known} of {stream.gadget_id}, which it had stored"
        _log.warning("the central store has lost %s; a backup was probably restored, and they are sent again", lost)
        known = there.next_number - 1
        last = min(last, known)
    sent = refused = 0
    for page in numbered_pages(local, stream.id, last + 1, stream.next_number - 1, _PAGE):
        refusals = _send(central, there, page, known)
        with central.reads() as connection:
            known = next_number(connection, there.id) - 1
        with local.writes() as connection:
            for reading, reason in refusals:
                letter = {"target": SYNC, "stream_id": stream.id, "number": reading.number}
                put_row(connection, schema.dead_letters, letter | {"reason": reason, "t_utc_ms": now_ms})
            advance(connection, SYNC, stream.id, page[-1].number)
            advance(connection, confirmed, stream.id, known)
        if stream.origin == local.origin and any(reason == _CONFLICT for _, reason in refusals):
            local.renew_origin()
        sent += len(page) - len(refusals)
        refused += len(refusals)
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
            if _send(central, _central_stream(central, by_id[stream_id]), page, 0):
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


def _send(central: Store, stream: Stream, page: Sequence[StoredReading], known: int) -> list[tuple[StoredReading, str]]:
    """Store a page in the central store; return the readings that it refuses, found by bisection, with reasons.

    Raises:
        StoreError: the central store has lost reading `known`, which it had stored.
    """
    try:
        rows = [(reading.number, NewReading(*reading[2:])) for reading in page]
        with central.writes() as connection:
            if next_number(connection, stream.id) <= known:
                raise StoreError("the central store was restored from a backup; the next synchronisation sends again")
            refused = conflicting(connection, stream.id, rows)
            put(connection, stream.id, [row for row in rows if row[0] not in refused])
    except RefusedReadingsError as error:
        if len(page) == 1:
            return [(page[0], str(error))]
        middle = len(page) // 2
        return _send(central, stream, page[:middle], known) + _send(central, stream, page[middle:], known)
    return [(reading, _CONFLICT) for reading in page if reading.number in refused]
