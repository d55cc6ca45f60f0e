from dataclasses import replace

from pygnc_devices.opc_n3.driver import FAMILY
from pygnc_instruments.simulators.endpoints import FaultRates
from pygnc_instruments.simulators.usb_iss import UsbIssSimulator
from tests.pygnc_devices.conformance import DriverConformance, PacketConformance, ScannerConformance
from tests.pygnc_devices.opc_n3.quick import RECKLESS_REST_S, QuickAsyncOpcN3, RecklessOpcN3, counter
from tests.pygnc_devices.opc_n3.vectors import HISTOGRAMS, INTACT


class TestScanner(ScannerConformance):
    family = FAMILY

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
