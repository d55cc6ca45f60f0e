"""The reply frame: command byte, payload of a length that the command fixes, sum of all bytes before it, 16 bits.

One byte and a sum are weak: payloads are full of bytes that could begin a reply. Within a good frame nobody looks for
another; where a frame was damaged, a candidate must have the right sum and values that a unit can send.
"""

import re
from typing import Final

from pygnc_devices.frames import Damage, DamageReason, Frame, Scan
from pygnc_devices.gx2.packets import OVERHEAD_BYTES, PACKET_OF_BYTE, can_be

_HEADER: Final = re.compile(b"[" + b"".join(re.escape(bytes([octet])) for octet in sorted(PACKET_OF_BYTE)) + b"]")
_LENGTHS: Final = {octet: packet.layout.size + OVERHEAD_BYTES for octet, packet in PACKET_OF_BYTE.items()}


def checksum(octets: bytes) -> bytes:
    """Return the sum of bytes as it stands behind them."""
    return (sum(octets) & 0xFFFF).to_bytes(2, "big")


def make_frame(kind: str, payload: bytes) -> bytes:
    """Return the reply to a command, `kind` in hexadecimal digits."""
    body = bytes.fromhex(kind) + payload
    return body + checksum(body)


def scan(octets: bytes, stalled: bool = False) -> Scan:  # noqa: FBT001, FBT002 - the signature of every scanner
    """Find the replies of a buffer; what is wrong costs one byte, behind which the search goes on."""
    frames: list[Frame] = []
    damage: list[Damage] = []
    at, size = 0, len(octets)
    while at < size:
        match = _HEADER.search(octets, at)
        begin = size if match is None else match.start()
        if begin > at:
            damage.append(Damage(at, begin, DamageReason.NOISE))
            at, stalled = begin, False
            continue
        end = at + _LENGTHS[octets[at]]
        if end > size and not stalled:
            break
        reason = DamageReason.CUT if end > size else _judge(octets[at:end])
        if reason is None:
            frames.append(Frame(f"{octets[at]:02X}", octets[at + 1 : end - 2], octets[at:end], at))
            at = end
        else:
            damage.append(Damage(at, at + 1, reason))
            at += 1
        stalled = False
    return Scan(tuple(frames), tuple(damage), at)


def _judge(raw: bytes) -> DamageReason | None:
    if checksum(raw[:-2]) != raw[-2:]:
        return DamageReason.CHECKSUM
    return None if can_be(PACKET_OF_BYTE[raw[0]], raw[1:-2]) else DamageReason.CONTENT
