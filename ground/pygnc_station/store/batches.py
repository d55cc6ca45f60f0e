"""Batches of a station as its store records them: contents, state, result."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import msgspec
from sqlalchemy import Connection, func, select, update

from pygnc_station.errors import StationError
from pygnc_station.store import schema
from pygnc_station.store.store import Store


class BatchState(StrEnum):
    """State of a batch. States follow in this order; `pygnc station batch --again` makes batches ready again."""

    OPEN = "open"
    """The readings are selected; the file may be missing or incomplete and is written again."""
    READY = "ready"
    """The batch file is complete and can be sent."""
    SENT = "sent"
    """The server has received it and has not decided yet."""
    ACCEPTED = "accepted"
    """The server has stored its readings."""
    REJECTED = "rejected"
    """The server refuses it; the reason is recorded with the batch."""


class ReadingRange(msgspec.Struct, frozen=True):
    """Readings `first` to `last` of one stream, both included."""

    stream_id: int
    first: int
    last: int


class BatchedFile(msgspec.Struct, frozen=True):
    """Path, size and modification time of a file when it was selected for a batch."""

    path: str
    bytes: int
    modified_ns: int


class BatchContents(msgspec.Struct, frozen=True):
    """Readings and files in a batch."""

    readings: tuple[ReadingRange, ...] = ()
    files: tuple[BatchedFile, ...] = ()


@dataclass(frozen=True, slots=True)
class Batch:
    """Batch of a station.

    Attributes:
        id: 32 hexadecimal digits, unique everywhere.
        name: stem of its file name.
        created_ms: time of the selection of its readings, milliseconds since 1970 (UTC).
        state: progress of its transfer.
        contents: its readings and files.
        readings: number of readings in its file.
        bytes: size of its file.
        sha256: checksum of its file, hexadecimal.
        remote_id: identifier under which the server knows it, "" if that is `id` or none.
        reason: reason of the server for a rejection, "" if there is none.
        acceptance: rank of its acceptance among those of all batches; None if the server never accepted it.
        accepted_ms: time of its acceptance, milliseconds since 1970 (UTC).
        conflict: origin that another station uses too, as the server reports with an accepted batch; not recorded.
    """

    id: str
    name: str
    created_ms: int
    state: BatchState
    contents: BatchContents
    readings: int
    bytes: int
    sha256: str
    remote_id: str
    reason: str
    acceptance: int | None = None
    accepted_ms: int | None = None
    conflict: str = ""

    @property
    def file_name(self) -> str:
        """File name of its zip."""
        return f"{self.name}.zip"


def batches(store: Store, *states: BatchState, names: Sequence[str] | None = None) -> list[Batch]:
    """Return the batches in some states (by default in any) and with some names (None: any), the oldest first."""
    c = schema.batches.c
    query = select(schema.batches).order_by(c.created_ms, c.id)
    if states:
        query = query.where(c.state.in_(states))
    if names is not None:
        query = query.where(c.name.in_(names))
    with store.reads() as connection:
        rows = [row._asdict() for row in connection.execute(query)]
    return [Batch(state=BatchState(row.pop("state")), contents=_decode(row.pop("pieces")), **row) for row in rows]


def count_accepted(store: Store) -> tuple[int, int]:
    """Return the number of accepted batches and the number of readings in them."""
    c = schema.batches.c
    query = select(func.count(), func.sum(c.readings)).where(c.state == BatchState.ACCEPTED)
    with store.reads() as connection:
        count, readings = connection.execute(query).one()
    return int(count), int(readings or 0)


def accepted_batches(store: Store, first: int = 0) -> list[Batch]:
    """Return the accepted batches from a rank of acceptance on, in the order of their acceptance."""
    found = [batch for batch in batches(store, BatchState.ACCEPTED) if (batch.acceptance or 0) >= first]
    return sorted(found, key=lambda batch: batch.acceptance or 0)


def note_acceptance(store: Store, batch: Batch, now_ms: int) -> None:
    """Record that the server has accepted a batch, with its remarks and the identifier that it uses."""
    with store.writes() as connection:
        rank = newest_acceptance(connection) + 1
        values = {"remote_id": batch.remote_id, "reason": batch.reason, "acceptance": rank, "accepted_ms": now_ms}
        accepted = update(schema.batches).where(schema.batches.c.id == batch.id)
        connection.execute(accepted.values(state=BatchState.ACCEPTED, **values))


def newest_acceptance(connection: Connection) -> int:
    """Return the highest rank of acceptance, 0 if there is none; batches of older versions get their ranks before."""
    c = schema.batches.c
    highest = int(connection.execute(select(func.max(c.acceptance))).scalar() or 0)
    if highest:
        return highest
    unranked = select(c.id).where(c.state == BatchState.ACCEPTED, c.acceptance.is_(None)).order_by(c.created_ms, c.id)
    for id_ in connection.execute(unranked).scalars().all():
        highest += 1
        connection.execute(update(schema.batches).where(c.id == id_).values(acceptance=highest))
    return highest


def make_ready(connection: Connection, chosen: Sequence[Batch], *, anew: bool = False) -> None:
    """Make accepted batches ready again, so that the next upload sends them.

    Args:
        connection: write transaction.
        chosen: the batches.
        anew: give them new identifiers, so that a server which knows them as accepted stores what it lacks.
    """
    for batch in chosen:
        values: dict[str, str] = {"state": BatchState.READY, "remote_id": "", "reason": ""}
        values |= {"id": uuid.uuid4().hex} if anew else {}
        connection.execute(update(schema.batches).where(schema.batches.c.id == batch.id).values(**values))


def update_batch(store: Store, batch: Batch, **values: object) -> None:
    """Change columns of a batch, such as `state` or `reason`."""
    table = schema.batches
    with store.writes() as connection:
        connection.execute(update(table).where(table.c.id == batch.id).values(**values))


def retry_rejected(store: Store, name: str) -> Batch:
    """Make a rejected batch ready again, so that the next upload sends it.

    Raises:
        StationError: no rejected batch has this name or id.
    """
    for batch in batches(store, BatchState.REJECTED):
        if name in (batch.name, batch.id):
            update_batch(store, batch, state=BatchState.READY, remote_id="", reason="")
            return batch
    raise StationError(f"{name!r} is not a rejected batch; `pygnc station status` lists them")


def first_unaccepted(connection: Connection) -> dict[int, int]:
    """Return, per stream id, the number of the first reading that is in a batch which is not accepted yet."""
    c = schema.batches.c
    first: dict[int, int] = {}
    for text in connection.execute(select(c.pieces).where(c.state != BatchState.ACCEPTED)).scalars():
        for part in _decode(text).readings:
            first[part.stream_id] = min(part.first, first.get(part.stream_id, part.first))
    return first


def _decode(text: str) -> BatchContents:
    return msgspec.json.decode(text, type=BatchContents)
