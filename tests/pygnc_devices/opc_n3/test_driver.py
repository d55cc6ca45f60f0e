"""A counter behind its adapter: commands, recovery, switching off."""

import asyncio
import itertools
import logging
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pygnc_devices.errors import DeviceError, RefusedError, WriteForbiddenError
from pygnc_devices.opc_n3.command_channel import BrokenAnswerError, HandshakeError
from pygnc_devices.opc_n3.driver import OpcN3
from pygnc_devices.opc_n3.evaluation import MASS_DIFFERS, NO_PARTICLES, counts_of
from pygnc_devices.opc_n3.operations import OtherDeviceError, PowerError
from pygnc_devices.opc_n3.packets import AVERAGE, HISTOGRAM
from pygnc_devices.opc_n3.unit import decode
from pygnc_devices.reading import Reading
from pygnc_instruments.simulators.endpoints import PtyEndpoint
from pygnc_instruments.simulators.opc_n3_unit import OpcFaults, OpcN3Simulator
from pygnc_instruments.simulators.usb_iss import UsbIssSimulator
from tests.pygnc_devices.opc_n3.quick import QuickAsyncOpcN3, QuickOpcN3, counter, line_of

PATIENCE_S = 15.0


@pytest.fixture
def opc() -> OpcN3Simulator:
    return counter()


@pytest.fixture
def url(opc: OpcN3Simulator, tmp_path: Path) -> Iterator[str]:
    with line_of(opc, tmp_path) as line:
        yield line.url


def by_hand(url: str, **options: bool) -> QuickOpcN3:
    return QuickOpcN3.open(url, sample_s=None, **options)


def take(device: OpcN3, count: int) -> list[Reading]:
    return list(itertools.islice(device.readings(silence_s=PATIENCE_S), count))


def test_reads_identity_status_and_configuration(url: str) -> None:
    with by_hand(url) as device:
        who = device.identify()
        assert (who.serial_number, who.firmware, who.adapter) == ("177700019", "1.17a", "00030397")
        assert who.information.startswith("OPC-N3 Iss1.1")
        assert device.read_firmware() == (1, 17)
        device.check()
        assert device.read_status() == {
            "fan_is_on": 0,
            "laser_pot_is_on": 1,
            "fan_pot": 255,
            "laser_pot": 140,
            "laser_is_on": 0,
            "gain": 3,
        }
        assert device.read_configuration()["boundary_9_um"] == pytest.approx(5.2)


@pytest.mark.parametrize(
    ("text", "firmware"),
    [
        ("OPC-N3 Iss1.1 FirmwareVer=1.14...BS", "1.14"),
        ("OPC-N3 Iss1.1 FirmwareVer = 1.17a_02c", "1.17a_02c"),
        ("OPC-N3", "1.17"),
    ],
)
def test_parses_all_known_forms_of_the_information(text: str, firmware: str, tmp_path: Path) -> None:
    with line_of(counter(OpcFaults(text=text)), tmp_path) as line, by_hand(line.url) as device:
        assert device.identify().firmware == firmware


def test_samples_histograms_and_discards_the_first(opc: OpcN3Simulator, url: str) -> None:
    with QuickOpcN3.open(url) as device:
        readings = take(device, 5)
    assert opc.histograms >= 6
    # The first histogram has fifty times as many particles.
    assert all(sum(counts_of(reading.values)) < 40 for reading in readings)
    assert not any(MASS_DIFFERS in reading.flags for reading in readings)
    assert all(reading.packet is HISTOGRAM for reading in readings)


def test_switches_laser_before_fan(opc: OpcN3Simulator, url: str) -> None:
    with QuickOpcN3.open(url) as device:
        take(device, 2)
        assert opc.fan_on
        assert opc.laser_on
    assert [payload[0] for command, payload in opc.commands if command == 0x03] == [0x07, 0x03, 0x06, 0x02]
    assert not opc.is_on


def test_a_counter_that_is_on_is_not_switched_on_again(opc: OpcN3Simulator, url: str) -> None:
    opc.fan_on = opc.laser_on = True
    with QuickOpcN3.open(url) as device:
        take(device, 1)
    assert [payload[0] for command, payload in opc.commands if command == 0x03] == [0x06, 0x02]


