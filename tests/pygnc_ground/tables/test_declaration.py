"""Declaration of the tables: names, types, and the metadata of their Parquet files."""

import io
import json
import math
from collections import defaultdict

import numpy as np
import polars as pl
import pytest

from pygnc.common.clock import gps_ms_from_utc_iso, week_from_gps_ms
from pygnc_ground.tables.declaration import (
    FRAMES,
    GROUPS,
    TABLES,
    UTC,
    columns,
    frame,
    metadata,
    quantities,
    time_values,
)


@pytest.mark.parametrize("table", TABLES)
def test_names_are_unique_and_references_lead_to_columns_of_the_table(table: str) -> None:
    names = [quantity.name for quantity in quantities(table)]
    assert len({*names}) == len(names)
    assert len({*columns(table)}) == len(columns(table))
    for quantity in quantities(table):
        assert quantity.frame in {"", *FRAMES}
        assert quantity.follows_from in {"", *names}
        if TABLES[table].made_by == "replay":
            assert {*quantity.sigma} <= {*columns(table)}


def test_a_column_has_one_meaning_in_all_tables() -> None:
    meanings = defaultdict(set)
    for quantity in (quantity for table in TABLES for quantity in quantities(table)):
        for column in quantity.columns:
            meanings[column].add(quantity)
    assert {column: found for column, found in meanings.items() if len(found) > 1} == {}


def test_numbers_have_a_unit_which_the_name_of_the_column_repeats() -> None:
    endings = {
        "m": "_m",
        "m/s": "_mps",
        "rad/s": "_rad_s",
        "uT": "_ut",
        "rad": "_rad",
        "s": "_s",
        "ms": "_ms",
        "deg": "_deg",
    }
    for quantity in (quantity for group in GROUPS.values() for quantity in group):
        assert bool(quantity.unit) == (quantity.kind in {"number", "integer"}), quantity.name
        assert all(column.endswith(endings.get(quantity.unit, "")) for column in quantity.columns), quantity.name


def test_unknown_values_are_null_and_the_sign_of_zero_remains() -> None:
    values = time_values([None, 0]) | {"partner_id": [75, 76], "distance_m": np.array([math.nan, -0.0])}
    table = frame("range_truth", values | {"delay_bias_m": [None, 1.0]})
    assert tuple(table.columns) == columns("range_truth")
    assert table.row(0) == (None, None, None, 75, None, None)
    assert math.copysign(1.0, table["distance_m"][1]) == -1.0
    assert table.schema["utc"] == UTC


@pytest.mark.parametrize("utc", ["2016-12-31T23:59:59.250Z", "2017-01-01T00:00:00.000Z", "2026-11-25T12:00:00.999Z"])
def test_utc_has_the_leap_seconds_that_gps_time_has_not(utc: str) -> None:
    gps_ms = gps_ms_from_utc_iso(utc)
    assert gps_ms is not None
    times = pl.DataFrame(time_values([gps_ms]))
    assert (times["gps_week"][0], times["gps_tow_ms"][0]) == week_from_gps_ms(gps_ms)
    assert times["utc"].cast(UTC).dt.strftime("%Y-%m-%dT%H:%M:%S%.3fZ")[0] == utc


def test_a_parquet_file_explains_every_column() -> None:
    file = io.BytesIO()
    table = frame("range_truth", time_values([0]) | {"partner_id": [75], "distance_m": [1.0], "delay_bias_m": [2.0]})
    table.write_parquet(file, metadata=metadata("range_truth", {"settings_sha256": "00"}))
    file.seek(0)
    found = pl.read_parquet_metadata(file)
    assert found["software"].startswith("PyGNC ")
    assert found["settings_sha256"] == "00"
    described = json.loads(found["columns"])
    assert tuple(described) == columns("range_truth")
    assert described["distance_m"] == {"unit": "m", "frame": "", "meaning": "true distance to the partner"}
