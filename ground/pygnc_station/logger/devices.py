"""Devices of the settings: opening, identification, single readings."""

import inspect
import time
from typing import Any, Final

import msgspec

from pygnc_devices.device import BlockingDevice
from pygnc_devices.errors import DeviceError, NoAnswerError
from pygnc_devices.family import Family, Found, family
from pygnc_devices.probing import probe
from pygnc_devices.reading import Reading
from pygnc_station.errors import StationError
from pygnc_station.settings import Device

DEFAULT_INTERVAL_S: Final = 10.0
_INTERVAL_OPTIONS: Final = ("interval_s", "every_s")
_NAME_CELLS: Final = "name_cells"
"""Option of drivers for batteries, with which each cell becomes a series of its own in all outputs."""
_MAX_SAMPLE_S: Final = 20.0
"""Longest interval that is passed to a driver as the averaging time of a sample."""
_PROBE_S: Final = 5.0
_NOT_OPTIONS: Final = ("url", "baud")
"""Parameters of every driver that the settings name `port` and `baud`."""


def family_of(device: Device) -> Family:
    """Return the family of a device.

    Raises:
        StationError: the family is unknown.
    """
    try:
        return family(device.family)
    except DeviceError as error:
        raise StationError(f"{device.gadget}: {error}") from None


def open_device(device: Device) -> BlockingDevice:
    """Open a device; the caller closes it.

    Raises:
        PortError: the port cannot be opened.
        StationError: the driver does not accept the options of the settings.
    """
    kind = family_of(device)
    opener: Any = kind.device.open  # type: ignore[attr-defined]  # every driver class has it, with options of its own
    options = interval_options(kind, device.interval_s) | _options(device, opener)
    if _NAME_CELLS in inspect.signature(opener).parameters:
        options = {_NAME_CELLS: True} | options
    opened: BlockingDevice = opener(device.port, device.baud or kind.bauds[0], **options)
    return opened


def _options(device: Device, opener: Any) -> dict[str, Any]:  # noqa: ANN401 - a class method of any driver
    """Return the options of a device, converted to the types that its driver declares.

    Raises:
        StationError: the driver has no such option, or its value has a wrong type.
    """
    parameters = inspect.signature(opener).parameters
    known = [name for name in parameters if name not in _NOT_OPTIONS]
    options = {}
    for name, value in device.options.items():
        if name not in known:
            raise StationError(
                f"{device.gadget}: unknown option {name!r} of {device.family}; choose from {', '.join(known)}"
            )
        try:
            options[name] = msgspec.convert(value, _type_of(parameters[name]))
        except msgspec.ValidationError as error:
            raise StationError(f"{device.gadget}: option {name} of {device.family}: {error}") from None
    return options


def _type_of(parameter: inspect.Parameter) -> Any:  # noqa: ANN401 - any type
    annotation = parameter.annotation
    return Any if isinstance(annotation, str) or annotation is inspect.Parameter.empty else annotation


def interval_options(kind: Family, interval_s: float | None) -> dict[str, Any]:
    """Return the option that sets a driver's own interval, {} if it has none; the logger then skips readings.

    A driver that averages several samples gets the interval as `sample_s` only up to `_MAX_SAMPLE_S`.
    """
    known = inspect.signature(kind.device.open).parameters  # type: ignore[attr-defined]  # as in `open_device`
    wanted_s = DEFAULT_INTERVAL_S if interval_s is None else interval_s
    if "sample_s" in known and wanted_s <= _MAX_SAMPLE_S:
        return {"sample_s": wanted_s}
    return next(({name: wanted_s} for name in _INTERVAL_OPTIONS if name in known), {})


def identify(device: Device) -> Found:
    """Identify the device at a port, and close the port again.

    Raises:
        NoAnswerError: the device does not respond within 5 s.
        PortError: the port cannot be opened.
        StationError: the family is unknown.
    """
    kind = family_of(device)
    try:
        return probe(device.port, device.baud or kind.bauds[0], kind, _PROBE_S)
    except TimeoutError:
        raise NoAnswerError(
            f"{device.port}: no {device.family} device responds within {_PROBE_S:g} s; check that it is switched on"
        ) from None


def read_one(device: Device, timeout_s: float) -> Reading:
    """Open a device, return its next reading whatever its interval is, and switch it off.

    Raises:
        NoAnswerError: no reading arrived within `timeout_s`.
        PortError: the port cannot be opened.
    """
    interval_s = None if device.interval_s is None else min(device.interval_s, DEFAULT_INTERVAL_S)
    options = {name: value for name, value in device.options.items() if name not in {"sample_s", *_INTERVAL_OPTIONS}}
    with open_device(msgspec.structs.replace(device, interval_s=interval_s, options=options)) as opened:
        end_s = time.monotonic() + timeout_s
        while time.monotonic() < end_s:
            reading = opened.read(min(1.0, end_s - time.monotonic()))
            if reading is not None:
                return reading
        # Some drivers record why their device does not respond.
        cause = getattr(getattr(opened, "unit", None), "trouble", None) or "check the cable and the power"
    raise NoAnswerError(f"{device.port}: no reading within {timeout_s:g} s; {cause}")
