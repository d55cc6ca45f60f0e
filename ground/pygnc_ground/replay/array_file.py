"""Arrays in temporary files: what a replay keeps of every fix takes space on the disk instead of memory.

The files are mapped, so that their arrays are used like others: the system reads a page when it is used, and takes it
back when memory is short. They are below the folder for temporary files (environment variable TMPDIR) and have no name:
they end with their last array, also if the process is killed.
"""

import dataclasses
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
        if not self._maps or self._used + array.nbytes > len(self._maps[-1]):
            self.release()
            self._maps.append(_mapped(max(_FILE_BYTES, array.nbytes)))
            self._used = 0
        view: NDArray[Any] = np.ndarray(array.shape, array.dtype, self._maps[-1], self._used)
        view[...] = array
        self._used += -(-array.nbytes // _ALIGNMENT) * _ALIGNMENT
        return view

    def stored_fields(self, value: _Dataclass) -> _Dataclass:
        """Return a copy of a dataclass whose arrays, except for small ones, are in a file.

        Raises:
            OSError: The disk is full.
        """
        arrays = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        large = {
            name: self.stored(array)
            for name, array in arrays.items()
            if isinstance(array, np.ndarray) and array.nbytes >= _LEAST_BYTES
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
