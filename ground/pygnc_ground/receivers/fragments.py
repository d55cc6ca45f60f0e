"""Frames whose fragments are in lines of text: replies to telecommands, rows of hexadecimal dumps, strings in JSON.

Nobody declares the wrapper. Lines that differ only in numbers and in one word form a group; that word is the fragment:
text, hexadecimal digits, or base64. Each group is joined in the order of the file and in those of its numbers; the
order with the most frames counts. Only frames whose checksum depends on the order of their bytes are joined.
"""

import binascii
import re
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate, chain, permutations
from typing import Final, NamedTuple, TypeAlias

from pygnc_devices.framing import DamageReason, Frame, FrameFormat, scan_to_end
from pygnc_ground.receivers.protocol import NOVATEL, UBLOX
from pygnc_ground.receivers.septentrio import SEPTENTRIO

SPAN_BYTES: Final = 1 << 15
"""Length of the part of a log in which all fragments of a frame are looked for."""
_LINE_BYTES_MAX: Final = 4096
_WORDS_MAX: Final = 32
_SAMPLE: Final = 512
"""Number of fragments of a group that decide on their order."""
_NUMBERS_MAX: Final = 6
_PARTS_MAX: Final = 64
"""Largest number of parts of a reply; more different numbers are a sequence count, which may wrap."""
_GAP_MAX: Final = 3
"""Bytes of a separator in a hexadecimal dump."""

_PROTOCOLS: Final = {0x23: NOVATEL, 0xAA: NOVATEL, 0xB5: UBLOX, 0x24: SEPTENTRIO}
_BEGINNING: Final = re.compile(b"|".join(one.beginning for one in (NOVATEL, UBLOX, SEPTENTRIO)))
_WHOLE_BEGINNING: Final = re.compile(rb"\xaa\x44[\x12\x13]|\xb5\x62|\$@|#[A-Z][A-Z0-9]")
_HINT: Final = re.compile(rb"#[A-Z]|[0-9A-Za-z+/]{11}|(?:[0-9A-Fa-f]{2,8}[ :-]){4}")
_WORD_BYTES_MIN: Final = 8
"""Bytes of the shortest word in which the beginning of a frame counts."""
_TEXT: Final = bytes(range(0x20, 0x7F))
_NOT_TEXT: Final = re.compile(rb"[^\t -~]")
_BYTES: Final = rb"(?:[0-9A-Fa-f]{2}){1,4}"
_DUMPS: Final = tuple(
    re.compile(pattern % {b"bytes": _BYTES})
    for pattern in (
        rb"(?<=\s)(%(bytes)s(?: {1,2}%(bytes)s)*) +\|.{1,16}\|$",
        rb"(?<![^\s:|\"=\[(])(%(bytes)s(?:([ :-])%(bytes)s(?:\2%(bytes)s)*)(?![0-9A-Za-z]))(?:\s{2,}.{1,16}$)?",
        rb"(?<=[:\s]\s)(%(bytes)s)\s{3,}.{1,8}$",
    )
)
"""Bytes in a row of a dump, before their characters: with bars, with two spaces, and in a short row."""
_WORD: Final = re.compile(rb'(?:(?!","[A-Za-z_])[^\s:\[\](){}<>|=])+(?:=+(?![^\s"\\]))?(?:\\*",?(?![^\s"}\])A-Za-z]))?')
_OPENING: Final = re.compile(rb'(?:\\*")?')
_CLOSING: Final = re.compile(rb'(?:\\*",?)?\Z')
_NUMBER: Final = re.compile(rb"[0-9A-Fa-f]*[0-9][0-9A-Fa-f]*")
_BASE64: Final = re.compile(rb"(?:[0-9A-Za-z+/]{4})*(?:[0-9A-Za-z+/]{4}|[0-9A-Za-z+/]{3}=|[0-9A-Za-z+/]{2}==)")


class Joined(NamedTuple):
    """Frame that was joined, and the ranges of its fragments in the log.

    The start of the frame is that of its first fragment, or of an earlier frame that is later in the log.
    """

    frame: Frame
    ranges: tuple[tuple[int, int], ...]


def _frame_at(octets: bytes, at: int, stalled: bool) -> Frame | DamageReason | None:  # noqa: ARG001, FBT001 - see `FrameFormat`
    return _PROTOCOLS[octets[at]].frame_at(octets, at)


_FORMAT: Final = FrameFormat(_BEGINNING, _frame_at)

# --- Fragments of a line --------------------------------------------------------------------------------------------

_Positions: TypeAlias = Sequence[int]


def _bare(word: bytes, encoding: str) -> bytes:
    """Return a word without quotation marks; those of a text may belong to it."""
    return word if encoding == "text" else word.strip(b'\\",')


