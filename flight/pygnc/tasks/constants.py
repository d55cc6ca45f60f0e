"""Constants in the memory of a process: those of the run, and those of modules.

Constants are read and written where they are in memory. To read a Python object otherwise is to write its reference
count, so each process would need its own copy of the pages that all tasks share with main.py.
"""

import ctypes
import functools
import itertools
import os
import sys
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from itertools import islice
from types import CodeType, FunctionType
from typing import Any, Final

import msgspec
import numpy as np

from pygnc.configuration.run import Run
from pygnc.environment.earth_orientation import EarthOrientationTable

_PACKAGE: Final = "pygnc."
_HEAD_BYTES: Final = object.__basicsize__
"""Size of reference count and type, with which each object begins."""
_POINTER_BYTES: Final = ctypes.sizeof(ctypes.c_void_p)
_ARRAY_BYTES_MAX: Final = 1 << 16
"""Size of arrays that are left out, because they are tables with known answers."""
_PLACES_AT_ONCE: Final = 256
"""Number of places that the kernel reads in one call, at most 1024."""
_CACHE: Final = functools._lru_cache_wrapper  # noqa: SLF001 - the only name of this type
_readv: Final[Callable[..., int]] = getattr(ctypes.CDLL(None), "process_vm_readv", lambda *_: -1)
_readv.argtypes = (  # type: ignore[attr-defined]
    *(ctypes.c_int, ctypes.c_void_p, ctypes.c_ulong),
    *(ctypes.c_void_p, ctypes.c_ulong, ctypes.c_ulong),
)
_readv.restype = ctypes.c_ssize_t  # type: ignore[attr-defined]


class StateChangedError(Exception):
    """Error raised when the memory of a task has changed although no instruction has changed it."""


class Memory:
    """Places in the memory of this process.

    Args:
        places: Their sizes, bytes, by their addresses.
    """

    def __init__(self, places: Mapping[int, int]) -> None:
        # Each row is a `struct iovec` of the kernel.
        self._places = np.fromiter(itertools.chain.from_iterable(places.items()), np.uintp).reshape(-1, 2)
        parts = [self._places[k : k + _PLACES_AT_ONCE] for k in range(0, len(places), _PLACES_AT_ONCE)]
        # Plain numbers, because tasks have not copied the pages that NumPy would modify here.
        self._parts = tuple((part.ctypes.data, len(part), int(part[:, 1].sum())) for part in parts)
        self._size_max = max((size for _, _, size in self._parts), default=0)

    def read(self) -> Iterator[memoryview]:
        """Yield the content of all places, in parts that are valid until the next one."""
        content = bytearray(self._size_max)
        into = (ctypes.c_size_t * 2)(ctypes.addressof(ctypes.c_char.from_buffer(content)), len(content))
        for k, (address, count, size) in enumerate(self._parts):
            if _readv(os.getpid(), ctypes.addressof(into), 1, address, count, 0) != size:
                # A kernel or an emulator without this call.
                places = self._places[k * _PLACES_AT_ONCE :][:count].tolist()
                content[:size] = b"".join(itertools.starmap(ctypes.string_at, places))
            yield memoryview(content)[:size]

    def crc(self) -> int:
        """Return the CRC-32 of the content of all places."""
        crc = 0
        for content in self.read():
            crc = zlib.crc32(content, crc)
        return crc

    def write(self, content: bytes) -> None:
        """Replace the content of all places."""
        offset = 0
        for address, size in self._places.tolist():
            ctypes.memmove(address, content[offset : offset + size], size)
            offset += size


class RunConstants:
    """Constants of a run, except the table of Earth orientation, which has a checksum.

    Paths, dictionaries and texts that are not ASCII are compared by their encoded values, because their memory changes
    when they are used; they are few.
    """

    def __init__(self, run: Run) -> None:
        self._others: list[object] = []
        places: dict[int, int] = {}
        self._run = run  # its memory contains nothing else as long as it exists
        self._add(run, places)
        self._memory = Memory(places)
        self._crc = self._present_crc()

    def verify(self) -> None:
        """Verify the constants.

        Raises:
            StateChangedError: One has changed since this object was made.
        """
        if self._present_crc() != self._crc:
            raise StateChangedError("a constant of the run has changed since the start of main.py")

    def _present_crc(self) -> int:
        return zlib.crc32(msgspec.msgpack.encode(self._others, enc_hook=str), self._memory.crc())

    def _add(self, value: object, places: dict[int, int]) -> None:
        if isinstance(value, int | float):
            places.update([_place_of(value)])
        elif isinstance(value, bytes) or (isinstance(value, str) and value.isascii()):
            places[id(value) + sys.getsizeof(value) - len(value) - 1] = len(value)  # at the end, before a zero
        elif isinstance(value, tuple):
            places[id(value) + tuple.__basicsize__] = len(value) * _POINTER_BYTES
            for part in value:
                self._add(part, places)
        elif is_dataclass(value) and not isinstance(value, type):  # with slots, which are pointers
            places[id(value) + _HEAD_BYTES] = len(fields(value)) * _POINTER_BYTES
            for field in fields(value):
                self._add(getattr(value, field.name), places)
        elif not isinstance(value, EarthOrientationTable):
            self._others.append(value)


