"""Driver of Plantower PMS5003 particle counters: `Pms5003`, `AsyncPms5003` and their family."""

from functools import partial
from typing import Final

from pygnc_devices.device import AsyncDevice, BlockingDevice, Opener, UnitDevice, method
from pygnc_devices.engine import Engine, Wire
from pygnc_devices.errors import DeviceError
from pygnc_devices.family import Controls, Family
from pygnc_devices.pms5003 import framing, operations
from pygnc_devices.pms5003.packets import MEASUREMENT, REPLY
from pygnc_devices.pms5003.unit import PmsUnit

BAUD: Final = 9600
WIRE: Final = Wire(framing.scan, framing.LONGEST_FRAME)


async def describe(unit: PmsUnit) -> dict[str, str]:
    """Return model, version and mode of the sensor, which has no serial number."""
    version = await operations.identify(unit)
    rate = "by itself, every 0.2 s to 2.3 s" if unit.sample_s is None else f"every {unit.sample_s:g} s"
    return {"serial_number": "", "model": operations.MODEL, "version": f"0x{version:02X}", "rate": rate}


CONTROLS: Final = Controls(describe=describe, start=operations.start)


def _open(url: str, baud: int = BAUD, *, sample_s: float | None = None) -> tuple[Engine, PmsUnit]:
    """Open a sensor and receive its measurements.

    Args:
        url: serial path, `usb://VENDOR:PRODUCT/SERIAL`, `socket://host:port`, `file://recording.raw`.
        baud: baud rate of the line.
        sample_s: interval in seconds at which measurements are requested; None: the sensor sends by itself.

    Raises:
        DeviceError: `sample_s` is not positive.
        PortError: the port cannot be opened.
    """
    if sample_s is not None and not sample_s > 0:
        raise DeviceError(f"sample_s must be above 0 s, not {sample_s:g} s")
    unit = PmsUnit(sample_s)
    engine = Engine(url, baud, WIRE, unit)
    engine.run_while_connected(partial(operations.run, unit))
    return engine, unit


class Pms5003Methods(UnitDevice[PmsUnit]):
    """Methods of both APIs; `operations` documents them and the errors that they raise."""

    open = Opener(_open)

    identify = method(operations.identify)
    read_measurement = method(operations.read_measurement)
    sleep = method(operations.sleep)
    wake = method(operations.wake)


class Pms5003(Pms5003Methods, BlockingDevice):
    """Synchronous driver."""


class AsyncPms5003(Pms5003Methods, AsyncDevice):
    """Driver for asyncio."""


FAMILY: Final = Family(
    name="pms5003",
    title="Plantower PMS5003 particle counter",
    bauds=(BAUD,),
    wire=WIRE,
    packets=(MEASUREMENT, REPLY),
    device=Pms5003,
    async_device=AsyncPms5003,
    interpreter=lambda _: PmsUnit(),
    probe=operations.probe,
    controls=CONTROLS,
)
