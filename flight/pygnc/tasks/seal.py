"""Seal of a task: checksums that show a bit flipped by radiation while the task waited.

A task changes its state only while it works. `Seal.close` computes the CRC-32 of everything that is reachable from the
task, and `Seal.verify` compares it after the wait. The settings and tables, which never change, are more than the rest
and are verified every `TABLES_INTERVAL_S`.

Numbers in constants of modules are verified with the tables, and restored from a copy (`pygnc.tasks.constants`).
Instructions and texts of modules are not verified: the interpreter changes its instructions while it runs.
"""

import functools
import gc
import pickle
import time
import zlib
from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum
from pathlib import PurePath
from threading import Thread
from types import MethodType
from typing import Any, Final, TypeAlias

import numpy as np

from pygnc.common.arrays import Array
from pygnc.tasks.constants import MODULES, RunConstants, StateChangedError

TABLES_INTERVAL_S: Final = 10.0
CONSTANT_RESTORED: Final = "a constant of a module had changed and was restored"
_TABLES: Final = frozenset({"MainField"})
"""Names of the types of tables that a task has for itself, which never change."""
_LEFT_OUT: Final = frozenset({"Seal", "SignalInbox", "EarthOrientationTable", "Run", "_DiskSync"})
"""Names of the types of objects that change while the task waits, or whose pages are shared (see `second_look`), or
that `RunConstants` compares."""
_PACKAGE: Final = "pygnc."
_CACHE: Final = functools._lru_cache_wrapper  # noqa: SLF001 - the only name of this type

_Content: TypeAlias = Callable[[Any], object]
"""Function that returns what an object contains."""


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


class Seal:
    """Seal of a state with the caches of all modules.

    Args:
        state: Object from which the state is reachable.
        constants: Constants of the run.
        known_answers: Functions that always return the same numbers unless a table that they use has changed.
    """

    def __init__(
        self, state: object, constants: RunConstants | None = None, known_answers: Sequence[Callable[[], Array]] = ()
    ) -> None:
        self._state = state
        self._constants = constants
        self._known_answers = known_answers
        self._crc: int | None = None
        self._tables: dict[int, tuple[str, int]] = {}
        self._tables_due_s = 0.0
        MODULES.search()

    def close(self) -> None:
        """Seal the state before a wait; verify the tables if that is due.

        Raises:
            StateChangedError: A table or a constant of a module has changed.
        """
        self._crc, tables = checksum((self._state, MODULES.caches))
        now_s = time.monotonic()
        if now_s >= self._tables_due_s:
            self._tables_due_s = now_s + TABLES_INTERVAL_S
            if MODULES.restore():
                raise StateChangedError(CONSTANT_RESTORED)
            for table in tables:
                self._verify_table(table, type(table).__name__, checksum(table)[0])
            for answer in self._known_answers:
                self._verify_table(answer, answer.__name__, zlib.crc32(answer().tobytes()))

    def verify(self) -> None:
        """Verify the state after a wait.

        Raises:
            StateChangedError: The state has changed since `close`, or a constant of the run.
        """
        if self._constants is not None:
            self._constants.verify()
        if checksum((self._state, MODULES.caches))[0] != self._crc:
            raise StateChangedError("the state of the task changed while the task waited")

    def _verify_table(self, table: object, name: str, crc: int) -> None:
        if self._tables.setdefault(id(table), (name, crc)) != (name, crc):
            raise StateChangedError(f"the table {name} has changed")
