"""The simulated counter and adapter against the traffic in their documentation, without code of the driver."""

import binascii
import struct

from pygnc_instruments.simulators.opc_n3_unit import OpcFaults, OpcN3Simulator
from pygnc_instruments.simulators.usb_iss import UsbIssSimulator


def ask(opc: OpcN3Simulator, command: int, payload: bytes, now_s: float = 10.0) -> bytes:
    """Do the handshake of a command and return the bytes in exchange for its payload."""
    assert opc.exchange(command, now_s) == 0x31
    assert opc.exchange(command, now_s + 0.01) == 0xF3
    return bytes(opc.exchange(octet, now_s + 0.02) for octet in payload)


def crc16(octets: bytes) -> int:
    """Return the CRC-16/MODBUS, computed bit by bit."""
    crc = 0xFFFF
    for octet in octets:
        for bit in range(8):
            odd = (crc ^ octet >> bit) & 1
            crc = crc >> 1 ^ 0xA001 * odd
    return crc


def test_histogram_is_read_as_in_the_reference_traffic() -> None:
    adapter = UsbIssSimulator(OpcN3Simulator())
    now_s = 10.0

    def traffic(octets: bytes) -> bytes:
        adapter.receive(octets, now_s)
        return adapter.run(now_s)

    assert traffic(b"\x5a\x01") == b"\x07\x07\x40"
    assert traffic(b"\x5a\x03") == b"00030397"
    assert traffic(b"\x5a\x02\x92\x0b") == b"\xff\x00"
    assert traffic(b"\x5a\x01") == b"\x07\x07\x92"
    assert traffic(b"\x61\x30") == b"\xff\x31"
    now_s += 0.01
    assert traffic(b"\x61\x30") == b"\xff\xf3"
    raw = b""
    for _ in range(86):
        answer = traffic(b"\x61\x30")
        assert answer[:1] == b"\xff"
        raw += answer[1:]
    assert struct.unpack("<H", raw[84:])[0] == crc16(raw[:84])


def test_adapter_rejects_unknown_commands_and_exchanges_before_spi_setup() -> None:
    adapter = UsbIssSimulator(OpcN3Simulator())
    adapter.receive(b"\x61\x30", 1.0)
    assert adapter.run(1.0) == b"\x00\x05"
    adapter.receive(b"\x5a", 2.0)  # an incomplete frame is dropped
    adapter.receive(b"\x5a\x01", 3.0)
    assert adapter.run(3.0) == b"\x07\x07\x40"
    assert adapter.next_s() > 3.0


def test_each_option_switches_one_part_and_is_echoed() -> None:
    opc = OpcN3Simulator()
    assert ask(opc, 0x03, b"\x07") == b"\x03"
    assert (opc.laser_on, opc.fan_on) == (True, False)
    assert ask(opc, 0x13, bytes(6), 20.0) == bytes([0, 1, 255, 140, 1, 3])
    assert ask(opc, 0x03, b"\x03", 30.0) == b"\x03"
    assert ask(opc, 0x03, b"\x06", 40.0) == b"\x03"
    assert (opc.laser_on, opc.fan_on) == (False, True)


def test_another_command_ends_a_handshake() -> None:
    opc = OpcN3Simulator()
    assert opc.exchange(0x30, 1.0) == 0x31
    assert opc.exchange(0x32, 1.01) == 0x31
    assert opc.exchange(0x30, 1.02) == 0x31
    assert opc.exchange(0x30, 1.03) == 0xF3


def test_an_interrupted_answer_is_abandoned_after_a_rest() -> None:
    opc = OpcN3Simulator(rest_s=2.0)
    ask(opc, 0x3F, bytes(8))
    assert opc.exchange(0xCF, 10.1) == ord("s")  # taken as the ninth byte of the answer
    assert opc.exchange(0xCF, 12.2) == 0x31


def test_both_reads_start_a_new_histogram_of_half_the_time() -> None:
    opc = OpcN3Simulator()
    opc.fan_on = opc.laser_on = True
    for start_s, command, length in ((100.0, 0x30, 86), (200.0, 0x32, 14)):
        ask(opc, command, bytes(length), start_s)
        raw = ask(opc, 0x30, bytes(86), start_s + 10.0)
        assert struct.unpack_from("<H", raw, 52)[0] == 500


def test_factory_configuration() -> None:
    raw = ask(OpcN3Simulator(), 0x3C, bytes(168))
    words = struct.unpack("<25H25H24H3H4H6B", raw)
    assert words[:4] == (14, 40, 80, 120)
    assert words[25:28] == (35, 46, 66)
    assert set(words[50:74]) == {165}
    assert words[74:77] == (100, 250, 1000)
    assert words[77:81] == (4095, 1, 0, 61798)
    assert words[-3:] == (56, 48, 2)


def test_autonomous_counter_does_not_answer_until_power_cycle() -> None:
    opc = OpcN3Simulator(OpcFaults(is_autonomous=True))
    assert opc.exchange(0xCF, 1.0) == 0x00
    opc.power_cycle(2.0)
    assert opc.exchange(0xCF, 5.0) == 0x31


def test_checksum_of_this_test_has_the_catalogue_check_value() -> None:
    assert crc16(b"123456789") == 0x4B37
    assert binascii.crc_hqx(b"", 0) == 0
