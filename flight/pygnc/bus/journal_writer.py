"""Writer of a journal: a series of segment files, on disk as long as the disk accepts them, otherwise in memory.

Every append is one unbuffered write, so a killed process loses nothing. Data are synced on a timer, so a power cut
loses at most the last second. After any disk error, the journal continues in memory. If the disk was only full, the
segments in memory are moved to the disk as soon as there is room, and the journal continues there.
"""

import contextlib
import math
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from pygnc.bus.journal_files import PART, SegmentWriter, list_segments
from pygnc.formats import journal
from pygnc_system.files import FULL, durable_write, free_bytes

SEGMENT_BYTES: Final = 1 << 20
SPARE_SEGMENTS: Final = 8
SYNC_INTERVAL_S: Final = 0.5
"""Interval of syncs, s. A task with unsynced records waits up to 0.5 s, so they reach the disk within a second."""
RETURN_INTERVAL_S: Final = 5.0
"""Interval of checks whether a full disk has room again, s."""


class JournalWriter:
    """Writer of one journal; after a restart, a new writer continues where the previous writer ended.

    Args:
        disk: The run's folder.
        memory: Folder in memory, used if the disk fails; only the newest `SPARE_SEGMENTS` segments are kept there.
        name: The journal's name, lower-case letters and underscores.
        header: Payload of the HEADER record of every segment.
        may_grow: Called with a size in bytes before each new segment on disk; returns None, or the reason for refusal.

    Attributes:
        last_seq: Number of the last record, 0 before the first.
        fault: Reason why some records will not survive the run; None while all are on the disk.

    Raises:
        OSError: Neither disk nor memory has room.
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
        self._return_at_s = self._synced_at_s + RETURN_INTERVAL_S
        existing = list_segments([disk, memory], name)
        self._index = existing[-1].index if existing else -1
        self._is_on_disk = not existing or existing[-1].path.parent == disk
        if not self._is_on_disk:
            self.fault = "this journal's records could not be written to the disk earlier in the run"
        try:
            if existing and existing[-1].is_open:
                self._segment, self.last_seq = SegmentWriter.resume(existing[-1])
                return
        except OSError as error:
            self._note_fault(error)
        for segment in reversed(existing):
            with contextlib.suppress(OSError):
                self.last_seq = segment.last_number()
                break
        self._segment = self._begin_segment()

    @property
    def is_unsynced(self) -> bool:
        """True if records wait for a sync, or a sync for its end."""
        return self._segment.is_unsynced

    def append(self, payloads: Sequence[bytes]) -> None:
        """Append `payloads` as the next messages.

        Raises:
            OSError: Neither disk nor memory has room.
        """
        block = b"".join(journal.encode_messages(self.last_seq + 1, payloads))
        if self._segment.size >= SEGMENT_BYTES:
            try:
                self._segment.close(self.last_seq)
            except OSError as error:
                self._note_fault(error)
            self._segment = self._begin_segment()
        try:
            self._segment.append(block)
        except OSError as error:
            if not self._is_on_disk:
                raise
            self._leave_disk(error)
            self._segment.append(block)
        self.last_seq += len(payloads)

    def sync_if_due(self) -> None:
        """Start to sync new records every `SYNC_INTERVAL_S`; return to a formerly full disk if it has room."""
        now = time.monotonic()
        if now - self._synced_at_s >= SYNC_INTERVAL_S:
            self._synced_at_s = now
            try:
                self._segment.begin_sync()
            except OSError as error:
                self._leave_disk(error)
        if not self._is_on_disk and now >= self._return_at_s:
            self._return_at_s = now + RETURN_INTERVAL_S
            self._return_to_disk()

    def finish_sync(self) -> None:
        """Wait for a running sync; if it fails, continue in memory."""
        try:
            self._segment.finish_sync()
        except OSError as error:
            self._leave_disk(error)

    def restore_file(self) -> None:
        """Continue in a new file if the present file was removed."""
        if not os.path.lexists(self._segment.path):
            with contextlib.suppress(OSError):
                self._segment.close(self.last_seq)
            self._segment = self._begin_segment()

    def close(self) -> None:
        """Sync all records and give the last file its final name; an error only sets `fault`."""
        try:
            self._segment.close(self.last_seq)
        except OSError as error:
            self._note_fault(error)

    def _note_fault(self, error: OSError) -> None:
        """Use memory from now on; only a full disk is tried again, because each access to a failing card may block."""
        self._is_on_disk = False
        self.fault = f"{self._disk}: {error.strerror}"
        self._return_at_s = time.monotonic() + RETURN_INTERVAL_S if error.errno in FULL else math.inf

    def _leave_disk(self, error: OSError) -> None:
        """Record a disk error as `fault`, close the present file and continue in memory."""
        self._note_fault(error)
        with contextlib.suppress(OSError):
            self._segment.close(self.last_seq)
        self._segment = self._begin_segment()

    def _return_to_disk(self) -> None:
        """Move the segments in memory to the disk and continue there, if the disk has room for all of them."""
        kept = list_segments([self._memory], self._name)
        copies = {segment.path: self._disk / segment.path.name.removesuffix(PART) for segment in kept}
        try:
            size = SEGMENT_BYTES + sum(path.stat().st_size for path in copies)
            if self._may_grow(size) is not None or free_bytes(self._disk) < size:
                return
            for path, copy in copies.items():
                durable_write(copy, path.read_bytes())
            following = self._create_segment(self._disk, self._index + 1)
        except OSError:
            with contextlib.suppress(OSError):
                for copy in copies.values():
                    copy.unlink(missing_ok=True)
            return
        with contextlib.suppress(OSError):  # the system may have removed the folder in memory
            self._segment.close(self.last_seq)
        for path in copies:
            path.unlink(missing_ok=True)
            path.with_name(path.name.removesuffix(PART)).unlink(missing_ok=True)
        self._segment = following
        self._index += 1
        self._is_on_disk = True
        is_whole = len(list_segments([self._disk], self._name)) == self._index + 1
        self.fault = None if is_whole else "records were lost while the disk was full"

    def _begin_segment(self) -> SegmentWriter:
        self._index += 1
        if self._is_on_disk:
            try:
                refusal = self._may_grow(SEGMENT_BYTES)
                if refusal is None:
                    return self._create_segment(self._disk, self._index)
                self._is_on_disk = False
                self.fault = refusal
            except OSError as error:
                self._note_fault(error)
        self._memory.mkdir(mode=0o700, exist_ok=True)  # the system may remove the folder at a logout
        for old in list_segments([self._memory], self._name)[: -SPARE_SEGMENTS + 1 or None]:
            old.path.unlink()
        return self._create_segment(self._memory, self._index)

    def _create_segment(self, folder: Path, index: int) -> SegmentWriter:
        return SegmentWriter.create(folder / f"{self._name}-{index:05d}.pgj{PART}", self._header, self.last_seq)
