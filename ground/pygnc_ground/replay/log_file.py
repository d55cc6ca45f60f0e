"""Logs of other packages' formats as inputs of a replay."""

from collections.abc import Generator, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from pygnc.bus.messages import GnssFix, Message, RangeMeasurement, SourceFile
from pygnc.common.clock import UNKNOWN_GPS_MS
from pygnc.estimators.clock.sort_key import sort_key_gps_ms
from pygnc.formats.damage import Damage
from pygnc.inputs.source import DAMAGE_LISTED, BatchSource
from pygnc_ground.inspection.log_reader import LogReader, LogRecord
from pygnc_ground.replay.array_file import ArrayFile

_BLOCK: Final = 64
"""Number of records that are decoded at once."""
_BLOCKS_AT_ONCE: Final = 16
"""Number of decoded blocks in memory: several receivers may have stored their fixes one after the other."""


class _Records:
    """Records in a temporary file, by their number."""

    def __init__(self) -> None:
        self._arrays = ArrayFile()
        self._blocks: list[NDArray[np.uint8]] = []
        self._newest: list[LogRecord] = []
        self._decoded = lru_cache(_BLOCKS_AT_ONCE)(self._decode)

    def append(self, record: LogRecord) -> None:
        self._newest.append(record)
        if len(self._newest) == _BLOCK:
            encoded = np.frombuffer(msgspec.msgpack.encode(self._newest), np.uint8)
            self._blocks.append(self._arrays.stored(encoded))
            self._newest = []

    def at(self, numbers: list[int]) -> Iterator[LogRecord]:
        for block, row in (divmod(number, _BLOCK) for number in numbers):
            yield (self._decoded(block) if block < len(self._blocks) else self._newest)[row]

    def _decode(self, block: int) -> list[LogRecord]:
        return msgspec.msgpack.decode(self._blocks[block].data, type=list[LogRecord])


class LogFile(BatchSource):
    """A log that a reader of another package reads; its records are kept in a temporary file."""

    def __init__(self, path: Path, reader: LogReader) -> None:
        super().__init__([str(path)])
        self._path = path
        self._reader = reader
        self._records = _Records()
        self._damage: list[tuple[int, int, str]] = []
        self._damaged_bytes = self._damaged_ranges = 0

    def _scan(self) -> Generator[None, None, NDArray[np.int64]]:
        t_spacecraft_s, gps_ms, clock_ms = [], [], []
        for record in self._reader.records(self._path):
            if isinstance(record, Damage):
                self._add(record)
                continue
            if record.t_spacecraft_s is None:
                raise ValueError(
                    f"{self._path}: the reader of {self._reader.kind} gives a record without spacecraft time"
                )
            known_ms = record.gps_ms if isinstance(record, GnssFix) else None
            self._records.append(record)
            t_spacecraft_s.append(record.t_spacecraft_s)
            of_second_ms = 0 if isinstance(record, RangeMeasurement) else record.t_spacecraft_ms
            clock_ms.append(1000 * record.t_spacecraft_s + of_second_ms)
            gps_ms.append(UNKNOWN_GPS_MS if known_ms is None else known_ms)
        yield
        if self._reader.has_gps_clock:
            return np.array(clock_ms, np.int64)
        return sort_key_gps_ms(np.array(t_spacecraft_s, np.int64), np.array(gps_ms, np.int64))

    def _add(self, damage: Damage) -> None:
        self._damaged_bytes += damage.stop - damage.start
        self._damaged_ranges += 1
        if self._damaged_ranges <= DAMAGE_LISTED:
            self._damage.append((damage.start, damage.stop, damage.detail or str(damage.reason)))

    @property
    def files(self) -> list[SourceFile]:
        """The file with its byte counts; its `seq` is 0."""
        size = self._path.stat().st_size
        return [
            SourceFile(
                seq=0,
                name=self.names[0],
                size_bytes=size,
                delivered_bytes=size - self._damaged_bytes,
                damaged_bytes=self._damaged_bytes,
                damaged_ranges=self._damaged_ranges,
                damage=tuple(self._damage),
            )
        ]

    def messages(self, ordinals: NDArray[np.int64], first_seq: int) -> list[Message]:
        """Return the messages of these records, numbered from `first_seq`."""
        chosen = enumerate(self._records.at(ordinals.tolist()), first_seq)
        return [msgspec.structs.replace(record, seq=seq, source=self.names[0]) for seq, record in chosen]
