"""Every type of sentence: who sends it, how it is delivered, and what its body holds. Documentation is made from it.

A body is a row of little-endian fields without padding, then bytes or text of any length up to `tail_max`. Packets
travel in exactly the bytes of the interface's files.
"""

import struct
from enum import IntEnum, IntFlag, StrEnum, unique
from typing import Final, NamedTuple

from pygnc.host.sentence import Delivery

VERSION: Final = 1
VERSION_MIN: Final = 1
"""Versions of the protocol that this software speaks, from the least to VERSION."""
CHUNK_BYTES: Final = 762
"""Data in a chunk of a file. With 6 bytes in front they fill 1024 characters: 72.4 % of the line carry data, and one
sentence in ten is lost when one byte in ten thousand is. Half the size would carry 70.0 %."""
NAME_MAX: Final = 64
TEXT_MAX: Final = 512
_SETTING_MAX: Final = TEXT_MAX - 4
"""Leaves room for blanks in the answer."""


@unique
class Sender(StrEnum):
    """Which end sends a type."""

    HOST = "host"
    PI = "Pi"
    BOTH = "both"


class BodyField(NamedTuple):
    """One field of a body; `code` is of the struct module."""

    name: str
    code: str
    meaning: str


class BodyError(ValueError):
    """The body of an undamaged sentence is not what its type says; the message says why."""


class Body(NamedTuple):
    """What a body holds: its fields by name, and the bytes behind them."""

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
    """What stands behind the fields; empty: nothing."""
    tail_max: int = 0
    tail_min: int = 0

    def pack(self, *values: int, tail: bytes = b"") -> bytes:
        """Return the body.

        Raises:
            BodyError: a value does not fit its field, or the tail is too long or too short.
        """
        try:
            head = struct.pack(_layout(self), *values)
        except struct.error as error:
            raise BodyError(f"{self.name}: {error}") from None
        self._check_tail(len(tail))
        return head + tail

    def unpack(self, body: bytes) -> Body:
        """Return what the body holds.

        Raises:
            BodyError: the body is too short or too long.
        """
        size = struct.calcsize(_layout(self))
        if len(body) < size:
            raise BodyError(f"{self.name}: {len(body)} bytes, at least {size + self.tail_min} are needed")
        self._check_tail(len(body) - size)
        values = struct.unpack_from(_layout(self), body)
        return Body(dict(zip((field.name for field in self.fields), values, strict=True)), body[size:])

    def _check_tail(self, length: int) -> None:
        if not self.tail_min <= length <= self.tail_max:
            wanted = f"{self.tail_min} to {self.tail_max}" if self.tail_min < self.tail_max else f"{self.tail_max}"
            raise BodyError(f"{self.name}: {length} bytes behind the fields, not {wanted}")


def _layout(kind: SentenceType) -> str:
    return "<" + "".join(field.code for field in kind.fields)


@unique
class Capability(IntFlag):
    """What an end can do, as it says in its HELO."""

    LIVE = 1
    UPLOAD = 2
    DOWNLOAD = 4
    PARAMETERS = 8
    STOP = 16
    NESTING = 32
    """Reads a sentence in the midst of another one."""


@unique
class NakCause(IntEnum):
    """Why a sentence that arrived undamaged was not obeyed."""

    UNKNOWN_TYPE = 1
    BODY = 2
    """The body is not what the type says."""
    NAME = 3
    """A name that may not be written or read, or of a setting that does not exist."""
    ORDER = 4
    """A chunk that fits no transfer under way, or not at its place."""
    STORAGE = 5
    """The disk refused."""
    VALUE = 6
    """A setting's value is impossible."""
    UNABLE = 7
    """This end does not do that now."""


@unique
class UploadState(IntEnum):
    """How an upload stands."""

    GO_ON = 0
    COMPLETE = 1
    DAMAGED = 2
    """The whole file's CRC-32 does not agree; nothing of it is kept."""


@unique
class Question(IntEnum):
    """What a status request asks for."""

    STATUS = 0
    INFO = 1


@unique
class ParameterFlag(IntFlag):
    """What is said of a setting beside its value."""

    CHANGED = 1
    """Set over this interface, not by the settings file or by default."""
    NEXT_START = 2
    """A change takes effect at the next start."""


