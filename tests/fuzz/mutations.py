"""Mutations that know the structure of an input: records, fields, lines and check sums.

A mutator is a function of the input and of a random generator, so that each result can be repeated by its seed.
"""

import base64
import math
import random
import re
import struct
import zlib
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

Mutate = Callable[[bytes, random.Random], bytes]
Fields = Sequence[tuple[int, str]]
"""Offset and struct code, with byte order, of each field of a record."""
OCTETS = [(k, "<B") for k in range(64)]
"""Fields of a record without a fixed form."""

NUMBERS = (0, 1, -1, 127, 128, 255, 256, 32767, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1)
REALS = (0.0, -0.0, 1.0, -1.0, 5e-324, 1e-30, 1e7, 1e30, 3.4e38, 1.7e308, float("inf"), float("-inf"), float("nan"))
LITERALS = (
    *map(repr, (*NUMBERS, *REALS)),
    *("10" * 2500, "1e999", "0x1F", "1_000", "+1", "true", '""', '"x"', '"\\ud800"', '"\\u0000"', "'''", "\t"),
    *("[]", "[[]]", "{}", "[" * 300, "{a=" * 200, "[1.0, nan, 2.0]", "[[0, 0, 0], [0, 0, 0], [0, 0, 0]]"),
    *("1979-05-27", "07:32:00"),
)
_SENTENCE = re.compile(
    rb"([<>][A-Z]{4},[0-9A-F]{4},[A-Za-z][0-9A-F]{4},)"
    rb"((?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?)\*[0-9A-F]{8}\r\n"
)


def fields_of(layout: np.dtype[Any], base: int = 0) -> list[tuple[int, str]]:
    """Offset and struct code of every number in a NumPy record."""
    if layout.subdtype is not None:
        item, shape = layout.subdtype
        count = int(np.prod(shape))
        return [entry for k in range(count) for entry in fields_of(item, base + k * item.itemsize)]
    if layout.names is None:
        return [(base, f"{'>' if layout.byteorder == '>' else '<'}{layout.char}")]
    parts = [(layout[name], base + layout.fields[name][1]) for name in layout.names if layout.fields is not None]
    return [entry for part, start in parts for entry in fields_of(part, start)]


def struct_fields(codes: Sequence[str]) -> list[tuple[int, str]]:
    """Offset and struct code of every field of a little-endian record without padding."""
    return [(struct.calcsize("<" + "".join(codes[:k])), f"<{code}") for k, code in enumerate(codes)]


def _value(code: str, old: bytes, dice: random.Random) -> bytes:
    """A new value of a field: an extreme one, one beside the old, or random bytes."""
    size = len(old)
    order: Literal["big", "little"] = "big" if code[0] == ">" else "little"
    if code[1:] in {"f", "d"} and dice.randrange(2):
        real = dice.choice(REALS)
        # struct.pack refuses numbers that a float cannot hold; their sign and their upper bytes are as extreme.
        return struct.pack(f"{code[0]}d", real)[:size] if 3.5e38 < abs(real) < math.inf else struct.pack(code, real)
    beside = int.from_bytes(old, order) + dice.choice([-86_400, -60, -5, -1, 1, 5, 60, 86_400])
    number = dice.choice([dice.choice(NUMBERS), beside, dice.getrandbits(8 * size)])
    return (number % (1 << 8 * size)).to_bytes(size, order)


