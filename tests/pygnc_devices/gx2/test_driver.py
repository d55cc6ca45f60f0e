"""Commands of the simulated unit, without and with continuous mode."""

import asyncio
import itertools
import math
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pygnc_devices.errors import DeviceError, NoAnswerError, RefusedError
from pygnc_devices.gx2 import operations
from pygnc_devices.gx2.attitude import euler_angles
from pygnc_devices.gx2.driver import AsyncGx2, Gx2
from pygnc_devices.gx2.eeprom import EepromError
from pygnc_devices.gx2.unit import GX2_HZ, GX3_HZ
from pygnc_instruments.simulators.endpoints import FaultRates, PtyEndpoint, TcpEndpoint
from pygnc_instruments.simulators.gx2_unit import Gx2BaseStation, Gx2Simulator
from tests.pygnc_devices.conformance import vain_attempts

G = 9.80665


@pytest.fixture
def unit() -> Gx2Simulator:
    return Gx2Simulator()


@pytest.fixture
def device(unit: Gx2Simulator, tmp_path: Path) -> Iterator[Gx2]:
    with PtyEndpoint(unit, tmp_path / "port") as line, Gx2.open(line.url) as device:
        yield device


def test_reads_the_identity(device: Gx2) -> None:
    who = device.identify()
    assert (who.model, who.serial_number, who.name, who.firmware) == ("2143-0500", "2143-01876", "3DM-GX2", "2.1.03")
    assert device.unit.timer.hz == GX2_HZ


def test_every_reply_can_be_polled(device: Gx2) -> None:
    kinds = ["C1", "C2", "C3", "C5", "C6", "C7", "C8", "CB", "CC", "CE", "CF", "D1", "D2", "D3"]
    polled = {kind: device.poll(kind) for kind in kinds}
    assert all("timer_ticks" in values for values in polled.values())
    accel = [polled["C2"][f"accel_{axis}_mps2"] for axis in "xyz"]
    assert math.dist([value for value in accel if isinstance(value, float)], [0, 0, 0]) == pytest.approx(G, rel=1e-3)
    with pytest.raises(DeviceError, match="unknown measurement 'E5'"):
        device.poll("E5")
    assert device.statistics.lost_readings == 0


def test_euler_angles_of_the_matrix_equal_those_of_the_unit(device: Gx2) -> None:
    values = device.poll("CC")
    matrix = euler_angles(values)
    direct = device.poll("CE")
    assert matrix == pytest.approx([direct[name] for name in ("roll_rad", "pitch_rad", "yaw_rad")], abs=0.05)


def test_commands_work_beside_continuous_mode(device: Gx2, unit: Gx2Simulator) -> None:
    device.start_continuous("CC")
    start_s = time.monotonic()
    for k in range(20):
        assert device.read_word(0xFCA2) == 512
        device.write_gyro_bias((0.0, 0.0, k / 8))
        assert unit.gyro_bias == (0.0, 0.0, k / 8)
        assert device.poll("C7")["mag_z_t"] == pytest.approx(4.5e-5)
    assert time.monotonic() - start_s < 15.0  # 60 cycles of 10 ms, and a busy machine
    seen = device.statistics
    assert seen.frames["CC"] >= 50
    assert seen.lost_readings == 0
    readings = [reading for reading in itertools.islice(device, 20) if reading.packet.name == "CC"]
    assert [after.t_device_ns - before.t_device_ns for before, after in itertools.pairwise(readings)] == [  # type: ignore[operator]
        10_000_000
    ] * (len(readings) - 1)
    device.stop_continuous()
    assert device.read(0.1) is None


def test_restores_continuous_mode_after_unplugging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "_FIRST_S", 0.4)
    in_vain = vain_attempts(monkeypatch)
    unit = Gx2Simulator(ignored_starts=1)
    with PtyEndpoint(unit, tmp_path / "port") as line, Gx2.open(line.url) as device:
        device.start_continuous("C2")
        line.unplug()
        assert in_vain.acquire(timeout=10.0)
        line.plug_in()
        plugged_ns = time.monotonic_ns()
        readings = device.readings(silence_s=15.0)
        streamed = (r for r in readings if r.t_mono_ns > plugged_ns and device.statistics.reconnects)
        assert [reading.packet.name for reading in itertools.islice(streamed, 10)] == ["C2"] * 10


def test_reads_the_eeprom_before_and_after_a_write_and_retries_once(tmp_path: Path) -> None:
    unit = Gx2Simulator(failing_writes=1)
    with PtyEndpoint(unit, tmp_path / "port") as line, Gx2.open(line.url) as device:
        device.write_word(0xFCA2, 512)
        assert unit.writes == 0
        assert device.set_rate(200) == 200.0
        assert (unit.writes, unit.eeprom[0xFCA2]) == (2, 256)
        assert device.get_rate() == 200.0
        device.set_startup("C8")
        assert (unit.eeprom[0xFCA6], device.get_startup()) == (0x00C8, "C8")
        device.set_startup(None)
        assert (unit.eeprom[0xFCA6], device.get_startup()) == (0, None)
        with pytest.raises(DeviceError, match=r"400 Hz is not from 1 to 301 Hz"):
            device.set_rate(400)
        unit._failing_writes = 2
        with pytest.raises(EepromError, match="0xfca2: wrote 0x0200 twice, read back 0x0100"):
            device.set_rate(100)


def test_the_rate_takes_effect_at_power_up(tmp_path: Path) -> None:
    unit = Gx2Simulator(eeprom={0xFCA2: 1024, 0xFCA6: 0xC2})
    with PtyEndpoint(unit, tmp_path / "port") as line, Gx2.open(line.url) as device:
        times = [reading.t_device_ns for reading in itertools.islice(device, 8)]
    assert times[:3] == [None] * 3
    assert [b - a for a, b in itertools.pairwise(times[3:])] == [20_000_000] * 4  # type: ignore[operator]


