"""Imports databases of batonopc: any of its three tables, however often; each reading comes once.

Rows of batonopc's tables, from a database or an uploaded batch, as readings: the same row is the same reading.

Time zones by their names.
"""

import ast
import contextlib
import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pygnc_station.errors import StationError, StoreError
from pygnc_station.store.layout import Column, Layout, PlainValue, plain, to_text
from pygnc_station.store.readings import TIMES_MS, NewReading, Quality
from pygnc_station.store.store import Store

KIND: Final = "batonopc"
FAMILY: Final = "opc_n3"
KEYS: Final = ("rdg_no", "timestamp", "gadget_id")
RAW: Final = "raw_data"
_AIR: Final = ("temp", "rh")
_MASSES: Final = ("pm_01", "pm_25", "pm_10")
_BINS: Final = tuple(f"bin_{number}" for number in range(24))
_FLIGHT_TIMES: Final = tuple(f"bin{number}_mtof" for number in (1, 3, 5, 7))
_REJECTS: Final = tuple(f"reject_count_{why}" for why in ("glitch", "longtof", "ratio", "outofrange"))
_SAMPLE: Final = ("sampling_period", "sample_flow_rate", *_REJECTS, "fan_rev_count", "last_status", "checksum")
TABLES: Final = {
    len(names): names
    for names in (
        (*KEYS, *_AIR, *_MASSES, *_BINS, *_FLIGHT_TIMES, *_SAMPLE),
        (*KEYS, *_AIR, *_MASSES, RAW),
        (*KEYS, *_AIR, RAW),
    )
}
"""Columns of its three tables, by their number: its batches do not name them."""
_UNITS: Final = {
    "temp": "°C", "rh": "%", "sampling_period": "s", "sample_flow_rate": "ml/s",
    **dict.fromkeys(_MASSES, "µg/m³"), **dict.fromkeys(_BINS, "1/ml"), **dict.fromkeys(_FLIGHT_TIMES, "µs"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Table:
    """Where rows come from.

    Attributes:
        names: of its columns, `rdg_no` and `timestamp` among them.
        zone: of its times, which are local; None: this computer's.
        gadget_id: device of the rows that name none.
    """

    names: tuple[str, ...]
    zone: tzinfo | None
    gadget_id: str


@dataclass(slots=True)
class GroupedRows:
    """Readings by device and layout, and the number of rows without a time that can be read."""

    readings: dict[tuple[str, Layout], list[tuple[int, NewReading]]] = field(default_factory=dict)
    untimed: int = 0


def origin_of(first: Sequence[object]) -> str:
    """Return the name of a table in its readings' identity: one that has grown since is known by its first row.

    Args:
        first: its first row; values, or their texts as Python writes them, which its batches hold.
    """
    texts = tuple("" if value is None else str(value) for value in first)
    return f"{KIND}-{hashlib.sha256(repr(texts).encode()).hexdigest()[:16]}"


def group_rows(table: Table, rows: Iterable[Sequence[Any]]) -> GroupedRows:
    """Return rows as numbered readings."""
    done = GroupedRows()
    groups: dict[tuple[str, tuple[str, ...]], list[tuple[int, NewReading]]] = {}
    for row in rows:
        cells = dict(zip(table.names, row, strict=True))
        try:
            t_utc_ms = _time_ms(str(cells["timestamp"]), table.zone)
        except (ValueError, OverflowError):
            done.untimed += 1
            continue
        values = _values(cells)
        new = NewReading(t_utc_ms, int(Quality.IMPORTED), 0, "", to_text(values.values()), None)
        gadget = cells.get("gadget_id")
        name = table.gadget_id if gadget in {None, ""} else str(gadget)
        groups.setdefault((name, tuple(values)), []).append((cells["rdg_no"], new))
    for (gadget_id, names), readings in groups.items():
        done.readings[gadget_id, _layout(names)] = readings
    return done


def _layout(names: Iterable[str]) -> Layout:
    units = ((name, _UNITS.get(name, "")) for name in names)
    return Layout(KIND, tuple(Column(name, unit, csv_unit=unit) for name, unit in units))


def _values(cells: dict[str, Any]) -> dict[str, PlainValue]:
    values = {name: plain(value) for name, value in cells.items() if name not in {*KEYS, RAW}}
    if cells.get(RAW) is not None:
        values |= {name: plain(value) for name, value in _raw(str(cells[RAW])).items() if name not in values}
    return values


def _raw(text: str) -> dict[str, Any]:
    """Return the reading that older versions kept as JSON or as Python wrote it."""
    for read in (json.loads, ast.literal_eval):
        with contextlib.suppress(ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            found = read(text)
            if isinstance(found, dict):
                return {str(name): value for name, value in found.items()}
    return {RAW: text}


def _time_ms(text: str, zone: tzinfo | None) -> int:
    time = datetime.fromisoformat(text.strip().replace("_", "T")).replace(tzinfo=zone)
    t_utc_ms = int(time.timestamp() * 1000)
    if t_utc_ms not in TIMES_MS:
        raise ValueError(f"{text}: not a time of 1970 to 9999")
    return t_utc_ms


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
    done = group_rows(table, page)
    for (gadget, layout), readings in done.readings.items():
        store.put(store.stream(gadget, layout, family=FAMILY, origin=origin), readings)
    return done.untimed


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def zone_of(name: str) -> tzinfo | None:
    """Return the zone of a name; None for "": this computer's.

    Raises:
        StationError: no zone has that name.
    """
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError, OSError):  # a folder of zones is an OSError
        raise StationError(f"{name!r} is no time zone; an example: Europe/Dublin") from None
