"""Frames, the scanners that find them in received bytes, receive buffer, checksums.

A scanner is a pure function of a buffer. It never raises and keeps no state; its caller puts the next bytes behind
the unused bytes. Every byte ends up in exactly one frame or in exactly one damaged range.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum, unique
from itertools import accumulate
from typing import Final, TypeAlias

import msgspec


@unique
class DamageReason(StrEnum):
    """Reason for which bytes were skipped."""

    NOISE = "noise"
    """No frame begins in the range."""
    CHECKSUM = "checksum"
    """A frame seems to begin at the first byte, but its checksum is wrong."""
    CUT = "cut"
    """A frame seems to begin at the first byte, but its end did not arrive in time."""
    CONTENT = "content"
    """The checksum is right, but the device cannot have sent this content."""


@dataclass(frozen=True, slots=True)
class Damage:
    """Skipped bytes from offset `start` up to, not including, offset `stop` of the buffer."""

    start: int
    stop: int
    reason: DamageReason


class Frame(msgspec.Struct, frozen=True, gc=False):  # neither frames nor readings form cycles
    """Frame that passed all checks.

    Attributes:
        kind: type of the frame: two ASCII characters, a command byte in hexadecimal, the name of a sentence.
        payload: content without framing.
        raw: all bytes of the frame.
        start: offset of its first byte in the scanned buffer.
    """

    kind: str
    payload: bytes
    raw: bytes
    start: int = 0


@dataclass(frozen=True, slots=True)
class Scan:
    """Frames and damage found in a buffer. The bytes from `used` on must be scanned again with those that follow."""

    frames: tuple[Frame, ...]
    damage: tuple[Damage, ...]
    used: int


Scanner: TypeAlias = Callable[[bytes, bool], Scan]
"""`scan(octets, stalled)`: if `stalled`, the first byte of an incomplete frame at the head of the buffer is skipped."""


def scan_to_end(scanner: Scanner, octets: bytes) -> Scan:
    """Return the frames and damage found in a buffer that nothing follows; all bytes are used."""
    frames: list[Frame] = []
    damage: list[Damage] = []
    start, stalled = 0, False
    while start < len(octets):
        part = scanner(octets[start:], stalled)
        if start == 0:
            frames += part.frames
            damage += part.damage
        else:
            frames += (Frame(frame.kind, frame.payload, frame.raw, frame.start + start) for frame in part.frames)
            damage += (Damage(entry.start + start, entry.stop + start, entry.reason) for entry in part.damage)
        start += part.used
        stalled = True
    return Scan(tuple(frames), tuple(damage), start)


@dataclass(frozen=True, slots=True)
class FrameFormat:
    """Format of frames, and the scanner that follows from it. After damage the search continues one byte further on.

    Attributes:
        candidate: matches the beginning of a frame, also an incomplete beginning at the end of the buffer.
        frame_at: returns the frame that begins at an offset, the reason for which no frame begins there, or None if
            more bytes are needed to decide; the last argument is `stalled`.
    """

    candidate: re.Pattern[bytes]
    frame_at: Callable[[bytes, int, bool], Frame | DamageReason | None]

    def scan(self, octets: bytes, stalled: bool = False) -> Scan:  # noqa: FBT001, FBT002 - every scanner's signature
        """Find the frames of a buffer; see `Scanner`."""
        frames: list[Frame] = []
        damage: list[Damage] = []
        at, size = 0, len(octets)
        search, frame_at = self.candidate.search, self.frame_at
        while at < size:
            match = search(octets, at)
            begin = size if match is None else match.start()
            if begin > at:
                damage.append(Damage(at, begin, DamageReason.NOISE))
                at = begin
            elif isinstance(found := frame_at(octets, at, stalled), Frame):
                frames.append(found)
                at += len(found.raw)
            elif found is None and not stalled:
                break
            else:
                damage.append(Damage(at, at + 1, found or DamageReason.CUT))
                at += 1
            stalled = False
        return Scan(tuple(frames), tuple(damage), at)


class ReceiveBuffer:
    """Received bytes that no scan has used yet.

    A frame at the head of the buffer that does not become complete in time is stalled and is given up.

    Args:
        scanner: finds the frames.
        longest_frame: bytes of the longest frame; a frame that takes longer than their transmission is stalled.
        url: URL of the port; networks may pause for longer than serial lines.
    """

    def __init__(self, scanner: Scanner, longest_frame: int, url: str) -> None:
        self._scanner = scanner
        self._longest_bits = longest_frame * _BITS_PER_BYTE
        self._slack_s = _NETWORK_SLACK_S if "://" in url else _SLACK_S
        self._octets = b""
        self._since_s = 0.0

    def stalls_at_s(self, baud: int) -> float | None:
        """Return the time, s, on the clock of `scan`, at which the first frame stalls; None if the buffer is empty."""
        return self._since_s + self._longest_bits / max(baud, 1) + self._slack_s if self._octets else None

    def scan(self, piece: bytes, baud: int, now_s: float) -> Scan:
        """Append a piece of the input at time `now_s` and return the frames and damage found in the buffer."""
        stalls_at_s = self.stalls_at_s(baud)
        is_stalled = stalls_at_s is not None and now_s >= stalls_at_s
        if not piece and not is_stalled:
            return _NOTHING
        is_new = not self._octets
        self._octets += piece
        scan = self._scanner(self._octets, is_stalled)
        self._octets = self._octets[scan.used :]
        if is_new or scan.used:
            self._since_s = now_s
        return scan

    def scan_to_end(self) -> Scan:
        """Return the frames and damage found in the buffer at the end of the input, and empty the buffer."""
        octets, self._octets = self._octets, b""
        return scan_to_end(self._scanner, octets)

    def clear(self) -> int:
        """Discard the buffer; return the number of its bytes."""
        dropped, self._octets = len(self._octets), b""
        return dropped


_NOTHING: Final = Scan((), (), 0)
_SLACK_S: Final = 0.05
_NETWORK_SLACK_S: Final = 0.25
_BITS_PER_BYTE: Final = 10


def reflected_crc(polynomial: int, seed: int) -> Callable[[bytes], int]:
    """Return a table-driven cyclic redundancy check of up to 16 bits with reflected bits.

    Source: Williams, A Painless Guide to CRC Error Detection Algorithms, 1993.

    Args:
        polynomial: generator polynomial with its bits reflected.
        seed: initial value.
    """
    table = []
    for octet in range(256):
        crc = octet
        for _ in range(8):
            crc = crc >> 1 ^ (polynomial if crc & 1 else 0)
        table.append(crc)

    def check_value(octets: bytes) -> int:
        crc = seed
        for octet in octets:
            crc = crc >> 8 ^ table[(crc ^ octet) & 0xFF]
        return crc

    return check_value


def fletcher16(octets: bytes) -> bytes:
    """Return Fletcher's checksum: the sum of the bytes and the sum of these sums, each modulo 256."""
    return bytes((sum(octets) & 0xFF, sum(accumulate(octets)) & 0xFF))


