"""Seal of a task: checksums that show a bit flipped by radiation while the task waited.

A task changes its state only while it works. `Seal.close` computes the CRC-32 of everything that is reachable from the
task, and `Seal.verify` compares it after the wait. The settings and tables, which never change, are more than the rest
and are verified every `TABLES_INTERVAL_S`.

Numbers and texts in constants of modules are verified with the tables (`Constants`), and restored from a copy.
Instructions are verified every `CODE_INTERVAL_S`, by each second look and when a task starts again
(`pygnc.tasks.instructions`).
"""

import ctypes
import functools
import gc
import itertools
import pickle
import sys
import time
import zlib
from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import Enum
from itertools import islice
from pathlib import PurePath
from threading import Thread
from types import CodeType, FunctionType, MethodType
from typing import Any, Final, TypeAlias, cast

import numpy as np

from pygnc.common.arrays import Array
from pygnc.tasks.instructions import Instructions
from pygnc.tasks.memory import trim_heap

TABLES_INTERVAL_S: Final = 10.0
CODE_INTERVAL_S: Final = 600.0
"""Time between two comparisons of all instructions, which take as long as 50 waits, s."""
OLD_S: Final = 10.0
"""Age of copies of instructions from which on the start of a task compares them, s."""
CODE_RESTORED: Final = "a constant or an instruction of a module had changed and was restored"
_TABLES: Final = frozenset({"MainField"})
"""Names of the types of tables that a task has for itself, which never change."""
_LEFT_OUT: Final = frozenset({"Seal", "SignalInbox", "EarthOrientationTable", "Run", "_DiskSync"})
"""Names of the types of objects that change while the task waits, or whose pages are shared (see `second_look`), or
that `Run.constants` encodes."""
_PACKAGE: Final = "pygnc."
_HEAD_BYTES: Final = object.__basicsize__
"""Size of reference count and type, with which each object begins."""
_LENGTH_AND_HASH_BYTES: Final = 16
"""Size of what follows in a text."""
_TEXT_HEAD_BYTES: Final = sys.getsizeof("") - 1
"""Offset of the characters in a text of ASCII characters."""
_BYTES_HEAD_BYTES: Final = bytes.__basicsize__ - 1
_TEXT_MAX: Final = 80
"""Length of the longest text that is compared; longer ones are messages and documentation."""
_WORD_BYTES: Final = 8
_FIRST_WORD: Final = 512
_AS_WORDS: Final = (ctypes.c_uint64 * (1 << 44)).from_address(_FIRST_WORD * _WORD_BYTES)
_MEMORY: Final = np.frombuffer(cast("memoryview", _AS_WORDS), np.uint64)
"""Memory of the process as words. A part of it is read at once, in a tenth of the time of one call for each object."""
_ALL_BITS: Final = np.uint64((1 << 64) - 1)
_ARRAY_BYTES_MAX: Final = 1 << 16
"""Size of arrays that are left out, because they are tables with known answers."""
_PLACES_AT_ONCE: Final = 512
_CACHE: Final = functools._lru_cache_wrapper  # noqa: SLF001 - the only name of this type

_Content: TypeAlias = Callable[[Any], Any]
"""Function that returns what an object contains."""


class StateChangedError(Exception):
    """Error raised when the memory of a task has changed although no instruction has changed it."""


class _Checksum:
    """File that keeps the CRC-32 of what is written to it."""

    def __init__(self) -> None:
        self.crc = 0

    def write(self, data: bytes) -> int:
        self.crc = zlib.crc32(data, self.crc)
        return len(data)


class _Pickler(pickle.Pickler):
    """Pickler of what an object contains; its output is only compared. It leaves out what `_content` cannot return.

    Attributes:
        tables: The tables that it has left out.
    """

    def __init__(self, file: _Checksum, root: object) -> None:
        super().__init__(file, 5)
        self._root = root
        self.tables: list[object] = []

    def reducer_override(self, value: Any) -> Any:  # noqa: ANN401 - the hook's signature
        if value is object:
            return NotImplemented
        kind = type(value)
        if kind is np.ndarray:  # most objects of an estimator
            return object, (), (value.dtype.str, value.shape, value.tobytes())
        if value is self._root and kind.__module__.startswith(_PACKAGE):
            return object, (), _attributes(kind)(value)
        if kind.__name__ in _TABLES:
            self.tables.append(value)
            return object, ()
        content = _contents.get(kind)
        if content is None:
            content = _contents[kind] = _content(kind)
        return object, (), content(value)


