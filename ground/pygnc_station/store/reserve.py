"""Reserve of space beside an SQLite database, so that data can be deleted and sent while the disk is full.

SQLite needs room for its write-ahead log even to delete. A file that contains nothing keeps this room; it is removed
when the disk is full, and made again when there is room.
"""

import errno
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

from pygnc_station.errors import FullDiskError

T = TypeVar("T")
_BYTES: Final = 8_000_000
"""Room for the write-ahead log of the largest deletion, several times."""
_LEAST_BYTES: Final = 1_000_000
"""Smallest useful reserve; a disk that is almost full gets half of its room as one."""
_REMEDY: Final = "no reserve is left; delete other files until 10 MB are free, then run `pygnc station prune`"


def keep_reserve(store: str) -> None:
    """Make or enlarge the reserve of a store; on a disk without room, and for database servers, nothing happens."""
    path = _path(store)
    if path is None:
        return
    with suppress(OSError):
        size = path.stat().st_size if path.exists() else 0
        # A reserve that fills the disk would stop the logger.
        wanted = min(_BYTES, (size + shutil.disk_usage(path.parent).free) // 2)
        if wanted <= size or wanted < _LEAST_BYTES:
            return
        descriptor = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, wanted)
        except OSError:
            path.unlink()
        finally:
            os.close(descriptor)


def with_reserve(store: str, work: Callable[[], T], make_room: Callable[[int], int] = lambda _: 0) -> T:
    """Return the result of `work` on a store and files; if the disk is full, remove the reserve and do the work again.

    Args:
        store: URL or file of the store.
        work: may be interrupted by a full disk, and be done again.
        make_room: called with a number of bytes if there is no reserve; deletes dispensable files, and returns the
            number of deleted files.

    Raises:
        FullDiskError: the disk is full, and there is no reserve, or it is not enough.
    """
    try:
        return _naming_full_disks(work)
    except FullDiskError as error:
        path = _path(store)
        if path is not None and path.exists():
            path.unlink(missing_ok=True)
            return with_reserve(store, work, make_room)
        if make_room(_BYTES):
            return with_reserve(store, work)
        what, _, _ = str(error).partition(";")
        raise FullDiskError(f"{what}, and {_REMEDY}") from None


def _naming_full_disks(work: Callable[[], T]) -> T:
    try:
        return work()
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise FullDiskError(f"{error.filename or 'the disk of the batches'}: no space left") from None


def _path(store: str) -> Path | None:
    file = Path(store.removeprefix("sqlite:///")).expanduser()
    return None if "://" in str(file) else file.with_name(f"{file.name}.reserve")
