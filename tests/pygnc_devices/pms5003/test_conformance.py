from pygnc_devices.pms5003.driver import FAMILY
from pygnc_devices.pms5003.framing import make_frame
from pygnc_instruments.simulators.pms5003_unit import PmsSimulator
from tests.pygnc_devices.conformance import DriverConformance, PacketConformance, ScannerConformance
from tests.pygnc_devices.pms5003 import vectors


class TestScanner(ScannerConformance):
    family = FAMILY

    def frames(self) -> list[bytes]:
        # Measurements, responses, and the heads of frames inside a frame.
        return [*vectors.MEASUREMENTS, vectors.PASSIVE, make_frame(b"BM\x00\x1cBM\x00\x04" * 3 + b"BM"), vectors.ASLEEP]


class TestPackets(PacketConformance):
    family = FAMILY


class TestDriver(DriverConformance):
    family = FAMILY

    def simulator(self) -> PmsSimulator:
        return PmsSimulator(period_s=0.02)