def _cached(cache: Any) -> list[object]:  # noqa: ANN401 - any cache of `functools`
    """Return the keys and values in a cache of `functools`, which has a dictionary of links if its size is limited."""
    is_limited = cache.cache_parameters()["maxsize"] is not None
    return [
        part
        for part in gc.get_referents(cache)
        if not callable(part)
        and type(part) is not object
        and not (type(part) is dict and (is_limited or "__wrapped__" in part))
    ]


def _content(kind: Any) -> _Content:  # noqa: ANN401 - any type
    """Return the function for objects of a type; sockets, threads, functions and the like contain nothing."""
    if issubclass(kind, Enum | Thread) or kind.__name__ in _LEFT_OUT:
        return lambda _: None
    for base, content in _BY_BASE.items():
        if issubclass(kind, base):
            return content
    return _attributes(kind) if kind.__module__.startswith(_PACKAGE) else lambda _: None


def _attributes(kind: Any) -> _Content:  # noqa: ANN401 - any type
    names = [name for base in kind.__mro__ for name in getattr(base, "__slots__", ())]
    names += getattr(kind, "__struct_fields__", ())
    return lambda value: [getattr(value, "__dict__", None), *(getattr(value, name, None) for name in names)]


_BY_BASE: Final[dict[type, _Content]] = {
    np.ndarray: lambda value: (value.dtype.str, value.shape, value.tobytes()),
    np.generic: lambda value: value.tobytes(),
    MethodType: lambda value: [value.__self__],
    functools.partial: lambda value: [value.args, value.keywords],
    PurePath: str,
    _CACHE: _cached,
    deque: list,
    tuple: list,
    dict: dict,
    int: int,
    str: str,
}
_contents: Final[dict[type, _Content]] = {}


def checksum(value: object) -> tuple[int, list[object]]:
    """Return the CRC-32 of all that is reachable from `value`, and the tables that it leaves out."""
    file = _Checksum()
    pickler = _Pickler(file, value)
    pickler.dump(value)
    return file.crc, pickler.tables


