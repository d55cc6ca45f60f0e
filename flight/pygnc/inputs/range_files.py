"""Range files: series of files scanned as one stream and converted to messages, and files that arrive during the run.

A file may still be growing when it is read. Its packets are used at once; a packet that is cut by the end of the file
is read again together with its continuation, in the same file or in the file with the next number. Only new files
and files without a successor are checked for growth, because the controller never writes to an older file again.
"""

import itertools
import math
import os
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pygnc.bus.messages import Message, SourceFile
from pygnc.common.clock import gps_ms_from_weeks
from pygnc.configuration.settings import Settings
from pygnc.estimators.clock.sort_key import sort_key_gps_ms
from pygnc.formats.damage import DamageReason
from pygnc.formats.gps_packet import RANGE_GPS, RANGE_GPS_PACKET, decode_gps_packets
from pygnc.formats.range_scan import RangeScan, RangeScanner
from pygnc.formats.ranges import (
    FILE_NUMBERS,
    RANGE_PACKET,
    PacketKind,
    consecutive_runs,
    decode_ranges,
    range_file_number,
)
from pygnc.inputs.host_packets import fix_messages, range_messages
from pygnc.inputs.range_folders import RangeFolder, is_next_file, list_range_files, neighbour, unreadable_file
from pygnc.inputs.source import DAMAGE_LISTED, BatchSource
from pygnc_system.files import open_input, read_at, retry_read

FILE_BYTES_MAX: Final = 1 << 24
"""Maximum size of a range file: a thousand times the size of the controller's files."""
BATCH_BYTES_MAX: Final = 1 << 24
"""Maximum size of all range files that are read at once, because they are held in memory: ranges of a month."""
PIECE_BYTES: Final = 1 << 15
"""Number of bytes per step of the scan, which takes about 10 ms."""


class RangeFileError(OSError):
    """Error raised when a file in the range folder is not a range file, or was replaced."""


class Span(NamedTuple):
    """Range of bytes of a file.

    Attributes:
        from_byte: Offset of the first byte.
        to_byte: Offset after the last byte; None for the end of the file.
        delivered_before: Number of bytes before `from_byte` that belong to delivered packets.
    """

    from_byte: int = 0
    to_byte: int | None = None
    delivered_before: int = 0


