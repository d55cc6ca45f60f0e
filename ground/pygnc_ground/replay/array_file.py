"""Arrays in temporary files: what a replay keeps of every fix takes space on the disk instead of memory.

The files are mapped, so that their arrays are used like others: the system reads a page when it is used, and takes it
back when memory is short. They are below the folder for temporary files (environment variable TMPDIR) and have no name:
they end with their last array, also if the process is killed.
"""

import dataclasses
import math
import mmap
import tempfile
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_FILE_BYTES: Final = 1 << 24
"""Size of one file. Larger arrays get a file of their own."""
_ALIGNMENT: Final = 64
_LEAST_BYTES: Final = 256
"""Size from which on the array of a dataclass is stored."""
_Scalar = TypeVar("_Scalar", bound=np.generic)
_Dataclass = TypeVar("_Dataclass", bound="DataclassInstance")


class ArrayFile:
    """Arrays in temporary files, which grow with the arrays."""

    def __init__(self) -> None:
        self._maps: list[mmap.mmap] = []
        self._used = 0

    def stored(self, array: NDArray[_Scalar]) -> NDArray[_Scalar]:
        """Return a copy of an array whose values are in a file.

        Raises:
            OSError: The disk is full.
        """
        view = self._empty(array.shape, array.dtype)
        view[...] = array
        return view

    def filled(self, shape: tuple[int, ...], value: float) -> NDArray[np.float64]:
        """Return a new array in a file, all of whose elements are `value`.

        Raises:
            OSError: The disk is full.
        """
        view = self._empty(shape, np.dtype(np.float64))
        view[...] = value
        return view

    def _empty(self, shape: tuple[int, ...], kind: np.dtype[Any]) -> NDArray[Any]:
        size = math.prod(shape) * kind.itemsize
        if not self._maps or self._used + size > len(self._maps[-1]):
            self.release()
            self._maps.append(_mapped(max(_FILE_BYTES, size)))
            self._used = 0
        view: NDArray[Any] = np.ndarray(shape, kind, self._maps[-1], self._used)
        self._used += -(-size // _ALIGNMENT) * _ALIGNMENT
        return view

    def stored_fields(self, value: _Dataclass) -> _Dataclass:
        """Return a copy of a dataclass whose arrays, except for small ones, are in a file; those of a file stay there.

        Raises:
            OSError: The disk is full.
        """
        arrays = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        large = {
            name: self.stored(array)
            for name, array in arrays.items()
            if isinstance(array, np.ndarray) and array.nbytes >= _LEAST_BYTES and not isinstance(array.base, mmap.mmap)
        }
        return dataclasses.replace(value, **large)

    def renew(self) -> None:
        """Begin a new file; those before end with their last array."""
        self._maps, self._used = [], 0

    def release(self) -> None:
        """Take the arrays out of the memory of the process; they are read again when they are used."""
        for each in self._maps:
            if hasattr(each, "madvise"):
                each.madvise(mmap.MADV_DONTNEED)


def _mapped(size: int) -> mmap.mmap:
    try:
        with tempfile.TemporaryFile(prefix="pygnc-") as file:
            # A full disk is an error here, but a signal that ends the process when a page of a map is written.
            file.write(bytes(size))
            file.flush()
            return mmap.mmap(file.fileno(), size)
    except OSError as error:
        remedy = "free space there, or name another folder by TMPDIR"
        raise OSError(error.errno, f"{error.strerror}: {size} bytes; {remedy}", tempfile.gettempdir()) from error
