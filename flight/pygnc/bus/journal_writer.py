"""Writer of a journal: a series of segment files, on disk as long as the disk accepts them, then in memory.

Every append is one unbuffered write, so a killed process loses nothing. Data are synced on a timer, so a power cut
costs at most the last second.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from pygnc.bus.journal_files import PART, SegmentWriter, last_number, list_segments
from pygnc.formats import journal

SEGMENT_BYTES: Final = 1 << 20
SPARE_SEGMENTS: Final = 8
SYNC_INTERVAL_S: Final = 0.5
"""Interval of syncs, s; with the loops' wait of up to 0.5 s, records that are a second old are on the disk."""


class JournalWriter:
    """Writer of one journal; after a restart, a new writer continues where the previous writer ended.

    Every method raises OSError if a sync has failed, or if neither disk nor memory has room.

    Args:
        disk: the run's folder.
        memory: folder in memory, used if the disk fails; only the newest `SPARE_SEGMENTS` segments are kept there.
        name: the journal's name, lower-case letters and underscores.
        header: payload of the HEADER record of every segment.
        may_grow: called with a size in bytes before each new segment on disk; returns None, or the reason for refusal.

    Attributes:
        last_seq: number of the last record, 0 before the first.
        fault: reason why records go to memory and will not survive the run; None while they go to the disk.
    """

    def __init__(
        self,
        disk: Path,
        memory: Path,
        name: str,
        header: bytes,
        may_grow: Callable[[int], str | None] = lambda _: None,
    ) -> None:
        self.last_seq = 0
        self.fault: str | None = None
        self._disk = disk
        self._memory = memory
        self._name = name
        self._header = header
        self._may_grow = may_grow
        self._synced_at_s = time.monotonic()
        existing = list_segments([disk, memory], name)
        self._index = existing[-1].index if existing else -1
        if existing and existing[-1].path.parent == memory:
            self.fault = "this journal's records could not be written to the disk earlier in the run"
        if existing and existing[-1].is_open:
            self._segment, self.last_seq = SegmentWriter.resume(existing[-1].path)
        else:
            if existing:
                self.last_seq = last_number(existing[-1].path)
            self._segment = self._begin_segment()

    def append(self, payloads: Sequence[bytes]) -> None:
        """Append `payloads` as the next messages."""
        records = journal.encode_messages(self.last_seq + 1, payloads)
        if self._segment.size >= SEGMENT_BYTES:
            self._segment.close(self.last_seq)
            self._segment = self._begin_segment()
        block = b"".join(records)
        try:
            self._segment.append(block)
        except OSError as error:
            if self.fault:
                raise
            self.fault = f"{self._segment.path.parent}: {error.strerror}"
            self._segment.close(self.last_seq)
            self._segment = self._begin_segment()
            self._segment.append(block)
        self.last_seq += len(records)

    def sync_if_due(self) -> None:
        """Start to sync new records if the last sync was `SYNC_INTERVAL_S` ago."""
        now = time.monotonic()
        if now - self._synced_at_s >= SYNC_INTERVAL_S:
            self._segment.begin_sync()
            self._synced_at_s = now

    def finish_sync(self) -> None:
        """Wait for a running sync."""
        self._segment.finish_sync()

    def close(self) -> None:
        """Sync all records and give the last file its final name."""
        self._segment.close(self.last_seq)

    def _begin_segment(self) -> SegmentWriter:
        self._index += 1
        file_name = f"{self._name}-{self._index:05d}.pgj{PART}"
        if self.fault is None:
            self.fault = self._may_grow(SEGMENT_BYTES)
        if self.fault is None:
            try:
                return SegmentWriter.create(self._disk / file_name, self._header, self.last_seq)
            except OSError as error:
                self.fault = f"{self._disk}: {error.strerror}"
        for old in list_segments([self._memory], self._name)[: -SPARE_SEGMENTS + 1 or None]:
            old.path.unlink()
        return SegmentWriter.create(self._memory / file_name, self._header, self.last_seq)
