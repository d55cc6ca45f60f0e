"""The folder `~/pygnc_batch`: files written at given offsets, synced within a second, never overwriting a run's input.

A batch is written under `.part` names, which are removed when it is complete; from then on the files grow under their
final names. A folder without `.part` files is complete. When a new run begins to write (or at its start with
--from-last-run), the complete folder of the previous run becomes `~/pygnc_batch_last`, which is never written to.

A file in the run's private folder identifies the run's own folder, so that a restarted writer continues in it.
"""

import contextlib
import errno
import os
from pathlib import Path
from typing import Final

from pygnc.common.constants import LAST_BATCH
from pygnc_system.files import durable_rename, durable_write, read_input, remove_folder, retry_read, sync_folder

BATCH: Final = "pygnc_batch"
PART: Final = ".part"
OPEN_FILES_MAX: Final = 32
_COMPLETE: Final = b" complete"
_NOTE_BYTES_MAX: Final = 100


def retire_batch(home: Path) -> bool:
    """Rename the complete folder of the previous run to `LAST_BATCH`; return True if `LAST_BATCH` exists now.

    An incomplete folder is removed; `LAST_BATCH` then stays that of an earlier run.

    Raises:
        OSError: The disk is full or gone.
    """
    batch, last = home / BATCH, home / LAST_BATCH
    if retry_read(lambda: _holds_files(batch) and not any(batch.rglob(f"*{PART}"))):
        remove_folder(last)
        batch.replace(last)
    else:
        remove_folder(batch)
    sync_folder(home)
    return retry_read(lambda: _holds_files(last))


class BatchFolder:
    """The files of one run. All methods raise OSError if the disk is full or gone.

    A note in the run's private folder `runtime` lets a restarted writer find its folder again.

    Attributes:
        is_complete: True once the files have their final names.
        written_bytes: Number of bytes written.
        unsynced: Names of the files with data that have not been synced.
    """

    def __init__(self, home: Path, runtime: Path) -> None:
        self._home = home
        self._folder = home / BATCH
        self._note = runtime / "batch_folder"
        self._names: list[str] = []
        self._open_files: dict[str, int] = {}
        self.unsynced: set[str] = set()
        self._is_noted_complete = self._is_ours_and_complete()
        self.is_complete = False
        self.written_bytes = 0

    def create(self, name: str) -> None:
        """Create an empty file; a restarted writer finds it and writes the same bytes at the same offsets again."""
        if not self._names and not self._is_noted_complete:
            retire_batch(self._home)
            self._folder.mkdir()
            self._note.parent.mkdir(mode=0o700, exist_ok=True)
            durable_write(self._note, self._identity() + (_COMPLETE if self.is_complete else b""))
        self._names.append(name)
        path = self._path(name)
        retry_read(lambda: path.parent.mkdir(parents=True, exist_ok=True))  # reads if the folder exists
        path.touch()
        self.unsynced.add(name)

    def write(self, name: str, offset: int, content: bytes) -> None:
        """Write `content` at `offset` of a file; if the disk is full, remove a part written at the end of the file."""
        descriptor = self._descriptor(name)
        written = os.pwrite(descriptor, content, offset)
        if written < len(content):
            if os.fstat(descriptor).st_size == offset + written:
                os.ftruncate(descriptor, offset)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path(name)))
        self.unsynced.add(name)
        self.written_bytes += len(content)

    def complete(self) -> None:
        """Sync the files of the batch and remove `.part` from their names."""
        self.sync()
        self._close_all()
        if self._names and not self._is_noted_complete:
            self._sync_folders()
            durable_write(self._note, self._identity() + _COMPLETE)
            self._rename_parts()
        self.is_complete = True

    def sync(self) -> None:
        """Sync all written data and, in a complete batch, the folders of the files."""
        unsynced = sorted(self.unsynced)
        for name in unsynced:
            os.fdatasync(self._descriptor(name))
        self.unsynced.clear()
        if self.is_complete:
            for folder in {self._path(name).parent for name in unsynced}:
                sync_folder(folder)

    def close(self) -> None:
        """Sync and close the files; those of an incomplete batch keep `.part` in their names."""
        self.sync()
        self._close_all()
        self._sync_folders()

    def abandon(self) -> None:
        """Close all files; remove an incomplete batch and keep a complete one."""
        self._close_all()
        if self._names and not (self.is_complete or self._is_noted_complete):
            with contextlib.suppress(OSError):
                remove_folder(self._folder)

    def _path(self, name: str) -> Path:
        return self._folder / (name if self.is_complete or self._is_noted_complete else name + PART)

    def _descriptor(self, name: str) -> int:
        """Return an open descriptor of a file; close all others first if `OPEN_FILES_MAX` are open."""
        if name not in self._open_files:
            if len(self._open_files) >= OPEN_FILES_MAX:
                self._close_all()
            self._open_files[name] = os.open(self._path(name), os.O_WRONLY | os.O_CLOEXEC)
        return self._open_files[name]

    def _sync_folders(self) -> None:
        folders = {self._path(name).parent for name in self._names}
        for folder in folders | ({self._folder} if folders else set()):
            sync_folder(folder)

    def _close_all(self) -> None:
        for descriptor in self._open_files.values():
            with contextlib.suppress(OSError):  # the failed write or sync has already raised the error
                os.close(descriptor)
        self._open_files.clear()

    def _is_ours_and_complete(self) -> bool:
        """Return True if a former process of this run has completed the folder."""
        try:
            if read_input(self._note, _NOTE_BYTES_MAX) != self._identity() + _COMPLETE:
                return False
            self._rename_parts()
        except OSError:
            return False
        return True

    def _identity(self) -> bytes:
        return str(retry_read(self._folder.stat).st_ino).encode()

    def _rename_parts(self) -> None:
        for part in retry_read(lambda: list(self._folder.rglob(f"*{PART}"))):
            durable_rename(part, part.with_name(part.name.removesuffix(PART)))


def _holds_files(folder: Path) -> bool:
    return any(path.is_file() for path in folder.rglob("*"))
