"""Commands on simulated units of both generations."""

import asyncio
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pygnc_devices.discovery import search
from pygnc_devices.errors import DeviceError, NoAnswerError, RefusedError, SettingError
from pygnc_devices.family import all_families
from pygnc_devices.mip import driver
from pygnc_devices.mip.actions import ACTIONS
from pygnc_devices.mip.driver import CONTROLS, AsyncMip, Mip
from pygnc_devices.mip.fields import DATA_SETS
from pygnc_devices.mip.settings import SETTINGS
from pygnc_instruments.simulators.endpoints import FaultRates, PtyEndpoint, TcpEndpoint
from pygnc_instruments.simulators.mip_unit import MipSimulator
from tests.pygnc_devices.mip.test_settings import random_data

SENSOR, GNSS, FILTER = 0x80, 0x81, 0x82


@pytest.fixture(params=[False, True], ids=["cv7", "gx4"])
def unit(request: pytest.FixtureRequest) -> MipSimulator:
    return MipSimulator(is_legacy=request.param)


@pytest.fixture
def line(unit: MipSimulator, tmp_path: Path) -> Iterator[PtyEndpoint]:
    with PtyEndpoint(unit, tmp_path / "port") as line:
        yield line


@pytest.fixture
def device(line: PtyEndpoint) -> Iterator[Mip]:
    with Mip.open(line.url) as device:
        yield device


def test_identity_descriptors_and_self_test(device: Mip, unit: MipSimulator) -> None:
    device.ping()
    who = device.identify()
    assert (who.model, who.serial_number, who.firmware) == ("3DM-CV7-AHRS", "6286.00001", "1.1.05")
    assert {(0x0C, 0x08 if unit.is_legacy else 0x0F), (SENSOR, 0x04)} <= set(device.descriptors())
    assert device.built_in_test() == 0


def test_commands_work_while_the_unit_streams(device: Mip) -> None:
    for k in range(10):
        device.write_setting("gyro_bias", f"0,0,{k}")
        assert device.read_setting("gyro_bias") == f"0,0,{k}"
    readings = list(itertools.islice(device, 5))
    assert {reading.packet.name for reading in readings} == {"sensor"}


def test_the_format_determines_the_readings(device: Mip) -> None:
    device.write_setting("format.sensor", "scaled_accel:1,delta_theta:1,sensor_timestamp:1")
    reading = next(entry for entry in device if entry.values.get("delta_angle_x_rad") is not None)
    assert reading.values["accel_z_mps2"] == pytest.approx(9.7577, rel=1e-3)
    assert device.base_rate(SENSOR) == 500
    assert device.read_setting("format.sensor") == "scaled_accel:1,delta_theta:1,sensor_timestamp:1"


def test_a_refusal_names_the_setting_and_the_error(device: Mip) -> None:
    with pytest.raises(RefusedError, match=r"range\.mag: .* invalid parameter"):
        device.read_setting("range.mag")
    with pytest.raises(RefusedError, match=r"filter\.gnss_source: .* unknown command"):
        device.read_setting("filter.gnss_source")
    assert device.statistics.refusals >= 2


def test_values_are_saved_loaded_and_reset(device: Mip) -> None:
    device.write_setting("hard_iron", "1,2,3")
    device.load_setting("hard_iron")
    assert device.read_setting("hard_iron") == "0,0,0"
    device.write_setting("hard_iron", "1,2,3")
    device.save_setting("hard_iron")
    device.reset_setting("hard_iron")
    assert device.read_setting("hard_iron") == "0,0,0"
    device.load_all()
    assert device.read_setting("hard_iron") == "1,2,3"
    device.write_setting("filter.dynamics", "airborne")
    device.save_all()
    device.reset_all()
    assert device.read_setting("filter.dynamics") == "portable"
    device.reset()
    assert device.read_setting("filter.dynamics") == "airborne"


def test_idle_resume_and_poll(device: Mip) -> None:
    device.idle()
    device.read(0.05)
    assert device.read(0.2) is None
    values = device.poll(SENSOR, ["scaled_mag", "scaled_pressure"])
    assert values["mag_z_t"] == pytest.approx(4.5e-5)
    assert values["pressure_pa"] == pytest.approx(101_325.0)
    with pytest.raises(DeviceError, match="unknown field 'accel'"):
        device.poll(SENSOR, ["accel"])
    device.resume()
    assert device.read(2.0) is not None


def test_calibration_and_filter_commands_reach_the_unit(device: Mip, unit: MipSimulator) -> None:
    assert device.capture_gyro_bias(1.0) == pytest.approx((0.001, -0.002, 0.003))
    assert device.sensor_ranges(1) == {1: 2.0, 2: 8.0}
    device.reset_filter()
    device.set_initial_heading(1.0)
    device.set_initial_attitude(0.0, 0.5, -1.0)
    assert [entry for entry in unit.commands if entry[0] == 0x0D] == [
        (0x0D, 0x01, b""),
        (0x0D, 0x03, bytes.fromhex("3f800000")),
        (0x0D, 0x02, bytes.fromhex("000000003f000000bf800000")),
    ]
    for refused in (device.run_filter, lambda: device.update_gps_time(2400, 0)):
        with pytest.raises(RefusedError, match="unknown command"):
            refused()


