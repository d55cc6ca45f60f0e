import itertools
from dataclasses import replace

from pygnc_devices.sps30.driver import FAMILY
from pygnc_devices.sps30.framing import READ, checksum
from pygnc_instruments.simulators.endpoints import FaultRates
from pygnc_instruments.simulators.sps30_unit import Sps30Simulator, response
from tests.pygnc_devices.conformance import DriverConformance, PacketConformance, ScannerConformance
from tests.pygnc_devices.sps30.quick import QuickAsyncSps30, QuickSps30, measuring_sensor
from tests.pygnc_devices.sps30.vectors import FLOATS

SPECIAL = bytes([0x7E, 0x7D, 0x11, 0x13])


def fully_stuffed() -> bytes:
    """Return a measurement in which all bytes of data and checksum are stuffed."""
    for head in itertools.combinations_with_replacement(SPECIAL, 40):
        data = bytes(head)
        if checksum(bytes([0, READ, 0, len(data)]) + data) in SPECIAL:
            return response(READ, 0, data)
    raise AssertionError


class TestScanner(ScannerConformance):
    family = FAMILY

    def frames(self) -> list[bytes]:
        # A measurement, none, a refusal, a text, all bytes stuffed, whole numbers.
        return [
            response(READ, 0, FLOATS),
            response(READ, 0, b""),
            response(READ, 0x43, b""),
            response(0xD0, 0, b"8FB3A2C4D5E6F701\0"),
            fully_stuffed(),
            response(READ, 0x80, bytes(range(20))),
        ]


class TestPackets(PacketConformance):
    family = FAMILY


class TestDriver(DriverConformance):
    family = replace(FAMILY, device=QuickSps30, async_device=QuickAsyncSps30)
    bad_line = FaultRates(lost=0.003, flipped=0.003, doubled=0.003)
    fair_line = FaultRates(lost=0.001, flipped=0.001, doubled=0.001)
    some_readings = 8
    readings_of_a_bad_line = 10
    readings_of_a_fair_line = 20

    def simulator(self) -> Sps30Simulator:
        return measuring_sensor()
