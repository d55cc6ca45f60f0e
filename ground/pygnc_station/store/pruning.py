"""Deletion of data that no reader needs: old readings, the oldest readings of a large database, old zip files."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from sqlalchemy import delete, func, select

from pygnc_station.store import schema
from pygnc_station.store.batches import ReadingRange, first_unaccepted
from pygnc_station.store.cursors import position
from pygnc_station.store.query import streams
from pygnc_station.store.readings import HOUR_MS
from pygnc_station.store.store import Store

_DELETED_AT_ONCE: Final = 2000
"""Readings deleted in one transaction; a logger that writes at this time waits for the transaction."""


_FREE_BYTES: Final = 200_000_000
_FREE_SHARE: Final = 0.05
"""Part of a small disk that remains free, in place of `_FREE_BYTES`."""


def prune(store: Store, before_ms: int, readers: Sequence[str] = ()) -> int:
    """Delete the readings before `before_ms` that all readers have processed and that are in no unaccepted batch.

    `readers` are the names of the cursors of the readers.

    Returns:
        The number of deleted readings.
    """
    deleted = 0
    table = schema.readings
    for stream in streams(store):
        while True:
            with store.writes() as connection:
                last = min((position(connection, reader, stream.id) for reader in readers), default=stream.next_number)
                last = min(last, first_unaccepted(connection).get(stream.id, last + 1) - 1)
                old = (table.c.stream_id == stream.id, table.c.t_utc_ms < before_ms, table.c.number <= last)
                query = select(table.c.number).where(*old).order_by(table.c.t_utc_ms).limit(_DELETED_AT_ONCE)
                numbers = list(connection.execute(query).scalars())
                if not numbers:
                    break
                condition = (table.c.stream_id == stream.id, table.c.number.in_(numbers))
                connection.execute(delete(table).where(*condition))
                deleted += len(numbers)
        _prune_hours(store, stream.id, before_ms)
    return deleted


def _prune_hours(store: Store, stream_id: int, before_ms: int) -> None:
    """Delete the statistics of old hours without readings."""
    c, r = schema.hours.c, schema.readings.c
    with store.reads() as connection:
        first_ms = connection.execute(select(func.min(r.t_utc_ms)).where(r.stream_id == stream_id)).scalar()
        before_hour = min(before_ms, before_ms if first_ms is None else first_ms) // HOUR_MS
        old = (c.stream_id == stream_id, c.hour < before_hour)
        found = connection.execute(select(c.hour).where(*old).limit(1)).first()
    if found:
        with store.writes() as connection:
            connection.execute(delete(schema.hours).where(*old))


def prune_to_size(
    store: Store, max_bytes: int, readers: Sequence[str] = (), work: Callable[[Store, int, Sequence[str]], int] = prune
) -> int:
    """Delete the oldest readings by `work` while an SQLite database is too large; see `prune` for those that are kept.

    Other databases than SQLite are left unchanged. The file keeps its size, and new readings fill the space.

    Args:
        store: store to delete from.
        max_bytes: largest size of the used part of the file.
        readers: names of the cursors that limit the deletion.
        work: `prune`, or a function with its arguments and result.

    Returns:
        The number of deleted readings.
    """
    deleted, share = 0, 0.0
    table = schema.readings
    while share < 1 and (used := store.used_bytes()) > max_bytes:
        with store.reads() as connection:
            first_ms, last_ms = connection.execute(select(func.min(table.c.t_utc_ms), func.max(table.c.t_utc_ms))).one()
        if first_ms is None:
            break
        # If no reading of this time may be deleted, because all are still to be transferred, try a longer time.
        share = min(1.0, max(2 * share, 1 - max_bytes / used))
        count = work(store, first_ms + int((last_ms - first_ms) * share) + 1, readers)
        deleted += count
        share = 0.0 if count else share
    return deleted


def bytes_on_disk(store: Store) -> int:
    """Return the largest size of an SQLite database that leaves some of its disk free; 0 for other databases."""
    path = store.engine.url.database
    if not store.is_file or path is None:
        return 0
    disk = shutil.disk_usage(Path(path).absolute().parent)
    return Path(path).stat().st_size + disk.free - min(_FREE_BYTES, int(_FREE_SHARE * disk.total))


def prune_files(folder: Path, max_bytes: int, before_s: float) -> int:
    """Delete the oldest zip files of a folder while their total size is too large; return the number of deleted files.

    Args:
        folder: the folder; it may be missing.
        max_bytes: largest total size.
        before_s: files that were changed after this time are kept, seconds since 1970 (UTC).
    """
    found = sorted((status.st_mtime, status.st_size, path) for path in folder.glob("*.zip") if (status := path.stat()))
    total, deleted = sum(size for _, size, _ in found), 0
    for changed_s, size, path in found:
        if total <= max_bytes or changed_s >= before_s:
            break
        path.unlink(missing_ok=True)
        total -= size
        deleted += 1
    return deleted


def free_space(folder: Path, least_bytes: int) -> int:
    """Delete the oldest zip files of a folder until its disk has some bytes free; return the number of deleted files.

    A missing folder has no files.
    """
    deleted = 0
    for path in sorted(folder.glob("*.zip"), key=lambda path: path.stat().st_mtime):
        if shutil.disk_usage(folder).free >= least_bytes:
            break
        path.unlink(missing_ok=True)
        deleted += 1
    return deleted


def delete_range(store: Store, part: ReadingRange, readers: Sequence[str]) -> None:
    """Delete the readings of a range that all readers have processed."""
    table = schema.readings
    with store.writes() as connection:
        last = min((position(connection, reader, part.stream_id) for reader in readers), default=part.last)
        condition = (table.c.stream_id == part.stream_id, table.c.number.between(part.first, min(part.last, last)))
        connection.execute(delete(table).where(*condition))
