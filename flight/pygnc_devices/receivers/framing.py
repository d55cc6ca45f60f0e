"""Frames of receivers, and the values of their messages.

NovAtel, binary: AA 44 12, header of 28 bytes, data, CRC-32; or AA 44 13 and a header of 12 bytes, which has no time
status; numbers are little-endian. ASCII: `#NAME,header;data*CRC`. Both have the same words.

UBX: B5 62, class, number, length of the payload, payload, Fletcher's checksum over all but the first two bytes;
numbers are little-endian.

SkyTraq: A0 A1, length of the payload, payload, the exclusive or of its bytes, CR LF; numbers are big-endian.

A function with the name of a protocol returns the frame at an offset, as `FrameFormat.frame_at`; the kind of the frame
is the name of the message. Sources: see `packets`.
"""

import re
import zlib
from collections.abc import Callable, Mapping
from functools import partial, reduce
from operator import xor
from typing import TYPE_CHECKING, Final, NamedTuple

from pygnc_devices.declaration import Field, Packet, Value
from pygnc_devices.framing import DamageReason, Frame, fletcher16
from pygnc_devices.receivers import packets
from pygnc_devices.series import fletcher_rows, for_each

if TYPE_CHECKING:
    from pygnc_devices.series import Mask, Rows

Found = Frame | DamageReason | None
Values = Mapping[str, Value]


class BinaryFrames(NamedTuple):
    """Binary frames of a maker whose headers have one length.

    Attributes:
        beginning: first bytes.
        head_bytes: bytes of the beginning, the name of the message and its length.
        payload_at: offset of the bytes with which the payload begins; the words of the time are among them.
        are_intact: check of frames with equal heads, see `Series`.
    """

    beginning: bytes
    head_bytes: int
    payload_at: int
    are_intact: "Callable[[Rows], Mask]"


# --- NovAtel --------------------------------------------------------------------------------------------------------

NOVATEL_BEGINNING: Final = rb"\xaa(?:\x44(?:[\x12\x13]|\Z)|\Z)|#(?:[A-Z](?:[A-Z0-9]|\Z)|\Z)"
_LONGEST_TEXT: Final = 1 << 15
_END: Final = re.compile(rb"\*([0-9a-fA-F]{8})|[\r\n\0]")
_QUOTES: Final = re.compile(rb'\\+"')
_CRC_BYTES: Final = 4
_LONG_HEADER_BYTES: Final = 28
_SHORT_HEADER_BYTES: Final = 12
_TIMES_AT: Final = 13
_NOT_STATED: Final = b"\xff"
_HEADER_FIELDS: Final = 3
"""Time status, week and time of the week, which are at the beginning of each payload."""
_NOVATEL_NAMES: Final = {101: "TIME", 241: "BESTXYZ", 42: "BESTPOS", 99: "BESTVEL"}
_UNKNOWN_TIME: Final = 20


def crc32(octets: bytes) -> int:
    """Return NovAtel's CRC-32: that of zlib without its inversions."""
    return zlib.crc32(octets, 0xFFFF_FFFF) ^ 0xFFFF_FFFF


def novatel(octets: bytes, at: int) -> Found:
    """Return the frame of NovAtel at an offset; names of ASCII logs end in A, those of binary logs in B."""
    return _text_at(octets, at) if octets[at : at + 1] == b"#" else _binary_at(octets, at)


def _text_at(octets: bytes, at: int) -> Found:
    end = _END.search(octets, at, at + _LONGEST_TEXT)
    if end is None:
        return None if len(octets) - at < _LONGEST_TEXT else DamageReason.NOISE
    if end.group(1) is None:
        return DamageReason.NOISE
    text, stated = octets[at + 1 : end.start()], int(end.group(1), 16)
    # In JSON, each quotation mark is preceded by a backslash; in JSON within JSON, by three.
    for content in (text, _QUOTES.sub(b'"', text)):
        if crc32(content) == stated:
            raw = octets[at : end.end()]
            return Frame(content.split(b",", 1)[0].decode("ascii", "replace"), content, raw, at)
    return DamageReason.CHECKSUM


