"""Zip file of a batch.

The file contains one CSV file per stream, flight files under `files/`, batonopc's description of the batch,
`metadata.json` (what the entries are) and `manifest.json` (SHA-256 and size of every other entry).

The same readings give the same bytes, so an interrupted batch can be written again.
"""

import csv
import hashlib
import os
import re
import time
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from pygnc_station.store.export import csv_text
from pygnc_station.store.readings import (
    TIMES_MS,
    Layout,
    NewReading,
    StoredReading,
    from_cell,
    iso_time,
    to_cell,
    to_text,
)

FORMAT: Final = 1
_CHUNK_BYTES: Final = 1 << 18
MANIFEST: Final = "manifest.json"
METADATA: Final = "metadata.json"
FILES: Final = "files/"
_COMMON: Final = ("number", "time", "t_utc_ms", "quality", "lost_before", "flags")
_RAW_VALUES: Final = msgspec.json.Decoder(list[msgspec.Raw])
_NUMBER_DECODER: Final = msgspec.json.Decoder(list[int | float | None])
_ONLY_NUMBERS: Final = re.compile(r"\[[-+.,0-9Eaeflnrstu]+\]")
"""Compact JSON list of numbers, true, false and null."""
_QUOTED: Final = re.compile(r'[,"\r\n]')
"""Characters for which a CSV cell is quoted."""
_EARLIEST_S: Final = 315_532_800
"""1980-01-01, the earliest time of a zip entry; the clock of a Raspberry Pi may be earlier until it is set."""
_NUMBERS: Final = range(1, 1 << 63)
"""Numbers that every database can store."""
_COUNTS: Final = range(1 << 31)
"""Counters and flags that every database can store."""
_MAX_CELL_CHARACTERS: Final = 2 * (1 << 24)
"""Raw bytes of the largest database column (16 MiB) in hexadecimal."""


class StreamEntry(msgspec.Struct, frozen=True):
    """CSV file of a batch: stream, columns, and numbers of the first and last reading.

    `first_origin` is the origin that the store had at first, "" if it is `origin`.
    """

    file: str
    gadget_id: str
    family: str
    origin: str
    layout: Layout
    first: int
    last: int
    count: int
    first_origin: str = ""


class FileEntry(msgspec.Struct, frozen=True):
    """Flight file of a batch: its entry in the zip, its path and modification time on the station."""

    file: str
    path: str
    modified_ns: int


class Metadata(msgspec.Struct, frozen=True):
    """Content of `metadata.json`."""

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
    """Checksum and size of an entry."""

    sha256: str
    bytes: int


class Manifest(msgspec.Struct, frozen=True):
    """Content of `manifest.json`: checksums of all other entries by name."""

    entries: dict[str, Digest]


