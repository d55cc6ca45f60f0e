"""Sentence types of the streaming interface: sender, delivery and body of each.

The tables in the documentation are generated from these declarations.

A body is a sequence of little-endian fields without padding, followed by bytes or text of up to `tail_max` bytes, or by
a packet with the same bytes as in the files.
"""

import struct
from enum import IntEnum, IntFlag, StrEnum, unique
from functools import partial
from typing import Final, NamedTuple

from pygnc.formats import ranges, sense
from pygnc.formats.gps_packet import RANGE_GPS_FIELDS, SENSE_GPS_FIELDS
from pygnc.formats.layout import Field, format_of, size_of, words_of
from pygnc.host.sentence import Delivery

VERSION: Final = 1
VERSION_MIN: Final = 1
"""Lowest protocol version that this software supports; VERSION is the highest."""
CHUNK_BYTES: Final = 762
"""Data bytes in a chunk of a file. Data and 6 bytes of fields fill 1024 characters: 72.4 % of the line carries data,
and one sentence in ten is lost at a byte error rate of 1e-4. Half the size would carry 70.0 %."""
NAME_MAX: Final = 64
TEXT_MAX: Final = 512


@unique
class Sender(StrEnum):
    """End that sends sentences of a type."""

    HOST = "host"
    PI = "Pi"
    BOTH = "both"


class BodyError(ValueError):
    """Error raised when the body of a valid sentence does not match its type."""


class Body(NamedTuple):
    """Decoded body: fields by name and the bytes after them."""

    fields: dict[str, int]
    tail: bytes


class SentenceType(NamedTuple):
    """Declaration of one type of sentence.

    Attributes:
        name: Four capital letters.
        sender: End that sends the type.
        delivery: Kind of delivery.
        meaning: Meaning, for the documentation.
        fields: Fields at the beginning of the body.
        tail: Meaning of the bytes after the fields; empty if there are none.
        tail_max: Maximum number of bytes after the fields.
        tail_min: Minimum number of bytes after the fields.
        packet: Fields of the packet after the fields, if they are followed by one.
        tail_is_text: True if the bytes after the fields are text, UTF-8.
    """

    name: str
    sender: Sender
    delivery: Delivery
    meaning: str
    fields: tuple[Field, ...]
    tail: str
    tail_max: int
    tail_min: int
    packet: tuple[Field, ...] = ()
    tail_is_text: bool = True

    def pack(self, *values: int, tail: bytes = b"") -> bytes:
        """Encode a body from the values of all fields, in order, and the bytes after them (`tail`).

        Raises:
            BodyError: A value does not fit its field, or the tail is too long or too short.
        """
        try:
            head = struct.pack(format_of(self.fields), *values)
        except struct.error as error:
            raise BodyError(f"{self.name}: {error}") from None
        self._check_tail(len(tail))
        return head + tail

    def unpack(self, body: bytes) -> Body:
        """Decode a body to its fields by name and the bytes after them.

        Raises:
            BodyError: The body is too short or too long.
        """
        size = struct.calcsize(format_of(self.fields))
        if len(body) < size:
            raise BodyError(
                f"{self.name}: the body has {len(body)} bytes; at least {size + self.tail_min} are expected"
            )
        self._check_tail(len(body) - size)
        values = struct.unpack_from(format_of(self.fields), body)
        return Body(dict(zip((field.name for field in self.fields), values, strict=True)), body[size:])

    def _check_tail(self, length: int) -> None:
        if not self.tail_min <= length <= self.tail_max:
            wanted = f"{self.tail_min} to {self.tail_max}" if self.tail_min < self.tail_max else f"{self.tail_max}"
            raise BodyError(f"{self.name}: the body has {length} bytes after the fields; {wanted} are expected")


@unique
class Capability(IntFlag):
    """Optional functions that an end announces in its HELO."""

    LIVE = 1
    UPLOAD = 2
    DOWNLOAD = 4
    PARAMETERS = 8
    STOP = 16
    NESTING = 32
    """The end can parse sentences that are nested in another sentence."""


@unique
class NakCause(IntEnum):
    """Reason why a valid sentence was rejected."""

    UNKNOWN_TYPE = 1
    BODY = 2
    """The body does not match the type."""
    NAME = 3
    """The file may not be written or read, or the setting does not exist."""
    ORDER = 4
    """The transfer is not open, or the offset of a chunk is wrong."""
    STORAGE = 5
    """Reading or writing a file failed, or the disk is full."""
    VALUE = 6
    """The value is invalid or not permitted."""
    UNABLE = 7
    """The request cannot be carried out at present."""


@unique
class UploadState(IntEnum):
    """State of an upload that the Pi reports in UPST."""

    CONTINUE = 0
    COMPLETE = 1
    DAMAGED = 2
    """The CRC-32 of the whole file is wrong; its bytes were deleted."""


@unique
class ReportKind(IntEnum):
    """Report requested by STRQ: status record or info text."""

    STATUS = 0
    INFO = 1


