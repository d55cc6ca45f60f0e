"""Broadcasts, requests and changes of a Control Unit."""

import asyncio
import itertools
import logging
import math
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pygnc_devices.emus.driver import AsyncEmus, Emus
from pygnc_devices.emus.labels import INPUTS, PINS, PROTECTIONS, STAGES, bit_names, name_of
from pygnc_devices.emus.operations import statistic
from pygnc_devices.emus.unit import IMPLAUSIBLE, NO_CELLS, NOT_VALID
from pygnc_devices.errors import DeviceError, NoAnswerError, RefusedError, WriteForbiddenError
from pygnc_devices.reading import Reading
from pygnc_instruments.simulators.emus_unit import Battery, EmusFaults, EmusSimulator
from pygnc_instruments.simulators.endpoints import PtyEndpoint

SILENT = math.inf


@pytest.fixture
def unit() -> EmusSimulator:
    return EmusSimulator(broadcast_s=SILENT)


@pytest.fixture
def url(unit: EmusSimulator, tmp_path: Path) -> Iterator[str]:
    with PtyEndpoint(unit, tmp_path / "port") as line:
        yield line.url


def first(device: Emus, name: str) -> Reading:
    return next(reading for reading in device.readings(silence_s=10.0) if reading.packet.name == name)


def test_reads_the_identity_and_single_sentences(url: str) -> None:
    with Emus.open(url) as device:
        who = device.identify()
        assert (who.hardware, who.serial_number, who.firmware) == ("G1", "00001234", "2.4.0")
        assert device.ask("BV1")["cells"] == 16
        assert device.ask("BC1")["state_of_charge_percent"] == 79.0
        assert device.ask("TD1")["hour"] == 23
        assert name_of(int(device.ask("ST1")["charging_stage"] or 0), STAGES) == "charger disconnected"
        with pytest.raises(DeviceError, match="'hello' is not the name of a sentence"):
            device.ask("hello")


def test_broadcasts_are_readings_while_requests_are_answered(tmp_path: Path) -> None:
    names: set[str] = set()
    with PtyEndpoint(EmusSimulator(broadcast_s=0.2), tmp_path / "port") as line, Emus.open(line.url) as device:
        readings = device.subscribe()
        end_s = time.monotonic() + 15
        while not names >= {"BV1", "BV2", "BC1", "CV1", "ST1", "VR1"} and time.monotonic() < end_s:
            assert device.read_cells("BV2").is_complete
            assert device.identify().hardware == "G1"
            names |= {reading.packet.name for reading in iter(lambda: readings.take(0), None) if reading is not None}
    assert names >= {"BV1", "BV2", "BC1", "CV1", "ST1", "VR1"}


@pytest.mark.parametrize("name", ["BV2", "BT2", "BT4", "BB2"])
def test_reads_all_cells_without_a_configured_count(name: str, unit: EmusSimulator, url: str) -> None:
    unit.battery = Battery(cells=43)
    with Emus.open(url) as device:
        data = device.read_cells(name)
        assert (len(data.values), data.expected, data.is_complete) == (43, 43, True)
        for string, number in data.values:
            expected = unit.battery.element(name, string, number, 0.0)
            assert data.values[string, number] == pytest.approx(expected, abs=0.03)


def test_cells_of_several_strings_come_in_any_order(tmp_path: Path) -> None:
    unit = EmusSimulator(Battery(cells=12, strings=3), broadcast_s=0.1, faults=EmusFaults(is_unordered=True))
    with PtyEndpoint(unit, tmp_path / "port") as line, Emus.open(line.url) as device:
        data = device.read_cells("BT2")
        assert list(data.values) == [(string, number) for string in range(3) for number in range(12)]
        assert data.is_complete


def test_requests_a_lost_sentence_again(tmp_path: Path) -> None:
    unit = EmusSimulator(Battery(cells=40), broadcast_s=SILENT, faults=EmusFaults(lost_frames=2))
    with PtyEndpoint(unit, tmp_path / "port") as line, Emus.open(line.url) as device:
        assert device.read_cells("BV2").is_complete
    assert unit.commands.count("BV2,?") == 2