def _binary_at(octets: bytes, at: int) -> Found:
    is_long = octets[at + 2 : at + 3] == b"\x12"
    if len(octets) - at < (_LONG_HEADER_BYTES if is_long else _SHORT_HEADER_BYTES):
        return None
    header = octets[at + 3] if is_long else _SHORT_HEADER_BYTES
    if header < (_LONG_HEADER_BYTES if is_long else _SHORT_HEADER_BYTES):
        return DamageReason.CONTENT
    length = int.from_bytes(octets[at + 8 : at + 10], "little") if is_long else octets[at + 3]
    end = at + header + length + _CRC_BYTES
    if end > len(octets):
        return None
    if crc32(octets[at : end - _CRC_BYTES]) != int.from_bytes(octets[end - _CRC_BYTES : end], "little"):
        return DamageReason.CHECKSUM
    number = int.from_bytes(octets[at + 4 : at + 6], "little")
    times = octets[at + _TIMES_AT : at + 20] if is_long else _NOT_STATED + octets[at + 6 : at + 12]
    payload = times + octets[at + header : end - _CRC_BYTES]
    return Frame(f"{_NOVATEL_NAMES.get(number, number)}B", payload, octets[at:end], at)


NOVATEL_FRAMES: Final = BinaryFrames(
    b"\xaa\x44\x12" + bytes([_LONG_HEADER_BYTES]),
    10,
    _TIMES_AT,
    for_each(lambda raw: crc32(raw[:-_CRC_BYTES]) == int.from_bytes(raw[-_CRC_BYTES:], "little")),
)


def novatel_values(frame: Frame) -> tuple[Packet, Values] | None:
    """Return declaration and values of a log; None for another log.

    Codes of ASCII logs are numbers as in binary logs, or texts if they are not in the tables.
    """
    packet = packets.NOVATEL.get(frame.kind[:-1])
    if packet is None or frame.kind[-1] not in "AB":
        return None
    try:
        return packet, _text_values(packet, frame.payload) if frame.kind[-1] == "A" else _values(packet, frame.payload)
    except (ValueError, IndexError):
        return None  # a version of the log with other words


def _text_values(packet: Packet, payload: bytes) -> Values:
    head, _, data = payload.decode("ascii", "replace").partition(";")
    words = head.split(",")
    header: dict[str, Value] = {
        "time_status": _NUMBERS["time_status"].get(words[4], _UNKNOWN_TIME),
        "week": int(words[5]),
        "tow_s": float(words[6]),
    }
    fields, texts = packet.fields[_HEADER_FIELDS:], data.split(",")
    if len(texts) < len(fields):
        raise ValueError(f"packet {packet.name}: {len(texts)} words instead of {len(fields)}")
    return header | {field.name: _value(field, text) for field, text in zip(fields, texts, strict=False)}


def _value(field: Field, text: str) -> Value:
    if field.labels is not None:
        return _NUMBERS[field.name].get(text, text)
    if field.code == "4s":
        return text.strip('"').encode()
    return field.to_value(float(text) if field.code in "fd" else int(text))


_NUMBERS: Final = {
    field.name: {label: number for number, label in field.labels.names.items()}
    for packet in packets.NOVATEL.values()
    for field in packet.fields
    if field.labels is not None
}

# --- u-blox ---------------------------------------------------------------------------------------------------------

UBLOX_BEGINNING: Final = rb"\xb5(?:\x62|\Z)"
_UBX_HEADER_BYTES: Final = 6
_UBX_OVERHEAD_BYTES: Final = 8
_UBX_NAMES: Final = {number: name for name, number in packets.UBX_NUMBERS.items()}


def ublox(octets: bytes, at: int) -> Found:
    """Return the UBX frame at an offset; an unknown message has class and number as its name, such as 0a-04."""
    if len(octets) - at < _UBX_HEADER_BYTES:
        return None
    end = at + _UBX_OVERHEAD_BYTES + int.from_bytes(octets[at + 4 : at + 6], "little")
    if end > len(octets):
        return None
    if fletcher16(octets[at + 2 : end - 2]) != octets[end - 2 : end]:
        return DamageReason.CHECKSUM
    number = octets[at + 2 : at + 4]
    return Frame(_UBX_NAMES.get(number, number.hex("-")), octets[at + _UBX_HEADER_BYTES : end - 2], octets[at:end], at)


