"""Recordings of received bytes: the families whose frames they contain, and summaries of their readings.

A recording may contain the frames of several families, one after the other or mixed. Families are found in samples
that are spread over the file. The family with the most bytes in intact frames claims these bytes; the next family is
searched for in the rest, so that bytes which look like frames inside frames of another family are not counted twice.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final
from urllib.parse import unquote, urlsplit

from pygnc_devices.continuity import ContinuousTime
from pygnc_devices.engine import Interpreter, readings_in, unknown_fields
from pygnc_devices.errors import DeviceError, PortError
from pygnc_devices.family import Family, all_families
from pygnc_devices.framing import DamageReason, Scan, scan_to_end
from pygnc_devices.reading import NS_PER_S, Counters, RecordedStamp
from pygnc_devices.series import SeriesInterpreter, Span
from pygnc_system.files import open_input

if TYPE_CHECKING:
    from pygnc_instruments.device.recorded_series import SeriesReader

_SAMPLES: Final = 16
_SAMPLE_BYTES: Final = 1 << 13
_MIN_FRAME_SHARE: Final = 0.2
"""Minimum share of a recording's bytes in valid frames of a family, for the recording to be of that family."""
_MIN_OTHER_SHARE: Final = 0.02
"""Minimum share of a further family, which must also have a reading."""
_ENOUGH: Final = 0.9
"""Share of the bytes in frames of a family from which on no other family can have more."""
_PIECE_BYTES: Final = 1 << 18
_STAMP: Final = RecordedStamp(0, 0)
"""Arrival of all frames: a summary must not depend on the time at which it is made."""
_WINDOW_BYTES: Final = 1 << 8
"""Bytes that are scanned behind a series before the next series is tried."""


def recording_path(url: str) -> Path:
    """Return the path of a recording by its URL, `file:///data/x.raw`."""
    parts = urlsplit(url)
    return Path(unquote(parts.netloc + parts.path))


def families_of(path: Path) -> list[Family]:
    """Return the families whose frames a recording contains, the one with the most bytes first.

    Raises:
        PortError: the recording cannot be read.
        DeviceError: it contains too few frames of any family.
    """
    try:
        with path.open("rb") as file:
            pieces = _samples(file, path.stat().st_size)
    except OSError as error:
        raise PortError(f"{path}: the recording cannot be read: {error.strerror}") from None
    total = max(1, sum(map(len, pieces)))
    found: list[Family] = []
    while (best := _best_family(pieces, total, found)) is not None:
        kind, pieces = best
        found.append(kind)
    if not found:
        raise DeviceError(f"{path}: not a recording of a known device family; name the family: --family NAME")
    return found


