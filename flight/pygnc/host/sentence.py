"""Sentences of the streaming interface: printable lines that a parser finds again after any damage.

A sentence is `>SENS,1F03,i0012,BASE64*CRC32` CR LF: direction, four letters of type, session of the sender, delivery
letter and sequence number, body, and CRC-32 (zlib) over everything before it, `*` included. Hexadecimal digits are
upper-case. The delivery letter is a capital in a retry. A line has fewer than 4096 characters, the limit of terminals,
and contains no control characters before its end.

`<` and `>` begin sentences and occur nowhere else in them. A sentence is therefore read despite junk before it (a
prompt, an echo), a lost or damaged line end, and inserted control characters. Other damage loses only the sentence that
it touches.

A short sentence may be nested in a long one: its characters and line end interrupt the long line, which then continues.
The CRC-32 decides whether the two parts of the long line belong together.
"""

import binascii
import re
import zlib
from dataclasses import dataclass
from enum import StrEnum, unique
from itertools import islice
from typing import Final, NamedTuple

LINE_MAX: Final = 4095
"""Maximum characters of a line, CR LF included."""
LINE_END: Final = b"\r\n"


@unique
class Direction(StrEnum):
    """First character of a sentence. A received sentence with the receiver's own direction is an echo."""

    TO_PI = ">"
    TO_HOST = "<"


@unique
class Delivery(StrEnum):
    """Kind of delivery; ordered and unordered sentences have separate sequence numbers."""

    ORDERED = "r"
    """Delivered in the order of sending, without gaps, as long as the session lasts."""
    UNORDERED = "i"
    """Delivered on arrival; retried for a limited time."""
    UNNUMBERED = "c"
    """Neither acknowledged nor retried; controls the delivery of the other two kinds."""


class Sentence(NamedTuple):
    """A sentence with valid form and CRC-32.

    Attributes:
        direction: First character.
        kind: Four letters of type.
        session: Session of the sender, 0 to 65535.
        delivery: Kind of delivery.
        number: Sequence number, 0 to 65535.
        body: Decoded bytes of the body.
        is_retry: True if the sentence was sent before.
    """

    direction: Direction
    kind: str
    session: int
    delivery: Delivery
    number: int
    body: bytes
    is_retry: bool = False


@unique
class LineDamage(StrEnum):
    """Reason why bytes of the line belong to no sentence."""

    JUNK = "junk"
    """Does not begin like a sentence: a prompt, output of a shell, the rest of an interrupted sentence."""
    CORRUPT = "corrupt"
    """Begins like a sentence, but its form or CRC is wrong."""


class Skipped(NamedTuple):
    """Bytes `start` to `stop` (exclusive), counted from the first byte received, that belong to no sentence."""

    start: int
    stop: int
    reason: LineDamage


@dataclass(frozen=True, slots=True)
class Parsed:
    """Result of parsing received bytes: the sentences completed, and the byte ranges that belong to none."""

    sentences: list[Sentence]
    skipped: list[Skipped]


_PIECE: Final = re.compile(rb"[\r\n]+|[<>][^<>\r\n]{0,%d}|[^<>\r\n]{1,%d}" % (LINE_MAX - 1, LINE_MAX))
"""Piece of the received bytes; it ends at a line end, before the beginning of a sentence, or at the maximum length."""
_FORM: Final = re.compile(
    rb"([<>][A-Z]{4}),([0-9A-F]{4}),([rRiIcC])([0-9A-F]{4}),"
    rb"((?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?)\*([0-9A-F]{8})"
)
_CONTROLS: Final = bytes(range(0x20)) + bytes(range(0x7F, 0x100))
_BEGINS: Final = frozenset({b"<", b">"})
_OVERHEAD: Final = len(">TYPE,0000,r0000,*00000000\r\n")
BODY_MAX: Final = (LINE_MAX - _OVERHEAD) // 4 * 3
"""Maximum number of bytes of a body, before base64 encoding."""


