"""Simulated Xsens unit: bytes in and out, by the tables of the protocol, without code of the driver."""

import struct

from pygnc_instruments.simulators.xsens_unit import XsensSimulator
from tests.pygnc_devices.xsens.vectors import CONFIGURING, GO_TO_CONFIG, WAKE_UP

GO_TO_MEASUREMENT = bytes.fromhex("faff1000f1")
MEASURING = bytes.fromhex("faff1100f0")


def answer(unit: XsensSimulator, octets: bytes, now_s: float) -> bytes:
    unit.run(now_s)
    unit.receive(octets, now_s)
    return unit.run(now_s)


def test_wakes_up_measures_and_waits_for_settings() -> None:
    unit = XsensSimulator(outputs=[(0x1020, 0xFFFF), (0x0810, 100)])
    sent = unit.run(0.025)
    assert sent.startswith(WAKE_UP + bytes.fromhex("faff360c10200200000810 04"))
    assert len(sent) == len(WAKE_UP) + 2 * 17
    assert answer(unit, GO_TO_CONFIG, 0.026) == CONFIGURING
    assert unit.run(1.0) == b""
    assert answer(unit, GO_TO_MEASUREMENT, 1.0) == MEASURING
    assert unit.run(1.011)[4:9] == bytes.fromhex("1020020000")


def test_refuses_what_a_state_does_not_allow() -> None:
    unit = XsensSimulator()
    unit.run(0.0)
    invalid = bytes.fromhex("faff420104ba")
    assert answer(unit, bytes.fromhex("faff000001"), 0.001) == invalid
    answer(unit, GO_TO_CONFIG, 0.002)
    assert answer(unit, bytes.fromhex("faff000001"), 0.003) == bytes.fromhex("faff01040380012355")
    assert answer(unit, bytes.fromhex("faff22020006d7"), 0.004) == invalid


def test_items_have_their_rates_and_the_clock_wraps() -> None:
    unit = XsensSimulator(outputs=[(0x1060, 0xFFFF), (0x0810, 10), (0x3010, 40)], first_ticks=(1 << 32) - 250)
    messages = unit.run(0.1).split(b"\xfa\xff\x36")[1:]
    assert [len(message) - 2 for message in messages] == [14, 14, 14, 21]
    ticks = [struct.unpack_from(">I", message, 4)[0] for message in messages]
    assert ticks == [0, 250, 500, 750]
