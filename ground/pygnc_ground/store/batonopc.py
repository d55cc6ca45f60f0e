"""Imports what batonopc logged: any of its three tables, however often; each reading comes once."""

import ast
import contextlib
import hashlib
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any, Final

from pygnc_ground.store.errors import StoreError
from pygnc_ground.store.layout import Column, Layout
from pygnc_ground.store.quality import Quality
from pygnc_ground.store.records import NewReading
from pygnc_ground.store.store import Store
from pygnc_ground.store.values import PlainValue, plain, to_text

KIND: Final = "batonopc"
_KEYS: Final = ("rdg_no", "timestamp", "gadget_id")
_RAW: Final = "raw_data"
_UNITS: Final = {
    "temp": "°C", "rh": "%", "pm_01": "µg/m³", "pm_25": "µg/m³", "pm_10": "µg/m³", "sampling_period": "s",
    "sample_flow_rate": "ml/s",
    **dict.fromkeys((f"bin_{number}" for number in range(24)), "1/ml"),
    **dict.fromkeys((f"bin{number}_mtof" for number in (1, 3, 5, 7)), "µs"),
}  # fmt: skip
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
            database.row_factory = sqlite3.Row
            tables = _tables(database)
            if not tables:
                raise StoreError(f"{path}: no table of batonopc is in it (none has rdg_no and timestamp)")
            for table in tables:
                for page in _pages(database, table):
                    untimed += _take(store, table, page, zone, gadget_id or path.stem)
                    readings += len(page)
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{path}: {error}") from None
    return Imported(readings - untimed, untimed)


@dataclass(frozen=True, slots=True)
class _Table:
    name: str
    names: tuple[str, ...]
    origin: str


def _tables(database: sqlite3.Connection) -> list[_Table]:
    found = []
    names = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
    for name in names:
        columns = tuple(row[1] for row in database.execute(f"PRAGMA table_info({_quoted(name)})"))
        if {"rdg_no", "timestamp"} <= set(columns):
            # A database that has grown since is known by its first row.
            first = database.execute(f"SELECT * FROM {_quoted(name)} ORDER BY rdg_no LIMIT 1").fetchone()  # noqa: S608
            mark = hashlib.sha256(repr((name, tuple(first or ()))).encode()).hexdigest()[:16]
            found.append(_Table(name, columns, f"{KIND}-{mark}"))
    return found


def _pages(database: sqlite3.Connection, table: _Table) -> Iterator[list[sqlite3.Row]]:
    cursor = database.execute(f"SELECT * FROM {_quoted(table.name)} ORDER BY rdg_no")  # noqa: S608 - quoted
    while page := cursor.fetchmany(_PAGE):
        yield page


def _take(store: Store, table: _Table, page: list[sqlite3.Row], zone: tzinfo | None, gadget_id: str) -> int:
    """Store a page; return how many rows have no time."""
    untimed = 0
    sorted_out: dict[tuple[str, tuple[str, ...]], list[tuple[int, NewReading]]] = {}
    for row in page:
        try:
            t_utc_ms = _time_ms(str(row["timestamp"]), zone)
        except ValueError:
            untimed += 1
            continue
        values = _values(table, row)
        new = NewReading(t_utc_ms, int(Quality.IMPORTED), 0, "", to_text(values.values()), None)
        gadget = str(row["gadget_id"]) if "gadget_id" in table.names and row["gadget_id"] is not None else gadget_id
        sorted_out.setdefault((gadget, tuple(values)), []).append((row["rdg_no"], new))
    for (gadget, names), rows in sorted_out.items():
        units = [_UNITS.get(name, "") for name in names]
        columns = tuple(Column(name, unit, csv_unit=unit) for name, unit in zip(names, units, strict=True))
        layout = Layout(KIND, columns)
        store.put(store.stream(gadget, layout, family="opc_n3", origin=table.origin), rows)
    return untimed


def _values(table: _Table, row: sqlite3.Row) -> dict[str, PlainValue]:
    values = {name: plain(row[name]) for name in table.names if name not in (*_KEYS, _RAW)}
    if _RAW in table.names and row[_RAW] is not None:
        values |= {name: plain(value) for name, value in _raw(str(row[_RAW])).items() if name not in values}
    return values


def _raw(text: str) -> dict[str, Any]:
    """Return the reading that older versions kept as JSON or as Python wrote it."""
    for read in (json.loads, ast.literal_eval):
        with contextlib.suppress(ValueError, SyntaxError, RecursionError, MemoryError):
            found = read(text)
            if isinstance(found, dict):
                return {str(name): value for name, value in found.items()}
    return {_RAW: text}


def _time_ms(text: str, zone: tzinfo | None) -> int:
    return int(datetime.fromisoformat(text.strip().replace("_", "T")).replace(tzinfo=zone).timestamp() * 1000)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
