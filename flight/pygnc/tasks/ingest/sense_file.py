"""Sense files: find the records in bounded memory, and convert them to messages when their turn comes.

This module is where decoded GPS and sensor packets become messages; range files and live packets use it, too.
"""

import dataclasses
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pygnc.bus.messages import GpsFix, Message, SensorSample, SourceFile
from pygnc.common.clock import gps_ms_from_weeks
from pygnc.estimators.clock.sort_key import sort_key_gps_ms
from pygnc.formats.damage import Damage
from pygnc.formats.gps_packet import GpsFixes
from pygnc.formats.sense import SENSOR_PACKET, SenseLayout, decode_fixes, decode_sensors
from pygnc.formats.sense_scan import SenseScan, SenseScanner, recognise_layout

_SENSOR_BYTES = SENSOR_PACKET.itemsize


def sense_messages(
    records: NDArray[np.void], ordinals: NDArray[np.int64], source: str, layout: SenseLayout, first_seq: int
) -> list[Message]:
    """Return the messages of M sense records in order: each record's N sensor samples, then its GPS fix.

    Args:
        records: The records, shape (M,).
        ordinals: Position of each record among the undamaged records of the file, shape (M,).
        source: Name of the file.
        layout: Layout of the records.
        first_seq: Number of the first message.
    """
    sensors = layout.sensors_per_record
    samples = decode_sensors(records)
    gps = slice(sensors * _SENSOR_BYTES, sensors * _SENSOR_BYTES + records.dtype["gps"].itemsize)
    raws = [record.tobytes() for record in records]
    starts = (ordinals * layout.size).tolist()
    places = [
        (first_seq + m * (sensors + 1) + sensors, source, start + gps.start, raw[gps])
        for m, (start, raw) in enumerate(zip(starts, raws, strict=True))
    ]
    messages: list[Message] = []
    # Iterating over Python lists takes a tenth of the time of iterating over arrays.
    times, mag, hall = samples.t_spacecraft_s.tolist(), samples.mag_imu_ut.tolist(), samples.hall_raw.tolist()
    gyro, lux = samples.gyro_imu_rad_s.tolist(), samples.lux.tolist()
    for m, fix in enumerate(gps_messages(decode_fixes(records), places)):
        messages += [
            SensorSample(
                seq=fix.seq - sensors + k,
                source=source,
                offset=starts[m] + k * _SENSOR_BYTES,
                t_spacecraft_s=times[m][k],
                mag_imu_ut=tuple(mag[m][k]),
                hall_raw=hall[m][k],
                gyro_imu_rad_s=tuple(gyro[m][k]),
                lux=tuple(lux[m][k]),
                raw=raws[m][k * _SENSOR_BYTES : (k + 1) * _SENSOR_BYTES],
            )
            for k in range(sensors)
        ]
        messages.append(fix)
    return messages


def gps_messages(
    fixes: GpsFixes, places: Iterable[tuple[int, str, int, bytes]], satellite_id: int = 0
) -> Iterator[GpsFix]:
    """Yield the messages of M GPS packets.

    Args:
        fixes: The decoded packets.
        places: Number, source, offset and raw bytes of each packet's message.
        satellite_id: Radio id of the partner whose receiver made the packets, 0 for our own.
    """
    names = [field.name for field in dataclasses.fields(fixes)]
    columns = [getattr(fixes, name) for name in names]
    rows = zip(*([None] * len(fixes) if column is None else column.tolist() for column in columns), strict=True)
    for (seq, source, offset, raw), row in zip(places, rows, strict=True):
        values: dict[str, Any] = {
            name: tuple(v) if isinstance(v, list) else v for name, v in zip(names, row, strict=True)
        }
        yield GpsFix(seq=seq, source=source, offset=offset, raw=raw, satellite_id=satellite_id, **values)


CHUNK_BYTES: Final = 1 << 20
RECOGNITION_BYTES: Final = 1 << 16
DAMAGE_LISTED: Final = 100
"""Maximum number of damaged ranges that are listed (all are counted): a file of noise must not fill the memory."""


class FileChangedError(OSError):
    """The file was changed since it was scanned."""


class SenseFile:
    """An input file of sense records; see `BatchSource`.

    The scan reads the file once and keeps 24 bytes per record.

    Args:
        path: The file.
        name: Its name relative to the home folder.
        sensors_per_record: Sensor packets in a record.

    Attributes:
        layout: Layout of the records.
        anomalies: Number of undamaged records with an anomaly, by reason.
        keys: Sort keys of the undamaged records in GPS ms, shape (n,); valid after the scan.

    Raises:
        OSError: The file cannot be read.
    """

    def __init__(self, path: Path, name: str, sensors_per_record: int) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        status = os.fstat(self._descriptor)
        self.names = [name]
        self._size = status.st_size
        self._modified_ns = status.st_mtime_ns
        head = os.pread(self._descriptor, RECOGNITION_BYTES, 0)
        self.layout = recognise_layout(head, sensors_per_record) or SenseLayout(sensors_per_record)
        self.anomalies: Counter[str] = Counter()
        self._damage: list[Damage] = []
        self._damaged_ranges = 0
        self.keys: NDArray[np.int64] = np.zeros(0, np.int64)
        self._offsets: NDArray[np.int64] = np.zeros(0, np.int64)

    def scan(self) -> Iterator[None]:
        """Find the records; yields after each step."""
        scanner = SenseScanner(self.layout)
        offsets, t_spacecraft_s, gps_ms = [], [], []
        for position in range(0, max(self._size, 1), CHUNK_BYTES):
            wanted = min(CHUNK_BYTES, self._size - position)
            piece = os.pread(self._descriptor, wanted, position)
            found = scanner.finish(piece) if position + wanted >= self._size else scanner.feed(piece)
            fixes = decode_fixes(found.records)
            offsets.append(found.offsets)
            t_spacecraft_s.append(found.records["gps"]["t_spacecraft_s"])
            gps_ms.append(gps_ms_from_weeks(fixes.gps_week, fixes.gps_tow_ms))
            self._note(found)
            yield
        self._offsets = np.concatenate(offsets)
        self.keys = sort_key_gps_ms(np.concatenate(t_spacecraft_s), np.concatenate(gps_ms))

    @property
    def terminated(self) -> bool:
        """Whether the records end in CR LF."""
        return self.layout.terminated

    @property
    def files(self) -> list[SourceFile]:
        """The file with its byte counts, without a number."""
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
        )
        return [file]

    def messages(self, ordinals: NDArray[np.int64], first_seq: int) -> list[Message]:
        """Return the numbered messages of these records.

        Raises:
            FileChangedError: The file was changed since it was scanned.
        """
        size = self.layout.size
        raw = b"".join(os.pread(self._descriptor, size, offset) for offset in self._offsets[ordinals].tolist())
        if len(raw) != size * len(ordinals) or os.fstat(self._descriptor).st_mtime_ns != self._modified_ns:
            raise FileChangedError(f"{self.names[0]} was changed while it was being read")
        return sense_messages(np.frombuffer(raw, self.layout.record), ordinals, self.names[0], self.layout, first_seq)

    def _note(self, found: SenseScan) -> None:
        self._damaged_ranges += len(found.damage)
        self._damage += found.damage[: DAMAGE_LISTED - len(self._damage)]
        self.anomalies.update(str(anomaly.reason) for anomaly in found.anomalies)
