import math

import msgspec
import numpy as np
import pytest

from pygnc.bus.messages import DEVICES, DeviceReading, GnssFix, Message, SensorSample
from pygnc.common.clock import SpacecraftReading
from pygnc.configuration.settings import DeviceSettings, Settings
from pygnc.estimators.attitude.settings import AttitudeSettings, OwnSensorSettings
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.inputs.input_state import InputCounters
from pygnc.inputs.live import device_messages
from pygnc.inputs.own_receiver import own_fix, own_week

DEVICE = DeviceSettings(family="mip", port="/dev/null")
LATITUDE, LONGITUDE, HEIGHT_M = math.radians(37.0), math.radians(-122.0), 500_000.0


def geocentric(latitude: float, longitude: float, height_m: float) -> tuple[float, float, float]:
    """The position above the ellipsoid WGS 84."""
    eccentricity2 = 0.00669437999014
    normal_m = 6_378_137.0 / math.sqrt(1.0 - eccentricity2 * math.sin(latitude) ** 2)
    across_m = (normal_m + height_m) * math.cos(latitude)
    north_m = (normal_m * (1.0 - eccentricity2) + height_m) * math.sin(latitude)
    return across_m * math.cos(longitude), across_m * math.sin(longitude), north_m


POSITION = geocentric(LATITUDE, LONGITUDE, HEIGHT_M)
VALUES: dict[str, int | float | str | None] = {
    "latitude_rad": LATITUDE,
    "longitude_rad": LONGITUDE,
    "ecef_x_m": POSITION[0],
    "ecef_y_m": POSITION[1],
    "ecef_z_m": POSITION[2],
    "ecef_accuracy_m": 6.0,
    "velocity_north_mps": 7000.0,
    "velocity_east_mps": -1500.0,
    "velocity_down_mps": 20.0,
    "speed_accuracy_mps": 0.3,
    "tow_s": 345_600.25,
    "week": 2400,
    "time_flags": 3,
    "fix_type": 0,
    "satellites": 9,
}
READING = DeviceReading(
    seq=8,
    source=DEVICES,
    offset=8,
    device="gps",
    family="mip",
    packet="gnss",
    t_mono_ns=9_500_000_000,
    t_wall_ns=0,
    t_device_ns=None,
    lost_before=0,
    raw=b"ue",
    values=VALUES,
)


def fix_with(*flags: str, **values: float | None) -> GnssFix:
    fix = own_fix(msgspec.structs.replace(READING, values=VALUES | values, flags=flags), 12, 1_000_250)
    assert fix is not None
    return fix


def test_a_reading_becomes_a_fix() -> None:
    fix = fix_with()
    assert (fix.seq, fix.source, fix.offset, fix.kind, fix.raw) == (12, DEVICES, 8, "mip gnss", b"ue")
    assert (fix.gps_ms, fix.t_spacecraft_s, fix.satellites_used) == (2400 * 604_800_000 + 345_600_250, 1000, 9)
    assert (fix.position_solution, fix.velocity_solution) == ("computed", "computed")
    assert fix.position_ecef_m == pytest.approx(POSITION)
    assert math.hypot(*fix.position_sigma_m) == pytest.approx(6.0)
    assert math.hypot(*fix.velocity_sigma_mps) == pytest.approx(0.3)


def test_the_velocity_is_turned_into_earth_fixed_axes() -> None:
    turns = {"north": (1e-6, 0.0, 0.0), "east": (0.0, 1e-6, 0.0), "down": (0.0, 0.0, -1.0)}
    for name, (latitude, longitude, height_m) in turns.items():
        moved = np.subtract(geocentric(LATITUDE + latitude, LONGITUDE + longitude, HEIGHT_M + height_m), POSITION)
        only = {f"velocity_{axis}_mps": float(axis == name) for axis in turns}
        assert np.array(fix_with(**only).velocity_ecef_mps) == pytest.approx(moved / np.linalg.norm(moved), abs=1e-5)


def test_a_time_between_milliseconds_moves_the_position() -> None:
    whole, between = fix_with(), fix_with(tow_s=345_600.2504)
    assert between.gps_ms == whole.gps_ms
    difference_m = np.array(whole.position_ecef_m) - between.position_ecef_m
    assert difference_m == pytest.approx(0.0004 * np.array(whole.velocity_ecef_mps), abs=1e-4)


