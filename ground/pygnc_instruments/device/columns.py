"""Columns of numbers in temporary files, so that logs of any length need little memory."""

import math
import os
import tempfile
import weakref
from array import array
from collections.abc import Iterator, Sequence
from typing import Final, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.float64]
BLOCK: Final = 1 << 17
"""Numbers that are read at once."""
ROWS: Final = 1 << 13
"""Rows of several columns that are read at once."""
_WAITING: Final = 1 << 13
_BYTES: Final = 8


class Numbers(Protocol):
    """Array or column: slices of it are arrays."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> FloatArray: ...


class Column:
    """Numbers in a temporary file, in the folder that `TMPDIR` names.

    Raises:
        OSError: the folder cannot be written, or is full.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - closed with the column
        weakref.finalize(self, self._file.close)
        self._waiting = array("d")
        self._stored = 0

    def __len__(self) -> int:
        return self._stored + len(self._waiting)

    def __getitem__(self, part: slice, /) -> FloatArray:
        start, stop, _ = part.indices(len(self))
        if stop > self._stored:
            self._store()
        count = max(0, stop - start)
        self._file.seek(_BYTES * start)
        found = np.empty(count)
        self._file.readinto(found.data.cast("B"))
        return found

    def append(self, number: float) -> None:
        """Append a number."""
        self._waiting.append(number)
        if len(self._waiting) == _WAITING:
            self._store()

    def extend(self, numbers: FloatArray) -> None:
        """Append numbers."""
        self._waiting.frombytes(np.ascontiguousarray(numbers, np.float64).tobytes())
        self._store()

    def _store(self) -> None:
        self._file.seek(0, os.SEEK_END)
        waiting = memoryview(self._waiting).cast("B")
        while waiting:
            waiting = waiting[self._file.write(waiting) or 0 :]
        del waiting
        self._stored += len(self._waiting)
        self._waiting = array("d")


class Table:
    """Columns of equal length: slices of it are arrays, a column of numbers in each of their columns."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self._columns = columns

    def __len__(self) -> int:
        return len(self._columns[0])

    def __getitem__(self, part: slice, /) -> FloatArray:
        return np.column_stack([column[part] for column in self._columns])

    def extend(self, rows: FloatArray) -> None:
        """Append rows, (m, number of columns)."""
        for column, numbers in zip(self._columns, rows.T, strict=True):
            column.extend(numbers)


class Part:
    """Part of a column, from its number `first` to before `stop`."""

    def __init__(self, column: Numbers, first: int, stop: int) -> None:
        self._column = column
        self._first = first
        self._count = stop - first

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, part: slice, /) -> FloatArray:
        start, stop, _ = part.indices(self._count)
        return self._column[self._first + start : self._first + max(start, stop)]


def blocks(numbers: Numbers, size: int = BLOCK) -> Iterator[FloatArray]:
    """Yield all numbers, at most `size` at once."""
    for start in range(0, len(numbers), size):
        yield numbers[start : start + size]


def usual_step(numbers: Numbers) -> float:
    """Return the median step between some numbers, or of many numbers the median of those of blocks; inf: unknown."""
    medians = []
    for block in blocks(numbers):
        steps = np.diff(block)
        known = steps[np.isfinite(steps)]
        if len(known):
            medians.append(np.median(known))
    return float(np.median(medians)) if medians else math.inf


def mean(numbers: Numbers) -> float:
    """Return the mean of some numbers."""
    return sum(float(block.sum()) for block in blocks(numbers)) / len(numbers)


def deviation(numbers: Numbers) -> float:
    """Return the standard deviation of some numbers."""
    centre = mean(numbers)
    square = sum(float(np.square(block - centre).sum()) for block in blocks(numbers))
    return float(np.sqrt(square / len(numbers)))
