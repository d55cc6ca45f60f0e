"""Driver of Sensirion SPS30 particle counters: `Sps30`, `AsyncSps30`, their controls and family."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Final

from pygnc_devices.device import AsyncDevice, BlockingDevice, Opener, UnitDevice, method
from pygnc_devices.engine import Engine, Wire
from pygnc_devices.errors import DeviceError, RefusedError, SettingError
from pygnc_devices.family import Controls, Family, Setting
from pygnc_devices.sps30 import framing, operations
from pygnc_devices.sps30.packets import CLEANING_INTERVAL, INTEGER_MEASUREMENT, MEASUREMENT, STATUS, VERSION
from pygnc_devices.sps30.unit import SpsUnit

BAUD: Final = 115_200
WIRE: Final = Wire(framing.scan, framing.LONGEST_FRAME)
SAMPLE_S: Final = 1.0
_AUTO_CLEANING: Final = "auto_cleaning_interval_s"
_CLEANING: Final = "clean_fan"
_LARGEST: Final = 0xFFFF_FFFF


async def describe(unit: SpsUnit) -> dict[str, str]:
    """Return identity, status and settings of the sensor."""
    who = await operations.identify(unit)
    try:
        status = await operations.read_status(unit)
    except RefusedError:
        status = "unknown; firmware before 2.2 has no status register"
    return {
        "serial_number": who.serial_number,
        "model": operations.MODEL,
        "product_type": who.product_type,
        "version": who.firmware,
        "hardware": who.hardware,
        "status": status,
        _AUTO_CLEANING: str(await operations.read_auto_cleaning(unit)),
        "rate": "on request" if unit.sample_s is None else f"every {unit.sample_s:g} s",
    }


async def read(unit: SpsUnit, names: Sequence[str]) -> list[Setting]:
    """Return the settings in non-volatile memory: the interval of the automatic fan cleaning."""
    _check(names)
    return [_setting(await operations.read_auto_cleaning(unit))]


async def write(unit: SpsUnit, values: Mapping[str, str]) -> list[Setting]:
    """Write the interval of the automatic fan cleaning, in seconds, to non-volatile memory."""
    _check(values)
    text = values[_AUTO_CLEANING]
    if not text.isdecimal() or int(text) > _LARGEST:
        raise SettingError(f"{_AUTO_CLEANING}={text}: expected whole seconds up to {_LARGEST}; 0 is never")
    return [_setting(await operations.write_auto_cleaning(unit, int(text)))]


async def command(unit: SpsUnit, name: str, values: str) -> str:  # noqa: ARG001 - see `Controls`
    """Carry out `clean_fan`."""
    if name != _CLEANING:
        raise SettingError(f"unknown command {name!r}; choose from {_CLEANING}")
    await operations.clean_fan(unit)
    return "the fan is cleaned for 10 s"


def _check(names: Iterable[str]) -> None:
    unknown = sorted(set(names) - {_AUTO_CLEANING})
    if unknown:
        raise SettingError(f"unknown setting {', '.join(unknown)}; choose from {_AUTO_CLEANING}")


def _setting(interval_s: int) -> Setting:
    (field,) = (field for field in CLEANING_INTERVAL.fields if field.name == _AUTO_CLEANING)
    return Setting(_AUTO_CLEANING, interval_s, meaning=field.meaning)


CONTROLS: Final = Controls(
    describe=describe, start=operations.start, get=read, read=read, write=write, command=command, reset=operations.reset
)


def _open(
    url: str, baud: int = BAUD, *, sample_s: float | None = SAMPLE_S, integers: bool = False
) -> tuple[Engine, SpsUnit]:
    """Open a sensor, start its measurement, and read measurements.

    Args:
        url: serial path, `usb://VENDOR:PRODUCT/SERIAL`, `socket://host:port`, `file://recording.raw`.
        baud: baud rate of the line.
        sample_s: interval in seconds between measurements; the sensor has a new one each second. None: read only on
            request.
        integers: request whole numbers instead of floating-point numbers, which needs firmware 2.0.

    Raises:
        DeviceError: `sample_s` is not positive.
        PortError: the port cannot be opened.
    """
    if sample_s is not None and not sample_s > 0:
        raise DeviceError(f"sample_s must be above 0 s, not {sample_s:g} s")
    unit = SpsUnit(sample_s, is_integer=integers)
    engine = Engine(url, baud, WIRE, unit)
    if sample_s is not None:
        engine.run_while_connected(partial(operations.run, unit))
    return engine, unit


class Sps30Methods(UnitDevice[SpsUnit]):
    """Methods of both APIs; `operations` documents them and the errors that they raise."""

    open = Opener(_open)

    identify = method(operations.identify)
    read_status = method(operations.read_status)
    clear_status = method(operations.clear_status)
    start = method(operations.start)
    stop = method(operations.stop)
    read_measurement = method(operations.read_measurement)
    clean_fan = method(operations.clean_fan)
    read_auto_cleaning = method(operations.read_auto_cleaning)
    write_auto_cleaning = method(operations.write_auto_cleaning)
    sleep = method(operations.sleep)
    wake = method(operations.wake)
    reset = method(operations.reset)


class Sps30(Sps30Methods, BlockingDevice):
    """Synchronous driver; closing it stops the measurement that it has started."""


class AsyncSps30(Sps30Methods, AsyncDevice):
    """Driver for asyncio."""


FAMILY: Final = Family(
    name="sps30",
    title="Sensirion SPS30 particle counter",
    bauds=(BAUD,),
    wire=WIRE,
    packets=(MEASUREMENT, INTEGER_MEASUREMENT, CLEANING_INTERVAL, VERSION, STATUS),
    device=Sps30,
    async_device=AsyncSps30,
    interpreter=lambda _: SpsUnit(),
    probe=operations.probe,
    controls=CONTROLS,
)
