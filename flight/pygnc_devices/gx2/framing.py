"""Frames of the single-byte protocol, and their wireless wrapper (ASPP) between a base station and its nodes.

A packet is the command byte, a payload whose length depends on the command, and the 16-bit sum of all bytes before it.
One byte and a sum protect little: payloads are full of bytes that could begin a packet. The scanner does not search
inside an intact frame; after damage, a candidate needs the right sum and values that a unit can send.

A wrapped command is AA 0B 00, node, length, 00, command, sum of all but the first byte. The base station sends AA if
it accepts the command, 21 if not. A wrapped packet is AA 07 00, node, length, 00, command, data, LQI, RSSI, sum of all
but the first byte, LQI and RSSI. The length counts from the 00 to the end of the data, which has no sum of its own.

Sources: MicroStrain Data Communications Protocol 1.19; a recorded packet in tests/pygnc_devices/gx2/test_framing.py.
"""

import re
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from pygnc_devices.declaration import Packet
from pygnc_devices.framing import DamageReason, Frame, FrameFormat, Scanner
from pygnc_devices.gx2.packets import LARGEST_FLOAT, LONGEST_FRAME, OVERHEAD_BYTES, PACKET_OF_BYTE, can_be, floats_of

if TYPE_CHECKING:
    from pygnc_devices.series import Mask, Rows

_HEADER: Final = re.compile(b"[" + b"".join(re.escape(bytes([octet])) for octet in sorted(PACKET_OF_BYTE)) + b"]")
_LENGTHS: Final = {octet: packet.layout.size + OVERHEAD_BYTES for octet, packet in PACKET_OF_BYTE.items()}


def checksum(octets: bytes) -> bytes:
    """Return the 16-bit sum of the bytes, big-endian, as at the end of a frame."""
    return (sum(octets) & 0xFFFF).to_bytes(2, "big")


def make_frame(kind: str, payload: bytes) -> bytes:
    """Return the packet of a unit; `kind` is the command byte in hexadecimal."""
    body = bytes.fromhex(kind) + payload
    return body + checksum(body)


def _frame_at(octets: bytes, at: int, stalled: bool) -> Frame | DamageReason | None:  # noqa: ARG001, FBT001 - see `FrameFormat`
    raw = octets[at : at + _LENGTHS[octets[at]]]
    if len(raw) < _LENGTHS[octets[at]]:
        return None
    if checksum(raw[:-2]) != raw[-2:]:
        return DamageReason.CHECKSUM
    if not can_be(PACKET_OF_BYTE[raw[0]], raw[1:-2]):
        return DamageReason.CONTENT
    return Frame(f"{raw[0]:02X}", raw[1:-2], raw, at)


scan: Final = FrameFormat(_HEADER, _frame_at).scan


def check_of(packet: Packet) -> "Callable[[Rows], Mask]":
    """Return the check of frames of a packet whose only implausible values are floats, see `Series`."""
    end = 1 + floats_of(packet).size

    def are_intact(rows: "Rows") -> "Mask":
        stated = rows[:, -2] * 256.0 + rows[:, -1]
        too_large = abs(rows[:, 1:end].copy().view(">f4")) > LARGEST_FLOAT
        intact: Mask = (rows[:, :-2].sum(axis=1) % 65536 == stated) & ~too_large.any(axis=1)
        return intact

    return are_intact


ACK: Final = "ACK"
NACK: Final = "NACK"
NODE_IS_THERE: Final = "02"
_BEGIN: Final = b"\xaa\x07\x00"
_SINGLES: Final = {0xAA: ACK, 0x21: NACK, 0x02: NODE_IS_THERE}
"""Responses of one byte, without a checksum: they are accepted only before a packet or at the end of the buffer."""
_WRAPPED: Final = re.compile(rb"[\xaa\x21\x02]?\xaa(?:\x07\x00|\x07\Z|\Z)|[\xaa\x21\x02]\Z")
_HEADER_BYTES: Final = 7
_TRAILER_BYTES: Final = 4
LONGEST_WRAPPED: Final = LONGEST_FRAME - OVERHEAD_BYTES + 1 + _HEADER_BYTES + _TRAILER_BYTES


def wrap(node: int, command: bytes) -> bytes:
    """Return a command for a node, wrapped for the base station."""
    body = b"\x0b\x00" + node.to_bytes(2, "big") + bytes([len(command) + 1, 0]) + command
    return b"\xaa" + body + checksum(body)


def link_quality(raw: bytes) -> tuple[int, int]:
    """Return link quality (LQI) and signal strength (RSSI) of a wrapped packet, as reported by the base station."""
    return raw[-4], raw[-3]


def scanner(node: int) -> Scanner:
    """Return a scanner for the packets of a node; packets of other nodes get a kind with their node (`C2@95`)."""
    return FrameFormat(_WRAPPED, partial(_wrapped_at, node)).scan


def _wrapped_at(node: int, octets: bytes, at: int, stalled: bool) -> Frame | DamageReason | None:  # noqa: FBT001 - see `FrameFormat`
    if not octets.startswith(_BEGIN, at):
        is_whole = octets.startswith(_BEGIN, at + 1) or (stalled and at == len(octets) - 1)
        return Frame(_SINGLES[octets[at]], b"", octets[at : at + 1], at) if is_whole else None
    if len(octets) - at <= _HEADER_BYTES:
        return None
    packet = PACKET_OF_BYTE.get(octets[at + 7])
    if packet is None or octets[at + 5] != packet.layout.size + 2 or octets[at + 6] != 0:
        return DamageReason.CONTENT
    raw = octets[at : at + 6 + octets[at + 5] + _TRAILER_BYTES]
    if len(raw) < 6 + raw[5] + _TRAILER_BYTES:
        return None
    if checksum(raw[1:-4]) != raw[-2:]:
        return DamageReason.CHECKSUM
    kind, origin = f"{raw[7]:02X}", int.from_bytes(raw[3:5], "big")
    frame = Frame(kind if origin == node else f"{kind}@{origin}", raw[8:-4], raw, at)
    return frame if can_be(packet, frame.payload) else DamageReason.CONTENT
