"""Databases: opening by URL (SQLite, MariaDB or MySQL), creation of tables, error messages."""

import contextlib
import sqlite3
from collections.abc import Iterator
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
    delete,
    insert,
    inspect,
    make_url,
    select,
    text,
)
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.schema import CreateColumn

from pygnc_station.errors import FullDiskError, RefusedReadingsError, StoreError, StoreServerError
from pygnc_station.store.schema import REVISION, facts, metadata
from pygnc_station.store.sqlite_file import sqlite_engine

MAX_PACKED_BYTES: Final = 8 << 20
"""Half of MariaDB's default `max_allowed_packet`; a day of readings every five seconds is 2 MB."""
_DRIVERS: Final = {"sqlite": "sqlite", "mysql": "mysql+pymysql", "mariadb": "mariadb+pymysql"}
_VERSION: Final = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))
"""Table with the revision of the schema, in the form of Alembic."""
_CHECK_FAILED: Final = 4025
"""MariaDB's error number for a violated check constraint, which its driver reports as an operational error."""
_FULL: Final = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE}
_NO_ROOM: Final = "database or disk is full"
_REMEDIES: Final = {
    "unable to open database file": "; give this user write permission for the file and its folder (chown)",
    "attempt to write a readonly database": "; give this user write permission for the file and its folder (chown)",
    "file is not a database": "; set another file, or move this file away",
    "database disk image is malformed": "; move the file away; `sqlite3 FILE .recover` restores what is readable",
    _NO_ROOM: "; free some space, for example by `pygnc station prune`",
    "disk I/O error": "; the disk or card is failing or was removed",
}
"""Remedies by SQLite's error message."""
_CREATION_LOCK: Final = "pygnc_migration"
_LOCK_WAIT_S: Final = 60
_SERVER_WAIT_S: Final = 10


def open_engine(where: str) -> Engine:
    """Open a database and create the tables that it lacks.

    Args:
        where: `sqlite:///path`, the path of an SQLite file, or `mysql://user:password@host/database`.

    Raises:
        StoreError: the database cannot be opened; the message does not contain the password.
    """
    url = parse_url(where)
    with translated_errors(url):
        engine = sqlite_engine(url) if url.get_backend_name() == "sqlite" else _server_engine(url)
        try:
            _complete_tables(engine)
        except BaseException:
            engine.dispose()
            raise
    return engine


def parse_url(where: str) -> URL:
    """Return the URL of a store with its SQLAlchemy driver.

    Raises:
        StoreError: the URL is invalid or names an unsupported kind of database.
    """
    if "://" not in where:
        return URL.create("sqlite", database=where)
    form = "use a form such as mysql://user:password@host/database, and %40 for @ in the password"
    if where.count("@") > 1 and not where.startswith("sqlite"):  # the host would be a part of the password
        raise StoreError(f"invalid URL of the store; {form}")
    try:
        url = make_url(where)
    except (ArgumentError, ValueError):
        raise StoreError(f"invalid URL of the store; {form}") from None
    if url.get_backend_name() not in _DRIVERS:
        raise StoreError(f"unknown kind of store {url.get_backend_name()!r}; choose from sqlite, mariadb, mysql")
    return url.set(drivername=_DRIVERS[url.get_backend_name()])


@contextlib.contextmanager
def translated_errors(url: URL) -> Iterator[None]:
    """Convert errors of the database into StoreError and RefusedReadingsError, without its password."""
    name = name_of(url)
    try:
        yield
    except SQLAlchemyError as error:
        cause = error.orig if isinstance(error, DBAPIError) else None
        arguments = cause.args if cause else ()
        reason = str(arguments[-1] if arguments else cause or error)
        if isinstance(error, DataError | IntegrityError) or arguments[:1] == (_CHECK_FAILED,):
            raise RefusedReadingsError(name, reason) from None
        kind: type[StoreError] = StoreServerError
        if url.get_backend_name() == "sqlite":
            is_full = isinstance(cause, sqlite3.Error) and cause.sqlite_errorcode in _FULL
            kind, reason = (FullDiskError, _NO_ROOM) if is_full else (StoreError, reason)
        raise kind(f"{name}: {reason}" + _REMEDIES.get(reason, "")) from None
    except BrokenPipeError:  # of the output, whose reader has ended; drivers of databases raise errors of their own
        raise
    except OSError as error:
        raise StoreError(f"{name}: {error.strerror or error}") from None


def name_of(url: URL) -> str:
    """Return the name of a store in messages: the path of its file, or its URL without the password."""
    if url.get_backend_name() == "sqlite" and url.database:
        return url.database
    return url.set(drivername=url.get_backend_name()).render_as_string(hide_password=True)


def _server_engine(url: URL) -> Engine:
    timeouts = {"connect_timeout": _SERVER_WAIT_S, "read_timeout": _LOCK_WAIT_S, "write_timeout": _LOCK_WAIT_S}
    options: dict[str, Any] = timeouts | {
        "charset": "utf8mb4",
        "init_command": f"SET sql_mode = 'TRADITIONAL,ANSI_QUOTES', group_concat_max_len = {MAX_PACKED_BYTES}",
    }
    return create_engine(url, connect_args=options, pool_pre_ping=True, isolation_level="READ COMMITTED")


def _complete_tables(engine: Engine) -> None:
    """Create all tables and columns that a new, older or incompletely created store lacks; nothing else has changed."""
    with engine.connect() as connection:
        if _revision(connection) == REVISION:
            return
    with engine.execution_options(writes=True).begin() as connection, _creation_lock(connection):
        found = _revision(connection)
        name = name_of(engine.url)
        if found is not None and found > REVISION:
            raise StoreError(f"{name}: the store was created by a newer PyGNC (revision {found}); update this PyGNC")
        existing = set(inspect(connection).get_table_names())
        foreign = ", ".join(sorted(metadata.tables.keys() & existing))
        if foreign and facts.name not in existing:
            raise StoreError(
                f"{name}: the database contains tables of another program ({foreign}); use another database"
            )
        metadata.create_all(connection)
        for table in metadata.tables.values():
            known = {column["name"] for column in inspect(connection).get_columns(table.name)}
            for column in table.columns:
                if column.name not in known:
                    declared = CreateColumn(column).compile(dialect=connection.dialect)
                    connection.execute(text(f"ALTER TABLE {table.name} ADD COLUMN {declared}"))
        _VERSION.create(connection, checkfirst=True)
        connection.execute(delete(_VERSION))
        connection.execute(insert(_VERSION), {"version_num": REVISION})


def _revision(connection: Connection) -> str | None:
    if not connection.dialect.has_table(connection, _VERSION.name):
        return None
    return connection.execute(select(_VERSION.c.version_num)).scalar()


@contextlib.contextmanager
def _creation_lock(connection: Connection) -> Iterator[None]:
    """Exclude other programs while tables are created: by SQLite's transaction, or by a named lock of the server."""
    if connection.dialect.name == "sqlite":
        yield
        return
    connection.execute(text("SELECT GET_LOCK(:name, :wait)"), {"name": _CREATION_LOCK, "wait": _LOCK_WAIT_S})
    try:
        yield
    finally:
        connection.execute(text("SELECT RELEASE_LOCK(:name)"), {"name": _CREATION_LOCK})