@unique
class ParameterFlag(IntFlag):
    """Flags of a setting in a PVAL sentence, which reports its value to the host."""

    CHANGED = 1
    """Set over this interface, not by the settings file or by default."""
    NEXT_START = 2
    """A change takes effect at the next start."""
    GIVEN_UP = 4
    """Set over this interface, but given up or invalid; the value is that of this run and of the next start."""


TYPES: Final[dict[str, SentenceType]] = {}
"""All types by name, in the order of the documentation."""

LIVE_TYPES: Final[dict[str, SentenceType]] = {}
"""Types of packets and time marks that the host sends during a run, by name."""


def _declare(
    sender: Sender,
    delivery: Delivery,
    name: str,
    meaning: str,
    *fields: Field,
    tail: str = "",
    tail_max: int = 0,
    tail_min: int = 0,
    packet: tuple[Field, ...] = (),
    tail_is_text: bool = True,
) -> SentenceType:
    is_text = tail_is_text and not packet
    TYPES[name] = SentenceType(name, sender, delivery, meaning, fields, tail, tail_max, tail_min, packet, is_text)
    return TYPES[name]


_control = partial(_declare, Sender.BOTH, Delivery.UNNUMBERED)
_notice = partial(_declare, Sender.BOTH, Delivery.ORDERED)
_probe = partial(_declare, Sender.BOTH, Delivery.UNORDERED)
_query = partial(_declare, Sender.HOST, Delivery.UNORDERED)
_report = partial(_declare, Sender.PI, Delivery.UNORDERED)
_request = partial(_declare, Sender.HOST, Delivery.ORDERED)
_response = partial(_declare, Sender.PI, Delivery.ORDERED)


def _live(name: str, meaning: str, *fields: Field, tail: str = "", packet: tuple[Field, ...] = ()) -> SentenceType:
    size = size_of(packet)
    LIVE_TYPES[name] = _query(name, meaning, *fields, tail=tail, tail_max=size, tail_min=size, packet=packet)
    return LIVE_TYPES[name]


_RADIO_ID: Final = Field("radio_id", "B", "", "radio id of the partner that made the packet, 0x4A to 0x4D")
_TRANSFER: Final = Field("transfer", "H", "", "number of the transfer, chosen by the host")
_OFFSET: Final = Field("offset", "I", "B", "offset of the first byte in the file")
_SIZE: Final = Field("size", "I", "B", "size of the whole file")
_FILE_CRC: Final = Field("crc", "I", "", "CRC-32 of the whole file")
_FIRST: Final = Field("first", "H", "", "index of the first entry to list")
_INDEX: Final = Field("index", "H", "", "index of this entry, from 0")
_TOTAL: Final = Field(
    "total", "H", "", "number of entries; a response without a name means that `first` is beyond them"
)
_NUMBER: Final = Field("number", "H", "", "number of the sentence concerned")

