"""The driver of the OPC-N3: `OpcN3` for plain scripts, `AsyncOpcN3`.

The controls of an OPC-N3: who it is, how fan and laser stand, how it is configured.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Final, Self
from urllib.parse import urlsplit

from pygnc_devices.declaration import Packet, Value
from pygnc_devices.device import AsyncDevice, BlockingDevice, UnitDevice, method
from pygnc_devices.engine import Engine, Wire
from pygnc_devices.errors import DeviceError
from pygnc_devices.family import Controls, Family, Setting
from pygnc_devices.opc_n3 import framing, operations, sampling
from pygnc_devices.opc_n3.commands import STANDARD, Timing
from pygnc_devices.opc_n3.link import link_of
from pygnc_devices.opc_n3.operations import identify, read_configuration, read_status
from pygnc_devices.opc_n3.packets import AVERAGE, CONFIGURATION, HISTOGRAM, HISTOGRAM_BYTES, PM, STATUS
from pygnc_devices.opc_n3.unit import OpcUnit, Settings
from pygnc_devices.scheduler import Procedure
from pygnc_devices.shutdown import close_at_exit, end_in_order_on_signals


def describe(unit: OpcUnit) -> Procedure[dict[str, str]]:
    """Return who the counter is and how it is set."""
    who = yield from identify(unit)
    interval_s = unit.settings.interval_s or unit.settings.sample_s
    return {
        "serial_number": who.serial_number,
        "model": "OPC-N3",
        "version": who.firmware,
        "information": who.information,
        "adapter": who.adapter,
        "rate": "on request" if interval_s is None else f"every {interval_s:g} s",
    }


def get(unit: OpcUnit, names: Sequence[str]) -> Procedure[list[Setting]]:
    """Return configuration variables, and the state of fan, laser and gain.

    Raises:
        DeviceError: there is no such value, or the counter does not answer.
    """
    status = yield from read_status(unit)
    configuration = yield from read_configuration(unit)
    settings = _settings(STATUS, status) + _settings(CONFIGURATION, configuration)
    unknown = set(names) - {setting.name for setting in settings}
    if unknown:
        raise DeviceError(f"a counter has no value called {', '.join(sorted(unknown))}")
    return [setting for setting in settings if not names or setting.name in names]


def _settings(packet: Packet, values: dict[str, Value]) -> list[Setting]:
    found = []
    for field in packet.fields:
        value = values[field.name]
        if not isinstance(value, bytes):
            kept = round(value, 2) if isinstance(value, float) else value
            found.append(Setting(field.name, kept, meaning=field.meaning))
    return found


CONTROLS: Final = Controls(describe=describe, get=get)


BAUD: Final = 9600
"""Of no importance: the adapter has no line behind it."""
SAMPLE_S: Final = 5.0
LONGEST_SAMPLE_S: Final = 60.0
_CLOSING_LIMIT_S: Final = 15.0
"""A counter in confusion is left alone for 2.5 s before it hears that it shall switch off."""
LIVE: Final = Wire(framing.scan_bytes, 1, _CLOSING_LIMIT_S)
RECORDED: Final = Wire(framing.scan_histograms, HISTOGRAM_BYTES)


def _open(url: str, baud: int, settings: Settings) -> tuple[Engine, OpcUnit]:
    if settings.sample_s is not None and settings.interval_s is not None:
        settings = replace(settings, sample_s=min(settings.sample_s, settings.interval_s))
    if settings.sample_s is not None and not 0 < settings.sample_s <= LONGEST_SAMPLE_S:
        raise DeviceError(f"a histogram is read every {LONGEST_SAMPLE_S:g} s or oftener, not {settings.sample_s:g} s")
    is_recording = urlsplit(url).scheme == "file"
    unit = OpcUnit(link_of(url, settings.timing.adapter_s), settings, is_recording=is_recording)
    engine = Engine(url, baud, RECORDED if is_recording else LIVE, unit)
    if not is_recording:
        engine.keep(partial(sampling.keep_sampling, unit))
    return engine, unit


class OpcN3Methods(UnitDevice[OpcUnit]):
    """What a counter can be told, by either face. Methods raise what their procedure says."""

    def __init__(self, engine: Engine, unit: OpcUnit) -> None:
        super().__init__(engine, unit)
        close_at_exit(engine)

    identify = method(operations.identify)
    check = method(operations.check)
    read_firmware = method(operations.read_firmware)
    read_status = method(operations.read_status)
    read_configuration = method(operations.read_configuration)
    read_histogram = method(operations.read_histogram)
    read_pm = method(operations.read_pm)
    switch_on = method(operations.switch_on)
    switch_off = method(operations.switch_off)
    set_gain = method(operations.set_gain)
    reset = method(operations.reset)

    write_configuration = method(operations.write_configuration)
    set_weighting_index = method(operations.set_weighting_index)
    set_pot = method(operations.set_pot)
    save_configuration = method(operations.save_configuration)
    write_serial_string = method(operations.write_serial_string)
    enter_bootloader = method(operations.enter_bootloader)


class OpcN3(OpcN3Methods, BlockingDevice):
    """A counter for plain scripts.

    Fan and laser are switched off when it is closed, when the program ends, and when it gets SIGTERM or SIGHUP.
    """

    @classmethod
    def open(
        cls,
        url: str,
        baud: int = BAUD,
        *,
        sample_s: float | None = SAMPLE_S,
        interval_s: float | None = None,
        allow_writes: bool = False,
        allow_permanent: bool = False,
        timing: Timing = STANDARD,
    ) -> Self:
        """Open a counter, switch fan and laser on, and read histograms. The first one is discarded.

        Args:
            url: serial path or `usb://04d8:ffee/SERIAL` of the adapter, `spi:///dev/spidev0.0`, `file://recording.raw`.
            baud: means nothing to the adapter.
            sample_s: how often a histogram is read, 60 s at most, 0.5 to 20 s advised; None: only when asked for.
            interval_s: over how long histograms are put together to one reading, exactly; None: each is a reading.
            allow_writes: whether methods may change the configuration until power-off.
            allow_permanent: whether they may do what lasts longer.
            timing: rests that the counter wants.

        Raises:
            DeviceError: `sample_s` is too long.
            PortError: the port cannot be opened.
        """
        end_in_order_on_signals()
        return cls(*_open(url, baud, Settings(sample_s, interval_s, allow_writes, allow_permanent, timing)))


class AsyncOpcN3(OpcN3Methods, AsyncDevice):
    """A counter for asyncio."""

    @classmethod
    async def open(
        cls,
        url: str,
        baud: int = BAUD,
        *,
        sample_s: float | None = SAMPLE_S,
        interval_s: float | None = None,
        allow_writes: bool = False,
        allow_permanent: bool = False,
        timing: Timing = STANDARD,
    ) -> Self:
        """Open a counter; see `OpcN3.open`."""
        end_in_order_on_signals()
        settings = Settings(sample_s, interval_s, allow_writes, allow_permanent, timing)
        return cls(*await asyncio.to_thread(_open, url, baud, settings))


FAMILY: Final = Family(
    name="opc_n3",
    title="Alphasense OPC-N3 particle counter",
    bauds=(BAUD,),
    wire=LIVE,
    packets=(HISTOGRAM, AVERAGE, PM, STATUS, CONFIGURATION),
    device=OpcN3,
    async_device=AsyncOpcN3,
    interpreter=lambda _: OpcUnit(),
    probe=operations.probe,
    controls=CONTROLS,
    recorded=RECORDED,
)
