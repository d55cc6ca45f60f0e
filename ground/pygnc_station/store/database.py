"""Opens a database by URL: SQLite with a write-ahead log, MariaDB or MySQL; brings its schema up to date."""

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from sqlalchemy import (
    URL,
    Column,
    Connection,
    Engine,
    MetaData,
    String,
    Table,
    create_engine,
    event,
    insert,
    inspect,
    make_url,
    text,
)
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError, SQLAlchemyError

from pygnc_station.errors import RefusedReadingsError, StoreError
from pygnc_station.store.schema import REVISION, facts, metadata

LONGEST_TEXT: Final = 8 << 20
"""Bytes, half of what MariaDB sends at once by default: a day of readings every five seconds is 2 MB."""
_DRIVERS: Final = {"sqlite": "sqlite", "mysql": "mysql+pymysql", "mariadb": "mariadb+pymysql"}
_VERSION: Final = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))
"""As Alembic makes it."""
_CHECK_FAILED: Final = 4025
"""MariaDB's number for a value outside a column's limits, which its driver calls an operational error."""
_REMEDIES: Final = {
    "unable to open database file": "; this user needs the right to write it and its folder (chown)",
    "attempt to write a readonly database": "; this user needs the right to write it and its folder (chown)",
    "file is not a database": "; name another file, or move this one away",
    "database disk image is malformed": "; it is damaged: move it away; `sqlite3 FILE .recover` saves what it can",
    "database or disk is full": "; make room, `pygnc station prune` deletes old readings",
    "disk I/O error": "; the disk or card fails, or is gone",
}
"""What SQLite says, and what helps."""
_ONE_AT_A_TIME: Final = threading.Lock()
"""Alembic's context is one for the whole process."""
_MIGRATION_LOCK: Final = "pygnc_migration"
_LOCK_WAIT_S: Final = 60
_SERVER_WAIT_S: Final = 10


def open_engine(where: str) -> Engine:
    """Open a database and bring its schema up to date.

    Args:
        where: `sqlite:///path`, the path of an SQLite file, or `mysql://user:password@host/database`.

    Raises:
        StoreError: it cannot be opened; the message hides the password.
    """
    url = parse_url(where)
    with translated_errors(url):
        engine = _sqlite_engine(url) if url.get_backend_name() == "sqlite" else _server_engine(url)
        _bring_up_to_date(engine)
    return engine


def parse_url(where: str) -> URL:
    """Return the URL of a store, with the driver that is used here.

    Raises:
        StoreError: it is none, or names another kind of database.
    """
    if "://" not in where:
        return URL.create("sqlite", database=where)
    try:
        url = make_url(where)
    except (ArgumentError, ValueError):
        raise StoreError("the store's URL cannot be read; an example: mysql://user:password@host/database") from None
    if url.get_backend_name() not in _DRIVERS:
        raise StoreError(f"a store is in sqlite, mariadb or mysql, not in {url.get_backend_name()}")
    return url.set(drivername=_DRIVERS[url.get_backend_name()])


@contextlib.contextmanager
def translated_errors(url: URL) -> Iterator[None]:
    """Put what a database says into words with its name, without its password."""
    name = name_of(url)
    try:
        yield
    except (DataError, IntegrityError) as error:
        raise RefusedReadingsError(name, _reason(error)) from None
    except SQLAlchemyError as error:
        if isinstance(error, DBAPIError) and error.orig is not None and error.orig.args[:1] == (_CHECK_FAILED,):
            raise RefusedReadingsError(name, _reason(error)) from None
        reason = _reason(error)
        raise StoreError(f"{name}: {reason}" + _REMEDIES.get(reason, "")) from None
    except OSError as error:
        raise StoreError(f"{name}: {error.strerror or error}") from None


def writing(engine: Engine) -> Engine:
    """Return the engine for transactions that write: SQLite's take the lock at once, so that none fails half way."""
    return engine.execution_options(writes=True)