def _place_of(number: float) -> tuple[int, int]:
    """Return the address and the size of a number in the memory of its object."""
    size = int.__sizeof__(int(number)) if isinstance(number, int) else float.__basicsize__
    return id(number) + _HEAD_BYTES, size - _HEAD_BYTES


class Numbers:
    """Numbers in the memory of constants and of the code of some modules, with a copy of them.

    Neither numbers nor arrays of a module ever change. The objects are kept, so that their memory contains nothing
    else.

    Args:
        names: Names of the modules.
        earlier: Numbers of other modules, whose objects are left out.

    Attributes:
        searched: Objects that contain others, by `id` and sorted.
    """

    def __init__(self, names: Iterable[str], earlier: Sequence["Numbers"] = ()) -> None:
        self._earlier = earlier
        self._kept: list[object] = []
        places: dict[int, int] = {}
        seen: set[int] = set()
        for name in names:
            self._add(vars(sys.modules[name]).values(), name, seen, places)
        self.searched = array("Q", sorted(seen))  # the set, and its copy in each task, would take megabytes
        self._memory = Memory(places)
        self._copy = b"".join(map(bytes, self._memory.read()))
        self._crc = zlib.crc32(self._copy)

    def restore(self) -> bool:
        """Restore changed numbers from the copy; return True if there were any."""
        if self._memory.crc() == self._crc or zlib.crc32(self._copy) != self._crc:  # or the copy has changed
            return False
        self._memory.write(self._copy)
        return True

    def _add(self, values: Iterable[Any], module: str, seen: set[int], places: dict[int, int]) -> None:
        for value in values:
            if isinstance(value, int | float):
                self._keep(value, *_place_of(value), places)
            elif id(value) not in seen:
                if type(value) is np.ndarray and value.flags.forc and value.nbytes < _ARRAY_BYTES_MAX:
                    self._keep(value, value.ctypes.data, value.nbytes, places)
                if (parts := _parts(value, module)) and not self._is_of_earlier(id(value)):
                    if type(value) is tuple:
                        self._keep(value, id(value) + tuple.__basicsize__, len(value) * _POINTER_BYTES, places)
                    seen.add(id(value))
                    self._add(parts, module, seen, places)

    def _is_of_earlier(self, number: int) -> bool:
        for numbers in self._earlier:
            k = bisect_left(numbers.searched, number)
            if k < len(numbers.searched) and numbers.searched[k] == number:
                return True
        return False

    def _keep(self, value: object, address: int, size: int, places: dict[int, int]) -> None:
        if size and address not in places:
            self._kept.append(value)
            places[address] = size


def _parts(value: Any, module: str) -> Iterable[object]:  # noqa: ANN401 - any constant of a module
    """Return what a constant contains, or a function or class that the module defines."""
    inside = _INSIDE.get(type(value))
    if inside is not None:
        return inside(value)
    if isinstance(value, FunctionType) and value.__module__ == module:
        return value.__code__, value.__defaults__, value.__kwdefaults__
    return tuple(vars(value).values()) if isinstance(value, type) and value.__module__ == module else ()


_INSIDE: Final[dict[type, Callable[[Any], Iterable[object]]]] = {
    CodeType: lambda value: (value.co_consts,),
    dict: lambda value: (*value.keys(), *value.values()),
    property: lambda value: (value.fget,),
    **dict.fromkeys((tuple, list, set, frozenset), tuple),
    **dict.fromkeys((classmethod, staticmethod, _CACHE), lambda value: (value.__wrapped__,)),
}


class Modules:
    """Modules of the project: their constants, and the caches of functions, on which later results depend.

    Modules are searched before the tasks are forked: each process would copy the pages of what it looks at. Afterwards,
    it looks only at the newest modules, because even to read a name is to write its reference count.
    """

    def __init__(self) -> None:
        self._searched = 0
        self.caches: list[object] = []
        self._numbers: list[Numbers] = []

    def search(self) -> None:
        """Search the modules that were loaded since the last call."""
        newest = islice(reversed(sys.modules), max(len(sys.modules) - self._searched, 0))
        new = [name for name in newest if name.startswith(_PACKAGE)]
        self._searched = len(sys.modules)
        self.caches += [part for name in new for part in vars(sys.modules[name]).values() if type(part) is _CACHE]
        if new:
            self._numbers.append(Numbers(new, tuple(self._numbers)))

    def restore(self) -> bool:
        """Restore constants that have changed; return True if there were any."""
        restored = [numbers.restore() for numbers in self._numbers]
        return any(restored)


MODULES: Final = Modules()
