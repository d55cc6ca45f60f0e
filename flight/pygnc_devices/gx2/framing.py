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
from functools import partial
from typing import Final

from pygnc_devices.framing import Damage, DamageReason, Frame, Scan, Scanner, scan_by
from pygnc_devices.gx2.packets import LONGEST_FRAME, OVERHEAD_BYTES, PACKET_OF_BYTE, can_be

_HEADER: Final = re.compile(b"[" + b"".join(re.escape(bytes([octet])) for octet in sorted(PACKET_OF_BYTE)) + b"]")
_LENGTHS: Final = {octet: packet.layout.size + OVERHEAD_BYTES for octet, packet in PACKET_OF_BYTE.items()}


def checksum(octets: bytes) -> bytes:
    """Return the 16-bit sum of the bytes, big-endian, as at the end of a frame."""
    return (sum(octets) & 0xFFFF).to_bytes(2, "big")


def make_frame(kind: str, payload: bytes) -> bytes:
    """Return the packet of a unit; `kind` is the command byte in hexadecimal."""
    body = bytes.fromhex(kind) + payload
    return body + checksum(body)


def scan(octets: bytes, stalled: bool = False) -> Scan:  # noqa: FBT001, FBT002 - the signature of every scanner
    """Find the packets of a buffer. After damage the search continues one byte further on."""
    return scan_by(_find, octets, stalled=stalled)


def _find(octets: bytes, at: int, stalled: bool) -> Frame | Damage | None:  # noqa: FBT001 - see `scan_by`
    match = _HEADER.search(octets, at)
    begin = len(octets) if match is None else match.start()
    if begin > at:
        return Damage(at, begin, DamageReason.NOISE)
    end = at + _LENGTHS[octets[at]]
    if end > len(octets):
        return Damage(at, at + 1, DamageReason.CUT) if stalled else None
    reason = _judge(octets[at:end])
    if reason is not None:
        return Damage(at, at + 1, reason)
    return Frame(f"{octets[at]:02X}", octets[at + 1 : end - 2], octets[at:end], at)


def _judge(raw: bytes) -> DamageReason | None:
    if checksum(raw[:-2]) != raw[-2:]:
        return DamageReason.CHECKSUM
    return None if can_be(PACKET_OF_BYTE[raw[0]], raw[1:-2]) else DamageReason.CONTENT


ACK: Final = "ACK"
NACK: Final = "NACK"
NODE_IS_THERE: Final = "02"
_BEGIN: Final = b"\xaa\x07\x00"
_SINGLES: Final = {0xAA: ACK, 0x21: NACK, 0x02: NODE_IS_THERE}
"""Responses of one byte, without a checksum: they are accepted only before a packet or at the end of the buffer."""
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
    find = partial(_find_wrapped, node)

    def scan(octets: bytes, stalled: bool = False) -> Scan:  # noqa: FBT001, FBT002 - the signature of every scanner
        return scan_by(find, octets, stalled=stalled)

    return scan


def _find_wrapped(node: int, octets: bytes, at: int, stalled: bool) -> Frame | Damage | None:  # noqa: FBT001 - see `scan_by`
    size = len(octets)
    begin = octets.find(_BEGIN, at)
    is_acknowledged = begin > at and octets[begin - 1] in _SINGLES
    noise_ends = begin - is_acknowledged if begin >= 0 else size - _waiting(octets[at:])
    if noise_ends > at:
        return Damage(at, noise_ends, DamageReason.NOISE)
    if at != begin:
        if begin < 0 and not stalled:
            return None
        if begin > at or (at == size - 1 and octets[at] in _SINGLES):
            return Frame(_SINGLES[octets[at]], b"", octets[at : at + 1], at)
        return Damage(at, at + 1, DamageReason.NOISE)
    outcome = _judge_wrapped(octets[at:])
    if not isinstance(outcome, int):
        return None if outcome is None and not stalled else Damage(at, at + 1, outcome or DamageReason.CUT)
    raw = octets[at : at + outcome]
    kind, origin = f"{raw[7]:02X}", int.from_bytes(raw[3:5], "big")
    return Frame(kind if origin == node else f"{kind}@{origin}", raw[8:-_TRAILER_BYTES], raw, at)


def _waiting(octets: bytes) -> int:
    """Return the number of bytes at the end that may begin a response of one byte, a wrapped packet, or both."""
    begun = next((count for count in (2, 1) if octets.endswith(_BEGIN[:count])), 0)
    before = octets[-begun - 1 : len(octets) - begun]
    return begun + bool(before and before[0] in _SINGLES)


def _judge_wrapped(octets: bytes) -> int | DamageReason | None:
    """Return the length of the packet at the head, or its damage; None if the packet is incomplete."""
    if len(octets) <= _HEADER_BYTES:
        return None
    packet = PACKET_OF_BYTE.get(octets[7])
    if packet is None or octets[5] != packet.layout.size + 2 or octets[6] != 0:
        return DamageReason.CONTENT
    end = 6 + octets[5] + _TRAILER_BYTES
    if len(octets) < end:
        return None
    if checksum(octets[1 : end - 4]) != octets[end - 2 : end]:
        return DamageReason.CHECKSUM
    return end if can_be(packet, octets[8 : end - 4]) else DamageReason.CONTENT
