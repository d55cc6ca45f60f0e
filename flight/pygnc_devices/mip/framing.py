"""MIP packets: 75 65, descriptor set, length, fields, checksum. A field: length, descriptor, data.

The length of a field counts its own two bytes of header. The checksum is Fletcher's, modulo 256, over all bytes before
it; numbers are big-endian. Source: MIP SDK of MicroStrain (`mip_packet`, `mip_field`).
"""

import re
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Final

from pygnc_devices.framing import DamageReason, Frame, FrameFormat, fletcher16
from pygnc_devices.series import fletcher_rows

PREAMBLE: Final = b"\x75\x65"
HEADER_BYTES: Final = 4
OVERHEAD_BYTES: Final = 6
LONGEST_FRAME: Final = OVERHEAD_BYTES + 255
FIELD_HEADER_BYTES: Final = 2


def make_field(descriptor: int, data: bytes = b"") -> bytes:
    """Return a field."""
    return bytes([len(data) + FIELD_HEADER_BYTES, descriptor]) + data


def make_frame(kind: str, payload: bytes) -> bytes:
    """Return the packet of fields; `kind` is the descriptor set in hexadecimal."""
    body = PREAMBLE + bytes.fromhex(kind) + bytes([len(payload)]) + payload
    return body + fletcher16(body)


def make_packet(descriptor_set: int, fields: Iterable[tuple[int, bytes]]) -> bytes:
    """Return the packet of fields, each a descriptor and its data."""
    return make_frame(f"{descriptor_set:02X}", b"".join(make_field(*field) for field in fields))


def field_headers(payload: bytes) -> tuple[tuple[int, int], ...]:
    """Return descriptor and length of the data of each field; the scanner has checked the lengths."""
    headers, at = [], 0
    while at < len(payload):
        headers.append((payload[at + 1], payload[at] - FIELD_HEADER_BYTES))
        at += payload[at]
    return tuple(headers)


def fixed_bytes(frame: Frame) -> list[int]:
    """Return the offsets of the headers in a packet."""
    fixed, at = list(range(HEADER_BYTES)), HEADER_BYTES
    for _, length in field_headers(frame.payload):
        fixed += (at, at + 1)
        at += FIELD_HEADER_BYTES + length
    return fixed


def split_fields(payload: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield descriptor and data of each field."""
    at = 0
    for descriptor, length in field_headers(payload):
        at += FIELD_HEADER_BYTES + length
        yield descriptor, payload[at - length : at]


def _frame_at(octets: bytes, at: int, stalled: bool) -> Frame | DamageReason | None:  # noqa: ARG001, FBT001 - see `FrameFormat`
    if len(octets) - at < HEADER_BYTES:
        return None
    end = at + OVERHEAD_BYTES + octets[at + 3]
    if end > len(octets):
        return None
    if fletcher16(octets[at : end - 2]) != octets[end - 2 : end]:
        return DamageReason.CHECKSUM
    payload = octets[at + HEADER_BYTES : end - 2]
    if not _has_whole_fields(payload):
        return DamageReason.CONTENT
    return Frame(f"{octets[at + 2]:02X}", payload, octets[at:end], at)


are_intact: Final = partial(fletcher_rows, first=0)
"""Check of packets with equal headers, see `Series`."""
scan: Final = FrameFormat(re.compile(rb"\x75(?:\x65|\Z)"), _frame_at).scan


def _has_whole_fields(payload: bytes) -> bool:
    at, size = 0, len(payload)
    while at < size and payload[at] >= FIELD_HEADER_BYTES:
        at += payload[at]
    return at == size > 0
