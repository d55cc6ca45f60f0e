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


def keep_reserve(store: str) -> None:
    """Make the reserve of a store if it has none; on a disk without room, and for database servers, nothing happens."""
    path = _path(store)
    if path is None or path.exists():
        return
    with suppress(OSError):
        if shutil.disk_usage(path.parent).free < 2 * _BYTES:  # a reserve that fills the disk would stop the logger
            return
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, _BYTES)
        except OSError:
            path.unlink()
        finally:
            os.close(descriptor)


def with_reserve(store: str, work: Callable[[], T]) -> T:
    """Return the result of `work` on a store and files; if the disk is full, remove the reserve and do the work again.

    Raises:
        FullDiskError: the disk is full, and there is no reserve, or it is not enough.
    """
    try:
        return _naming_full_disks(work)
    except FullDiskError:
        path = _path(store)
        if path is None or not path.exists():
            raise
        path.unlink(missing_ok=True)
        return _naming_full_disks(work)


def _naming_full_disks(work: Callable[[], T]) -> T:
    try:
        return work()
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        place = error.filename or "the disk of the batches"
        raise FullDiskError(f"{place}: no space left; free some space, for example by `pygnc station prune`") from None


def _path(store: str) -> Path | None:
    file = Path(store.removeprefix("sqlite:///")).expanduser()
    return None if "://" in str(file) else file.with_name(f"{file.name}.reserve")
