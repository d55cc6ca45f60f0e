"""Commands on a simulated unit."""

import asyncio
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pygnc_devices.discovery import search
from pygnc_devices.errors import DeviceError, NoAnswerError, RefusedError
from pygnc_devices.family import all_families
from pygnc_devices.probing import probe
from pygnc_devices.vectornav import driver
from pygnc_devices.vectornav.driver import CONTROLS, FAMILY, AsyncVectorNav, VectorNav
from pygnc_devices.vectornav.packets import satellites
from pygnc_instruments.simulators.endpoints import FaultRates, PtyEndpoint, TcpEndpoint
from pygnc_instruments.simulators.vectornav_unit import DEFAULTS, NAVIGATING, STREAMING, VectorNavSimulator
from tests.pygnc_devices.test_discovery import Echo


@pytest.fixture
def unit() -> VectorNavSimulator:
    return VectorNavSimulator(registers=STREAMING)


@pytest.fixture
def line(unit: VectorNavSimulator, tmp_path: Path) -> Iterator[PtyEndpoint]:
    with PtyEndpoint(unit, tmp_path / "port") as line:
        yield line


@pytest.fixture
def device(line: PtyEndpoint) -> Iterator[VectorNav]:
    with VectorNav.open(line.url) as device:
        yield device


def test_identity_and_description(device: VectorNav) -> None:
    who = device.identify()
    assert (who.model, who.hardware, who.serial_number, who.firmware) == ("VN-100S-CR", "3", "100012345", "2.1.0.0")
    device.write_setting("tag", "roof")
    device.write_setting("async.type", "YPR")
    described = device.run(driver.describe(device.unit))
    assert (described["line"], described["rate"], described["tag"]) == ("YPR", "40 Hz", "roof")
    assert described["binary.1"].startswith("1,8,common.time_startup,common.ypr,")


def test_commands_work_while_the_unit_streams(device: VectorNav) -> None:
    for k in range(1, 5):
        assert device.write_setting("async.rate", f"{10 * k}" if k != 3 else "25") in {"10", "20", "25", "40"}
    readings = list(itertools.islice(device, 5))
    assert {reading.packet.name for reading in readings} == {"binary-01-0529"}
    assert device.read_register(7) == ["40"]


def test_outputs_and_lines_are_two_kinds_of_readings(device: VectorNav) -> None:
    device.write_setting("binary.1", "1,16,time.time_startup,imu.accel,imu.mag")
    device.write_setting("async.rate", "50")
    device.write_setting("async.type", "YMR")
    kinds = {reading.packet.name: reading for reading in itertools.islice(device, 30)}
    assert {"binary-06-0001-0300", "YMR"} <= kinds.keys()
    assert kinds["binary-06-0001-0300"].values["accel_z_mps2"] == pytest.approx(9.757, rel=1e-3)
    assert kinds["YMR"].t_device_ns is None


def test_a_refusal_names_the_setting_and_the_error(device: VectorNav) -> None:
    with pytest.raises(RefusedError, match=r"heave: .* register 116: invalid register"):
        device.read_setting("heave")
    with pytest.raises(RefusedError, match=r"async\.rate: .* register 7: invalid parameter"):
        device.write_setting("async.rate", "3")
    with pytest.raises(RefusedError, match="unauthorized access"):
        device.write_register(3, ["1"])
    assert device.statistics.refusals == 3


def test_nothing_is_written_if_one_value_is_wrong(device: VectorNav, unit: VectorNavSimulator) -> None:
    with pytest.raises(DeviceError, match="choose from off, YPR"):
        device.run(driver.write(device.unit, {"vpe": "1,2,1,1", "async.type": "XYZ"}))
    assert not [text for text in unit.commands if not text.startswith("RRG")]


def test_settings_are_saved_and_restored(device: VectorNav, unit: VectorNavSimulator) -> None:
    device.write_setting("vpe", "1,0,1,1")
    device.reset()
    assert device.read_setting("vpe") == "1,1,1,1"
    device.write_setting("vpe", "1,0,1,1")
    device.save()
    device.reset()
    assert device.read_setting("vpe") == "1,0,1,1"
    device.restore_factory()
    assert device.read_setting("vpe") == "1,1,1,1"
    assert unit.stored == DEFAULTS


def test_calibration_and_streaming_commands_reach_the_unit(device: VectorNav, unit: VectorNavSimulator) -> None:
    device.tare()
    device.set_gyro_bias()
    device.set_known_disturbance("mag", True)  # noqa: FBT003 - the unit's parameter
    device.set_known_disturbance("accel", False)  # noqa: FBT003 - the unit's parameter
    device.set_streaming(False)
    device.read(0.05)
    assert device.read(0.2) is None
    device.set_streaming(True)
    assert device.read(2.0) is not None
    sent = [text for text in unit.commands if not text.startswith("RRG")]
    assert sent == ["TAR", "SGB", "KMD,1", "KAD,0", "ASY,0", "ASY,1"]
    with pytest.raises(DeviceError, match="choose from mag, accel"):
        device.set_known_disturbance("gyro", True)  # noqa: FBT003 - the unit's parameter


def test_the_baud_rate_changes_at_both_ends(device: VectorNav) -> None:
    assert device.write_setting("baud", "230400") == "230400"
    assert device.baud == 230_400
    assert device.read(2.0) is not None
    with pytest.raises(RefusedError, match=r"baud: .* register 5: invalid parameter"):
        device.write_setting("baud", "12345")


