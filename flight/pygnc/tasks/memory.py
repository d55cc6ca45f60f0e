"""Memory of a process beside the objects of its task: the heap of the C library, and the pages of other libraries.

The calls that control the heap are those of the GNU C library. With other C libraries, the substitutes do nothing.
"""

import contextlib
import ctypes
import mmap
import os
import re
import zlib
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

PAGE_BYTES: Final = mmap.PAGESIZE
_M_TRIM_THRESHOLD: Final = -1
_M_ARENA_MAX: Final = -8
_FREE_BYTES_MAX: Final = 1 << 20
_MADV_DONTNEED: Final = 4
_LIBRARY: Final = re.compile(rb"([0-9a-f]+)-([0-9a-f]+) r-[-x]p ([0-9a-f]+) \S+ \d+ +(/.*)\n")
_OF_FILE: Final = 0b101
"""Highest three bits of an entry of /proc/self/pagemap for a page that is mapped and that of a file."""
_libc: Final = ctypes.CDLL(None)
_mallopt: Final[Callable[[int, int], Any]] = getattr(_libc, "mallopt", lambda *_: 0)
_madvise: Final[Callable[..., Any]] = getattr(_libc, "madvise", lambda *_: 0)
_malloc_trim: Final[Callable[[int], Any]] = getattr(_libc, "malloc_trim", lambda _: 0)


def share_heap_among_threads() -> None:
    """Let all threads allocate from one heap; a thread's own heap would keep megabytes that it needed for a second."""
    _mallopt(_M_ARENA_MAX, 1)


def return_memory_early() -> None:
    """Return large blocks to the system when they are freed; takes up to 5 % more processor time."""
    _mallopt(_M_TRIM_THRESHOLD, _FREE_BYTES_MAX)


def trim_heap() -> None:
    """Return free heap memory to the system; takes about a millisecond."""
    _malloc_trim(0)


class _Library(NamedTuple):
    """Mapped part of a file to whose pages nobody has written, with the number of its first page in `_Pages`."""

    begin: int
    end: int
    offset: int
    path: str
    first: int


class _Pages:
    """Pages of libraries, which are the same in all processes of a run.

    Attributes:
        libraries: Mapped files by their line in /proc/self/maps; a mapping in the place of one has another line.
        crc: CRC-32 of each page when a process first had it mapped, or 0. All processes share it.
    """

    def __init__(self, lines: list[bytes]) -> None:
        self.libraries: dict[bytes, _Library] = {}
        count = 0
        for line in lines:
            if words := _LIBRARY.fullmatch(line):
                begin, end, offset = (int(word, 16) for word in words.groups()[:3])
                self.libraries[line] = _Library(begin, end, offset, os.fsdecode(words[4]), count)
                count += (end - begin) // PAGE_BYTES
        self.crc = memoryview(mmap.mmap(-1, 4 * (count or 1))).cast("I")
        self._lines = b""
        self._mapped: list[_Library] = []
        self._ranges = array("Q")
        self._ranges_crc = 0

    def mapped(self) -> list[_Library]:
        """Return the libraries that this process still has."""
        self._look()
        return self._mapped

    def ranges(self) -> Iterator[tuple[int, int]]:
        """Return begin and size of the address ranges of these libraries, adjacent ones together."""
        self._look()
        if zlib.crc32(self._ranges) != self._ranges_crc:  # a wrong range would erase other memory
            self._lines = b""
            self._look()
        return zip(self._ranges[::2], self._ranges[1::2], strict=True)

    def _look(self) -> None:
        lines = b""
        with contextlib.suppress(OSError):
            lines = Path("/proc/self/maps").read_bytes()
        if lines == self._lines:  # in most cases
            return
        self._lines = lines
        self._mapped = [self.libraries[line] for line in lines.splitlines(keepends=True) if line in self.libraries]
        joined: list[tuple[int, int]] = []
        for one in self._mapped:
            begin = joined.pop()[0] if joined and joined[-1][1] == one.begin else one.begin
            joined.append((begin, one.end))
        self._ranges = array("Q", [number for begin, end in joined for number in (begin, end - begin)])
        self._ranges_crc = zlib.crc32(self._ranges)


_pages = _Pages([])


def find_unchanged_libraries() -> None:
    """Find the pages of libraries to compare and to unmap; takes about 4 ms, before the tasks are forked."""
    global _pages  # noqa: PLW0603 - the address space of the process is one, too
    found = []
    mapping = b""
    with contextlib.suppress(OSError), Path("/proc/self/smaps").open("rb") as lines:
        for line in lines:
            if _LIBRARY.fullmatch(line):
                mapping = line
            elif line.startswith(b"Anonymous:"):
                if mapping and line.split()[1] == b"0":  # the loader has not written to these pages
                    found.append(mapping)
                mapping = b""
    _pages = _Pages(found)


def unmap_libraries() -> None:
    """Unmap the unchanged pages of libraries, most of which only the start needs; takes half a millisecond.

    They stay in the system's file cache as long as there is room. A page that is used again is mapped from there within
    a microsecond.
    """
    for begin, size in _pages.ranges():
        _madvise(ctypes.c_void_p(begin), ctypes.c_size_t(size), _MADV_DONTNEED)


def find_changed_library() -> str:
    """Compare the pages of libraries that this process has mapped; return the place of the last change, or nothing.

    The pages of machine code and constant tables are in memory once for all processes. Pages that are not mapped are
    not read, because that would map them.
    """
    found = ""
    with contextlib.suppress(OSError), Path("/proc/self/pagemap").open("rb", buffering=0) as table:
        for one in _pages.mapped():
            count = (one.end - one.begin) // PAGE_BYTES
            entries = os.pread(table.fileno(), 8 * count, one.begin // PAGE_BYTES * 8)
            for k in [k for k, highest in enumerate(entries[7::8]) if highest >> 5 == _OF_FILE]:
                crc = zlib.crc32(ctypes.string_at(one.begin + k * PAGE_BYTES, PAGE_BYTES)) or 1
                if _pages.crc[one.first + k] not in {0, crc}:
                    found = f"{one.path}: the page at offset {one.offset + k * PAGE_BYTES} in memory has changed"
                _pages.crc[one.first + k] = crc
    return found