def encode(sentence: Sentence) -> bytes:
    """Encode a sentence as a line with CR LF.

    Raises:
        ValueError: The body is longer than BODY_MAX.
    """
    if len(sentence.body) > BODY_MAX:
        raise ValueError(f"sentence {sentence.kind}: the body has {len(sentence.body)} bytes; at most {BODY_MAX} fit")
    letter = sentence.delivery.upper() if sentence.is_retry else sentence.delivery
    head = f"{sentence.direction}{sentence.kind},{sentence.session:04X},{letter}{sentence.number:04X},"
    text = head.encode() + binascii.b2a_base64(sentence.body, newline=False) + b"*"
    return text + b"%08X" % zlib.crc32(text) + LINE_END


class _Interrupted(NamedTuple):
    """Parts so far of a sentence that another sentence interrupted, and their byte ranges in the line."""

    text: bytes
    ranges: tuple[Skipped, ...]


class SentenceParser:
    """Incremental parser of received bytes. The result does not depend on their division among calls of `feed`."""

    def __init__(self) -> None:
        self._pending = b""
        self._pending_at = 0
        self._interrupted: _Interrupted | None = None

    def feed(self, data: bytes) -> Parsed:
        """Parse further bytes; return the sentences completed by them and the byte ranges skipped."""
        octets = self._pending + data
        base = self._pending_at
        parsed = Parsed([], [])
        done = 0
        for match in _PIECE.finditer(octets):
            piece = match[0]
            is_line_end = piece[0] in LINE_END
            if match.end() == len(octets) and len(piece) < LINE_MAX and not is_line_end:
                break
            done = match.end()
            if not is_line_end:
                self._parse_piece(piece, base + match.start(), octets[done : done + 1] in _BEGINS, parsed)
        self._pending = octets[done:]
        self._pending_at = base + done
        return parsed

    def _parse_piece(self, piece: bytes, start: int, is_interrupted: bool, parsed: Parsed) -> None:  # noqa: FBT001 - private method with one caller
        text = piece.translate(None, _CONTROLS)
        begins = piece[:1] in _BEGINS
        before = b"" if begins or self._interrupted is None else self._interrupted.text
        skipped = Skipped(start, start + len(piece), LineDamage.CORRUPT if begins else LineDamage.JUNK)
        if form := _match_valid(before + text):
            parsed.sentences.append(_sentence(form))
            if form.end() < len(before + text):
                junk_start = start + _offset_of_printable(piece, form.end() - len(before))
                parsed.skipped.append(Skipped(junk_start, skipped.stop, LineDamage.JUNK))
            if before:
                self._interrupted = None
        elif text and begins and is_interrupted:
            self._discard_interrupted(parsed)
            self._interrupted = _Interrupted(text, (skipped,))
        elif text and self._interrupted is not None and not begins:
            self._interrupted = _Interrupted(before + text, (*self._interrupted.ranges, skipped))
            if not is_interrupted or len(before + text) > LINE_MAX:
                self._discard_interrupted(parsed)
        elif text:
            parsed.skipped.append(skipped)

    def _discard_interrupted(self, parsed: Parsed) -> None:
        if self._interrupted is not None:
            parsed.skipped.extend(self._interrupted.ranges)
        self._interrupted = None


def _offset_of_printable(piece: bytes, count: int) -> int:
    """Return the offset of the printable byte that has `count` printable bytes before it."""
    printable = (at for at, octet in enumerate(piece) if octet not in _CONTROLS)
    return next(islice(printable, count, None))


def _match_valid(text: bytes) -> re.Match[bytes] | None:
    """Match the sentence at the beginning of `text`; return None if there is none or its CRC-32 is wrong."""
    form = _FORM.match(text)
    return form if form is not None and zlib.crc32(text[: form.start(6)]) == int(form[6], 16) else None


def _sentence(form: re.Match[bytes]) -> Sentence:
    head, letter = form[1].decode(), form[3].decode()
    return Sentence(
        Direction(head[0]),
        head[1:],
        int(form[2], 16),
        Delivery(letter.lower()),
        int(form[4], 16),
        binascii.a2b_base64(form[5]),
        is_retry=letter.isupper(),
    )
