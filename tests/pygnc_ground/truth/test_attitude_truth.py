from contextlib import suppress
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from pygnc_ground.scenario.writer import parquet as scenario_parquet
from pygnc_ground.truth.attitude_truth import AttitudeTruth, attitude_truth
from pygnc_ground.truth.load import load_attitude_truth
from pygnc_ground.truth.table import csv_table
from tests.pygnc_ground.truth import orbits
from tests.pygnc_ground.truth.tables import csv, csv_gz, parquet, truth_table

T_S = np.arange(0.0, 101.0, 5.0)
GPS_MS = orbits.START_GPS_MS + (1000 * T_S).astype(np.int64)
RATE_RAD_S = np.radians([4.0, -9.0, 2.0])
TURNED = Rotation.from_rotvec([0.3, 2.0, -0.4]) * Rotation.from_rotvec(np.outer(T_S, RATE_RAD_S))
_VALUES = {
    "rate_body_rad_s": RATE_RAD_S,
    "gyro_bias_imu_rad_s": np.array([0.01, 0.02, -0.03]),
    "mag_bias_imu_ut": np.array([20.0, 10.0, -25.0]),
}
TABLE = truth_table(GPS_MS, orbits.circular(T_S)).with_columns(
    *(
        pl.Series(f"q{component}_gcrf_from_body", values)
        for component, values in zip("wxyz", TURNED.as_quat(scalar_first=True).T, strict=True)
    ),
    *(
        pl.lit(float(value)).alias(f"{component}_{name}")
        for name, vector in _VALUES.items()
        for component, value in zip("xyz", vector, strict=True)
    ),
)


def truth(table: pl.DataFrame = TABLE) -> AttitudeTruth:
    found = attitude_truth(table)
    assert found is not None
    return found


def test_the_truth_at_a_rows_time_is_that_row() -> None:
    found = truth().at(GPS_MS[[7, 0, 20]])
    assert (found.quaternion == TURNED.as_quat(scalar_first=True)[[7, 0, 20]]).all()
    for values, vector in zip(found[1:], _VALUES.values(), strict=True):
        assert (values == vector).all()
    assert found.known.all()


def test_the_attitude_is_propagated_for_at_most_a_second_from_a_row() -> None:
    asked_s = np.array([-1.0, 0.4, 5.9, 4.1, 100.0 + 1.0])
    found = truth().at(orbits.START_GPS_MS + np.round(1000 * asked_s).astype(np.int64))
    expected = Rotation.from_rotvec([0.3, 2.0, -0.4]) * Rotation.from_rotvec(np.outer(asked_s, RATE_RAD_S))
    apart = Rotation.from_quat(found.quaternion, scalar_first=True).inv() * expected
    assert apart.magnitude().max() < 1e-12
    nowhere = truth().at(orbits.START_GPS_MS + np.array([-1001, 1001, 2500, 3999, 101_001]))
    assert all(np.isnan(values).all() for values in nowhere)
    assert not nowhere.known.any()


def test_a_sample_without_a_time_has_no_truth() -> None:
    assert not truth().at(np.array([-1, 0])).known.any()


def test_one_row_is_enough() -> None:
    assert truth(TABLE.head(1)).at(GPS_MS[:3]).known.tolist() == [True, False, False]


def test_a_table_of_an_orbit_alone_has_no_attitude() -> None:
    names = [name for name in TABLE.columns if not name.startswith("q")]
    assert attitude_truth(TABLE.select(names)) is None


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        (TABLE.drop("qy_gcrf_from_body"), "no column qy_gcrf_from_body"),
        (TABLE.drop("z_rate_body_rad_s", "x_mag_bias_imu_ut"), "no column z_rate_body_rad_s, x_mag_bias_imu_ut"),
        (TABLE.head(0), "no rows"),
        (TABLE.with_columns(pl.lit("a").alias("qw_gcrf_from_body")), "not a number"),
        (TABLE.with_columns(pl.lit(None, dtype=pl.Float64).alias("x_rate_body_rad_s")), "no value in column"),
        (TABLE.with_columns(pl.lit(float("nan")).alias("y_mag_bias_imu_ut")), "row 1 of"),
        (TABLE.with_columns(pl.col("qw_gcrf_from_body") * 1.1), "row 1 of .* norm 1.*not 1"),
        (pl.concat([TABLE.head(3), TABLE.head(1)]), "row 4 of"),
    ],
)
def test_a_damaged_table_is_rejected_with_row_and_remedy(table: pl.DataFrame, complaint: str, tmp_path: Path) -> None:
    for name, content in (("truth.parquet", parquet(table)), ("truth.csv.gz", csv_gz(table))):
        file = tmp_path / name
        file.write_bytes(content)
        with pytest.raises(ValueError, match=rf"{name}: .*{complaint}"):
            load_attitude_truth(file)


@pytest.mark.parametrize("write", [parquet, csv, csv_gz, scenario_parquet])
def test_every_form_of_table_is_read(write: object, tmp_path: Path) -> None:
    file = tmp_path / "truth"
    file.write_bytes(write(TABLE))  # type: ignore[operator]
    found = load_attitude_truth(file)
    assert found is not None
    np.testing.assert_allclose(found.rows.quaternion, TURNED.as_quat(scalar_first=True), rtol=0.0, atol=1e-15)


def test_other_kinds_of_truth_have_no_attitude(tmp_path: Path) -> None:
    file = tmp_path / "orbit.sp3"
    file.write_text("#dP2025  3 20  0  0  0.00000000\n")
    assert load_attitude_truth(file) is None


def test_a_truncated_parquet_file_is_rejected(tmp_path: Path) -> None:
    file = tmp_path / "truth.parquet"
    file.write_bytes(parquet(TABLE)[:-20])
    with pytest.raises(ValueError, match=r"truth.parquet: .* truncated"):
        load_attitude_truth(file)


CSV = csv(TABLE.head(4))


@given(st.integers(0, len(CSV) - 1), st.binary(max_size=3), st.integers(0, 300))
def test_a_damaged_csv_table_is_read_or_rejected(place: int, inserted: bytes, removed: int) -> None:
    with suppress(ValueError):
        found = attitude_truth(csv_table(CSV[:place] + inserted + CSV[place + removed :]))
        assert found is None or np.isfinite(found.rows.quaternion).all()