def test_lists_cells_that_are_missing(tmp_path: Path) -> None:
    unit = EmusSimulator(Battery(cells=16), broadcast_s=SILENT, faults=EmusFaults(lost_frames=1))
    with PtyEndpoint(unit, tmp_path / "port") as line, Emus.open(line.url) as device:
        unit._lost_frames = 100  # once more than there are sentences
        unit.battery = Battery(cells=16)
        cells = unit._cells
        unit._cells = lambda name, now_s: cells(name, now_s) or _one_group(unit, name, now_s)  # type: ignore[method-assign]
        data = device.read_cells("BV2")
    assert (data.is_complete, data.expected) == (False, 16)
    assert data.missing == tuple((0, number) for number in range(8))


def _one_group(unit: EmusSimulator, name: str, now_s: float) -> list[str]:
    from pygnc_devices.emus.sentences import SENTENCES  # noqa: PLC0415 - only here

    return [SENTENCES[name].encode(list(unit.battery.groups(name, now_s))[-1]).decode()]


def test_missing_cell_communication_is_a_flag_and_not_an_error(tmp_path: Path) -> None:
    faults = EmusFaults(has_no_cells=True, no_cells_s=0.5)
    unit = EmusSimulator(faults=faults, broadcast_s=0.2)
    with PtyEndpoint(unit, tmp_path / "port") as line, Emus.open(line.url) as device:
        first(device, "ST1")
        data = device.read_cells("BV2")
        assert (dict(data.values), data.has_communication, data.is_valid) == ({}, False, False)
        reading = first(device, "BV1")
    assert set(reading.values.values()) == {None}
    assert reading.flags == (NO_CELLS, NOT_VALID)


def test_the_status_of_the_unit_tells_which_values_are_valid(tmp_path: Path) -> None:
    unit = EmusSimulator(broadcast_s=0.1)
    values = unit.battery.values
    status = 0b101101  # all but module temperatures
    unit.battery.values = lambda name, t_s: values(name, t_s) | ({"status": status} if name == "ST1" else {})  # type: ignore[method-assign]
    with PtyEndpoint(unit, tmp_path / "port") as line, Emus.open(line.url) as device:
        first(device, "ST1")
        assert first(device, "BT1").flags == (NOT_VALID,)
        assert first(device, "BV1").flags == ()
        assert device.read_cells("BV2").is_valid is True
        assert device.read_cells("BT2").is_valid is False


def test_validity_is_unknown_without_a_status(unit: EmusSimulator, url: str) -> None:
    with Emus.open(url) as device:
        assert device.read_cells("BV2").is_valid is None
    assert not any(command.startswith("ST1") for command in unit.commands)


def test_sums_that_contradict_the_cells_are_flagged(tmp_path: Path) -> None:
    sentences = ["BV1,0008,4A,94,80,335B,,41", "BV1,0028,4A,94,80,335B,,85"]  # 131.47 V of 8 cells, and of 40
    (tmp_path / "x.raw").write_text("\r\n".join([*sentences, ""]))
    with Emus.open(f"file://{tmp_path}/x.raw") as device:
        assert [reading.flags for reading in device] == [(IMPLAUSIBLE,), ()]


@pytest.mark.parametrize("strings", [1, 2, 5])
def test_parallel_strings_are_plausible(strings: int, tmp_path: Path) -> None:
    unit = EmusSimulator(Battery(cells=14, strings=strings), broadcast_s=0.1)
    with PtyEndpoint(unit, tmp_path / "port") as line, Emus.open(line.url) as device:
        assert first(device, "BV1").flags == ()


def test_unknown_sentences_are_readings_with_their_text(tmp_path: Path) -> None:
    unit = EmusSimulator(broadcast_s=0.1, faults=EmusFaults(unknown=("BC2", "0001,what,,is this")))
    with PtyEndpoint(unit, tmp_path / "port") as line, Emus.open(line.url) as device:
        reading = first(device, "unknown")
        assert dict(reading.values) == {"name": "BC2", "text": "0001,what,,is this"}
        assert device.statistics.frames["BC2"] >= 1
        assert device.ask("BC2")["text"] == "0001,what,,is this"


