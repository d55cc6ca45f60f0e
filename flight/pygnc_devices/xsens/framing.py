"""Xbus messages: FA FF, message, length, data, checksum; an MTData2 message contains items.

A length of 255 precedes a length of two bytes. All bytes but the first add up to 0 modulo 256. An item has an
identifier of two bytes, the length of its data, and the data; numbers are big-endian. Source: MT Low Level
Communication Protocol (MT0101P) of Xsens.
"""

import re
import struct
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, TypeAlias

from pygnc_devices.framing import DamageReason, Frame, FrameFormat

if TYPE_CHECKING:
    from pygnc_devices.series import Mask, Rows

Header: TypeAlias = tuple[int, int]
"""Identifier of an item, and the length of its data."""
START: Final = b"\xfa\xff"
MTDATA2: Final = "36"
LONGEST_DATA: Final = 2048
HEADER_BYTES: Final = 4
OVERHEAD_BYTES: Final = 5
_EXTENDED: Final = 0xFF
_EXTENSION_BYTES: Final = 2
LONGEST_FRAME: Final = OVERHEAD_BYTES + _EXTENSION_BYTES + LONGEST_DATA
_ITEM_HEADER: Final = struct.Struct(">HB")
ITEM_HEADER_BYTES: Final = _ITEM_HEADER.size


def make_frame(kind: str, data: bytes = b"") -> bytes:
    """Return a message; `kind` is its number in hexadecimal."""
    length = bytes([len(data)]) if len(data) < _EXTENDED else struct.pack(">BH", _EXTENDED, len(data))
    body = START[1:] + bytes.fromhex(kind) + length + data
    return START[:1] + body + bytes([-sum(body) & 0xFF])


def make_item(identifier: int, data: bytes) -> bytes:
    """Return an item of an MTData2 message."""
    return _ITEM_HEADER.pack(identifier, len(data)) + data


def make_data(items: Iterable[tuple[int, bytes]]) -> bytes:
    """Return an MTData2 message of items, each an identifier and its data."""
    return make_frame(MTDATA2, b"".join(make_item(*item) for item in items))


def item_headers(payload: bytes) -> tuple[Header, ...]:
    """Return the headers of the items; the scanner has checked the lengths."""
    headers, at = [], 0
    while at < len(payload):
        header = _ITEM_HEADER.unpack_from(payload, at)
        headers.append(header)
        at += ITEM_HEADER_BYTES + header[1]
    return tuple(headers)


def fixed_bytes(frame: Frame) -> list[int]:
    """Return the offsets of the headers in an MTData2 message."""
    at = payload_start(frame)
    fixed = list(range(at))
    for _, length in item_headers(frame.payload):
        fixed += range(at, at + ITEM_HEADER_BYTES)
        at += ITEM_HEADER_BYTES + length
    return fixed


def payload_start(frame: Frame) -> int:
    """Return the offset of the data in a message."""
    return len(frame.raw) - len(frame.payload) - 1


def are_intact(rows: "Rows") -> "Mask":
    """Return True for each message whose checksum is right, see `Series`."""
    intact: Mask = rows[:, 1:].sum(axis=1) % 256 == 0
    return intact


def _frame_at(octets: bytes, at: int, stalled: bool) -> Frame | DamageReason | None:  # noqa: ARG001, FBT001 - see `FrameFormat`
    begin = at + HEADER_BYTES
    length = octets[begin - 1] if len(octets) >= begin else 0
    if length == _EXTENDED:
        begin += _EXTENSION_BYTES
        length = int.from_bytes(octets[begin - _EXTENSION_BYTES : begin], "big")
        if len(octets) >= begin and length > LONGEST_DATA:
            return DamageReason.CONTENT
    end = begin + length + 1
    if end > len(octets):
        return None
    if sum(octets[at + 1 : end]) & 0xFF:
        return DamageReason.CHECKSUM
    kind, payload = f"{octets[at + 2]:02X}", octets[begin : end - 1]
    if kind == MTDATA2 and not _has_whole_items(payload):
        return DamageReason.CONTENT
    return Frame(kind, payload, octets[at:end], at)


scan: Final = FrameFormat(re.compile(rb"\xfa(?:\xff|\Z)"), _frame_at).scan


def _has_whole_items(payload: bytes) -> bool:
    at, size = 0, len(payload)
    while at + 2 < size:
        at += ITEM_HEADER_BYTES + payload[at + 2]
    return at == size > 0
