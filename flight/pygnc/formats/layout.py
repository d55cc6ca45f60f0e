"""Declaration of binary layouts: fields in order, without padding.

Parsers and writers, the tables of the documentation, and the XTCE files and C headers of `pygnc describe` follow from
the declarations of records, packets and sentences, which consist of these fields.
"""

import math
import struct
from collections.abc import Iterable, Iterator
from enum import IntEnum, IntFlag
from typing import Final, NamedTuple, TypeAlias

XYZ: Final = ("x", "y", "z")
Words: TypeAlias = tuple[tuple[int, str], ...]
"""Words for numbers."""


class Field(NamedTuple):
    """Field of a layout.

    Attributes:
        name: Name; that of a quantity ends in its unit, except in packets of the host.
        code: Format character of the struct module, after ">" if the field is big-endian; "3s" are three bytes.
        unit: Unit of the quantity.
        meaning: Meaning, without the words of `words` and `flags`.
        since: Version of the layout that introduced the field.
        words: Word for each value of an enumeration.
        flags: Word for each bit of a set of flags, by its mask.
        parts: Suffixes of the names of several fields in order that this declares, such as the axes of a vector.
        scale: Quantity that one count stands for.
        curve: Pairs of counts and quantities between which the quantity is linear, for a field that has no scale.
        bits: Low bits of big-endian bytes that contain a two's complement number; 0 for other fields.
        fixed: Bytes that the field always contains.
        valid_if: Field and its least value with which this one is valid; None if it always is.
    """

    name: str
    code: str
    unit: str
    meaning: str
    since: int = 0
    words: Words = ()
    flags: Words = ()
    parts: tuple[str, ...] = ()
    scale: float = 1.0
    curve: tuple[tuple[int, float], ...] = ()
    bits: int = 0
    fixed: bytes = b""
    valid_if: tuple[str, int] | None = None

    @property
    def default(self) -> float:
        """Value of a field that is not given: NaN (unknown) for quantities, 0 for counters."""
        return math.nan if self.code in {"f", "d"} else 0

    @property
    def size(self) -> int:
        """Size in bytes of one part."""
        return struct.calcsize(self.code if self.code[0] == ">" else f"<{self.code}")

    def prefixed(self, prefix: str) -> "Field":
        """Return the field with a prefix of its name and of the field that its validity depends on."""
        condition = self.valid_if and (f"{prefix}{self.valid_if[0]}", self.valid_if[1])
        return self._replace(name=f"{prefix}{self.name}", valid_if=condition)


def valid_if(name: str, least: int, *fields: Field) -> tuple[Field, ...]:
    """Return fields that are valid if another field is at least `least`."""
    return tuple(field._replace(valid_if=(name, least)) for field in fields)


def words_of(kind: type[IntEnum] | type[IntFlag]) -> Words:
    """Return the words for the values of an enumeration, or for the masks of its flags."""
    return tuple((int(member), (member.name or "").lower().replace("_", " ")) for member in kind)


def scalars(fields: Iterable[Field]) -> Iterator[Field]:
    """Yield fields of one value each: the parts of those that have parts, and the others."""
    for field in fields:
        if not field.parts:
            yield field
        for part in field.parts:
            yield field._replace(name=f"{field.name}_{part}", meaning=f"{field.meaning}, {part}", parts=())


def size_of(fields: Iterable[Field]) -> int:
    """Return the size of a layout in bytes."""
    return sum(field.size for field in scalars(fields))


def format_of(fields: Iterable[Field]) -> str:
    """Return the format of little-endian fields for the struct module."""
    return "<" + "".join(field.code for field in fields)
