"""Orbit Ephemeris Messages in keyword = value notation (CCSDS 502.0-B-3, chapter 5 and section 7.4)."""

from collections.abc import Iterator
from enum import Enum, auto

from pygnc_ground.truth.oem_segment import Entry, Segment, StateLine


class _Block(Enum):
    HEADER = auto()
    METADATA = auto()
    STATES = auto()
    COVARIANCE = auto()


_DELIMITERS = {
    "META_START": ({_Block.HEADER, _Block.STATES}, _Block.METADATA),
    "META_STOP": ({_Block.METADATA}, _Block.STATES),
    "COVARIANCE_START": ({_Block.STATES}, _Block.COVARIANCE),
    "COVARIANCE_STOP": ({_Block.COVARIANCE}, _Block.STATES),
}
"""Which block a delimiter may end, and which it begins."""


def read_kvn(text: str) -> list[Segment]:
    """The segments of a message, covariances and comments left out.

    Raises:
        ValueError: A line cannot be what its place demands; the message names it.
    """
    segments: list[Segment] = []
    block = _Block.HEADER
    number = 0
    for number, line in _content(text):
        if line in _DELIMITERS:
            ends, begins = _DELIMITERS[line]
            if block not in ends:
                raise ValueError(f"line {number}: {line} cannot stand in the {block.name.lower()}")
            block = begins
            if line == "META_START":
                segments.append(Segment(number))
        elif block is _Block.METADATA:
            keyword, value = _assignment(number, line)
            segments[-1].metadata[keyword] = Entry(value, number)
        elif block is _Block.STATES:
            segments[-1].states.append(_state(number, line))
        elif block is _Block.HEADER:
            _assignment(number, line)
    if block is not _Block.STATES:
        raise ValueError(f"line {number}: the message ends in its {block.name.lower()}; fetch the file again")
    return segments


def _content(text: str) -> Iterator[tuple[int, str]]:
    """Lines that say something, with their numbers."""
    for number, line in enumerate(text.splitlines(), start=1):
        content = line.strip()
        if content and content.split(maxsplit=1)[0] != "COMMENT":
            yield number, content


def _assignment(number: int, line: str) -> tuple[str, str]:
    keyword, equals, value = line.partition("=")
    if not equals:
        raise ValueError(f"line {number}: {line[:40]!r} is no KEYWORD = value")
    return keyword.strip(), value.strip()


def _state(number: int, line: str) -> StateLine:
    """A state with or without acceleration, which is not needed."""
    epoch, *components = line.split()
    if len(components) not in (6, 9):
        raise ValueError(
            f"line {number}: a state has a time and 6 or 9 numbers, this one has {len(components)}; complete it or"
            " leave it out"
        )
    return StateLine(epoch, tuple(components[:6]), number)
