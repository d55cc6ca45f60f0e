"""Declaration of the tables of all commands, and the metadata by which Parquet files explain them.

`quantities.toml` is the only place that names columns, types, units, frames and meanings.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import msgspec
import numpy as np
import polars as pl

import pygnc
from pygnc.common.clock import MS_PER_WEEK, unix_ms_from_gps_ms

AnyFrame: TypeAlias = pl.DataFrame | pl.LazyFrame
"""Table in memory, or one whose rows are made when they are used."""
_GROUP_ROWS: Final = 16_384
"""Rows of a group in a Parquet file, which are in memory together when they are written."""
UTC: Final = pl.Datetime("ms", "UTC")
UTC_FORMAT: Final = "%Y-%m-%dT%H:%M:%S%.3fZ"
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
        in_csv: False if CSV files leave the quantity out.
    """

    columns: tuple[str, ...]
    meaning: str = ""
    name: str = ""
    kind: Literal["number", "integer", "flag", "text", "utc"] = "number"
    unit: str = ""
    frame: str = ""
    sigma: tuple[str, ...] = ()
    follows_from: str = ""
    in_csv: bool = True

    def __post_init__(self) -> None:
        if not self.name:
            msgspec.structs.force_setattr(self, "name", self.columns[0])


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Table: what its rows contain, what they are for, its groups of quantities, and those by the prefix of columns."""

    content: str
    rows: str
    groups: tuple[str, ...]
    prefixed: dict[str, tuple[str, ...]] = {}
    made_by: Literal["replay", "scenario", "campaign", "passes", "identify"] = "replay"


class _Declaration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    frames: dict[str, str]
    tables: dict[str, Table]
    groups: dict[str, tuple[Quantity, ...]]


_DECLARATION: Final = msgspec.toml.decode(Path(__file__).with_name("quantities.toml").read_bytes(), type=_Declaration)
FRAMES: Final = _DECLARATION.frames
TABLES: Final = _DECLARATION.tables
GROUPS: Final = _DECLARATION.groups


def tables_of(made_by: str) -> dict[str, Table]:
    """Return the tables of a command by name."""
    return {name: table for name, table in TABLES.items() if table.made_by == made_by}


def quantities(table: str) -> tuple[Quantity, ...]:
    """Return the quantities of a table in the order of its columns; none for an unknown table."""
    return _QUANTITIES.get(table, ())


def _quantities(table: Table) -> Iterator[Quantity]:
    for prefix, groups in {"": table.groups, **table.prefixed}.items():
        for quantity in (quantity for group in groups for quantity in GROUPS[group]):
            columns = tuple(prefix + column for column in quantity.columns)
            yield msgspec.structs.replace(quantity, columns=columns, name=prefix + quantity.name)


_QUANTITIES: Final = {name: (*_quantities(table),) for name, table in TABLES.items()}


def columns(table: str, *, csv: bool = False) -> tuple[str, ...]:
    """Return the columns of a table in their order; with `csv`, those of its CSV file."""
    return tuple(column for quantity in quantities(table) if quantity.in_csv or not csv for column in quantity.columns)


def schema(table: str) -> dict[str, Any]:
    """Return the types of the columns of a table by name, in their order."""
    return {column: _TYPES[quantity.kind] for quantity in quantities(table) for column in quantity.columns}


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


def metadata(table: str, about: Mapping[str, str] | None = None, more: Sequence[Quantity] = ()) -> dict[str, str]:
    """Return the key-value metadata of a Parquet file of this table, with the entries `about` and `more` quantities."""
    declared = (*quantities(table), *more)
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
        "a_row_for": TABLES[table].rows,
        **(about or {}),
        **({"time_scale": _TIME_SCALE} if "utc" in described else {}),
        **({"frames": json.dumps({name: FRAMES[name] for name in sorted(frames)})} if frames else {}),
        "columns": json.dumps(described),
    }


def write_table(table: str, rows: AnyFrame, path: Path, about: Mapping[str, str]) -> None:
    """Write a table as Parquet with its metadata and the entries `about`, or as CSV if the file has this suffix.

    Raises:
        OSError: The file cannot be written.
    """
    if path.suffix == ".csv":
        rows.lazy().select(columns(table, csv=True)).sink_csv(path, datetime_format=UTC_FORMAT)
    else:
        rows.lazy().sink_parquet(path, metadata=metadata(table, about), row_group_size=_GROUP_ROWS)