def set_field(data: bytes, dice: random.Random, fields: Fields, size: int) -> bytes:
    """Change one field of one record of `size` bytes."""
    offset, code = dice.choice(fields)
    place = dice.randrange(max(1, len(data) // size)) * size + offset
    old = data[place : place + struct.calcsize(code)]
    return data[:place] + _value(code, old, dice) + data[place + len(old) :] if old else data


def splice(data: bytes, dice: random.Random, size: int) -> bytes:
    """Remove, repeat, move or insert bytes: whole records of `size` bytes or any number."""
    unit = dice.choice([1, size])
    count = len(data) // unit + 1
    start = dice.randrange(count) * unit
    stop = start + dice.randrange(1, 1 + dice.choice([1, 2, 8, 40])) * unit
    piece, rest = data[start:stop], data[:start] + data[stop:]
    to = dice.randrange(count) * unit
    kind = dice.randrange(6)
    if kind == 0:
        return rest
    if kind == 1:
        return data[:to] + piece + data[to:]
    if kind == 2:
        return rest[:to] + piece + rest[to:]
    if kind == 3:
        return data[:to] + dice.randbytes(dice.randrange(1, 40)) + data[to:]
    if kind == 4:
        return data[:start]
    return data[:start] + bytes([dice.choice([0, 255, 0x4A, 0xAA, 13])]) * len(piece) + data[stop:]


def flip(data: bytes, dice: random.Random) -> bytes:
    """Flip one bit."""
    if not data:
        return data
    place = dice.randrange(len(data))
    return data[:place] + bytes([data[place] ^ 1 << dice.randrange(8)]) + data[place + 1 :]


def records(fields: Fields, size: int, seal: Callable[[bytes], bytes] | None = None) -> Mutate:
    """A mutator of records of `size` bytes; `seal` corrects the check sums in nine of ten cases."""

    def mutate(data: bytes, dice: random.Random) -> bytes:
        for _ in range(dice.choice([1, 1, 2, 4])):
            kind = dice.randrange(4)
            if kind < 2:
                data = set_field(data, dice, fields, size)
            else:
                data = splice(data, dice, size) if kind == 2 else flip(data, dice)
        return seal(data) if seal and dice.randrange(10) else data

    return mutate


def sealed_at_end(data: bytes) -> bytes:
    """Correct the CRC-32 in the last four bytes."""
    return data[:-4] + struct.pack("<I", zlib.crc32(data[:-4]))


def sentences(data: bytes, dice: random.Random) -> bytes:
    """Change, reorder, nest or damage sentences; the CRC-32 is right in most cases."""
    lines = data.splitlines(keepends=True) or [b""]
    for _ in range(dice.choice([1, 1, 2, 3])):
        at = dice.randrange(len(lines))
        kind = dice.randrange(7)
        form = _SENTENCE.fullmatch(lines[at])
        if kind < 3 and form:
            body = base64.b64decode(form[2])
            change: Mutate = dice.choice([flip, _grown, _cut])
            body = change(body, dice)
            head = form[1][:13] + b"%04X," % dice.randrange(1 << 16) if kind == 1 else form[1]
            text = head + base64.b64encode(body) + b"*"
            lines[at] = text + b"%08X\r\n" % zlib.crc32(text)
        elif kind == 3:
            other = dice.choice(lines)
            place = dice.randrange(len(lines[at]) + 1)
            lines[at] = lines[at][:place] + other + lines[at][place:]
        elif kind == 4:
            lines.insert(at, dice.choice(lines))
        elif kind == 5:
            lines[at] = lines[at][:-1] + dice.choice([b"\n", b"", b"\x00\xff", b"pi@pi:~$ ", b">", b"<"])
        else:
            lines[at] = splice(lines[at], dice, 4)
    return b"".join(lines)


def _cut(data: bytes, dice: random.Random) -> bytes:
    return data[: dice.randrange(len(data) + 1)]


def _grown(data: bytes, dice: random.Random) -> bytes:
    place = dice.randrange(len(data) + 1)
    return data[:place] + dice.randbytes(dice.choice([1, 2, 8, 300, 3100])) + data[place:]


def text(words: Sequence[bytes]) -> Mutate:
    """A mutator of lines of text; values and other `words` of the format replace or follow those that are there."""
    pieces = [*words, *(literal.encode() for literal in LITERALS)]

    def mutate(data: bytes, dice: random.Random) -> bytes:
        lines = data.split(b"\n")
        for _ in range(dice.choice([1, 1, 2, 4])):
            at = dice.randrange(len(lines))
            name, separator, value = lines[at].partition(b"=")
            kind = dice.randrange(8)
            if kind < 3 and separator:
                lines[at] = name + b"= " + dice.choice([dice.choice(pieces), splice(value, dice, 1)])
            elif kind == 3:
                lines[at] = splice(lines[at], dice, 4)
            elif kind == 4:
                lines.insert(at, dice.choice([dice.choice(lines), dice.choice(pieces)]))
            elif kind == 5 and len(lines) > 1:
                del lines[at]
            elif kind == 6:
                place = dice.randrange(len(lines[at]) + 1)
                lines[at] = lines[at][:place] + dice.choice(pieces) + lines[at][place:]
            else:
                lines[at] = flip(lines[at], dice)
        return b"\n".join(lines)

    return mutate