def test_switches_nothing_without_a_request(opc: OpcN3Simulator, url: str) -> None:
    with by_hand(url) as device:
        device.check()
        device.read_status()
    assert opc.commands == [(0xCF, b"")] * len(opc.commands)


def test_reads_on_request_and_switches_off_at_the_end(opc: OpcN3Simulator, url: str) -> None:
    with by_hand(url) as device:
        device.switch_on()
        device.read_histogram()
        device.set_gain(is_high=True)
        assert device.read_status()["gain"] == 1
        values = device.read_histogram()
        assert sum(counts_of(values)) > 0
        assert device.statistics.readings == 2
        assert device.read_pm().keys() == {"pm_1_ug_m3", "pm_2_5_ug_m3", "pm_10_ug_m3", "checksum"}
        assert opc.is_on
    assert not opc.is_on


def test_commands_run_between_histograms(url: str) -> None:
    with QuickOpcN3.open(url) as device:
        take(device, 1)
        for _ in range(5):
            assert device.identify().serial_number == "177700019"
        take(device, 3)


def test_averages_histograms(url: str) -> None:
    with QuickOpcN3.open(url, interval_s=0.1) as device:
        readings = take(device, 2)
    assert all(reading.packet is AVERAGE for reading in readings)
    assert all(int(reading.values["samples"] or 0) >= 2 for reading in readings)
    assert all(len(reading.raw) == 86 * int(reading.values["samples"] or 0) for reading in readings)


@pytest.mark.parametrize("is_unplugged", [False, True])
def test_publishes_an_incomplete_average_at_the_end(tmp_path: Path, *, is_unplugged: bool) -> None:
    opc = counter()
    with line_of(opc, tmp_path) as line, QuickOpcN3.open(line.url, interval_s=3600.0) as device:
        subscription = device.subscribe()
        assert line.wait_until(
            lambda: opc.histograms >= 4, 3 * PATIENCE_S
        )  # the first is discarded, the last is in transit
        assert subscription.take(0) is None
        if is_unplugged:
            line.unplug()
        else:
            device.close()
        reading = subscription.take(PATIENCE_S)
    assert reading is not None
    assert reading.packet is AVERAGE
    samples = int(reading.values["samples"] or 0)
    assert samples >= 1
    parts = [decode(reading.raw[at : at + 86]) for at in range(0, 86 * samples, 86)]
    assert reading.values["period_s"] == pytest.approx(sum(float(part["period_s"] or 0) for part in parts))
    assert reading.values["bin_0"] == sum(int(part["bin_0"] or 0) for part in parts)


def test_a_bad_checksum_costs_two_histograms_and_is_counted(tmp_path: Path) -> None:
    opc = counter(OpcFaults(bad_checksums=1))
    with line_of(opc, tmp_path) as line, QuickOpcN3.open(line.url) as device:
        reading = take(device, 1)[0]
        assert reading.lost_before >= 1
        assert opc.faults.bad_checksums == 0
        assert opc.histograms >= 3
        assert device.statistics.damaged["checksum"] == 1
        assert device.statistics.skipped_bytes >= 86


def test_rejects_a_truncated_histogram(tmp_path: Path) -> None:
    with line_of(counter(OpcFaults(truncated=2)), tmp_path) as line, QuickOpcN3.open(line.url) as device:
        assert take(device, 1)[0].lost_before >= 2


def test_retries_a_busy_counter_after_a_rest(tmp_path: Path) -> None:
    opc = counter(OpcFaults(busy=70))  # more than the polls of one handshake
    with line_of(opc, tmp_path) as line, QuickOpcN3.open(line.url) as device:
        take(device, 2)


def test_raises_when_a_counter_stays_busy(tmp_path: Path) -> None:
    is_told = pytest.raises(HandshakeError, match="stays busy")
    with line_of(counter(OpcFaults(is_stuck=True)), tmp_path) as line, by_hand(line.url) as device, is_told:
        device.identify()


