"""A filter's memory as plain numbers and bytes, exactly: what goes in comes out bit for bit."""

from typing import TypeAlias, TypeVar

import numpy as np

from pygnc.common.arrays import Array

Checkpoint: TypeAlias = dict[str, int | float | str | bytes]
"""Arrays are little-endian float64."""

_Kind = TypeVar("_Kind", bytes, int, float)


def take(checkpoint: Checkpoint, key: str, kind: type[_Kind]) -> _Kind:
    """The value under a key.

    Raises:
        ValueError: There is none, or one of another kind.
    """
    value = checkpoint.get(key)
    if not isinstance(value, kind):
        raise ValueError(f"checkpoint without {kind.__name__} under {key!r}")  # noqa: TRY004 - data, not a call
    return value


def pack(*parts: Array | list[float]) -> bytes:
    """Numbers one after the other."""
    return np.concatenate(parts).astype("<f8").tobytes()


def unpack_rows(packed: bytes, columns: int) -> Array:
    """Numbers in rows of so many, shape (n, columns).

    Raises:
        ValueError: They are no whole number of rows.
    """
    if len(packed) % (8 * columns):
        raise ValueError(f"checkpoint: {len(packed)} bytes are no rows of {columns} numbers")
    return np.frombuffer(packed, dtype="<f8").astype(np.float64).reshape(-1, columns)


def unpack_row(packed: bytes, columns: int) -> Array:
    """So many numbers, shape (columns,).

    Raises:
        ValueError: There are more or fewer.
    """
    rows = unpack_rows(packed, columns)
    if len(rows) != 1:
        raise ValueError(f"checkpoint: {len(rows)} rows in place of one")
    row: Array = rows[0]
    return row