_HOST, _PI, _BOTH = Sender.HOST, Sender.PI, Sender.BOTH
_IN_ORDER, _AT_ONCE, _UNNUMBERED = Delivery.IN_ORDER, Delivery.AT_ONCE, Delivery.UNNUMBERED
_RADIO_ID: Final = BodyField("radio_id", "B", "of the partner that sent it, 0x4A to 0x4D")
_TRANSFER: Final = BodyField("transfer", "H", "number that the host gave the transfer")
_OFFSET: Final = BodyField("offset", "I", "place of the first byte in the file")
_SIZE: Final = BodyField("size", "I", "of the whole file, B")
_FILE_CRC: Final = BodyField("crc", "I", "CRC-32 of the whole file")
_FIRST: Final = BodyField("first", "H", "entries to leave out, 0: from the first on")
_INDEX: Final = BodyField("index", "H", "of this entry, from 0")
_TOTAL: Final = BodyField("total", "H", "entries there are; behind the last one an answer has no name")


def _packet(name: str, meaning: str, tail: str, size: int, *fields: BodyField) -> SentenceType:
    return SentenceType(name, _HOST, _AT_ONCE, meaning, fields, tail, size, size)


HELO: Final = SentenceType(
    "HELO",
    _BOTH,
    _UNNUMBERED,
    "opens a session",
    (
        BodyField("version_min", "B", "least version of the protocol that this end speaks"),
        BodyField("version_max", "B", "highest; the highest common one is spoken"),
        BodyField("window", "B", "sentences in order that this end can hold while one is missing, 1 to 32"),
        BodyField("capabilities", "I", "1 live packets, 2 upload, 4 download, 8 parameters, 16 stop, 32 nesting"),
        BodyField("heard", "H", "the other end's session, 0: none heard yet"),
        BodyField("ready", "B", "1: has heard its own session from the other end, and so takes numbered sentences"),
        BodyField("next_in_order", "H", "number of the next sentence in order"),
        BodyField("next_at_once", "H", "number of the next sentence delivered at once"),
    ),
    "name and version of the software",
    NAME_MAX,
)
ACKN: Final = SentenceType(
    "ACKN",
    _BOTH,
    _UNNUMBERED,
    "says what has arrived",
    (
        BodyField("next_in_order", "H", "first number in order that is missing"),
        BodyField("later_in_order", "I", "bit k: number next_in_order + 1 + k is here"),
        BodyField("newest_at_once", "H", "newest number delivered at once"),
        BodyField("earlier_at_once", "I", "bit k: number newest_at_once - 1 - k is here"),
    ),
)
NAKN: Final = SentenceType(
    "NAKN",
    _BOTH,
    _IN_ORDER,
    "a sentence arrived and is not obeyed",
    (
        BodyField("number", "H", "of that sentence"),
        BodyField(
            "cause", "B", "1 unknown type, 2 body, 3 name, 4 order or place, 5 storage, 6 value, 7 unable at present"
        ),
    ),
    "four letters of that sentence's type, then the cause in words",
    TEXT_MAX,
    4,
)
LOST: Final = SentenceType(
    "LOST",
    _BOTH,
    _IN_ORDER,
    "the sender gave up a sentence delivered at once",
    (BodyField("number", "H", "of that sentence"),),
    "four letters of its type",
    4,
    4,
)
PING: Final = SentenceType(
    "PING", _BOTH, _AT_ONCE, "asks for a PONG", (BodyField("key", "I", "comes back in the answer"),)
)
PONG: Final = SentenceType("PONG", _BOTH, _AT_ONCE, "answers a PING", (BodyField("key", "I", "of the PING"),))
SENS: Final = _packet("SENS", "sensor packet", "sensor packet as in `sense.bin`", 30)
GPSS: Final = _packet("GPSS", "GPS packet of a sense record", "GPS packet as in `sense.bin`", 99)
GPSR: Final = _packet("GPSR", "GPS packet of a range file", "GPS packet as in `rng#####.bin`", 102)
RANG: Final = _packet("RANG", "range packet", "range packet as in `rng#####.bin`", 12)
PGPS: Final = _packet("PGPS", "a partner's GPS packet", "GPS packet as in `rng#####.bin`", 102, _RADIO_ID)
PRNG: Final = _packet("PRNG", "a partner's range packet", "range packet as in `rng#####.bin`", 12, _RADIO_ID)
TIME: Final = SentenceType(
    "TIME",
    _HOST,
    _AT_ONCE,
    "time mark: the spacecraft time when this sentence began",
    (BodyField("spacecraft_time_s", "I", "s"), BodyField("ms", "H", "and milliseconds, 0 if not known")),
)
STRQ: Final = SentenceType(
    "STRQ",
    _HOST,
    _AT_ONCE,
    "asks for the status",
    (BodyField("what", "B", "0 status record, 1 info line"),),
)
STAT: Final = SentenceType("STAT", _PI, _AT_ONCE, "status", (), "the bytes of `pygnc_status.bin`", 1000)
INFO: Final = SentenceType("INFO", _PI, _AT_ONCE, "info line", (), "the text of `pygnc_info.txt`", 200)
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
    "upload: opens one, or goes on with it",
    (_TRANSFER, _SIZE, _FILE_CRC),
    "name",
    NAME_MAX,
    1,
)
UPST: Final = SentenceType(
    "UPST",
    _PI,
    _IN_ORDER,
    "upload: how it stands, answers UPOP and UPCL",
    (
        _TRANSFER,
        BodyField("state", "B", "0 send from offset on, 1 complete and in place, 2 CRC-32 wrong, nothing kept"),
        BodyField("offset", "I", "bytes that are here"),
    ),
)
UPCH: Final = SentenceType("UPCH", _HOST, _IN_ORDER, "upload: a chunk", (_TRANSFER, _OFFSET), "data", CHUNK_BYTES, 1)
UPCL: Final = SentenceType("UPCL", _HOST, _IN_ORDER, "upload: that was all", (_TRANSFER,))
DNLS: Final = SentenceType("DNLS", _HOST, _IN_ORDER, "download: asks for names, newest first", (_FIRST,))
DNLE: Final = SentenceType(
    "DNLE",
    _PI,
    _IN_ORDER,
    "download: a name; at most 16 answer a DNLS",
    (_INDEX, _TOTAL, BodyField("size", "I", "of the file, B")),
    "name",
    NAME_MAX,
)
DNOP: Final = SentenceType(
    "DNOP", _HOST, _IN_ORDER, "download: opens one from a place on", (_TRANSFER, _OFFSET), "name", NAME_MAX, 1
)
DNST: Final = SentenceType(
    "DNST", _PI, _IN_ORDER, "download: what comes, answers DNOP", (_TRANSFER, _OFFSET, _SIZE, _FILE_CRC)
)
DNCH: Final = SentenceType("DNCH", _PI, _IN_ORDER, "download: a chunk", (_TRANSFER, _OFFSET), "data", CHUNK_BYTES, 1)
DNCL: Final = SentenceType("DNCL", _HOST, _IN_ORDER, "download: the host has all, or wants no more", (_TRANSFER,))
PGET: Final = SentenceType("PGET", _HOST, _IN_ORDER, "asks for a setting", (), "name with dots", NAME_MAX, 1)
PSET: Final = SentenceType(
    "PSET",
    _HOST,
    _IN_ORDER,
    "sets a setting, or with nothing behind the = unsets it",
    (),
    "name = value",
    _SETTING_MAX,
    2,
)
PLST: Final = SentenceType("PLST", _HOST, _IN_ORDER, "asks for all settings; at most 16 come at a time", (_FIRST,))
PVAL: Final = SentenceType(
    "PVAL",
    _PI,
    _IN_ORDER,
    "a setting, answers PGET, PSET and PLST",
    (
        _INDEX,
        _TOTAL,
        BodyField("flags", "B", "1 set over this interface, 2 a change takes effect at the next start"),
    ),
    "name = value",
    TEXT_MAX,
)
STOP: Final = SentenceType("STOP", _HOST, _AT_ONCE, "stops the run, as Ctrl-C does")

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
