"""Imports databases of batonopc: any of its three tables, however often; each reading comes once."""

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path
from typing import Any, Final

from pygnc_station.store.batonopc_rows import FAMILY, Table, origin_of, sort_out
from pygnc_station.store.errors import StoreError
from pygnc_station.store.store import Store

_PAGE: Final = 2000


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did: readings read, and rows without a time that can be read."""

    readings: int
    untimed: int


def import_batonopc(store: Store, path: Path, zone: tzinfo | None, gadget_id: str = "") -> Imported:
    """Take the readings of a batonopc database.

    Args:
        store: where they go.
        path: the SQLite file.
        zone: of its times, which are local; None: this computer's.
        gadget_id: device whose readings they are, for rows that name none.

    Raises:
        StoreError: the file is no such database.
    """
    if not path.is_file():
        raise StoreError(f"{path}: no such file")
    readings = untimed = 0
    try:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            tables = _tables(database)
            if not tables:
                raise StoreError(f"{path}: no table of batonopc is in it (none has rdg_no and timestamp)")
            for name, columns in tables.items():
                table, origin = Table(columns, zone, gadget_id or path.stem), ""
                for page in _pages(database, name):
                    origin = origin or origin_of(page[0])
                    untimed += _take(store, table, origin, page)
                    readings += len(page)
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{path}: {error}") from None
    return Imported(readings - untimed, untimed)


def _tables(database: sqlite3.Connection) -> dict[str, tuple[str, ...]]:
    """Return the tables of batonopc with their columns."""
    found = {}
    names = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
    for name in names:
        columns = tuple(row[1] for row in database.execute(f"PRAGMA table_info({_quoted(name)})"))
        if {"rdg_no", "timestamp"} <= set(columns):
            found[name] = columns
    return found


def _pages(database: sqlite3.Connection, table: str) -> Iterator[list[tuple[Any, ...]]]:
    cursor = database.execute(f"SELECT * FROM {_quoted(table)} ORDER BY rdg_no")  # noqa: S608 - quoted
    while page := cursor.fetchmany(_PAGE):
        yield page


def _take(store: Store, table: Table, origin: str, page: list[tuple[Any, ...]]) -> int:
    """Store a page; return how many rows have no time."""
    done = sort_out(table, page)
    for (gadget, layout), readings in done.readings.items():
        store.put(store.stream(gadget, layout, family=FAMILY, origin=origin), readings)
    return done.untimed


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
