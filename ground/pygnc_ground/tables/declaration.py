"""Declaration of the tables of replays and scenarios, and the metadata by which their Parquet files explain themselves.

`quantities.toml` is the only place that names columns, types, units, frames and meanings.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
import numpy as np
import polars as pl

import pygnc
from pygnc.common.clock import MS_PER_WEEK, unix_ms_from_gps_ms

UTC: Final = pl.Datetime("ms", "UTC")
_TYPES: Final[dict[str, Any]] = {
    "number": pl.Float64,
    "integer": pl.Int64,
    "flag": pl.Boolean,
    "text": pl.String,
    "utc": UTC,
}
_TIME_SCALE: Final = "utc is UTC; gps_week and gps_tow_ms are GPS time, which has no leap seconds"


class Quantity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Quantity that takes one or several columns of a table.

    Attributes:
        columns: Columns of the components.
        meaning: Meaning for readers.
        name: Name in reports; the column if there is only one.
        kind: Kind of the values.
        unit: Unit of numbers.
        frame: Frame of the components.
        sigma: Columns of their standard deviations; empty if the table has none.
        follows_from: Name of the quantity that differs whenever this one differs.
    """

    columns: tuple[str, ...]
    meaning: str = ""
    name: str = ""
    kind: Literal["number", "integer", "flag", "text", "utc"] = "number"
    unit: str = ""
    frame: str = ""
    sigma: tuple[str, ...] = ()
    follows_from: str = ""

    def __post_init__(self) -> None:
        if not self.name:
            msgspec.structs.force_setattr(self, "name", self.columns[0])


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Table: what its rows contain, what they are for, and its groups of quantities."""

    content: str
    rows: str
    groups: tuple[str, ...]


class _Declaration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    frames: dict[str, str]
    tables: dict[str, Table]
    groups: dict[str, tuple[Quantity, ...]]


_DECLARATION: Final = msgspec.toml.decode(Path(__file__).with_name("quantities.toml").read_bytes(), type=_Declaration)
FRAMES: Final = _DECLARATION.frames
TABLES: Final = _DECLARATION.tables
GROUPS: Final = _DECLARATION.groups
REPLAY_TABLES: Final = tuple(name for name in TABLES if not name.endswith("truth"))


def quantities(table: str) -> tuple[Quantity, ...]:
    """Return the quantities of a table in the order of its columns; none for an unknown table."""
    groups = TABLES[table].groups if table in TABLES else ()
    return tuple(quantity for group in groups for quantity in GROUPS[group])


def columns(table: str) -> tuple[str, ...]:
    """Return the columns of a table in their order."""
    return tuple(column for quantity in quantities(table) for column in quantity.columns)


def frame(table: str, values: Mapping[str, Any]) -> pl.DataFrame:
    """Return a table of n rows with the declared columns; None and NaN are unknown values.

    `values` has an array or list of shape (n,) for each quantity with one column, and an array of shape (n, k) for each
    with k columns, by the names of the quantities.
    """
    series: list[pl.Series] = []
    for quantity in quantities(table):
        of = values[quantity.name]
        parts = [of] if len(quantity.columns) == 1 else list(np.ascontiguousarray(np.asarray(of).T))
        dtype = _TYPES[quantity.kind]
        for column, part in zip(quantity.columns, parts, strict=True):
            one = pl.Series(column, part, dtype=pl.Int64 if quantity.kind == "utc" else dtype, nan_to_null=True)
            series.append(one.cast(dtype) if quantity.kind == "utc" else one)
    return pl.DataFrame(series)


def time_values(gps_ms: Sequence[int | None]) -> dict[str, list[int | None]]:
    """Return the values of the group `time` for times in ms since the GPS epoch; None is an unknown time."""
    return {
        "utc": [None if ms is None else unix_ms_from_gps_ms(ms) for ms in gps_ms],
        "gps_week": [None if ms is None else ms // MS_PER_WEEK for ms in gps_ms],
        "gps_tow_ms": [None if ms is None else ms % MS_PER_WEEK for ms in gps_ms],
    }


def metadata(table: str, about: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the key-value metadata of a Parquet file of this table; `about` are further entries."""
    declared = quantities(table)
    frames = {quantity.frame for quantity in declared} - {""}
    described = {
        column: {"unit": quantity.unit, "frame": quantity.frame, "meaning": quantity.meaning}
        for quantity in declared
        for column in quantity.columns
    }
    return {
        "software": f"PyGNC {pygnc.__version__}",
        "table": table,
        "content": TABLES[table].content,
        "rows": TABLES[table].rows,
        **(about or {}),
        "time_scale": _TIME_SCALE,
        **({"frames": json.dumps({name: FRAMES[name] for name in sorted(frames)})} if frames else {}),
        "columns": json.dumps(described),
    }
