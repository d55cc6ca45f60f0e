"""Readings with the field at their times and places, against the scenario's truth."""

from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest

from pygnc.bus.messages import DEVICES, DeviceReading, Message, SensorSample
from pygnc.configuration.data_files import MAIN_FIELD_TABLE, read_main_field
from pygnc.configuration.settings import DeviceSettings, Settings
from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc.estimators.attitude.settings import AttitudeSettings, OwnSensorSettings
from pygnc.formats.sense import SenseLayout
from pygnc.inputs.sense_file import SenseFile
from pygnc_ground.calibration.readings import FieldReadings, field_readings
from pygnc_ground.replay.inputs import Inputs, from_files, inputs_of
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


def test_a_magnetometer_of_the_computer_is_the_one_that_is_calibrated(hour: bytes) -> None:
    """The readings of the device are twice those of the host; some samples have none that is new enough."""
    settings = Settings(
        attitude=AttitudeSettings(own_sensors=OwnSensorSettings(magnetometer="imu")),
        devices={"imu": DeviceSettings(family="ucb", port="/dev/null")},
    )
    messages: list[Message] = []
    for message in inputs_of([SenseFile(hour, "sense.bin", Settings())]).messages:
        if not isinstance(message, SensorSample):
            messages.append(message)
            continue
        t_mono_ns = 1_000_000_000 * message.t_spacecraft_s
        if message.seq % 4:
            messages.append(reading(message, t_mono_ns))
        messages.append(msgspec.structs.replace(message, t_mono_ns=t_mono_ns, raw=b""))
    none = EarthOrientationTable.none()
    own = field_readings(Inputs(iter(messages), None), settings, none, MAIN_FIELD)
    host = field_readings(inputs_of([SenseFile(hour, "sense.bin", Settings())]), Settings(), none, MAIN_FIELD)
    assert own.repeated == 0
    assert own.samples == sum(isinstance(message, DeviceReading) for message in messages) < host.samples
    rows = np.searchsorted(host.gps_ms, own.gps_ms)
    np.testing.assert_allclose(own.mag_imu_ut, 2.0 * host.mag_imu_ut[rows])


def reading(sample: SensorSample, t_mono_ns: int) -> DeviceReading:
    """The reading of a magnetometer with twice the field of a sample."""
    return DeviceReading(
        seq=sample.seq,
        source=DEVICES,
        offset=sample.seq,
        device="imu",
        family="ucb",
        packet="S1",
        t_mono_ns=t_mono_ns,
        t_wall_ns=0,
        t_device_ns=None,
        lost_before=0,
        raw=b"",
        values={f"mag_{axis}_t": 2e-6 * field for axis, field in zip("xyz", sample.mag_imu_ut, strict=True)},
    )