def name_of(url: URL) -> str:
    """Return what people call a store: the path of its file, or its URL without the password."""
    is_file = url.get_backend_name() == "sqlite" and url.database
    return (
        str(url.database)
        if is_file
        else url.set(drivername=url.get_backend_name()).render_as_string(hide_password=True)
    )


def _reason(error: SQLAlchemyError) -> str:
    if isinstance(error, DBAPIError) and error.orig is not None:
        arguments = error.orig.args
        return str(arguments[-1] if arguments else error.orig)
    return str(error)


def _sqlite_engine(url: URL) -> Engine:
    if url.database and url.database != ":memory:":
        Path(url.database).expanduser().absolute().parent.mkdir(parents=True, exist_ok=True)
        url = url.set(database=str(Path(url.database).expanduser()))
    engine = create_engine(url, connect_args={"timeout": _LOCK_WAIT_S})
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _set_up_sqlite(connection: sqlite3.Connection, _: object) -> None:
    # The library begins transactions itself, see `_begin_sqlite`: Python's module would begin none before a SELECT.
    connection.isolation_level = None
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "busy_timeout = 60000"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Connection) -> None:
    is_writing = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writing else "BEGIN")


def _server_engine(url: URL) -> Engine:
    timeouts = {"connect_timeout": _SERVER_WAIT_S, "read_timeout": _LOCK_WAIT_S, "write_timeout": _LOCK_WAIT_S}
    options: dict[str, Any] = timeouts | {
        "charset": "utf8mb4",
        "init_command": f"SET sql_mode = 'TRADITIONAL,ANSI_QUOTES', group_concat_max_len = {LONGEST_TEXT}",
    }
    return create_engine(url, connect_args=options, pool_pre_ping=True, isolation_level="READ COMMITTED")


def _bring_up_to_date(engine: Engine) -> None:
    """Make or migrate the tables if needed. Alembic takes memory, so it is loaded only for stores that are older."""
    with engine.connect() as connection:
        if _revision(connection) == REVISION:
            return
    with _ONE_AT_A_TIME, writing(engine).begin() as connection, _migration_lock(connection):
        found = _revision(connection)
        if found is None:
            _make_anew(connection)
        elif found != REVISION:
            migrate(connection)


def _make_anew(connection: Connection) -> None:
    """Make all tables at once, as the migrations would; what was cut short is completed.

    Raises:
        StoreError: tables of another program are in the way.
    """
    there = set(inspect(connection).get_table_names())
    if metadata.tables.keys() & there and facts.name not in there:
        name = name_of(connection.engine.url)
        taken = ", ".join(sorted(metadata.tables.keys() & there))
        raise StoreError(f"{name}: has tables of another program ({taken}); name another database")
    metadata.create_all(connection)
    _VERSION.create(connection, checkfirst=True)
    connection.execute(insert(_VERSION), {"version_num": REVISION})


def migrate(connection: Connection, revision: str = "head") -> None:
    """Bring the schema of a connection up to date, or to a revision.

    Raises:
        StoreError: the store is newer than this program.
    """
    from alembic import command  # noqa: PLC0415 - see `_bring_up_to_date`
    from alembic.config import Config  # noqa: PLC0415 - likewise
    from alembic.util import CommandError  # noqa: PLC0415 - likewise

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, revision)
    except CommandError:
        raise StoreError(f"{name_of(connection.engine.url)}: was made by a newer PyGNC; update this one") from None


def _revision(connection: Connection) -> str | None:
    if not connection.dialect.has_table(connection, "alembic_version"):
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return None if found is None else str(found)


@contextlib.contextmanager
def _migration_lock(connection: Connection) -> Iterator[None]:
    """Let one program migrate at a time. SQLite's transaction is such a lock; servers commit each table by itself."""
    if connection.dialect.name == "sqlite":
        yield
        return
    connection.execute(text("SELECT GET_LOCK(:name, :wait)"), {"name": _MIGRATION_LOCK, "wait": _LOCK_WAIT_S})
    try:
        yield
    finally:
        connection.execute(text("SELECT RELEASE_LOCK(:name)"), {"name": _MIGRATION_LOCK})
