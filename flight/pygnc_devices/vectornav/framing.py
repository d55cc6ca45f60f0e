"""Frames: lines of text and binary packets.

A line is `$VNYMR,fields*5A` with the exclusive or of the characters between `$` and `*`, or `*1A2B` with the CRC-16. A
unit whose checksums are switched off sends `*XX`, or nothing after the asterisk; such a frame has a kind of its own.

A packet is FA, header, fields, CRC-16 from the header on, the high byte first; other numbers are little-endian. The CRC
is that of CCITT with the polynomial 1021 and the initial value 0. The fields of a packet with an unknown bit have an
unknown length; it is recognised by its CRC if another packet with the same header follows at once.
"""

import re
from binascii import crc_hqx
from collections.abc import Callable
from functools import reduce
from operator import xor
from typing import TYPE_CHECKING, Final

from pygnc_devices.framing import DamageReason, Frame, FrameFormat, Judgement, line_format
from pygnc_devices.series import LINE_END_PATTERN, for_each, for_each_line, xor_lines
from pygnc_devices.vectornav.fields import LINES, AsyncLine, line_of
from pygnc_devices.vectornav.packets import BinaryOutput, header_at, record_of

if TYPE_CHECKING:
    from pygnc_devices.series import Lines, Mask

SYNC: Final = 0xFA
LONGEST_LINE: Final = 320
LONGEST: Final = 2000
"""Bytes of the longest frame. Sources of both limits: SDK, `Config.hpp`."""
_LONGEST_UNKNOWN: Final = 600
"""Bytes of the longest packet with an unknown layout. Source: programming library, `packetfinder.cpp`."""
_CRC_BYTES: Final = 2
UNCHECKED: Final = " unchecked"
"""End of the kind of a line without a checksum."""
UNKNOWN: Final = "unknown layout"
"""Kind of a packet with unknown fields; its payload is the header."""
_DOLLAR: Final = ord("$")
_WHOLE: Final = re.compile(rb"\$VN([A-Z0-9]{3})(?:,([^$*]*))?\*([0-9A-Fa-f]{4}|[0-9A-Fa-f]{2}|XX(?:XX)?|)")
_CHECKSUM_DIGITS: Final = 2


def make_line(text: str) -> bytes:
    """Return the line of a text, such as RRG,01, with CRC-16."""
    body = f"VN{text}".encode("ascii")
    return b"$%s*%04X\r\n" % (body, crc_hqx(body, 0))


def make_packet(payload: bytes) -> bytes:
    """Return the packet with header and fields."""
    return bytes([SYNC]) + payload + crc_hqx(payload, 0).to_bytes(2, "big")


def _judge(line: bytes) -> Judgement:
    whole = _WHOLE.fullmatch(line)
    if whole is None:
        return DamageReason.NOISE
    body, digits = line[1 : whole.start(3) - 1], whole[3]
    name, payload = whole[1].decode("ascii"), whole[2] or b""
    if not digits.strip(b"X"):
        name += UNCHECKED
    elif int(digits, 16) != (reduce(xor, body) if len(digits) == _CHECKSUM_DIGITS else crc_hqx(body, 0)):
        return DamageReason.CHECKSUM
    if whole[1].decode("ascii") in LINES:
        declared = line_of(whole[1].decode("ascii"), payload)
        if declared is None or not declared.fits(payload):
            return DamageReason.CONTENT
    return name, payload


_line_at: Final = line_format(re.compile(rb"\$"), _judge, LONGEST_LINE).frame_at


def _frame_at(octets: bytes, at: int, stalled: bool) -> Frame | DamageReason | None:  # noqa: FBT001 - see `FrameFormat`
    if octets[at] == _DOLLAR:
        return _line_at(octets, at, stalled)
    header = header_at(octets, at + 1)
    if not header:
        return None if header is None else DamageReason.NOISE
    record = record_of(header)
    return _unknown_at(octets, at, header) if record is None else _packet_at(octets, at, record)


def _packet_at(octets: bytes, at: int, record: BinaryOutput) -> Frame | DamageReason | None:
    length = record.length(octets, at + 1)
    end = at + 1 + (length or 0) + _CRC_BYTES
    if end - at > LONGEST:
        return DamageReason.NOISE
    if length is None or end > len(octets):
        return None
    if crc_hqx(octets[at + 1 : end], 0):
        return DamageReason.CHECKSUM
    return Frame(record.name, octets[at + 1 : end - _CRC_BYTES], octets[at:end], at)


def _unknown_at(octets: bytes, at: int, header: bytes) -> Frame | DamageReason | None:
    start = bytes([SYNC]) + header
    limit = at + _LONGEST_UNKNOWN + len(start)
    found = octets.find(start, at + len(start), limit)
    while found >= 0:
        if not crc_hqx(octets[at + 1 : found], 0):
            return Frame(UNKNOWN, header, octets[at:found], at)
        found = octets.find(start, found + 1, limit)
    return None if len(octets) < limit else DamageReason.NOISE


def line_pattern(declared: AsyncLine, kind: str, digits: int, clock: str) -> re.Pattern[bytes]:
    """Return the pattern of the lines of a kind whose checksums have a number of digits; see `LineSeries`."""
    body = f"VN{kind},{declared.pattern_of(clock)}"
    text = rf"\$(?P<body>{body})\*(?P<check>[0-9A-Fa-f]{{{digits}}})"
    return re.compile(text.encode("ascii") + LINE_END_PATTERN)


def lines_are_intact(digits: int) -> "Callable[[Lines], Mask]":
    """Return the check of lines whose checksums have a number of digits, see `LineSeries`."""
    return xor_lines if digits == _CHECKSUM_DIGITS else for_each_line(lambda body: crc_hqx(body, 0))


are_intact: Final = for_each(lambda raw: not crc_hqx(raw[1:], 0))
"""Check of packets with equal headers, see `Series`."""
scan: Final = FrameFormat(re.compile(rb"\xfa|\$(?:V(?:N|\Z)|\Z)"), _frame_at).scan
