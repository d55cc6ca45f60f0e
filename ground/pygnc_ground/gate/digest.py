"""Digests of results that differ if any bit of any number differs."""

import dataclasses
import hashlib
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl


def digest(value: Any) -> str:  # noqa: ANN401 - any nesting of the types below
    """Return the SHA-256 of arrays, tables, numbers, texts and messages, in any nesting of containers and dataclasses.

    Signs of zeros and payloads of NaNs count too.

    Raises:
        TypeError: The value contains another type.
    """
    found = hashlib.sha256()
    for part in _parts(value):
        found.update(len(part).to_bytes(8, "little"))
        found.update(part)
    return found.hexdigest()


def _parts(value: Any) -> Iterator[bytes]:  # noqa: ANN401 - see `digest`
    kind = type(value).__name__
    if isinstance(value, np.ndarray | np.generic):
        yield from _array_parts(np.asarray(value))
    elif isinstance(value, pl.DataFrame):
        for column in value.get_columns():
            yield f"column {column.name} {column.dtype}".encode()
            yield from _column_parts(column)
    elif isinstance(value, float):
        yield b"float" + struct.pack("<d", value)
    elif isinstance(value, msgspec.Struct):
        yield msgspec.msgpack.encode(value)
    elif value is None or isinstance(value, int | str | bytes):
        yield f"{kind} {value!r}".encode()
    else:
        members = list(_members(value))
        yield f"{len(members)} members".encode()
        for name, member in members:
            yield name.encode()
            yield from _parts(member)


def _members(value: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - see `digest`
    """Yield names and values of the members of a dataclass, a mapping or a sequence."""
    if dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield field.name, getattr(value, field.name)
    elif isinstance(value, Mapping):
        for key in sorted(value, key=repr):
            yield repr(key), value[key]
    elif isinstance(value, Sequence):
        for member in value:
            yield "", member
    else:
        raise TypeError(f"{type(value).__name__} has no digest")


def _array_parts(array: npt.NDArray[Any]) -> Iterator[bytes]:
    if array.dtype.hasobject:
        raise TypeError("arrays of objects have no digest")
    yield f"array {array.dtype.str} {array.shape}".encode()
    yield np.ascontiguousarray(array).tobytes()


def _column_parts(column: pl.Series) -> Iterator[bytes]:
    if column.dtype == pl.String:
        yield "\0".join("\1" if text is None else text for text in column.to_list()).encode()
    else:
        yield column.is_null().to_numpy().tobytes()
        yield column.fill_null(0).to_numpy().tobytes()