def _hexadecimal(word: bytes) -> bytes | None:
    try:
        return bytes.fromhex(word.decode("ascii"))
    except ValueError:
        return None


def _base64(word: bytes) -> bytes | None:
    return binascii.a2b_base64(word) if _BASE64.fullmatch(word) else None


_ENCODINGS: Final[dict[str, tuple[Callable[[bytes], bytes | None], int, int]]] = {
    "text": (lambda word: word, 1, 1),
    "hexadecimal": (_hexadecimal, 2, 1),
    "base64": (_base64, 4, 3),
}
"""Decoder, and the ratio of lengths as numerator and denominator."""


class _Line(NamedTuple):
    """Words of a line and what is around them, with their places in the log."""

    words: list[bytes]
    places: list[_Positions]
    shape: list[bytes]

    @classmethod
    def of(cls, text: bytes, places: _Positions) -> "_Line":
        for dump in _DUMPS:
            kept = list(range(len(text)))
            for match in reversed(list(dump.finditer(text))):
                digits = [at for at in range(*match.span(1)) if text[at] not in b" :-"]
                kept[match.start() : match.end()] = digits
            if len(kept) < len(text):
                text, places = bytes(text[at] for at in kept), [places[at] for at in kept]
                break
        words, found, shape, end = [], [], [], 0
        for match in _WORD.finditer(text):
            begin, stop = match.span()
            shape += [text[end:begin], _NUMBER.sub(b"0", match.group())]
            words.append(match.group())
            found.append(places[begin:stop])
            end = stop
        return cls(words, found, [*shape, text[end:]])

    def around(self, word: int) -> tuple[int, tuple[bytes, ...]]:
        """Return the number of a word and the shape of the line without it."""
        return word, (*self.shape[: 2 * word + 1], *self.shape[2 * word + 2 :])

    def numbers(self, word: int) -> tuple[int, ...]:
        """Return the numbers of the other words; those with decimal digits have the same order in base 16."""
        others = b" ".join([*self.words[:word], *self.words[word + 1 :]])
        return tuple(int(digits, 16) for digits in _NUMBER.findall(others))


def _lines(octets: bytes, begin: int, free: Sequence[tuple[int, int]]) -> Iterator[tuple[bytes, _Positions]]:
    """Yield the lines of text in free ranges of a log with the places of their bytes.

    A frame between two ranges without a line end is left out of its line.
    """
    text, places = b"", list[range]()
    for start, stop in free:
        at = start
        for part in octets[start - begin : stop - begin].splitlines(keepends=True):
            if len(text) <= _LINE_BYTES_MAX:
                text += part
                places.append(range(at, at + len(part)))
            at += len(part)
            if part.endswith((b"\n", b"\r")):
                yield from _line(text, places)
                text, places = b"", []
    yield from _line(text, places)


def _line(text: bytes, places: list[range]) -> Iterator[tuple[bytes, _Positions]]:
    text = text.rstrip(b"\r\n")
    if text and len(text) <= _LINE_BYTES_MAX and not _NOT_TEXT.search(text):
        yield text, places[0] if len(places) == 1 else list(chain.from_iterable(places))


# --- Groups of lines ------------------------------------------------------------------------------------------------


class _Fragment(NamedTuple):
    octets: bytes
    places: _Positions
    numbers: tuple[int, ...]


_Key: TypeAlias = tuple[str, int, tuple[bytes, ...]]


def _keys(line: _Line) -> Iterator[_Key]:
    """Yield encoding and surroundings of each word in which a frame begins."""
    for number, word in enumerate(line.words):
        if len(word) >= _WORD_BYTES_MIN:
            for encoding, (decode, *_) in _ENCODINGS.items():
                octets = decode(_bare(word, encoding))
                if octets and _WHOLE_BEGINNING.search(octets):
                    yield (encoding, *line.around(number))


def _groups(lines: Sequence[tuple[bytes, _Positions]]) -> Iterator[tuple[str, list[_Fragment]]]:
    """Yield the encoding and the fragments of each group of lines."""
    hints = (line for line in lines if _HINT.search(line[0]))
    keys = dict.fromkeys(key for line in hints for key in _keys(_Line.of(*line)))
    numbers = sorted({number for _, number, _ in keys})
    groups = defaultdict[_Key, list[_Fragment]](list)
    for line in map(_Line.of, *zip(*lines, strict=True)) if keys else ():
        for number in numbers:
            if number >= min(len(line.words), _WORDS_MAX):
                break
            around, word = line.around(number), line.words[number]
            for encoding, (decode, *_) in _ENCODINGS.items():
                bare = _bare(word, encoding)
                if (encoding, *around) in keys and (octets := decode(bare)) is not None:
                    places = line.places[number][word.find(bare) :]
                    groups[encoding, *around].append(_Fragment(octets, places, line.numbers(number)))
    for (encoding, *_), fragments in groups.items():
        yield encoding, _unquoted(fragments) if encoding == "text" else fragments


