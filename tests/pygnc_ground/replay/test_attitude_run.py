"""Attitude tables of a replay of the demonstration data's first 25 minutes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pygnc.common.clock import MS_PER_WEEK
from pygnc.configuration.data_files import EARTH_ORIENTATION_TABLE, read_earth_orientation
from pygnc.configuration.settings import Settings
from pygnc.estimators.attitude.measurement_model import VectorInnovation
from pygnc.estimators.attitude.state import ERRORS
from pygnc.formats.sense import SenseLayout
from pygnc.navigation.pipeline import AttitudeRecord
from pygnc_ground.attitude.accuracy import attitude_errors
from pygnc_ground.attitude.smoother import Filtered
from pygnc_ground.replay.array_file import ArrayFile
from pygnc_ground.replay.attitude_run import attitude_result
from pygnc_ground.replay.collect import Collected
from pygnc_ground.replay.inputs import from_files
from pygnc_ground.replay.result import AttitudeResult
from pygnc_ground.replay.run import ReplayContext
from pygnc_ground.truth.load import load_attitude_truth
from pygnc_system.files import data_file

DEMO = Path(__file__).resolve().parents[3] / "data" / "demo"
RECORDS = 60
SETTINGS = Settings()


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> tuple[AttitudeResult, Collected]:
    return replay_of(tmp_path_factory.mktemp("attitude"), SETTINGS, RECORDS)


def replay_of(folder: Path, settings: Settings, records: int) -> tuple[AttitudeResult, Collected]:
    file = folder / "sense.bin"
    file.write_bytes((DEMO / "sense.bin").read_bytes()[: records * SenseLayout().size])
    orientation = read_earth_orientation(data_file(EARTH_ORIENTATION_TABLE))
    truth = load_attitude_truth(DEMO / "truth.parquet")
    inputs = from_files([file], None, settings)
    result, collected = ReplayContext(settings, orientation, has_priority=False, true_attitude=truth).replay(
        inputs, keep_samples=True
    )
    return result.attitude, collected


@pytest.fixture(scope="module")
def result(replayed: tuple[AttitudeResult, Collected]) -> AttitudeResult:
    return replayed[0]


@pytest.fixture(scope="module")
def records(replayed: tuple[AttitudeResult, Collected]) -> list[AttitudeRecord]:
    return replayed[1].samples


def test_every_table_has_a_row_for_each_sample(result: AttitudeResult, records: list[AttitudeRecord]) -> None:
    count = len(records)
    assert count == 5 * RECORDS
    samples, solution, seen = result.samples, result.solution, result.light
    assert result.truth is not None
    assert result.bound is not None
    assert len(samples) == len(solution) == len(result.smoothed) == len(seen.measured) == count
    assert len(samples.mode) == len(samples.cause) == len(samples.faces_dead) == len(samples.gyro_stuck) == count
    assert len(result.truth.quaternion) == len(result.bound.filter_rad) == count


def test_rows_equal_the_flights_estimates(result: AttitudeResult, records: list[AttitudeRecord]) -> None:
    samples, solution = result.samples, result.solution
    for row, (outcome, estimate) in enumerate(records):
        assert samples.seq[row] == estimate.input_seq
        assert samples.gps_ms[row] == solution.gps_ms[row] == estimate.gps_ms
        assert (samples.mode[row], samples.cause[row]) == (estimate.mode, estimate.cause)
        assert tuple(solution.rate_body_rad_s[row]) == pytest.approx(estimate.rate_body_rad_s, rel=1e-12)
        known = estimate.quaternion_gcrf_from_body is not None
        assert solution.known[row] == known
        if estimate.quaternion_gcrf_from_body is not None:
            assert tuple(solution.quaternion[row]) == estimate.quaternion_gcrf_from_body
            assert tuple(solution.gyro_bias_imu_rad_s[row]) == estimate.gyro_bias_imu_rad_s
            assert tuple(solution.mag_bias_imu_ut[row]) == pytest.approx(estimate.mag_bias_imu_ut)
            assert tuple(solution.sigma_rad[row]) == pytest.approx(estimate.sigma_rad)
        update = outcome.update
        assert update is not None
        field = update.innovations.get("magnetometer")
        assert field is None or isinstance(field, VectorInnovation)
        if field is not None:
            assert (samples.innovations["magnetometer"].values[row] == field.residual).all()
            assert samples.innovations["magnetometer"].chi_square[row] == field.chi_square
        assert np.isnan(samples.innovations["magnetometer"].chi_square[row]) == (field is None)


def test_the_smoothed_ones_are_nearer_to_the_truth(result: AttitudeResult) -> None:
    assert result.truth is not None
    rms = [
        np.sqrt(np.square(attitude_errors(solution, result.truth).angle_rad).mean())
        for solution in (result.solution, result.smoothed)
    ]
    assert rms[1] < 0.9 * rms[0] < np.radians(2.0)


def test_the_truth_is_that_of_the_sample_time(result: AttitudeResult) -> None:
    table = pl.read_parquet(DEMO / "truth.parquet").with_columns(
        (pl.col("gps_week") * MS_PER_WEEK + pl.col("gps_tow_ms")).alias("gps_ms")
    )
    by_time = {row["gps_ms"]: row for row in table.iter_rows(named=True)}
    assert result.truth is not None
    for row, gps_ms in enumerate(result.samples.gps_ms.tolist()):
        assert result.truth.known[row] == (gps_ms in by_time)
        if gps_ms in by_time:
            expected = [by_time[gps_ms][f"q{component}_gcrf_from_body"] for component in "wxyz"]
            assert result.truth.quaternion[row].tolist() == expected
    assert result.truth.known.sum() == RECORDS


def test_the_bound_is_below_the_filters_own_sigma(result: AttitudeResult, records: list[AttitudeRecord]) -> None:
    """The bound knows the models and their noise; the filter does not know yet whether the gyro follows the warmth."""
    assert result.bound is not None
    states = [outcome.update.state for outcome, _ in records if outcome.update is not None]
    sigma = np.array([np.nan if state is None else np.linalg.norm(state.sigma[ERRORS.attitude]) for state in states])
    late = slice(150, None)
    assert 0.4 < np.nanmean(result.bound.filter_rad[late]) / np.nanmean(sigma[late]) < 1.0


def test_readings_agree_with_the_smoothed_attitude(result: AttitudeResult) -> None:
    lit = result.samples.sunlit_fraction == 1.0
    difference = (result.light.measured - result.light.expected)[lit]
    assert np.sqrt(np.nanmean(difference**2)) < 0.02
    assert result.light.saturated[lit].any()
    assert (result.light.measured[result.samples.sunlit_fraction == 0.0] < 0.01).all()


def test_sun_sensors_after_the_sixth_have_no_reading_and_change_nothing(tmp_path: Path, result: AttitudeResult) -> None:
    mounting = SETTINGS.attitude.mounting
    more = replace(mounting, face_normals_body=(*mounting.face_normals_body, (0.6, 0.8, 0.0), (0.0, -0.6, 0.8)))
    settings = replace(SETTINGS, attitude=replace(SETTINGS.attitude, mounting=more))
    eight, _ = replay_of(tmp_path, settings, 20)
    assert eight.light.measured.shape == eight.samples.faces_used.shape == (100, 8)
    assert np.isnan(eight.light.measured[:, 6:]).all()
    assert not eight.light.dark.any()
    assert not eight.samples.faces_faulty.any()
    np.testing.assert_allclose(eight.solution.quaternion, result.solution.quaternion[:100], atol=1e-4)
    assert eight.bound is not None
    assert result.bound is not None
    np.testing.assert_allclose(eight.bound.filter_rad, result.bound.filter_rad[:100], rtol=1e-4)


def test_without_a_truth_there_is_no_bound(records: list[AttitudeRecord]) -> None:
    few = attitude_result(records[:40], [Filtered(None, None)] * 40, SETTINGS.attitude, None, ArrayFile())
    assert few.truth is None
    assert few.bound is None


def test_no_sample_gives_empty_tables() -> None:
    nothing = attitude_result([], [], SETTINGS.attitude, load_attitude_truth(DEMO / "truth.parquet"), ArrayFile())
    assert len(nothing.samples) == len(nothing.smoothed) == len(nothing.light.measured) == 0
    assert nothing.samples.faces_dead.shape == (0, 6)
    assert not nothing.samples.found_again.any()
