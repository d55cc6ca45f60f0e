"""The content of a CCSDS Orbit Ephemeris Message, however it is written."""

from dataclasses import dataclass, field
from typing import NamedTuple


class Entry(NamedTuple):
    """The value of a keyword."""

    text: str
    line: int


class StateLine(NamedTuple):
    """A state as it stands in the file: position in km, then velocity in km/s."""

    epoch: str
    components: tuple[str, ...]
    """6"""
    line: int


@dataclass(frozen=True, slots=True)
class Segment:
    """Metadata and the states below it."""

    line: int
    """Where it begins"""
    metadata: dict[str, Entry] = field(default_factory=dict)
    states: list[StateLine] = field(default_factory=list)
