"""What a parser makes of bytes: frames, damage, and a tail it cannot judge yet.

A parser is a pure function of a buffer. It never raises, owns no port and remembers nothing; whoever feeds it puts the
next bytes behind the tail. Every byte lies in exactly one frame, in exactly one damaged range, or in the tail.

Finds lines of text in bytes: ended by CR LF, CR or LF, with noise, cuts and empty lines between.

Empty lines, also with a few NULs in them, as some devices send them, are frames of a kind of their own.

Checksums by cyclic redundancy whose bits are reflected: the lowest goes first, as on a serial line.

What has come from a port and is not judged yet: the beginning of a frame, or of none.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final, TypeAlias


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


LINE_END: Final = "line end"
Judgement: TypeAlias = tuple[str, bytes] | DamageReason
"""Kind and payload of a line, or what is wrong with it."""
_MOST_NULS: Final = 4
_NO_TEXT: Final = re.compile(rb"[^ -~]")


@dataclass(frozen=True, slots=True)
class LineFormat:
    """What a device's lines look like.

    Attributes:
        candidate: where a line may begin, an empty one (CR, LF, NUL) included; at the end of the buffer parts too.
        judge: tells what a line without its end is.
        longest: bytes of a line with its end.
    """

    candidate: re.Pattern[bytes]
    judge: Callable[[bytes], Judgement]
    longest: int

    def scan(self, octets: bytes, stalled: bool = False) -> Scan:  # noqa: FBT001, FBT002 - every scanner's signature
        """Return the lines of a buffer; see `frames.Scanner`. One that stalls behind its CR is whole."""
        frames: list[Frame] = []
        damage: list[Damage] = []
        at, size = 0, len(octets)
        while at < size:
            found = self._at(octets, at, stalled=stalled)
            if found is None:
                break
            if isinstance(found, Frame):
                frames.append(found)
                at += len(found.raw)
            else:
                damage.append(found)
                at = found.stop
            stalled = False
        return Scan(tuple(frames), tuple(damage), at)

    def _at(self, octets: bytes, at: int, *, stalled: bool) -> Frame | Damage | None:
        """Return what stands at an offset; None if that cannot be told yet."""
        candidate = self.candidate.search(octets, at)
        begin = candidate.start() if candidate else len(octets)
        if begin > at:
            return Damage(at, begin, DamageReason.NOISE)
        if octets[at] in b"\r\n\0":
            return _empty_line(octets, at, stalled=stalled)
        stop = _NO_TEXT.search(octets, at, at + self.longest)
        if stop is None and len(octets) - at < self.longest:
            return Damage(at, at + 1, DamageReason.CUT) if stalled else None
        if stop is None or octets[stop.start()] not in b"\r\n":
            return Damage(at, at + 1, DamageReason.NOISE)
        judgement = self.judge(octets[at : stop.start()])
        if isinstance(judgement, DamageReason):
            return Damage(at, at + 1, judgement)
        end = _line_end(octets, stop.start(), stalled=stalled)
        return None if end is None else Frame(*judgement, octets[at:end], at)


def _empty_line(octets: bytes, at: int, *, stalled: bool) -> Frame | Damage | None:
    stop = at
    while stop < min(len(octets), at + _MOST_NULS) and octets[stop] == 0:
        stop += 1
    if stop == len(octets):
        return Damage(at, at + 1, DamageReason.NOISE) if stalled else None
    if octets[stop] not in b"\r\n":
        return Damage(at, at + 1, DamageReason.NOISE)
    end = _line_end(octets, stop, stalled=stalled)
    return None if end is None else Frame(LINE_END, b"", octets[at:end], at)


def _line_end(octets: bytes, at: int, *, stalled: bool) -> int | None:
    """Return the end of the terminator at an offset; None if a LF may still belong to it."""
    if octets[at : at + 1] != b"\r":
        return at + 1
    if at + 1 == len(octets):
        return at + 1 if stalled else None
    return at + 2 if octets[at + 1] == ord("\n") else at + 1


class ReflectedCrc:
    """A checksum of up to 16 bits, taken byte by byte from a table; call it with the bytes.

    Source: Williams, A Painless Guide to CRC Error Detection Algorithms, 1993.

    Args:
        polynomial: with its bits reflected.
        seed: what it begins with.
    """

    def __init__(self, polynomial: int, seed: int) -> None:
        self._seed = seed
        table = []
        for octet in range(256):
            crc = octet
            for _ in range(8):
                crc = crc >> 1 ^ (polynomial if crc & 1 else 0)
            table.append(crc)
        self._table = tuple(table)

    def __call__(self, octets: bytes) -> int:
        """Return the checksum."""
        crc, table = self._seed, self._table
        for octet in octets:
            crc = crc >> 8 ^ table[(crc ^ octet) & 0xFF]
        return crc


_SLACK_S: Final = 0.05
_NETWORK_SLACK_S: Final = 0.25
_BITS_PER_BYTE: Final = 10


class Tail:
    """The end of what was scanned. A head that does not become whole, however much comes behind it, stalls.

    Args:
        scanner: the parser.
        longest_frame: bytes; a frame that takes longer than that on the line stalls.
        is_network: whether bytes come by a network, with pauses of its own.
    """

    def __init__(self, scanner: Scanner, longest_frame: int, *, is_network: bool) -> None:
        self._scanner = scanner
        self._longest_bits = longest_frame * _BITS_PER_BYTE
        self._slack_s = _NETWORK_SLACK_S if is_network else _SLACK_S
        self._octets = b""
        self._since_s = 0.0

    def stalls_at_s(self, baud: int) -> float | None:
        """Return until when its head may become whole, on the monotonic clock; None if there is nothing."""
        return self._since_s + self._longest_bits / max(baud, 1) + self._slack_s if self._octets else None

    def is_stalled(self, baud: int) -> bool:
        """Tell whether its head has had the time to become whole."""
        stalls_at_s = self.stalls_at_s(baud)
        return stalls_at_s is not None and time.monotonic() >= stalls_at_s

    def scan(self, piece: bytes, *, stalled: bool) -> Scan:
        """Scan it with what follows; with `stalled` its head is given up if it is cut."""
        is_new = not self._octets
        self._octets += piece
        scan = self._scanner(self._octets, stalled)
        self._octets = self._octets[scan.used :]
        if is_new or scan.used:
            self._since_s = time.monotonic()
        return scan

    def scan_to_end(self) -> Scan:
        """Scan it when nothing follows."""
        octets, self._octets = self._octets, b""
        return scan_to_end(self._scanner, octets)

    def drop(self) -> int:
        """Forget it; return how many bytes it had."""
        dropped, self._octets = len(self._octets), b""
        return dropped
