from pygnc_devices.ucb.driver import FAMILY
from pygnc_devices.ucb.framing import make_frame
from pygnc_instruments.simulators.ucb_unit import UcbSimulator
from tests.pygnc_devices.conformance import DriverConformance, PacketConformance, ScannerConformance

S1 = bytes.fromhex("5555533118FFE000160CC0FFFEFFF9FFFF27EB27EB27EB27F728F5000223BC")


class TestScanner(ScannerConformance):
    family = FAMILY

    def frames(self) -> list[bytes]:
        # Preambles inside payloads, an empty payload, the longest payload, the most common packet.
        return [
            make_frame("PK"),
            S1,
            make_frame("CH", b"\x55" * 20),
            make_frame("U5", make_frame("PK")[:-1]),
            make_frame("zz", bytes(range(255))),
            S1,
        ]


class TestPackets(PacketConformance):
    family = FAMILY


class TestDriver(DriverConformance):
    family = FAMILY

    def simulator(self) -> UcbSimulator:
        return UcbSimulator(counter_is_timer=True)
