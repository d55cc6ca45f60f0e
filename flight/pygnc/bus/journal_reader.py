"""Reader of a journal that may still be growing."""

import errno
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pygnc.bus.journal_files import Segment, list_segments
from pygnc.formats import journal
from pygnc.formats.damage import Damage
from pygnc_system.files import open_input, read_at

CHUNK_BYTES: Final = 1 << 16


class JournalReader:
    """Reader of the messages of one journal after number `after_seq`, in order, as far as they are written.

    It begins with the oldest file, or with the oldest of the `newest_segments` files.

    Attributes:
        header: Payload of the newest HEADER record read, or None.
        damage: Damaged byte ranges, each with the path of its file.
    """

    def __init__(
        self, folders: Sequence[Path], name: str, after_seq: int = 0, newest_segments: int | None = None
    ) -> None:
        self.header: bytes | None = None
        self.damage: list[tuple[Path, Damage]] = []
        self._folders = folders
        self._name = name
        self._after_seq = after_seq
        self._segment: Segment | None = None
        if newest_segments is not None:
            self._segment = next(iter(list_segments(folders, name)[-newest_segments - 1 : -newest_segments]), None)
        self._descriptor = -1
        self._offset = 0

    def read(self, limit: int) -> list[journal.Record]:
        """Return up to `limit` next messages; an empty list if no further message is written yet."""
        messages: list[journal.Record] = []
        while len(messages) < limit:
            found = self._read_chunk(limit - len(messages))
            if found is None:
                break
            messages += found
        return messages

    def skip_to(self, seq: int) -> None:
        """Skip the messages up to and including number `seq`."""
        self._after_seq = max(self._after_seq, seq)

    def close(self) -> None:
        """Close the open file; the reader cannot be used after that."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _read_chunk(self, limit: int) -> list[journal.Record] | None:
        """Return the messages after `after_seq` in the next chunk of bytes; None at the present end of the journal."""
        # The files are listed before reading, because a segment is complete only if its successor exists before its end
        # is reached.
        successor = self._successor()
        if self._segment is not None and self._descriptor >= 0:
            data = self._read_at_offset()
            is_complete = len(data) < CHUNK_BYTES and successor is not None
            scan = journal.scan(data, base_offset=self._offset, final=is_complete, limit=limit)
            if scan.consumed:
                self._offset += scan.consumed
                self.damage += [(self._segment.path, damage) for damage in scan.damage]
                return self._wanted(scan.records)
        if successor is None:
            return None
        try:
            descriptor = open_input(successor.path)
        except FileNotFoundError:  # the file was renamed (when closed) or removed after it was listed
            return []
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            descriptor = -1  # the disk fails, but the next segment may be in memory
        self.close()
        self._segment, self._descriptor, self._offset = successor, descriptor, 0
        return []

    def _read_at_offset(self) -> bytes:
        """Return the next bytes of the open file; none after an I/O error, as the next segment may be in memory."""
        try:
            return read_at(self._descriptor, CHUNK_BYTES, self._offset)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return b""

    def _wanted(self, records: list[journal.Record]) -> list[journal.Record]:
        wanted = []
        for record in records:
            if record.kind is journal.Kind.HEADER:
                self.header = record.payload
            elif record.kind is journal.Kind.MESSAGE and record.seq > self._after_seq:
                wanted.append(record)
                self._after_seq = record.seq
        return wanted

    def _successor(self) -> Segment | None:
        index = -1 if self._segment is None else self._segment.index
        return next((s for s in list_segments(self._folders, self._name) if s.index > index), None)