class RangeSeries(BatchSource):
    """Range files of consecutive numbers, read as one stream: a packet cut by the end of one continues in the next.

    The contents of all files are held in memory.

    Args:
        root: Folder to which the names are relative, or the contents of the files by name.
        names: Names of the files, in the order of writing.
        settings: Settings of the run, with our own radio id and the bandwidth of the radios.
        satellite_id: Radio id of the partner that wrote the files, 0 for our own.
        spans: Bytes to read of each file; None for all.
        room: Maximum size of the files together; None without a limit.

    Raises:
        OSError: A file cannot be read.
    """

    def __init__(
        self,
        root: Path | Mapping[str, bytes],
        names: Sequence[str],
        settings: Settings,
        *,
        satellite_id: int = 0,
        spans: Sequence[Span] | None = None,
        room: float | None = None,
    ) -> None:
        super().__init__(names)
        self._spans = [Span()] * len(names) if spans is None else spans
        left = math.inf if room is None else room
        contents = []
        for name, span in zip(names, self._spans, strict=True):
            if isinstance(root, Path):
                contents.append(_content(root / name, span, left))
            else:
                contents.append((root[name][span.from_byte : span.to_byte], 0))
            left -= len(contents[-1][0])
        self._modified_ns = [modified_ns for _, modified_ns in contents]
        self._settings = settings
        self._earliest_week = settings.orbit.screening.earliest_gps_week
        self._satellite_id = satellite_id
        self._borders = np.cumsum([0, *(len(content) for content, _ in contents)])
        self._data = b"".join(content for content, _ in contents)
        self._found = RangeScanner().finish()
        self._places = self._lengths = self._starts = self._files = self._delivered_borders = np.zeros(0, np.int64)

    def _scan(self) -> Generator[None, None, NDArray[np.int64]]:
        scanner = RangeScanner()
        found = []
        for start in range(0, len(self._data), PIECE_BYTES):
            found.append(scanner.feed(self._data[start : start + PIECE_BYTES]))
            yield
        found.append(scanner.finish())
        self._found = _joined(found)
        is_gps = self._found.kinds == PacketKind.GPS
        self._places = np.where(is_gps, np.cumsum(is_gps), np.cumsum(~is_gps)) - 1
        self._lengths = np.where(is_gps, RANGE_GPS_PACKET.itemsize, RANGE_PACKET.itemsize)
        self._starts = np.cumsum(self._lengths) - self._lengths
        self._delivered_borders = self._delivered_before(self._borders)
        self._files = np.searchsorted(self._delivered_borders, self._starts, side="right") - 1
        self.anomalies.update(str(anomaly.reason) for anomaly in self._found.anomalies)
        writer_id = self._satellite_id or self._settings.formation.own_id
        if to_itself := int(np.count_nonzero(self._found.ranges["partner_id"] == writer_id)):
            self.anomalies[f"range from satellite {writer_id} to itself"] = to_itself
        return self._order()

    @property
    def size_bytes(self) -> int:
        """Number of bytes read of all files."""
        return len(self._data)

    @property
    def is_cut_packet(self) -> bool:
        """True if the files contain nothing but the beginning of a packet; valid after the scan."""
        return self._carried_from() == 0 and len(self._found.kinds) == 0

    @property
    def files(self) -> list[SourceFile]:
        """The files with their byte counts and `seq` 0; valid after the scan."""
        delivered = np.diff(self._delivered_borders).tolist()
        damage: list[list[tuple[int, int, str]]] = [[] for _ in self.names]
        borders = self._borders.tolist()
        carried = np.diff(np.maximum(self._borders, self._carried_from())).tolist()
        for found in self._found.damage:
            first, last = np.searchsorted(self._borders, (found.start, found.stop - 1), side="right") - 1
            for k in range(int(first), int(last) + 1):
                begin, end = max(found.start, borders[k]), min(found.stop, borders[k + 1])
                if end > begin:
                    shift = self._spans[k].from_byte - borders[k]
                    damage[k].append((begin + shift, end + shift, str(found.reason)))
        return [
            SourceFile(
                seq=0,
                name=name,
                size_bytes=borders[k + 1] - borders[k],
                modified_ns=self._modified_ns[k],
                delivered_bytes=delivered[k],
                damaged_bytes=borders[k + 1] - borders[k] - delivered[k],
                damaged_ranges=len(damage[k]),
                damage=tuple(damage[k][:DAMAGE_LISTED]),
                from_byte=self._spans[k].from_byte,
                carried_bytes=carried[k],
            )
            for k, name in enumerate(self.names)
        ]

    def messages(self, ordinals: NDArray[np.int64], first_seq: int) -> list[Message]:
        """Return the messages of the packets at these positions of the stream, numbered from `first_seq`."""
        is_gps = self._found.kinds[ordinals] == PacketKind.GPS
        places = [(seq, *self._place(k)) for seq, k in enumerate(ordinals.tolist(), first_seq)]
        fixes = fix_messages(
            decode_gps_packets(self._found.fixes[self._places[ordinals[is_gps]]], self._earliest_week),
            list(itertools.compress(places, is_gps.tolist())),
            RANGE_GPS,
            self._satellite_id,
        )
        ranges = range_messages(
            decode_ranges(self._found.ranges[self._places[ordinals[~is_gps]]], self._settings.radio.bandwidth_hz),
            list(itertools.compress(places, (~is_gps).tolist())),
            self._satellite_id,
        )
        return [next(fixes) if is_fix else next(ranges) for is_fix in is_gps.tolist()]

    def _place(self, k: int) -> tuple[str, int, bytes]:
        """Return file name, offset among the undamaged bytes of the file, and bytes of packet k."""
        file = self._files[k]
        offset = self._spans[file].delivered_before + int(self._starts[k] - self._delivered_borders[file])
        begin = self._found.offsets[k]
        return self.names[file], offset, self._data[begin : begin + self._lengths[k]]

    def _carried_from(self) -> int:
        """Return the offset of the cut packet at the end of the stream; the end of the stream if there is none."""
        damage = self._found.damage
        end = len(self._data)
        is_cut = bool(damage) and damage[-1].reason is DamageReason.CUT_TAIL and damage[-1].stop == end
        return damage[-1].start if is_cut else end

    def _order(self) -> NDArray[np.int64]:
        """Return the sort keys, GPS time in ms; the ranges that follow a GPS packet share its key."""
        is_gps = self._found.kinds == PacketKind.GPS
        gps, ranges = decode_gps_packets(self._found.fixes, self._earliest_week), self._found.ranges
        if len(gps) == 0:
            return np.zeros(len(is_gps), np.int64)
        group = np.maximum(np.cumsum(is_gps) - 1, 0)
        gps_ms = gps_ms_from_weeks(gps.gps_week, gps.gps_tow_ms)
        t_spacecraft_s = _group_times(group[~is_gps], ranges["t_spacecraft_s"].astype(np.int64), gps_ms)
        return np.asarray(sort_key_gps_ms(t_spacecraft_s, gps_ms)[group], np.int64)

    def _delivered_before(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the number of bytes of undamaged packets before each position of the stream."""
        if len(self._starts) == 0:
            return np.zeros(len(positions), np.int64)
        latest = np.maximum(np.searchsorted(self._found.offsets, positions, side="right") - 1, 0)
        within = np.clip(positions - self._found.offsets[latest], 0, self._lengths[latest])
        return np.asarray(self._starts[latest] + within, np.int64)


def _content(path: Path, span: Span, room: float) -> tuple[bytes, int]:
    """Return the bytes of a span and the file's modification time, 0 if the file has grown beyond the span."""
    descriptor = open_input(path)
    try:
        status = os.fstat(descriptor)
        to_byte = status.st_size if span.to_byte is None else span.to_byte
        if to_byte > FILE_BYTES_MAX:
            raise RangeFileError(0, f"larger than {FILE_BYTES_MAX} bytes, the maximum of a range file", str(path))
        if to_byte - span.from_byte > room:
            text = f"all range files have more than {BATCH_BYTES_MAX} bytes; fly this one in another run"
            raise RangeFileError(0, text, str(path))
        content = read_at(descriptor, to_byte - span.from_byte, span.from_byte)
        if len(content) < to_byte - span.from_byte:
            read_at(descriptor, 1, span.from_byte + len(content))  # raises an error if the next byte is unreadable
            text = f"shorter than its former {to_byte} bytes; it was replaced during the run"
            raise RangeFileError(0, text, str(path))
    except OSError as error:
        error.filename = error.filename or str(path)  # an error of a read has no file name
        raise
    finally:
        os.close(descriptor)
    return content, status.st_mtime_ns if status.st_size == to_byte else 0


def _joined(pieces: list[RangeScan]) -> RangeScan:
    """Join the scans of consecutive pieces; joining packets as bytes avoids NumPy's conversion of byte order."""
    fixes = b"".join(piece.fixes.tobytes() for piece in pieces)
    ranges = b"".join(piece.ranges.tobytes() for piece in pieces)
    return RangeScan(
        kinds=np.concatenate([piece.kinds for piece in pieces]),
        offsets=np.concatenate([piece.offsets for piece in pieces]),
        fixes=np.frombuffer(fixes, RANGE_GPS_PACKET),
        ranges=np.frombuffer(ranges, RANGE_PACKET),
        damage=tuple(damage for piece in pieces for damage in piece.damage),
        anomalies=tuple(anomaly for piece in pieces for anomaly in piece.anomalies),
    )


def _group_times(
    group: NDArray[np.int64], t_range_s: NDArray[np.int64], gps_ms: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the spacecraft time of each GPS packet, s: from its first range, else from neighbours, else -1."""
    times = np.full(len(gps_ms), -1)
    times[group[::-1]] = t_range_s[::-1]
    for k in range(1, len(times)):
        if times[k] < 0 and times[k - 1] >= 0:
            times[k] = times[k - 1] + (gps_ms[k] - gps_ms[k - 1]) // 1000
    for k in range(len(times) - 2, -1, -1):
        if times[k] < 0 and times[k + 1] >= 0:
            times[k] = times[k + 1] - (gps_ms[k + 1] - gps_ms[k]) // 1000
    return times


_NOTHING: Final = SourceFile(seq=0, name="")


def find_arrivals(
    home: Path, known: dict[str, SourceFile], settings: Settings
) -> tuple[list[RangeSeries], list[SourceFile]]:
    """Return series of range files that have appeared or grown, and reports on unreadable and replaced files.

    `known` contains the counts of the files read so far, by name.
    """
    folders, faults = list_range_files(home, settings.formation.own_id)
    found: list[RangeSeries] = []
    room = BATCH_BYTES_MAX
    unreadable = [fault for fault in faults if fault.name not in known]
    for folder in folders:
        sizes = _grown(home, folder, known, unreadable)
        for names in _rows(_in_order(folder.prefix, list(sizes), known), sizes, known):
            spans = {name: _span(counts, counts.size_bytes) for name, counts in _carried_into(names[0], known)}
            spans |= {name: _span(known.get(name, _NOTHING), sizes[name]) for name in names}
            read = list(spans.values())
            try:
                series = RangeSeries(
                    home, list(spans), settings, satellite_id=folder.satellite_id, spans=read, room=room
                )
            except FileNotFoundError:
                continue  # the file was removed after it was listed
            except OSError as error:
                unreadable.append(unreadable_file(error, home, names[-1]))
            else:
                room -= series.size_bytes
                found.append(series)
    return found, unreadable


def _grown(
    home: Path, folder: RangeFolder, known: dict[str, SourceFile], unreadable: list[SourceFile]
) -> dict[str, int]:
    """Return the sizes of new and grown files of a folder, empty ones included; report others in `unreadable`."""
    sizes: dict[str, int] = {}
    for name in (folder.prefix + name for name in folder.names):
        counts = known.get(name, _NOTHING)
        if name in known and (counts.fault or neighbour(name, 1) in known):
            continue
        try:
            size = retry_read((home / name).stat).st_size
        except FileNotFoundError:
            continue
        except OSError as error:
            unreadable.append(unreadable_file(error, home, name))
            continue
        if size < counts.size_bytes:
            reason = f"shorter than the {counts.size_bytes} bytes that were read; it was replaced"
            unreadable.append(SourceFile(seq=0, name=name, fault=reason))
        elif size > counts.size_bytes or name not in known:
            sizes[name] = size
    return sizes


def _in_order(prefix: str, names: list[str], known: dict[str, SourceFile]) -> list[str]:
    """Return names in the order of writing: their numbers continue from the newest known number."""
    numbers = _numbers(names)
    before = list(_numbers(name for name in known if name == f"{prefix}{Path(name).name}"))
    if before:
        ordered = sorted(numbers, key=lambda number: (number - before[-1]) % FILE_NUMBERS)
    else:
        ordered = [number for run in consecutive_runs(numbers) for number in run]
    return [name for name in names if name not in numbers.values()] + [numbers[number] for number in ordered]


def _rows(names: list[str], sizes: dict[str, int], known: dict[str, SourceFile]) -> Iterator[list[str]]:
    """Yield series of files that continue each other, without empty files at the end."""
    rows: list[list[str]] = []
    for name in names:
        is_read_from_its_start = _span(known.get(name, _NOTHING), 0).from_byte == 0
        if rows and is_read_from_its_start and is_next_file(rows[-1][-1], name):
            rows[-1].append(name)
        else:
            rows.append([name])
    for row in rows:
        while row and not sizes[row[-1]]:
            row.pop()
        if row:
            yield row


def _carried_into(name: str, known: dict[str, SourceFile]) -> list[tuple[str, SourceFile]]:
    """Return the preceding files that contain the beginning of this file's first packet; several if they are short."""
    found: list[tuple[str, SourceFile]] = []
    counts = known.get(name, _NOTHING)
    while counts.carried_bytes == counts.size_bytes and len(found) < FILE_NUMBERS:
        before = neighbour(name, -1)
        if before not in known or known[before].fault:
            break
        name, counts = before, known[before]
        found.insert(0, (name, counts))
    while found and not found[0][1].carried_bytes:
        found.pop(0)
    return found


def _span(counts: SourceFile, to_byte: int) -> Span:
    """Return the bytes to read of a file: from the beginning of the packet that was cut at its former end."""
    cut = counts.carried_bytes
    return Span(counts.size_bytes - cut, to_byte, counts.delivered_bytes)


def _numbers(names: Iterable[str]) -> dict[int, str]:
    """Return the names of numbered range files by number."""
    return {number: name for name in names if (number := range_file_number(Path(name).name)) is not None}
