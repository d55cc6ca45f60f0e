"""Builds batches: selects readings and flight files that are in no batch yet, and writes their zip files.

Readings are selected in one transaction, and the file is written afterwards. An interrupted file is written again from
the recorded selection. Each reading is therefore in exactly one batch, whenever the program is killed.
"""

import errno
import fcntl
import hashlib
import json
import logging
import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
from sqlalchemy import Connection, insert, select

from pygnc_station.batch_format import FILES, FORMAT, BatchWriter, FileEntry, Metadata, StreamEntry
from pygnc_station.errors import StationError
from pygnc_station.settings import StationSettings
from pygnc_station.store import schema
from pygnc_station.store.batches import (
    Batch,
    BatchContents,
    BatchedFile,
    BatchState,
    ReadingRange,
    batches,
    update_batch,
)
from pygnc_station.store.cursors import BATCHES, advance, pending
from pygnc_station.store.export import file_names, portable_name
from pygnc_station.store.query import numbered_pages, streams
from pygnc_station.store.readings import iso_time
from pygnc_station.store.store import Store, put_row
from pygnc_system.files import replacing

FLIGHT_FILES: Final = (
    "sense.bin",
    "range/**/rng*.bin",
    "rng*.bin",
    "pygnc_logs/**/*",
    "pygnc_batch/**/*",
    "pygnc_status.bin",
)
"""Patterns of the files that `flight_folders` in [batches] contributes."""
_INCOMPLETE: Final = ".part"
_MAX_FILES: Final = 2000
_COPY_BYTES: Final = 1 << 20
_log: Final = logging.getLogger(__name__)


def make_batch(store: Store, settings: StationSettings, now_ms: int) -> list[Batch]:
    """Complete interrupted batches, then build a batch from the readings and files that are in no batch yet.

    Args:
        store: store of the station.
        settings: settings of the station.
        now_ms: current time, milliseconds since 1970 (UTC).

    Returns:
        The completed batches; empty if there is nothing new.

    Raises:
        StationError: another program is building batches in the same folder.
        StoreError: the store cannot be read or written.
        OSError: the file cannot be written; the next call writes it again.
    """
    with exclusive_lock(settings.path(settings.batches.pending), "building batches"):
        # Interrupted batches come first: if they cannot be written, nothing new is selected.
        made = complete_batches(store, settings)
        _select_new(store, settings, now_ms)
        return made + complete_batches(store, settings)


def complete_batches(store: Store, settings: StationSettings) -> list[Batch]:
    """Write the files of batches that have none, while the caller holds the lock of the folder; return the batches."""
    return [_write_file(store, settings, batch) for batch in batches(store, BatchState.OPEN)]


