"""Changes between tables: sizes, standard deviations, rows, texts."""

import math
from pathlib import Path

import polars as pl
import pytest

from pygnc_ground.gate.compare import changes, compare_tables

ORBIT = pl.DataFrame(
    {
        "gps_week": [2300, 2300],
        "gps_tow_ms": [10_000, 35_000],
        **{f"{axis}_ecef_m": [7e6, 6e6] for axis in "xyz"},
        **{f"sigma_{axis}_ecef_m": [2.0, 4.0] for axis in "xyz"},
        "nis": [1.0, None],
        "accepted": [True, False],
    },
    schema_overrides={"nis": pl.Float64},
)


def with_value(table: pl.DataFrame, column: str, row: int, value: float | str | None) -> pl.DataFrame:
    values = table[column].to_list()
    values[row] = value
    return table.with_columns(pl.Series(column, values, dtype=table[column].dtype))


def test_equal_tables_have_no_changes() -> None:
    assert changes("orbit", ORBIT, ORBIT.clone()) == []


def test_a_changed_position_is_measured_in_metres_and_sigmas() -> None:
    moved = with_value(with_value(ORBIT, "x_ecef_m", 1, 6e6 + 3.0), "y_ecef_m", 1, 6e6 - 4.0)
    (change,) = changes("orbit", ORBIT, moved)
    assert (change.table, change.quantity, change.unit) == ("orbit", "position", "m")
    assert (change.rows, change.of_rows) == (1, 2)
    assert change.largest == pytest.approx(5.0)
    assert change.sigmas == pytest.approx(1.0)
    assert change.relative == pytest.approx(5.0 / math.sqrt(3.0 * (49e12 + 36e12) / 2.0))
    assert change.at is not None
    assert change.at.endswith("00:00:17 UTC")  # 35 s of the week minus 18 leap seconds


def test_a_single_bit_is_a_change() -> None:
    (change,) = changes("orbit", ORBIT, with_value(ORBIT, "x_ecef_m", 0, math.nextafter(7e6, 8e6)))
    assert change.quantity == "position"
    assert change.sigmas is not None
    assert 0.0 < change.sigmas < 1e-9


def test_the_sign_of_zero_is_a_change() -> None:
    zero = with_value(ORBIT, "nis", 0, 0.0)
    (change,) = changes("orbit", zero, with_value(ORBIT, "nis", 0, -0.0))
    assert (change.quantity, change.rows, change.largest) == ("nis", 1, 0.0)


def test_a_value_that_becomes_unknown_is_a_change_without_a_size() -> None:
    (change,) = changes("orbit", with_value(ORBIT, "nis", 1, None), with_value(ORBIT, "nis", 1, 2.0))
    assert (change.quantity, change.rows, change.largest) == ("nis", 1, 0.0)  # the other row has not changed
    (lost,) = changes("orbit", ORBIT, with_value(ORBIT, "nis", 0, None))
    assert (lost.rows, lost.largest) == (1, None)


def test_counters_and_texts_are_counted() -> None:
    (change,) = changes("orbit", ORBIT, ORBIT.with_columns(accepted=True))
    assert (change.quantity, change.rows, change.of_rows, change.largest) == ("accepted", 1, 2, None)


def test_added_and_lost_rows_do_not_shift_the_others() -> None:
    extra = pl.concat([ORBIT[:1].with_columns(pl.lit(5_000, pl.Int64).alias("gps_tow_ms")), ORBIT])
    (added,) = changes("orbit", ORBIT, extra)
    assert (added.quantity, added.rows) == ("rows added", 1)
    (lost,) = changes("orbit", extra, ORBIT)
    assert (lost.quantity, lost.rows) == ("rows lost", 1)


def test_rows_with_equal_times_are_compared_in_their_order() -> None:
    twice = pl.concat([ORBIT[:1], with_value(ORBIT, "nis", 0, 9.0)[:1], ORBIT[1:]])
    (lost,) = changes("orbit", twice, pl.concat([ORBIT[:1], ORBIT[1:]]))
    assert (lost.quantity, lost.rows) == ("rows lost", 1)


def test_attitudes_are_compared_by_their_angle() -> None:
    half = math.radians(1.0) / 2.0
    attitude = pl.DataFrame(
        {
            "gps_week": [2300],
            "gps_tow_ms": [0],
            **dict(zip((f"q{part}_gcrf_from_body" for part in "wxyz"), ([1.0], [0.0], [0.0], [0.0]), strict=True)),
            **{f"sigma_{axis}_body_rad": [math.radians(0.5)] for axis in "xyz"},
        }
    )
    turned = attitude.with_columns(qw_gcrf_from_body=math.cos(half), qz_gcrf_from_body=math.sin(half))
    (change,) = changes("attitude", attitude, turned)
    assert (change.quantity, change.unit) == ("attitude", "deg")
    assert change.largest == pytest.approx(1.0)
    assert change.sigmas == pytest.approx(2.0)


def test_missing_columns_are_named() -> None:
    found = changes("orbit", ORBIT, ORBIT.drop("nis"))
    assert [change.quantity for change in found] == ["columns nis"]


def test_tables_of_replays_are_compared_in_folders_and_in_memory(tmp_path: Path) -> None:
    moved = with_value(ORBIT, "x_ecef_m", 1, 6e6 + 3.0)
    ORBIT.write_parquet(tmp_path / "orbit.parquet")
    found = compare_tables(tmp_path, {"orbit": moved, "fixes": ORBIT})
    assert found.select("table", "quantity", "rows", "largest").rows() == [("orbit", "position", 1, 3.0)]
    assert compare_tables(tmp_path, str(tmp_path)).is_empty()


def test_the_other_frame_is_reported_only_if_it_alone_changed() -> None:
    both = ORBIT.with_columns(pl.col(f"{axis}_ecef_m").alias(f"{axis}_gcrf_m") for axis in "xyz")
    moved = with_value(both, "x_gcrf_m", 0, 1.0)
    assert [change.quantity for change in changes("orbit", both, moved)] == ["position in GCRF"]
    (change,) = changes("orbit", both, with_value(moved, "x_ecef_m", 0, 1.0))
    assert change.quantity == "position"


def test_an_encounter_whose_time_moves_is_the_same_encounter() -> None:
    keys = {"partner_id": [75, 75], "orbit": ["best orbit"] * 2, "encounter": ["nearest", "likeliest"]}
    figures = {"gps_tow_ms": [10_000, 35_000], "closest_m": [9.0, 12.0], "sigma_closest_m": [1.0, 1.0]}
    before = pl.DataFrame({**keys, **figures})
    after = with_value(with_value(before, "gps_tow_ms", 0, 10_001), "closest_m", 0, 8.0)
    assert {change.quantity: change.largest for change in changes("approaches", before, after)} == {
        "gps_tow_ms": None,
        "closest_m": 1.0,
    }
