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
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, partial, reduce
from operator import xor
from typing import TYPE_CHECKING, Final, NamedTuple

from pygnc_devices.declaration import Field, Packet, Value
from pygnc_devices.framing import DamageReason, Frame, fletcher16
from pygnc_devices.receivers import packets
from pygnc_devices.series import (
    LINE_END_PATTERN,
    Followed,
    LineSeries,
    Span,
    fletcher_rows,
    for_each,
    for_each_line,
)

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
        lines: returns the series of the messages of a kind as lines of text, given `follow`, `follow_steady` and
            `lane`; None if the maker has none.
    """

    beginning: bytes
    head_bytes: int
    payload_at: int
    are_intact: "Callable[[Rows], Mask]"
    lines: "Callable[..., LineSeries] | None" = None


# --- NovAtel --------------------------------------------------------------------------------------------------------

NOVATEL_BEGINNING: Final = rb"\xaa(?:\x44(?:[\x12\x13]|\Z)|\Z)|#(?:[A-Z](?:[A-Z0-9]|\Z)|\Z)"
_LONGEST_TEXT: Final = 1 << 15
_LONGEST_DATA: Final = 1 << 15
"""Bytes: RANGE needs 44 for each signal, and 100 as text."""
_END: Final = re.compile(rb"\*([0-9a-fA-F]{8})|[\r\n\0]")
_QUOTES: Final = re.compile(rb'\\+"')
_CRC_BYTES: Final = 4
_LONG_HEADER_BYTES: Final = 28
_SHORT_HEADER_BYTES: Final = 12
_TIMES_AT: Final = 13
_NOT_STATED: Final = b"\xff"
_HEADER_FIELDS: Final = 3
"""Time status, week and time of the week, which are at the beginning of each payload."""
_WORD: Final = r"[^,;*\r\n\0]*+"
_WHOLE: Final = r"[+-]?[0-9]{1,18}+"
_DECIMAL: Final = r"[+-]?[0-9]++(?:\.[0-9]*+)?(?:[eE][+-]?[0-9]{1,2}+)?"
"""Patterns of words of ASCII logs."""
_NOVATEL_NAMES: Final = {101: "TIME", 241: "BESTXYZ", 42: "BESTPOS", 99: "BESTVEL"}
_UNKNOWN_TIME: Final = 20


def crc32(octets: bytes) -> int:
    """Return NovAtel's CRC-32: that of zlib without its inversions."""
    return zlib.crc32(octets, 0xFFFF_FFFF) ^ 0xFFFF_FFFF


def novatel(octets: bytes, at: int) -> Found:
    """Return the frame of NovAtel at an offset; names of ASCII logs end in A, those of binary logs in B."""
    return _text_at(octets, at) if octets[at : at + 1] == b"#" else _binary_at(octets, at)


def _text_at(octets: bytes, at: int) -> Found:
    ends = _ends(octets)
    number = bisect_left(ends, at, key=re.Match.start)
    end = ends[number] if number < len(ends) and ends[number].end() <= at + _LONGEST_TEXT else None
    if end is None:
        return None if len(octets) - at < _LONGEST_TEXT else DamageReason.NOISE
    if end.group(1) is None:
        return DamageReason.NOISE
    stated = int(end.group(1), 16)
    for content in _contents(octets[at + 1 : end.start()]):
        if crc32(content) == stated:
            raw = octets[at : end.end()]
            return Frame(content.split(b",", 1)[0].decode("ascii", "replace"), content, raw, at)
    return DamageReason.CHECKSUM


@lru_cache(maxsize=1)
def _ends(octets: bytes) -> list[re.Match[bytes]]:
    """Return all ends of texts: many beginnings may have the same end, which is searched for once."""
    return list(_END.finditer(octets))


def _contents(text: bytes) -> Iterator[bytes]:
    """Yield the possible contents: JSON precedes each quotation mark by a backslash, JSON in JSON by three."""
    yield text
    if b'\\"' in text:
        yield _QUOTES.sub(b'"', text)


