"""One printable sentence per line, found again after any damage.

A sentence is `>SENS,1F03,i0012,BASE64*CRC32` CR LF: direction, four letters of type, session of the sender, delivery
letter and number, body, and CRC-32 (zlib) over everything before it, `*` included. Hexadecimal digits are upper-case.
The delivery letter is a capital in a retry. A line has fewer than 4096 characters, so that no terminal cuts it, and
none of them is a control character.

`<` and `>` begin sentences and stand nowhere else in them. So junk in front of a sentence (a prompt, an echo), a lost
or mangled line end, and control characters strewn in cost nothing; damage costs the sentence that it touches.
"""

import binascii
import re
import zlib
from dataclasses import dataclass
from enum import StrEnum, unique
from itertools import islice
from typing import Final, NamedTuple

LINE_MAX: Final = 4095
"""Characters in a line, CR LF included."""
LINE_END: Final = b"\r\n"


@unique
class Direction(StrEnum):
    """Who speaks to whom. Whoever reads its own direction hears an echo."""

    TO_PI = ">"
    TO_HOST = "<"


@unique
class Delivery(StrEnum):
    """How a sentence is delivered; each of the numbered ways counts on its own."""

    IN_ORDER = "r"
    """In the order of sending, without gaps, while the line holds."""
    AT_ONCE = "i"
    """As it arrives; retried for a limited time."""
    UNNUMBERED = "c"
    """Neither acknowledged nor retried: what the other two are made of."""


class Sentence(NamedTuple):
    """An undamaged sentence. `session` and `number` have 16 bits; `is_retry` says that it was sent before."""

    direction: Direction
    kind: str
    session: int
    delivery: Delivery
    number: int
    body: bytes
    is_retry: bool = False


@unique
class LineDamage(StrEnum):
    """Why bytes of the line are part of no sentence."""

    JUNK = "junk"
    """Does not begin like a sentence: a prompt, a shell's output, the rest of a torn sentence."""
    CORRUPT = "corrupt"
    """Begins like a sentence, but form or CRC do not agree."""


class Skipped(NamedTuple):
    """Bytes `start` up to, not including, `stop` of the line are part of no sentence."""

    start: int
    stop: int
    reason: LineDamage


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a stretch of the line held."""

    sentences: list[Sentence]
    skipped: list[Skipped]


_PIECE: Final = re.compile(rb"[\r\n]+|[<>][^<>\r\n]{0,%d}|[^<>\r\n]{1,%d}" % (LINE_MAX - 1, LINE_MAX))
"""A piece ends where a line ends, where the next sentence begins, or when it is too long."""
_FORM: Final = re.compile(
    rb"([<>][A-Z]{4}),([0-9A-F]{4}),([rRiIcC])([0-9A-F]{4}),"
    rb"((?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?)\*([0-9A-F]{8})"
)
_CONTROLS: Final = bytes(range(0x20)) + bytes(range(0x7F, 0x100))
_LINE_ENDS: Final = b"\r\n"
_OVERHEAD: Final = len(">TYPE,0000,r0000,*00000000\r\n")
BODY_MAX: Final = (LINE_MAX - _OVERHEAD) // 4 * 3
"""Bytes that a body can have."""


def encode(sentence: Sentence) -> bytes:
    """Return the line of a sentence, its end included.

    Raises:
        ValueError: the body is longer than BODY_MAX.
    """
    if len(sentence.body) > BODY_MAX:
        raise ValueError(f"a sentence holds at most {BODY_MAX} bytes, this body has {len(sentence.body)}")
    letter = sentence.delivery.upper() if sentence.is_retry else sentence.delivery
    head = f"{sentence.direction}{sentence.kind},{sentence.session:04X},{letter}{sentence.number:04X},"
    text = head.encode() + binascii.b2a_base64(sentence.body, newline=False) + b"*"
    return text + b"%08X" % zlib.crc32(text) + LINE_END


class SentenceParser:
    """Finds the sentences in a stream of bytes, with the same result however the stream is cut into pieces."""

    def __init__(self) -> None:
        self._pending = b""
        self._pending_at = 0

    def feed(self, data: bytes) -> Parsed:
        """Take the bytes that follow; return the sentences completed by them, and what was skipped."""
        octets = self._pending + data
        base = self._pending_at
        parsed = Parsed([], [])
        done = 0
        for match in _PIECE.finditer(octets):
            piece = match[0]
            is_line_end = piece[0] in _LINE_ENDS
            if match.end() == len(octets) and len(piece) < LINE_MAX and not is_line_end:
                break
            done = match.end()
            if not is_line_end:
                _judge(piece, base + match.start(), parsed)
        self._pending = octets[done:]
        self._pending_at = base + done
        return parsed


def _judge(piece: bytes, start: int, parsed: Parsed) -> None:
    """Add a piece to the sentences, or to what was skipped."""
    text = piece.translate(None, _CONTROLS)
    form = _FORM.match(text)
    if form is None or zlib.crc32(text[: form.start(6)]) != int(form[6], 16):
        begins = piece[:1] in {b"<", b">"}
        if text:
            reason = LineDamage.CORRUPT if begins else LineDamage.JUNK
            parsed.skipped.append(Skipped(start, start + len(piece), reason))
        return
    parsed.sentences.append(_sentence(form))
    if form.end() < len(text):
        printable = (at for at, octet in enumerate(piece) if octet not in _CONTROLS)
        tail_at = next(islice(printable, form.end(), None))
        parsed.skipped.append(Skipped(start + tail_at, start + len(piece), LineDamage.JUNK))


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
