"""The fields of a simulated DMU38x or OpenIMU: what they are at first, and which words it takes."""

from collections.abc import Mapping
from typing import Final

from pygnc_devices.ucb import fields
from pygnc_devices.ucb.openimu_packets import USER_PACKETS
from pygnc_devices.ucb.packets import ANSWER_PACKETS, OUTPUT_PACKETS

PACKETS: Final = {packet.name: packet for packet in (*OUTPUT_PACKETS, *ANSWER_PACKETS, *USER_PACKETS)}
DEFAULTS: Final = {
    0x01: 1, 0x02: 5, 0x03: 0x5331, 0x05: 1070, 0x06: 1070, 0x07: 0x006B, 0x08: 0, 0x09: 0, 0x0A: 0, 0x0B: 0x8000,
    0x0C: 0, 0x0D: 0, 0x0E: 0, 0x10: 0xFFFF, 0x11: 0xFFFF, 0x12: 0xFFFF, 0x13: 0xFFFF, 0x071C: 0x0081,
}  # fmt: skip


def admits(store: Mapping[int, int], number: int, value: int) -> bool:
    """Tell whether a unit with these fields takes a word for one of them."""
    spec = fields.FIELD_TABLE.get(number)
    if spec is None or number not in store or not spec.writable:
        return False
    if spec.legal is not None and value not in spec.legal:
        return False
    after = {**store, number: value}
    packet = PACKETS.get(fields.type_text(after[fields.PACKET_TYPE]))
    if packet is None or not packet.is_reading:
        return False
    if number not in (fields.RATE, fields.BAUD, fields.PACKET_TYPE):
        return True
    rate_hz, baud = fields.HZ_OF_DIVIDER[after[fields.RATE]], fields.BAUD_OF_CODE[after[fields.BAUD]]
    return fields.fits_line(packet.layout.size, rate_hz, baud)