def test_ignores_additional_fields_of_newer_units(tmp_path: Path) -> None:
    unit = EmusSimulator(broadcast_s=0.1, faults=EmusFaults(has_further_fields=True, has_empty_lines=True))
    with PtyEndpoint(unit, tmp_path / "port") as line, Emus.open(line.url) as device:
        reading = first(device, "BV1")
        skipped = device.statistics.skipped_bytes  # the port was opened within this sentence
        assert reading.values["cells"] == 16
        assert b",7,x," in reading.raw
        assert device.read_cells("BV2").is_complete
        assert first(device, "CV1").values
        assert device.statistics.skipped_bytes == skipped


def test_answers_requests_in_a_flood_of_can_frames(tmp_path: Path) -> None:
    unit = EmusSimulator(broadcast_s=0.1, faults=EmusFaults(can_frames=18))  # 5 kB/s, the capacity of the line
    with PtyEndpoint(unit, tmp_path / "port") as line, Emus.open(line.url) as device:
        readings = list(itertools.islice(device.readings(silence_s=5.0), 200))
        assert device.read_cells("BV2").is_complete
    names = [reading.packet.name for reading in readings]
    assert names.count("CN1") > 80
    assert names.count("BV1") > 4


def test_polls_summaries(unit: EmusSimulator, url: str) -> None:
    with Emus.open(url, ask=("BV1", "BV2"), every_s=0.2) as device:
        readings = itertools.islice(device.readings(silence_s=10.0), 9)
        assert {reading.packet.name for reading in readings} == {"BV1", "BV2"}
    assert unit.commands.count("BV2,?") >= 2
    with pytest.raises(DeviceError, match="not the name of a sentence"):
        Emus.open(url, ask=("voltage",))


def test_polls_again_after_reconnection(tmp_path: Path) -> None:
    unit = EmusSimulator(broadcast_s=SILENT)
    with PtyEndpoint(unit, tmp_path / "port") as line, Emus.open(line.url, ask=("BC1",), every_s=0.1) as device:
        first(device, "BC1")
        line.unplug()
        line.plug_in()
        readings = device.readings(silence_s=10.0)
        assert any(device.statistics.reconnects and reading for reading in readings)


def test_a_request_without_an_answer_ends_in_time(url: str) -> None:
    with (
        Emus.open(url) as device,
        pytest.raises(NoAnswerError, match=r"QQ1 from the Control Unit \(3 attempts"),
    ):
        device.ask("QQ1")


def test_reads_log_and_statistics_with_labels(url: str) -> None:
    with Emus.open(url) as device:
        log = device.read_log()
        assert [entry.event for entry in log] == ["charger connected", "main charging started", "charging finished"]
        assert log[0].t_local_s == 1_763_742_010
        found = {entry.name: entry for entry in device.read_statistics()}
        assert found["total discharge"].value == 1234
        lowest = found["lowest cell voltage"]
        assert (lowest.value, lowest.unit, lowest.cells) == (2.85, "V", (3,))
        assert [entry.name for entry in device.read_statistics(18)] == ["BMS starts"]
        assert statistic({"number": 99, "word": 7, "info": None, "t_local_s": None}).name == "statistic 99"


def test_unknown_bits_are_named_by_number() -> None:
    assert bit_names(0x0842, PROTECTIONS) == ("cell over-voltage", "no cell communication", "cell overheat")
    assert bit_names(1 << 11 | 1 << 31, PINS) == ("battery contactor", "bit 31")
    assert bit_names(0x10, INPUTS) == ("charger mains",)
    assert name_of(77, STAGES) == "77"


WRITES: dict[str, Callable[[Emus], Any]] = {
    "write parameter": lambda device: device.write_parameter("1600", "1"),
    "write function flag": lambda device: device.write_function_flag(0, is_set=True),
    "open contactor": lambda device: device.open_contactor(),
    "release contactor": lambda device: device.release_contactor(),
    "log in": lambda device: device.log_in("secret"),
    "log out": lambda device: device.log_out(),
    "set password": lambda device: device.set_password("secret"),
    "set state of charge": lambda device: device.set_state_of_charge(50),
    "zero current sensor": lambda device: device.zero_current_sensor(),
    "restart": lambda device: device.restart(),
    "reset to factory": lambda device: device.reset_to_factory(),
    "clear log": lambda device: device.clear_log(),
    "clear statistics": lambda device: device.clear_statistics(),
}