LINE_END: Final = "line end"
"""Kind of the frame of an empty line. Some devices send empty lines between lines, even with a few NULs."""
Judgement: TypeAlias = tuple[str, bytes] | DamageReason
"""Kind and payload of a line, or its damage."""
_MOST_NULS: Final = 4
_NO_TEXT: Final = re.compile(rb"[^ -~]")


def line_format(candidate: re.Pattern[bytes], judge: Callable[[bytes], Judgement], longest: int) -> FrameFormat:
    """Return the format of lines of text, which end with CR LF, CR or LF. A line that stalls after its CR is complete.

    Args:
        candidate: matches the beginning of a line or of an empty line (CR, LF, NUL), and an incomplete beginning at
            the end of the buffer.
        judge: classifies a line without its line end.
        longest: bytes of the longest line with its line end.
    """

    def line_at(octets: bytes, at: int, stalled: bool) -> Frame | DamageReason | None:  # noqa: FBT001 - see `FrameFormat`
        if octets[at] in b"\r\n\0":
            return _empty_line(octets, at, stalled=stalled)
        stop = _NO_TEXT.search(octets, at, at + longest)
        if stop is None and len(octets) - at < longest:
            return None
        if stop is None or octets[stop.start()] not in b"\r\n":
            return DamageReason.NOISE
        judgement = judge(octets[at : stop.start()])
        if isinstance(judgement, DamageReason):
            return judgement
        end = _line_end(octets, stop.start(), stalled=stalled)
        return None if end is None else Frame(*judgement, octets[at:end], at)

    return FrameFormat(candidate, line_at)


def _empty_line(octets: bytes, at: int, *, stalled: bool) -> Frame | DamageReason | None:
    stop = at
    while stop < min(len(octets), at + _MOST_NULS) and octets[stop] == 0:
        stop += 1
    if stop == len(octets):
        return DamageReason.NOISE if stalled else None
    if octets[stop] not in b"\r\n":
        return DamageReason.NOISE
    end = _line_end(octets, stop, stalled=stalled)
    return None if end is None else Frame(LINE_END, b"", octets[at:end], at)


def _line_end(octets: bytes, at: int, *, stalled: bool) -> int | None:
    """Return the offset after the line end at `at`; None if a LF that belongs to it may follow."""
    if octets[at : at + 1] != b"\r":
        return at + 1
    if at + 1 == len(octets):
        return at + 1 if stalled else None
    return at + 2 if octets[at + 1] == ord("\n") else at + 1
