"""UCB frames: 55 55, type (2 characters), length, payload, CRC-16.

The CRC is CRC-16/SPI-FUJITSU (polynomial 0x1021, initial value 0x1D0F, not reflected), big-endian, over type, length
and payload. DMU380ZA manual 7430-3810, whose "initial 0xFFFF" is the same register before 16 zero bits.
"""

import binascii
import re
from typing import Final

from pygnc_devices.framing import DamageReason, Frame, FrameFormat
from pygnc_devices.series import for_each
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


def _frame_at(octets: bytes, at: int, stalled: bool) -> Frame | DamageReason | None:  # noqa: ARG001, FBT001 - see `FrameFormat`
    if len(octets) - at < HEADER_BYTES:
        return None
    end = at + OVERHEAD_BYTES + octets[at + 4]
    if end > len(octets):
        return None
    if binascii.crc_hqx(octets[at + 2 : end], CRC_INITIAL):
        return DamageReason.CHECKSUM  # the length byte may be damaged: good frames may lie inside the supposed payload
    kind = octets[at + 2 : at + 4].decode("latin-1")
    return Frame(kind, octets[at + HEADER_BYTES : end - 2], octets[at:end], at)


are_intact: Final = for_each(lambda raw: not binascii.crc_hqx(raw[2:], CRC_INITIAL))
"""Check of frames of equal length, see `Series`."""
scan: Final = FrameFormat(re.compile(rb"\x55(?:\x55|\Z)"), _frame_at).scan
