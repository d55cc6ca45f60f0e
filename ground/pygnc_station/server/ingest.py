"""Verification and storage of a received batch, all or nothing.

Names, sizes, compression ratios and checksums of all entries are checked before anything is stored.
"""

import csv
import hashlib
import io
import shutil
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import msgspec
from sqlalchemy import Connection

from pygnc_station.batch_format import (
    FILES,
    FORMAT,
    MANIFEST,
    METADATA,
    Manifest,
    Metadata,
    StreamEntry,
    check_digests,
    read_rows,
)
from pygnc_station.errors import BadBatchError
from pygnc_station.server.ownership import owned_gadget
from pygnc_station.server_settings import Limits
from pygnc_station.store.copies import conflicting, stored_elsewhere, stored_in, streams_of_copies
from pygnc_station.store.readings import Stream, clock_ms
from pygnc_station.store.schema import MAX_NAME_LENGTH
from pygnc_station.store.store import make_stream, put, store_origin
from pygnc_system.files import durable_rename, sync_file, sync_folder

T = TypeVar("T")
_MAX_COPIES: Final = 16
"""Maximum number of copies of one store whose readings are distinguished."""
_PAGE: Final = 2000
_COPY_BYTES: Final = 1 << 18
_MAX_JSON_BYTES: Final = 20_000_000
_METHODS: Final = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})


class Ingested(NamedTuple):
    """Content of an accepted batch.

    Attributes:
        readings: number of readings, including those that were stored before.
        files: number of flight files.
        note: rows that were left out and readings that were kept under another origin, "" if there are none.
        conflict: origin under whose numbers other readings were stored before, "" if there is none.
    """

    readings: int
    files: int
    note: str
    conflict: str


class BatchFormat(ABC):
    """Format of the batches of another program; names and sizes of their entries are checked before."""

    @abstractmethod
    def recognises(self, archive: zipfile.ZipFile) -> bool:
        """Return True if a batch has this format, by the names of its entries."""

    @abstractmethod
    def store(self, connection: Connection, gateway: int, archive: zipfile.ZipFile, latest_ms: int) -> Ingested:
        """Store the new readings of a batch within a transaction; see `put` for `latest_ms`.

        Raises:
            BadBatchError: the batch is damaged, or the gateway may not upload its readings.
        """

    @abstractmethod
    def copy_without_secrets(self, archive: zipfile.ZipFile, target: zipfile.ZipFile) -> None:
        """Copy the entries of a batch that contain no secrets."""


def ingest(
    connection: Connection,
    gateway: int,
    path: Path,
    files: Path,
    *,
    limits: Limits,
    formats: Sequence[BatchFormat] = (),
) -> Ingested:
    """Store the readings of a batch within a transaction, and its flight files in a folder.

    Args:
        connection: write transaction of the store that receives the readings.
        gateway: id of the gateway that uploads.
        path: zip file of the batch.
        files: folder for flight files, created if there are any.
        limits: size limits of batches.
        formats: formats of other programs, which are asked before our own.

    Raises:
        BadBatchError: the batch is rejected; the transaction has to be rolled back.
    """
    with _opened(path, limits) as archive:
        try:
            latest_ms = limits.latest_ms(clock_ms())
            for form in formats:
                if form.recognises(archive):
                    return form.store(connection, gateway, archive, latest_ms)
            metadata = _verified(archive)
            remarks = _Remarks()
            readings = sum(
                _store_readings(connection, gateway, archive, entry, remarks=remarks, latest_ms=latest_ms)
                for entry in metadata.streams
            )
        except (ValueError, RecursionError, csv.Error) as error:  # includes msgspec's errors
            raise BadBatchError(str(error)) from None
        _extract_files(archive, metadata, files)
        return Ingested(readings, len(metadata.files), remarks.text, next(iter(remarks.conflicts), ""))


