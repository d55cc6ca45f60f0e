"""Environment of the satellite, against a truth made by other libraries."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pygnc.bus.messages import OrbitEstimate
from pygnc.common import quaternion
from pygnc.common.clock import MS_PER_WEEK
from pygnc.configuration.data_files import MAIN_FIELD_TABLE, load_earth_orientation, read_main_field
from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc.estimators.attitude.settings import MountingSettings
from pygnc.formats.sense import SenseLayout, decode_sensors
from pygnc.navigation.environment import ORBIT_AGE_MAX_S, EnvironmentModel, PropagatedOrbit
from pygnc_system.files import data_file

DEMO = Path(__file__).resolve().parents[3] / "data" / "demo" / "truth.parquet"


@pytest.fixture(scope="module")
def truth() -> pl.DataFrame:
    return pl.read_parquet(DEMO).with_columns((pl.col("gps_week") * MS_PER_WEEK + pl.col("gps_tow_ms")).alias("ms"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> EnvironmentModel:
    orientation = load_earth_orientation(tmp_path_factory.mktemp("home"))[0]
    return EnvironmentModel(orientation, read_main_field(data_file(MAIN_FIELD_TABLE)))


def orbit_at(truth: pl.DataFrame, row: int) -> PropagatedOrbit:
    values = truth.row(row, named=True)
    x, y, z = (values[f"{axis}_gcrf_m"] for axis in "xyz")
    vx, vy, vz = (values[f"v{axis}_gcrf_mps"] for axis in "xyz")
    return PropagatedOrbit(values["ms"], values["ms"], (x, y, z, vx, vy, vz), values["ms"])


def test_position_and_sunlight_agree_with_the_truth(truth: pl.DataFrame, model: EnvironmentModel) -> None:
    lit = 0
    for row in range(0, len(truth) - 1, 7):
        around = model.at(truth["ms"][row + 1], orbit_at(truth, row))
        assert around is not None
        apart_m = around.position_gcrf_m - np.array(orbit_at(truth, row + 1).state[:3])
        assert np.linalg.norm(apart_m) < 5.0
        assert around.sunlit_fraction == pytest.approx(truth["sunlit_fraction"][row + 1], abs=0.02)
        lit += around.sunlit_fraction == 1.0
    assert 20 < lit < 60


def test_the_field_agrees_with_the_magnetometer(truth: pl.DataFrame, model: EnvironmentModel) -> None:
    """The generator's field is brahe's, its readings have 0.6 uT of noise."""
    records = np.fromfile(DEMO.with_name("sense.bin"), SenseLayout().record)
    shown_imu_ut = decode_sensors(records).mag_imu_ut[:, -1]
    imu_from_body = np.array(MountingSettings().imu_from_body)
    residuals_ut = []
    for row in range(0, len(truth), 5):
        around = model.at(truth["ms"][row], orbit_at(truth, row))
        assert around is not None
        values = truth.row(row, named=True)
        gcrf_from_body = quaternion.to_matrix(np.array([values[f"q{part}_gcrf_from_body"] for part in "wxyz"]))
        bias_ut = np.array([values[f"{axis}_mag_bias_imu_ut"] for axis in "xyz"])
        expected_ut = imu_from_body.dot(gcrf_from_body.T.dot(around.field_gcrf_ut)) + bias_ut
        residuals_ut.append(shown_imu_ut[row] - expected_ut)
    assert np.sqrt(np.square(residuals_ut).mean()) == pytest.approx(0.6, abs=0.15)


def test_many_propagation_steps_equal_one_step(truth: pl.DataFrame, model: EnvironmentModel) -> None:
    orbit, begin = orbit_at(truth, 0), orbit_at(truth, 0)
    for k in range(1, 121):
        around = model.at(truth["ms"][0] + 5_000 * k, orbit)
    direct = model.at(truth["ms"][0] + 600_000, begin)
    assert around is not None
    assert direct is not None
    assert orbit.age_s(orbit.gps_ms) == begin.age_s(begin.gps_ms) == 600.0
    apart_m = around.position_gcrf_m - direct.position_gcrf_m
    assert np.linalg.norm(apart_m) < 1.0
    assert np.abs(around.field_gcrf_ut - direct.field_gcrf_ut).max() < 1e-4


def test_the_environment_is_unknown_without_a_recent_orbit(truth: pl.DataFrame, model: EnvironmentModel) -> None:
    orbit = orbit_at(truth, 0)
    too_late_ms = orbit.gps_ms + round(1e3 * ORBIT_AGE_MAX_S) + 1
    assert model.at(too_late_ms, orbit) is None
    assert model.at(orbit.gps_ms, None) is None
    assert EnvironmentModel(EarthOrientationTable.none(), None).at(orbit.gps_ms, orbit) is None


def test_the_age_counts_from_the_newest_fix() -> None:
    estimate = OrbitEstimate(
        seq=1,
        last_input_seq=6,
        gps_ms=2_000_000,
        fix_gps_ms=1_500_000,
        position_ecef_m=(0.0, 0.0, 0.0),
        velocity_ecef_mps=(0.0, 0.0, 0.0),
        position_sigma_m=(1.0, 1.0, 1.0),
        velocity_sigma_mps=(1.0, 1.0, 1.0),
        position_gcrf_m=(7e6, 1.0, 2.0),
        velocity_gcrf_mps=(3.0, 7e3, 4.0),
        accepted=False,
        cause="gate",
        nis=0.0,
        nis_dof=0,
        nis_mean=0.0,
        nis_count=0,
        spacecraft_to_gps_ms=None,
    )
    orbit = PropagatedOrbit.of(estimate)
    assert orbit.state == (7e6, 1.0, 2.0, 3.0, 7e3, 4.0)
    assert orbit.age_s(2_010_000) == 510.0
