"""Takes a verified batch into the store, all or nothing; what is there already stays as it is."""

import csv
import io
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import tzinfo
from itertools import islice
from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from pygnc_station.server import batonopc_batch
from pygnc_station.server.quarantine import BadBatchError, copy, opened, verified
from pygnc_station.station.batch_format import FileEntry, Metadata, StreamEntry, read_rows
from pygnc_station.station.settings import Limits
from pygnc_station.store.records import NewReading
from pygnc_station.store.store import Store, make_stream, put

_PAGE: Final = 2000
_LONGEST_NAME: Final = 120


@dataclass(frozen=True, slots=True)
class Ingested:
    """What was in a batch.

    Attributes:
        readings: taken, or here before.
        files: of the flight.
        note: what was left out, in words.
    """

    readings: int
    files: int
    note: str = ""


def ingest(  # noqa: PLR0917 - each is of another kind
    store: Store, connection: Connection, path: Path, files: Path, limits: Limits, zone: tzinfo | None
) -> Ingested:
    """Store the readings of a batch within a transaction, and its flight files in a folder.

    Args:
        store: where the readings go.
        connection: transaction that writes.
        path: the batch.
        files: folder for flight files; is made when there are any.
        limits: of sizes.
        zone: of the times in batonopc's batches; None: this computer's.

    Raises:
        BadBatchError: it is not taken; nothing of it is stored.
    """
    with opened(path, limits) as archive:
        try:
            stem = batonopc_batch.stem_of(archive)
            if stem:
                count, untimed = batonopc_batch.take(connection, archive, stem, zone)
                return Ingested(count, 0, f"{untimed} rows without a time are left out" if untimed else "")
            metadata = verified(archive)
            readings = sum(_put(store, connection, archive, entry) for entry in metadata.streams)
        except (ValueError, RecursionError, csv.Error) as error:  # msgspec's errors are ValueErrors too
            raise BadBatchError(str(error)) from None
        _keep_files(archive, metadata, files)
        return Ingested(readings, len(metadata.files))


def _put(store: Store, connection: Connection, archive: zipfile.ZipFile, entry: StreamEntry) -> int:
    names = (entry.gadget_id, entry.family, entry.origin, entry.layout.kind)
    if any(len(name) > _LONGEST_NAME or not name.isprintable() for name in names) or not entry.gadget_id:
        raise BadBatchError(f"{entry.file}: its device has an impossible name")
    if entry.origin == store.origin:
        raise BadBatchError(f"{entry.file}: its readings claim to be this server's own")
    stream = make_stream(connection, entry.gadget_id, entry.layout, family=entry.family, origin=entry.origin)
    count = 0
    with archive.open(entry.file) as octets:
        rows = read_rows(io.TextIOWrapper(octets, encoding="utf-8", newline=""), entry)
        for page in _pages(rows):
            put(connection, stream.id, page)
            count += len(page)
    if count != entry.count:
        raise BadBatchError(f"{entry.file} has {count} readings, not {entry.count}")
    return count


def _pages(rows: Iterator[tuple[int, NewReading]]) -> Iterator[list[tuple[int, NewReading]]]:
    while page := list(islice(rows, _PAGE)):
        yield page


def _keep_files(archive: zipfile.ZipFile, metadata: Metadata, folder: Path) -> None:
    if not metadata.files:
        return
    unfinished = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    for entry in metadata.files:
        with archive.open(entry.file) as octets, (unfinished / _name(entry)).open("wb") as target:
            copy(octets, target)
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.replace(folder)


def _name(entry: FileEntry) -> str:
    return Path(entry.file).name
