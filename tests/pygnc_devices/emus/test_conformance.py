from pygnc_devices.emus.driver import FAMILY
from pygnc_devices.emus.framing import LONGEST, make_sentence
from pygnc_instruments.simulators.emus_unit import EmusSimulator
from tests.pygnc_devices.conformance import DriverConformance, PacketConformance, ScannerConformance


class TestScanner(ScannerConformance):
    family = FAMILY

    def frames(self) -> list[bytes]:
        # Names inside fields, empty fields, no fields, an undeclared name, the longest sentence.
        return [
            b"BC1,000456F0,00057E40,1EDC,3C\r\n",
            b"BV1,,,,,,,39\r\n",
            make_sentence("VR1", "BV1,BC1,4B"),
            make_sentence("RC1"),
            make_sentence("QZ9", "0" * (LONGEST - 9)),
            b"BV2,00,0000,08,8B85858585868587,93\r\n",
        ]


class TestPackets(PacketConformance):
    family = FAMILY


class TestDriver(DriverConformance):
    family = FAMILY

    def simulator(self) -> EmusSimulator:
        return EmusSimulator(broadcast_s=0.1)
