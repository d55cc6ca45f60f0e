"""Parquet files are read by a library that has no part in writing them."""

from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pygnc_station.store.parquet import TEXT, UTC_MS, Column, ParquetFile, Type

COLUMNS = (
    Column("utc", Type.INT64, UTC_MS),
    Column("count", Type.INT32),
    Column("is_on", Type.BOOLEAN),
    Column("value", Type.DOUBLE),
    Column("text", Type.BYTE_ARRAY, TEXT),
    Column("raw", Type.BYTE_ARRAY),
)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ROWS = st.tuples(
    st.integers(-(2**40), 2**40),
    st.none() | st.integers(-(2**31), 2**31 - 1),
    st.none() | st.booleans(),
    st.none() | st.floats(allow_nan=False),
    st.none() | st.text(),
    st.none() | st.binary(),
)


def _write(
    path: Path, pages: list[list[tuple[object, ...]]], group: int, columns: tuple[Column, ...] = COLUMNS
) -> None:
    with closing(ParquetFile(path, columns, {"software": "PyGNC", "ä": "µ"}, "PyGNC 1", group)) as file:
        for page in pages:
            file.append(page)


@given(pages=st.lists(st.lists(ROWS, max_size=30), max_size=5), group=st.integers(1, 60))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
def test_any_rows_are_read_back(tmp_path: Path, pages: list[list[tuple[object, ...]]], group: int) -> None:
    path = tmp_path / "rows.parquet"
    _write(path, pages, group)
    frame = pl.read_parquet(path)
    assert frame.schema == {
        "utc": pl.Datetime("ms", "UTC"), "count": pl.Int32, "is_on": pl.Boolean, "value": pl.Float64, "text": pl.String,
        "raw": pl.Binary,
    }  # fmt: skip
    rows = [row for page in pages for row in page]
    assert frame["utc"].cast(pl.Int64).to_list() == [row[0] for row in rows]
    assert frame.drop("utc").rows() == [row[1:] for row in rows]
    metadata = pl.read_parquet_metadata(path)
    assert (metadata["software"], metadata["ä"]) == ("PyGNC", "µ")


@pytest.mark.parametrize("count", [1, 14, 15, 200])
def test_any_number_of_columns_and_row_groups_is_read_back(tmp_path: Path, count: int) -> None:
    columns = tuple(Column(f"value_{rank}", Type.INT64) for rank in range(count))
    rows: list[tuple[object, ...]] = [tuple(range(rank, rank + count)) for rank in range(40)]
    _write(tmp_path / "rows.parquet", [rows[:3], rows[3:21], rows[21:]], 2, columns)
    assert pl.read_parquet(tmp_path / "rows.parquet").rows() == rows
    assert (
        pl.scan_parquet(tmp_path / "rows.parquet").select(f"value_{count - 1}").tail(1).collect().item() == 38 + count
    )


def test_a_time_is_in_utc(tmp_path: Path) -> None:
    _write(tmp_path / "rows.parquet", [[(1_790_035_200_123, 1, True, 0.5, "µ", b"\0")]], 10)
    (time,) = pl.read_parquet(tmp_path / "rows.parquet")["utc"]
    assert time == EPOCH + timedelta(milliseconds=1_790_035_200_123)