UBLOX_FRAMES: Final = BinaryFrames(b"\xb5\x62", _UBX_HEADER_BYTES, _UBX_HEADER_BYTES, partial(fletcher_rows, first=2))


def ublox_values(frame: Frame) -> tuple[Packet, Values] | None:
    """Return declaration and values of a message; None for another message."""
    return _declared(packets.UBLOX, frame)


# --- SkyTraq --------------------------------------------------------------------------------------------------------

SKYTRAQ_BEGINNING: Final = rb"\xa0(?:\xa1|\Z)"
_SKYTRAQ_OVERHEAD_BYTES: Final = 7
_SKYTRAQ_END: Final = b"\r\n"
_SKYTRAQ_NAMES: Final = {number: name for name, number in packets.SKYTRAQ_NUMBERS.items()}


def skytraq(octets: bytes, at: int) -> Found:
    """Return the frame of SkyTraq at an offset; an unknown message has its number as its name, such as 83."""
    if len(octets) - at < 5:
        return None
    length = int.from_bytes(octets[at + 2 : at + 4], "big")
    if not length:
        return DamageReason.CONTENT
    end = at + _SKYTRAQ_OVERHEAD_BYTES + length
    if end > len(octets):
        return None
    payload = octets[at + 4 : end - 3]
    if reduce(xor, payload) != octets[end - 3] or octets[end - 2 : end] != _SKYTRAQ_END:
        return DamageReason.CHECKSUM
    return Frame(_SKYTRAQ_NAMES.get(payload[0], f"{payload[0]:02X}"), payload[1:], octets[at:end], at)


def _are_intact(rows: "Rows") -> "Mask":
    """Return True for each frame of SkyTraq whose checksum and end are right."""
    ends = tuple(_SKYTRAQ_END)
    checked: Mask = (reduce(xor, rows[:, 4:-2].T) == 0) & (rows[:, -2] == ends[0]) & (rows[:, -1] == ends[1])
    return checked


SKYTRAQ_FRAMES: Final = BinaryFrames(b"\xa0\xa1", 5, 5, _are_intact)


def skytraq_values(frame: Frame) -> tuple[Packet, Values] | None:
    """Return declaration and values of a message; None for another message."""
    return _declared(packets.SKYTRAQ, frame)


def _declared(known: Mapping[str, Packet], frame: Frame) -> tuple[Packet, Values] | None:
    packet = known.get(frame.kind)
    if packet is None or len(frame.payload) < packet.layout.size:
        return None
    return packet, _values(packet, frame.payload)


def _values(packet: Packet, payload: bytes) -> Values:
    """Return the values of a payload; newer versions of a message have further words."""
    return packet.decode(payload[: packet.layout.size])


# --- NMEA 0183 ------------------------------------------------------------------------------------------------------

NMEA_BEGINNING: Final = rb"\$(?:[A-Z](?:[A-Z]|\Z)|\Z)"
_LONGEST_SENTENCE: Final = 512
"""The standard allows 82 bytes; sentences of makers are longer."""
_NMEA_END: Final = re.compile(rb"\*([0-9A-Fa-f]{2})|[\r\n\0]")


def nmea(octets: bytes, at: int) -> Found:
    """Return the sentence at an offset; its kind is its name without the talker."""
    end = _NMEA_END.search(octets, at, at + _LONGEST_SENTENCE)
    if end is None:
        return None if len(octets) - at < _LONGEST_SENTENCE else DamageReason.NOISE
    if end.group(1) is None:
        return DamageReason.NOISE
    content = octets[at + 1 : end.start()]
    if reduce(xor, content, 0) != int(end.group(1), 16):
        return DamageReason.CHECKSUM
    name = content.split(b",", 1)[0].decode("ascii", "replace")
    return Frame(name if name.startswith("P") else name[2:], content, octets[at : end.end()], at)
