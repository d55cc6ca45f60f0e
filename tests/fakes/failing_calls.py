"""System calls of this process and its forks on the files below some folders: numbered, and failing one by one.

The functions of `os` that call the system are replaced, because the flight software calls it through them only. Files
that `open` returns are those of `_pyio`, which call these functions, too. `fstat` is left alone: for an open file on a
disk of this computer, it cannot fail.
"""

import _thread
import builtins
import contextlib
import errno
import importlib
import io
import mmap
import os
from collections.abc import Callable
from typing import Any, Final, NamedTuple

READS: Final = frozenset({"open", "read", "pread", "stat", "lstat", "listdir", "scandir", "statvfs", "readlink"})
WRITES: Final = frozenset({"write", "pwrite"})
ALLOCATIONS: Final = WRITES | {
    "create",
    "fsync",
    "fdatasync",
    "rename",
    "replace",
    "link",
    "symlink",
    "mkdir",
    "posix_fallocate",
}
CHANGES: Final = ALLOCATIONS | {"unlink", "remove", "rmdir", "truncate", "ftruncate", "utime", "chmod"}
FORKS: Final = frozenset({"fork", "start_new_thread"})
MAIN: Final = "main"
"""Name of the process that installs the shim; its forks have the names that they give themselves."""


class Failure(NamedTuple):
    """Failure of the first call of a process, from a number on, that may fail; the order varies a little.

    Attributes:
        process: Name of the process.
        number: Number in the process, from 1, of the first call that may fail; 0 if none does.
        names: Names of the calls that may fail.
        folder: Folder of the files of calls that may fail.
        error: Error number; 0 for a write of half the data.
        is_lasting: True if all such calls of all processes fail from then on.
    """

    process: str = MAIN
    number: int = 0
    names: frozenset[str] = frozenset()
    folder: str = ""
    error: int = errno.EIO
    is_lasting: bool = False


class Call(NamedTuple):
    """Call that was numbered; `path` is empty for those that make a process or a thread."""

    process: str
    number: int
    name: str
    path: str


def read_calls(log: str) -> list[Call]:
    """Return the calls in a log."""
    with open(log, encoding="utf-8") as file:  # noqa: PTH123 - as the shim does
        fields = [line.rstrip("\n").split(" ", 3) for line in file]
    return [Call(process, int(number), name, path) for process, number, name, path in fields]


class FailingCalls:
    """Replacement of the system calls.

    Args:
        folders: Beginnings of the paths of files whose calls are numbered.
        failure: The failure.
        log: File that receives the call that fails first, or all calls if none fails.
    """

    def __init__(self, folders: tuple[str, ...], failure: Failure, log: str) -> None:
        self._folders = folders
        self._failure = failure
        self._log = log
        self._shared = mmap.mmap(-1, 1)  # shared with all forks: 1 once the failure has begun
        self._process = MAIN
        self._count = 0
        self._readlink, self._open, self._write, self._close = os.readlink, os.open, os.write, os.close

    def install(self) -> None:
        """Replace the functions; there is no way back."""
        os.register_at_fork(after_in_child=self._begin_fork)
        for name in (READS | CHANGES) - {"create"}:
            setattr(os, name, self._on_file(name, getattr(os, name)))
        os.fork = self._on_fork("fork", os.fork, BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN)))
        start = self._on_fork("start_new_thread", _thread.start_new_thread, RuntimeError("can't start new thread"))
        _thread.start_new_thread = start
        setattr(importlib.import_module("threading"), "_start_new_thread", start)  # noqa: B010 - not in the type stubs
        opened, open_by_os = io.open, importlib.import_module("_pyio").open

        def open_file(place: Any, *words: Any, **options: Any) -> Any:  # noqa: ANN401 - any signature of open
            return (open_by_os if self._path_of(place) else opened)(place, *words, **options)

        for module in (io, builtins):
            setattr(module, "open", open_file)  # noqa: B010 - another signature for the type checker

    def _begin_fork(self) -> None:
        self._process, self._count = "", 0

    def _path_of(self, place: object) -> str:
        """Return the path of a path or descriptor if its calls are numbered, else an empty string."""
        path = ""
        if isinstance(place, int):
            with contextlib.suppress(OSError):
                path = self._readlink(f"/proc/self/fd/{place}")
        elif isinstance(place, str | os.PathLike):
            path = str(place)
        return path if path.startswith(self._folders) else ""

    def _on_file(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def replaced(place: Any = ".", *words: Any, **options: Any) -> Any:  # noqa: ANN401 - any call
            path = self._path_of(place)
            creates = name == "open" and bool(words) and words[0] & (os.O_WRONLY | os.O_RDWR)
            if path and self._fails("create" if creates else name, path):
                number = self._failure.error
                if number:
                    raise OSError(number, os.strerror(number), *([] if isinstance(place, int) else [path]))
                words = (memoryview(words[0])[: len(words[0]) // 2], *words[1:])
            return call(place, *words, **options)

        return replaced

    def _on_fork(self, name: str, call: Callable[..., Any], error: Exception) -> Callable[..., Any]:
        def replaced(*words: Any) -> Any:  # noqa: ANN401 - any call
            if self._fails(name, ""):
                raise error
            return call(*words)

        return replaced

    def _fails(self, name: str, path: str) -> bool:
        """Count a call; return True if it must fail."""
        failure = self._failure
        if not self._process:
            with open("/proc/self/comm", encoding="utf-8") as file:  # noqa: PTH123 - Path would count as a call
                self._process = file.read().strip().removeprefix("pygnc-")
        self._count += 1
        may_fail = name in failure.names and path.startswith(failure.folder)
        is_due = failure.number and self._process == failure.process and self._count >= failure.number
        begins = may_fail and is_due and not self._shared[0]
        fails = begins or (may_fail and failure.is_lasting and self._shared[0])
        if begins:
            self._shared[0] = 1
        if begins or not failure.number:
            line = f"{self._process} {self._count} {name} {path}\n".encode()
            descriptor = self._open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            self._write(descriptor, line)
            self._close(descriptor)
        return bool(fails)
