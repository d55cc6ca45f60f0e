"""What a parser makes of bytes: frames, damage, and a tail it cannot judge yet.

A parser is a pure function of a buffer. It never raises, owns no port and remembers nothing; whoever feeds it puts the
next bytes behind the tail. Every byte lies in exactly one frame, in exactly one damaged range, or in the tail.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import TypeAlias


@unique
class DamageReason(StrEnum):
    """Why bytes were skipped."""

    NOISE = "noise"
    """No frame begins there."""
    CHECKSUM = "checksum"
    """A frame seemed to begin there, but its checksum is wrong."""
    CUT = "cut"
    """A frame seemed to begin there, but its end did not come in time."""
    CONTENT = "content"
    """The frame is whole, but no such frame exists."""


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes `start` up to, not including, `stop` were skipped."""

    start: int
    stop: int
    reason: DamageReason


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame whose checks passed.

    Attributes:
        kind: by which it is dispatched: two ASCII characters, a command byte as text, a sentence's name.
        payload: without framing.
        raw: all of it.
        start: offset of its first byte in what was scanned.
    """

    kind: str
    payload: bytes
    raw: bytes
    start: int = 0


@dataclass(frozen=True, slots=True)
class Scan:
    """What was found in a buffer; bytes from `used` on are the tail, to be scanned again with what follows."""

    frames: tuple[Frame, ...]
    damage: tuple[Damage, ...]
    used: int


Scanner: TypeAlias = Callable[[bytes, bool], Scan]
"""`scan(octets, stalled)`: with `stalled` the frame at the head of the tail is given up, by one byte, if it is cut."""


def scan_to_end(scanner: Scanner, octets: bytes) -> Scan:
    """Scan a buffer that nothing follows; no tail is left."""
    frames: list[Frame] = []
    damage: list[Damage] = []
    start, stalled = 0, False
    while start < len(octets):
        part = scanner(octets[start:], stalled)
        frames += (Frame(frame.kind, frame.payload, frame.raw, frame.start + start) for frame in part.frames)
        damage += (Damage(entry.start + start, entry.stop + start, entry.reason) for entry in part.damage)
        start += part.used
        stalled = True
    return Scan(tuple(frames), tuple(damage), start)