def _samples(file: BinaryIO, size: int) -> list[bytes]:
    """Return the whole file, or samples that are spread over it and begin with its first bytes."""
    if size <= _SAMPLES * _SAMPLE_BYTES:
        return [file.read()]
    pieces = []
    for number in range(_SAMPLES):
        file.seek(number * (size - _SAMPLE_BYTES) // (_SAMPLES - 1))
        pieces.append(file.read(_SAMPLE_BYTES))
    return pieces


def _best_family(pieces: list[bytes], total: int, found: Sequence[Family]) -> tuple[Family, list[bytes]] | None:
    """Return the family with the most intact bytes in pieces, and the other bytes; None if it has too few."""
    share = _MIN_OTHER_SHARE if found else _MIN_FRAME_SHARE
    best: tuple[int, Family, list[Scan]] | None = None
    left = sum(map(len, pieces))
    if left < share * total:
        return None
    for kind in all_families():
        if kind.name in {entry.name for entry in found}:
            continue
        scans = [scan_to_end(kind.scanner, piece) for piece in pieces]
        intact = sum(len(frame.raw) for scan in scans for frame in scan.frames)
        if intact >= share * total and (best is None or intact > best[0]) and (not found or _has_reading(kind, scans)):
            best = intact, kind, scans
        if best is not None and best[0] > _ENOUGH * left:
            break
    if best is None:
        return None
    _, kind, scans = best
    rest = [_skipped(piece, scan) for piece, scan in zip(pieces, scans, strict=True)]
    return kind, rest


def _has_reading(kind: Family, scans: Iterable[Scan]) -> bool:
    unit, counters, stamp = kind.interpreter(kind.bauds[0]), Counters(), RecordedStamp(0, 0)
    frames = (frame for scan in scans for frame in scan.frames)
    return any(unit.interpret(frame, stamp, counters) is not None for frame in frames)


def _skipped(octets: bytes, scan: Scan) -> bytes:
    return b"".join(octets[entry.start : entry.stop] for entry in scan.damage)


@dataclass(slots=True)
class _Track:
    """Readings of a kind of packet: their number, the number of missing ones, first and newest device time, ns.

    `steps` is the number of steps between readings with a device time, missing readings included.
    """

    readings: int = 0
    lost: int = 0
    steps: int = 0
    first_ns: int | None = None
    newest_ns: int = 0
    _time: ContinuousTime = field(default_factory=ContinuousTime)

    def add(self, t_device_ns: int | None, lost_before: int) -> None:
        self.readings += 1
        self.lost += lost_before
        now_ns, _ = self._time.follow(t_device_ns, _STAMP.t_mono_ns)
        if now_ns is None:
            return
        if self.first_ns is None:
            self.first_ns = now_ns
        else:
            self.steps += 1 + lost_before
        self.newest_ns = now_ns

    def add_steady(self, span: Span, count: int) -> None:
        """Add at least two readings of which none is missing."""
        self.add(span.first_ns, 0)
        self.readings += count - 2
        if self.first_ns is not None:
            self.steps += count - 2
        self.add(span.last_ns, 0)

    @property
    def rate_hz(self) -> float | None:
        span_ns = self.newest_ns - (self.first_ns or 0)
        return self.steps * NS_PER_S / span_ns if span_ns else None


@dataclass(slots=True)
class _Member:
    """Frames and readings of a family in a recording; the bytes that it skips are those of the next family."""

    kind: Family
    unit: Interpreter
    counters: Counters = field(default_factory=Counters)
    tracks: dict[str, _Track] = field(default_factory=dict)
    _octets: bytes = b""
    _reader: "SeriesReader | None" = None

    def __post_init__(self) -> None:
        if isinstance(self.unit, SeriesInterpreter):
            with suppress(ModuleNotFoundError):  # without NumPy, frames are read one by one
                from pygnc_instruments.device.recorded_series import SeriesReader  # noqa: PLC0415 - needs NumPy

                self._reader = SeriesReader(self.unit, self._track)

    def take(self, piece: bytes, *, is_last: bool) -> bytes:
        """Process the next bytes; return those that are in no frame of the family."""
        octets, at = self._octets + piece, 0
        skipped: list[bytes] = []
        while at < len(octets):
            at = self._read_series(octets, at)
            scan = self._scan(octets, at, is_last=is_last)
            self._read_frames(scan)
            skipped.append(_skipped(octets[at : at + scan.used], scan))
            at += scan.used
            if not scan.used:
                break
        self._octets = octets[at:]
        return b"".join(skipped)

    def _scan(self, octets: bytes, at: int, *, is_last: bool) -> Scan:
        """Return the frames and damage at an offset: of some bytes if series may follow, else of all."""
        length = len(octets) - at if self._reader is None else _WINDOW_BYTES
        while True:
            window = octets[at : at + length]
            is_end = at + length >= len(octets)
            scan = scan_to_end(self.kind.scanner, window) if is_last and is_end else self.kind.scanner(window, False)  # noqa: FBT003 - every scanner's signature
            if scan.used or is_end:
                return scan
            length *= 2

    def _read_series(self, octets: bytes, at: int) -> int:
        """Process the frames from an offset on that are of known series; return the offset behind them."""
        if self._reader is None:
            return at
        end = self._reader.read(octets, at)
        self.counters.frame_bytes += end - at
        return end

    def _read_frames(self, scan: Scan) -> None:
        self.counters.add_scan(scan)
        for frame in scan.frames:
            for reading in readings_in(self.unit.interpret(frame, _STAMP, self.counters)):
                self._track(reading.packet.name).add(reading.t_device_ns, reading.lost_before)
            if self._reader is not None:
                self._reader.learn(frame)

    def _track(self, name: str) -> _Track:
        if name not in self.tracks:
            self.tracks[name] = _Track()
        return self.tracks[name]

    def summary(self, skipped: int) -> dict[str, str]:
        duration_ns = max((track.newest_ns for track in self.tracks.values()), default=0)
        rates = {name: track.rate_hz for name, track in self.tracks.items()}
        known = [f"{hz:.4g} Hz {name}" for name, hz in rates.items() if hz is not None]
        return {
            "readings": ", ".join(f"{track.readings} {name}" for name, track in self.tracks.items()) or "none",
            "duration": f"{duration_ns / NS_PER_S:.3f} s" if duration_ns else "unknown",
            "rate": ", ".join(known) or "unknown",
            "missing": str(sum(track.lost for track in self.tracks.values())),
            "bad_checksums": str(self.counters.damaged.get(DamageReason.CHECKSUM, 0)),
            "skipped_bytes": str(skipped),
            **({"unknown_fields": unknown} if (unknown := unknown_fields(self.unit)) else {}),
        }


def summarise(
    path: Path, kinds: Sequence[Family], baud: int = 0, report: Callable[[int], object] = lambda _: None
) -> list[dict[str, str]]:
    """Read a recording to its end; return number, duration and rate of the readings of each family, and the damage.

    Args:
        path: path of the recording.
        kinds: families to read, that with the most bytes first.
        baud: baud rate of the line; 0: the usual one of each family.
        report: called with the number of bytes read so far.

    Raises:
        PortError: the recording cannot be read.
        DeviceError: it contains no frame of these families.
    """
    members = [_Member(kind, kind.interpreter(baud or kind.bauds[0])) for kind in kinds]
    try:
        with os.fdopen(open_input(path), "rb") as file:
            while True:
                piece = file.read(_PIECE_BYTES)
                is_last = not piece
                for member in members:
                    piece = member.take(piece, is_last=is_last)
                if is_last:
                    break
                report(file.tell())
            size = file.tell()
    except OSError as error:
        raise PortError(f"{path}: the recording cannot be read: {error.strerror}") from None
    framed = sum(member.counters.frame_bytes for member in members)
    if not framed:
        raise no_frames(path, ", ".join(kind.name for kind in kinds))
    return [member.summary(size - framed) for member in members]


def no_frames(path: Path, name: str) -> DeviceError:
    """Return the error of a recording without a frame of the family that was named."""
    try:
        others = ", ".join(kind.name for kind in families_of(path))
    except DeviceError:
        return DeviceError(f"{path}: contains no frame of the family {name}")
    return DeviceError(f"{path}: contains no frame of the family {name}, but frames of {others}; omit --family")
