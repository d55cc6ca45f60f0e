"""Reader of logs of satellite navigation receivers, also with several protocols and other text in one file.

What the search for whole frames leaves is searched for fragments of frames in lines of text.
"""

import re
import sys
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeAlias

from pygnc.bus.messages import GnssFix
from pygnc.formats.damage import Damage, DamageReason
from pygnc_devices import framing
from pygnc_devices.framing import LINE_END, Frame, FrameFormat, Scan, scan_to_end
from pygnc_ground.inspection.log_reader import SEARCH_BYTES, LogReader
from pygnc_ground.receivers.epochs import Epochs
from pygnc_ground.receivers.fragments import SPAN_BYTES, joined
from pygnc_ground.receivers.nmea import NMEA
from pygnc_ground.receivers.protocol import NOVATEL, SKYTRAQ, UBLOX, Protocol
from pygnc_ground.receivers.septentrio import SEPTENTRIO

PROTOCOLS: Final = (NOVATEL, UBLOX, SEPTENTRIO, SKYTRAQ, NMEA)
_CHUNK_BYTES: Final = 1 << 20
_BY_FIRST_BYTE: Final = {0x23: NOVATEL, 0xAA: NOVATEL, 0xB5: UBLOX, 0xA0: SKYTRAQ}
_SBF_SECOND_BYTE: Final = ord("@")
# Each alternative begins with one byte, so that the search for beginnings skips other bytes eight times as fast.
_LINE_ENDS: Final = re.compile(rb"\r[\r\n]*|\n[\r\n]*")


def _protocol_at(octets: bytes, at: int) -> Protocol | None:
    """Return the protocol of the frame that begins at an offset; None if the next byte decides."""
    known = _BY_FIRST_BYTE.get(octets[at])
    if known is not None or at + 1 == len(octets):
        return known
    return SEPTENTRIO if octets[at + 1] == _SBF_SECOND_BYTE else NMEA


def _frame_at(octets: bytes, at: int, stalled: bool) -> Frame | framing.DamageReason | None:  # noqa: ARG001, FBT001 - see `FrameFormat`
    line_end = _LINE_ENDS.match(octets, at)
    if line_end is not None:
        return Frame(LINE_END, b"", line_end.group(), at)
    protocol = _protocol_at(octets, at)
    return None if protocol is None else protocol.frame_at(octets, at)


_BEGINNINGS: Final = (_LINE_ENDS.pattern, *(protocol.beginning for protocol in PROTOCOLS))
_FRAGMENT: Final = "fragment"
"""Kind of the frames of bytes that belong to a joined frame."""
_Part: TypeAlias = Frame | framing.Damage
_FORMAT: Final = FrameFormat(re.compile(b"|".join(_BEGINNINGS)), _frame_at)
scan: Final = _FORMAT.scan
"""Scanner of whole frames, as they arrive from a port."""


def recognises(head: bytes) -> bool:
    """Return True if a frame with a right checksum is in the beginning of a file."""
    return any(frame.kind != LINE_END for frame in _FORMAT.scan(head).frames)


def searches(path: Path) -> bool:
    """Return True if a message about an epoch is in the file, after any other text."""
    for part in _parts(path, SEARCH_BYTES):
        protocol = protocol_of(part)
        if protocol is not None and isinstance(part, Frame) and protocol.part(part) is not None:
            return True
    return False


def read(path: Path) -> Iterator[GnssFix | Damage]:
    """Yield the fixes and the ranges of bytes that belong to no frame.

    Raises:
        OSError: The file cannot be read.
    """
    epochs = {one.name: Epochs(one.name, one.scale, one.preferred) for one in PROTOCOLS}
    for part in messages(path):
        if isinstance(part, Damage):
            yield part
        else:
            yield from _fixes(epochs, *part)
    for one in epochs.values():
        yield from one.end()


def messages(path: Path) -> Iterator[tuple[Protocol, Frame] | Damage]:
    """Yield the frames with their protocols, and the ranges of bytes that belong to no frame.

    Raises:
        OSError: The file cannot be read.
    """
    left: Damage | None = None
    for part in _parts(path):
        if isinstance(part, framing.Damage):
            left = _merged(left, part)
        elif part.kind == LINE_END and left is not None:
            left = replace(left, stop=part.start + len(part.raw))
        else:
            if left is not None:
                yield left
                left = None
            protocol = protocol_of(part)
            if protocol is not None:
                yield protocol, part
    if left is not None:
        yield left


