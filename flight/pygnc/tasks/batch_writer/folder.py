"""The folder `~/pygnc_batch`: files written at given places, durable within a second, never over what a run reads.

A batch is made under `.part` names and named when it is complete; from then on files grow under their names. A folder
without a `.part` file is whole. The whole folder of an earlier run becomes `~/pygnc_batch_last` as soon as a run has
something to write, or at once if it begins from it; nothing is ever written there.

The run's private folder notes which folder is the run's own, so that a restarted writer goes on in it.
"""

import contextlib
import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pygnc.common.files import durable_write, sync_folder

BATCH: Final = "pygnc_batch"
LAST: Final = "pygnc_batch_last"
PART: Final = ".part"
OPEN_FILES_MAX: Final = 32
_COMPLETE: Final = b" complete"


def retire_batch(home: Path) -> bool:
    """Keep the whole folder of an earlier run as the last one; return whether there is a last one now.

    What a run left unfinished is removed, and the folder before it stays.

    Raises:
        OSError: the disk does not do it.
    """
    batch, last = home / BATCH, home / LAST
    if _holds_files(batch) and not any(batch.rglob(f"*{PART}")):
        _remove(last)
        batch.replace(last)
    else:
        _remove(batch)
    sync_folder(home)
    return _holds_files(last)


class BatchFolder:
    """The files of one run.

    Args:
        home: the host's folder.
        runtime: the run's private folder, the same for a restarted writer.

    Attributes:
        is_complete: whether the files have their names.
        written_bytes: so many.
    """

    def __init__(self, home: Path, runtime: Path) -> None:
        self._home = home
        self._folder = home / BATCH
        self._note = runtime / "batch_folder"
        self._names: list[str] = []
        self._open_files: dict[str, int] = {}
        self._unsynced: set[str] = set()
        self._is_noted_complete = self._is_ours_and_complete()
        self.is_complete = False
        self.written_bytes = 0

    @property
    def has_unsynced(self) -> bool:
        """Whether something is not durable yet."""
        return bool(self._unsynced)

    def create(self, name: str) -> None:
        """Make an empty file; a restarted writer finds it, and writes the same bytes to the same places again.

        Raises:
            OSError: the disk does not take it.
        """
        if not self._names and not self._is_noted_complete:
            retire_batch(self._home)
            self._folder.mkdir()
            durable_write(self._note, self._identity() + (_COMPLETE if self.is_complete else b""))
        self._names.append(name)
        path = self._path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        self._unsynced.add(name)

    def write(self, name: str, offset: int, content: bytes) -> None:
        """Write `content` at `offset` of a file.

        Raises:
            OSError: the disk does not take it; nothing of `content` is left at the end of the file.
        """
        descriptor = self._descriptor(name)
        written = os.pwrite(descriptor, content, offset)
        if written < len(content):
            if os.fstat(descriptor).st_size == offset + written:
                os.ftruncate(descriptor, offset)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path(name)))
        self._unsynced.add(name)
        self.written_bytes += len(content)

    def complete(self) -> None:
        """Make the files durable and give them their names.

        Raises:
            OSError: the disk does not do it.
        """
        self.sync()
        self._close_all()
        if self._names and not self._is_noted_complete:
            self._sync_folders()
            durable_write(self._note, self._identity() + _COMPLETE)
            self._name_files()
        self.is_complete = True

    def sync(self) -> None:
        """Make what was written durable.

        Raises:
            OSError: the disk does not do it.
        """
        unsynced = sorted(self._unsynced)
        for name in unsynced:
            os.fdatasync(self._descriptor(name))
        self._unsynced.clear()
        if self.is_complete:
            for folder in {self._path(name).parent for name in unsynced}:
                sync_folder(folder)

    def close(self) -> None:
        """Make the files durable, under whatever names they have.

        Raises:
            OSError: the disk does not do it.
        """
        self.sync()
        self._close_all()
        self._sync_folders()

    def abandon(self) -> None:
        """Give back the room of an unfinished batch; what is complete stays."""
        self._close_all()
        if self._names and not (self.is_complete or self._is_noted_complete):
            with contextlib.suppress(OSError):
                _remove(self._folder)

    def _path(self, name: str) -> Path:
        return self._folder / (name if self.is_complete or self._is_noted_complete else name + PART)

    def _descriptor(self, name: str) -> int:
        """Open a file if it is not open; there may be more files than descriptors."""
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
            os.close(descriptor)
        self._open_files.clear()

    def _is_ours_and_complete(self) -> bool:
        """Whether a former process of this run has completed the folder: then its files only grow."""
        try:
            if self._note.read_bytes() != self._identity() + _COMPLETE:
                return False
        except FileNotFoundError:
            return False
        self._name_files()
        return True

    def _identity(self) -> bytes:
        return str(self._folder.stat().st_ino).encode()

    def _name_files(self) -> None:
        for part in list(self._folder.rglob(f"*{PART}")):
            part.replace(part.with_name(part.name.removesuffix(PART)))
            sync_folder(part.parent)


def _holds_files(folder: Path) -> bool:
    return any(path.is_file() for path in folder.rglob("*"))


def _remove(folder: Path) -> None:
    """Remove a folder with all that is in it; links are not followed.

    Importing shutil for this would cost a twentieth of the time that a run may take to start.
    """
    remove: Callable[[Path], None]
    for parent, folders, files in os.walk(folder, topdown=False):
        for name in files:
            (Path(parent) / name).unlink()
        for name in folders:
            path = Path(parent) / name
            remove = Path.unlink if path.is_symlink() else Path.rmdir
            remove(path)
    with contextlib.suppress(FileNotFoundError):
        folder.rmdir()
