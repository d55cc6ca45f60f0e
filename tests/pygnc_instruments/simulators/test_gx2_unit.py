"""Simulated GX2: bytes in and out, derived by hand from the tables of the protocol."""

from pygnc_instruments.simulators.gx2_unit import Gx2BaseStation, Gx2Simulator

CYCLE_S = 0.01
STREAM_C2 = bytes.fromhex("c4c129c2")


def ask(unit: Gx2Simulator | Gx2BaseStation, octets: bytes, at_s: float = 0.0, cycles: float = 1.5) -> bytes:
    unit.receive(octets, at_s)
    return unit.run(at_s + cycles * CYCLE_S)


def test_reads_an_eeprom_word() -> None:
    assert ask(Gx2Simulator(), bytes.fromhex("e500fca2")) == bytes.fromhex("e5020000e7")


def test_ignores_a_command_without_guard_bytes_but_not_the_next_one() -> None:
    unit = Gx2Simulator()
    sent = ask(unit, bytes.fromhex("e4ffff00fca20100") + bytes.fromhex("e500fca2"), cycles=20)
    assert sent.endswith(bytes.fromhex("e5020000e7"))
    assert unit.writes == 0


def test_each_command_takes_a_cycle_while_the_stream_continues() -> None:
    unit = Gx2Simulator()
    answer = ask(unit, STREAM_C2)
    assert (answer[:2], len(answer)) == (b"\xc4\xc2", 8)
    assert int.from_bytes(answer[2:6], "big") == 512 * 384  # ticks of one cycle
    unit.receive(bytes.fromhex("e500fca2") * 2, 0.015)
    sent = unit.run(0.045)
    assert [sent[0], sent[31], sent[36], sent[67], sent[72]] == [0xC2, 0xE5, 0xC2, 0xE5, 0xC2]
    assert unit.run(0.095).count(b"\xc2") >= 5
    unit.receive(b"\xfa", 0.1)
    assert unit.run(0.2) == b""


def test_power_cycle_ends_continuous_mode_and_keeps_the_eeprom() -> None:
    unit = Gx2Simulator()
    ask(unit, STREAM_C2)
    ask(unit, bytes.fromhex("e4c12900fca20100"), at_s=0.02)
    unit.power_cycle(1.0)
    assert unit.run(2.0) == b""
    assert unit.eeprom[0xFCA2] == 256
    assert unit.next_s() - 2.0 <= 0.005 + 1e-9


def test_base_station_wraps_replies_and_refuses_other_nodes() -> None:
    station = Gx2BaseStation(Gx2Simulator(), node=76)
    sent = ask(station, bytes.fromhex("AA0B00004C0200C2011B"))
    assert sent[:9] == bytes.fromhex("aa aa0700004c1e00c2")
    assert len(sent) == 1 + 6 + 0x1E + 4
    assert ask(station, bytes.fromhex("AA0B00004D0200C2011C"), at_s=0.02) == b"\x21"
    assert ask(station, bytes.fromhex("02004c02004d"), at_s=0.04) == b"\x02\x21"
