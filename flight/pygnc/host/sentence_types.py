"""Sentence types of the streaming interface: sender, delivery and body of each.

The tables in the documentation are made from these declarations.

A body is a sequence of little-endian fields without padding, followed by bytes or text of up to `tail_max` bytes.
Packets have exactly the bytes of the files.
"""

import struct
from enum import IntEnum, IntFlag, StrEnum, unique
from typing import Final, NamedTuple

from pygnc.host.sentence import Delivery

VERSION: Final = 1
VERSION_MIN: Final = 1
"""Lowest protocol version that this software supports; VERSION is the highest."""
CHUNK_BYTES: Final = 762
"""Data bytes in a chunk of a file. With 6 bytes of fields they fill 1024 characters: 72.4 % of the line carries data,
and one sentence in ten is lost at a byte error rate of 1e-4. Half the size would carry 70.0 %."""
NAME_MAX: Final = 64
TEXT_MAX: Final = 512
_SETTING_MAX: Final = TEXT_MAX - 4
"""Shorter than TEXT_MAX because the answer adds blanks."""


@unique
class Sender(StrEnum):
    """End that sends a type."""

    HOST = "host"
    PI = "Pi"
    BOTH = "both"


class BodyField(NamedTuple):
    """One field of a body; `code` is a format character of the struct module."""

    name: str
    code: str
    meaning: str


class BodyError(ValueError):
    """The body of a valid sentence does not match its type."""


class Body(NamedTuple):
    """Decoded body: fields by name and the bytes after them."""

    fields: dict[str, int]
    tail: bytes


class SentenceType(NamedTuple):
    """One type of sentence."""

    name: str
    sender: Sender
    delivery: Delivery
    meaning: str
    fields: tuple[BodyField, ...] = ()
    tail: str = ""
    """Meaning of the bytes after the fields; empty if there are none."""
    tail_max: int = 0
    tail_min: int = 0

    def pack(self, *values: int, tail: bytes = b"") -> bytes:
        """Encode a body.

        Raises:
            BodyError: A value does not fit its field, or the tail is too long or too short.
        """
        try:
            head = struct.pack(_layout(self), *values)
        except struct.error as error:
            raise BodyError(f"{self.name}: {error}") from None
        self._check_tail(len(tail))
        return head + tail

    def unpack(self, body: bytes) -> Body:
        """Decode a body.

        Raises:
            BodyError: The body is too short or too long.
        """
        size = struct.calcsize(_layout(self))
        if len(body) < size:
            raise BodyError(f"{self.name}: the body has {len(body)} bytes; at least {size + self.tail_min} are needed")
        self._check_tail(len(body) - size)
        values = struct.unpack_from(_layout(self), body)
        return Body(dict(zip((field.name for field in self.fields), values, strict=True)), body[size:])

    def _check_tail(self, length: int) -> None:
        if not self.tail_min <= length <= self.tail_max:
            wanted = f"{self.tail_min} to {self.tail_max}" if self.tail_min < self.tail_max else f"{self.tail_max}"
            raise BodyError(f"{self.name}: {length} bytes after the fields instead of {wanted}")


def _layout(kind: SentenceType) -> str:
    return "<" + "".join(field.code for field in kind.fields)


@unique
class Capability(IntFlag):
    """Capabilities that an end announces in its HELO."""

    LIVE = 1
    UPLOAD = 2
    DOWNLOAD = 4
    PARAMETERS = 8
    STOP = 16
    NESTING = 32
    """Parses a sentence that is nested in another one."""


@unique
class NakCause(IntEnum):
    """Reason why a valid sentence was rejected."""

    UNKNOWN_TYPE = 1
    BODY = 2
    """The body does not match the type."""
    NAME = 3
    """The file may not be written or read, or the setting does not exist."""
    ORDER = 4
    """A chunk of a transfer that is not open, or at a wrong offset."""
    STORAGE = 5
    """Reading or writing failed."""
    VALUE = 6
    """The value is impossible."""
    UNABLE = 7
    """Not possible at present."""


@unique
class UploadState(IntEnum):
    """State of an upload."""

    CONTINUE = 0
    COMPLETE = 1
    DAMAGED = 2
    """The CRC-32 of the whole file is wrong; its bytes were deleted."""


@unique
class ReportKind(IntEnum):
    """Report that a status request (STRQ) asks for."""

    STATUS = 0
    INFO = 1


@unique
class ParameterFlag(IntFlag):
    """Flags of a setting's value."""

    CHANGED = 1
    """Set over this interface, not by the settings file or by default."""
    NEXT_START = 2
    """A change takes effect at the next start."""