@dataclass
class _Remarks:
    """Readings of a batch that are kept under another origin, by their own one, or that a copy has sent before."""

    conflicts: dict[str, Counter[str]] = field(default_factory=dict)
    copied: Counter[str] = field(default_factory=Counter)

    @property
    def text(self) -> str:
        texts = [
            f"{_by_gadget(moved)} differ from those stored under the same numbers of origin {origin}: two stations use"
            " copies of one store, and these readings are kept under another origin"
            for origin, moved in self.conflicts.items()
        ]
        if self.copied:
            texts.append(f"{_by_gadget(self.copied)} were stored before, from a copy of this station's store")
        return "; ".join(texts)


def _by_gadget(counts: Counter[str]) -> str:
    return ", ".join(f"{count} readings of {gadget_id}" for gadget_id, count in counts.items())


@contextmanager
def _opened(path: Path, limits: Limits) -> Iterator[zipfile.ZipFile]:
    """Open a batch and check the names and sizes of its entries; damage may show only while it is read."""
    try:
        with zipfile.ZipFile(path) as archive:
            _check_entries(archive, limits)
            yield archive
    # NotImplementedError: its compression is unknown; RuntimeError: it is encrypted
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, RuntimeError) as error:
        raise BadBatchError(f"damaged zip: {error}") from None


def _check_entries(archive: zipfile.ZipFile, limits: Limits) -> None:
    entries = archive.infolist()
    if len(entries) > limits.entries:
        raise BadBatchError(f"{len(entries)} entries exceed the limit of {limits.entries}")
    for name, count in Counter(entry.filename.lower() for entry in entries).items():
        if count > 1:
            raise BadBatchError(f"{count} entries have the same name {name!r:.80} if case is ignored")
    for entry in entries:
        plain = entry.filename.removeprefix(FILES)
        if not plain or plain.startswith(".") or set(plain) & set("/\\\0") or not plain.isprintable():
            raise BadBatchError(
                f"invalid entry name {entry.filename!r}; the only folder is {FILES}, and names do not begin with a dot"
            )
        if entry.compress_type not in _METHODS:
            raise BadBatchError(f"{entry.filename}: unsupported compression method {entry.compress_type}")
        if entry.file_size > limits.ratio * max(entry.compress_size, 1024):
            sizes = f"{entry.compress_size} bytes unpack to {entry.file_size}"
            raise BadBatchError(f"{entry.filename}: {sizes}; the limit is {limits.ratio} times the packed size")
    total = sum(entry.file_size for entry in entries)
    if total > limits.unpacked_bytes:
        raise BadBatchError(f"{total} unpacked bytes exceed the limit of {limits.unpacked_bytes}")


def _verified(archive: zipfile.ZipFile) -> Metadata:
    """Check the entries of a batch against its manifest; return its metadata."""
    if MANIFEST not in archive.namelist():
        raise BadBatchError(f"{MANIFEST} is missing; batches of batonopc need the package pygnc-batonopc on the server")
    for name in archive.namelist():
        if ":" in name:
            raise BadBatchError(f"invalid entry name {name!r}; names contain no colon")
    manifest = _decode(archive, MANIFEST, Manifest)
    metadata = _decode(archive, METADATA, Metadata)
    check_digests(archive, manifest)
    if metadata.format != FORMAT:
        raise BadBatchError(f"unknown format {metadata.format}; update the server")
    for name in (*(entry.file for entry in metadata.streams), *(entry.file for entry in metadata.files)):
        if name not in manifest.entries:
            raise BadBatchError(f"{name} is missing")
    return metadata


def _decode(archive: zipfile.ZipFile, name: str, kind: type[T]) -> T:
    try:
        info = archive.getinfo(name)
        if info.file_size > _MAX_JSON_BYTES:
            raise BadBatchError(f"{name} has {info.file_size} bytes; the limit is {_MAX_JSON_BYTES}")
        with archive.open(info) as entry:
            return msgspec.json.decode(entry.read(_MAX_JSON_BYTES), type=kind)
    except KeyError:
        raise BadBatchError(f"{name} is missing") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadBatchError(f"{name}: {error}") from None


