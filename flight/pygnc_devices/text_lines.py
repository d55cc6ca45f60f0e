"""Finds lines of text in bytes: ended by CR LF, CR or LF, with noise, cuts and empty lines between.

Empty lines, also with a few NULs in them, as some devices send them, are frames of a kind of their own.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from pygnc_devices.frames import Damage, DamageReason, Frame, Scan

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
