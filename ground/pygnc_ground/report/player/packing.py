"""Tables of numbers in a page: columns of typed arrays, rounded and compressed.

A packed recording is gzip of the bytes of all columns, a description as JSON, and its length (uint32). A report has
it as base64. The description has for each column its table, name, form, offset and, for texts, the different ones. In a
column, bytes of equal weight are adjacent, which compresses better. All numbers are little-endian.
"""

import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.floating[Any]]

PLOTTED_BITS: Final = 12
"""Bits of the mantissa of plotted values: relative error up to 2^-13, a hundredth of a pixel of a plot."""
PLACED_BITS: Final = 17
"""Bits of the mantissa of positions on the globe: error up to 30 m in a low orbit."""
_MANTISSA_BITS: Final = 23
_LEVEL: Final = 9
_GZIP: Final = 31
"""Parameter of zlib for the format of gzip, without a time."""


class Column(NamedTuple):
    """Column of a packed table with n rows: its form, its bytes, and the different texts of the form `text`."""

    form: str
    """`time`: steps in ms, float64; `number`: float32; `text`: indices of texts, uint16"""
    values: NDArray[Any]
    texts: tuple[str, ...] = ()


def times(unix_ms: FloatArray) -> Column:
    """Return ascending times (n,) in ms as steps; the first step is from 0."""
    return Column("time", np.diff(unix_ms, prepend=0.0).astype("<f8"))


def numbers(values: FloatArray, bits: int = PLOTTED_BITS) -> Column:
    """Return numbers (n,) with a mantissa of this many bits; NaN is an unknown value."""
    raw = np.ascontiguousarray(values, dtype="<f4").view("<u4").astype(np.int64)
    unit = 1 << (_MANTISSA_BITS - bits)
    rounded = ((raw + unit // 2) // unit * unit).astype("<u4")
    finite = np.isfinite(rounded.view("<f4")) & np.isfinite(values)
    return Column("number", np.where(finite, rounded.view("<f4"), np.float32(np.nan)).astype("<f4"))


def texts(values: Sequence[str]) -> Column:
    """Return texts (n,) as indices of the different ones."""
    different = tuple(dict.fromkeys(values))
    index = {text: number for number, text in enumerate(different)}
    return Column("text", np.array([index[text] for text in values], dtype="<u2"), different)


def pack(columns: Iterable[tuple[str, str, Column]], about: Mapping[str, Any], level: int = _LEVEL) -> bytes:
    """Return columns and what the page must know about them.

    Args:
        columns: Each with the names of its table and its own; an iterator needs the memory of one column.
        about: Values of JSON.
        level: Compression from 1, fast, to 9.
    """
    packer, parts, described = zlib.compressobj(level, wbits=_GZIP), [], []
    offset = 0
    for table, name, column in columns:
        of = {"table": table, "name": name, "form": column.form, "rows": len(column.values), "offset": offset}
        described.append(of | ({"texts": column.texts} if column.texts else {}))
        parts.append(packer.compress(_transposed(column.values)))
        offset += column.values.nbytes
    end = json.dumps({"columns": described, "about": about}, allow_nan=False, separators=(",", ":")).encode()
    parts += packer.compress(end), packer.compress(np.uint32(len(end)).astype("<u4").tobytes()), packer.flush()
    return b"".join(parts)


def _transposed(values: NDArray[Any]) -> bytes:
    return np.ascontiguousarray(values.view(np.uint8).reshape(len(values), values.itemsize).T).tobytes()


def thinned(count: int, most: int) -> slice:
    """Return the rows of a table with `count` rows of which at most `most` are packed, at equal steps."""
    return slice(0, count, max(1, -(-count // most)))


def stacked(prefix: Iterable[str], values: FloatArray, bits: int = PLOTTED_BITS) -> dict[str, Column]:
    """Return the columns of values (n, k) by their names."""
    return {name: numbers(values[:, place], bits) for place, name in enumerate(prefix)}
