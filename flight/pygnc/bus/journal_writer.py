"""A journal: a row of segment files, on disk while the disk takes them, then in memory.

Every append is one unbuffered write, so a killed process loses nothing; data are synced on a timer, so a power cut
costs at most that long.
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
"""With the loops' wait of half a second, what is a second old is on disk."""


class JournalWriter:
    """Writes one journal; a second writer of the same journal (after a restart) goes on where the first one ended.

    Attributes:
        last_seq: number of the last record, 0 before the first.
        fault: why records go to memory and will not survive the run, or None while they go to disk.

    Args:
        disk: the run's folder.
        memory: a folder in memory, which takes over when the disk refuses; only its newest segments are kept.
        name: the journal's name, lower-case letters and underscores.
        header: payload of the HEADER record of every segment.
        may_grow: asked with a size in bytes before each new segment on disk; answers why not, or None.
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
        self._synced_at = time.monotonic()
        existing = list_segments([disk, memory], name)
        self._index = existing[-1].index if existing else -1
        if existing and existing[-1].path.parent == memory:
            self.fault = "the disk refused this journal's records earlier in the run"
        if existing and existing[-1].is_open:
            self._segment, self.last_seq = SegmentWriter.resume(existing[-1].path)
        else:
            if existing:
                self.last_seq = last_number(existing[-1].path)
            self._segment = self._begin_segment()

    def append(self, payloads: Sequence[bytes]) -> None:
        """Write `payloads` as the next messages.

        Raises:
            OSError: neither disk nor memory takes them.
        """
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
        """Begin to sync what was written since the last time, if that is long enough ago.

        Raises:
            OSError: the disk has refused the time before.
        """
        now = time.monotonic()
        if now - self._synced_at >= SYNC_INTERVAL_S:
            self._segment.begin_sync()
            self._synced_at = now

    def finish_sync(self) -> None:
        """Wait for a sync that is under way.

        Raises:
            OSError: the disk has refused.
        """
        self._segment.finish_sync()

    def close(self) -> None:
        """Make everything durable and give the last file its final name."""
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
