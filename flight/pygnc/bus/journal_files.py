"""Files of a journal: segments that grow by whole records and are recovered after a power cut.

A segment is named `<journal>-<index>.pgj`, with `.part` appended until it is closed.
"""

import _thread
import contextlib
import errno
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Lock
from typing import Final, Self

import msgspec

from pygnc.formats import journal
from pygnc.formats.journal import Record
from pygnc_system.files import durable_rename, open_input, read_at, read_input, retry_read, sync_folder, write_all

PART: Final = ".part"
_NAME: Final = re.compile(r"(?P<journal>[a-z_]+)-(?P<index>[0-9]{5})\.pgj(\.part)?")
_READ_BYTES_MAX: Final = 1 << 24
"""Number of bytes read of a file. The writer begins the next file after 1 MiB, so anything beyond is damage."""
_TAIL_BYTES: Final = 1 << 17
"""Number of bytes that contain at least one whole record."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One file of a journal; `index` is its position in the journal, from 0."""

    journal: str
    index: int
    path: Path

    @property
    def is_open(self) -> bool:
        """True if the file has not been closed, which its ending `.part` shows."""
        return self.path.name.endswith(PART)

    def read(self) -> list[Record]:
        """Return the undamaged records of the file.

        Raises:
            OSError: The file cannot be read.
        """
        return journal.scan(read_input(self.path, _READ_BYTES_MAX, cut=True)).records

    def last_number(self) -> int:
        """Return the number of the last undamaged record, 0 if there is none; see `read`."""
        return max((record.seq for record in self.read()[-1:]), default=0)


def list_segments(folders: Sequence[Path], name: str | None = None) -> list[Segment]:
    """Return the files of journal `name` (default: of all journals) in `folders`, in order.

    A file that is in two folders is being moved; it is returned from the later folder only.
    """
    found: dict[tuple[str, int], Segment] = {}
    for folder in folders:
        for path in _entries(folder):
            match = _NAME.fullmatch(path.name)
            if match and name in {None, match["journal"]}:
                segment = Segment(match["journal"], int(match["index"]), path)
                found[segment.journal, segment.index] = segment
    return [found[key] for key in sorted(found)]


def last_number(folders: Sequence[Path], name: str) -> int | None:
    """Return the number of the last undamaged record of a journal; None if its newest file cannot be read."""
    with contextlib.suppress(OSError, IndexError):
        descriptor = open_input(list_segments(folders, name)[-1].path)
        try:
            tail = read_at(descriptor, _TAIL_BYTES, max(0, os.fstat(descriptor).st_size - _TAIL_BYTES))
        finally:
            os.close(descriptor)
        return journal.scan(tail).records[-1].seq
    return None


def _entries(folder: Path) -> list[Path]:
    """Return what is in a folder; nothing if it does not exist, or after an I/O error, as the rest may be in memory."""
    try:
        return retry_read(lambda: list(folder.iterdir()) if folder.is_dir() else [])
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        return []


class _DiskSync:
    """One sync of `folders` and of a file in the background; the descriptor must stay open until `finish` returns.

    An SD card may take half a second to sync, but the estimate of a live packet is due within 50 ms.

    If memory is short, Python may start a thread that ends before it does anything, and `Thread.start` would wait for
    ever. `begin` may therefore be called again, and `finish` syncs what no thread has begun to sync.
    """

    def __init__(self, descriptor: int, folders: Sequence[Path]) -> None:
        self._descriptor = descriptor
        self._folders = folders
        self._begun = Lock()
        self._ended = Event()
        self._error: OSError | None = None
        self.begin()

    @property
    def has_ended(self) -> bool:
        return self._ended.is_set()

    def begin(self) -> None:
        if self._begun.locked():
            return
        try:
            _thread.start_new_thread(self._run, ())
        except RuntimeError:  # the system has no thread left, so this thread syncs
            self._run()

    def finish(self) -> None:
        self._run()
        self._ended.wait()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        if not self._begun.acquire(blocking=False):
            return
        try:
            for folder in self._folders:
                sync_folder(folder)
            os.fdatasync(self._descriptor)
        except OSError as error:
            self._error = error
        finally:
            self._ended.set()


