"""Operations on simulated units."""

import asyncio
import contextlib
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pygnc_devices.discovery import search
from pygnc_devices.errors import AbortedError, DeviceError, NoAnswerError, RefusedError
from pygnc_devices.family import all_families
from pygnc_devices.scheduler import Sleep
from pygnc_devices.xsens import driver
from pygnc_devices.xsens.driver import CONTROLS, FAMILY, AsyncMti, Mti
from pygnc_devices.xsens.messages import GO_TO_CONFIG, ask, request
from pygnc_devices.xsens.operations import configuring
from pygnc_instruments.simulators.endpoints import FaultRates, PtyEndpoint, TcpEndpoint
from pygnc_instruments.simulators.xsens_unit import GNSS_OUTPUTS, XsensSimulator

OUTPUTS = "packet_counter,sample_time_fine,acceleration:100"


@pytest.fixture
def unit() -> XsensSimulator:
    return XsensSimulator()


@pytest.fixture
def line(unit: XsensSimulator, tmp_path: Path) -> Iterator[PtyEndpoint]:
    with PtyEndpoint(unit, tmp_path / "port", speed=4.0) as line:
        yield line


@pytest.fixture
def device(line: PtyEndpoint) -> Iterator[Mti]:
    with Mti.open(line.url) as device:
        yield device


def test_identity_profiles_and_self_test(device: Mti) -> None:
    who = device.identify()
    assert (who.serial_number, who.product, who.firmware, who.hardware) == ("03800123", "MTi-30-2A8G4", "1.8.2", "2.0")
    assert device.filter_profiles() == {50: "General", 51: "High_mag_dep", 54: "VRU_general"}
    assert device.self_test() == {f"{sensor} {axis}": True for sensor in ("accel", "gyro", "mag") for axis in "xyz"}


def test_readings_go_on_after_commands_without_a_loss(device: Mti, unit: XsensSimulator) -> None:
    with contextlib.closing(device.subscribe()) as readings:
        for _ in range(3):
            device.read_setting("error_mode")
        assert device.read(2.0) is not None
        found = [reading for _ in range(20) if (reading := readings.take(0)) is not None]
    assert unit.is_measuring
    assert not any(reading.lost_before for reading in found)
    times = [reading.t_device_ns for reading in found if reading.t_device_ns is not None]
    assert times == sorted(set(times))


def test_the_outputs_determine_the_readings(device: Mti) -> None:
    assert device.write_settings({"outputs": OUTPUTS + ",quaternion.enu.fp1632:50"})["outputs"].endswith(":50")
    readings = list(itertools.islice(device, 6))
    assert {reading.values["q0_enu"] is None for reading in readings} == {True, False}
    assert all(reading.values["accel_z_mps2"] == pytest.approx(9.7577, rel=1e-3) for reading in readings)
    assert "rate_x_rad_s" not in readings[-1].values
    assert device.unit.counter.period_ns == 10_000_000


def test_a_unit_with_a_receiver_sends_two_kinds_of_readings(tmp_path: Path) -> None:
    unit = XsensSimulator(outputs=GNSS_OUTPUTS)
    with PtyEndpoint(unit, tmp_path / "port", speed=2.0) as line, Mti.open(line.url) as device:
        device.read_setting("outputs")
        readings = list(itertools.islice(device, 80))
    kinds = {name: [entry for entry in readings if entry.packet.name == name] for name in ("data", "gnss")}
    assert sum(map(len, kinds.values())) == 80
    assert kinds["gnss"][0].values["gnss_latitude_rad"] == pytest.approx(0.65, abs=1e-8)
    assert not any(entry.lost_before or entry.is_estimate for entry in readings)
    for entries in kinds.values():
        steps = {b.t_device_ns - a.t_device_ns for a, b in itertools.pairwise(entries)}  # type: ignore[operator]
        assert steps == ({10_000_000} if entries is kinds["data"] else {250_000_000})


def test_settings_are_written_and_read_back(device: Mti, unit: XsensSimulator) -> None:
    written = device.write_settings({"alignment.local": "0,0,0,1", "filter_profile": "51", "error_mode": "report"})
    assert written == {"alignment.local": "0,0,0,1", "filter_profile": "51", "error_mode": "report"}
    assert device.read_setting("alignment.sensor") == "1,0,0,0"
    unit.power_cycle(0.0)
    values = device.read_settings()
    assert values["error_mode"] == "report"
    assert "gnss_platform" not in values
    with pytest.raises(RefusedError, match=r"gnss_platform: the unit refuses message 76: invalid or unknown message"):
        device.read_setting("gnss_platform")
    with pytest.raises(RefusedError, match=r"outputs: .* invalid parameter"):
        device.write_settings({"outputs": "acceleration:7"})
    assert device.statistics.refusals >= 2
    assert unit.is_measuring


def test_nothing_is_written_if_one_value_is_wrong(device: Mti, unit: XsensSimulator) -> None:
    with pytest.raises(DeviceError, match="choose from ignore"):
        device.write_settings({"location_id": "7", "error_mode": "none"})
    assert unit.messages == []
    assert CONTROLS.set is not None
    with pytest.raises(DeviceError, match="location_id: an Xsens unit has no settings until power-off; use write"):
        device.run(CONTROLS.set(device.unit, {"location_id": "7"}))


def test_a_value_that_reads_back_differently_is_an_error(device: Mti, unit: XsensSimulator) -> None:
    unit.read_only = {0x84}
    with pytest.raises(DeviceError, match="location_id: wrote 7, read back 0"):
        device.write_settings({"location_id": "7"})


