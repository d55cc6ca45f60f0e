"""Changes between two tables of estimates: the largest change of each quantity, in its unit and in sigmas."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import polars as pl

from pygnc.common import quaternion
from pygnc.common.clock import MS_PER_WEEK
from pygnc_ground.orbit.solution import FloatArray
from pygnc_ground.tables.declaration import Quantity, quantities
from pygnc_ground.wording import utc

_KEYS: Final = {
    "approaches": ("partner_id", "orbit", "encounter"),
    "formation": ("partner_id", "gps_week", "gps_tow_ms"),
    "fixes": ("input_seq",),
    "ranges": ("input_seq",),
    "rejected": ("input_seq",),
}
_TIME: Final = ("gps_week", "gps_tow_ms")


class Change(msgspec.Struct, frozen=True):
    """Change of one quantity of a table.

    Attributes:
        table: Name of the table.
        quantity: Name of the quantity.
        unit: Unit of `largest`; empty for texts, flags and counters.
        rows: Number of rows in which any bit differs.
        of_rows: Number of rows in both tables.
        largest: Largest change: length of the difference of vectors, angle of attitudes; None for texts and for values
            that are known in only one of the tables.
        relative: Largest change over the RMS of the quantity; None as above.
        sigmas: Largest change of a component in standard deviations; None without standard deviations.
        at: UTC of the largest change; None if it has no time.
        begins: UTC of the first row that differs; None if it has no time.
    """

    table: str
    quantity: str
    unit: str
    rows: int
    of_rows: int
    largest: float | None = None
    relative: float | None = None
    sigmas: float | None = None
    at: str | None = None
    begins: str | None = None

    @property
    def significance(self) -> tuple[bool, bool, float]:
        """Sort key: rows, texts and flags, then changes in standard deviations, then those relative to their RMS."""
        size = self.relative if self.sigmas is None else self.sigmas
        return size is None, self.sigmas is not None, size or 0.0


def compare_tables(
    before: Mapping[str, pl.DataFrame] | Path | str, after: Mapping[str, pl.DataFrame] | Path | str
) -> pl.DataFrame:
    """Return the changes between the tables of two replays of the same inputs, one row per quantity that changed.

    The columns are the attributes of `Change`: table, quantity, number of rows that differ in any bit, largest change
    in its unit, relative to the quantity and in standard deviations, its time, and the time of the first.

    Args:
        before: Tables by name, as `Replay.tables` has them, or a folder to which `pygnc replay` wrote them.
        after: The tables to compare with them. Tables that only one of the replays has are ignored.

    Raises:
        OSError: A file cannot be read.
    """
    old, new = (tables if isinstance(tables, Mapping) else _read(Path(tables)) for tables in (before, after))
    found = [change for name in old if name in new for change in changes(name, old[name], new[name])]
    schema: dict[str, type[pl.DataType]] = dict.fromkeys(Change.__struct_fields__, pl.Float64)
    schema |= dict.fromkeys(("table", "quantity", "unit", "at", "begins"), pl.String)
    schema |= dict.fromkeys(("rows", "of_rows"), pl.Int64)
    return pl.DataFrame([msgspec.structs.asdict(change) for change in found], schema=schema)


def _read(folder: Path) -> dict[str, pl.DataFrame]:
    return {path.stem: pl.read_parquet(path) for path in sorted(folder.glob("*.parquet"))}


def changes(name: str, before: pl.DataFrame, after: pl.DataFrame) -> list[Change]:
    """Return the changes between two tables of the same name."""
    found = []
    if before.columns != after.columns:
        missing = sorted(set(before.columns) ^ set(after.columns))
        found.append(Change(name, f"columns {', '.join(missing) or '(order)'}", "", len(after), len(after)))
    before, after, added, lost = _aligned(name, before, after)
    for what, rows in (("rows added", added), ("rows lost", lost)):
        if rows:
            found.append(Change(name, what, "", rows, len(after)))
    return found + list(_quantities(name, before, after))


def _aligned(name: str, before: pl.DataFrame, after: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame, int, int]:
    """Return the rows that both tables have, and how many only the second or only the first has."""
    keys = [key for key in _KEYS.get(name, _TIME) if key in before.columns and key in after.columns]
    if before.select(keys).equals(after.select(keys)):
        return before, after, 0, 0
    numbered = [
        table.with_columns(pl.int_range(pl.len()).over(keys).alias("_nth")).with_row_index("_row")
        for table in (before, after)
    ]
    both = numbered[0].join(numbered[1], on=[*keys, "_nth"], how="inner", nulls_equal=True).sort("_row")
    rows = before[both["_row"].to_list()], after[both["_row_right"].to_list()]
    return *rows, len(after) - len(both), len(before) - len(both)


def _quantities(name: str, before: pl.DataFrame, after: pl.DataFrame) -> Iterator[Change]:
    left = [column for column in after.columns if column in before.columns]
    known = quantities(name)
    found: dict[str, Change] = {}
    for quantity in known:
        if all(column in left for column in quantity.columns):
            found |= {change.quantity: change for change in _change(name, quantity, before, after)}
    implied = {quantity.name for quantity in known if quantity.follows_from in found}
    yield from (change for quantity, change in found.items() if quantity not in implied)
    declared = {column for quantity in known for column in quantity.columns}
    for column in left:
        if column not in declared:
            yield from _change(name, Quantity((column,)), before, after)


def _change(name: str, quantity: Quantity, before: pl.DataFrame, after: pl.DataFrame) -> Iterator[Change]:
    columns = [column for column in quantity.columns if before[column].dtype == after[column].dtype]
    rows = np.zeros(len(after), dtype=bool)
    for column in columns:
        rows |= _differ(before[column], after[column])
    if not rows.any():
        return
    is_numeric = all(after[column].dtype == pl.Float64 for column in columns)
    begins = _utc(after, int(rows.argmax()))
    change = Change(name, quantity.name, quantity.unit if is_numeric else "", int(rows.sum()), len(rows), begins=begins)
    yield _with_size(change, quantity, before, after, columns) if is_numeric else change


def _with_size(
    change: Change, quantity: Quantity, before: pl.DataFrame, after: pl.DataFrame, columns: Sequence[str]
) -> Change:
    then, now = _array(before, columns), _array(after, columns)
    known = np.isfinite(then).all(axis=1) & np.isfinite(now).all(axis=1)
    if not known.any():
        return change
    is_attitude = quantity.name == "attitude"
    difference = np.zeros((len(after), 3 if is_attitude else len(columns)))
    difference[known] = quaternion.error_vector(now[known], then[known]) if is_attitude else now[known] - then[known]
    size = np.linalg.norm(difference, axis=1)
    row = int(size.argmax())
    scale = 1.0 if is_attitude else float(np.sqrt(np.mean(np.square(then[known]).sum(axis=1))))
    return msgspec.structs.replace(
        change,
        unit="deg" if is_attitude else change.unit,
        largest=float(np.degrees(size[row]) if is_attitude else size[row]),
        relative=float(size[row]) / scale if scale > 0.0 else None,
        sigmas=_sigmas(difference, _array(before, quantity.sigma)) if quantity.sigma else None,
        at=_utc(after, row),
    )


def _sigmas(difference: FloatArray, sigma: FloatArray) -> float | None:
    valid = np.isfinite(sigma) & (sigma > 0.0)
    if not valid.any():
        return None
    return float(np.max(np.abs(difference[valid]) / sigma[valid]))


def _differ(before: pl.Series, after: pl.Series) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return flags of the rows in which any bit differs."""
    if before.dtype != pl.Float64:
        return np.array(before.ne_missing(after).to_list(), dtype=bool)
    nulls = before.is_null().to_numpy() != after.is_null().to_numpy()
    bits = [series.fill_null(0.0).to_numpy().view(np.int64) for series in (before, after)]
    return np.asarray(nulls | (bits[0] != bits[1]))


def _array(table: pl.DataFrame, columns: Sequence[str]) -> FloatArray:
    return table.select(pl.col(columns).fill_null(float("nan"))).to_numpy()


def _utc(table: pl.DataFrame, row: int) -> str | None:
    if not all(key in table.columns for key in _TIME):
        return None
    week, tow_ms = (table[key][row] for key in _TIME)
    return None if week is None or tow_ms is None else utc(week * MS_PER_WEEK + tow_ms)
