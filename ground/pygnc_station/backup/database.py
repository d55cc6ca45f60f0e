"""Copies of a store's database, written and restored while programs use the database.

SQLite copies a database within one read transaction and restores it within one write transaction. For MariaDB and
MySQL, the client programs write and read the rows, likewise in one transaction, so other programs see either all of the
old rows or all of the restored ones.
"""

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Final

from sqlalchemy import URL, delete

from pygnc_station.errors import StationError, StoreError
from pygnc_station.store.database import name_of, parse_url, translated_errors
from pygnc_station.store.schema import metadata
from pygnc_station.store.store import Store

COPY: Final = "readings.db"
"""Entry of a backup with an SQLite database."""
DUMP: Final = "readings.sql"
"""Entry of a backup with the rows of a MariaDB or MySQL database, as SQL statements."""
_OPTIONS: Final = (
    "--single-transaction", "--quick", "--no-create-info", "--complete-insert", "--hex-blob", "--skip-triggers",
    "--skip-add-locks", "--skip-disable-keys", "--no-tablespaces", "--default-character-set=utf8mb4",
)  # fmt: skip
"""Options of a dump without statements that would end the transaction in which it is restored."""
_COMPLETED: Final = b"-- Dump completed"
_END_BYTES: Final = 200


def entry_of(where: str) -> str:
    """Return the name of the entry that the backup of a store contains.

    Raises:
        StoreError: the URL of the store is invalid.
    """
    return COPY if _is_sqlite(parse_url(where)) else DUMP


def copy_database(where: str, folder: Path) -> Path:
    """Write a consistent copy of a database to a folder, and check it; return its path.

    Raises:
        StoreError: the database cannot be read, or the copy is damaged.
        StationError: the client program of the database is missing.
        OSError: the copy cannot be written.
    """
    url = parse_url(where)
    path = folder / entry_of(where)
    path.touch(mode=0o600)
    if not _is_sqlite(url):
        _dump(url, path)
        return path
    with (
        translated_errors(url),
        closing(_connection(Path(url.database or ""))) as source,
        closing(sqlite3.connect(path)) as target,
    ):
        try:
            source.backup(target)
            target.execute("PRAGMA journal_mode = DELETE")  # the copy is one file
            check(target, path)
        except sqlite3.Error as error:
            raise StoreError(f"{name_of(url)}: the database cannot be copied ({error})") from None
    return path


def restore_copy(where: str, copy: Path, *, is_station: bool) -> None:
    """Replace the content of a database by a copy; programs that use the database continue with the copy.

    Args:
        where: path or URL of the store.
        copy: the copy, which is changed.
        is_station: give the readings a new origin, because numbers after the copy may have been used.

    Raises:
        StoreError: the copy is damaged or of a newer version, or the database cannot be written.
        StationError: the client program of the database is missing.
    """
    url = parse_url(where)
    if not _is_sqlite(url):
        with Store.open(where) as store:  # creates the tables
            _load(url, copy)
            store.renew_epoch()
            if is_station:
                store.renew_origin()
        return
    with closing(sqlite3.connect(copy)) as source:
        check(source, copy)
    with Store.open(str(copy)) as store:  # completes the tables of an older version
        store.renew_epoch()
        if is_station:
            store.renew_origin()
    path = Path(url.database or "").expanduser()
    Store.open(where).close()  # creates the file, and has the write-ahead log that all programs expect
    with closing(sqlite3.connect(copy)) as source, closing(_connection(path)) as target:
        try:
            source.backup(target)
        except sqlite3.Error as error:
            raise StoreError(f"{path}: the database cannot be restored ({error})") from None


def check(connection: sqlite3.Connection, path: Path) -> None:
    """Check that an SQLite database is intact.

    Raises:
        StoreError: it is damaged.
    """
    try:
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.DatabaseError as error:
        found = str(error)
    if found != "ok":
        raise StoreError(f"{path}: the database is damaged ({found})")


def _is_sqlite(url: URL) -> bool:
    return url.get_backend_name() == "sqlite"


def _connection(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path.expanduser(), timeout=60)


def _dump(url: URL, path: Path) -> None:
    """Write statements that replace all rows in one transaction."""
    tables = metadata.sorted_tables
    begin = ["SET foreign_key_checks = 0", "START TRANSACTION", *(str(delete(table)) for table in tables)]
    with _client(url, "mariadb-dump", "mysqldump") as command, path.open("w+b") as file:
        file.write("".join(f"{statement};\n" for statement in begin).encode())
        file.flush()
        _run([*command, *_OPTIONS, url.database or "", *(table.name for table in tables)], url, stdout=file)
        file.seek(-_END_BYTES, os.SEEK_END)
        if _COMPLETED not in file.read():
            raise StoreError(f"{name_of(url)}: the dump is incomplete")
        file.write(b"\nCOMMIT;\n")


def _load(url: URL, dump: Path) -> None:
    """Execute the statements of a dump; readers see the old rows until they are committed, and writers wait."""
    with _client(url, "mariadb", "mysql") as command, dump.open("rb") as file:
        _run([*command, "--batch", url.database or ""], url, stdin=file)


@contextmanager
def _client(url: URL, *names: str) -> Iterator[list[str]]:
    """Return the beginning of the command line of a client program; the password is in a file that only we can read."""
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        raise StationError(f"{names[0]} is missing; install it: apt-get install mariadb-client")
    options = {"host": url.host or "localhost", "port": url.port or "", "user": url.username, "password": url.password}
    with TemporaryDirectory() as folder:
        path = Path(folder) / "client.cnf"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write("[client]\n")
            for name, value in options.items():
                if value:
                    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
                    file.write(f'{name} = "{escaped}"\n')
        yield [program, f"--defaults-extra-file={path}"]


def _run(command: list[str], url: URL, stdin: IO[bytes] | None = None, stdout: IO[bytes] | None = None) -> None:
    done = subprocess.run(command, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, check=False)  # noqa: S603 - no shell
    if done.returncode:
        raise StoreError(f"{name_of(url)}: {done.stderr.decode(errors='replace').strip()}")
