from dataclasses import replace

from pygnc_devices.engine import Wire
from pygnc_devices.gx2 import framing
from pygnc_devices.gx2.driver import FAMILY
from pygnc_devices.gx2.framing import checksum, make_frame
from pygnc_instruments.simulators.gx2_unit import Gx2Simulator
from tests.pygnc_devices.conformance import DriverConformance, PacketConformance, ScannerConformance
from tests.pygnc_devices.gx2.vectors import C2_REST, CC_GX3, RADIO_C4, RADIO_CC


class TestScanner(ScannerConformance):
    family = FAMILY

    def frames(self) -> list[bytes]:
        # Responses and headers inside payloads; the shortest, the longest and recorded responses.
        return [
            C2_REST,
            make_frame("FB", b"\xc2"),
            make_frame("EA", b"\x02          3DM-GX2"[:17]),
            CC_GX3,
            make_frame("D9", make_frame("E5", b"\xc2\xc2") + b"\xc4\xc2"),
            C2_REST,
        ]


class TestWirelessScanner(ScannerConformance):
    family = replace(FAMILY, wire=Wire(framing.scanner(0x5F), framing.LONGEST_WRAPPED))

    def frames(self) -> list[bytes]:
        body = b"\x07\x00\x00\x5f\x09\x00" + make_frame("D9", RADIO_C4[:7])[:-2]
        inside = b"\xaa" + body + b"\xaa\xaa" + checksum(body)
        return [RADIO_C4, RADIO_CC, inside, RADIO_CC, RADIO_C4]

    def test_the_longest_frame_is_declared(self) -> None:
        assert len(RADIO_CC) == framing.LONGEST_WRAPPED


class TestPackets(PacketConformance):
    family = FAMILY


class TestDriver(DriverConformance):
    family = FAMILY

    def simulator(self) -> Gx2Simulator:
        return Gx2Simulator(eeprom={0xFCA6: 0x00CC})
