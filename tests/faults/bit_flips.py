"""Flips of single bits: in the fields of a Python object, in files, and in the memory of a process."""

import ctypes
import functools
import gc
import os
import random
import re
import struct
import sys
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Final, NamedTuple

import msgspec
import numpy as np

from pygnc.tasks.instructions import _mask
from pygnc.tasks.seal import Constants

PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
_PRESENT: Final = 1 << 63
"""Bit of an entry of /proc/PID/pagemap that marks a page as present in memory."""
_MAPPING: Final = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (\S{4}) \S+ \S+ \d+ *(.*)")
_FLAT: Final = (bool, int, float, str, bytes)


class Field(NamedTuple):
    """Value with a function that replaces it in the object that contains it."""

    path: str
    value: object
    replace: Callable[[object], None]


def fields(value: object, path: str, replace: Callable[[object], None], seen: set[int]) -> Iterator[Field]:
    """Yield the numbers, texts and arrays that are reachable from `value` through objects of the project."""
    if isinstance(value, _FLAT) or (isinstance(value, np.ndarray) and value.size):
        yield Field(path, value, replace)
        return
    if id(value) in seen:
        return
    seen.add(id(value))
    for name, part, put in _parts(value, replace):
        yield from fields(part, f"{path}.{name}", put, seen)


def _parts(
    value: object, replace: Callable[[object], None]
) -> Iterator[tuple[object, object, Callable[[object], None]]]:
    """Yield name, value and replacement of what an object contains."""
    if isinstance(value, dict):
        yield from ((name, part, partial(value.__setitem__, name)) for name, part in [*value.items()])
    elif isinstance(value, list | deque):
        yield from ((k, part, partial(value.__setitem__, k)) for k, part in enumerate([*value]))
    elif isinstance(value, tuple):
        yield from ((k, part, partial(_replace_in_tuple, value, k, replace)) for k, part in enumerate(value))
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield name, getattr(value, name), partial(msgspec.structs.force_setattr, value, name)
    elif isinstance(value, functools._lru_cache_wrapper):
        # The arrays of a cache can be changed in place only.
        kept = [part for part in gc.get_referents(value) if isinstance(part, dict) and "__wrapped__" not in part]
        yield from ((k, part, ignore) for k, part in enumerate(kept))
    elif type(value).__module__.startswith("pygnc"):
        slots = [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())]
        for name in [*getattr(value, "__dict__", ()), *slots]:
            if hasattr(value, name):
                yield name, getattr(value, name), partial(object.__setattr__, value, name)


def _replace_in_tuple(value: tuple[object, ...], k: int, replace: Callable[[object], None], part: object) -> None:
    parts = [*value[:k], part, *value[k + 1 :]]
    make = getattr(type(value), "_make", tuple)
    replace(make(parts))


def ignore(_: object) -> None:
    """Replace nothing, because the root has no place of its own."""


def constants(modules: dict[str, ModuleType]) -> Iterator[Field]:
    """Yield the constants of the project's modules, and the numbers, texts and names in the code of their functions."""
    seen: set[int] = set()
    for module_name, module in sorted(modules.items()):
        if module_name.startswith("pygnc."):
            for name, value in sorted(vars(module).items()):
                if isinstance(value, FunctionType) and value.__module__ == module_name:
                    code = value.__code__.co_consts, value.__code__.co_names
                    yield from fields(code, f"{module_name}.{name}", ignore, seen)
                elif not name.startswith("__"):
                    yield from fields(value, f"{module_name}.{name}", partial(setattr, module, name), seen)


