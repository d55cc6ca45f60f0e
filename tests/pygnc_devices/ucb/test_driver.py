"""Commands of the simulated unit while it streams at 100 Hz."""

import asyncio
import itertools
import struct
import threading
import time
from pathlib import Path

import pytest

from pygnc_devices.errors import NoAnswerError, PortGoneError, RefusedError
from pygnc_devices.framing import Frame
from pygnc_devices.reading import Counters, Stamp
from pygnc_devices.scheduler import Procedure, Request, Scheduler
from pygnc_devices.snapshot import SnapshotError
from pygnc_devices.ucb import commands, fields, operations
from pygnc_devices.ucb.configuration import FieldsRefusedError, ReadBackError, Snapshot
from pygnc_devices.ucb.driver import AsyncUcb, Ucb
from pygnc_devices.ucb.fields import FieldError
from pygnc_devices.ucb.unit import UcbUnit
from pygnc_instruments.simulators import ucb_unit
from pygnc_instruments.simulators.endpoints import FaultRates, PtyEndpoint, TcpEndpoint
from pygnc_instruments.simulators.ucb_unit import UcbSimulator

TRIES = 100


def test_reads_identity_and_status(device: Ucb, unit: UcbSimulator) -> None:
    unit.bit_status = 0x0102
    who = device.identify()
    assert (who.serial_number, who.model) == (2008705635, "IMU381ZA-400")
    assert device.version() == "19.0.7"
    assert device.status()["bit_status"] == ("hardware error", "master status")
    assert device.echo(b"\x55\x55S1") == b"\x55\x55S1"
    assert device.read_words(0x071C, 1) == (0x0081,)
    with pytest.raises(RefusedError, match="RE command"):
        device.read_words(0x2000, 4)
    device.ping()
    device.reset_algorithm()
    device.reset_program()


