"""The driver of 3DM-GX2, Inertia-Link and 3DM-GX3-25: `Gx2` for plain scripts, `AsyncGx2`."""

import asyncio
from typing import Final, Self
from urllib.parse import urlsplit

from pygnc_devices.engine import Engine, Wire
from pygnc_devices.faces import AsyncDevice, BlockingDevice, awaitable, blocking
from pygnc_devices.family import Family
from pygnc_devices.gx2 import aspp, eeprom, framing, procedures, stream_procedures
from pygnc_devices.gx2.controls import CONTROLS
from pygnc_devices.gx2.packets import LONGEST_FRAME, PACKETS
from pygnc_devices.gx2.unit import Gx2Unit

DEFAULT_BAUD: Final = 115200
WIRE: Final = Wire(framing.scan, LONGEST_FRAME)


def wireless_wire(node: int) -> Wire:
    """Return how a node talks through its base station."""
    return Wire(aspp.scanner(node), aspp.LONGEST_WRAPPED)


def _open(url: str, baud: int, timer_hz: int | None, node: int | None) -> tuple[Engine, Gx2Unit]:
    is_recording = urlsplit(url).scheme == "file"
    unit = Gx2Unit(timer_hz, node, recover=stream_procedures.recover, is_recording=is_recording)
    return Engine(url, baud, WIRE if node is None else wireless_wire(node), unit), unit


class Gx2(BlockingDevice):
    """A unit for plain scripts. Methods raise what their procedure says."""

    def __init__(self, engine: Engine, unit: Gx2Unit) -> None:
        super().__init__(engine)
        self.unit = unit

    @classmethod
    def open(cls, url: str, baud: int = DEFAULT_BAUD, *, timer_hz: int | None = None, node: int | None = None) -> Self:
        """Open a unit. It is silent until it is polled or told to stream, unless its EEPROM says otherwise.

        Args:
            url: serial path, `socket://host:port`, `rfc2217://host:port`, `file://recording.raw`.
            baud: speed of the line.
            timer_hz: `timer.GX2_HZ` or `timer.GX3_HZ`; None: found out from the steps of the timer.
            node: address of a wireless node, whose base station hangs at the port.

        Raises:
            PortError: the port cannot be opened.
        """
        return cls(*_open(url, baud, timer_hz, node))

    send = blocking(procedures.send)
    poll = blocking(procedures.poll)
    identify = blocking(procedures.identify)
    ping_node = blocking(procedures.ping_node)
    write_accel_bias = blocking(procedures.write_accel_bias)
    write_gyro_bias = blocking(procedures.write_gyro_bias)
    capture_gyro_bias = blocking(procedures.capture_gyro_bias)
    store_bias = blocking(procedures.store_bias)
    temperatures = blocking(procedures.temperatures)
    built_in_test = blocking(procedures.built_in_test)

    start_continuous = blocking(stream_procedures.start_continuous)
    stop_continuous = blocking(stream_procedures.stop_continuous)

    read_word = blocking(eeprom.read_word)
    write_word = blocking(eeprom.write_word)
    get_rate = blocking(eeprom.get_rate)
    set_rate = blocking(eeprom.set_rate)
    get_startup = blocking(eeprom.get_startup)
    set_startup = blocking(eeprom.set_startup)
    get_sampling = blocking(eeprom.get_sampling)
    set_sampling = blocking(eeprom.set_sampling)


class AsyncGx2(AsyncDevice):
    """A unit for asyncio. Methods raise what their procedure says."""

    def __init__(self, engine: Engine, unit: Gx2Unit) -> None:
        super().__init__(engine)
        self.unit = unit

    @classmethod
    async def open(
        cls, url: str, baud: int = DEFAULT_BAUD, *, timer_hz: int | None = None, node: int | None = None
    ) -> Self:
        """Open a unit; see `Gx2.open`."""
        return cls(*await asyncio.to_thread(_open, url, baud, timer_hz, node))

    send = awaitable(procedures.send)
    poll = awaitable(procedures.poll)
    identify = awaitable(procedures.identify)
    ping_node = awaitable(procedures.ping_node)
    write_accel_bias = awaitable(procedures.write_accel_bias)
    write_gyro_bias = awaitable(procedures.write_gyro_bias)
    capture_gyro_bias = awaitable(procedures.capture_gyro_bias)
    store_bias = awaitable(procedures.store_bias)
    temperatures = awaitable(procedures.temperatures)
    built_in_test = awaitable(procedures.built_in_test)

    start_continuous = awaitable(stream_procedures.start_continuous)
    stop_continuous = awaitable(stream_procedures.stop_continuous)

    read_word = awaitable(eeprom.read_word)
    write_word = awaitable(eeprom.write_word)
    get_rate = awaitable(eeprom.get_rate)
    set_rate = awaitable(eeprom.set_rate)
    get_startup = awaitable(eeprom.get_startup)
    set_startup = awaitable(eeprom.set_startup)
    get_sampling = awaitable(eeprom.get_sampling)
    set_sampling = awaitable(eeprom.set_sampling)


FAMILY: Final = Family(
    name="gx2",
    title="MicroStrain 3DM-GX2, Inertia-Link, 3DM-GX3-25",
    bauds=(115200,),
    wire=WIRE,
    packets=tuple(PACKETS.values()),
    device=Gx2,
    async_device=AsyncGx2,
    interpreter=lambda _: Gx2Unit(),
    probe=procedures.probe,
    controls=CONTROLS,
)
