from contextlib import suppress

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygnc_ground.truth.ephemeris import Ephemeris
from pygnc_ground.truth.table import csv_table, ephemeris_from_table, parquet_table
from tests.pygnc_ground.truth import orbits
from tests.pygnc_ground.truth.tables import csv, parquet, truth_table

T_S = np.arange(0.0, 6001.0, 25.0)
GPS_MS = orbits.START_GPS_MS + (1000 * T_S).astype(np.int64)
TABLE = truth_table(GPS_MS, orbits.circular(T_S))
PARQUET = parquet(TABLE)


def read_parquet(content: bytes) -> Ephemeris:
    return ephemeris_from_table(parquet_table(content))


def read_csv(content: bytes) -> Ephemeris:
    return ephemeris_from_table(csv_table(content))


@pytest.mark.parametrize("spacing_s", [5.0, 25.0])
@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_a_scenarios_orbit_is_interpolated_to_a_millimetre(spacing_s: float, kind: str) -> None:
    t_s = np.arange(0.0, orbits.DURATION_S + 1.0, spacing_s)
    # As scenarios round: 0.1 mm and 0.1 um/s.
    states = np.concatenate((orbits.states_itrf(t_s)[:, :3].round(4), orbits.states_itrf(t_s)[:, 3:].round(7)), axis=1)
    table = truth_table(orbits.START_GPS_MS + (1000 * t_s).astype(np.int64), states)
    ephemeris = read_parquet(parquet(table)) if kind == "parquet" else read_csv(csv(table))
    np.testing.assert_array_equal(ephemeris.at(orbits.gps_ns(t_s) // 1_000_000).position_ecef_m, states[:, :3])
    asked_s = np.concatenate((orbits.between(spacing_s), orbits.between(spacing_s, edges=True))).round(3)
    found, expected = ephemeris.at(orbits.gps_ns(asked_s) // 1_000_000), orbits.states_itrf(asked_s)
    assert np.linalg.norm(found.position_ecef_m - expected[:, :3], axis=1).max() < 1e-3
    assert np.linalg.norm(found.velocity_ecef_mps - expected[:, 3:], axis=1).max() < 1e-4


def test_the_span_is_that_of_the_rows() -> None:
    ephemeris = read_parquet(PARQUET)
    assert ephemeris.span_gps_ms == (GPS_MS[0], GPS_MS[-1])
    assert np.isnan(ephemeris.at(np.array([GPS_MS[0] - 1, GPS_MS[-1] + 1])).position_ecef_m).all()
    assert ephemeris.description.startswith("truth table of a scenario, 2025-03-20T00:00:00.000Z to")


def test_a_table_may_cross_the_end_of_a_week() -> None:
    gps_ms = 2358 * 604_800_000 + np.arange(-5, 6) * 1000
    ephemeris = read_parquet(parquet(truth_table(gps_ms, orbits.circular(np.arange(11.0)))))
    found = ephemeris.at(gps_ms[:-1] + 500).position_ecef_m
    np.testing.assert_allclose(found, orbits.circular(np.arange(10.0) + 0.5)[:, :3], atol=1e-4)


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        (TABLE.drop("y_ecef_m", "vz_ecef_mps"), "no column y_ecef_m, vz_ecef_mps"),
        (TABLE.head(0), "no rows"),
        (TABLE.with_columns(pl.lit("a").alias("x_ecef_m")), "not a number"),
        (TABLE.with_columns(pl.lit(None, dtype=pl.Float64).alias("x_ecef_m")), "no value in column"),
        (TABLE.with_columns(pl.lit(float("nan")).alias("x_ecef_m")), "row 1 of"),
        (TABLE.with_columns(pl.lit(0).alias("gps_week")), "row 1 of"),
        (TABLE.with_columns(pl.lit(604_800_000).alias("gps_tow_ms")), "row 1 of"),
        (pl.concat([TABLE.head(3), TABLE.head(1)]), "row 4 of"),
        (pl.concat([TABLE.head(3), TABLE.slice(2, 1)]), "row 4 of"),
        (TABLE.with_columns(pl.col("gps_week").cast(pl.Float64) * 1e30), "not a number"),
        (TABLE.with_columns(pl.col("x_ecef_m") / 1e3), "which is not an orbit"),
    ],
)
def test_a_table_that_is_not_a_truth_table_is_rejected(table: pl.DataFrame, complaint: str) -> None:
    for read, content in ((read_parquet, parquet(table)), (read_csv, csv(table))):
        with pytest.raises(ValueError, match=complaint):
            read(content)


@given(st.integers(4, len(PARQUET) - 1))
def test_a_truncated_parquet_file_is_rejected(length: int) -> None:
    with pytest.raises(ValueError, match=r"truncated|damaged"):
        read_parquet(PARQUET[:length])


def test_a_parquet_file_with_missing_bytes_is_rejected() -> None:
    with pytest.raises(ValueError, match="Parquet file is damaged"):
        read_parquet(PARQUET[:1000] + PARQUET[-4:])


CSV = csv(TABLE.head(6))


@given(st.integers(0, len(CSV) - 1), st.binary(max_size=3), st.integers(0, 200))
def test_a_damaged_csv_table_is_read_or_rejected(place: int, inserted: bytes, removed: int) -> None:
    with suppress(ValueError):
        assert read_csv(CSV[:place] + inserted + CSV[place + removed :]).span_gps_ms[0] > 0