class Constants:
    """Numbers and texts in the memory of constants and of the code of some modules, with a copy of them.

    The memory is read and written directly: to read a Python object is to write its reference count, which would copy
    shared pages. Neither numbers, texts nor arrays of a module ever change; the objects are kept, so that their memory
    contains nothing else.

    Args:
        names: Names of the modules.
        earlier: Constants of other modules, whose objects are left out.

    Attributes:
        searched: Objects that contain others, by `id` and sorted.
        codes: Code of the functions.
    """

    def __init__(self, names: Iterable[str], earlier: Sequence["Constants"] = ()) -> None:
        self._earlier = earlier
        self._kept: list[object] = []
        self.codes: list[CodeType] = []
        places: dict[int, int] = {}
        texts: dict[int, str | bytes] = {}
        seen: set[int] = set()
        for name in names:
            self._add(vars(sys.modules[name]).values(), name, seen, places, texts)
        self._keep_texts(texts, places)
        self.searched = array("Q", sorted(seen))  # the set, and its copy in each task, would take megabytes
        self._places = np.fromiter(itertools.chain.from_iterable(places.items()), np.int64).reshape(-1, 2)
        self._copy = b"".join(words.tobytes() for words in self._each_part())
        self._crc = zlib.crc32(self._copy)

    def restore(self) -> bool:
        """Restore changed constants from the copy; return True if there were any."""
        crc = 0
        for words in self._each_part():
            crc = zlib.crc32(words.tobytes(), crc)
        if crc == self._crc or zlib.crc32(self._copy) != self._crc:  # or the copy has changed
            return False
        offset = 0
        for address, size in self._places.tolist():
            ctypes.memmove(address, self._copy[offset : offset + size], size)
            offset += -(-size // _WORD_BYTES) * _WORD_BYTES
        return True

    def _each_part(self) -> "Iterator[np.ndarray[Any, np.dtype[np.uint64]]]":
        """Yield the present content of `_PLACES_AT_ONCE` places each, as words; bytes after a place are zero."""
        for k in range(0, len(self._places), _PLACES_AT_ONCE):
            addresses, sizes = self._places[k : k + _PLACES_AT_ONCE].T
            counts = -(-sizes // _WORD_BYTES)
            ends = counts.cumsum()
            numbers = np.repeat(addresses // _WORD_BYTES - (ends - counts), counts) + np.arange(ends[-1])
            words = _MEMORY[numbers - _FIRST_WORD]
            words[ends - 1] &= _ALL_BITS >> (-sizes % _WORD_BYTES * 8).astype(np.uint64)
            yield words

    def _add(
        self,
        values: Iterable[Any],
        module: str,
        seen: set[int],
        places: dict[int, int],
        texts: dict[int, str | bytes],
    ) -> None:
        for value in values:
            kind = type(value)
            if kind is str or kind is bytes:
                texts[id(value)] = value
            elif isinstance(value, int):
                self._keep(value, id(value) + _HEAD_BYTES, int.__sizeof__(int(value)) - _HEAD_BYTES, places)
            elif isinstance(value, float):
                self._keep(value, id(value) + _HEAD_BYTES, float.__basicsize__ - _HEAD_BYTES, places)
            elif id(value) not in seen:
                if kind is np.ndarray and value.flags.forc and value.nbytes < _ARRAY_BYTES_MAX:
                    self._keep(value, value.ctypes.data, value.nbytes, places)
                if (parts := _parts(value, module)) and not self._is_of_earlier(id(value)):
                    if isinstance(value, tuple):
                        self._keep(value, id(value) + tuple.__basicsize__, 8 * len(value), places)
                    elif kind is CodeType:
                        self.codes.append(value)
                    seen.add(id(value))
                    self._add(parts, module, seen, places, texts)

    def _is_of_earlier(self, number: int) -> bool:
        for constants in self._earlier:
            k = bisect_left(constants.searched, number)
            if k < len(constants.searched) and constants.searched[k] == number:
                return True
        return False

    def _keep_texts(self, texts: dict[int, str | bytes], places: dict[int, int]) -> None:
        for number, text in texts.items():
            if len(text) <= _TEXT_MAX and text.isascii():
                hash(text)  # the object keeps it from now on, and a dictionary finds nothing by a wrong one
                self._kept.append(text)
                head = _TEXT_HEAD_BYTES if type(text) is str else _BYTES_HEAD_BYTES
                places[number + _HEAD_BYTES] = _LENGTH_AND_HASH_BYTES
                places[number + head] = len(text)

    def _keep(self, value: object, address: int, size: int, places: dict[int, int]) -> None:
        if size and address % _WORD_BYTES == 0 and address not in places:
            self._kept.append(value)
            places[address] = size


def _parts(value: Any, module: str) -> Iterable[object]:  # noqa: ANN401 - any constant of a module
    """Return what a constant contains, or a function or class that the module defines."""
    inside = _INSIDE.get(type(value))
    if inside is not None:
        return inside(value)
    if type(value).__module__.startswith(_PACKAGE) and _is_frozen(value):
        return value if isinstance(value, tuple) else _attributes(type(value))(value)
    if isinstance(value, FunctionType) and value.__module__ == module:
        return value.__code__, value.__defaults__, value.__kwdefaults__
    return tuple(vars(value).values()) if isinstance(value, type) and value.__module__ == module else ()


def _is_frozen(value: Any) -> bool:  # noqa: ANN401 - any constant of a module
    """Return True for named tuples and objects of frozen classes, which always contain the same."""
    declared = getattr(value, "__dataclass_params__", None) or getattr(value, "__struct_config__", None)
    return isinstance(value, tuple) or getattr(declared, "frozen", False)


_INSIDE: Final[dict[type, Callable[[Any], Iterable[object]]]] = {
    CodeType: lambda value: (value.co_consts, value.co_names),
    dict: lambda value: (*value.keys(), *value.values()),
    property: lambda value: (value.fget,),
    slice: lambda value: (value.start, value.stop, value.step),
    **dict.fromkeys((tuple, list, set, frozenset), tuple),
    **dict.fromkeys((classmethod, staticmethod, _CACHE), lambda value: (value.__wrapped__,)),
}


class Modules:
    """Modules of the project: constants, instructions, and caches of functions, on which later results depend.

    Modules are searched before the tasks are forked: each process would copy the pages of what it looks at. Afterwards,
    it looks only at the newest modules, because even to read a name is to write its reference count.
    """

    def __init__(self) -> None:
        self._searched = 0
        self.caches: list[object] = []
        self.answers: dict[str, int] = {}
        self._constants: list[Constants] = []
        self._instructions: list[Instructions] = []
        self._searched_s = time.monotonic()

    def search(self) -> None:
        """Search the modules that were loaded since the last call."""
        newest = islice(reversed(sys.modules), max(len(sys.modules) - self._searched, 0))
        new = [name for name in newest if name.startswith(_PACKAGE)]
        self._searched = len(sys.modules)
        self.caches += [part for name in new for part in vars(sys.modules[name]).values() if type(part) is _CACHE]
        if new:
            self._constants.append(Constants(new, tuple(self._constants)))
            self._instructions.append(Instructions(self._constants[-1].codes))

    def note_answer(self, answer: Callable[[], Array]) -> None:
        """Note the known answer of a function for tasks that are forked after a bit of its table has flipped."""
        self.answers[answer.__name__] = zlib.crc32(answer().tobytes())

    @property
    def are_old(self) -> bool:
        """True if a bit may have flipped since the first search."""
        return time.monotonic() > self._searched_s + OLD_S

    def restore(self, *, everything: bool = False) -> bool:
        """Restore constants, and instructions with `everything`, that have changed; return True if there were any."""
        restored = [part.restore() for part in self._constants]
        if everything:
            restored += [part.restore() for part in self._instructions]
            trim_heap()
        return any(restored)


MODULES: Final = Modules()


class Seal:
    """Seal of a state with the caches of all modules.

    Args:
        state: Object from which the state is reachable.
        constants: Function that returns the same bytes unless a constant of the run has changed.
        known_answers: Functions that always return the same numbers unless a table that they use has changed.
    """

    def __init__(
        self, state: object, constants: Callable[[], bytes] = bytes, known_answers: Sequence[Callable[[], Array]] = ()
    ) -> None:
        self._state = state
        self._constants = constants
        self._constants_crc = zlib.crc32(constants())
        self._known_answers = known_answers
        self._crc: int | None = None
        noted = [answer for answer in known_answers if answer.__name__ in MODULES.answers]
        self._tables = {id(answer): (answer.__name__, MODULES.answers[answer.__name__]) for answer in noted}
        self._tables_due_s = 0.0
        self._code_due_s = time.monotonic() + CODE_INTERVAL_S
        MODULES.search()

    def close(self) -> None:
        """Seal the state before a wait; verify the tables if that is due.

        Raises:
            StateChangedError: A table, or a constant or an instruction of a module, has changed.
        """
        self._crc, tables = checksum((self._state, MODULES.caches))
        now_s = time.monotonic()
        if now_s >= self._tables_due_s:
            self._tables_due_s = now_s + TABLES_INTERVAL_S
            if MODULES.restore(everything=now_s >= self._code_due_s):
                raise StateChangedError(CODE_RESTORED)
            if now_s >= self._code_due_s:
                self._code_due_s = now_s + CODE_INTERVAL_S
            for table in tables:
                self._verify_table(table, type(table).__name__, checksum(table)[0])
            for answer in self._known_answers:
                self._verify_table(answer, answer.__name__, zlib.crc32(answer().tobytes()))

    def verify(self) -> None:
        """Verify the state after a wait.

        Raises:
            StateChangedError: The state has changed since `close`, or a constant of the run.
        """
        self._verify_constants()
        if checksum((self._state, MODULES.caches))[0] != self._crc:
            raise StateChangedError("the state of the task changed while the task waited")

    def _verify_constants(self) -> None:
        if zlib.crc32(self._constants()) != self._constants_crc:
            raise StateChangedError("a constant of the run has changed")

    def _verify_table(self, table: object, name: str, crc: int) -> None:
        if self._tables.setdefault(id(table), (name, crc)) != (name, crc):
            raise StateChangedError(f"the table {name} has changed")