def test_the_baud_rate_changes_at_both_ends(device: Mip) -> None:
    assert device.write_setting("baud", "921600") == "921600"
    assert device.baud == 921_600
    assert device.read(2.0) is not None


def test_start_makes_a_silent_unit_stream(unit: MipSimulator, tmp_path: Path) -> None:
    for name in ("format.sensor", "stream.sensor"):
        unit.stored[name] = b"\x00"
    unit.power_cycle(0.0)
    with PtyEndpoint(unit, tmp_path / "port") as line, Mip.open(line.url) as device:
        assert CONTROLS.start is not None
        device.run(CONTROLS.start(device.unit))
        readings = [device.read(2.0) for _ in range(3)]
    assert all(reading is not None and reading.t_device_ns is not None for reading in readings)


def test_settings_of_the_session_are_restored_after_a_power_cut(device: Mip, line: PtyEndpoint) -> None:
    device.write_setting("filter.dynamics", "automotive")
    line.unplug()
    line.unit.power_cycle(0.0)
    line.plug_in()
    for _ in range(100):
        try:
            if device.read_setting("filter.dynamics") == "automotive":
                break
        except DeviceError:
            device.read(0.05)
    assert device.read_setting("filter.dynamics") == "automotive"


def test_snapshot_and_restore(device: Mip, unit: MipSimulator) -> None:
    text = device.run(driver.take_snapshot(device.unit))
    assert json.loads(text)["settings"]["filter.dynamics"] == "portable"
    device.write_setting("filter.dynamics", "airborne")
    changed = device.run(driver.restore(device.unit, text, False))  # noqa: FBT003 - see Controls
    assert [(entry.name, entry.value) for entry in changed] == [("filter.dynamics", "portable")]
    unit.serial_number = "another"
    with pytest.raises(DeviceError, match="--to-another-unit"):
        device.run(driver.restore(device.unit, text, False))  # noqa: FBT003 - see Controls
    assert device.run(driver.restore(device.unit, text, True)) == []  # noqa: FBT003 - see Controls
    with pytest.raises(DeviceError, match="not a snapshot"):
        device.run(driver.restore(device.unit, "{}", False))  # noqa: FBT003 - see Controls


def test_commands_are_answered_on_a_bad_line_after_retries(unit: MipSimulator) -> None:
    faults = FaultRates(lost=0.005, flipped=0.005)
    with TcpEndpoint(unit, faults=faults, seed=3) as line, Mip.open(line.url) as device:
        for k in range(5):
            device.write_setting("hard_iron", f"0,0,{k}")
            assert device.read_setting("hard_iron") == f"0,0,{k}"


def test_sensor_and_filter_data_are_two_kinds_of_readings(tmp_path: Path) -> None:
    formats = {SENSOR: [(0x04, 5), (0x06, 25), (0x12, 5)], FILTER: [(0x05, 5), (0x11, 5)]}
    with PtyEndpoint(MipSimulator(formats=formats), tmp_path / "port") as line, Mip.open(line.url) as device:
        readings = list(itertools.islice(device, 60))
    by_kind = {name: [r for r in readings if r.packet.name == name] for name in ("sensor", "filter")}
    assert sum(map(len, by_kind.values())) == 60
    for group in by_kind.values():
        times = [reading.t_device_ns for reading in group]
        assert [b - a for a, b in itertools.pairwise(times)] == [10_000_000] * (len(times) - 1)  # type: ignore[operator]
    assert {reading.values["mag_x_t"] is None for reading in by_kind["sensor"]} == {True, False}
    assert readings[-1].lost_before == 0


@pytest.mark.parametrize("baud", [115_200, 921_600])
def test_a_unit_is_found_at_its_baud_rate_among_all_families(unit: MipSimulator, baud: int, tmp_path: Path) -> None:
    unit.stored["baud"] = baud.to_bytes(4, "big")
    unit.power_cycle(0.0)
    with PtyEndpoint(unit, tmp_path / "port") as line:
        (entry,) = search([line.url], all_families()).found
    assert (entry.family, entry.baud, entry.serial_number) == ("mip", baud, "6286.00001")


def test_a_unit_that_only_transmits_is_found_and_read(tmp_path: Path) -> None:
    with PtyEndpoint(MipSimulator(is_deaf=True), tmp_path / "port") as line:
        (entry,) = search([line.url], all_families()).found
        assert (entry.family, entry.text) == ("mip", "streams sensor; does not respond to commands")
        with Mip.open(line.url) as device:
            assert device.read(2.0) is not None
            with pytest.raises(NoAnswerError, match="no response to command 01 01"):
                device.ping()