@pytest.mark.parametrize("week", [2400, 2400 - 1024, 2400 - 2048])
def test_a_week_whose_count_has_rolled_over_is_corrected(week: int) -> None:
    reading = msgspec.structs.replace(READING, values=VALUES | {"week": week})
    fix = own_fix(reading, 12, 1_000_250, earliest_week=2048)
    assert fix is not None
    assert (fix.gps_ms, own_week(reading)) == (2400 * 604_800_000 + 345_600_250, week)


@pytest.mark.parametrize("fix_type", [1, 2, 3, 4])
def test_a_receiver_without_a_position_in_space_says_so(fix_type: int) -> None:
    fix = fix_with(fix_type=fix_type)
    assert "computed" not in {fix.position_solution, fix.velocity_solution}


def test_what_the_unit_calls_invalid_is_not_used() -> None:
    fix = fix_with("position_ecef invalid")
    assert (fix.position_solution, fix.velocity_solution) == ("invalid", "computed")
    fix = fix_with("velocity invalid")
    assert (fix.position_solution, fix.velocity_solution) == ("computed", "invalid")
    assert fix.position_ecef_m == pytest.approx(POSITION)
    assert fix_with(time_flags=1).gps_ms is None
    assert fix_with(week=None).gps_ms is None


@pytest.mark.parametrize(
    ("family", "packet", "values"),
    [
        ("novatel", "TIME", {}),
        ("ublox", "05-01", {}),
        ("skytraq", "navigation data", {"tow_s": math.inf, "fix_type": 2}),
    ],
)
def test_packets_without_a_solution_stay_readings(family: str, packet: str, values: dict[str, float]) -> None:
    known = dict.fromkeys(("clock_status", "clock_offset_s", "clock_sigma_s", "week", "time_status", "tow_s"), 0.0)
    reading = msgspec.structs.replace(READING, family=family, packet=packet, values=known | values)
    assert own_fix(reading, 1, 1_000_250) is None


def test_other_packets_and_other_devices_stay_readings() -> None:
    def messages(one: DeviceReading, receiver: str) -> list[Message]:
        settings = Settings(orbit=OrbitSettings(own_receiver=receiver), devices=dict.fromkeys(("gps", "imu"), DEVICE))
        return device_messages(one, 12, settings, SpacecraftReading(1000, 5_000_000_000), InputCounters(receiver))

    (fix,) = messages(READING, "gps")
    assert isinstance(fix, GnssFix)
    assert (fix.t_spacecraft_s, fix.t_spacecraft_ms) == (1004, 500)
    assert messages(READING, "") == [msgspec.structs.replace(READING, seq=12)]
    assert messages(READING, "imu") == [msgspec.structs.replace(READING, seq=12)]
    rates = msgspec.structs.replace(READING, packet="sensor", values={"rate_x_rad_s": 0.1})
    assert messages(rates, "gps") == [msgspec.structs.replace(rates, seq=12)]


def test_readings_of_the_gyro_begin_samples_at_an_interval() -> None:
    own = OwnSensorSettings(gyro="imu", magnetometer="imu", samples_s=0.5)
    settings = Settings(attitude=AttitudeSettings(own_sensors=own), devices={"imu": DEVICE})
    clock, earlier, times = SpacecraftReading(1000, 0), InputCounters(), []
    for number in range(20):
        values = {"rate_x_rad_s": 0.1} if number % 2 else {"temperature_degc": 20.0}
        one = msgspec.structs.replace(READING, device="imu", t_mono_ns=130_000_000 * number, values=values)
        first, *rest = device_messages(one, 7, settings, clock, earlier)
        assert first == msgspec.structs.replace(one, seq=7)
        for sample in rest:
            assert isinstance(sample, SensorSample)
            assert (sample.seq, sample.source, sample.offset, sample.raw) == (8, DEVICES, one.offset, b"")
            times.append(1000 * (sample.t_spacecraft_s - 1000) + sample.t_spacecraft_ms)
            earlier.count(sample)
    assert times == [130, 650, 1170, 1690, 2210]