class SegmentWriter:
    """Writer of one `.part` file, made by `create` or `resume`; an append happens wholly or not at all.

    Every method raises OSError if the disk is full or gone. The file then keeps its `.part` name and all its records.
    """

    def __init__(self, path: Path, descriptor: int, size: int) -> None:
        self.path = path
        self.size = size
        self._descriptor = descriptor
        self._dirty = False
        self._sync: _DiskSync | None = None
        # POSIX does not promise that the sync of a new file, or of a file in a new folder, keeps the names.
        self._unsynced_folders: Sequence[Path] = path.parents[:2]

    @classmethod
    def create(cls, path: Path, header: bytes, last_seq: int) -> Self:
        """Create a file with its HEADER record, which has number `last_seq`."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644)
        writer = cls(path, descriptor, 0)
        try:
            writer.append(journal.encode(journal.Kind.HEADER, last_seq, header))
        except OSError:
            with contextlib.suppress(OSError):
                os.close(descriptor)
                path.unlink()
            raise
        return writer

    @classmethod
    def resume(cls, segment: Segment) -> tuple[Self, int]:
        """Open an unclosed file, truncate it after its last undamaged record, and return writer and record number."""
        records = segment.read()
        end = records[-1].offset + len(journal.encode(*records[-1][:3])) if records else 0
        descriptor = os.open(segment.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        os.ftruncate(descriptor, end)
        return cls(segment.path, descriptor, end), records[-1].seq if records else 0

    @property
    def is_unsynced(self) -> bool:
        """True if records wait for a sync, or a sync for its end, which `begin_sync` takes."""
        return self._dirty or self._sync is not None

    def append(self, block: bytes) -> None:
        """Append whole records; after an error, the file ends as before the call."""
        try:
            write_all(self._descriptor, block)
        except OSError:
            with contextlib.suppress(OSError):  # the error of the write, which names the cause, is raised below
                os.ftruncate(self._descriptor, self.size)
            raise
        self.size += len(block)
        self._dirty = True

    def begin_sync(self) -> None:
        """Start to sync appended records in the background, unless a sync is running."""
        if self._sync is not None and not self._sync.has_ended:
            self._sync.begin()
            return
        self.finish_sync()
        if self._dirty:
            self._dirty = False
            self._sync = _DiskSync(self._descriptor, self._unsynced_folders)
            self._unsynced_folders = ()

    def finish_sync(self) -> None:
        """Wait for a running sync and raise its error, if any."""
        sync, self._sync = self._sync, None
        if sync is not None:
            sync.finish()

    def close(self, last_seq: int, *, recovered: bool = False) -> None:
        """Append the footer, sync the file and remove `.part` from its name; without room for the footer, keep it."""
        footer = journal.encode(journal.Kind.FOOTER, last_seq, msgspec.msgpack.encode({"recovered": recovered}))
        try:
            self.finish_sync()
            try:
                self.append(footer)
            except OSError:
                return
            for folder in self._unsynced_folders:
                sync_folder(folder)
            os.fsync(self._descriptor)
        finally:
            os.close(self._descriptor)
            self._descriptor = -1  # the system may give the number to another file
        durable_rename(self.path, self.path.with_name(self.path.name.removesuffix(PART)))


def recover_folder(folder: Path) -> list[Path]:
    """Close the files in `folder` that a crash or power cut left open; return the new paths.

    What cannot be read or written, and what is not a file, is left as it is.

    Raises:
        OSError: The folder cannot be read.
    """
    recovered = []
    for segment in list_segments([folder]):
        if segment.is_open:
            closed = segment.path.with_name(segment.path.name.removesuffix(PART))
            with contextlib.suppress(OSError):
                writer, last_seq = SegmentWriter.resume(segment)
                writer.close(last_seq, recovered=True)
                if closed.exists():  # without room for the footer, the file stays open
                    recovered.append(closed)
    return recovered
