"""Reader of logs of satellite navigation receivers, also with several protocols and other text in one file."""

import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from pygnc.bus.messages import GnssFix
from pygnc.formats.damage import Damage, DamageReason
from pygnc_devices import framing
from pygnc_devices.framing import LINE_END, Frame, FrameFormat, Scan, scan_to_end
from pygnc_ground.inspection.log_reader import SEARCH_BYTES, LogReader
from pygnc_ground.receivers.epochs import Epochs
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
_FORMAT: Final = FrameFormat(re.compile(b"|".join(_BEGINNINGS)), _frame_at)


def recognises(head: bytes) -> bool:
    """Return True if a frame with a right checksum is in the beginning of a file."""
    return any(frame.kind != LINE_END for frame in _FORMAT.scan(head).frames)


def searches(path: Path) -> bool:
    """Return True if a message about an epoch is in the file, after any other text."""
    for scan in _scans(path, SEARCH_BYTES):
        for frame in scan.frames:
            protocol = None if frame.kind == LINE_END else _protocol_at(frame.raw, 0)
            if protocol is not None and protocol.part(frame) is not None:
                return True
    return False


def read(path: Path) -> Iterator[GnssFix | Damage]:
    """Yield the fixes and the ranges of bytes that belong to no frame.

    Raises:
        OSError: The file cannot be read.
    """
    epochs = {one.name: Epochs(one.name, one.scale, one.preferred) for one in PROTOCOLS}
    left: Damage | None = None
    for scan in _scans(path):
        parts: list[Frame | framing.Damage] = [*scan.frames, *scan.damage]
        for part in sorted(parts, key=lambda part: part.start):
            if isinstance(part, framing.Damage):
                left = _merged(left, part)
            elif part.kind == LINE_END and left is not None:
                left = replace(left, stop=part.start + len(part.raw))
            else:
                if left is not None:
                    yield left
                    left = None
                yield from _fixes(epochs, part)
    if left is not None:
        yield left
    for one in epochs.values():
        yield from one.end()


def _fixes(epochs: dict[str, Epochs], frame: Frame) -> Iterator[GnssFix]:
    protocol = None if frame.kind == LINE_END else _protocol_at(frame.raw, 0)
    part = None if protocol is None else protocol.part(frame)
    if protocol is not None and part is not None:
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


def _scans(path: Path, until: int = sys.maxsize) -> Iterator[Scan]:
    """Yield frames and damage of successive pieces of a file up to about an offset, with offsets in the file."""
    begin, rest = 0, b""
    with path.open("rb") as file:
        while begin < until and (piece := file.read(_CHUNK_BYTES)):
            octets = rest + piece
            scan = _FORMAT.scan(octets)
            yield _moved(scan, begin)
            begin, rest = begin + scan.used, octets[scan.used :]
    yield _moved(scan_to_end(_FORMAT.scan, rest), begin)


def _moved(scan: Scan, begin: int) -> Scan:
    frames = (Frame(frame.kind, frame.payload, frame.raw, frame.start + begin) for frame in scan.frames)
    damage = (framing.Damage(one.start + begin, one.stop + begin, one.reason) for one in scan.damage)
    return Scan(tuple(frames), tuple(damage), scan.used)


RECEIVER_LOG: Final = LogReader(
    f"log of a receiver ({', '.join(protocol.title for protocol in PROTOCOLS)})", recognises, read, searches=searches
)
