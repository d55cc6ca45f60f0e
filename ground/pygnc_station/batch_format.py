"""The file of a batch, a zip.

manifest.json has the SHA-256 of every other entry, metadata.json says what they are; there is a CSV file for each
stream, flight files under `files/`, and batonopc's description of the batch.

The same readings give the same bytes: a batch can be made again after a power cut.
"""

import csv
import hashlib
import io
import os
import time
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from pygnc_station.store.layout import Layout, from_cell, to_cell, to_text
from pygnc_station.store.readings import TIMES_MS, NewReading, StoredReading, iso_time

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
METADATA: Final = "metadata.json"
FILES: Final = "files/"
_COMMON: Final = ("number", "time", "t_utc_ms", "quality", "lost_before", "flags")
_RAW_VALUES: Final = msgspec.json.Decoder(list[msgspec.Raw])
_COPY_BYTES: Final = 1 << 20
_NUMBERS: Final = range(1, 1 << 63)
_COUNTS: Final = range(1 << 31)
_LONGEST_CELL: Final = 2 * (1 << 24)
"""What every database holds in its columns; bytes are there in hex."""


class StreamEntry(msgspec.Struct, frozen=True):
    """A CSV file of a batch, and what its readings are."""

    file: str
    gadget_id: str
    family: str
    origin: str
    layout: Layout
    first: int
    last: int
    count: int


class FileEntry(msgspec.Struct, frozen=True):
    """A flight file of a batch."""

    file: str
    path: str
    modified_ns: int


class Metadata(msgspec.Struct, frozen=True):
    """What a batch is."""

    format: int
    batch_id: str
    name: str
    station: str
    created: str
    type: str
    mode: str
    streams: tuple[StreamEntry, ...]
    files: tuple[FileEntry, ...] = ()


class Digest(msgspec.Struct, frozen=True):
    """Of an entry."""

    sha256: str
    bytes: int


class Manifest(msgspec.Struct, frozen=True):
    """Every entry but itself."""

    entries: dict[str, Digest]


class BatchWriter:
    """Writes the file of a batch.

    Args:
        path: where.
        created_ms: time of all its entries.
    """

    def __init__(self, path: Path, created_ms: int) -> None:
        self._file = path.open("wb")
        self._zip = zipfile.ZipFile(self._file, "w", zipfile.ZIP_DEFLATED, compresslevel=6)
        self._when = time.gmtime(created_ms // 1000)[:6]
        self._entries: dict[str, Digest] = {}

    def add_readings(self, name: str, layout: Layout, pages: Iterable[list[StoredReading]]) -> int:
        """Write a CSV file; return how many readings it has."""
        count = 0

        def lines() -> Iterator[bytes]:
            nonlocal count
            yield _csv_lines([[*_COMMON, *layout.names, "raw"]])
            for page in pages:
                count += len(page)
                yield _csv_lines([_to_row(reading) for reading in page])

        self.add(name, lines())
        return count

    def add_file(self, name: str, path: Path) -> None:
        """Copy a file."""
        with path.open("rb") as file:
            self.add(name, iter(lambda: file.read(_COPY_BYTES), b""))

    def add(self, name: str, pieces: Iterable[bytes]) -> None:
        """Write an entry."""
        digest, size = hashlib.sha256(), 0
        info = zipfile.ZipInfo(name, self._when)
        info.compress_type = zipfile.ZIP_DEFLATED
        info.external_attr = 0o600 << 16
        with self._zip.open(info, "w", force_zip64=True) as entry:
            for piece in pieces:
                entry.write(piece)
                digest.update(piece)
                size += len(piece)
        self._entries[name] = Digest(digest.hexdigest(), size)

    def close(self, metadata: Metadata) -> None:
        """Write metadata and manifest, and see the file to the disk."""
        self.add(METADATA, [msgspec.json.format(msgspec.json.encode(metadata), indent=1)])
        manifest = msgspec.json.encode(Manifest(dict(self._entries)))
        self.add(MANIFEST, [msgspec.json.format(manifest, indent=1)])
        self._zip.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def abandon(self) -> None:
        """Close a file that will not be finished."""
        self._zip.close()
        self._file.close()


def read_rows(text: Iterable[str], entry: StreamEntry) -> Iterator[tuple[int, NewReading]]:
    """Yield the numbered readings of a CSV file.

    Raises:
        ValueError: it is not as its metadata say; the message names the line.
        csv.Error: a cell is longer than any of ours.
    """
    csv.field_size_limit(_LONGEST_CELL)  # the library's own limit is less than the bytes of two hours put together
    rows = csv.reader(text)
    expected = [*_COMMON, *entry.layout.names, "raw"]
    if next(rows, None) != expected:
        raise ValueError(f"{entry.file}: its header is not that of its layout")
    last = entry.first - 1
    for row in rows:
        try:
            number, new = _from_row(row, len(expected))
        except ValueError as error:
            raise ValueError(f"{entry.file}, line {rows.line_num}: {error}") from None
        if not last < number <= entry.last:
            raise ValueError(f"{entry.file}, line {rows.line_num}: number {number} is out of order")
        last = number
        yield number, new


def _to_row(reading: StoredReading) -> list[str]:
    cells = [_to_cell(bytes(value)) for value in _RAW_VALUES.decode(reading.content)]
    raw = "" if reading.raw is None else f"x{reading.raw.hex()}"
    common = (reading.number, iso_time(reading.t_utc_ms), reading.t_utc_ms, reading.quality, reading.lost_before)
    return [*map(str, common), reading.flags, *cells, raw]


def _to_cell(value: bytes) -> str:
    """Return a value's own JSON text; numbers need not be taken apart."""
    if value == b"null":
        return ""
    return to_cell(msgspec.json.decode(value)) if value[:1] == b'"' else value.decode()


def _from_row(row: list[str], width: int) -> tuple[int, NewReading]:
    if len(row) != width:
        raise ValueError(f"{len(row)} cells, not {width}")
    number, _, t_utc_ms, quality, lost_before, flags, *cells, raw = row
    content = to_text(from_cell(cell) for cell in cells)
    octets = bytes.fromhex(raw[1:]) if raw.startswith("x") else None
    if octets is None and raw:
        raise ValueError("raw bytes are not in hex")
    new = NewReading(
        _within(TIMES_MS, "t_utc_ms", t_utc_ms),
        _within(_COUNTS, "quality", quality),
        _within(_COUNTS, "lost_before", lost_before),
        flags,
        content,
        octets,
    )
    return _within(_NUMBERS, "number", number), new


def _within(possible: range, name: str, cell: str) -> int:
    value = int(cell)
    if value not in possible:
        raise ValueError(f"{name} is {value:.6g}")
    return value


def _csv_lines(rows: list[list[str]]) -> bytes:
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue().encode()
