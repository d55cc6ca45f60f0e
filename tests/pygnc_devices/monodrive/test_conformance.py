from pygnc_devices.monodrive.driver import FAMILY
from pygnc_instruments.simulators.monodrive_unit import MonoDriveSimulator
from tests.pygnc_devices.conformance import DriverConformance, PacketConformance, ScannerConformance
from tests.pygnc_devices.monodrive import vectors


class TestScanner(ScannerConformance):
    family = FAMILY

    def frames(self) -> list[bytes]:
        # Both byte orders, both headers, with and without a checksum, and headers inside frames.
        inside = b"\xc2" + bytes.fromhex("0000002f") * 7
        return [
            vectors.HEADER_LITTLE + vectors.BIG,
            vectors.HEADER_BIG + vectors.LITTLE,
            vectors.HEADER_16 + vectors.BIG,
            vectors.HEADER_16[:4]
            + vectors.HEADER_LITTLE
            + inside
            + sum(inside).to_bytes(2, "big")
            + vectors.HEADER_BIG[:4],
            vectors.HEADER_LITTLE + vectors.UNSUMMED,
            vectors.HEADER_LITTLE + vectors.BIG,
        ]


class TestPackets(PacketConformance):
    family = FAMILY


class TestDriver(DriverConformance):
    family = FAMILY

    def simulator(self) -> MonoDriveSimulator:
        return MonoDriveSimulator()
