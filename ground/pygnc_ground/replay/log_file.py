"""Logs of other packages' formats as inputs of a replay."""

from collections.abc import Generator
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from pygnc.bus.messages import GnssFix, Message, SourceFile
from pygnc.common.clock import UNKNOWN_GPS_MS
from pygnc.estimators.clock.sort_key import sort_key_gps_ms
from pygnc.formats.damage import Damage
from pygnc.inputs.source import DAMAGE_LISTED, BatchSource
from pygnc_ground.inspection.log_reader import LogReader, LogRecord


class LogFile(BatchSource):
    """A log that a reader of another package reads; its records are kept in memory."""

    def __init__(self, path: Path, reader: LogReader) -> None:
        super().__init__([str(path)])
        self._path = path
        self._reader = reader
        self._records: list[LogRecord] = []
        self._damage: list[Damage] = []

    def _scan(self) -> Generator[None, None, NDArray[np.int64]]:
        t_spacecraft_s, gps_ms = [], []
        for record in self._reader.records(self._path):
            if isinstance(record, Damage):
                self._damage.append(record)
                continue
            if record.t_spacecraft_s is None:
                raise ValueError(
                    f"{self._path}: the reader of {self._reader.kind} gives a record without spacecraft time"
                )
            known_ms = record.gps_ms if isinstance(record, GnssFix) else None
            self._records.append(record)
            t_spacecraft_s.append(record.t_spacecraft_s)
            gps_ms.append(UNKNOWN_GPS_MS if known_ms is None else known_ms)
        yield
        return sort_key_gps_ms(np.array(t_spacecraft_s, np.int64), np.array(gps_ms, np.int64))

    @property
    def files(self) -> list[SourceFile]:
        """The file with its byte counts; its `seq` is 0."""
        size = self._path.stat().st_size
        damaged = sum(one.stop - one.start for one in self._damage)
        return [
            SourceFile(
                seq=0,
                name=self.names[0],
                size_bytes=size,
                delivered_bytes=size - damaged,
                damaged_bytes=damaged,
                damaged_ranges=len(self._damage),
                damage=tuple((one.start, one.stop, str(one.reason)) for one in self._damage[:DAMAGE_LISTED]),
            )
        ]

    def messages(self, ordinals: NDArray[np.int64], first_seq: int) -> list[Message]:
        """Return the messages of these records, numbered from `first_seq`."""
        chosen = enumerate((self._records[ordinal] for ordinal in ordinals.tolist()), first_seq)
        return [msgspec.structs.replace(record, seq=seq, source=self.names[0]) for seq, record in chosen]
