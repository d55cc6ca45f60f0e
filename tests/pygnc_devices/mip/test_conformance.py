from dataclasses import replace
from typing import Any

import numpy as np

from pygnc_devices.declaration import Record
from pygnc_devices.mip.driver import FAMILY
from pygnc_devices.mip.framing import make_field, make_frame
from pygnc_devices.mip.unit import FieldSet
from pygnc_instruments.simulators.mip_unit import MipSimulator
from tests.pygnc_devices.conformance import DriverConformance, PacketConformance, ScannerConformance, packet_payload
from tests.pygnc_devices.mip.vectors import PING, REAL


class TestScanner(ScannerConformance):
    family = FAMILY

    def frames(self) -> list[bytes]:
        # A packet in a field, preambles at both ends of the payload; the longest, the shortest and a recorded packet.
        return [
            PING,
            make_frame("80", make_field(0x75, PING + b"ue")),
            make_frame("82", make_field(0x7F, b"ue" * 126 + b"u")),
            REAL,
            make_frame("0C", make_field(0xF1, b"\x0f\x00")),
        ]


class TestPackets(PacketConformance):
    # The sets of all receivers have the fields of the set `gnss`.
    family = replace(FAMILY, packets=tuple(packet for packet in FAMILY.packets if not packet.name[-1].isdigit()))

    def payload(self, record: Record, rng: np.random.Generator) -> bytes:
        assert isinstance(record, FieldSet)
        return b"".join(make_field(part.descriptor, packet_payload(part, rng)) for part in record.parts)


class TestDriver(DriverConformance):
    family = FAMILY

    def simulator(self) -> Any:  # noqa: ANN401 - the base class names the type
        return MipSimulator()
