"""Rows of batonopc's tables, from a database or an uploaded batch, as readings: the same row is the same reading."""

import ast
import contextlib
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import Any, Final

from pygnc_station.store.layout import Column, Layout
from pygnc_station.store.quality import Quality
from pygnc_station.store.records import TIMES_MS, NewReading
from pygnc_station.store.values import PlainValue, plain, to_text

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
class SortedOut:
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


def sort_out(table: Table, rows: Iterable[Sequence[Any]]) -> SortedOut:
    """Return rows as numbered readings."""
    done = SortedOut()
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
