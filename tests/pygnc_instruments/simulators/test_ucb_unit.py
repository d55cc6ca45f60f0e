"""The simulated DMU38x against its manual, in simulated time and without code of the driver."""

import binascii

import pytest

from pygnc_instruments.simulators.ucb_unit import UcbSimulator


def frame(kind: bytes, payload: bytes = b"") -> bytes:
    body = kind + bytes([len(payload)]) + payload
    return b"UU" + body + binascii.crc_hqx(body, 0x1D0F).to_bytes(2, "big")


def split(octets: bytes) -> list[tuple[bytes, bytes]]:
    found = []
    while octets:
        stop = 7 + octets[4]
        assert octets[:2] == b"UU"
        assert binascii.crc_hqx(octets[2:stop], 0x1D0F) == 0
        found.append((octets[2:4], octets[5 : stop - 2]))
        octets = octets[stop:]
    return found


def ask(unit: UcbSimulator, octets: bytes, at_s: float = 0.0, wait_s: float = 0.009) -> list[tuple[bytes, bytes]]:
    """Return the answers without the stream."""
    unit.run(at_s)
    unit.receive(octets, at_s)
    return [entry for entry in split(unit.run(at_s + wait_s)) if entry[0] not in (b"S1", b"S0")]


@pytest.mark.parametrize(("divider", "rate_hz"), [(1, 100), (2, 50), (4, 25), (5, 20), (10, 10), (50, 2)])
def test_streams_at_the_selected_rate(divider: int, rate_hz: int) -> None:
    unit = UcbSimulator(eeprom={1: divider})
    assert len(split(unit.run(10.0 - 1e-6))) == 10 * rate_hz


@pytest.mark.parametrize("is_reset", [False, True])
def test_the_clock_of_an_openimu_begins_at_zero_after_a_restart(*, is_reset: bool) -> None:
    unit = UcbSimulator(eeprom={3: int.from_bytes(b"z1", "big")}, restart_s=0.5)
    first, *_, last = [int.from_bytes(payload[:4], "little") for _, payload in split(unit.run(20.0))]
    assert (first, last) == (0, 19_990_000)  # microseconds
    if is_reset:
        assert ask(unit, frame(b"SR"), 20.001)[0][0] == b"SR"
    else:
        unit.power_cycle(20.001)
    kind, payload = split(unit.run(unit.next_s()))[-1]
    assert (kind, int.from_bytes(payload[:4], "little")) == (b"z1", 0)


def test_a_quiet_unit_sends_only_answers() -> None:
    unit = UcbSimulator(eeprom={1: 0})
    assert unit.run(100.0) == b""
    assert ask(unit, frame(b"PK"), 100.0) == [(b"PK", b"")]


def test_answers_a_ping_without_length_and_checksum() -> None:
    unit = UcbSimulator(eeprom={1: 0})
    unit.receive(b"UUPK", 0.0)
    assert unit.run(0.01) == b""
    assert split(unit.run(unit.next_s())) == [(b"PK", b"")]


def test_a_command_must_be_complete_within_four_seconds() -> None:
    ping = frame(b"PK")
    for pause_s, answers in ((3.9, 1), (4.1, 0)):
        unit = UcbSimulator(eeprom={1: 0})
        unit.receive(ping[:4] + ping[4:5], 0.0)
        assert len(ask(unit, ping[5:], pause_s)) == answers


def test_ignores_a_wrong_checksum() -> None:
    unit = UcbSimulator(eeprom={1: 0})
    assert ask(unit, frame(b"PK")[:-1] + b"\0" + frame(b"CH", b"x")) == [(b"CH", b"x")]


def test_partial_success_gives_two_answers() -> None:
    unit = UcbSimulator()
    answers = ask(unit, frame(b"GF", bytes.fromhex("02 0001 0061")))
    assert sorted(answers) == [(b"\x15\x15", b"GF"), (b"GF", bytes.fromhex("01 0001 0001"))]
    assert ask(unit, frame(b"GF", bytes.fromhex("01 0061"))) == [(b"\x15\x15", b"GF")]


def test_eeprom_takes_effect_after_power_up_and_ram_is_lost() -> None:
    unit = UcbSimulator()
    assert ask(unit, frame(b"WF", bytes.fromhex("01 0001 0002")), wait_s=0.5) == []
    assert (b"WF", bytes.fromhex("01 0001")) in split(unit.run(1.5))
    assert (unit.ram[1], unit.eeprom[1]) == (1, 2)
    ask(unit, frame(b"SF", bytes.fromhex("01 0008 0003")), 2.0)
    assert unit.ram[8] == 3
    unit.power_cycle(3.0)
    assert (unit.ram[1], unit.ram[8]) == (2, 0)


def test_refuses_a_packet_and_rate_that_exceed_the_baud_rate() -> None:
    unit = UcbSimulator(eeprom={2: 2})  # 38400 baud carries at most S1 at 100 Hz
    assert ask(unit, frame(b"SF", bytes.fromhex("01 0003 5330"))) == [(b"\x15\x15", b"SF")]
    assert unit.ram[3] == 0x5331


def test_answer_to_a_change_of_baud_rate_has_the_new_rate() -> None:
    unit = UcbSimulator()
    unit.receive(frame(b"SF", bytes.fromhex("01 0002 0003")), 0.0)
    assert unit.baud == 57600  # before the answer is sent
    assert (b"SF", bytes.fromhex("01 0002")) in split(unit.run(0.1))


def test_random_input_is_refused_without_an_exception() -> None:
    unit = UcbSimulator(eeprom={1: 0})
    for kind in (b"GF", b"SF", b"WC", b"uP", b"gP", b"gC", b"uC", b"QQ", b"ma", b"GP"):
        for payload in (b"", b"\x05", b"\xff" * 9):
            assert len(ask(unit, frame(kind, payload))) == 1, (kind, payload)
