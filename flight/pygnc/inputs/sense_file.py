"""Sense files: the records are found in bounded memory and converted to messages only when they are due."""

import itertools
import os
import zlib
from collections.abc import Generator, Iterator
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pygnc.bus.messages import Message, SourceFile
from pygnc.common.clock import gps_ms_from_weeks
from pygnc.configuration.settings import Settings
from pygnc.estimators.clock.sort_key import sort_key_gps_ms
from pygnc.formats.damage import Damage, DamageReason
from pygnc.formats.gps_packet import SENSE_GPS, decode_gps_packets
from pygnc.formats.sense import SENSOR_PACKET, SenseLayout, decode_sensors
from pygnc.formats.sense_scan import SenseScan, SenseScanner, recognise_layout
from pygnc.inputs.host_packets import fix_messages, sample_messages
from pygnc.inputs.source import DAMAGE_LISTED, BatchSource
from pygnc_system.files import open_input, read_at

CHUNK_BYTES: Final = 1 << 20
RECOGNITION_BYTES: Final = 1 << 16
FILE_BYTES_MAX: Final = 1 << 28
"""Number of bytes read of a file: the samples of 300 days. A larger size is that of a damaged file system."""
_BLOCK_BYTES: Final = 1 << 12
_SKIPPED_BYTES_MAX: Final = 1 << 16
"""Bytes skipped at once where a file cannot be read: at first one block, twice as many after each further failure."""


def sense_messages(
    records: NDArray[np.void],
    ordinals: NDArray[np.int64],
    source: str,
    layout: SenseLayout,
    first_seq: int,
    *,
    settings: Settings,
) -> list[Message]:
    """Return the messages of M sense records in order: each record's N sensor samples, then its GPS fix.

    Args:
        records: The records, shape (M,).
        ordinals: Position of each record among the undamaged records of the file, shape (M,).
        source: Name of the file.
        layout: Layout of the records.
        first_seq: Number of the first message.
        settings: Settings of the run.
    """
    sensors = layout.sensors_per_record
    borders = [*range(0, (sensors + 1) * SENSOR_PACKET.itemsize, SENSOR_PACKET.itemsize)]
    borders.append(borders[-1] + records.dtype["gps"].itemsize)
    sample_places, fix_places = [], []
    seq = first_seq
    for start, record in zip((ordinals * layout.size).tolist(), records, strict=True):
        raw = record.tobytes()
        places = [(seq + k, source, start + borders[k], raw[borders[k] : borders[k + 1]]) for k in range(sensors + 1)]
        sample_places += places[:-1]
        fix_places.append(places[-1])
        seq += len(places)
    samples = sample_messages(decode_sensors(records), sample_places, settings.attitude.hall_word)
    fixes = decode_gps_packets(records["gps"], settings.orbit.screening.earliest_gps_week)
    messages: list[Message] = []
    for fix in fix_messages(fixes, fix_places, SENSE_GPS):
        messages += itertools.islice(samples, sensors)
        messages.append(fix)
    return messages


class FileChangedError(OSError):
    """Error raised when a file was changed since it was scanned."""


