import itertools
import math
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygnc_devices.errors import DeviceError, NoAnswerError, RefusedError, SettingError
from pygnc_devices.framing import DamageReason, scan_to_end
from pygnc_devices.reading import Counters, Reading, Stamp
from pygnc_devices.sps30 import driver, unit
from pygnc_devices.sps30.driver import Sps30
from pygnc_devices.sps30.framing import READ, make_command, scan
from pygnc_devices.sps30.packets import COUNT_NAMES, PM_NAMES, TYPICAL_SIZE
from pygnc_devices.sps30.unit import SpsUnit
from pygnc_instruments.simulators.endpoints import PtyEndpoint
from pygnc_instruments.simulators.sps30_unit import Sps30Simulator, SpsFaults, response
from tests.pygnc_devices.conformance import is_soon
from tests.pygnc_devices.sps30.quick import SAMPLE_S, QuickSps30, measuring_sensor
from tests.pygnc_devices.sps30.vectors import COMMANDS, FLOATS, VALUES

NAMES = (*PM_NAMES, *COUNT_NAMES, TYPICAL_SIZE)


def reading_of(raw: bytes) -> Reading | None:
    (frame,) = scan(raw, False).frames  # noqa: FBT003 - the signature of every scanner
    return SpsUnit().interpret(frame, Stamp.now(), Counters())


def flags_of(*values: float, state: int = 0) -> tuple[str, ...]:
    reading = reading_of(response(READ, state, struct.pack(">10f", *values)))
    assert reading is not None
    return reading.flags


@pytest.mark.parametrize(("command", "data"), COMMANDS)
def test_makes_the_commands_of_the_manufacturers_driver(command: int, data: str) -> None:
    assert make_command(command, bytes.fromhex(data)).hex() == COMMANDS[command, data]


def test_decodes_both_formats() -> None:
    reading = reading_of(response(READ, 0, FLOATS))
    assert reading is not None
    assert [reading.values[name] for name in NAMES] == pytest.approx(VALUES, rel=1e-6)
    assert reading.flags == ()
    whole = reading_of(response(READ, 0, struct.pack(">10H", 7, 8, 8, 8, 84, 99, 100, 100, 101, 500)))
    assert whole is not None
    assert [whole.values[name] for name in NAMES] == [7, 8, 8, 8, 84, 99, 100, 100, 101, 0.5]
    assert reading_of(response(READ, 0, b"")) is None


@given(state=st.sampled_from([0, 0x80, 0x43]), size=st.sampled_from([0, 20, 40]), data=st.data())
def test_any_content_survives_stuffing(state: int, size: int, data: st.DataObject) -> None:
    content = data.draw(st.binary(min_size=size, max_size=size))
    (frame,) = scan(response(READ, state, content), False).frames  # noqa: FBT003
    assert frame.payload == bytes([state]) + content
    reading = SpsUnit().interpret(frame, Stamp.now(), Counters())
    assert (reading is None) == (size == 0)
    if reading is not None:
        assert all(value is None or math.isfinite(float(value)) for value in reading.values.values())


@given(octets=st.binary(max_size=200).map(lambda octets: octets.replace(b"\x20", b"\x7e").replace(b"\x21", b"\x7d")))
def test_any_bytes_are_scanned(octets: bytes) -> None:
    assert scan_to_end(scan, octets).used == len(octets)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("7e000300007d007e", DamageReason.NOISE),  # 7D and a byte that needs no stuffing
        ("7e00030000fd7e", DamageReason.CHECKSUM),
        ("7e00030500f77e", DamageReason.CONTENT),  # a state that does not exist
        ("7e00420000bd7e", DamageReason.CONTENT),  # a command that does not exist
        ("7e0003000100fb7e", DamageReason.CONTENT),  # a measurement of one byte
    ],
)
def test_rejects_what_a_sensor_cannot_send(raw: str, reason: DamageReason) -> None:
    found = scan_to_end(scan, bytes.fromhex(raw))
    assert not found.frames
    assert found.damage[0].reason is reason


def test_flags_doubtful_measurements() -> None:
    assert flags_of(*VALUES, state=0x80) == (unit.FAULT,)
    assert flags_of(*VALUES[::-1]) == (unit.IMPLAUSIBLE,)
    assert flags_of(math.nan, *VALUES[1:]) == (unit.IMPLAUSIBLE,)
    assert flags_of(-1.0, *VALUES[1:]) == (unit.IMPLAUSIBLE,)
    assert flags_of(*[0.0] * 10) == (unit.NO_PARTICLES,)
    assert flags_of(1500.0, 1501.0, 1502.0, 1503.0, *VALUES[4:]) == (unit.BEYOND_RANGE,)


def test_starts_the_measurement_and_stops_it_at_the_end(tmp_path: Path) -> None:
    simulator = Sps30Simulator(period_s=0.1)
    with PtyEndpoint(simulator, tmp_path / "port") as line:
        with Sps30.open(line.url, sample_s=0.1) as sensor:
            readings = list(itertools.islice(sensor.readings(5.0), 3))
            assert simulator.is_measuring
        assert is_soon(lambda: not simulator.is_measuring)
    assert all(reading.flags == (unit.WARMING_UP,) for reading in readings)


