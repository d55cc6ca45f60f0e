"""Serial ports by what hangs on the USB: `usb://0403:6015` or `usb://0403:6015/SERIALNUMBER`."""

import re
from typing import Final

from serial.tools import list_ports
from serial.tools.list_ports_common import ListPortInfo

from pygnc_devices.errors import PortError

_URL: Final = re.compile(r"usb://([0-9a-fA-F]{4}):([0-9a-fA-F]{4})(?:/(.+))?")

SERIAL_ADAPTERS: Final = frozenset({0x0403, 0x10C4, 0x067B, 0x1A86, 0x04D8, 0x04E2, 0x0557, 0x110A})
"""Vendors of what sits in serial cables and boards: FTDI, Silicon Labs, Prolific, WCH, Microchip, Exar, ATEN, Moxa."""


def find_usb_port(url: str) -> str:
    """Return the path of a port, by USB id and serial number.

    Raises:
        PortError: none or several fit; the message lists what is there.
    """
    match = _URL.fullmatch(url)
    if match is None:
        raise PortError(f"{url}: a USB port is written usb://VENDOR:PRODUCT or usb://VENDOR:PRODUCT/SERIAL, ids in hex")
    vendor, product, serial_number = int(match[1], 16), int(match[2], 16), match[3]
    there = _usb_ports()
    fitting = [
        port
        for port in there
        if (port.vid, port.pid) == (vendor, product) and serial_number in (None, port.serial_number)
    ]
    if len(fitting) == 1:
        return str(fitting[0].device)
    seen = ", ".join(f"{name(port)} at {port.device}" for port in there) or "nothing"
    problem = "more than one port is" if fitting else "no port is"
    raise PortError(f"{url}: {problem} that; on the USB there is {seen}")


def candidate_ports() -> list[str]:
    """Return the paths of serial adapters, the only ports that may be probed: others are not ours to open."""
    return [str(port.device) for port in _usb_ports() if port.vid in SERIAL_ADAPTERS]


def name(port: ListPortInfo) -> str:
    """Return the URL of a port by its USB id."""
    return f"usb://{port.vid:04x}:{port.pid:04x}" + (f"/{port.serial_number}" if port.serial_number else "")


def _usb_ports() -> list[ListPortInfo]:
    return sorted((port for port in list_ports.comports() if port.vid is not None), key=lambda port: str(port.device))
