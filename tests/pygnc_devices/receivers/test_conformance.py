from pygnc_devices.family import family
from pygnc_instruments.simulators.receiver_units import NovatelSimulator, SkytraqSimulator, UbloxSimulator, ubx_frame
from tests.fakes import receiver_logs as fake
from tests.fakes.receiver_logs import Solution
from tests.pygnc_devices.conformance import DriverConformance, PacketConformance, ScannerConformance

ONE = Solution(2400 * 604_800_000 + 1000, (6.8e6, 1e5, -2e5), (100.0, 7400.0, 900.0))
SENTENCE = fake.nmea("GPGGA,1,2")


class TestNovatelScanner(ScannerConformance):
    family = family("novatel")

    def frames(self) -> list[bytes]:
        # A frame and headers inside payloads; the shortest header, a response and a prompt.
        inside = fake.novatel_binary(5, ONE, fake.novatel_binary(42, ONE, b"\xaa\x44\x13<OK"))
        text = fake.novatel_text("VERSION", ONE, "1,GPSCARD")
        longest = fake.novatel_binary(140, ONE, bytes(1024 - 32))
        return [inside, text[:-2], b"<OK\r", b"[COM1]", longest, SENTENCE[:-2]]


class TestUbloxScanner(ScannerConformance):
    family = family("ublox")

    def frames(self) -> list[bytes]:
        inside = ubx_frame(b"\x0d\x03", ubx_frame(b"\x05\x01", b"\x06\x01") + b"\xb5\x62\x01$")
        return [inside, SENTENCE[:-2], ubx_frame(b"\x02\x15", bytes(512 - 8)), ubx_frame(b"\x05\0", b"\xb5\x62")]


class TestSkytraqScanner(ScannerConformance):
    family = family("skytraq")

    def frames(self) -> list[bytes]:
        inside = fake.skytraq(0x64, fake.skytraq(0x83, b"\x02") + b"\xa0\xa1")
        return [inside, SENTENCE[:-2], fake.skytraq(0xE5, bytes(512 - 8)), fake.skytraq(0x83, b"\x0e")]


class TestNovatelPackets(PacketConformance):
    family = family("novatel")


class TestUbloxPackets(PacketConformance):
    family = family("ublox")


class TestSkytraqPackets(PacketConformance):
    family = family("skytraq")


class TestNovatel(DriverConformance):
    family = family("novatel")
    readings_of_a_bad_line = 4  # of long frames
    readings_of_a_fair_line = 30

    def simulator(self) -> NovatelSimulator:
        return NovatelSimulator(50.0)


class TestUblox(DriverConformance):
    family = family("ublox")
    readings_of_a_bad_line = 8

    def simulator(self) -> UbloxSimulator:
        return UbloxSimulator(50.0)


class TestSkytraq(DriverConformance):
    family = family("skytraq")
    readings_of_a_bad_line = 8

    def simulator(self) -> SkytraqSimulator:
        return SkytraqSimulator(50.0)