def test_retries_an_adapter_that_refuses(tmp_path: Path) -> None:
    adapter = UsbIssSimulator(counter(), nacks=3)
    with PtyEndpoint(adapter, tmp_path / "port") as line, QuickOpcN3.open(line.url) as device:
        take(device, 2)
    assert adapter.nacks == 0


def test_explains_autonomous_mode_and_recovers_after_a_power_cycle(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    opc = counter(OpcFaults(is_autonomous=True))
    is_told = pytest.raises(HandshakeError, match="records autonomously and no longer responds: switch its power off")
    with line_of(opc, tmp_path) as line, by_hand(line.url) as device, is_told:
        device.identify()
    with line_of(opc, tmp_path) as line, QuickOpcN3.open(line.url) as device:
        end_s = time.monotonic() + PATIENCE_S
        while device.unit.trouble is None and time.monotonic() < end_s:
            assert device.read(0.05) is None
        line.unplug()
        line.plug_in()
        take(device, 2)
        assert device.unit.trouble is None
    assert any("records autonomously" in record.message for record in caplog.records)
    assert any("works again" in record.message for record in caplog.records)


def test_starts_the_fan_again_if_it_does_not_start(tmp_path: Path) -> None:
    opc = counter(OpcFaults(deaf_fan=2))
    with line_of(opc, tmp_path) as line, QuickOpcN3.open(line.url) as device:
        assert NO_PARTICLES not in take(device, 1)[0].flags
    assert opc.faults.deaf_fan == 0


def test_raises_when_the_fan_never_starts(tmp_path: Path) -> None:
    is_told = pytest.raises(PowerError, match="check the power supply")
    with line_of(counter(OpcFaults(deaf_fan=100)), tmp_path) as line, by_hand(line.url) as device, is_told:
        device.switch_on()


def test_restarts_fan_and_laser_without_particles(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    opc = counter(OpcFaults(dead_laser=True))
    with line_of(opc, tmp_path) as line, QuickOpcN3.open(line.url) as device:
        readings = take(device, 6)
        assert all(NO_PARTICLES in reading.flags for reading in readings)
        opc.faults.dead_laser = False
        later = itertools.islice(device.readings(silence_s=PATIENCE_S), 40)
        assert any(NO_PARTICLES not in reading.flags for reading in later)
    options = [payload[0] for command, payload in opc.commands if command == 0x03]
    assert options[:6] == [0x07, 0x03, 0x06, 0x02, 0x07, 0x03]
    assert any("no particle in 4 histograms" in record.message for record in caplog.records)


def test_rejects_another_kind_of_counter(tmp_path: Path) -> None:
    faults = OpcFaults(text="OPC-N2 FirmwareVer=18.2.......BD")
    is_told = pytest.raises(OtherDeviceError, match="not an OPC-N3, but OPC-N2")
    with line_of(counter(faults), tmp_path) as line, QuickOpcN3.open(line.url) as device, is_told:
        take(device, 1)


def test_raises_when_no_counter_is_behind_the_adapter(tmp_path: Path) -> None:
    is_told = pytest.raises(HandshakeError, match="check its cable and its power")
    with PtyEndpoint(UsbIssSimulator(None), tmp_path / "port") as line, by_hand(line.url) as device, is_told:
        device.identify()


def test_the_fan_stops_when_closed_during_an_answer(opc: OpcN3Simulator, url: str) -> None:
    for _ in range(5):
        device = QuickOpcN3.open(url, sample_s=0.001)
        take(device, 1)
        device.close()
        assert not opc.is_on


def test_closing_does_not_wait_long_for_a_dead_counter(opc: OpcN3Simulator, url: str) -> None:
    device = QuickOpcN3.open(url)
    take(device, 1)
    opc.faults.is_stuck = True
    start_s = time.monotonic()
    device.close()
    assert time.monotonic() - start_s < 10.0  # three handshakes with pauses of 0.56 s
    assert opc.is_on


def test_the_fan_stops_when_a_program_fails(opc: OpcN3Simulator, url: str) -> None:
    def fail() -> None:
        with QuickOpcN3.open(url) as device:
            take(device, 1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not opc.is_on


def test_the_asyncio_driver_samples_and_switches_off(opc: OpcN3Simulator, url: str) -> None:
    async def run() -> None:
        async with await QuickAsyncOpcN3.open(url) as device:
            assert await device.read(PATIENCE_S) is not None
            assert (await device.identify()).serial_number == "177700019"
            assert (await device.read_status())["fan_is_on"] == 1

    asyncio.run(run())
    assert not opc.is_on


def test_configuration_is_changed_and_read_back(opc: OpcN3Simulator, url: str) -> None:
    with by_hand(url, allow_writes=True) as device:
        device.write_configuration({"pm_b_um": 4.5})
        assert opc.configuration["pm_b_um"] == pytest.approx(4.5)
        assert device.unit.model.cuts_um == (1.0, 4.5, 10.0)
        device.set_weighting_index(1)
        assert opc.configuration["weighting_index"] == 1
        device.set_pot(0, 200)
        assert opc.fan_pot == 200
        device.reset()
        assert device.read_configuration()["pm_b_um"] == 2.5
        with pytest.raises(DeviceError, match="unknown configuration variable pm_d_um"):
            device.write_configuration({"pm_d_um": 4.5})
        with pytest.raises(RefusedError, match="pm_b_um: wrote 700"):
            device.write_configuration({"pm_b_um": 700.0})
    assert next(len(payload) for command, payload in opc.commands if command == 0x3A) == 167


def test_detects_a_configuration_that_does_not_read_back(tmp_path: Path) -> None:
    is_told = pytest.raises(RefusedError, match=r"pm_b_um: wrote 4.5, read back 2.5")
    opc = counter(OpcFaults(forgets_writes=True))
    with line_of(opc, tmp_path) as line, by_hand(line.url, allow_writes=True) as device, is_told:
        device.write_configuration({"pm_b_um": 4.5})


def test_permanent_changes_need_their_own_permission(opc: OpcN3Simulator, url: str) -> None:
    with by_hand(url) as device:
        with pytest.raises(
            WriteForbiddenError, match="changes the configuration; open the counter with allow_writes=True"
        ):
            device.write_configuration({"pm_b_um": 4.5})
        with pytest.raises(WriteForbiddenError, match="drive of the fan"):
            device.set_pot(0, 200)
    with by_hand(url, allow_writes=True) as device:
        for forbidden in (
            device.save_configuration,
            device.enter_bootloader,
            lambda: device.write_serial_string("OPC-N3 1"),
            lambda: device.set_pot(1, 10),
        ):
            with pytest.raises(WriteForbiddenError, match="open the counter with allow_permanent=True"):
                forbidden()
    assert {command for command, _ in opc.commands} <= {0xCF}


def test_permanent_changes_work_with_permission(opc: OpcN3Simulator, url: str) -> None:
    with by_hand(url, allow_permanent=True) as device:
        device.write_configuration({"max_tof": 4000})
        device.save_configuration()
        assert opc.saved["max_tof"] == 4000
        device.set_pot(1, 139)
        assert opc.laser_pot == 139
        device.write_serial_string("OPC-N3 177700020")
        assert device.identify().serial_number == "177700020"
        device.enter_bootloader()
        assert opc.is_in_bootloader


def test_rejects_impossible_values_before_sending(url: str) -> None:
    with by_hand(url, allow_permanent=True) as device:
        with pytest.raises(DeviceError, match="11 is not from 0 to 10"):
            device.set_weighting_index(11)
        with pytest.raises(DeviceError, match="values 0 to 255"):
            device.set_pot(0, 256)
        with pytest.raises(DeviceError, match="60 printable ASCII"):
            device.write_serial_string("x" * 61)
    with pytest.raises(DeviceError, match="above 0 and at most 60 s, not 300 s"):
        OpcN3.open(url, sample_s=300)


def test_raises_when_an_answer_is_cut_off(opc: OpcN3Simulator, tmp_path: Path) -> None:
    with line_of(opc, tmp_path) as line, by_hand(line.url) as device:
        device.check()
        adapter = line.unit
        assert isinstance(adapter, UsbIssSimulator)
        adapter.exchanges_left = 40
        with pytest.raises(BrokenAnswerError, match="the response ended after"):
            device.read_histogram()
        assert device.statistics.damaged["cut"] == 1
