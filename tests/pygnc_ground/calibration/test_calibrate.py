"""Readings with the field at their times and places, against the scenario's truth."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pygnc.configuration.data_files import MAIN_FIELD_TABLE, read_main_field
from pygnc.configuration.settings import Settings
from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc.formats.sense import SenseLayout
from pygnc_ground.calibration.calibrate import FieldReadings, field_readings
from pygnc_ground.replay.inputs import from_files
from pygnc_system.files import data_file

DEMO = Path(__file__).resolve().parents[3] / "data" / "demo"
RECORD_BYTES = SenseLayout().size
MAIN_FIELD = read_main_field(data_file(MAIN_FIELD_TABLE))


def readings(*files: Path) -> FieldReadings:
    settings = Settings()
    return field_readings(from_files(files, None, settings), settings, EarthOrientationTable.none(), MAIN_FIELD)


@pytest.fixture
def hour() -> bytes:
    return (DEMO / "sense.bin").read_bytes()[: 144 * RECORD_BYTES]


def test_the_field_is_that_of_the_true_places(hour: bytes, tmp_path: Path) -> None:
    file = tmp_path / "sense.bin"
    file.write_bytes(hour)
    found = readings(file)
    assert (found.samples, found.repeated, found.untimed, found.unplaced) == (720, 0, 0, 0)
    truth = pl.read_parquet(DEMO / "truth.parquet").head(144)
    week, tow_ms = truth["gps_week"].to_numpy(), truth["gps_tow_ms"].to_numpy()
    gps_ms = 604_800_000 * week + tow_ms
    position_m = truth.select("x_ecef_m", "y_ecef_m", "z_ecef_m").to_numpy()
    # Whole seconds of spacecraft time: up to a second, and 8 km, off.
    rows = np.abs(found.gps_ms[:, None] - gps_ms[None]).argmin(axis=0)
    assert np.abs(found.gps_ms[rows] - gps_ms).max() <= 1000
    strength_ut = np.linalg.norm(found.field_gcrf_ut[rows], axis=1)
    true_ut = np.linalg.norm(MAIN_FIELD.at(int(gps_ms[0]), position_m), axis=1)
    assert strength_ut == pytest.approx(true_ut, abs=0.1)


def test_samples_go_on_without_fixes_for_twenty_minutes(hour: bytes, tmp_path: Path) -> None:
    # From record 40 on the receiver knows neither time nor place.
    records = np.frombuffer(hour, np.uint8).reshape(-1, RECORD_BYTES).copy()
    records[40:, 154:162], records[40:, 198] = 0, 1
    records[40:, 161] = 1
    file = tmp_path / "sense.bin"
    file.write_bytes(records.tobytes())
    found = readings(file)
    assert found.samples == 720
    assert found.repeated == 0
    assert (found.untimed, found.unplaced) == (0, 720 - 200 - 240)
    assert len(found.gps_ms) == 200 + 240
