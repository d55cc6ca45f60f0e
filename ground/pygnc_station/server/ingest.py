"""Takes a verified batch into the store, all or nothing; what is there already stays as it is.

Looks at a batch before anything of it is believed: size, paths, how much it unpacks to, every checksum.
"""

import csv
import hashlib
import io
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import tzinfo
from itertools import islice
from pathlib import Path
from typing import IO, Final, TypeVar

import msgspec
from sqlalchemy import Connection

from pygnc_station.batch_format import (
    FILES,
    FORMAT,
    MANIFEST,
    METADATA,
    FileEntry,
    Manifest,
    Metadata,
    StreamEntry,
    read_rows,
)
from pygnc_station.server import batonopc_batch
from pygnc_station.settings import Limits
from pygnc_station.store.readings import NewReading
from pygnc_station.store.store import Store, make_stream, put

T = TypeVar("T")
_COPY_BYTES: Final = 1 << 18
_LARGEST_DESCRIPTION: Final = 20_000_000
_METHODS: Final = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})


class BadBatchError(Exception):
    """A batch that is not taken, and why."""


@contextmanager
def opened(path: Path, limits: Limits) -> Iterator[zipfile.ZipFile]:
    """Open a batch whose entries have sizes and names that can be.

    Raises:
        BadBatchError: they have not, or it is no zip; also when that is found while it is read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _check_entries(archive, limits)
            yield archive
    except (
        zipfile.BadZipFile,
        zlib.error,
        NotImplementedError,
        EOFError,
        RuntimeError,
    ) as error:  # encrypted is a RuntimeError
        raise BadBatchError(f"no good zip: {error}") from None


def verified(archive: zipfile.ZipFile) -> Metadata:
    """Return what a batch says of itself, when its entries are what its manifest says.

    Raises:
        BadBatchError: they are not.
    """
    for name in archive.namelist():
        if ":" in name:
            raise BadBatchError(f"an entry is called {name!r}")
    manifest = _decode(archive, MANIFEST, Manifest)
    metadata = _decode(archive, METADATA, Metadata)
    _check_sums(archive, manifest)
    _check_metadata(metadata, manifest)
    return metadata


def copy(entry: IO[bytes], target: IO[bytes]) -> None:
    """Copy an entry whose size has been checked."""
    while piece := entry.read(_COPY_BYTES):
        target.write(piece)


def _check_entries(archive: zipfile.ZipFile, limits: Limits) -> None:
    entries = archive.infolist()
    names = [entry.filename for entry in entries]
    if len(entries) > limits.entries:
        raise BadBatchError(f"{len(entries)} entries, more than {limits.entries}")
    if len({name.lower() for name in names}) != len(names):
        raise BadBatchError("two entries have the same name")
    for entry in entries:
        _check_name(entry.filename)
        if entry.compress_type not in _METHODS:
            raise BadBatchError(f"{entry.filename} is packed by method {entry.compress_type}, not deflated")
        if entry.file_size > limits.ratio * max(entry.compress_size, 1024):
            raise BadBatchError(f"{entry.filename} unpacks to {entry.file_size} bytes out of {entry.compress_size}")
    total = sum(entry.file_size for entry in entries)
    if total > limits.unpacked_bytes:
        raise BadBatchError(f"unpacks to {total} bytes, more than {limits.unpacked_bytes}")


def _check_name(name: str) -> None:
    plain = name.removeprefix(FILES)
    if not plain or plain.startswith(".") or set(plain) & set("/\\\0") or not plain.isprintable():
        raise BadBatchError(f"an entry is called {name!r}")


def _decode(archive: zipfile.ZipFile, name: str, kind: type[T]) -> T:
    try:
        info = archive.getinfo(name)
        if info.file_size > _LARGEST_DESCRIPTION:
            raise BadBatchError(f"{name} has {info.file_size} bytes")
        with archive.open(info) as entry:
            return msgspec.json.decode(entry.read(_LARGEST_DESCRIPTION), type=kind)
    except KeyError:
        raise BadBatchError(f"{name} is missing") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadBatchError(f"{name}: {error}") from None


def _check_sums(archive: zipfile.ZipFile, manifest: Manifest) -> None:
    names = set(archive.namelist()) - {MANIFEST}
    for name in sorted(names ^ set(manifest.entries)):
        raise BadBatchError(f"{name} is {'not in the manifest' if name in names else 'missing'}")
    for name, expected in manifest.entries.items():
        digest, size = hashlib.sha256(), 0
        with archive.open(name) as entry:
            # Read no further than was announced, whatever the zip's own directory says.
            while size <= expected.bytes and (piece := entry.read(_COPY_BYTES)):
                digest.update(piece)
                size += len(piece)
        if size != expected.bytes or digest.hexdigest() != expected.sha256:
            raise BadBatchError(f"{name} is not what the manifest says")


def _check_metadata(metadata: Metadata, manifest: Manifest) -> None:
    if metadata.format != FORMAT:
        raise BadBatchError(f"format {metadata.format} is not known here; update the server")
    for name in (*(entry.file for entry in metadata.streams), *(entry.file for entry in metadata.files)):
        if name not in manifest.entries:
            raise BadBatchError(f"{name} is missing")


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