def _binary_at(octets: bytes, at: int) -> Found:
    is_long = octets[at + 2 : at + 3] == b"\x12"
    if len(octets) - at < (_LONG_HEADER_BYTES if is_long else _SHORT_HEADER_BYTES):
        return None
    header = octets[at + 3] if is_long else _SHORT_HEADER_BYTES
    if header < (_LONG_HEADER_BYTES if is_long else _SHORT_HEADER_BYTES):
        return DamageReason.CONTENT
    length = int.from_bytes(octets[at + 8 : at + 10], "little") if is_long else octets[at + 3]
    if length > _LONGEST_DATA:
        return DamageReason.CONTENT
    end = at + header + length + _CRC_BYTES
    if end > len(octets):
        return None
    if crc32(octets[at : end - _CRC_BYTES]) != int.from_bytes(octets[end - _CRC_BYTES : end], "little"):
        return DamageReason.CHECKSUM
    number = int.from_bytes(octets[at + 4 : at + 6], "little")
    times = octets[at + _TIMES_AT : at + 20] if is_long else _NOT_STATED + octets[at + 6 : at + 12]
    payload = times + octets[at + header : end - _CRC_BYTES]
    return Frame(f"{_NOVATEL_NAMES.get(number, number)}B", payload, octets[at:end], at)


def _novatel_lines(
    kind: str, follow: Callable[..., Followed], follow_steady: Callable[..., Span | None], lane: object
) -> LineSeries:
    """Return the series of the ASCII logs of a kind."""
    header = rf"{_WORD},{_WORD},{_WORD},(?P<status>{_WORD}),{_WHOLE},(?P<tow>{_DECIMAL}),[^;*\r\n\0]*+"
    data = ",".join(map(_word_pattern, packets.NOVATEL[kind[:-1]].fields[_HEADER_FIELDS:]))
    text = rf"#(?P<body>{kind},{header};{data}(?:,[^*\r\n\0]*+)?)\*(?P<check>[0-9a-fA-F]{{8}})"
    pattern = re.compile(text.encode("ascii") + LINE_END_PATTERN)
    words = (("tow", float), ("status", _time_status))
    return LineSeries(_LONGEST_TEXT, pattern, for_each_line(crc32), words, follow, follow_steady, lane)


def _word_pattern(field: Field) -> str:
    if field.labels is not None or field.code == "4s":
        return _WORD
    return _DECIMAL if field.code in "fd" else _WHOLE


def _time_status(text: bytes) -> int:
    """Return the status of the receiver's time that the header of an ASCII log states."""
    return _NUMBERS["time_status"].get(text.decode("ascii", "replace"), _UNKNOWN_TIME)


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


NOVATEL_FRAMES: Final = BinaryFrames(
    b"\xaa\x44\x12" + bytes([_LONG_HEADER_BYTES]),
    10,
    _TIMES_AT,
    for_each(lambda raw: crc32(raw[:-_CRC_BYTES]) == int.from_bytes(raw[-_CRC_BYTES:], "little")),
    _novatel_lines,
)


def _text_values(packet: Packet, payload: bytes) -> Values:
    head, _, data = payload.decode("ascii", "replace").partition(";")
    words = head.split(",")
    header: dict[str, Value] = {
        "time_status": _time_status(words[4].encode()),
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
_LONGEST_UBX_PAYLOAD: Final = 1 << 13
"""Bytes: RXM-RAWX with 255 measurements has 8176."""
_UBX_NAMES: Final = {number: name for name, number in packets.UBX_NUMBERS.items()}


def ublox(octets: bytes, at: int) -> Found:
    """Return the UBX frame at an offset; an unknown message has class and number as its name, such as 0a-04."""
    if len(octets) - at < _UBX_HEADER_BYTES:
        return None
    length = int.from_bytes(octets[at + 4 : at + 6], "little")
    if length > _LONGEST_UBX_PAYLOAD:
        return DamageReason.CONTENT
    end = at + _UBX_OVERHEAD_BYTES + length
    if end > len(octets):
        return None
    if (
        sum(octets[at + 2 : end - 2]) & 0xFF != octets[end - 2]
        or fletcher16(octets[at + 2 : end - 2]) != octets[end - 2 : end]
    ):
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
    if octets[end - 2 : end] != _SKYTRAQ_END or reduce(xor, payload) != octets[end - 3]:
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
