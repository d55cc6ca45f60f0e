"""One sense file: what is in it, found in bounded memory, and its records again when their turn comes.

Packets as numbered messages: the one place where decoded arrays become what the tasks say to each other.
"""

import dataclasses
import os
from collections import Counter
from collections.abc import Iterator
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
    """Return the messages of M records in order: N sensor samples and a fix of each, numbered from `first_seq`.

    `ordinals` (M,) count the undamaged records of the file: they say where the packets' bytes stand.
    """
    sensors = layout.sensors_per_record
    samples = decode_sensors(records)
    fixes = fix_fields(decode_fixes(records))
    messages: list[Message] = []
    seq = first_seq
    # Iterating over Python lists costs a tenth of iterating over arrays.
    times, mag, hall = samples.t_spacecraft_s.tolist(), samples.mag_imu_ut.tolist(), samples.hall_raw.tolist()
    gyro, lux = samples.gyro_imu_rad_s.tolist(), samples.lux.tolist()
    for m, (record, ordinal, fix) in enumerate(zip(records, ordinals.tolist(), fixes, strict=True)):
        raw = record.tobytes()
        start = ordinal * layout.size
        messages += [
            SensorSample(
                seq=seq + k,
                source=source,
                offset=start + k * _SENSOR_BYTES,
                t_spacecraft_s=times[m][k],
                mag_imu_ut=tuple(mag[m][k]),
                hall_raw=hall[m][k],
                gyro_imu_rad_s=tuple(gyro[m][k]),
                lux=tuple(lux[m][k]),
                raw=raw[k * _SENSOR_BYTES : (k + 1) * _SENSOR_BYTES],
            )
            for k in range(sensors)
        ]
        gps = slice(sensors * _SENSOR_BYTES, sensors * _SENSOR_BYTES + record["gps"].nbytes)
        seq += sensors
        messages.append(GpsFix(seq=seq, source=source, offset=start + gps.start, raw=raw[gps], **fix))
        seq += 1
    return messages


def fix_fields(fixes: GpsFixes) -> Iterator[dict[str, Any]]:
    """Yield the measured fields of a GpsFix message, packet by packet."""
    names = [field.name for field in dataclasses.fields(fixes)]
    columns = [getattr(fixes, name) for name in names]
    rows = zip(*([None] * len(fixes) if column is None else column.tolist() for column in columns), strict=True)
    for row in rows:
        yield {name: tuple(value) if isinstance(value, list) else value for name, value in zip(names, row, strict=True)}


CHUNK_BYTES: Final = 1 << 20
RECOGNITION_BYTES: Final = 1 << 16
DAMAGE_LISTED: Final = 100
"""So many damaged ranges are described, all are counted: a file of noise must not fill the memory."""


class FileChangedError(OSError):
    """The file is not any more what it was when it was scanned."""


class SenseFile:
    """An input file of sense records.

    Cost: `scan` reads the file once; 24 bytes are kept per record.

    Attributes:
        layout: how its records are laid out.
        anomalies: how many undamaged records deserve a second look, by reason.
        keys: GPS milliseconds by which the undamaged records are ordered, once scanned, shape (n,).
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
        """Find the records; yields after each piece of work."""
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
        """Whether its records end in CR LF."""
        return self.layout.terminated

    @property
    def files(self) -> list[SourceFile]:
        """The file and the books of its bytes, not numbered yet."""
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
            FileChangedError: the file was changed since it was scanned.
        """
        size = self.layout.size
        raw = b"".join(os.pread(self._descriptor, size, offset) for offset in self._offsets[ordinals].tolist())
        if len(raw) != size * len(ordinals) or os.fstat(self._descriptor).st_mtime_ns != self._modified_ns:
            raise FileChangedError(f"{self.names[0]} was changed while it was read")
        return sense_messages(np.frombuffer(raw, self.layout.record), ordinals, self.names[0], self.layout, first_seq)

    def _note(self, found: SenseScan) -> None:
        self._damaged_ranges += len(found.damage)
        self._damage += found.damage[: DAMAGE_LISTED - len(self._damage)]
        self.anomalies.update(str(anomaly.reason) for anomaly in found.anomalies)
