"""Driver of MicroStrain 3DM-GX2, Inertia-Link and 3DM-GX3-25: `Gx2`, `AsyncGx2` and their family."""

import asyncio
from typing import Final, Self
from urllib.parse import urlsplit

from pygnc_devices.device import AsyncDevice, BlockingDevice, UnitDevice, method
from pygnc_devices.engine import Engine, Wire
from pygnc_devices.family import Family
from pygnc_devices.gx2 import eeprom, framing, operations
from pygnc_devices.gx2.controls import CONTROLS
from pygnc_devices.gx2.packets import LONGEST_FRAME, PACKETS
from pygnc_devices.gx2.unit import Gx2Unit

DEFAULT_BAUD: Final = 115200
WIRE: Final = Wire(framing.scan, LONGEST_FRAME)


def wireless_wire(node: int) -> Wire:
    """Return the wire format of a node behind its base station."""
    return Wire(framing.scanner(node), framing.LONGEST_WRAPPED)


def _open(url: str, baud: int, timer_hz: int | None, node: int | None) -> tuple[Engine, Gx2Unit]:
    is_recording = urlsplit(url).scheme == "file"
    unit = Gx2Unit(timer_hz, node, recover=operations.recover, is_recording=is_recording)
    return Engine(url, baud, WIRE if node is None else wireless_wire(node), unit), unit


class Gx2Methods(UnitDevice[Gx2Unit]):
    """Methods of both APIs; the operations document them and the errors that they raise."""

    send = method(operations.send)
    poll = method(operations.poll)
    identify = method(operations.identify)
    ping_node = method(operations.ping_node)
    write_accel_bias = method(operations.write_accel_bias)
    write_gyro_bias = method(operations.write_gyro_bias)
    capture_gyro_bias = method(operations.capture_gyro_bias)
    store_bias = method(operations.store_bias)
    temperatures = method(operations.temperatures)
    built_in_test = method(operations.built_in_test)

    start_continuous = method(operations.start_continuous)
    stop_continuous = method(operations.stop_continuous)

    read_word = method(eeprom.read_word)
    write_word = method(eeprom.write_word)
    get_rate = method(eeprom.get_rate)
    set_rate = method(eeprom.set_rate)
    get_startup = method(eeprom.get_startup)
    set_startup = method(eeprom.set_startup)
    get_sampling = method(eeprom.get_sampling)
    set_sampling = method(eeprom.set_sampling)


class Gx2(Gx2Methods, BlockingDevice):
    """Synchronous driver."""

    @classmethod
    def open(cls, url: str, baud: int = DEFAULT_BAUD, *, timer_hz: int | None = None, node: int | None = None) -> Self:
        """Open a unit. It sends nothing until it is polled or streams, unless its EEPROM starts continuous mode.

        Args:
            url: serial path, `socket://host:port`, `rfc2217://host:port`, `file://recording.raw`.
            baud: baud rate of the line.
            timer_hz: `unit.GX2_HZ` or `unit.GX3_HZ`; None: determined from the steps of the timer.
            node: address of a wireless node, whose base station is at the port.

        Raises:
            PortError: the port cannot be opened.
        """
        return cls(*_open(url, baud, timer_hz, node))


class AsyncGx2(Gx2Methods, AsyncDevice):
    """Driver for asyncio."""

    @classmethod
    async def open(
        cls, url: str, baud: int = DEFAULT_BAUD, *, timer_hz: int | None = None, node: int | None = None
    ) -> Self:
        """Open a unit; see `Gx2.open`."""
        return cls(*await asyncio.to_thread(_open, url, baud, timer_hz, node))


FAMILY: Final = Family(
    name="gx2",
    title="MicroStrain 3DM-GX2, Inertia-Link, 3DM-GX3-25",
    bauds=(115200,),
    wire=WIRE,
    packets=tuple(PACKETS.values()),
    device=Gx2,
    async_device=AsyncGx2,
    interpreter=lambda _: Gx2Unit(),
    probe=operations.probe,
    controls=CONTROLS,
)
