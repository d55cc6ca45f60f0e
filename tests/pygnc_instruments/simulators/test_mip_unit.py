"""Simulated MIP unit: bytes in and out, with packets of other programs and by hand from the tables of the protocol."""

from pygnc_instruments.simulators.mip_unit import MipSimulator
from tests.pygnc_devices.mip.vectors import FORMAT, HARD_IRON, IDLE, PING, PING_REPLY, SENSOR_FORMAT


def ask(unit: MipSimulator, octets: bytes) -> bytes:
    unit.receive(octets, 0.0)
    return unit.run(0.0)


def test_answers_a_ping_as_a_unit_did() -> None:
    assert ask(MipSimulator(), PING) == PING_REPLY
    assert ask(MipSimulator(), b"u" + PING[:-1] + b"\0" + PING) == PING_REPLY


def test_streams_until_it_is_idle() -> None:
    unit = MipSimulator()
    assert unit.run(1.0).count(b"ue\x80") == 100
    unit.receive(IDLE, 1.0)
    assert b"ue\x80" not in unit.run(2.0)


def test_accepts_the_commands_of_the_vendors_library() -> None:
    unit = MipSimulator()
    assert ask(unit, SENSOR_FORMAT)[4:8] == bytes.fromhex("04f10f00")
    assert ask(unit, HARD_IRON)[4:8] == bytes.fromhex("04f13a00")


def test_refuses_the_commands_of_the_other_generation() -> None:
    assert ask(MipSimulator(is_legacy=True), SENSOR_FORMAT)[4:8] == bytes.fromhex("04f10f01")
    assert ask(MipSimulator(is_legacy=True), FORMAT)[4:8] == bytes.fromhex("04f10800")
    assert ask(MipSimulator(), FORMAT)[4:8] == bytes.fromhex("04f10801")
