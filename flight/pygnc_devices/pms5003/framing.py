"""Scanner of frames: `BM`, length, content, sum of all bytes before; and the commands, which have no length."""

import re
from typing import Final

from pygnc_devices.framing import DamageReason, Frame, FrameFormat
from pygnc_devices.pms5003.packets import MEASUREMENT, REPLY

START: Final = b"BM"
_HEAD_BYTES: Final = 4
_CHECK_BYTES: Final = 2
_SIZES: Final = {packet.layout.size + _CHECK_BYTES: packet for packet in (MEASUREMENT, REPLY)}
LONGEST_FRAME: Final = _HEAD_BYTES + max(_SIZES)
_HEADS: Final = b"|".join(re.escape(START + size.to_bytes(2, "big")) for size in _SIZES)
_CANDIDATE: Final = re.compile(rb"%s|BM\x00\Z|BM\Z|B\Z" % _HEADS)


def checksum(octets: bytes) -> bytes:
    """Return the sum of bytes, two bytes."""
    return (sum(octets) & 0xFFFF).to_bytes(_CHECK_BYTES, "big")


def make_command(command: int, data: int) -> bytes:
    """Return a command with its data."""
    body = START + bytes([command]) + data.to_bytes(2, "big")
    return body + checksum(body)


def make_frame(payload: bytes) -> bytes:
    """Return the frame of a payload."""
    body = START + (len(payload) + _CHECK_BYTES).to_bytes(2, "big") + payload
    return body + checksum(body)


def _frame_at(octets: bytes, at: int, stalled: bool) -> Frame | DamageReason | None:  # noqa: ARG001, FBT001 - see `FrameFormat`
    head = octets[at : at + _HEAD_BYTES]
    if len(head) < _HEAD_BYTES:
        return None
    size = int.from_bytes(head[2:], "big")
    raw = octets[at : at + _HEAD_BYTES + size]
    if len(raw) < _HEAD_BYTES + size:
        return None
    if checksum(raw[:-_CHECK_BYTES]) != raw[-_CHECK_BYTES:]:
        return DamageReason.CHECKSUM
    return Frame(_SIZES[size].name, raw[_HEAD_BYTES:-_CHECK_BYTES], raw, at)


scan: Final = FrameFormat(_CANDIDATE, _frame_at).scan