def test_the_orientation_and_the_gyro(device: Mti, unit: XsensSimulator) -> None:
    device.reset_orientation("alignment")
    device.store_orientation()
    device.estimate_gyro_bias(6)
    sent = [entry for entry in unit.messages if entry[0] in {0x22, 0xA4}]
    assert sent == [(0xA4, b"\0\x04"), (0xA4, b"\0\0"), (0x22, b"\0\x06")]
    with pytest.raises(DeviceError, match="unknown reset 'all'; choose from heading"):
        device.reset_orientation("all")
    with pytest.raises(DeviceError, match="choose 1 to 65535 s"):
        device.estimate_gyro_bias(0)


def test_the_baud_rate_changes_at_both_ends(device: Mti) -> None:
    assert device.write_settings({"baud": "921600", "location_id": "3"}) == {"location_id": "3", "baud": "921600"}
    assert device.baud == 921_600
    assert device.read(2.0) is not None


def test_a_restart_keeps_the_settings_and_the_time_goes_on(device: Mti) -> None:
    first = device.read(2.0)
    device.reset()
    second = device.read(2.0)
    assert first is not None
    assert second is not None
    assert first.t_device_ns is not None
    assert second.t_device_ns is not None
    assert second.t_device_ns > first.t_device_ns


def test_start_lets_a_waiting_unit_measure(unit: XsensSimulator, device: Mti, monkeypatch: pytest.MonkeyPatch) -> None:
    assert CONTROLS.start is not None
    device.run(ask(request(GO_TO_CONFIG)))
    assert not unit.is_measuring
    device.run(CONTROLS.start(device.unit))
    assert device.read(2.0) is not None
    device.write_settings({"outputs": "none"})
    monkeypatch.setattr("pygnc_devices.xsens.operations._STREAM_S", 0.1)
    with pytest.raises(DeviceError, match="sends no MTData2 messages; write the setting outputs"):
        device.run(CONTROLS.start(device.unit))


def test_a_unit_unplugged_while_it_waits_measures_again(device: Mti, line: PtyEndpoint, unit: XsensSimulator) -> None:
    device.run(ask(request(GO_TO_CONFIG)))
    line.unplug()
    line.plug_in()
    assert device.read(5.0) is not None
    assert unit.is_measuring


def test_an_aborted_operation_returns_the_unit_to_its_measurements(device: Mti, unit: XsensSimulator) -> None:
    async def wait() -> None:
        async with configuring(device.unit):
            await Sleep(60.0)

    procedure = device.engine.start(wait())
    while unit.is_measuring:
        device.read(0.01)
    device.engine.abort(procedure)
    with pytest.raises(AbortedError):
        procedure.result(5.0)
    assert unit.is_measuring
    assert device.read(2.0) is not None


def test_snapshot_and_restore(device: Mti, unit: XsensSimulator) -> None:
    text = device.run(driver.take_snapshot(device.unit))
    assert json.loads(text)["settings"]["error_mode"] == "count"
    device.write_settings({"error_mode": "stop"})
    changed = device.run(driver.restore(device.unit, text, False))  # noqa: FBT003 - see Controls
    assert [(entry.name, entry.value) for entry in changed] == [("error_mode", "count")]
    unit.serial_number = 7
    with pytest.raises(DeviceError, match="--to-another-unit"):
        device.run(driver.restore(device.unit, text, False))  # noqa: FBT003 - see Controls
    assert device.run(driver.restore(device.unit, text, True)) == []  # noqa: FBT003 - see Controls


def test_the_description_names_errors(device: Mti) -> None:
    device.unit.errors["more data than the line can carry"] += 2
    found = device.run(driver.describe(device.unit))
    assert (found["model"], found["version"], found["rate"]) == ("MTi-30-2A8G4", "1.8.2", "100 Hz")
    assert found["errors"] == "more data than the line can carry (2)"


def test_commands_are_answered_on_a_bad_line_after_retries(unit: XsensSimulator) -> None:
    faults = FaultRates(lost=0.003, flipped=0.003)
    with TcpEndpoint(unit, faults=faults, seed=3, speed=4.0) as line, Mti.open(line.url) as device:
        for k in range(3):
            assert device.write_settings({"location_id": str(k)}) == {"location_id": str(k)}


def test_a_unit_is_found_at_its_baud_rate_among_all_families(unit: XsensSimulator, tmp_path: Path) -> None:
    unit.stored[0x18, b""] = b"\x0a"
    unit.power_cycle(0.0)
    with PtyEndpoint(unit, tmp_path / "port") as line:
        (entry,) = search([line.url], all_families()).found
    assert (entry.family, entry.baud, entry.serial_number, entry.text) == ("xsens", 921_600, "03800123", "MTi-30-2A8G4")
    assert unit.is_measuring


def test_a_unit_that_only_transmits_is_found_and_read(tmp_path: Path) -> None:
    with PtyEndpoint(XsensSimulator(is_deaf=True), tmp_path / "port", speed=4.0) as line:
        (entry,) = search([line.url], [FAMILY]).found
        assert (entry.family, entry.text) == ("xsens", "streams MTData2; does not respond to commands")
        with Mti.open(line.url) as device:
            assert device.read(2.0) is not None
            with pytest.raises(NoAnswerError, match="no response to message 10"):
                device.measure()


def test_the_asyncio_driver_has_the_same_operations(line: PtyEndpoint) -> None:
    async def run() -> dict[str, str]:
        device = await AsyncMti.open(line.url)
        async with device:
            values, _ = await asyncio.gather(device.read_settings(), device.identify())
            return values

    assert asyncio.run(run())["error_mode"] == "count"
