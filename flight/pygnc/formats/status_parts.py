"""The status record in two parts, for a line on which the whole takes too long.

The first part is what a controller watches: the run, the time, orbit, attitude and the partners' places. The second is
the books: tasks, sources, what was used and what not. Parts of one record carry its generation.
"""

import struct
from typing import Final, NamedTuple

from pygnc.formats.status import FIELDS, MAGIC, SIZE, VERSION, StatusError, Value

_FIRST_OF_SECOND: Final = "task0_name"
_GENERATION_AT: Final = 8


class Place(NamedTuple):
    """Where a field stands in the record."""

    offset: int
    code: str


class Part(NamedTuple):
    """Some bytes of a record: from which one, how long that is, where they begin in it, and they themselves."""

    generation: int
    size: int
    offset: int
    octets: bytes


def _places() -> dict[str, Place]:
    places, offset = {}, 0
    for field in FIELDS:
        places[field.name] = Place(offset, field.code)
        offset += struct.calcsize("<" + field.code)
    return places


PLACES: Final = _places()
CUT: Final = PLACES[_FIRST_OF_SECOND].offset
"""Byte at which the second part begins."""
LARGEST: Final = max(CUT, SIZE - CUT)


def parts_of(record: bytes) -> tuple[Part, Part]:
    """Cut a record.

    Raises:
        StatusError: it is no status record, or one of a version that had no second part.
    """
    if record[: len(MAGIC)] != MAGIC or len(record) <= CUT:
        raise StatusError("this is no status record")
    (generation,) = struct.unpack_from("<I", record, _GENERATION_AT)
    size = len(record)
    return Part(generation, size, 0, record[:CUT]), Part(generation, size, CUT, record[CUT:])


def fields_in(offset: int, octets: bytes) -> dict[str, Value]:
    """Return the fields that stand wholly in some bytes of a record.

    Args:
        offset: where the bytes begin in the record.
        octets: the bytes.

    Raises:
        StatusError: it is the beginning of something else, or of another version.
    """
    if offset == 0 and (octets[: len(MAGIC)] != MAGIC or octets[len(MAGIC) : len(MAGIC) + 1] != bytes([VERSION])):
        raise StatusError(f"this is no beginning of a status record of version {VERSION}")
    found: dict[str, Value] = {}
    for name, place in PLACES.items():
        at = place.offset - offset
        if at >= 0 and at + struct.calcsize("<" + place.code) <= len(octets):
            (found[name],) = struct.unpack_from("<" + place.code, octets, at)
    return found
