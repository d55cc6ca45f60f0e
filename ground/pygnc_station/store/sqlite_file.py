"""SQLite databases: how their file is opened, and what happens when the file is replaced while programs use it.

SQLite continues in a file that was deleted or replaced, and whatever is written there is lost. Each use of a connection
therefore compares the file at the path with the file that the connection has opened.
"""

import contextlib
import os
import sqlite3
import time
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import ConnectionPoolEntry

from pygnc_station.errors import StoreError
from pygnc_station.store.schema import REVISION

_LOCK_WAIT_S: Final = 60
_PAGE_BYTES: Final = 2048
"""Page size of new files. A write costs a card a few pages per stream, however few the readings. Smaller pages would
put each reading of a particle counter, about 340 bytes, on a page of its own."""
_FILE: Final = "file"
_LOG: Final = "write-ahead log"
_LOG_SUFFIXES: Final = ("-wal", "-shm")


def sqlite_engine(url: URL) -> Engine:
    """Return an engine for a database file, which is created if missing, or for a database in memory."""
    options: dict[str, Any] = {"connect_args": {"timeout": _LOCK_WAIT_S}}
    path = None
    if url.database and url.database != ":memory:":
        path = Path(url.database).expanduser().absolute()
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.touch(mode=0o600)  # the files that SQLite puts beside it get the same mode
        url = url.set(database=str(path))
        options = {"creator": _Opener(path)}
    engine = create_engine(url, **options)
    event.listen(engine, "connect", _set_up)
    event.listen(engine, "begin", _begin)
    if path is not None:
        watch = _Watch(path)
        event.listen(engine, "connect", watch.note)
        event.listen(engine, "checkout", watch.check)
    return engine


class _Opener:
    """Opener of connections to an existing file; SQLite would create an empty one if the file was removed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._is_first = True

    def __call__(self) -> sqlite3.Connection:
        if not (self._is_first or self._path.exists()):
            raise _removed(self._path)
        connection = sqlite3.connect(
            f"file:{quote(str(self._path))}?mode=rw", uri=True, timeout=_LOCK_WAIT_S, check_same_thread=False
        )
        if not (self._is_first or _revision(connection) == REVISION):
            connection.close()
            raise StoreError(f"{self._path}: the file was replaced by one of another version of PyGNC; restart")
        self._is_first = False
        return connection


class _Watch:
    """Watch over a database file: a connection whose file was replaced is closed and opened anew."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._log_path = path.with_name(f"{path.name}-wal")

    def note(self, _: sqlite3.Connection, record: ConnectionPoolEntry) -> None:
        """Record the file that a new connection has opened."""
        record.info[_FILE] = _identity(self._path)

    def check(self, _: sqlite3.Connection, record: ConnectionPoolEntry, __: object) -> None:
        """Raise DisconnectionError, so that all connections are opened anew, if the file was replaced.

        Raises:
            StoreError: the file was removed.
        """
        found = _identity(self._path)
        if found == record.info[_FILE]:
            record.info[_LOG] = _identity(self._log_path)
            return
        if found is None:
            raise _removed(self._path)
        # The log of the old file would be applied to the new one. A log that came with the new file is left alone.
        if record.info.get(_LOG) is not None and record.info[_LOG] == _identity(self._log_path):
            for suffix in _LOG_SUFFIXES:
                self._path.with_name(f"{self._path.name}{suffix}").unlink(missing_ok=True)
        error = DisconnectionError(f"{self._path} was replaced")
        error.invalidate_pool = True
        raise error


def _identity(path: Path) -> tuple[int, int] | None:
    """Return device and number of a file, None if it does not exist."""
    try:
        status = os.stat(path)  # noqa: PTH116 - Path.stat takes twice as long, and this precedes every transaction
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _revision(connection: sqlite3.Connection) -> str | None:
    with contextlib.suppress(sqlite3.OperationalError):  # there is no such table
        for row in connection.execute("SELECT version_num FROM alembic_version"):
            return str(row[0])
    return None


def _removed(path: Path) -> StoreError:
    return StoreError(f"{path}: the file was removed; put it back, or restart to begin a new one")


def _set_up(connection: sqlite3.Connection, _: object) -> None:
    # `_begin` begins transactions; the sqlite3 module would not begin one before a SELECT.
    connection.isolation_level = None
    try:
        connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}").close()
        _use_write_ahead_log(connection)
        for pragma in ("synchronous = FULL", "foreign_keys = ON", "busy_timeout = 60000"):
            connection.execute(f"PRAGMA {pragma}").close()
    except BaseException:
        connection.close()  # SQLAlchemy does not, if a listener fails
        raise


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    # SQLite does not wait for the lock if two programs create a file and change its mode at the same time.
    end_s = time.monotonic() + _LOCK_WAIT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").close()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > end_s:
                raise
            time.sleep(0.01)
        else:
            return


def _begin(connection: Connection) -> None:
    is_writing = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writing else "BEGIN")
