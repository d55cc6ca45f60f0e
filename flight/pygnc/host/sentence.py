"""One printable sentence per line, found again after any damage.

A sentence is `>SENS,1F03,i0012,BASE64*CRC32` CR LF: direction, four letters of type, session of the sender, delivery
letter and number, body, and CRC-32 (zlib) over everything before it, `*` included. Hexadecimal digits are upper-case.
The delivery letter is a capital in a retry. A line has fewer than 4096 characters, so that no terminal cuts it, and
none of them is a control character.

`<` and `>` begin sentences and stand nowhere else in them. So junk in front of a sentence (a prompt, an echo), a lost
or mangled line end, and control characters strewn in cost nothing; damage costs the sentence that it touches.

A sentence that is waited for may stand in the midst of a long one: between its characters and line end, and the rest of
the long one. Whether stretches belong together is for the CRC-32 to say.
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


_JUNK: Final = LineDamage.JUNK


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
_BEGINS: Final = frozenset({b"<", b">"})
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


class _Torn(NamedTuple):
    """The beginning of a sentence in the midst of which another one began: its text, and where it stood."""

    text: bytes
    stretches: tuple[Skipped, ...]


class SentenceParser:
    """Finds the sentences in a stream of bytes, with the same result however the stream is cut into pieces."""

    def __init__(self) -> None:
        self._pending = b""
        self._pending_at = 0
        self._torn: _Torn | None = None

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
                self._judge(piece, base + match.start(), octets[done : done + 1] in _BEGINS, parsed)
        self._pending = octets[done:]
        self._pending_at = base + done
        return parsed

    def _judge(self, piece: bytes, start: int, is_torn: bool, parsed: Parsed) -> None:  # noqa: FBT001 - its own callee
        """Add a piece to the sentences, or to what was skipped; keep one that may go on behind another sentence."""
        text = piece.translate(None, _CONTROLS)
        begins = piece[:1] in _BEGINS
        before = b"" if begins or self._torn is None else self._torn.text
        stretch = Skipped(start, start + len(piece), LineDamage.CORRUPT if begins else LineDamage.JUNK)
        if form := _undamaged(before + text):
            parsed.sentences.append(_sentence(form))
            if form.end() < len(before + text):
                parsed.skipped.append(Skipped(start + _place(piece, form.end() - len(before)), stretch.stop, _JUNK))
            if before:
                self._torn = None
        elif text and begins and is_torn:
            self._give_up(parsed)
            self._torn = _Torn(text, (stretch,))
        elif text and self._torn is not None and not begins:
            self._torn = _Torn(before + text, (*self._torn.stretches, stretch))
            if not is_torn or len(before + text) > LINE_MAX:
                self._give_up(parsed)
        elif text:
            parsed.skipped.append(stretch)

    def _give_up(self, parsed: Parsed) -> None:
        if self._torn is not None:
            parsed.skipped.extend(self._torn.stretches)
        self._torn = None


def _place(piece: bytes, count: int) -> int:
    """Return where in a piece the printable byte stands that has `count` others before it."""
    printable = (at for at, octet in enumerate(piece) if octet not in _CONTROLS)
    return next(islice(printable, count, None))


def _undamaged(text: bytes) -> re.Match[bytes] | None:
    """Return the parts of the sentence that the text begins with, None if it is none or damaged."""
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