def flip_constant(field: Field, dice: random.Random) -> str:
    """Flip a bit of a constant; of a number or text in the memory of its object, which is that of each of its uses."""
    if isinstance(field.value, int | float):
        bit = dice.randrange(64 if isinstance(field.value, float) else 30)
        at = id(field.value) + object.__basicsize__ + (8 if isinstance(field.value, int) else 0)
        ctypes.c_uint8.from_address(at + bit // 8).value ^= 1 << bit % 8
        return f"{field.path} bit {bit} in memory"
    if type(field.value) is str and field.value and field.value.isascii():
        bit = dice.randrange(7 * len(field.value))
        at = id(field.value) + sys.getsizeof("") - 1
        ctypes.c_uint8.from_address(at + bit // 7).value ^= 1 << bit % 7
        return f"{field.path} bit {bit} in memory"
    return flip_field(field, dice)


def flip_instruction(modules: dict[str, ModuleType], dice: random.Random) -> str:
    """Flip a bit of an instruction, not of a cache entry, of a function of the project that has often run."""
    names = [name for name in modules if name.startswith("pygnc.")]
    code = dice.choice([code for code in Constants(names).codes if code.co_code != code._co_code_adaptive])  # type: ignore[attr-defined]
    place = dice.choice([k for k in range(0, len(code.co_code), 2) if code.co_code[k]])
    bit = dice.randrange(16)
    ctypes.c_uint8.from_address(id(code) + CodeType.__basicsize__ + place + bit // 8).value ^= 1 << bit % 8
    return f"{Path(code.co_filename).name} {code.co_qualname} instruction {place // 2} bit {bit}"


def choose(found: Iterator[Field], dice: random.Random) -> Field:
    """Return a random field: at each level of the tree of names, each name has the same chance."""
    left, prefix = [*found], ""
    while len(left) > 1:
        names = sorted({field.path[len(prefix) :].partition(".")[0] for field in left})
        prefix += dice.choice(names) + "."
        left = [field for field in left if f"{field.path}.".startswith(prefix)]
    return left[0]


def flip_field(field: Field, dice: random.Random, bit_of_array: int | None = None) -> str:
    """Flip a bit of a field, of an array a random bit or bit `bit_of_array` of an element; return a description."""
    value, changed = field.value, field.value
    if isinstance(value, np.ndarray):
        k = dice.randrange(value.size)
        address = value.ctypes.data + sum(
            i * step for i, step in zip(np.unravel_index(k, value.shape), value.strides, strict=True)
        )
        bit = dice.randrange(8 * value.itemsize) if bit_of_array is None else bit_of_array
        ctypes.c_uint8.from_address(int(address) + bit // 8).value ^= 1 << bit % 8
        return f"{field.path}[{k}] bit {bit}"
    if isinstance(value, bool):
        bit, changed = 0, not value
    elif isinstance(value, int):
        bit = dice.randrange(max(30, value.bit_length()))
        changed = value ^ (1 << bit)
    elif isinstance(value, float):
        bit = dice.randrange(64)
        (octets,) = struct.unpack("<Q", struct.pack("<d", value))
        (changed,) = struct.unpack("<d", struct.pack("<Q", octets ^ (1 << bit)))
    elif isinstance(value, str | bytes):
        bit = dice.randrange(max(1, 7 * len(value)))
        octets = bytearray(value if isinstance(value, bytes) else value.encode("latin-1", "replace"))
        if octets:
            octets[bit // 7] ^= 1 << bit % 7
        changed = bytes(octets) if isinstance(value, bytes) else octets.decode("latin-1")
    field.replace(changed)
    return f"{field.path} bit {bit}"


def flip_in_file(path: Path, dice: random.Random) -> str:
    """Flip a bit of a file; return a description."""
    content = bytearray(path.read_bytes())
    bit = dice.randrange(8 * len(content))
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)
    return f"{path.name} byte {bit // 8} bit {bit % 8}"


def writable_pages(pid: int) -> list[int]:
    """Return the addresses of all writable pages of a process that are in memory."""
    pages: list[int] = []
    maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
    with Path(f"/proc/{pid}/pagemap").open("rb") as pagemap:
        for match in filter(None, map(_MAPPING.fullmatch, maps)):
            begin, end = int(match[1], 16), int(match[2], 16)
            if "w" in match[3] and not match[4].startswith("[v"):
                pagemap.seek(begin // PAGE_BYTES * 8)
                entries = np.frombuffer(pagemap.read((end - begin) // PAGE_BYTES * 8), np.uint64)
                pages += (begin + PAGE_BYTES * np.flatnonzero(entries & np.uint64(_PRESENT))).tolist()
    return pages


def flip_in_memory(pid: int, pages: list[int], dice: random.Random) -> str:
    """Flip a bit of a random page of a process; return a description."""
    address = dice.choice(pages) + dice.randrange(PAGE_BYTES)
    bit = dice.randrange(8)
    with Path(f"/proc/{pid}/mem").open("r+b", buffering=0) as memory:
        memory.seek(address)
        octet = memory.read(1)[0] ^ (1 << bit)
        memory.seek(address)
        memory.write(bytes([octet]))
    return f"{address:#x} bit {bit}"


def flip_in_code(pid: int, code: CodeType, place: int, bit: int) -> None:
    """Flip a bit of the instruction at offset `place` of a function in the memory of a running process.

    The function is found by the arguments of its instructions: the interpreter replaces opcodes while it runs.
    """
    mask = _mask(code._co_code_adaptive)  # type: ignore[attr-defined]
    units = zip(code.co_code[1::2], mask, strict=True)
    pattern = re.compile(
        b"".join(b"." + re.escape(bytes([argument])) if used else b".." for argument, used in units), re.DOTALL
    )
    found = []
    with Path(f"/proc/{pid}/mem").open("r+b", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            match = _MAPPING.fullmatch(line)
            if match and match[3] == "rw-p":
                begin, end = int(match[1], 16), int(match[2], 16)
                memory.seek(begin)
                found += [begin + each.start() for each in pattern.finditer(memory.read(end - begin))]
        (address,) = found
        memory.seek(address + place + bit // 8)
        octet = memory.read(1)[0]
        memory.seek(address + place + bit // 8)
        memory.write(bytes([octet ^ 1 << bit % 8]))