def _store_readings(
    connection: Connection,
    gateway: int,
    archive: zipfile.ZipFile,
    entry: StreamEntry,
    *,
    remarks: _Remarks,
    latest_ms: int,
) -> int:
    """Store the readings of a stream and add what is kept elsewhere to `remarks`; return the number of readings."""
    _check_entry(connection, entry)
    gadget_id = owned_gadget(connection, gateway, entry.gadget_id, entry.origin, entry.family)
    # The stored reading keeps its number; a different one gets the first origin in which it is new, or was stored.
    names = (f"{entry.origin} {rank}".encode() for rank in range(_MAX_COPIES))
    origins = [entry.origin, *(hashlib.sha256(name).hexdigest()[:32] for name in names)]
    first_origin = entry.first_origin or entry.origin
    streams: list[Stream] = []
    copies: list[int] = []
    count = moved = copied = 0
    with archive.open(entry.file) as octets:
        rows = read_rows(io.TextIOWrapper(octets, encoding="utf-8", newline=""), entry)
        while page := list(islice(rows, _PAGE)):
            count += len(page)
            for rank, origin in enumerate(origins):
                if rank == len(streams):
                    stream = make_stream(
                        connection, gadget_id, entry.layout, family=entry.family, origin=origin,
                        first_origin=first_origin,
                    )  # fmt: skip
                    copies = copies if streams else streams_of_copies(connection, stream, first_origin)
                    streams.append(stream)
                refused = conflicting(connection, streams[rank].id, page)
                accepted = [item for item in page if item[0] not in refused]
                known = stored_elsewhere(connection, streams[0], accepted) if rank == 0 else set()
                of_copies = stored_in(connection, copies, [item for item in accepted if item[0] not in known])
                known |= of_copies
                copied += len(of_copies)
                put(connection, streams[rank].id, [item for item in accepted if item[0] not in known], latest_ms)
                page = [item for item in page if item[0] in refused]
                moved += len(page) if rank == 0 else 0
                if not page:
                    break
            else:
                raise BadBatchError(
                    f"{entry.file}: more than {_MAX_COPIES} stations use copies of the store with the origin"
                    f" {entry.origin}; upload from each with a current PyGNC, which renews its origin"
                )
    if moved:
        remarks.conflicts.setdefault(entry.origin, Counter())[entry.gadget_id] += moved
    if copied:
        remarks.copied[entry.gadget_id] += copied
    if count != entry.count:
        raise BadBatchError(f"{entry.file} has {count} readings instead of {entry.count}")
    return count


def _check_entry(connection: Connection, entry: StreamEntry) -> None:
    names = {"device": entry.gadget_id, "family": entry.family, "origin": entry.origin, "kind": entry.layout.kind}
    names["first origin"] = entry.first_origin
    for what, name in names.items():
        least = int(what == "device")
        if not least <= len(name) <= MAX_NAME_LENGTH or not name.isprintable():
            rule = f"must have {least} to {MAX_NAME_LENGTH} printable characters"
            raise BadBatchError(f"{entry.file}: {what} {name!r:.80} {rule}")
    if entry.origin == store_origin(connection):
        raise BadBatchError(f"{entry.file}: origin {entry.origin} of its readings is this server")


def _extract_files(archive: zipfile.ZipFile, metadata: Metadata, folder: Path) -> None:
    """Write the flight files durably: the station deletes its copies once the batch is accepted."""
    if not metadata.files:
        return
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for entry in metadata.files:
        with archive.open(entry.file) as octets, (part / Path(entry.file).name).open("wb") as target:
            shutil.copyfileobj(octets, target, _COPY_BYTES)
        sync_file(part / Path(entry.file).name)
    sync_folder(part)
    shutil.rmtree(folder, ignore_errors=True)
    durable_rename(part, folder)
