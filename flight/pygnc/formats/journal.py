"""Journal records with a CRC each, found again after any damage.

A journal file consists of records only: first a HEADER, then MESSAGE records, and a FOOTER if the file was closed
properly. A record has the fields `FIELDS`, the payload in MessagePack, and a CRC-32 (zlib) over everything between sync
and CRC.

The length is bounded and trusted only if the CRC is right, so a damaged length costs only its own record. The CRC also
corrects a single flipped bit, unless it is in the sync marker or the length. Other damage is taken for a flipped bit
with a probability of 1e-6 in a record of 500 bytes.
"""

import functools
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum, unique
from typing import Final, NamedTuple

from pygnc.formats.damage import Damage, DamageReason
from pygnc.formats.layout import Field, format_of, words_of

SYNC: Final = b"\xa5PGJ"
VERSION: Final = 1
PAYLOAD_MAX: Final = 16_384
_CRC: Final = struct.Struct("<I")
_POLYNOMIAL: Final = 0xEDB88320
"""Polynomial of CRC-32, bits in reverse order."""
_INVERTED: Final = 0xFFFFFFFF
_STRIDE: Final = 256
"""Step of `_differences` in bits."""


@unique
class Kind(IntEnum):
    """Kind of a record. A file begins with HEADER; it ends with FOOTER if it was closed properly."""

    HEADER = 1
    MESSAGE = 2
    FOOTER = 3


_KINDS: Final = frozenset(Kind)
FIELDS: Final = (
    Field("sync", "4s", "", "sync A5 50 47 4A", fixed=SYNC),
    Field("kind", "B", "", "kind of the record", words=words_of(Kind)),
    Field("version", "B", "", "version of this layout"),
    Field("payload_size", "H", "B", f"size of the payload, at most {PAYLOAD_MAX}"),
    Field("seq", "Q", "", "number of the message in its stream"),
)
"""Beginning of a record; the payload follows."""
_HEAD: Final = struct.Struct(format_of(FIELDS))
_OVERHEAD: Final = _HEAD.size + _CRC.size


class Record(NamedTuple):
    """A valid record; `offset` is the position of its first byte in the file."""

    kind: Kind
    seq: int
    payload: bytes
    offset: int


@dataclass(frozen=True, slots=True)
class JournalScan:
    """Result of scanning a part of a journal: undamaged records and damaged byte ranges.

    Attributes:
        consumed: Bytes processed; the rest may be the beginning of a record still being written.
    """

    records: list[Record]
    damage: list[Damage]
    consumed: int


def encode(kind: Kind, seq: int, payload: bytes) -> bytes:
    """Return the bytes of a record with this kind, sequence number and payload.

    Raises:
        ValueError: The payload is longer than PAYLOAD_MAX.
    """
    if len(payload) > PAYLOAD_MAX:
        raise ValueError(f"journal record {seq}: the payload must have at most {PAYLOAD_MAX} bytes, not {len(payload)}")
    body = _HEAD.pack(SYNC, kind, VERSION, len(payload), seq) + payload
    return body + _CRC.pack(zlib.crc32(memoryview(body)[len(SYNC) :]))


def encode_messages(first_seq: int, payloads: Iterable[bytes]) -> list[bytes]:
    """Return the bytes of MESSAGE records for each payload, numbered from `first_seq`."""
    return [encode(Kind.MESSAGE, first_seq + k, payload) for k, payload in enumerate(payloads)]


def scan(data: bytes, *, base_offset: int = 0, final: bool = True, limit: int | None = None) -> JournalScan:
    """Find all valid records in `data`.

    Args:
        data: A part of a journal file.
        base_offset: Offset of the first byte of `data` in the file.
        final: True if the file ends with `data`. An incomplete record at the end is then damage, otherwise it is not
            consumed.
        limit: Maximum number of records.
    """
    records: list[Record] = []
    damage: list[Damage] = []
    position = good_until = 0
    while limit is None or len(records) < limit:
        start = data.find(SYNC, position)
        if start < 0:
            # The last bytes may be the beginning of a sync marker, so they are kept for the next call.
            position = good_until if good_until + len(SYNC) > len(data) else max(good_until, len(data) - len(SYNC) + 1)
            break
        record = _record_at(data, start, base_offset)
        if record is None and not final and _may_be_unfinished(data, start):
            position = start
            break
        if record is None:
            position = start + 1
            continue
        _note_damage(damage, base_offset, good_until, start)
        records.append(record)
        position = good_until = start + _OVERHEAD + len(record.payload)
    if final and (limit is None or len(records) < limit):
        position = len(data)
    _note_damage(damage, base_offset, good_until, position)
    return JournalScan(records, damage, position)


def _record_at(data: bytes, start: int, base_offset: int) -> Record | None:
    if start + _OVERHEAD > len(data):
        return None
    length = int(_HEAD.unpack_from(data, start)[3])
    end = start + _OVERHEAD + length
    if length > PAYLOAD_MAX or end > len(data):
        return None
    body = data[start : end - _CRC.size]
    difference = zlib.crc32(memoryview(body)[len(SYNC) :]) ^ _CRC.unpack_from(data, end - _CRC.size)[0]
    if difference:
        bit = _flipped_bit(difference)
        if bit is None or bit >= 8 * (end - start - len(SYNC)):
            return None
        block = bytearray(data[start:end])
        block[-1 - bit // 8] ^= 0x80 >> bit % 8
        body = bytes(block[: -_CRC.size])
    _, kind, version, corrected, seq = _HEAD.unpack_from(body)
    if version != VERSION or kind not in _KINDS or corrected != length:
        return None
    return Record(Kind(kind), seq, body[_HEAD.size :], base_offset + start)


def _flipped_bit(difference: int) -> int | None:
    """Return which bit of a record has flipped, from its CRC and the one beside it; None if it is not a single bit.

    Bits are counted from the end. One that is a bit further from the end makes a difference that is one step of the
    CRC's shift register further.
    """
    for step in range(_STRIDE):
        if difference in _differences():
            return _differences()[difference] - step
        difference = difference >> 1 ^ (_POLYNOMIAL if difference & 1 else 0)
    return None


@functools.cache
def _differences() -> dict[int, int]:
    """Return the number of each `_STRIDE`-th bit of the longest record by the difference of the CRC that it makes."""
    found, difference = {}, 1 << 31
    for bit in range(0, 8 * (PAYLOAD_MAX + _OVERHEAD) + _STRIDE, _STRIDE):
        found[difference] = bit
        difference = zlib.crc32(bytes(_STRIDE // 8), difference ^ _INVERTED) ^ _INVERTED
    return found


def _may_be_unfinished(data: bytes, start: int) -> bool:
    if start + _HEAD.size > len(data):
        return True
    length = int(_HEAD.unpack_from(data, start)[3])
    return length <= PAYLOAD_MAX and start + _OVERHEAD + length > len(data)


def _note_damage(damage: list[Damage], base_offset: int, start: int, stop: int) -> None:
    if stop > start:
        damage.append(Damage(base_offset + start, base_offset + stop, DamageReason.CONTENT))