def protocol_of(part: _Part) -> Protocol | None:
    """Return the protocol of a whole frame; None for damage, line ends and fragments."""
    is_frame = isinstance(part, Frame) and part.kind not in {LINE_END, _FRAGMENT}
    return _protocol_at(part.raw, 0) if isinstance(part, Frame) and is_frame else None


def _fixes(epochs: dict[str, Epochs], protocol: Protocol, frame: Frame) -> Iterator[GnssFix]:
    part = protocol.part(frame)
    if part is not None:
        fix = epochs[protocol.name].add(frame, part)
        if fix is not None:
            yield fix


def _merged(left: Damage | None, part: framing.Damage) -> Damage:
    """Return the damage that ends with `part`; text between frames is foreign until a frame in it is damaged."""
    reason = DamageReason.FOREIGN if part.reason is framing.DamageReason.NOISE else DamageReason.CONTENT
    if part.reason is framing.DamageReason.CUT:
        reason = DamageReason.CUT_TAIL
    if left is None:
        return Damage(part.start, part.stop, reason)
    return Damage(left.start, part.stop, left.reason if reason is DamageReason.FOREIGN else reason)


def _parts(path: Path, until: int = sys.maxsize) -> Iterator[_Part]:
    """Yield frames, fragments of frames, and damage of a file up to about an offset, in the order of their offsets.

    Successive pieces overlap, so that fragments of a frame are seen together.
    """
    octets, begin, parts = b"", 0, list[_Part]()
    for scan, used in _scans(path, until):
        octets += used
        parts += sorted([*scan.frames, *scan.damage], key=_start)
        parts = _with_fragments(octets, begin, parts)
        held = max(0, len(octets) - SPAN_BYTES)
        line_end = octets.rfind(b"\n", max(0, held - SPAN_BYTES), held)
        cut = begin + (held if line_end < 0 else line_end + 1)
        count = bisect_left(parts, cut, key=_start)
        yield from parts[:count]
        end = _end(parts[count - 1]) if count else begin
        octets, begin, parts = octets[end - begin :], end, parts[count:]
    yield from parts


def _with_fragments(octets: bytes, begin: int, parts: Sequence[_Part]) -> list[_Part]:
    """Return the parts of a piece of a file with the frames whose fragments are between its frames."""
    free = list[tuple[int, int]]()
    for part in parts:
        if isinstance(part, framing.Damage) or part.kind == LINE_END:
            if free and free[-1][1] == _start(part):
                free[-1] = free[-1][0], _end(part)
            else:
                free.append((_start(part), _end(part)))
    found = joined(octets, begin, free)
    ranges = sorted(one for each in found for one in each.ranges)
    left = list[_Part]()
    for part in parts:
        start = _start(part)
        if isinstance(part, framing.Damage):
            for first, last in ranges[bisect_left(ranges, start, key=lambda one: one[1]) :]:
                if first >= part.stop:
                    break
                if first > start:
                    left.append(replace(part, start=start, stop=first))
                start = max(start, min(last, part.stop))
            if start < part.stop:
                left.append(replace(part, start=start))
        else:
            left.append(part)
    left += (Frame(_FRAGMENT, b"", octets[first - begin : last - begin], first) for first, last in ranges)
    return sorted([*left, *(one.frame for one in found)], key=_start)


def _start(part: _Part) -> int:
    return part.start


def _end(part: _Part) -> int:
    return part.stop if isinstance(part, framing.Damage) else part.start + len(part.raw)


def _scans(path: Path, until: int) -> Iterator[tuple[Scan, bytes]]:
    """Yield frames and damage of successive pieces of a file, with offsets in the file, and their bytes."""
    begin, rest = 0, b""
    with path.open("rb") as file:
        while begin < until and (piece := file.read(_CHUNK_BYTES)):
            octets = rest + piece
            scan = _FORMAT.scan(octets)
            yield _moved(scan, begin), octets[: scan.used]
            begin, rest = begin + scan.used, octets[scan.used :]
    yield _moved(scan_to_end(_FORMAT.scan, rest), begin), rest


def _moved(scan: Scan, begin: int) -> Scan:
    frames = (Frame(frame.kind, frame.payload, frame.raw, frame.start + begin) for frame in scan.frames)
    damage = (framing.Damage(one.start + begin, one.stop + begin, one.reason) for one in scan.damage)
    return Scan(tuple(frames), tuple(damage), scan.used)


RECEIVER_LOG: Final = LogReader(
    f"log of a receiver ({', '.join(protocol.title for protocol in PROTOCOLS)})", recognises, read, searches=searches
)
