"""Batches: which readings go together, their files, and how far each has come.

Readings are chosen and counted off in one transaction; the file is made after it, and again if that was cut short. So
each reading is in exactly one batch, whatever is killed when.
"""

import hashlib
import json
import os
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, func, insert, select, update

from pygnc_station.station.batch_format import FILES, FORMAT, BatchWriter, FileEntry, Metadata, StreamEntry
from pygnc_station.station.errors import StationError
from pygnc_station.station.flight_files import mark_taken, new_files
from pygnc_station.station.lock import alone_in
from pygnc_station.station.settings import Settings
from pygnc_station.store import schema
from pygnc_station.store.cursors import advance, pending
from pygnc_station.store.export import file_names
from pygnc_station.store.names import portable
from pygnc_station.store.pieces import Piece, Pieces, State, TakenFile, pieces_of
from pygnc_station.store.query import numbered, streams_of
from pygnc_station.store.records import StoredReading, iso_time
from pygnc_station.store.store import Store

BATCHES: Final = "batches"
_PAGE: Final = 2000
_VERSION: Final = "1.3 Dec 2020"
"""Of batonopc's description."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch as the store knows it."""

    id: str
    name: str
    created_ms: int
    state: State
    pieces: Pieces
    readings: int
    bytes: int
    sha256: str
    remote_id: str
    reason: str

    @property
    def file_name(self) -> str:
        """Of its zip."""
        return f"{self.name}.zip"


def make_batch(store: Store, settings: Settings, now_ms: int) -> list[Batch]:
    """Finish batches that were cut short, then make one of the readings and files that are in none.

    Returns:
        The batches that are ready now; an empty list: nothing is new.

    Raises:
        StationError: another program is making batches here.
        StoreError: the store cannot be read or written.
        OSError: the file cannot be written; it is made at the next call.
    """
    with alone_in(settings.path(settings.batches.pending), "making batches"):
        # First what was cut short: if that cannot be written, no more is chosen.
        made = [_finish(store, settings, batch) for batch in batches(store, State.OPEN)]
        _choose(store, settings, now_ms)
        return made + [_finish(store, settings, batch) for batch in batches(store, State.OPEN)]


def batches(store: Store, *states: State, names: Sequence[str] | None = None) -> list[Batch]:
    """Return the batches in some states, or all, the oldest first; with names only those."""
    c = schema.batches.c
    query = select(schema.batches).order_by(c.created_ms, c.id)
    if states:
        query = query.where(c.state.in_(states))
    if names is not None:
        query = query.where(c.name.in_(names))
    with store.reads() as connection:
        rows = [row._asdict() for row in connection.execute(query)]
    return [Batch(**row | {"state": State(row["state"]), "pieces": pieces_of(row["pieces"])}) for row in rows]


def accepted(store: Store) -> tuple[int, int]:
    """Return how many batches have been accepted, and how many readings are in them."""
    c = schema.batches.c
    query = select(func.count(), func.sum(c.readings)).where(c.state == State.ACCEPTED)
    with store.reads() as connection:
        count, readings = connection.execute(query).one()
    return int(count), int(readings or 0)


def set_state(store: Store, batch: Batch, state: State, *, remote_id: str | None = None, reason: str = "") -> None:
    """Note how far a batch has come."""
    values: dict[str, object] = {"state": state, "reason": reason}
    if remote_id is not None:
        values["remote_id"] = remote_id
    with store.writes() as connection:
        _update(connection, batch.id, values)


def try_again(store: Store, name: str) -> Batch:
    """Make a rejected batch ready once more.

    Raises:
        StationError: no rejected batch has that name.
    """
    for batch in batches(store, State.REJECTED):
        if name in (batch.name, batch.id):
            set_state(store, batch, State.READY, remote_id="")
            return batch
    raise StationError(f"no rejected batch is called {name!r}: pygnc station status lists them")


