"""Asking a counter: who it is, how it stands, what it has counted, how it is configured."""

import re
from dataclasses import dataclass, replace
from typing import Final

from pygnc_devices.declaration import Value
from pygnc_devices.errors import DeviceError
from pygnc_devices.family import Found
from pygnc_devices.frames import Frame
from pygnc_devices.opc_n3 import commands, framing
from pygnc_devices.opc_n3.commands import STANDARD, BrokenAnswerError
from pygnc_devices.opc_n3.packets import (
    CONFIGURATION,
    CONFIGURATION_BYTES,
    HISTOGRAM_BYTES,
    INFORMATION_BYTES,
    PM,
    PM_BYTES,
    STATUS,
    STATUS_BYTES,
)
from pygnc_devices.opc_n3.spi import UsbIss
from pygnc_devices.opc_n3.unit import OpcUnit, Settings, decode
from pygnc_devices.procedure import Deliver, Procedure

_NAME: Final = "OPC-N3"
_OTHERS: Final = re.compile(r"OPC-\w+")
_FIRMWARE: Final = re.compile(r"FirmwareVer\s*=\s*(\d+\.\d+\w*)")
_SERIAL: Final = re.compile(r"\d{6,}")
_IDLE: Final = "\x00\xff"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a counter is.

    Attributes:
        information: as it writes it.
        serial_number: of the counter.
        firmware: as in 1.17a.
        adapter: serial number of the adapter, "" without one.
    """

    information: str
    serial_number: str
    firmware: str
    adapter: str


class OtherDeviceError(DeviceError):
    """It is a particle counter, and not this one."""


def identify(unit: OpcUnit) -> Procedure[Identity]:
    """Return who the counter is.

    Raises:
        OtherDeviceError: it is another kind, which says other things at the same commands.
        DeviceError: it does not answer; the message says what may be wrong.
    """
    return (yield from unit.alone(identify_alone(unit)))


def identify_alone(unit: OpcUnit) -> Procedure[Identity]:
    """Return who the counter is, for a procedure that has the link for itself already; see `identify`."""
    octets = yield from commands.read(unit.link, unit.timing, commands.READ_INFORMATION, INFORMATION_BYTES)
    information = _text(octets)
    if _NAME not in information:
        other = _OTHERS.search(information)
        raise OtherDeviceError(f"this is no {_NAME}, but {other[0] if other else repr(information)}")
    serial = yield from commands.read(unit.link, unit.timing, commands.READ_SERIAL, INFORMATION_BYTES)
    digits = _SERIAL.search(_text(serial))
    firmware = _FIRMWARE.search(information)
    if firmware is None:
        major, minor = yield from commands.read(unit.link, unit.timing, commands.READ_FIRMWARE, 2)
    version = firmware[1] if firmware else f"{major}.{minor}"
    return Identity(information, digits[0] if digits else "", version, unit.adapter)


def read_firmware(unit: OpcUnit) -> Procedure[tuple[int, int]]:
    """Return the firmware's version as two numbers.

    Raises:
        DeviceError: the counter does not answer.
    """
    major, minor = yield from unit.alone(commands.read(unit.link, unit.timing, commands.READ_FIRMWARE, 2))
    return major, minor


def check(unit: OpcUnit) -> Procedure[None]:
    """Find out whether the counter answers.

    Raises:
        DeviceError: it does not.
    """
    yield from unit.alone(commands.read(unit.link, unit.timing, commands.CHECK, 0))


def read_status(unit: OpcUnit) -> Procedure[dict[str, Value]]:
    """Return the state of fan, laser and gain, by the names of `packets.STATUS`.

    Raises:
        DeviceError: the counter does not answer.
    """
    return (yield from unit.alone(read_status_alone(unit)))


def read_status_alone(unit: OpcUnit) -> Procedure[dict[str, Value]]:
    """Return the state of fan, laser and gain; see `identify_alone`."""
    octets = yield from commands.read(unit.link, unit.timing, commands.READ_STATUS, STATUS_BYTES)
    return STATUS.decode(octets)


def read_configuration(unit: OpcUnit) -> Procedure[dict[str, Value]]:
    """Return the configuration variables, by the names of `packets.CONFIGURATION`.

    Raises:
        DeviceError: the counter does not answer, or what it says cannot be.
    """
    return (yield from unit.alone(read_configuration_alone(unit)))


def read_configuration_alone(unit: OpcUnit) -> Procedure[dict[str, Value]]:
    """Return the configuration variables; see `identify_alone`."""
    octets = yield from commands.read(unit.link, unit.timing, commands.READ_CONFIGURATION, CONFIGURATION_BYTES)
    values = CONFIGURATION.decode(octets)
    boundaries = [float(values[f"boundary_{k}_um"]) for k in range(25)]
    if boundaries != sorted(set(boundaries)) or boundaries[0] <= 0:  # it has no checksum
        raise BrokenAnswerError("the configuration cannot be right: its boundaries do not rise", octets)
    unit.learn(values)
    return values


def read_pm(unit: OpcUnit) -> Procedure[dict[str, Value]]:
    """Return the mass concentrations since the last histogram, and begin a new histogram.

    Raises:
        DeviceError: the counter does not answer, or the checksum is wrong.
    """
    octets = yield from unit.alone(commands.read(unit.link, unit.timing, commands.READ_PM, PM_BYTES))
    unit.forget_time()
    if not framing.is_intact(octets):
        raise BrokenAnswerError("the checksum of the mass concentrations is wrong; the histogram is lost", octets)
    return PM.decode(octets)


def read_histogram(unit: OpcUnit) -> Procedure[dict[str, Value | None]]:
    """Read the histogram now; it is a reading too. The first after switching on is not to be believed.

    Raises:
        DeviceError: the counter does not answer, or the checksum is wrong.
    """
    raw = yield from unit.alone(read_histogram_alone(unit))
    yield Deliver(Frame(framing.WHOLE, raw, raw))
    return decode(raw)


def read_histogram_alone(unit: OpcUnit) -> Procedure[bytes]:
    """Return the bytes of a histogram whose checksum is right; see `identify_alone`."""
    try:
        raw = yield from commands.read(unit.link, unit.timing, commands.READ_HISTOGRAM, HISTOGRAM_BYTES)
        if not framing.is_intact(raw):
            raise BrokenAnswerError("the checksum of a histogram is wrong; it is lost", raw)  # noqa: TRY301 - told below
    except BrokenAnswerError as error:
        yield Deliver(Frame(framing.BROKEN, error.octets, error.octets))
        raise
    return raw


def probe() -> Procedure[Found]:
    """Ask the adapter and the counter behind it.

    Raises:
        DeviceError: there is none.
    """
    unit = OpcUnit(UsbIss(timeout_s=0.2), Settings(timing=replace(STANDARD, handshakes=1, polls=20)))
    who = yield from identify(unit)
    return Found(who.serial_number, who.information)


def _text(octets: bytes) -> str:
    return octets.decode("latin-1").strip(_IDLE + " .\r\n")
