"""Parquet files as read by polars."""

import io

import numpy as np
import polars as pl
import pytest

from pygnc_ground.scenario.generate import Scenario, generate
from pygnc_ground.scenario.settings import Forces, Partner, Ranging, Settings
from pygnc_ground.scenario.writer import parquet, range_truth_table, truth_table

SETTINGS = Settings(
    start_utc="2025-03-22T23:59:22Z",
    duration_s=100,
    forces=Forces(gravity_degree=2, drag=False, radiation_pressure=False),
    ranging=Ranging(interval_s=20),
    partners=(Partner(id=75, position_rtn_m=(0.0, 500.0, 0.0), delay_bias_m=1040.0),),
)
"""20 s before the end of a GPS week."""


@pytest.fixture(scope="module")
def made() -> Scenario:
    return generate(SETTINGS)


def read_back(table: pl.DataFrame) -> pl.DataFrame:
    return pl.read_parquet(io.BytesIO(parquet(table)))


def test_every_sample_has_a_row_of_the_truth_table(made: Scenario) -> None:
    table, truth = read_back(truth_table(made.truth, every=1)), made.truth
    assert table.height == 20
    assert table["gps_week"].to_list() == [2358] * 4 + [2359] * 16
    assert table["gps_tow_ms"].to_list()[3:6] == [604_795_000, 0, 5_000]
    for names, values in {
        ("x_ecef_m", "y_ecef_m", "z_ecef_m"): truth.position_ecef_m,
        ("vx_ecef_mps", "vy_ecef_mps", "vz_ecef_mps"): truth.velocity_ecef_mps,
        ("x_gcrf_m", "y_gcrf_m", "z_gcrf_m"): truth.position_gcrf_m,
        ("vx_gcrf_mps", "vy_gcrf_mps", "vz_gcrf_mps"): truth.velocity_gcrf_mps,
        tuple(f"q{part}_gcrf_from_body" for part in "wxyz"): truth.quaternion_gcrf_from_body,
        tuple(f"{axis}_rate_body_rad_s" for axis in "xyz"): truth.rate_body_rad_s,
        ("sunlit_fraction",): truth.sunlit_fraction[:, np.newaxis],
    }.items():
        np.testing.assert_array_equal(table.select(names).to_numpy(), values)


def test_the_sensors_biases_have_columns_as_soon_as_they_are_known(made: Scenario) -> None:
    columns = truth_table(made.truth, every=1).columns
    for field in ("gyro_bias_imu_rad_s", "mag_bias_imu_ut"):
        assert all((f"{axis}_{field}" in columns) == hasattr(made.truth, field) for axis in "xyz")


def test_every_fifth_sample_has_a_fix(made: Scenario) -> None:
    table = truth_table(made.truth, every=5)
    assert table["gps_tow_ms"].to_list() == [0, 25_000, 50_000, 75_000]


def test_times_are_integers_and_all_other_columns_floats(made: Scenario) -> None:
    kinds = read_back(truth_table(made.truth, every=1)).schema
    assert {name for name, kind in kinds.items() if kind == pl.Int64} == {"gps_week", "gps_tow_ms"}
    assert kinds["utc"] == pl.Datetime("ms", "UTC")
    assert {kind for name, kind in kinds.items() if not name.startswith(("gps_", "utc"))} == {pl.Float64}


def test_the_range_truth_has_distance_and_bias_of_every_packet(made: Scenario) -> None:
    assert made.true_ranges is not None
    table = read_back(range_truth_table(made.true_ranges))
    assert table["gps_tow_ms"].to_list() == [0, 20_000, 40_000, 60_000, 80_000]
    assert table["partner_id"].to_list() == [75] * 5
    assert table["delay_bias_m"].to_list() == [1040.0] * 5
    np.testing.assert_allclose(table["distance_m"].to_numpy(), 500.0, atol=0.1)


def test_metadata_name_time_scale_and_frames(made: Scenario) -> None:
    metadata = pl.read_parquet_metadata(io.BytesIO(parquet(truth_table(made.truth, every=1))))
    assert "GPS time" in metadata["time_scale"]
    assert "ITRF" in metadata["frames"]
