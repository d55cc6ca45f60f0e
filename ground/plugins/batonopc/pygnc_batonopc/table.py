"""Import of batonopc's readings from its databases; conversion of its table rows to readings.

All three tables of batonopc are supported. The same row always gives the same reading, whether it comes from a database
or from an uploaded batch, so a repeated import adds only new readings.
"""

import ast
import contextlib
import hashlib
import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any, Final

from pygnc_station import settings_types
from pygnc_station.errors import StationError, StoreError
from pygnc_station.store.readings import TIMES_MS, Column, Layout, NewReading, PlainValue, Quality, plain, to_text
from pygnc_station.store.store import Store

KIND: Final = "batonopc"
FAMILY: Final = "opc_n3"
_PAGE: Final = 2000
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
"""Columns of batonopc's three tables by their number, because its batches often have no column names."""
UNITS: Final = {
    "temp": "°C", "rh": "%", "sampling_period": "s", "sample_flow_rate": "ml/s",
    **dict.fromkeys(_MASSES, "µg/m³"), **dict.fromkeys(_BINS, "1/ml"), **dict.fromkeys(_FLIGHT_TIMES, "µs"),
}  # fmt: skip
"""Units of the values by name; other values have none."""


@dataclass(frozen=True, slots=True)
class Table:
    """Table of batonopc.

    Attributes:
        names: names of the columns, which include `rdg_no` and `timestamp`.
        zone: time zone of the timestamps; None means the zone of this computer.
        gadget_id: device of rows without a device name.
    """

    names: tuple[str, ...]
    zone: tzinfo | None
    gadget_id: str


def origin_of(first: Sequence[object]) -> str:
    """Return the origin of a table's readings: it depends on the first row, so it does not change when the table grows.

    Args:
        first: first row of the table, as values or as their Python texts, which its batches contain.
    """
    texts = tuple("" if value is None else str(value) for value in first)
    return f"{KIND}-{hashlib.sha256(repr(texts).encode()).hexdigest()[:16]}"


def group_rows(
    table: Table, rows: Iterable[Sequence[Any]]
) -> tuple[dict[tuple[str, Layout], list[tuple[int, NewReading]]], int]:
    """Return numbered readings by device and layout, and the number of rows without a valid time."""
    untimed = 0
    groups: dict[tuple[str, tuple[str, ...]], list[tuple[int, NewReading]]] = {}
    for row in rows:
        cells = dict(zip(table.names, row, strict=True))
        try:
            t_utc_ms = _time_ms(str(cells["timestamp"]), table.zone)
        except (ValueError, OverflowError):
            untimed += 1
            continue
        values = _values(cells)
        new = NewReading(t_utc_ms, int(Quality.IMPORTED), 0, "", to_text(values.values()), None)
        gadget = cells.get("gadget_id")
        name = table.gadget_id if gadget in {None, ""} else str(gadget)
        groups.setdefault((name, tuple(values)), []).append((cells["rdg_no"], new))
    return {(gadget_id, _layout(names)): readings for (gadget_id, names), readings in groups.items()}, untimed


def _layout(names: Iterable[str]) -> Layout:
    units = ((name, UNITS.get(name, "")) for name in names)
    return Layout(KIND, tuple(Column(name, unit, csv_unit=unit) for name, unit in units))


def _values(cells: dict[str, Any]) -> dict[str, PlainValue]:
    values = {name: plain(value) for name, value in cells.items() if name not in {*KEYS, RAW}}
    if cells.get(RAW) is not None:
        values |= {name: plain(value) for name, value in _raw(str(cells[RAW])).items() if name not in values}
    return values


def _raw(text: str) -> dict[str, Any]:
    """Return the reading that older versions of batonopc stored as JSON or as a Python literal."""
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
        raise ValueError(f"{text}: the time must be between 1970 and 9999")
    return t_utc_ms


def import_batonopc(store: Store, path: Path, zone: str, gadget_id: str = "") -> tuple[int, int]:
    """Import the readings of a batonopc database; return their number, and that of the rows without a valid time.

    A file whose name ends in .json or .jsonl is a dump of batonopc's server; see `dump.import_dump`.

    Args:
        store: receives the readings.
        path: SQLite file of batonopc.
        zone: time zone of its timestamps, such as `Europe/Dublin`; "" means the zone of this computer.
        gadget_id: device of rows without a device name; "" uses the name of the file.

    Raises:
        StationError: the time zone is unknown.
        StoreError: the file is not a database of batonopc.
    """
    time_zone = zone_of(zone)
    if not path.is_file():
        raise StoreError(f"{path}: the file does not exist")
    if path.suffix in {".json", ".jsonl"}:
        from pygnc_batonopc.dump import import_dump  # noqa: PLC0415 - it uses this module

        return import_dump(store, path)
    readings = untimed = 0
    try:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            tables = _tables(database)
            if not tables:
                raise StoreError(
                    f"{path}: no table has the columns rdg_no and timestamp; choose a database of batonopc"
                )
            for name, columns in tables.items():
                table, origin = Table(columns, time_zone, gadget_id or path.stem), ""
                rows = database.execute(f"SELECT * FROM {_quoted(name)} ORDER BY rdg_no")  # noqa: S608 - quoted
                while page := rows.fetchmany(_PAGE):
                    origin = origin or origin_of(page[0])
                    groups, without_time = group_rows(table, page)
                    for (gadget, layout), numbered in groups.items():
                        store.put(store.stream(gadget, layout, family=FAMILY, origin=origin), numbered)
                        readings += len(numbered)
                    untimed += without_time
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{path}: the database cannot be read ({error})") from None
    return readings, untimed


def _tables(database: sqlite3.Connection) -> dict[str, tuple[str, ...]]:
    """Return the columns of batonopc's tables by table name."""
    found = {}
    names = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
    for name in names:
        columns = tuple(row[1] for row in database.execute(f"PRAGMA table_info({_quoted(name)})"))
        if {"rdg_no", "timestamp"} <= set(columns):
            found[name] = columns
    return found


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def zone_of(name: str) -> tzinfo | None:
    """Return a time zone; None, which means the zone of this computer, for "".

    Raises:
        StationError: the time zone is unknown.
    """
    try:
        return settings_types.zone_of(name)
    except ValueError as error:
        raise StationError(str(error)) from None
