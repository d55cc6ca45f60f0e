"""A row of range files that continue each other: scanned as one stream and given out packet by packet."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pygnc.bus.messages import GpsFix, Message, RangeMeasurement, SourceFile
from pygnc.common.clock import gps_ms_from_weeks
from pygnc.estimators.clock.sort_key import sort_key_gps_ms
from pygnc.formats.damage import DamageReason
from pygnc.formats.gps_packet import RANGE_GPS_PACKET, decode_gps_packets
from pygnc.formats.range_scan import RangeScan, RangeScanner
from pygnc.formats.ranges import RANGE_PACKET, PacketKind, decode_ranges
from pygnc.tasks.ingest.input_messages import fix_fields
from pygnc.tasks.ingest.sense_file import DAMAGE_LISTED

FILE_BYTES_MAX: Final = 1 << 24
"""A thousand times what the controller writes into one file: longer ones are no range files."""
PIECE_BYTES: Final = 1 << 15
"""Scanned at a time: some 10 ms."""


class RangeFileError(OSError):
    """A file in the range folder that is no range file, or not any more the one that it was."""


class Span(NamedTuple):
    """The bytes of a file that are read.

    Attributes:
        from_byte: The first one.
        to_byte: Behind the last one; None: the end of the file.
        delivered_before: So many bytes of the file in front of the first one stand in packets.
    """

    from_byte: int = 0
    to_byte: int | None = None
    delivered_before: int = 0


class RangeRow:
    """Range files of consecutive numbers; a packet cut by the end of one goes on in the next.

    The whole row is held in memory.

    Args:
        paths: the files.
        names: their names below the home folder.
        bandwidth_hz: of the radios.
        satellite_id: radio id of the partner that wrote the files; 0: our own.
        own_id: our own radio id.
        spans: what to read of each file; all of it if None.

    Raises:
        OSError: a file cannot be read.
    """

    terminated = True

    def __init__(
        self,
        paths: Sequence[Path],
        names: Sequence[str],
        bandwidth_hz: float,
        *,
        satellite_id: int = 0,
        own_id: int = 0,
        spans: Sequence[Span] | None = None,
    ) -> None:
        self._spans = [Span()] * len(paths) if spans is None else spans
        contents = [_content(path, span) for path, span in zip(paths, self._spans, strict=True)]
        self._modified_ns = [modified_ns for _, modified_ns in contents]
        self.names = names
        self._bandwidth_hz = bandwidth_hz
        self._satellite_id = satellite_id
        self._writer_id = satellite_id or own_id
        self._borders = np.cumsum([0, *(len(content) for content, _ in contents)])
        self._data = b"".join(content for content, _ in contents)
        self._found = _joined([RangeScanner().finish()])
        self._places = self._lengths = self._starts = self._files = self._delivered_borders = np.zeros(0, np.int64)
        self.keys: NDArray[np.int64] = np.zeros(0, np.int64)
        self.anomalies: Counter[str] = Counter()

    def scan(self) -> Iterator[None]:
        """Find the packets; yields after each piece of work."""
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
        if itself := int(np.count_nonzero(self._found.ranges["partner_id"] == self._writer_id)):
            self.anomalies[f"range from satellite {self._writer_id} to itself"] = itself
        self.keys = self._order()

    @property
    def is_cut_packet(self) -> bool:
        """Whether there is nothing in it but the beginning of a packet; once scanned."""
        return self._carried_from() == 0 and len(self._found.kinds) == 0

    @property
    def files(self) -> list[SourceFile]:
        """The files and the books of their bytes, not numbered yet."""
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
        """Return the numbered messages of these packets."""
        is_gps = self._found.kinds[ordinals] == PacketKind.GPS
        fixes = fix_fields(decode_gps_packets(self._found.fixes[self._places[ordinals[is_gps]]]))
        ranges = decode_ranges(self._found.ranges[self._places[ordinals[~is_gps]]], self._bandwidth_hz)
        range_rows = zip(
            ranges.partner_id.tolist(),
            ranges.rssi_dbm.tolist(),
            ranges.t_spacecraft_s.tolist(),
            ranges.frequency_error_hz.tolist(),
            ranges.range_m.tolist(),
            strict=True,
        )
        messages: list[Message] = []
        for seq, k in enumerate(ordinals.tolist(), first_seq):
            source = self.names[self._files[k]]
            before = self._spans[self._files[k]].delivered_before
            offset = before + int(self._starts[k] - self._delivered_borders[self._files[k]])
            begin = self._found.offsets[k]
            raw = self._data[begin : begin + self._lengths[k]]
            if self._found.kinds[k] == PacketKind.GPS:
                fix = next(fixes) | {"satellite_id": self._satellite_id}
                messages.append(GpsFix(seq=seq, source=source, offset=offset, raw=raw, **fix))
            else:
                partner, rssi, time, frequency, distance = next(range_rows)
                messages.append(
                    RangeMeasurement(
                        seq=seq,
                        source=source,
                        offset=offset,
                        partner_id=partner,
                        rssi_dbm=rssi,
                        t_spacecraft_s=time,
                        frequency_error_hz=frequency,
                        range_m=distance,
                        raw=raw,
                        satellite_id=self._satellite_id,
                    )
                )
        return messages

    def _carried_from(self) -> int:
        """Where the cut packet at the end of the stream begins."""
        damage = self._found.damage
        end = len(self._data)
        is_cut = bool(damage) and damage[-1].reason is DamageReason.CUT_TAIL and damage[-1].stop == end
        return damage[-1].start if is_cut else end

    def _order(self) -> NDArray[np.int64]:
        """GPS milliseconds by which the packets are ordered: those of a GPS packet's group share its key."""
        is_gps = self._found.kinds == PacketKind.GPS
        gps, ranges = decode_gps_packets(self._found.fixes), self._found.ranges
        if len(gps) == 0:
            return np.zeros(len(is_gps), np.int64)
        group = np.maximum(np.cumsum(is_gps) - 1, 0)
        gps_ms = gps_ms_from_weeks(gps.gps_week, gps.gps_tow_ms)
        t_spacecraft_s = _group_times(group[~is_gps], ranges["t_spacecraft_s"].astype(np.int64), gps_ms)
        return np.asarray(sort_key_gps_ms(t_spacecraft_s, gps_ms)[group], np.int64)

    def _delivered_before(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many bytes of packets stand before each position of the stream."""
        if len(self._starts) == 0:
            return np.zeros(len(positions), np.int64)
        latest = np.maximum(np.searchsorted(self._found.offsets, positions, side="right") - 1, 0)
        within = np.clip(positions - self._found.offsets[latest], 0, self._lengths[latest])
        return np.asarray(self._starts[latest] + within, np.int64)


def _content(path: Path, span: Span) -> tuple[bytes, int]:
    """A span's bytes, and when the file was modified: 0, not known, if it has grown behind the span since."""
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        to_byte = status.st_size if span.to_byte is None else span.to_byte
        if to_byte > FILE_BYTES_MAX:
            raise RangeFileError(0, f"larger than {FILE_BYTES_MAX} bytes, so it is no range file", str(path))
        file.seek(span.from_byte)
        content = file.read(to_byte - span.from_byte)
    if len(content) < to_byte - span.from_byte:
        raise RangeFileError(0, f"shorter than the {to_byte} bytes it had: it was replaced during the run", str(path))
    return content, status.st_mtime_ns if status.st_size == to_byte else 0


def _joined(pieces: list[RangeScan]) -> RangeScan:
    """One scan out of those of consecutive pieces. Words are joined as bytes: NumPy would swap them on the way."""
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
    """Spacecraft time of each GPS packet: that of its first range, else carried on by GPS time from the one before."""
    times = np.full(len(gps_ms), -1)
    times[group[::-1]] = t_range_s[::-1]
    for k in range(1, len(times)):
        if times[k] < 0 and times[k - 1] >= 0:
            times[k] = times[k - 1] + (gps_ms[k] - gps_ms[k - 1]) // 1000
    for k in range(len(times) - 2, -1, -1):
        if times[k] < 0 and times[k + 1] >= 0:
            times[k] = times[k + 1] - (gps_ms[k + 1] - gps_ms[k]) // 1000
    return times
