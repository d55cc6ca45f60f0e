"""Protocols that a search names if it receives them from a device that no driver recognises.

Sources: Xsens, MT Low Level Communication Protocol (MT0101P); NMEA 0183; u-blox, interface description UBX-13003221.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from operator import xor
from typing import Final

from pygnc_devices.framing import fletcher16

LISTEN_BAUDS: Final = (115200, 9600, 38400)
"""Usual baud rates of such devices, bits per second."""
_NMEA: Final = re.compile(rb"\$([A-Z]{5}[ -)+-~]*)\*([0-9A-F]{2})")
_UBX_HEADER_BYTES: Final = 6
_SHORTEST_XBUS: Final = 5
_BUS_MASTER: Final = 0xFF


@dataclass(frozen=True, slots=True)
class ForeignProtocol:
    """Protocol of devices that may have no driver.

    Attributes:
        title: name of the protocol, and of devices that use it.
        start: first bytes of a frame.
        is_frame: returns True if a buffer begins with a whole frame whose checksum is right.
    """

    title: str
    start: bytes
    is_frame: Callable[[bytes], bool]


def foreign_protocol(octets: bytes) -> str:
    """Return the title of the protocol whose frame is found in received bytes; "" if there is none."""
    for protocol in PROTOCOLS:
        for match in re.finditer(re.escape(protocol.start), octets):
            if protocol.is_frame(octets[match.start() :]):
                return protocol.title
    return ""


def _is_xbus(octets: bytes) -> bool:
    """Check FA, FF, message id, length (FF: two further bytes), data, checksum; all but FA add up to zero."""
    if len(octets) < _SHORTEST_XBUS or octets[1] != _BUS_MASTER:
        return False
    stop = 7 + int.from_bytes(octets[4:6], "big") if octets[3] == 0xFF else 5 + octets[3]
    return len(octets) >= stop and sum(octets[1:stop]) & 0xFF == 0


def _is_nmea(octets: bytes) -> bool:
    """Check $, talker and sentence, fields, * and the exclusive or of all characters between."""
    sentence = _NMEA.match(octets)
    return sentence is not None and reduce(xor, sentence[1]) == int(sentence[2], 16)


def _is_ubx(octets: bytes) -> bool:
    """Check B5 62, class, id, length, payload, Fletcher checksum from the class on."""
    stop = _UBX_HEADER_BYTES + int.from_bytes(octets[4:6], "little")
    return len(octets) >= stop + 2 and fletcher16(octets[2:stop]) == octets[stop : stop + 2]


PROTOCOLS: Final = (
    ForeignProtocol("Xsens XBus (MTi)", b"\xfa", _is_xbus),
    ForeignProtocol("NMEA 0183 (GNSS receivers)", b"$", _is_nmea),
    ForeignProtocol("UBX (u-blox receivers)", b"\xb5\x62", _is_ubx),
)
