from typing import Any

import numpy as np

from pygnc_devices.declaration import Record
from pygnc_devices.xsens.driver import FAMILY
from pygnc_devices.xsens.framing import LONGEST_DATA, make_data, make_frame, make_item
from pygnc_devices.xsens.items import item_of
from pygnc_devices.xsens.layout import ItemSet
from pygnc_instruments.simulators.xsens_unit import XsensSimulator
from tests.pygnc_devices.conformance import DriverConformance, PacketConformance, ScannerConformance, packet_payload
from tests.pygnc_devices.xsens.vectors import GO_TO_CONFIG, WAKE_UP


class TestScanner(ScannerConformance):
    family = FAMILY

    def frames(self) -> list[bytes]:
        # The shortest and the longest message, a message in an item, and the beginning of a message in the length.
        return [
            WAKE_UP,
            make_data([(0x4020, bytes(12)), (0xA080, GO_TO_CONFIG + b"\xfa\xff")]),
            make_frame("91", bytes(LONGEST_DATA)),
            make_frame("0D", b"\xfa" * 0xFA),
            XsensSimulator().data_message([0x1020, 0x1060, 0x4020], 1.0),
        ]


class TestPackets(PacketConformance):
    family = FAMILY

    def payload(self, record: Record, rng: np.random.Generator) -> bytes:
        assert isinstance(record, ItemSet)
        items = ((part, item_of(part)) for part in record.parts)
        return b"".join(make_item(part, packet_payload(item, rng)) for part, item in items if item is not None)


class TestDriver(DriverConformance):
    family = FAMILY

    def simulator(self) -> Any:  # noqa: ANN401 - the base class names the type
        return XsensSimulator()