def test_start_makes_a_silent_unit_stream(tmp_path: Path) -> None:
    unit = VectorNavSimulator(registers={6: "0"})
    with PtyEndpoint(unit, tmp_path / "port", speed=2.0) as line, VectorNav.open(line.url) as device:
        assert CONTROLS.start is not None
        device.run(CONTROLS.start(device.unit))
        reading = device.read(2.0)
        assert reading is not None
        assert reading.packet.name == "YMR"
        assert CONTROLS.stream is not None
        assert device.run(CONTROLS.stream(device.unit, 100)) == "100"
        assert device.run(CONTROLS.stream(device.unit, "QTN")) == "QTN"


def test_settings_of_the_session_are_restored_after_a_power_cut(device: VectorNav, line: PtyEndpoint) -> None:
    device.write_setting("vpe", "1,2,1,1")
    line.unplug()
    line.unit.power_cycle(0.0)
    line.plug_in()
    for _ in range(100):
        try:
            if device.read_setting("vpe") == "1,2,1,1":
                break
        except DeviceError:
            device.read(0.05)
    assert device.read_setting("vpe") == "1,2,1,1"


def test_snapshot_and_restore(device: VectorNav, unit: VectorNavSimulator) -> None:
    text = device.run(driver.take_snapshot(device.unit))
    assert json.loads(text)["settings"]["async.rate"] == "40"
    assert "baud" not in json.loads(text)["settings"]
    device.write_setting("async.rate", "50")
    changed = device.run(driver.restore(device.unit, text, False))  # noqa: FBT003 - see Controls
    assert [(entry.name, entry.value) for entry in changed] == [("async.rate", 40)]
    unit.serial_number = "7"
    with pytest.raises(DeviceError, match="--to-another-unit"):
        device.run(driver.restore(device.unit, text, False))  # noqa: FBT003 - see Controls
    assert device.run(driver.restore(device.unit, text, True)) == []  # noqa: FBT003 - see Controls


def test_a_unit_without_checksums_is_read_and_set(tmp_path: Path) -> None:
    unit = VectorNavSimulator(registers={30: "1,2,0,0,0,0,1"})
    with PtyEndpoint(unit, tmp_path / "port") as line, VectorNav.open(line.url) as device:
        reading = device.read(2.0)
        assert reading is not None
        assert reading.packet.name == "YMR-TS"
        assert device.write_setting("protocol", "0,0,0,0,3,0,1") == "0,0,0,0,3,0,1"
        assert device.read(2.0) is not None
        assert not device.unit.accepts_unchecked


def test_a_unit_with_receivers_sends_ins_and_satellites_with_one_time(tmp_path: Path) -> None:
    unit = VectorNavSimulator(registers=NAVIGATING)
    with PtyEndpoint(unit, tmp_path / "port", speed=2.0) as line, VectorNav.open(line.url) as device:
        readings = list(itertools.islice(device, 60))
        assert device.read_setting("ins") == "dual_gnss,1,1,0"
    by_kind = {name: [r for r in readings if r.packet.meaning == name] for name in ("common, ins", "time, gnss1")}
    assert sum(map(len, by_kind.values())) == 60
    for group in by_kind.values():
        times = [reading.t_device_ns for reading in group]
        assert times == sorted(set(times))  # type: ignore[type-var]
    newest = by_kind["time, gnss1"][-1]
    assert isinstance(listed := newest.values["gnss1_satellite_list"], bytes)
    assert len(satellites(listed)) == newest.values["gnss1_list_satellites"] == 9
    assert not any(reading.lost_before or reading.flags for reading in readings)


def test_commands_are_answered_on_a_bad_line_after_retries(unit: VectorNavSimulator) -> None:
    faults = FaultRates(lost=0.005, flipped=0.005)
    with TcpEndpoint(unit, faults=faults, seed=3) as line, VectorNav.open(line.url) as device:
        for k in range(3):
            assert device.write_setting("vpe", f"1,{k},1,1") == f"1,{k},1,1"


def test_an_echo_of_commands_changes_nothing_and_is_no_unit(tmp_path: Path) -> None:
    unit = Echo()
    with PtyEndpoint(unit, tmp_path / "port") as line:
        with pytest.raises(NoAnswerError):
            probe(line.url, 115_200, FAMILY, 1.0)
        with VectorNav.open(line.url) as device, pytest.raises(NoAnswerError, match="command RRG of register 1"):
            device.save()


@pytest.mark.parametrize("registers", [{}, STREAMING, {6: "0"}], ids=["line", "binary", "silent"])
def test_a_unit_is_found_among_all_families(registers: dict[int, str], tmp_path: Path) -> None:
    with PtyEndpoint(VectorNavSimulator(registers=registers), tmp_path / "port") as line:
        (entry,) = search([line.url], all_families()).found
    assert (entry.family, entry.baud, entry.serial_number) == ("vectornav", 115_200, "100012345")


def test_a_unit_that_only_transmits_is_found_and_read(tmp_path: Path) -> None:
    with PtyEndpoint(VectorNavSimulator(is_deaf=True), tmp_path / "port") as line:
        (entry,) = search([line.url], [FAMILY]).found
        assert (entry.family, entry.text) == ("vectornav", "streams YMR; does not respond to commands")
        with VectorNav.open(line.url) as device:
            assert device.read(2.0) is not None


def test_the_asyncio_driver_has_the_same_commands(line: PtyEndpoint) -> None:
    async def run() -> str:
        async with await AsyncVectorNav.open(line.url) as device:
            return await device.write_setting("async.type", "QTN")

    assert asyncio.run(run()) == "QTN"