def test_fields_are_answered_within_two_packet_periods_while_streaming(device: Ucb, unit: UcbSimulator) -> None:
    slowest_s = []
    for k in range(TRIES):
        start_s = time.monotonic()
        assert device.get_fields([1, 3]) == {1: 1, 3: 0x5331}
        slowest_s.append(time.monotonic() - start_s)
        if k % 20 == 0:
            device.set_fields({"user_behaviour": k})
            assert unit.ram[8] == k
    assert sorted(slowest_s)[TRIES // 4] < 0.02  # a busy machine delays other threads
    assert device.statistics.lost_readings == 0


def test_fields_are_answered_on_a_bad_line_after_retries(tmp_path: Path) -> None:
    faults = FaultRates(flipped=0.0005, lost=0.0003, doubled=0.0002)
    with PtyEndpoint(UcbSimulator(), tmp_path / "port", faults=faults, seed=3) as line, Ucb.open(line.url) as device:
        for k in range(40):
            assert device.set_fields({8: k, 16: k}) == {8: k, 16: k}
        assert line.faults.injected > 0
        assert line.unit.ram[8] == 39  # type: ignore[attr-defined]


def test_partial_success_reports_both_parts(device: Ucb, unit: UcbSimulator) -> None:
    with pytest.raises(FieldsRefusedError, match="accel_consistency_check") as caught:
        device.get_fields([1, 0x61, 3])
    assert caught.value.accepted == {1: 1, 3: 0x5331}
    assert caught.value.refused == (0x61,)
    with pytest.raises(FieldsRefusedError) as caught:
        device.set_fields({8: 3, 0x62: 1})
    assert (caught.value.accepted, caught.value.refused) == ({8: 3}, (0x62,))
    assert unit.ram[8] == 3
    with pytest.raises(FieldsRefusedError):
        device.get_fields([0x61, 0x62])


@pytest.mark.parametrize("nak", [b"\x15\x15", b"\0\0"])
def test_recognises_both_forms_of_refusal(nak: bytes) -> None:
    with TcpEndpoint(UcbSimulator(nak=nak)) as line, Ucb.open(line.url) as device:
        with pytest.raises(RefusedError, match="does not send Q7"):
            device.get_packet("Q7")
        assert device.statistics.refusals >= 1


def test_volatile_and_stored_fields_are_independent(device: Ucb, unit: UcbSimulator) -> None:
    start_s = time.monotonic()
    device.write_fields({"orientation": fields.ORIENTATION_CODES["-y-x-z"]})
    assert time.monotonic() - start_s < 4.0  # a second of the unit, and a busy machine
    assert (unit.ram[7], unit.eeprom[7]) == (0, 0x6B)
    assert device.read_fields(["orientation"]) == {7: 0x6B}
    assert device.get_fields(["orientation"]) == {7: 0}
    device.restart()
    assert device.get_fields(["orientation"]) == {7: 0x6B}


def test_does_not_repeat_a_write_whose_answer_was_lost(
    device: Ucb, unit: UcbSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    send, writes = unit.send, []

    def lose_answers_to_writes(kind: bytes, payload: bytes, at_s: float) -> None:
        if kind == b"WF":
            writes.append(payload)
        else:
            send(kind, payload, at_s)

    monkeypatch.setattr(unit, "send", lose_answers_to_writes)
    assert device.write_fields({8: 3}) == {8: 3}
    assert (unit.eeprom[8], len(writes)) == (3, 1)


def test_an_illegal_value_is_never_sent(device: Ucb, unit: UcbSimulator) -> None:
    before = dict(unit.ram)
    with pytest.raises(FieldError, match="change_baud"):
        device.set_fields({2: 3})
    with pytest.raises(FieldError, match="unknown value 3"):
        device.set_fields({8: 1, 1: 3})
    with pytest.raises(FieldError, match="7 Hz"):
        device.set_rate(7)
    assert unit.ram == before


def test_detects_a_value_that_does_not_read_back(
    device: Ucb, unit: UcbSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ucb_unit, "accepts_field", lambda *_: True)
    monkeypatch.setattr(unit, "_apply", lambda *_: unit.ram.update({8: 99}))
    with pytest.raises(ReadBackError, match=r"user_behaviour.*99"):
        device.set_fields({8: 1})


def test_a_rate_is_set_and_measured(device: Ucb) -> None:
    assert device.set_rate(50) == pytest.approx(50, rel=0.3)
    assert device.set_rate(0) == 0
    assert device.read(0.1) is None
    assert device.set_rate(100) == pytest.approx(100, rel=0.3)


def test_the_unit_refuses_a_packet_that_exceeds_the_line(device: Ucb) -> None:
    device.set_packet_type("S0")
    reading = device.read(10.0)
    while reading is not None and reading.packet.name != "S0":
        reading = device.read(10.0)
    assert reading is not None
    with pytest.raises(FieldsRefusedError):
        device.set_packet_type("e2")  # 130 bytes at 100 Hz need more than 115200 baud


def test_changes_the_baud_rate_at_both_ends(device: Ucb, unit: UcbSimulator) -> None:
    device.set_rate(25)
    device.change_baud(38400)
    assert (device.baud, unit.baud) == (38400, 38400)
    assert device.identify().serial_number == unit.serial_number
    assert device.read(10.0) is not None


def test_a_refused_baud_rate_leaves_the_line_unchanged(device: Ucb, unit: UcbSimulator) -> None:
    with pytest.raises(RefusedError, match="9600 baud"):
        device.change_baud(9600)  # too slow for S1 at 100 Hz
    device.ping()
    assert (device.baud, unit.baud) == (115200, 115200)


def test_returns_to_the_old_baud_rate_if_the_unit_does_not_change(
    device: Ucb, unit: UcbSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unit, "_apply", lambda *_: None)
    with pytest.raises(RefusedError, match="115200 baud again"):
        device.change_baud(230400)
    device.ping()


def test_the_error_for_a_lost_baud_rate_names_the_remedy(
    device: Ucb, unit: UcbSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unit, "_apply", lambda *_: setattr(unit, "baud", 4800))
    with pytest.raises(NoAnswerError, match="off and on"):
        device.change_baud(230400)


def test_restores_volatile_fields_and_baud_rate_after_unplugging(
    device: Ucb, line: PtyEndpoint, unit: UcbSimulator
) -> None:
    device.set_rate(50)
    device.change_baud(57600)
    line.unplug()
    with pytest.raises(PortGoneError):
        _ping_until_it_fails(device)
    line.plug_in()
    assert (unit.ram[1], unit.baud) == (1, 115200)
    assert line.wait_until(lambda: (unit.ram[1], unit.baud) == (2, 57600))


def _ping_until_it_fails(device: Ucb) -> None:
    while True:
        device.ping()


def test_a_reconnected_unit_sends_no_other_packet_until_its_settings_are_restored(
    device: Ucb, line: PtyEndpoint
) -> None:
    device.set_packet_type("A1")
    readings = device.readings(silence_s=10.0)
    assert next(reading for reading in readings if reading.packet.name == "A1")
    line.unplug()
    line.plug_in()
    reconnected = itertools.dropwhile(lambda reading: not reading.gap_ns, readings)
    assert {reading.packet.name for reading in itertools.islice(reconnected, 10)} == {"A1"}
    assert device.statistics.frames["S1"] > 0


def test_a_snapshot_restores_the_parameters_of_an_application(device: Ucb, unit: UcbSimulator) -> None:
    unit.text = "OpenIMU300ZI 5020-3885-02 1.1.1"
    device.set_parameter("hard_iron_x", 0.25)
    kept = Snapshot.from_json(device.take_snapshot().to_json())
    device.set_parameters({"hard_iron_x": 0.0, "orientation": "-X-Y+Z"})
    assert device.restore_snapshot(kept) == {"hard_iron_x": 0.25, "orientation": "+X+Y+Z"}
    assert (device.get_parameter("hard_iron_x"), device.get_parameter("orientation")) == (0.25, "+X+Y+Z")
    assert unit._user.flash == unit._user.ram  # also in flash
    unit.text = "OpenIMU330BI 5020-3885-02 1.1.1"
    with pytest.raises(SnapshotError, match="OpenIMU300ZI"):
        device.restore_snapshot(kept)


def test_a_snapshot_restores_all_fields(device: Ucb, unit: UcbSimulator) -> None:
    before = dict(unit.eeprom), dict(unit.ram)
    kept = Snapshot.from_json(device.take_snapshot().to_json())
    assert (kept.stored, kept.volatile) == before
    unit.eeprom.update({5: 2142, 8: 1})
    unit.ram.update({6: 2142})
    assert device.restore_snapshot(kept) == {5: 1070, 8: 0}
    assert (unit.eeprom, unit.ram) == before
    unit.serial_number = 1
    with pytest.raises(SnapshotError, match="2008705635"):
        device.restore_snapshot(kept)
    assert device.restore_snapshot(kept, to_another_unit=True) == {}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "x"}', '{"format": "pygnc UCB fields 1"}'])
def test_rejects_a_text_that_is_not_a_snapshot(text: str) -> None:
    with pytest.raises(SnapshotError):
        Snapshot.from_json(text)


def test_the_magnetometer_is_aligned(device: Ucb, unit: UcbSimulator) -> None:
    unit.align_s = 0.2
    found = device.align_magnetometer()
    assert found.hard_iron_x_t == pytest.approx(1e-5, abs=1e-8)
    assert found.is_acceptable
    device.start_alignment()
    assert device.stop_alignment().soft_iron_ratio == pytest.approx(0.98, abs=1e-4)
    device.store_alignment()
    device.level()


def test_reads_sets_and_saves_openimu_parameters(device: Ucb) -> None:
    assert device.user_ping().endswith("SN:2008705635")
    assert device.user_version() == "OpenIMU300-IMU 1.1.1"
    assert device.get_parameter("packet_type") == "z1"
    device.set_parameter("packet_rate", 50)
    device.set_parameter("hard_iron_x", -0.25)
    device.set_parameters({"orientation": "-X+Y-Z"})
    found = device.get_parameters()
    assert (found["packet_rate"], found["hard_iron_x"], found["orientation"]) == (50, -0.25, "-X+Y-Z")
    with pytest.raises(RefusedError, match="illegal value"):
        device.set_parameter("packet_rate", 7)
    device.set_parameter_range(8, (9600, 1))
    assert device.get_parameter_range(8, 2) == {"gps_baud_rate": 9600, "gps_protocol": 1}
    device.save_parameters()
    device.restore_default_parameters()
    assert device.get_parameter("packet_rate") == 100
    assert device.user_mag_align("status")
    device.user_reset()
    device.ping()
    assert device.get_parameter("packet_rate") == 50


def test_many_threads_request_at_once_and_get_their_own_answers(device: Ucb) -> None:
    wrong: list[object] = []

    def ask(number: int) -> None:
        for _ in range(10):
            found = device.get_fields([number])
            if set(found) != {number}:
                wrong.append(found)

    threads = [threading.Thread(target=ask, args=(number,)) for number in (1, 2, 3, 5, 6, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_the_rate_is_read_on_opening_so_that_a_packet_count_gives_time(device: Ucb) -> None:
    readings = list(itertools.islice(device, 40))
    times_ns = [reading.t_device_ns for reading in readings if reading.t_device_ns is not None]
    assert len(times_ns) >= 30
    assert {after - before for before, after in itertools.pairwise(times_ns)} == {10_000_000}
    assert {reading.lost_before for reading in readings} == {0}


def test_waiting_for_the_packet_count_takes_no_response_from_another_operation() -> None:
    async def ask(request: Request) -> dict[int, int]:
        return commands.parse_values((await request)[0].payload)

    unit = UcbUnit(115200)
    scheduler = Scheduler(Counters(), lambda _: None)
    asked: Procedure[dict[int, int]] = Procedure(ask(commands.ask_fields("GF", [1, 3])))
    for procedure in (Procedure(operations.follow_rate(unit)), asked):
        scheduler.start(procedure, 0.0)
    scheduler.due(0.0)
    for count in range(20):
        packet = Frame("S1", bytes(20) + struct.pack(">HH", count, 0), b"")
        scheduler.take(packet, 0.0)
        unit.interpret(packet, Stamp(0, 0), Counters())
        if unit.counts_packets:
            break
    scheduler.take(Frame("GF", struct.pack(">B4H", 2, 1, 1, 3, 0x5331), b""), 0.0)
    assert asked.result(0.0) == {1: 1, 3: 0x5331}


def test_the_rate_is_read_again_after_a_restart(device: Ucb, unit: UcbSimulator) -> None:
    assert device.read_fields([1]) == {1: 1}
    device.write_fields({1: 2})
    assert next(reading for reading in device if reading.t_device_ns is not None)
    device.restart()
    readings = device.readings(silence_s=10.0)
    assert any(device.unit.period_ns == 20_000_000 for _ in itertools.islice(readings, 40))
    assert unit.ram[1] == 2


def test_a_unit_that_does_not_respond_streams_without_device_time(
    line: PtyEndpoint, unit: UcbSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unit, "receive", lambda *_: None)
    with Ucb.open(line.url) as device:
        readings = itertools.islice(device.readings(silence_s=5.0), 80)
        assert {reading.t_device_ns for reading in readings} == {None}
        assert device.statistics.timeouts == 3


def test_raises_in_time_without_an_answer(device: Ucb, line: PtyEndpoint) -> None:
    assert next(reading for reading in device if reading.t_device_ns is not None)  # the rate is known
    with line.hold():
        start_s = time.monotonic()
        with pytest.raises(NoAnswerError, match=r"PK command \(10 attempts"):
            device.ping()
        assert time.monotonic() - start_s < 6.0  # ten times 0.2 s, with slack for a busy machine
    assert device.statistics.timeouts == 10


def test_asyncio_commands_work_while_streaming(line: PtyEndpoint) -> None:
    async def run() -> None:
        async with await AsyncUcb.open(line.url) as device:
            who, fields = await asyncio.gather(device.identify(), device.get_fields([1, 3]))
            assert (who.serial_number, fields) == (2008705635, {1: 1, 3: 0x5331})
            async with device.quiet():
                assert await device.read(0.1) is None
            assert await device.read(10.0) is not None

    asyncio.run(run())


def test_a_recording_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "x.raw").write_bytes(b"")
    with Ucb.open(f"file://{tmp_path}/x.raw") as device, pytest.raises(PortGoneError):
        device.ping()
