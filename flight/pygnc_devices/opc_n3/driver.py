"""Driver of the Alphasense OPC-N3 particle counter: `OpcN3`, `AsyncOpcN3` and its family."""

from collections.abc import Sequence
from functools import partial
from typing import Final
from urllib.parse import urlsplit

from pygnc_devices.declaration import Packet, Value
from pygnc_devices.device import AsyncDevice, BlockingDevice, Opener, UnitDevice, method
from pygnc_devices.engine import Engine, Wire
from pygnc_devices.errors import DeviceError
from pygnc_devices.family import Controls, Family, Setting
from pygnc_devices.opc_n3 import framing, operations
from pygnc_devices.opc_n3.command_channel import STANDARD, Link, Timing, UsbIss
from pygnc_devices.opc_n3.operations import identify, read_configuration, read_status
from pygnc_devices.opc_n3.packets import AVERAGE, CONFIGURATION, HISTOGRAM, HISTOGRAM_BYTES, PM, STATUS
from pygnc_devices.opc_n3.unit import OpcUnit
from pygnc_devices.reading import Counters
from pygnc_system.shutdown import close_at_exit, exit_on_signals


async def describe(unit: OpcUnit) -> dict[str, str]:
    """Return identity and sampling interval of the counter."""
    who = await identify(unit)
    interval_s = unit.interval_s or unit.sample_s
    return {
        "serial_number": who.serial_number,
        "model": "OPC-N3",
        "version": who.firmware,
        "information": who.information,
        "adapter": who.adapter,
        "rate": "on request" if interval_s is None else f"every {interval_s:g} s",
    }


async def get(unit: OpcUnit, names: Sequence[str]) -> list[Setting]:
    """Return configuration variables and the state of fan, laser and gain: all, or the named settings.

    Raises:
        DeviceError: a name is unknown, or the counter does not respond.
    """
    status = await read_status(unit)
    configuration = await read_configuration(unit)
    settings = _settings(STATUS, status) + _settings(CONFIGURATION, configuration)
    unknown = set(names) - {setting.name for setting in settings}
    if unknown:
        known = ", ".join(setting.name for setting in settings)
        raise DeviceError(f"unknown setting {', '.join(sorted(unknown))}; choose from {known}")
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
"""Without effect: the USB adapter has no serial line."""
SAMPLE_S: Final = 5.0
LONGEST_SAMPLE_S: Final = 60.0
_CLOSING_LIMIT_S: Final = 15.0
"""Enough for three handshakes and the rests of 2.5 s between them, before fan and laser are switched off."""
LIVE: Final = Wire(None, closing_limit_s=_CLOSING_LIMIT_S)
RECORDED: Final = Wire(framing.scan_histograms, HISTOGRAM_BYTES)


def _open(
    url: str,
    baud: int = BAUD,
    *,
    sample_s: float | None = SAMPLE_S,
    interval_s: float | None = None,
    allow_writes: bool = False,
    allow_permanent: bool = False,
    timing: Timing = STANDARD,
) -> tuple[Engine, OpcUnit]:
    """Open a counter, switch fan and laser on, and read histograms. The first histogram is discarded.

    Args:
        url: serial path or `usb://04d8:ffee/SERIAL` of the adapter, `spi:///dev/spidev0.0`, `file://recording.raw`.
        baud: without effect on the adapter.
        sample_s: interval between histograms, at most 60 s, recommended 0.5 to 20 s; None: read only on request.
        interval_s: time in seconds over which histograms are averaged to one reading; None: each histogram is a
            reading.
        allow_writes: allow changes of the configuration until power-off.
        allow_permanent: allow changes that survive power-off.
        timing: pauses that the counter needs.

    Raises:
        DeviceError: `sample_s` is out of range.
        PortError: the port cannot be opened.
    """
    if sample_s is not None and interval_s is not None:
        sample_s = min(sample_s, interval_s)
    if sample_s is not None and not 0 < sample_s <= LONGEST_SAMPLE_S:
        raise DeviceError(f"sample_s must be above 0 and at most {LONGEST_SAMPLE_S:g} s, not {sample_s:g} s")
    scheme = urlsplit(url).scheme
    counters = Counters()
    unit = OpcUnit(
        Link() if scheme == "spi" else UsbIss(timing.adapter_s),
        counters,
        sample_s=sample_s,
        interval_s=interval_s,
        allow_writes=allow_writes,
        allow_permanent=allow_permanent,
        timing=timing,
    )
    engine = Engine(url, baud, RECORDED if scheme == "file" else LIVE, unit, counters)
    engine.run_while_connected(partial(operations.run_sampling, unit))
    return engine, unit


class OpcN3Methods(UnitDevice[OpcUnit]):
    """Methods of both APIs; `operations` documents them and the errors that they raise."""

    open = Opener(_open, exit_on_signals)

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
    """Synchronous driver.

    Fan and laser are switched off when it is closed, when the program ends, and on SIGTERM or SIGHUP.
    """


class AsyncOpcN3(OpcN3Methods, AsyncDevice):
    """Driver for asyncio."""


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
