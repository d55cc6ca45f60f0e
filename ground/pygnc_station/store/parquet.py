"""Parquet files that grow by pages of rows, in the memory of a page and the compressed rest of a row group.

The format is Apache Parquet (https://parquet.apache.org/docs/file-format): optional columns without nesting, plain
values, gzip. docs/decisions/0035-parquet-in-bounded-memory.md tells why no library writes it.
"""

import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import chain
from pathlib import Path
from typing import Any, Final, TypeAlias

_MAGIC: Final = b"PAR1"
_GZIP: Final = 2
_GZIP_WINDOW: Final = zlib.MAX_WBITS | 16
_LEVEL: Final = 4
_PLAIN: Final = 0
_RLE: Final = 3
_OPTIONAL: Final = 1
_DATA_PAGE: Final = 0


class Type(IntEnum):
    """Physical types of the format."""

    BOOLEAN = 0
    INT32 = 1
    INT64 = 2
    DOUBLE = 5
    BYTE_ARRAY = 6


@dataclass(frozen=True, slots=True)
class Column:
    """Column of a Parquet file, with its logical type or None."""

    name: str
    type: Type
    logical: "Logical | None" = None


_Struct: TypeAlias = Mapping[int, Any]
"""Thrift struct: values by the numbers of their fields; see `_field`."""
Logical: TypeAlias = tuple[int, int, _Struct]
"""Logical type: its number for older readers, which DuckDB needs too, and its Thrift field and content."""
TEXT: Final[Logical] = (0, 1, {})
UTC_MS: Final[Logical] = (9, 8, {1: True, 2: {1: {}}})
"""Time in milliseconds since 1970 (UTC)."""


class ParquetFile:
    """Parquet file that is complete when it is closed.

    Args:
        path: path of the file.
        columns: its columns.
        metadata: texts by which the file explains itself.
        created_by: program that writes it.
        group: number of rows in a row group; a page that exceeds it belongs to it.
    """

    def __init__(
        self, path: Path, columns: Sequence[Column], metadata: Mapping[str, str], created_by: str, group: int
    ) -> None:
        self._file = path.open("wb")
        self._file.write(_MAGIC)
        self._columns = columns
        self._metadata = metadata
        self._created_by = created_by
        self._group = group
        self._pages: list[list[bytes]] = [[] for _ in columns]
        self._plain_bytes = [0] * len(columns)
        self._count = self._written = 0
        self._groups: list[bytes] = []
        """Descriptions of the row groups, encoded."""

    def append(self, rows: Sequence[Sequence[object]]) -> None:
        """Append rows as a page of each column; a value is None or of the type of its column."""
        if not rows:
            return
        for rank, (column, values) in enumerate(zip(self._columns, zip(*rows, strict=True), strict=True)):
            content = _levels(values) + _plain(column.type, [value for value in values if value is not None])
            packed = _gzip(content)
            about = {1: len(values), 2: _PLAIN, 3: _RLE, 4: _RLE}
            header = _struct({1: _DATA_PAGE, 2: len(content), 3: len(packed), 5: about})
            self._pages[rank] += (header, packed)
            self._plain_bytes[rank] += len(header) + len(content)
        self._count += len(rows)
        if self._count >= self._group:
            self._end_group()

    def close(self) -> None:
        """Write the description of the content, and close the file."""
        with self._file:
            if self._count:
                self._end_group()
            names = [{4: b"rows", 5: len(self._columns)}, *map(_element, self._columns)]
            texts = [{1: key.encode(), 2: text.encode()} for key, text in self._metadata.items()]
            orders: list[_Struct] = [{1: {}}] * len(self._columns)
            footer = {
                1: 2, 2: names, 3: _Long(self._written), 4: [_Encoded(group) for group in self._groups], 5: texts,
                6: self._created_by.encode(), 7: orders,
            }  # fmt: skip
            content = _struct(footer)
            self._file.write(content + struct.pack("<I", len(content)) + _MAGIC)

    def _end_group(self) -> None:
        chunks = []
        for rank, column in enumerate(self._columns):
            offset = self._file.tell()
            self._file.writelines(self._pages[rank])
            about = {
                1: column.type, 2: [_PLAIN, _RLE], 3: [column.name.encode()], 4: _GZIP,
                5: _Long(self._count), 6: _Long(self._plain_bytes[rank]), 7: _Long(self._file.tell() - offset),
                9: _Long(offset),
            }  # fmt: skip
            chunks.append({2: _Long(offset), 3: about})
        self._groups.append(_struct({1: chunks, 2: _Long(sum(self._plain_bytes)), 3: _Long(self._count)}))
        self._written += self._count
        self._pages = [[] for _ in self._columns]
        self._plain_bytes = [0] * len(self._columns)
        self._count = 0