@contextmanager
def exclusive_lock(folder: Path, activity: str) -> Iterator[None]:
    """Hold the lock of a folder, which is created if missing; the lock ends with the process that holds it.

    Raises:
        StationError: another program holds the lock.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StationError(f"{folder}: another program is {activity}; wait until it ends") from None
        yield


def _select_new(store: Store, settings: StationSettings, now_ms: int) -> None:
    """Record a batch of the readings and files that are in no batch yet, if there are any."""
    with store.writes() as connection:
        room = settings.batches.most_readings
        ranges: list[ReadingRange] = []
        for waiting in pending(connection, BATCHES):
            last = min(waiting.last, waiting.first + room - 1)
            if last < waiting.first:
                break
            ranges.append(ReadingRange(waiting.stream.id, waiting.first, last))
            room -= last - waiting.first + 1
            advance(connection, BATCHES, waiting.stream.id, last)
        files = _find_new_files(connection, [settings.path(folder) for folder in settings.batches.flight_folders])
        if not ranges and not files:
            return
        for file in files:
            digest = hashlib.sha256(file.path.encode()).hexdigest()
            put_row(connection, schema.batched_files, {"path_digest": digest, **msgspec.to_builtins(file)})
        id_ = uuid.uuid4().hex
        stamp = iso_time(now_ms)[:19].replace("-", "").replace(":", "")
        row = {"id": id_, "name": f"{stamp}Z_{id_[:8]}", "created_ms": now_ms, "state": BatchState.OPEN, "readings": 0}
        row |= {"bytes": 0, "sha256": "", "remote_id": "", "reason": ""}
        contents = msgspec.json.encode(BatchContents(tuple(ranges), tuple(files))).decode()
        connection.execute(insert(schema.batches), row | {"pieces": contents})


def _find_new_files(connection: Connection, folders: Sequence[Path]) -> list[BatchedFile]:
    """Return flight files that are in no batch or have changed since.

    Incomplete journals are skipped. A file that cannot be read is named in the log and stays for a later batch.
    """
    c = schema.batched_files.c
    known = {row[0]: (row[1], row[2]) for row in connection.execute(select(c.path, c.bytes, c.modified_ns))}
    found: dict[str, BatchedFile] = {}
    for folder in folders:
        for pattern in FLIGHT_FILES:
            for path in sorted(folder.glob(pattern)):
                if path.is_symlink() or not path.is_file() or path.suffix == _INCOMPLETE:
                    continue
                try:
                    with path.open("rb") as file:
                        status = os.fstat(file.fileno())
                except FileNotFoundError:  # deleted since it was found
                    continue
                except OSError as error:
                    remedy = "it is left out until this user can read it (chmod, chown)"
                    _log.warning("%s: %s; %s", path, error.strerror, remedy)
                    continue
                if known.get(str(path)) != (status.st_size, status.st_mtime_ns):
                    found[str(path)] = BatchedFile(str(path), status.st_size, status.st_mtime_ns)
    return list(found.values())[:_MAX_FILES]


def _write_file(store: Store, settings: StationSettings, batch: Batch) -> Batch:
    """Write the zip file of a batch; it appears under its name when it is complete and synced."""
    path = settings.path(settings.batches.pending) / batch.file_name
    with replacing(path) as part:
        readings = _write_zip(store, settings, batch, part)
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    size = path.stat().st_size
    if readings < batch.readings:
        why = "were deleted from the store, so they cannot be sent again"
        _log.warning("batch %s: %d of its %d readings %s", batch.name, batch.readings - readings, batch.readings, why)
    update_batch(store, batch, state=BatchState.READY, readings=readings, bytes=size, sha256=sha256)
    return next(made for made in batches(store, BatchState.READY) if made.id == batch.id)


def _write_zip(store: Store, settings: StationSettings, batch: Batch, path: Path) -> int:
    """Write the zip; return the number of readings in it."""
    by_id = {stream.id: stream for stream in streams(store)}
    own, first = store.origin, store.first_origin
    ranges = batch.contents.readings
    sources = [by_id[part.stream_id] for part in ranges]
    entries = []
    with closing(BatchWriter(path, batch.created_ms)) as writer:
        for part, stream, stem in zip(ranges, sources, file_names(sources), strict=True):
            pages = numbered_pages(store, part.stream_id, part.first, part.last)
            count = writer.add_readings(f"{stem}.csv", stream.layout, pages)
            source = (stream.gadget_id, stream.family, stream.origin, stream.layout)
            first_origin = first if stream.origin == own != first else ""
            entries.append(StreamEntry(f"{stem}.csv", *source, part.first, part.last, count, first_origin))
        files = tuple(_add_files(writer, batch.contents.files))
        metadata = Metadata(
            FORMAT, batch.id, batch.name, settings.name, iso_time(batch.created_ms), settings.batches.type,
            settings.batches.mode, tuple(entries), files,
        )  # fmt: skip
        writer.add(f"{batch.name}.yaml", [_description(metadata)])
        writer.finish(metadata)
    return sum(entry.count for entry in entries)


def _add_files(writer: BatchWriter, files: Sequence[BatchedFile]) -> Iterator[FileEntry]:
    for rank, file in enumerate(files):
        path = Path(file.path)
        name = f"{FILES}{rank:04d}_{portable_name(path.name)}"
        try:
            with path.open("rb") as octets:  # an entry that was begun cannot be taken back
                while octets.read(_COPY_BYTES):
                    pass
        except OSError as error:
            if error.errno != errno.ENOENT:  # otherwise it was deleted since it was selected
                _log.warning("%s: %s; %s is left out until it changes", path, error.strerror, path.name)
            continue
        with path.open("rb") as octets:
            writer.add(name, iter(partial(octets.read, _COPY_BYTES), b""))
        yield FileEntry(name, file.path, file.modified_ns)


def _description(metadata: Metadata) -> bytes:
    """Return batonopc's description of a batch: JSON, which is YAML too; without the gateway's key."""
    gadgets = sorted({entry.gadget_id for entry in metadata.streams})
    return json.dumps(
        {
            "source": "Raspberry PI",
            "source_ref": metadata.name,
            "version": "1.3 Dec 2020",
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
