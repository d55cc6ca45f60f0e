"""Instructions of Python functions, with a copy that shows and restores bits flipped by radiation.

The interpreter changes the instructions that run often: it replaces them by specialised ones with the same effect, and
keeps what it has found out in the cache entries behind them. The comparison leaves out cache entries, and takes each
specialised instruction for its general one.
"""

import ctypes
import dis
import marshal
import mmap
import sys
import zlib
from array import array
from collections.abc import Sequence
from itertools import accumulate
from types import CodeType
from typing import Any, Final

FUNCTIONS_AT_ONCE: Final = 16
"""Number of functions with one copy; to compare all at once would take a megabyte for a moment."""
_IS_KNOWN: Final = sys.version_info < (3, 14)
"""True if it was tried how this version of Python specialises instructions; else they are not compared."""
_HAS_EMPTY_ENTRIES: Final = sys.version_info < (3, 12)
"""True if the cache entries of a function are zero until the interpreter specialises the function."""


def _tables() -> tuple[bytes, list[int]]:
    """Return the general opcode of each opcode, and the number of its cache entries."""
    numbers: dict[str, int] = getattr(dis, "_all_opmap", {})
    entries: Any = getattr(dis, "_inline_cache_entries", {})
    general = bytearray(range(256))
    for name, base in getattr(dis, "deoptmap", {}).items():
        general[numbers[name]] = numbers[base]
    names = {number: name for name, number in numbers.items()}
    by_name = isinstance(entries, dict)  # since Python 3.13
    return bytes(general), [entries.get(names.get(k), 0) if by_name else entries[k] for k in general]


_GENERAL, _ENTRIES = _tables()
_GENERAL_OPCODES: Final = bytes(k for k in range(256) if _GENERAL[k] == k)
_ALL_BITS: Final = bytes([0] + 255 * [255])
"""Table for `bytes.translate`: all bits of what is not zero."""


class Instructions:
    """Instructions of functions with compressed copies, whose checksums cover everything needed.

    Memory is read and written directly, so that no reference counts change, the copies are in a memory of their own,
    and libraries that some tasks do not use otherwise are not called: all this would copy shared pages.
    """

    def __init__(self, codes: Sequence[CodeType]) -> None:
        self._codes = codes if _IS_KNOWN else ()
        groups = [self._codes[k : k + FUNCTIONS_AT_ONCE] for k in range(0, len(self._codes), FUNCTIONS_AT_ONCE)]
        parts = list(map(_copy, groups))
        self._ends = array("I", accumulate(map(len, parts)))
        self._copies = mmap.mmap(-1, max(1, sum(map(len, parts))))
        self._copies.write(b"".join(parts))

    def restore(self) -> bool:
        """Restore changed instructions from the copies; return True if there were any."""
        restored, begin = False, 0
        for end in self._ends:
            restored |= _restore(self._copies[begin:end])
            begin = end
        return restored


def _copy(codes: Sequence[CodeType]) -> bytes:
    """Return, compressed, the addresses and sizes of functions, the mask of instructions, opcodes and arguments."""
    contents = [code._co_code_adaptive for code in codes]  # type: ignore[attr-defined]  # noqa: SLF001 - `co_code` would keep a copy
    sizes = [len(content) for content in contents]
    places = [(id(code) + CodeType.__basicsize__, size) for code, size in zip(codes, sizes, strict=True)]
    mask = b"".join(map(_mask, contents))
    return zlib.compress(marshal.dumps((places, mask, *_general(b"".join(contents), mask))), 1)


def _restore(compressed: bytes) -> bool:
    try:
        places, mask, *right = marshal.loads(zlib.decompress(compressed))  # noqa: S302 - made by this process
    except zlib.error:  # the copy has changed
        return False
    found = _general(b"".join([ctypes.string_at(address, size) for address, size in places]), mask)
    if found == tuple(right):
        return False
    addresses = [k for address, size in places for k in range(address, address + size, 2)]
    for address, unit, wanted in zip(addresses, zip(*found, strict=True), zip(*right, strict=True), strict=True):
        if unit != wanted:
            ctypes.memmove(address, bytes(wanted), 2)
    return True


def _mask(content: bytes) -> bytes:
    """Return all bits for each instruction of a function, 0 for each cache entry."""
    opcodes = content[::2]
    if _HAS_EMPTY_ENTRIES and not opcodes.translate(None, _GENERAL_OPCODES):  # six times as fast
        return opcodes.translate(_ALL_BITS)
    mask, place = bytearray(len(opcodes)), 0
    while place < len(opcodes):
        mask[place] = 255
        place += 1 + _ENTRIES[opcodes[place]]
    return bytes(mask)


def _general(content: bytes, mask: bytes) -> tuple[bytes, bytes]:
    """Return opcodes and arguments of the instructions as if none had been specialised."""
    opcodes, arguments = content[::2].translate(_GENERAL), content[1::2]
    bits = int.from_bytes(mask, "little")  # a bitwise operation on bytes of any length
    return (
        (int.from_bytes(opcodes, "little") & bits).to_bytes(len(mask), "little"),
        (int.from_bytes(arguments, "little") & bits).to_bytes(len(mask), "little"),
    )