def test_biases_are_captured_written_and_stored(tmp_path: Path) -> None:
    unit = Gx2Simulator()
    with PtyEndpoint(unit, tmp_path / "port", speed=20.0) as line, Gx2.open(line.url) as device:
        assert device.capture_gyro_bias(10.0) == pytest.approx((0.001, -0.002, 0.003), rel=1e-6)
        with pytest.raises(DeviceError, match=r"10 to 30 s, not 5 s"):
            device.capture_gyro_bias(5)
        device.write_accel_bias((G, 0.0, -G))
        assert unit.accel_bias == pytest.approx((1.0, 0.0, -1.0))
        device.store_bias("gyro")
        device.store_bias("accel")
        assert unit.stored_biases == {1, 2}
        with pytest.raises(DeviceError, match="unknown bias 'mag'"):
            device.store_bias("mag")


def test_temperatures_and_tests(device: Gx2, unit: Gx2Simulator) -> None:
    found = device.temperatures()
    assert (found.raw_accel, found.raw_gyro) == (1030, (3103, 3103, 3103))
    assert found.accel_degc == pytest.approx(1030 * 3.3 / 4096 * 100 - 50)
    assert found.gyro_degc(is_adxrs61x=True)[0] == pytest.approx(25.0, abs=0.1)
    assert found.gyro_degc(is_adxrs61x=False)[0] == pytest.approx(24.6, abs=0.1)
    device.built_in_test(["magnetometer", "gyros reversed"])
    assert unit.test_bits == 0b100100
    device.built_in_test()
    assert unit.test_bits == 0
    with pytest.raises(DeviceError, match="unknown test 'horn'"):
        device.built_in_test(["horn"])


def test_commands_are_answered_on_a_bad_line_after_retries(tmp_path: Path) -> None:
    faults = FaultRates(flipped=0.002, lost=0.001, doubled=0.001)
    unit = Gx2Simulator(eeprom={0xFCA6: 0xC2})
    with PtyEndpoint(unit, tmp_path / "port", faults=faults, seed=3) as line, Gx2.open(line.url) as device:
        for k in range(20):
            device.write_gyro_bias((0.0, 0.0, k / 8))
            assert unit.gyro_bias[2] == k / 8
        assert line.faults.injected > 0


def test_an_inertia_link_has_no_magnetometer(tmp_path: Path) -> None:
    with PtyEndpoint(Gx2Simulator("Inertia-Link"), tmp_path / "port") as line, Gx2.open(line.url) as device:
        for kind in ("C7", "CB", "CC", "D3"):
            assert device.poll(kind)["mag_y_t"] is None
        assert device.poll("D2")["stabilized_mag_x_t"] is None


def test_supports_timer_stop_and_sampling_of_a_gx3(tmp_path: Path) -> None:
    unit = Gx2Simulator("3DM-GX3-25")
    with PtyEndpoint(unit, tmp_path / "port") as line, Gx2.open(line.url) as device:
        assert device.set_rate(100) == 100.0
        assert unit.writes == 0
        device.start_continuous("DF")
        readings = list(itertools.islice(device, 8))
        assert device.unit.timer.hz == GX3_HZ
        times = [reading.t_device_ns for reading in readings if reading.t_device_ns is not None]
        assert {b - a for a, b in itertools.pairwise(times)} == {10_000_000}
        assert device.set_rate(250) == 250.0
        assert device.get_rate() == 250.0
        assert device.get_sampling().inertial_filter_size == 15
        assert device.identify().name == "3DM-GX3-25"
        assert struct.unpack(">4f", device.send("DF")[:16]) == (1.0, 0.0, 0.0, 0.0)
        device.stop_continuous()


def test_a_node_is_reached_through_its_base_station(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "_FIRST_S", 0.4)
    unit = Gx2Simulator("Inertia-Link", eeprom={0xFCA6: 0x80CC})
    with TcpEndpoint(Gx2BaseStation(unit)) as line:
        with Gx2.open(line.url, node=76) as device:
            assert device.ping_node()
            assert device.identify().name == "Inertia-Link"
            unit.deafness = 3
            device.stop_continuous()
            device.start_continuous("C2")
            assert [reading.packet.name for reading in itertools.islice(device, 5)] == ["C2"] * 5
            assert device.unit.radio == (0x26, 0xD4)
            device.set_startup("CC")
            assert unit.eeprom[0xFCA6] == 0x80CC
            device.stop_continuous()
        with Gx2.open(line.url, node=75) as device:
            assert not device.ping_node()
            with pytest.raises(RefusedError, match="does not reach node 75"):
                device.poll("C2")


def test_raises_without_an_answer(device: Gx2) -> None:
    with pytest.raises(NoAnswerError, match=r"command DF \(4 attempts"):
        device.poll("DF")
    with pytest.raises(DeviceError, match="unknown command FD"):
        device.send("FD")
    with pytest.raises(DeviceError, match="without node="):
        device.ping_node()


def test_asyncio_commands_work_while_streaming(tmp_path: Path) -> None:
    async def run(url: str) -> None:
        async with await AsyncGx2.open(url) as device:
            await device.start_continuous("CF")
            who, word = await asyncio.gather(device.identify(), device.read_word(0xFCA2))
            assert (who.name, word) == ("3DM-GX2", 512)
            assert await device.read(10.0) is not None

    with PtyEndpoint(Gx2Simulator(), tmp_path / "port") as line:
        asyncio.run(run(line.url))