HELO: Final = _control(
    "HELO",
    "opens a session",
    Field("version_min", "B", "", "lowest protocol version supported"),
    Field("version_max", "B", "", "highest protocol version supported; the highest common one is used"),
    Field("window", "B", "", "ordered sentences that this end can hold while one is missing, 1 to 32"),
    Field("capabilities", "I", "", "optional functions", flags=words_of(Capability)),
    Field("heard", "H", "", "session of the other end, 0: none received yet"),
    Field("ready", "B", "", "1: has received its own session number in `heard`, and so accepts numbered sentences"),
    Field("next_ordered", "H", "", "number of the next ordered sentence"),
    Field("next_unordered", "H", "", "number of the next unordered sentence"),
    tail="name and version of the software",
    tail_max=NAME_MAX,
)
ACKN: Final = _control(
    "ACKN",
    "acknowledgement",
    Field("next_ordered", "H", "", "first ordered number that is missing"),
    Field("later_ordered", "I", "", "bit k: number next_ordered + 1 + k has arrived"),
    Field("newest_unordered", "H", "", "newest unordered number that has arrived"),
    Field("earlier_unordered", "I", "", "bit k: number newest_unordered - 1 - k has arrived"),
)
_CAUSE: Final = "reason; order: the transfer is not open or the offset is wrong; unable: not possible at present"
NAKN: Final = _notice(
    "NAKN",
    "a sentence was received and is rejected",
    _NUMBER,
    Field("cause", "B", "", _CAUSE, words=words_of(NakCause)),
    tail="four letters of the rejected sentence's type, then the cause as text",
    tail_max=TEXT_MAX,
    tail_min=4,
)
LOST: Final = _notice(
    "LOST",
    "the sender gave up an unordered sentence",
    _NUMBER,
    tail="four letters of the lost sentence's type",
    tail_max=4,
    tail_min=4,
)
PING: Final = _probe("PING", "asks for a PONG", Field("key", "I", "", "returned in the PONG"))
PONG: Final = _probe("PONG", "responds to a PING", Field("key", "I", "", "key of the PING"))
SENS: Final = _live("SENS", "sensor packet", tail="sensor packet as in `sense.bin`", packet=sense.FIELDS)
GPSS: Final = _live(
    "GPSS", "GPS packet of a sense record", tail="GPS packet as in `sense.bin`", packet=SENSE_GPS_FIELDS
)
_RANGE_FILE_GPS: Final = "GPS packet as in `rng#####.bin`"
_RANGE_FILE_RANGE: Final = "range packet as in `rng#####.bin`"
GPSR: Final = _live("GPSR", "GPS packet of a range file", tail=_RANGE_FILE_GPS, packet=RANGE_GPS_FIELDS)
RANG: Final = _live("RANG", "range packet", tail=_RANGE_FILE_RANGE, packet=ranges.FIELDS)
PGPS: Final = _live("PGPS", "GPS packet of a partner", _RADIO_ID, tail=_RANGE_FILE_GPS, packet=RANGE_GPS_FIELDS)
PRNG: Final = _live("PRNG", "range packet of a partner", _RADIO_ID, tail=_RANGE_FILE_RANGE, packet=ranges.FIELDS)
TIME: Final = _live(
    "TIME",
    "time mark: spacecraft time at which this sentence was begun",
    Field("spacecraft_time_s", "I", "s", "spacecraft time"),
    Field("ms", "H", "ms", "milliseconds, 0 if unknown"),
)
STRQ: Final = _query(
    "STRQ", "requests the status record or the info text", Field("what", "B", "", "report", words=words_of(ReportKind))
)
STAT: Final = _report(
    "STAT", "status record", tail="the bytes of `pygnc_status.bin`", tail_max=1000, tail_is_text=False
)
INFO: Final = _report("INFO", "info text", tail="the text of `pygnc_info.txt`", tail_max=200)
_SEVERITY: Final = Field("severity", "B", "", "severity", words=((0, "info"), (1, "warning"), (2, "error")))
EVNT: Final = _report("EVNT", "an event", _SEVERITY, tail="name, colon, text, UTF-8", tail_max=TEXT_MAX)
UPOP: Final = _request(
    "UPOP",
    "upload: open or resume",
    _TRANSFER,
    _SIZE,
    _FILE_CRC,
    tail="name",
    tail_max=NAME_MAX,
    tail_min=1,
)
UPST: Final = _response(
    "UPST",
    "upload: state, responds to UPOP and UPCL",
    _TRANSFER,
    Field(
        "state",
        "B",
        "",
        "send from `offset`, complete and in place, or CRC-32 wrong and bytes deleted",
        words=words_of(UploadState),
    ),
    Field("offset", "I", "B", "bytes received so far"),
)
UPCH: Final = _request(
    "UPCH", "upload: chunk", _TRANSFER, _OFFSET, tail="data", tail_max=CHUNK_BYTES, tail_min=1, tail_is_text=False
)
UPCL: Final = _request("UPCL", "upload: end", _TRANSFER)
DNLS: Final = _request("DNLS", "download: list the files, newest first", _FIRST)
DNLE: Final = _response(
    "DNLE",
    "download: one file of the list; at most 16 DNLE respond to a DNLS",
    _INDEX,
    _TOTAL,
    Field("size", "I", "B", "size of the file"),
    tail="name",
    tail_max=NAME_MAX,
)
DNOP: Final = _request(
    "DNOP", "download: open at an offset", _TRANSFER, _OFFSET, tail="name", tail_max=NAME_MAX, tail_min=1
)
DNST: Final = _response("DNST", "download: file to be sent, responds to DNOP", _TRANSFER, _OFFSET, _SIZE, _FILE_CRC)
DNCH: Final = _response(
    "DNCH", "download: chunk", _TRANSFER, _OFFSET, tail="data", tail_max=CHUNK_BYTES, tail_min=1, tail_is_text=False
)
DNCL: Final = _request("DNCL", "download: complete or cancelled by the host", _TRANSFER)
PGET: Final = _request("PGET", "requests a setting", tail="dotted name", tail_max=NAME_MAX, tail_min=1)
PSET: Final = _request(
    "PSET",
    "changes a setting; an empty value removes the change",
    tail="name = value",
    tail_max=TEXT_MAX - 4,  # the response adds blanks around the equals sign and must fit too
    tail_min=2,
)
PLST: Final = _request("PLST", "lists the settings; at most 16 PVAL respond to a PLST", _FIRST)
_FLAGS: Final = Field(
    "flags",
    "B",
    "",
    "set over this interface; a change takes effect at the next start",
    flags=words_of(ParameterFlag),
)
PVAL: Final = _response(
    "PVAL",
    "value of a setting, responds to PGET, PSET and PLST",
    _INDEX,
    _TOTAL,
    _FLAGS,
    tail="name = value",
    tail_max=TEXT_MAX,
)
STOP: Final = _query("STOP", "stops the run like Ctrl-C")
