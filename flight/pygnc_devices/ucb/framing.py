"""UCB frames: 55 55, type (2 characters), length, payload, CRC-16.

The CRC is CRC-16/SPI-FUJITSU (polynomial 0x1021, initial value 0x1D0F, not reflected), big-endian, over type, length
and payload. DMU380ZA manual 7430-3810, whose "initial 0xFFFF" is the same register before 16 zero bits.
"""

import binascii
from typing import Final

from pygnc_devices.framing import Damage, DamageReason, Frame, Scan
from pygnc_devices.ucb.packets import OVERHEAD_BYTES

PREAMBLE: Final = b"\x55\x55"
HEADER_BYTES: Final = 5
LONGEST_PAYLOAD: Final = 255
LONGEST_FRAME: Final = OVERHEAD_BYTES + LONGEST_PAYLOAD
CRC_INITIAL: Final = 0x1D0F


def crc16(body: bytes) -> int:
    """Return the CRC over type, length and payload."""
    return binascii.crc_hqx(body, CRC_INITIAL)


def make_frame(kind: str, payload: bytes = b"") -> bytes:
    """Return the frame of a packet; `kind` is its type.

    Raises:
        ValueError: the type does not have two characters, or the payload is longer than 255 bytes.
    """
    octets = kind.encode("latin-1")
    if len(octets) != 2 or len(payload) > LONGEST_PAYLOAD:
        raise ValueError(
            f"type {kind!r}, {len(payload)} bytes of payload: a UCB frame has 2 characters and up to 255 bytes"
        )
    body = octets + bytes([len(payload)]) + payload
    return PREAMBLE + body + crc16(body).to_bytes(2, "big")


def scan(octets: bytes, stalled: bool = False) -> Scan:  # noqa: FBT001, FBT002 - the signature of every scanner
    """Find the frames of a buffer.

    After a wrong CRC the search continues one byte after the beginning of the preamble: the length byte may be damaged,
    and good frames may lie inside the supposed payload.
    """
    frames: list[Frame] = []
    damage: list[Damage] = []
    at, size = 0, len(octets)
    while at < size:
        begin = octets.find(PREAMBLE, at)
        if begin < 0:
            # The last byte may be the first byte of a preamble.
            begin = size - 1 if octets[-1] == PREAMBLE[0] and not stalled else size
        if begin > at:
            damage.append(Damage(at, begin, DamageReason.NOISE))
            stalled = False
            at = begin
        end = at + OVERHEAD_BYTES + octets[at + 4] if size - at >= HEADER_BYTES else size + 1
        if end > size:
            if not stalled or at == size:
                break
            # Skip one byte only: the supposed payload may contain good frames.
            damage.append(Damage(at, at + 1, DamageReason.CUT))
            at, stalled = at + 1, False
        elif binascii.crc_hqx(octets[at + 2 : end], CRC_INITIAL) == 0:
            kind = octets[at + 2 : at + 4].decode("latin-1")
            frames.append(Frame(kind, octets[at + HEADER_BYTES : end - 2], octets[at:end], at))
            at, stalled = end, False
        else:
            damage.append(Damage(at, at + 1, DamageReason.CHECKSUM))
            at, stalled = at + 1, False
    return Scan(tuple(frames), tuple(damage), at)