@pytest.mark.parametrize("what", WRITES)
def test_nothing_is_written_without_permission(what: str, unit: EmusSimulator, url: str) -> None:
    with Emus.open(url) as device, pytest.raises(WriteForbiddenError, match=f"^{what} changes .* allow_writes=True"):
        WRITES[what](device)
    assert unit.commands == []


def test_with_permission_the_unit_is_changed(unit: EmusSimulator, url: str) -> None:
    unit.password = ""
    with Emus.open(url, allow_writes=True) as device:
        device.set_state_of_charge(50)
        assert device.ask("BC1")["state_of_charge_percent"] == 50.0
        device.zero_current_sensor()
        assert unit.battery.current_offset_a == 0.0
        device.clear_statistics()
        device.clear_log()
        assert (unit.log, unit.statistics) == ([], {})
        assert device.read_log() == []
        with pytest.raises(DeviceError, match="101 is not a whole number from 0 to 100 %"):
            device.set_state_of_charge(101)


def test_opening_the_contactor_changes_one_bit_only(unit: EmusSimulator, url: str) -> None:
    with Emus.open(url, allow_writes=True) as device:
        device.open_contactor()
        assert unit.parameters["1600"] == 0x08000001
        assert "CF2,1600,08000001" in unit.commands
        device.release_contactor()
        assert unit.parameters["1600"] == 0x00000001
        assert device.write_function_flag(3, is_set=True) == 9
        assert device.read_parameter("1600") == "00000009"
        with pytest.raises(DeviceError, match="bit 32"):
            device.write_function_flag(32, is_set=True)
        with pytest.raises(DeviceError, match="hexadecimal"):
            device.write_parameter("1600", "no")


def test_detects_a_parameter_that_does_not_read_back(tmp_path: Path) -> None:
    unit = EmusSimulator(broadcast_s=SILENT, faults=EmusFaults(forgets_writes=True))
    is_told = pytest.raises(RefusedError, match="wrote 08000001, read back 00000001")
    with PtyEndpoint(unit, tmp_path / "port") as line, Emus.open(line.url, allow_writes=True) as device, is_told:
        device.open_contactor()


def test_logs_in_without_logging_the_password(unit: EmusSimulator, url: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    unit.password, unit.is_logged_in = "s3cret", False
    with Emus.open(url, allow_writes=True) as device:
        assert not device.is_logged_in()
        assert not device.log_in("wrong")
        with pytest.raises(NoAnswerError) as failure:
            device.reset_to_factory()
        assert device.log_in("s3cret")
        assert device.is_logged_in()
        device.reset_to_factory()
        device.restart()
        device.log_out()
        assert device.set_password("n3w")
        assert unit.password == "n3w"  # noqa: S105 - of a simulated unit
        assert device.set_password("")
        with pytest.raises(DeviceError, match="without commas") as refusal:
            device.log_in("a,b")
    assert not any("s3cret" in text for text in (caplog.text, str(failure.value), str(refusal.value)))


def test_many_threads_request_at_once(tmp_path: Path) -> None:
    with PtyEndpoint(EmusSimulator(broadcast_s=0.1), tmp_path / "port") as line, Emus.open(line.url) as device:
        outcomes: list[bool] = []

        def work() -> None:
            outcomes.append(device.read_cells("BV2").is_complete and device.identify().hardware == "G1")

        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert outcomes == [True] * 6


def test_asyncio_requests_work_while_broadcasting(tmp_path: Path) -> None:
    async def run(url: str) -> None:
        async with await AsyncEmus.open(url) as device:
            data, who = await asyncio.gather(device.read_cells("BV2"), device.identify())
            assert data.is_complete
            assert who.hardware == "G1"
            assert await device.read(5.0) is not None

    with PtyEndpoint(EmusSimulator(broadcast_s=0.1), tmp_path / "port") as line:
        asyncio.run(run(line.url))
