"""Opens the devices of the settings by what their families declare."""

import inspect
import time
from typing import Any, Final

import msgspec

from pygnc_devices.declaration import Record
from pygnc_devices.device import BlockingDevice
from pygnc_devices.engine import Engine
from pygnc_devices.errors import DeviceError, NoAnswerError
from pygnc_devices.family import Family, Found, family
from pygnc_devices.reading import Reading
from pygnc_station.errors import StationError
from pygnc_station.settings import Device

USUAL_INTERVAL_S: Final = 10.0
_INTERVALS: Final = ("interval_s", "every_s")
_LONGEST_SAMPLE_S: Final = 20.0
_PROBE_S: Final = 5.0
_NO_OPTIONS: Final = ("url", "baud")
"""Of every driver; the settings have names of their own for them."""


def family_of(device: Device) -> Family:
    """Return the family of a device.

    Raises:
        StationError: no such family is known.
    """
    try:
        return family(device.family)
    except DeviceError as error:
        raise StationError(f"{device.gadget}: {error}") from None


def open_device(device: Device) -> BlockingDevice:
    """Open a device; the caller closes it.

    Raises:
        PortError: the port cannot be opened.
        StationError: the driver does not take these options.
    """
    kind = family_of(device)
    opener: Any = kind.device.open  # type: ignore[attr-defined]  # every family's driver has it, with options of its own
    options = interval_options(kind, device.interval_s) | _options(device, opener)
    opened: BlockingDevice = opener(device.port, device.baud or kind.bauds[0], **options)
    return opened


def _options(device: Device, opener: Any) -> dict[str, Any]:  # noqa: ANN401 - a class method of any driver
    """Return the options of a device as its driver declares them: `allow_writes = "no"` is no way to say yes.

    Raises:
        StationError: the driver has no such option, or it is of another type.
    """
    parameters = inspect.signature(opener).parameters
    known = [name for name in parameters if name not in _NO_OPTIONS]
    options = {}
    for name, value in device.options.items():
        where = f"{device.gadget}: option {name} of {device.family}"
        if name not in known:
            raise StationError(f"{where}: there is none such; there are {', '.join(known)}")
        try:
            options[name] = msgspec.convert(value, _type_of(parameters[name]))
        except msgspec.ValidationError as error:
            raise StationError(f"{where}: {error}") from None
    return options


def _type_of(parameter: inspect.Parameter) -> Any:  # noqa: ANN401 - any type
    """Return what a parameter is declared as; anything, where that is text or nothing."""
    told = parameter.annotation
    return Any if isinstance(told, str) or told is inspect.Parameter.empty else told


def interval_options(kind: Family, interval_s: float | None) -> dict[str, Any]:
    """Return how a driver that reads at an interval by itself is told; none: readings between are left out.

    One that puts short samples together does so for intervals longer than it samples well at.
    """
    known = inspect.signature(kind.device.open).parameters  # type: ignore[attr-defined]  # as in `open_device`
    wanted_s = USUAL_INTERVAL_S if interval_s is None else interval_s
    if "sample_s" in known and wanted_s <= _LONGEST_SAMPLE_S:
        return {"sample_s": wanted_s}
    return next(({name: wanted_s} for name in _INTERVALS if name in known), {})


def readings_of(kind: Family) -> list[Record]:
    """Return the kinds of readings that a family can give."""
    return [packet for packet in kind.packets if packet.is_reading]


def identify(device: Device) -> Found:
    """Ask a device who it is; its port is given back.

    Raises:
        NoAnswerError: nobody answers.
        PortError: the port cannot be opened.
        StationError: there is no such family.
    """
    kind = family_of(device)
    baud = device.baud or kind.bauds[0]
    engine = Engine(device.port, baud, kind.wire, kind.interpreter(baud))
    try:
        task = engine.start(kind.probe())
        try:
            return task.result(_PROBE_S)
        except TimeoutError:
            raise NoAnswerError(f"{device.port}: nobody answers; is it switched on?") from None
        finally:
            engine.abort(task)
    finally:
        engine.close()


def read_one(device: Device, timeout_s: float) -> Reading:
    """Open a device, return its next reading, switch it off.

    Raises:
        NoAnswerError: none came in that time.
        PortError: the port cannot be opened.
    """
    trouble = None
    with open_device(device) as opened:
        end_s = time.monotonic() + timeout_s
        while time.monotonic() < end_s:
            reading = opened.read(min(1.0, end_s - time.monotonic()))
            if reading is not None:
                return reading
        # A driver that knows what ails its device says so here.
        trouble = getattr(getattr(opened, "unit", None), "trouble", None)
    raise NoAnswerError(f"{device.port}: no reading within {timeout_s:g} s" + (f": {trouble}" if trouble else ""))
