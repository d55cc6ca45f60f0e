from binascii import crc_hqx
from typing import ClassVar

import numpy as np

from pygnc_devices.declaration import Record
from pygnc_devices.family import family
from pygnc_devices.vectornav.fields import AsyncLine
from pygnc_devices.vectornav.framing import make_line, make_packet
from pygnc_devices.vectornav.packets import BinaryOutput, header_of, record_of
from pygnc_instruments.simulators.unit import SimulatedUnit
from pygnc_instruments.simulators.vectornav_unit import STREAMING, VectorNavSimulator
from tests.pygnc_devices.conformance import (
    DriverConformance,
    PacketConformance,
    ScannerConformance,
    packet_payload,
    sentence_payload,
)
from tests.pygnc_devices.vectornav.vectors import YMR

GNSS = (3, 14), (3, 16), (6, 14), (6, 16)
"""Lists of satellites and of raw measurements of two receivers."""


def packet(*places: tuple[int, int], **values: bytes) -> bytes:
    record = record_of(header_of(places))
    assert record is not None
    return make_packet(record.encode(values))


class TestScanner(ScannerConformance):
    family = family("vectornav")

    def frames(self) -> list[bytes]:
        # A packet in a list, syncs and a dollar in values; a line with each checksum and without; the longest packet.
        inside = packet((3, 14), gnss1_satellite_list=make_packet(bytes.fromhex("010001000102030405060708fa")))
        return [
            inside,
            YMR,
            packet((0, 0), (2, 9), (12, 17)),
            make_line("YMR,1,2,3,4,5,6,7,8,9,10,11,12,T77"),
            b"$VNERR,03*XX\r\n",
            packet(*GNSS, gnss1_raw_list=bytes(28 * 70)),
        ]


class TestPackets(PacketConformance):
    family = family("vectornav")
    ELEMENTS: ClassVar = {"satellite_list": 8, "raw_list": 28}

    def payload(self, record: Record, rng: np.random.Generator) -> bytes:
        if isinstance(record, AsyncLine):
            return sentence_payload(record, rng)
        assert isinstance(record, BinaryOutput)
        values = {f"gnss{k}_{name}": rng.bytes(3 * size) for k in (1, 2, 3) for name, size in self.ELEMENTS.items()}
        parts = (packet_payload(part, rng)[: None if not part.item_bytes else -1] for part in record.parts)
        fixed = dict(zip(record.parts, parts, strict=True))
        octets = record.header
        for part, words in fixed.items():
            octets += words
            if part.item_bytes:
                octets = octets[: len(octets) - len(words) + part.count_at] + b"\3" + words[part.count_at + 1 :]
                octets += values[part.fields[-1].name]
        return octets


class TestDriver(DriverConformance):
    family = family("vectornav")

    def simulator(self) -> SimulatedUnit:
        return VectorNavSimulator(registers=STREAMING)


def test_the_crc_of_a_packet_with_its_crc_is_zero() -> None:
    assert crc_hqx(packet((0, 0))[1:], 0) == 0