_HOST, _PI, _BOTH = Sender.HOST, Sender.PI, Sender.BOTH
_IN_ORDER, _AT_ONCE, _UNNUMBERED = Delivery.ORDERED, Delivery.UNORDERED, Delivery.UNNUMBERED
_RADIO_ID: Final = BodyField("radio_id", "B", "radio id of the partner that sent it, 0x4A to 0x4D")
_TRANSFER: Final = BodyField("transfer", "H", "number of the transfer, chosen by the host")
_OFFSET: Final = BodyField("offset", "I", "offset of the first byte in the file")
_SIZE: Final = BodyField("size", "I", "size of the whole file, B")
_FILE_CRC: Final = BodyField("crc", "I", "CRC-32 of the whole file")
_FIRST: Final = BodyField("first", "H", "index of the first entry to list")
_INDEX: Final = BodyField("index", "H", "index of this entry, from 0")
_TOTAL: Final = BodyField("total", "H", "number of entries; an answer without a name means that `first` is beyond them")


def _packet(name: str, meaning: str, tail: str, size: int, *fields: BodyField) -> SentenceType:
    return SentenceType(name, _HOST, _AT_ONCE, meaning, fields, tail, size, size)


HELO: Final = SentenceType(
    "HELO",
    _BOTH,
    _UNNUMBERED,
    "opens a session",
    (
        BodyField("version_min", "B", "lowest protocol version supported"),
        BodyField("version_max", "B", "highest protocol version supported; the highest common one is used"),
        BodyField("window", "B", "ordered sentences that this end can hold while one is missing, 1 to 32"),
        BodyField("capabilities", "I", "1 live packets, 2 upload, 4 download, 8 parameters, 16 stop, 32 nesting"),
        BodyField("heard", "H", "session of the other end, 0: none received yet"),
        BodyField("ready", "B", "1: has received its own session number in `heard`, and so accepts numbered sentences"),
        BodyField("next_ordered", "H", "number of the next ordered sentence"),
        BodyField("next_unordered", "H", "number of the next unordered sentence"),
    ),
    "name and version of the software",
    NAME_MAX,
)
ACKN: Final = SentenceType(
    "ACKN",
    _BOTH,
    _UNNUMBERED,
    "acknowledgement",
    (
        BodyField("next_ordered", "H", "first ordered number that is missing"),
        BodyField("later_ordered", "I", "bit k: number next_ordered + 1 + k has arrived"),
        BodyField("newest_unordered", "H", "newest unordered number that has arrived"),
        BodyField("earlier_unordered", "I", "bit k: number newest_unordered - 1 - k has arrived"),
    ),
)
NAKN: Final = SentenceType(
    "NAKN",
    _BOTH,
    _IN_ORDER,
    "a sentence was received and is rejected",
    (
        BodyField("number", "H", "number of that sentence"),
        BodyField(
            "cause",
            "B",
            "1 unknown type, 2 body, 3 name, 4 order or offset, 5 storage, 6 value, 7 not possible at present",
        ),
    ),
    "four letters of that sentence's type, then the cause as text",
    TEXT_MAX,
    4,
)
LOST: Final = SentenceType(
    "LOST",
    _BOTH,
    _IN_ORDER,
    "the sender gave up an unordered sentence",
    (BodyField("number", "H", "number of that sentence"),),
    "four letters of its type",
    4,
    4,
)
PING: Final = SentenceType(
    "PING", _BOTH, _AT_ONCE, "asks for a PONG", (BodyField("key", "I", "returned in the answer"),)
)
PONG: Final = SentenceType("PONG", _BOTH, _AT_ONCE, "answers a PING", (BodyField("key", "I", "key of the PING"),))
SENS: Final = _packet("SENS", "sensor packet", "sensor packet as in `sense.bin`", 30)
GPSS: Final = _packet("GPSS", "GPS packet of a sense record", "GPS packet as in `sense.bin`", 99)
GPSR: Final = _packet("GPSR", "GPS packet of a range file", "GPS packet as in `rng#####.bin`", 102)
RANG: Final = _packet("RANG", "range packet", "range packet as in `rng#####.bin`", 12)
PGPS: Final = _packet("PGPS", "GPS packet of a partner", "GPS packet as in `rng#####.bin`", 102, _RADIO_ID)
PRNG: Final = _packet("PRNG", "range packet of a partner", "range packet as in `rng#####.bin`", 12, _RADIO_ID)
TIME: Final = SentenceType(
    "TIME",
    _HOST,
    _AT_ONCE,
    "time mark: spacecraft time at which this sentence was begun",
    (BodyField("spacecraft_time_s", "I", "spacecraft time, s"), BodyField("ms", "H", "milliseconds, 0 if unknown")),
)
STRQ: Final = SentenceType(
    "STRQ",
    _HOST,
    _AT_ONCE,
    "requests the status record or the info text",
    (BodyField("what", "B", "0 status record, 1 info text"),),
)
STAT: Final = SentenceType("STAT", _PI, _AT_ONCE, "status record", (), "the bytes of `pygnc_status.bin`", 1000)
INFO: Final = SentenceType("INFO", _PI, _AT_ONCE, "info text", (), "the text of `pygnc_info.txt`", 200)
EVNT: Final = SentenceType(
    "EVNT",
    _PI,
    _AT_ONCE,
    "an event",
    (BodyField("severity", "B", "0 info, 1 warning, 2 error"),),
    "name, colon, text, UTF-8",
    TEXT_MAX,
)
UPOP: Final = SentenceType(
    "UPOP",
    _HOST,
    _IN_ORDER,
    "upload: open or resume",
    (_TRANSFER, _SIZE, _FILE_CRC),
    "name",
    NAME_MAX,
    1,
)
UPST: Final = SentenceType(
    "UPST",
    _PI,
    _IN_ORDER,
    "upload: state, answers UPOP and UPCL",
    (
        _TRANSFER,
        BodyField("state", "B", "0 send from `offset`, 1 complete and in place, 2 CRC-32 wrong, bytes deleted"),
        BodyField("offset", "I", "bytes received so far"),
    ),
)
UPCH: Final = SentenceType("UPCH", _HOST, _IN_ORDER, "upload: chunk", (_TRANSFER, _OFFSET), "data", CHUNK_BYTES, 1)
UPCL: Final = SentenceType("UPCL", _HOST, _IN_ORDER, "upload: end", (_TRANSFER,))
DNLS: Final = SentenceType("DNLS", _HOST, _IN_ORDER, "download: list the files, newest first", (_FIRST,))
DNLE: Final = SentenceType(
    "DNLE",
    _PI,
    _IN_ORDER,
    "download: one file of the list; at most 16 answer a DNLS",
    (_INDEX, _TOTAL, BodyField("size", "I", "size of the file, B")),
    "name",
    NAME_MAX,
)
DNOP: Final = SentenceType(
    "DNOP", _HOST, _IN_ORDER, "download: open at an offset", (_TRANSFER, _OFFSET), "name", NAME_MAX, 1
)
DNST: Final = SentenceType(
    "DNST", _PI, _IN_ORDER, "download: file to be sent, answers DNOP", (_TRANSFER, _OFFSET, _SIZE, _FILE_CRC)
)
DNCH: Final = SentenceType("DNCH", _PI, _IN_ORDER, "download: chunk", (_TRANSFER, _OFFSET), "data", CHUNK_BYTES, 1)
DNCL: Final = SentenceType("DNCL", _HOST, _IN_ORDER, "download: complete or cancelled by the host", (_TRANSFER,))
PGET: Final = SentenceType("PGET", _HOST, _IN_ORDER, "requests a setting", (), "dotted name", NAME_MAX, 1)
PSET: Final = SentenceType(
    "PSET",
    _HOST,
    _IN_ORDER,
    "changes a setting; an empty value removes the change",
    (),
    "name = value",
    _SETTING_MAX,
    2,
)
PLST: Final = SentenceType("PLST", _HOST, _IN_ORDER, "lists the settings; at most 16 answer a PLST", (_FIRST,))
PVAL: Final = SentenceType(
    "PVAL",
    _PI,
    _IN_ORDER,
    "value of a setting, answers PGET, PSET and PLST",
    (
        _INDEX,
        _TOTAL,
        BodyField("flags", "B", "1 set over this interface, 2 a change takes effect at the next start"),
    ),
    "name = value",
    TEXT_MAX,
)
STOP: Final = SentenceType("STOP", _HOST, _AT_ONCE, "stops the run like Ctrl-C")

TYPES: Final = {
    kind.name: kind
    for kind in (
        *(HELO, ACKN, NAKN, LOST, PING, PONG),
        *(SENS, GPSS, GPSR, RANG, PGPS, PRNG, TIME),
        *(STRQ, STAT, INFO, EVNT),
        *(UPOP, UPST, UPCH, UPCL, DNLS, DNLE, DNOP, DNST, DNCH, DNCL),
        *(PGET, PSET, PLST, PVAL, STOP),
    )
}
"""All types by name, in the order of the documentation."""