def test_the_asyncio_driver_has_the_same_commands(line: PtyEndpoint) -> None:
    async def run() -> str:
        device = await AsyncMip.open(line.url)
        async with device:
            await device.write_setting("filter.dynamics", "airborne")
            return await device.read_setting("filter.dynamics")

    assert asyncio.run(run()) == "airborne"


def test_every_setting_is_written_saved_and_restored(device: Mip, unit: MipSimulator) -> None:
    rng = np.random.default_rng(4)
    line = {*(f"{kind}.{name}" for kind in ("format", "stream") for name, _ in DATA_SETS.values()), "baud"}
    names = [name for name in unit.stored if name not in line and SETTINGS[name].is_stored]
    for name in names:
        used = SETTINGS[name].commands[-1 if unit.is_legacy else 0]
        text = used.to_text(random_data(used.values, rng))
        assert device.write_setting(name, text) == text
    device.save_all()
    snapshot = device.run(driver.take_snapshot(device.unit))
    values = dict(unit.values)
    device.reset_all()
    assert unit.values != values
    device.run(driver.restore(device.unit, snapshot, False))  # noqa: FBT003 - see Controls
    assert {name: unit.values[name] for name in names} == {name: values[name] for name in names}


def test_what_acts_at_once_is_neither_stored_nor_restored(device: Mip) -> None:
    assert device.write_setting("gpio_state.2", "high") == "high"
    assert "gpio_state.2" not in json.loads(device.run(driver.take_snapshot(device.unit)))["settings"]
    assert device.unit.volatile == {}
    with pytest.raises(SettingError, match=r"gpio_state\.2: units cannot save it"):
        device.run(driver.write(device.unit, {"gpio_state.2": "low"}))
    with pytest.raises(RefusedError, match=r"gpio_state\.2: units have no command that would save it"):
        device.save_setting("gpio_state.2")


def test_commands_have_their_values_and_results(device: Mip, unit: MipSimulator) -> None:
    assert device.command("gyro_bias_capture", "1000") == "0.001,-0.002,0.003"
    assert device.read_setting("gyro_bias") == "0.001,-0.002,0.003"
    assert device.command("event_support", "triggers") == "8,1:8,2:8,3:8"
    assert device.command("event_triggers") == "threshold:active+enabled,none:none"
    assert not device.command("filter.external_heading", "1.5,0.01,true")
    assert (0x0D, 0x17, bytes.fromhex("3fc00000 3c23d70a 01")) in unit.commands
    with pytest.raises(SettingError, match=r"filter\.external_heading: '1,x' is not a value; expected heading_rad,"):
        device.command("filter.external_heading", "1,x")
    with pytest.raises(SettingError, match=r"unknown command 'tare'; choose from poll\.sensor"):
        device.command("tare")
    with pytest.raises(RefusedError, match="unknown command"):
        device.command("filter.run")


def test_the_magnetometer_calibration_of_the_filter_is_captured_and_saved(device: Mip) -> None:
    device.write_setting("filter.estimation", "hard_iron+soft_iron")
    device.command("filter.mag_capture", "use")
    assert device.read_setting("hard_iron") == "0.01,-0.02,0.03"
    device.load_setting("hard_iron")
    assert device.read_setting("hard_iron") == "0,0,0"
    device.command("filter.mag_capture", "use")
    device.command("filter.mag_capture", "save")
    device.load_setting("hard_iron")
    assert device.read_setting("hard_iron") == "0.01,-0.02,0.03"


def test_all_commands_accept_random_values(device: Mip) -> None:
    rng = np.random.default_rng(5)
    for name, entry in ACTIONS.items():
        data = random_data(entry.values, rng)
        assert entry.values.write(name, entry.values.read(name, data)) == data
        if name != "filter.run":
            device.command(name, entry.values.read(name, data))


class SatellitesInView(MipSimulator):
    """Unit whose GNSS packets contain each field three times."""

    def _data_packet(self, data_set: int, descriptors: bytes, t_s: float) -> bytes:
        return super()._data_packet(data_set, descriptors * 3 if data_set == GNSS else descriptors, t_s)


def test_a_polled_packet_may_contain_a_field_several_times(tmp_path: Path) -> None:
    with PtyEndpoint(SatellitesInView(), tmp_path / "port") as line, Mip.open(line.url) as device:
        assert device.read(2.0) is not None  # it makes no readings before it has read the formats
        device.idle()
        subscription = device.subscribe()
        assert device.poll(GNSS, ["satellite"])["satellite_valid"] == 1
        readings = [reading for reading in iter(lambda: subscription.take(0.2), None) if reading.packet.name == "gnss"]
    assert [len(reading.raw) > 0 for reading in readings] == [True, False, False]


def test_the_setting_that_was_set_last_is_restored_last(device: Mip) -> None:
    device.write_setting("filter.rotation", "0,0,1")
    device.write_setting("filter.rotation.quaternion", "1,0,0,0")
    device.write_setting("filter.rotation", "0,0,2")
    assert list(device.unit.volatile) == ["filter.rotation.quaternion", "filter.rotation"]