def test_a_measurement_that_another_program_started_goes_on(tmp_path: Path) -> None:
    simulator = measuring_sensor()
    with PtyEndpoint(simulator, tmp_path / "port") as line:
        with QuickSps30.open(line.url) as sensor:
            reading = sensor.read(5.0)
        assert simulator.is_measuring
    assert reading is not None
    assert reading.flags == ()


def test_starts_again_after_a_power_cut(tmp_path: Path) -> None:
    simulator = Sps30Simulator(period_s=SAMPLE_S)
    with PtyEndpoint(simulator, tmp_path / "port") as line, QuickSps30.open(line.url) as sensor:
        assert sensor.read(5.0) is not None
        with line.hold():
            simulator.power_cycle(line.now_s())
        assert is_soon(lambda: simulator.is_measuring)
        assert sensor.read(5.0) is not None


def test_reads_whole_numbers(tmp_path: Path) -> None:
    simulator = Sps30Simulator(period_s=SAMPLE_S)
    with PtyEndpoint(simulator, tmp_path / "port") as line, QuickSps30.open(line.url, integers=True) as sensor:
        reading = sensor.read(5.0)
    assert reading is not None
    assert reading.packet.name == "integer_measurement"
    assert reading.values["pm_2_5_ug_m3"] == pytest.approx(12, abs=2)


def test_identifies_cleans_sleeps_and_wakes(tmp_path: Path) -> None:
    simulator = Sps30Simulator(period_s=SAMPLE_S)
    with PtyEndpoint(simulator, tmp_path / "port") as line, QuickSps30.open(line.url) as sensor:
        assert sensor.read(5.0) is not None
        assert sensor.identify().serial_number == "8FB3A2C4D5E6F701"
        sensor.clean_fan()
        assert is_soon(lambda: (found := sensor.latest()) is not None and unit.CLEANING in found.flags)
        simulator.faults.status = 1 << 4 | 1 << 21
        assert sensor.read_status() == "fan failure, fan speed out of range"
        sensor.clear_status()
        assert sensor.read_status() == "none"
        sensor.sleep()
        assert simulator.is_asleep
        with pytest.raises(NoAnswerError, match="no response to the serial number"):
            sensor.identify(tries=1)
        sensor.wake()
        assert sensor.identify().firmware == "2.3"
        sensor.reset()
        assert sensor.read(5.0) is not None


def test_settings_are_read_and_written(tmp_path: Path) -> None:
    with PtyEndpoint(Sps30Simulator(), tmp_path / "port") as line, Sps30.open(line.url, sample_s=None) as sensor:
        description = sensor.run(driver.describe(sensor.unit))
        assert description["auto_cleaning_interval_s"] == "604800"
        assert description["status"] == "none"
        (setting,) = sensor.run(driver.write(sensor.unit, {"auto_cleaning_interval_s": "86400"}))
        assert setting.value == 86_400
        assert sensor.run(driver.read(sensor.unit, [])) == [setting]
        with pytest.raises(SettingError, match="expected whole seconds up to 4294967295"):
            sensor.run(driver.write(sensor.unit, {"auto_cleaning_interval_s": "weekly"}))
        with pytest.raises(SettingError, match="unknown setting laser; choose from auto_cleaning_interval_s"):
            sensor.run(driver.read(sensor.unit, ["laser"]))
        with pytest.raises(RefusedError, match="the sensor refused the fan cleaning: not allowed in the present state"):
            sensor.run(driver.command(sensor.unit, "clean_fan", ""))
        with pytest.raises(SettingError, match="unknown command 'dance'; choose from clean_fan"):
            sensor.run(driver.command(sensor.unit, "dance", ""))


def test_an_old_sensor_is_described_and_refuses_new_commands(tmp_path: Path) -> None:
    simulator = Sps30Simulator(faults=SpsFaults(is_old=True))
    with PtyEndpoint(simulator, tmp_path / "port") as line, Sps30.open(line.url, sample_s=None) as sensor:
        assert sensor.run(driver.describe(sensor.unit))["status"].startswith("unknown; firmware before 2.2")
        with pytest.raises(RefusedError, match="the sensor refused the command to sleep: unknown command"):
            sensor.sleep()


def test_a_silent_sensor_has_its_trouble_named(tmp_path: Path) -> None:
    simulator = Sps30Simulator()
    with PtyEndpoint(simulator, tmp_path / "port") as line, line.hold(), QuickSps30.open(line.url) as sensor:
        assert is_soon(lambda: sensor.unit.trouble is not None)
        assert "check power and cable" in str(sensor.unit.trouble)


def test_refuses_an_interval_of_zero() -> None:
    with pytest.raises(DeviceError, match="sample_s must be above 0 s, not 0 s"):
        Sps30.open("nowhere", sample_s=0.0)