def _element(column: Column) -> _Struct:
    fields = {1: column.type, 3: _OPTIONAL, 4: column.name.encode()}
    if column.logical is None:
        return fields
    converted, field, content = column.logical
    return fields | {6: converted, 10: {field: content}}


def _gzip(content: bytes) -> bytes:
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
    return packer.compress(content) + packer.flush()


def _levels(values: Sequence[object]) -> bytes:
    """Return which values are present, as the hybrid of runs and packed bits of the format, after its length."""
    if None in values:
        packed = _bits([value is not None for value in values])
        content = _varint(len(packed) << 1 | 1) + packed
    else:
        content = _varint(len(values) << 1) + b"\x01"
    return struct.pack("<I", len(content)) + content


def _plain(kind: Type, values: Sequence[Any]) -> bytes:
    """Return values in the encoding PLAIN."""
    if kind is Type.BOOLEAN:
        return _bits(values)
    if kind is Type.BYTE_ARRAY:
        texts = [value.encode() if isinstance(value, str) else value for value in values]
        return b"".join(chain.from_iterable((struct.pack("<I", len(text)), text) for text in texts))
    return struct.pack(f"<{len(values)}{ {Type.INT32: 'i', Type.INT64: 'q', Type.DOUBLE: 'd'}[kind] }", *values)


def _bits(values: Iterable[object]) -> bytes:
    """Pack bits into bytes, the first one lowest."""
    text = "".join("1" if value else "0" for value in values)[::-1]
    return int(text or "0", 2).to_bytes((len(text) + 7) // 8, "little")


# Thrift's compact protocol (https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md).
class _Long(int):
    """Integer of 64 bits; others have 32."""


class _Encoded(bytes):
    """Struct that is encoded already."""


_TRUE, _FALSE, _I32, _I64, _BINARY, _LIST, _STRUCT = 1, 2, 5, 6, 8, 9, 12


def _struct(fields: _Struct) -> bytes:
    before, content = 0, b""
    for number in sorted(fields):
        value = fields[number]
        kind = (_TRUE if value else _FALSE) if isinstance(value, bool) else _kind(value)
        content += bytes([(number - before) << 4 | kind]) + (b"" if isinstance(value, bool) else _field(value))
        before = number
    return content + b"\x00"


def _kind(value: Any) -> int:  # noqa: ANN401 - any Thrift value
    if isinstance(value, bytes):
        return _STRUCT if isinstance(value, _Encoded) else _BINARY
    if isinstance(value, int):
        return _I64 if isinstance(value, _Long) else _I32
    return _STRUCT if isinstance(value, Mapping) else _LIST


def _field(value: Any) -> bytes:  # noqa: ANN401 - any Thrift value
    if isinstance(value, Mapping):
        return _struct(value)
    if isinstance(value, _Encoded):
        return value
    if isinstance(value, bytes):
        return _varint(len(value)) + value
    if isinstance(value, int):
        return _varint(value << 1)  # zigzag of a number that is not negative
    count = len(value)
    kind = _kind(value[0]) if value else _STRUCT
    head = bytes([count << 4 | kind]) if count < 15 else bytes([0xF0 | kind]) + _varint(count)
    return head + b"".join(map(_field, value))


def _varint(number: int) -> bytes:
    content = bytearray()
    while number > 0x7F:
        content.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*content, number])
