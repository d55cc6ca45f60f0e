"""Scanner of responses in SHDLC, and commands.

A frame is between two bytes 7E. These bytes, 7D, 11 and 13 are sent inside as 7D and the byte with bit 5 inverted. A
command has address, command, length, data and checksum; a response has its state before the length.
"""

import re
from typing import Final

from pygnc_devices.framing import DamageReason, Frame, FrameFormat
from pygnc_devices.sps30.packets import (
    CLEANING_INTERVAL,
    DEVICE_ERROR,
    INTEGER_MEASUREMENT,
    MEASUREMENT,
    STATES,
    STATUS,
    VERSION,
)

START: Final = 0x00
STOP: Final = 0x01
READ: Final = 0x03
SLEEP: Final = 0x10
WAKE: Final = 0x11
CLEAN: Final = 0x56
AUTO_CLEANING: Final = 0x80
INFORMATION: Final = 0xD0
READ_VERSION: Final = 0xD1
READ_STATUS: Final = 0xD2
RESET: Final = 0xD3

_STATE_BYTES: Final = 1
LONGEST_TEXT: Final = 32
_LENGTHS: Final = (
    {command: {0} for command in (START, STOP, SLEEP, WAKE, CLEAN, RESET)}
    | {
        command: {0, *(packet.layout.size - _STATE_BYTES for packet in packets)}
        for command, packets in (
            (READ, (MEASUREMENT, INTEGER_MEASUREMENT)),
            (AUTO_CLEANING, (CLEANING_INTERVAL,)),
            (READ_VERSION, (VERSION,)),
            (READ_STATUS, (STATUS,)),
        )
    }
    | {INFORMATION: set(range(LONGEST_TEXT + 1))}
)
"""Possible lengths of the data of responses; a response with an error has none."""

_FLAG: Final = b"\x7e"
_ESCAPE: Final = 0x7D
_FLIP: Final = 0x20
_STUFFED: Final = re.compile(rb"[\x7e\x7d\x11\x13]")
_ESCAPED: Final = re.compile(rb"\x7d(.)", re.DOTALL)
_WRONG_ESCAPE: Final = re.compile(rb"\x7d(?![\x5e\x5d\x31\x33])")
_ADDRESS: Final = b"\0"
_HEAD_BYTES: Final = 4
LONGEST_FRAME: Final = 2 + _HEAD_BYTES + 2 * (MEASUREMENT.layout.size - _STATE_BYTES + 1)
"""A measurement in which all bytes of data and checksum are stuffed."""
_CANDIDATE: Final = re.compile(rb"\x7e\x00|\x7e\Z")


def checksum(octets: bytes) -> int:
    """Return the inverted sum of bytes."""
    return ~sum(octets) & 0xFF


def make_command(command: int, data: bytes = b"") -> bytes:
    """Return the frame of a command."""
    content = _ADDRESS + bytes([command, len(data)]) + data
    content += bytes([checksum(content)])
    return _FLAG + _STUFFED.sub(lambda match: bytes([_ESCAPE, match[0][0] ^ _FLIP]), content) + _FLAG


def _frame_at(octets: bytes, at: int, stalled: bool) -> Frame | DamageReason | None:  # noqa: ARG001, FBT001 - see `FrameFormat`
    end = octets.find(_FLAG, at + 1, at + LONGEST_FRAME)
    if end < 0:
        return DamageReason.NOISE if len(octets) - at >= LONGEST_FRAME else None
    stuffed = octets[at + 1 : end]
    if _WRONG_ESCAPE.search(stuffed):
        return DamageReason.NOISE
    content = _ESCAPED.sub(lambda match: bytes([match[1][0] ^ _FLIP]), stuffed)
    if len(content) <= _HEAD_BYTES or len(content) != _HEAD_BYTES + content[3] + 1:
        return DamageReason.NOISE
    if checksum(content[:-1]) != content[-1]:
        return DamageReason.CHECKSUM
    _, command, state, size = content[:_HEAD_BYTES]
    if size not in _LENGTHS.get(command, ()) or state & ~DEVICE_ERROR not in STATES:
        return DamageReason.CONTENT
    payload = bytes([state]) + content[_HEAD_BYTES:-1]
    return Frame(f"{command:02X}", payload, octets[at : end + 1], at)


scan: Final = FrameFormat(_CANDIDATE, _frame_at).scan
"""Scanner of responses. The payload of a frame is the state of the sensor and the data."""