def _choose(store: Store, settings: Settings, now_ms: int) -> None:
    """Begin a batch of what is in none yet."""
    with store.writes() as connection:
        room = settings.batches.most_readings
        chosen: list[Piece] = []
        for waiting in pending(connection, BATCHES):
            last = min(waiting.last, waiting.first + room - 1)
            if last < waiting.first:
                break
            chosen.append(Piece(waiting.stream.id, waiting.first, last))
            room -= last - waiting.first + 1
            advance(connection, BATCHES, waiting.stream.id, last)
        files = new_files(connection, [settings.path(folder) for folder in settings.batches.flight_folders])
        if not chosen and not files:
            return
        mark_taken(connection, files)
        id_ = uuid.uuid4().hex
        stamp = iso_time(now_ms)[:19].replace("-", "").replace(":", "")
        new = {"id": id_, "name": f"{stamp}Z_{id_[:8]}", "created_ms": now_ms, "state": State.OPEN, "readings": 0}
        new |= {"bytes": 0, "sha256": "", "remote_id": "", "reason": ""}
        connection.execute(insert(schema.batches), new | {"pieces": Pieces(tuple(chosen), tuple(files)).to_json()})


def _finish(store: Store, settings: Settings, batch: Batch) -> Batch:
    """Write the file of a batch; it appears when it is whole."""
    folder = settings.path(settings.batches.pending)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / batch.file_name
    unfinished = folder / f".{batch.file_name}.part"
    readings = _write(store, settings, batch, unfinished)
    with unfinished.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    unfinished.replace(path)
    _sync_folder(folder)
    size = path.stat().st_size
    with store.writes() as connection:
        _update(connection, batch.id, {"state": State.READY, "readings": readings, "bytes": size, "sha256": sha256})
    return next(made for made in batches(store, State.READY) if made.id == batch.id)


def _write(store: Store, settings: Settings, batch: Batch, path: Path) -> int:
    with store.reads() as connection:
        by_id = {stream.id: stream for stream in streams_of(connection)}
    among = [by_id[piece.stream_id] for piece in batch.pieces.readings]
    entries = []
    writer = BatchWriter(path, batch.created_ms)
    try:
        for piece, stream, stem in zip(batch.pieces.readings, among, file_names(among), strict=True):
            name = f"{stem}.csv"
            count = writer.add_readings(name, stream.layout, _pages(store, piece))
            entries.append(
                StreamEntry(
                    name, stream.gadget_id, stream.family, stream.origin, stream.layout, piece.first, piece.last, count
                )
            )
        files = tuple(_add_files(writer, batch.pieces.files))
        metadata = Metadata(
            FORMAT, batch.id, batch.name, settings.name, iso_time(batch.created_ms), settings.batches.type,
            settings.batches.mode, tuple(entries), files,
        )  # fmt: skip
        writer.add(f"{batch.name}.yaml", [_description(metadata)])
        writer.close(metadata)
    except BaseException:
        writer.abandon()
        raise
    return sum(entry.count for entry in entries)


def _add_files(writer: BatchWriter, files: Sequence[TakenFile]) -> Iterator[FileEntry]:
    for rank, taken in enumerate(files):
        path = Path(taken.path)
        name = f"{FILES}{rank:04d}_{portable(path.name)}"
        try:
            writer.add_file(name, path)
        except FileNotFoundError:  # somebody has deleted it since
            continue
        yield FileEntry(name, taken.path, taken.modified_ns)


def _description(metadata: Metadata) -> bytes:
    """Return batonopc's description of a batch: JSON, which is YAML too. The gateway's key stays out of it."""
    gadgets = sorted({entry.gadget_id for entry in metadata.streams})
    return json.dumps(
        {
            "source": "Raspberry PI",
            "source_ref": metadata.name,
            "version": _VERSION,
            "filelist": ",".join(entry.file for entry in metadata.streams),
            "batch_type": metadata.type,
            "batch_mode": metadata.mode,
            "timestamp": metadata.created,
            "gadget_id": ",".join(gadgets),
            "reading_from": min((entry.first for entry in metadata.streams), default=0),
            "reading_to": max((entry.last for entry in metadata.streams), default=0),
        },
        indent=1,
    ).encode()


def _pages(store: Store, piece: Piece) -> Iterator[list[StoredReading]]:
    first = piece.first
    while first <= piece.last:
        with store.reads() as connection:
            page = numbered(connection, piece.stream_id, first, piece.last, _PAGE)
        if not page:
            return
        yield page
        first = page[-1].number + 1


def _update(connection: Connection, id_: str, values: dict[str, object]) -> None:
    table = schema.batches
    connection.execute(update(table).where(table.c.id == id_).values(**values))


def _sync_folder(folder: Path) -> None:
    """See to it that a new name in a folder survives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