class BatchWriter:
    """Writer of a batch's zip file.

    Args:
        path: file to write.
        created_ms: modification time of all entries, milliseconds since 1970 (UTC).
        level: level of the compression, 1 to 9.
    """

    def __init__(self, path: Path, created_ms: int, level: int = 6) -> None:
        self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
        self._zip = zipfile.ZipFile(self._file, "w", zipfile.ZIP_DEFLATED, compresslevel=level)
        self._created = time.gmtime(max(created_ms // 1000, _EARLIEST_S))[:6]
        self._entries: dict[str, Digest] = {}

    def add_readings(self, name: str, layout: Layout, pages: Iterable[list[StoredReading]]) -> int:
        """Write a CSV file of readings; return their number."""
        count = 0

        def lines() -> Iterator[bytes]:
            nonlocal count
            yield csv_text([[*_COMMON, *layout.names, "raw"]]).encode()
            for page in pages:
                count += len(page)
                yield "".join(map(_to_line, page)).encode()

        self.add(name, lines())
        return count

    def add(self, name: str, chunks: Iterable[bytes]) -> None:
        """Write an entry and record its checksum."""
        digest, size = hashlib.sha256(), 0
        info = zipfile.ZipInfo(name, self._created)
        info.compress_type = zipfile.ZIP_DEFLATED
        info.external_attr = 0o600 << 16
        with self._zip.open(info, "w", force_zip64=True) as entry:
            for chunk in chunks:
                entry.write(chunk)
                digest.update(chunk)
                size += len(chunk)
        self._entries[name] = Digest(digest.hexdigest(), size)

    def finish(self, metadata: msgspec.Struct) -> None:
        """Write metadata and manifest."""
        self.add(METADATA, [msgspec.json.format(msgspec.json.encode(metadata), indent=1)])
        manifest = msgspec.json.encode(Manifest(self._entries))
        self.add(MANIFEST, [msgspec.json.format(manifest, indent=1)])

    def close(self) -> None:
        """Close the file, which is incomplete unless `finish` was called before.

        Raises:
            OSError: The disk has no room for the end of the file, which is closed all the same.
        """
        try:
            self._zip.close()
        finally:
            self._file.close()


def check_digests(archive: zipfile.ZipFile, manifest: Manifest) -> None:
    """Check all entries against the manifest.

    Raises:
        ValueError: an entry is missing, added or changed.
    """
    names = set(archive.namelist()) - {MANIFEST}
    for name in sorted(names ^ set(manifest.entries)):
        raise ValueError(f"{name} is {'not in the manifest' if name in names else 'missing'}")
    for name, expected in manifest.entries.items():
        digest, size = hashlib.sha256(), 0
        with archive.open(name) as entry:
            # The sizes in the zip's directory are not trusted: at most one chunk more than announced is read.
            while size <= expected.bytes and (chunk := entry.read(_CHUNK_BYTES)):
                digest.update(chunk)
                size += len(chunk)
        if size != expected.bytes or digest.hexdigest() != expected.sha256:
            raise ValueError(f"{name} does not match the manifest")


def read_rows(text: Iterable[str], entry: StreamEntry) -> Iterator[tuple[int, NewReading]]:
    """Yield number and reading of each row of a CSV file.

    Raises:
        ValueError: the file does not match its metadata; the message names file and line.
        csv.Error: a cell is longer than any that a batch can contain.
    """
    csv.field_size_limit(_MAX_CELL_CHARACTERS)  # the library's default is shorter than the raw bytes of an average
    rows = csv.reader(text)
    expected = [*_COMMON, *entry.layout.names, "raw"]
    if next(rows, None) != expected:
        raise ValueError(f"{entry.file}, line 1: the header does not match the columns in {METADATA}")
    last = entry.first - 1
    for row in rows:
        try:
            number, new = _from_row(row, len(expected))
        except ValueError as error:
            raise ValueError(f"{entry.file}, line {rows.line_num}: {error}") from None
        if not last < number <= entry.last:
            raise ValueError(
                f"{entry.file}, line {rows.line_num}: number {number} is not between {last + 1} and {entry.last}"
            )
        last = number
        yield number, new


def _to_line(reading: StoredReading) -> str:
    """Return the CSV line of a reading; JSON numbers are copied, because decoding them takes most of the time."""
    number, t_utc_ms, flags, content = reading.number, reading.t_utc_ms, reading.flags, reading.content
    raw = "" if reading.raw is None else f"x{reading.raw.hex()}"
    common = f"{number},{iso_time(t_utc_ms)},{t_utc_ms},{reading.quality},{reading.lost_before},"
    if _ONLY_NUMBERS.fullmatch(content) and not _QUOTED.search(flags):
        return f"{common}{flags},{content[1:-1].replace('null', '')},{raw}\r\n"
    cells = (_to_cell(bytes(value)) for value in _RAW_VALUES.decode(content))
    return common + csv_text([[flags, *cells, raw]])


def _to_cell(value: bytes) -> str:
    """Return the cell of a JSON value; only strings are decoded, because decoding numbers takes time."""
    if value == b"null":
        return ""
    return to_cell(msgspec.json.decode(value)) if value[:1] == b'"' else value.decode()


def _from_row(row: list[str], width: int) -> tuple[int, NewReading]:
    if len(row) != width:
        raise ValueError(f"{len(row)} cells instead of {width}")
    number, _, t_utc_ms, quality, lost_before, flags, *cells, raw = row
    content = _content_of(cells)
    octets = bytes.fromhex(raw[1:]) if raw.startswith("x") else None
    if octets is None and raw:
        raise ValueError("the last cell is not x followed by the raw bytes in hexadecimal")
    new = NewReading(
        _within(TIMES_MS, "t_utc_ms", t_utc_ms),
        _within(_COUNTS, "quality", quality),
        _within(_COUNTS, "lost_before", lost_before),
        flags,
        content,
        octets,
    )
    return _within(_NUMBERS, "number", number), new


def _content_of(cells: list[str]) -> str:
    """Return the values of cells as a JSON list; numbers are only checked, because encoding them takes most time."""
    content = f"[{','.join([cell or 'null' for cell in cells])}]"
    try:
        values = _NUMBER_DECODER.decode(content)
    except (msgspec.DecodeError, UnicodeError):  # there are other cells than numbers and empty ones
        values = []
    return content if len(values) == len(cells) else to_text(from_cell(cell) for cell in cells)


def _within(possible: range, name: str, cell: str) -> int:
    value = int(cell)
    if value not in possible:
        raise ValueError(f"{name} is {value:.6g}; the range is {possible.start} to {possible.stop - 1}")
    return value
