from dataclasses import replace

from pygnc_devices.opc_n3.driver import FAMILY, RECORDED
from pygnc_devices.opc_n3.framing import scan_bytes
from pygnc_instruments.simulators.endpoints import FaultRates
from pygnc_instruments.simulators.usb_iss import UsbIssSimulator
from tests.pygnc_devices.conformance import DriverConformance, PacketConformance, ScannerConformance
from tests.pygnc_devices.opc_n3.quick import RECKLESS_REST_S, QuickAsyncOpcN3, RecklessOpcN3, counter
from tests.pygnc_devices.opc_n3.vectors import HISTOGRAMS, INTACT


class TestScanner(ScannerConformance):
    """Of a live line, where each byte stands for itself."""

    family = FAMILY

    def frames(self) -> list[bytes]:
        return [bytes([octet]) for octet in b"\xff\x31\xff\xf3\xff\x00"]

    def test_noise_around_frames_costs_none(self) -> None:
        octets = bytes(range(256))
        assert [frame.raw for frame in scan_bytes(octets).frames] == [bytes([octet]) for octet in octets]


class TestRecordingScanner(ScannerConformance):
    family = replace(FAMILY, wire=RECORDED)

    def frames(self) -> list[bytes]:
        return [HISTOGRAMS[number] for number in INTACT]


class TestPackets(PacketConformance):
    family = FAMILY


class TestDriver(DriverConformance):
    family = replace(FAMILY, device=RecklessOpcN3, async_device=QuickAsyncOpcN3)
    bad_line = FaultRates(lost=0.0002, flipped=0.0004, doubled=0.0003)
    fair_line = FaultRates(lost=0.0001, flipped=0.0001, doubled=0.0001)
    some_readings = 4
    readings_of_a_bad_line = 6
    readings_of_a_fair_line = 12
    patience_s = 15.0

    def simulator(self) -> UsbIssSimulator:
        return UsbIssSimulator(counter(rest_s=RECKLESS_REST_S))