def _unquoted(fragments: list[_Fragment]) -> list[_Fragment]:
    """Return texts without the quotation marks of the wrapper, which most of them have."""
    marks = []
    for pattern in (_OPENING, _CLOSING):
        ((mark, count),) = Counter(pattern.search(one.octets)[0] for one in fragments).most_common(1)  # type: ignore[index]
        marks.append(mark if 2 * count > len(fragments) else b"")
    found = list[_Fragment]()
    for octets, places, numbers in fragments:
        begin = len(marks[0]) * octets.startswith(marks[0])
        end = len(octets) - len(marks[1]) * octets.endswith(marks[1])
        found.append(_Fragment(octets[begin:end], places[begin:end], numbers))
    return found


def _orders(fragments: Sequence[_Fragment]) -> Iterator[tuple[int, ...]]:
    """Yield the numbers by which fragments may have to be sorted, the most likely first."""
    varying = [
        k for k, column in enumerate(zip(*(one.numbers for one in fragments), strict=True)) if len({*column}) > 1
    ]
    yield ()
    for count in (1, 2):
        yield from permutations(varying[-_NUMBERS_MAX:], count)


def _sorted(fragments: Sequence[_Fragment], order: tuple[int, ...]) -> Sequence[_Fragment]:
    if not order:
        return fragments
    if len(order) > 1:
        return sorted(fragments, key=lambda one: [one.numbers[k] for k in order])
    values = [one.numbers[order[0]] for one in fragments]
    count = len({*values})
    if count > _PARTS_MAX:
        period, unwrapped = max(values) - min(values) + 1, values[:1]
        for value in values[1:]:
            unwrapped.append(value + period * round((unwrapped[-1] - value) / period))
        return [fragments[k] for k in sorted(range(len(values)), key=unwrapped.__getitem__)]
    found, at = list[_Fragment](), 0
    while at < len(values):
        # Parts of one reply; where numbers are missing, single fragments are passed until a reply is complete again.
        step = count if len({*values[at : at + count]}) == min(count, len(values) - at) else 1
        found += sorted(fragments[at : at + step], key=lambda one: one.numbers[order[0]])
        at += step
    return found


def _frames(fragments: Sequence[_Fragment]) -> Sequence[Frame]:
    return scan_to_end(_FORMAT.scan, b"".join(one.octets for one in fragments)).frames


def joined(octets: bytes, begin: int, free: Sequence[tuple[int, int]]) -> list[Joined]:
    """Return the frames whose fragments are in free ranges of a part of a log that begins at an offset.

    Args:
        octets: Part of the log.
        begin: Offset of its first byte in the log.
        free: Ranges of the log that belong to no frame, in their order.
    """
    has_text = len(octets) - len(octets.translate(None, _TEXT)) >= _WORD_BYTES_MIN
    if not has_text or not any(_HINT.search(octets, start - begin, stop - begin) for start, stop in free):
        return []
    found, taken = list[Joined](), set[int]()
    for encoding, group in _groups(list(_lines(octets, begin, free))):
        sample = group[:_SAMPLE]
        counts = {order: len(_frames(_sorted(sample, order))) for order in _orders(sample)}
        fragments = _sorted(group, max(counts, key=counts.__getitem__))
        at, ends = 0, list(accumulate(len(one.octets) for one in fragments))
        for frame in _frames(fragments):
            ranges = _ranges(fragments, ends, frame, encoding)
            starts = {start for start, _ in ranges}
            if ranges[-1][1] - ranges[0][0] <= SPAN_BYTES and not starts & taken:
                taken |= starts
                at = max(at, ranges[0][0])
                found.append(Joined(Frame(frame.kind, frame.payload, frame.raw, at), tuple(ranges)))
    return sorted(found, key=lambda one: one.frame.start)


def _ranges(fragments: Sequence[_Fragment], ends: Sequence[int], frame: Frame, encoding: str) -> list[tuple[int, int]]:
    """Return the ranges of a frame's fragments in the log, in their order there."""
    _, more, less = _ENCODINGS[encoding]
    at, stop, places = frame.start, frame.start + len(frame.raw), list[int]()
    while at < stop:
        number = bisect_right(ends, at)
        first = ends[number] - len(fragments[number].octets)
        last = min(stop, ends[number])
        places += fragments[number].places[(at - first) * more // less : -(-(last - first) * more // less)]
        at = last
    return _merged(sorted(places))


def _merged(places: Iterable[int]) -> list[tuple[int, int]]:
    ranges = list[tuple[int, int]]()
    for place in places:
        if ranges and place - ranges[-1][1] < _GAP_MAX:
            ranges[-1] = ranges[-1][0], place + 1
        else:
            ranges.append((place, place + 1))
    return ranges