class SenseFile(BatchSource):
    """An input file of sense records.

    The scan reads the file once and keeps 28 bytes per record. Bytes that are appended after the file was opened, and a
    file that replaces it, are not read. Bytes that the disk does not deliver are skipped; records are found again after
    them.

    Args:
        file: Path of the file, or its content.
        name: Name of the file relative to the home folder.
        settings: Settings of the run.
        size: Number of bytes to read; None for all.

    Raises:
        OSError: The file cannot be read.
    """

    def __init__(self, file: Path | bytes, name: str, settings: Settings, size: int | None = None) -> None:
        if isinstance(file, bytes):
            self._read = partial(_part, file)
            self._size, self._modified_ns = len(file), 0
        else:
            descriptor = open_input(file)
            self._read = partial(read_at, descriptor)
            status = os.fstat(descriptor)
            self._size = status.st_size if size is None else size
            self._modified_ns = status.st_mtime_ns if status.st_size == self._size else 0
        self._settings = settings
        self.layout = self._recognised() or SenseLayout()
        super().__init__([name], terminated=self.layout.terminated)
        self._damage: list[Damage] = []
        self._damaged_ranges = 0
        self._unread_bytes = 0
        self._offsets: NDArray[np.int64] = np.zeros(0, np.int64)
        self._checksums: list[int] = []

    def _recognised(self) -> SenseLayout | None:
        """Return the layout of the records in the first bytes that can be read; raise the error if none can be."""
        unreadable: OSError | None = None
        for offset in range(0, min(self._size, CHUNK_BYTES), _BLOCK_BYTES):
            try:
                return recognise_layout(self._read(RECOGNITION_BYTES, offset))
            except OSError as error:
                unreadable = error
        if unreadable:
            raise unreadable
        return None

    def _pieces(self) -> Iterator[SenseScan]:
        """Yield the results of scanning the file piece by piece, with the bytes that cannot be read as damage."""
        scanner, position, end = SenseScanner(self.layout), 0, min(self._size, FILE_BYTES_MAX)
        size, skipped = CHUNK_BYTES, _BLOCK_BYTES
        while position < end:
            try:
                piece = self._read(min(size, end - position), position)
            except OSError:
                if size > _BLOCK_BYTES:
                    size = _BLOCK_BYTES
                    continue
                yield scanner.finish()
                after = min(position - position % _BLOCK_BYTES + skipped, end)
                yield self._unread(position, after)
                scanner, position, skipped = SenseScanner(self.layout, base_offset=after), after, 2 * skipped
                skipped = min(skipped, _SKIPPED_BYTES_MAX)
                continue
            if not piece:
                break  # the file was cut meanwhile
            position += len(piece)
            size, skipped = min(2 * size, CHUNK_BYTES), _BLOCK_BYTES
            yield scanner.feed(piece)
        yield scanner.finish()
        if self._size > end:
            yield self._unread(end, self._size)

    def _unread(self, start: int, stop: int) -> SenseScan:
        self._unread_bytes += stop - start
        damage = Damage(start, stop, DamageReason.UNREADABLE)
        return SenseScan(np.zeros(0, self.layout.record), np.zeros(0, np.int64), (damage,), ())

    def _scan(self) -> Generator[None, None, NDArray[np.int64]]:
        earliest_week = self._settings.orbit.screening.earliest_gps_week
        offsets, t_spacecraft_s, gps_ms = [], [], []
        for found in self._pieces():
            fixes = decode_gps_packets(found.records["gps"], earliest_week)
            offsets.append(found.offsets)
            self._checksums += [zlib.crc32(record.tobytes()) for record in found.records]
            t_spacecraft_s.append(found.records["gps"]["t_spacecraft_s"])
            gps_ms.append(gps_ms_from_weeks(fixes.gps_week, fixes.gps_tow_ms))
            self._damaged_ranges += len(found.damage)
            self._damage += found.damage[: DAMAGE_LISTED - len(self._damage)]
            self.anomalies.update(str(anomaly.reason) for anomaly in found.anomalies)
            yield
        self._offsets = np.concatenate(offsets)
        return sort_key_gps_ms(np.concatenate(t_spacecraft_s), np.concatenate(gps_ms))

    @property
    def files(self) -> list[SourceFile]:
        """The file with its byte counts and `seq` 0, as the only element; valid after the scan."""
        delivered = len(self._offsets) * self.layout.size
        file = SourceFile(
            seq=0,
            name=self.names[0],
            size_bytes=self._size,
            modified_ns=self._modified_ns,
            delivered_bytes=delivered,
            damaged_bytes=self._size - delivered,
            damaged_ranges=self._damaged_ranges,
            damage=tuple((d.start, d.stop, str(d.reason)) for d in self._damage),
            unread_bytes=self._unread_bytes,
        )
        return [file]

    def messages(self, ordinals: NDArray[np.int64], first_seq: int) -> list[Message]:
        """Return the messages of the records with these indices, numbered from `first_seq`.

        Raises:
            FileChangedError: The file was changed since it was scanned.
        """
        records = self.records(ordinals)
        return sense_messages(records, ordinals, self.names[0], self.layout, first_seq, settings=self._settings)

    def records(self, ordinals: NDArray[np.int64]) -> NDArray[np.void]:
        """Return the records with these indices; `messages` describes the error."""
        pieces = [self._read(self.layout.size, offset) for offset in self._offsets[ordinals].tolist()]
        if any(zlib.crc32(piece) != self._checksums[k] for piece, k in zip(pieces, ordinals.tolist(), strict=True)):
            raise FileChangedError(f"{self.names[0]}: the file was changed during the run; start the run again")
        return np.frombuffer(b"".join(pieces), self.layout.record)


def _part(content: bytes, size: int, offset: int) -> bytes:
    return content[offset : offset + size]
