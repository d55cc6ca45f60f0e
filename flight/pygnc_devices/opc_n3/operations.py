"""Asking a counter: who it is, how it stands, what it has counted, how it is configured.

Fan and laser: on, off, and whether they obeyed.

Changing a counter. What lasts until it is switched off needs `allow_writes`, what lasts longer `allow_permanent`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from pygnc_devices.declaration import Value
from pygnc_devices.errors import DeviceError, RefusedError, WriteForbiddenError
from pygnc_devices.family import Found
from pygnc_devices.framing import Frame
from pygnc_devices.opc_n3 import commands, framing
from pygnc_devices.opc_n3.commands import STANDARD, BrokenAnswerError
from pygnc_devices.opc_n3.link import UsbIss
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
from pygnc_devices.opc_n3.unit import OpcUnit, Settings, decode
from pygnc_devices.scheduler import Deliver, Pause, Procedure

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


FAN_OFF: Final = 0x02
FAN_ON: Final = 0x03
LASER_OFF: Final = 0x06
LASER_ON: Final = 0x07
LOW_GAIN: Final = 0x08
HIGH_GAIN: Final = 0x09
TRIES: Final = 3


class PowerError(DeviceError):
    """Fan or laser did not obey."""


def switch_on(unit: OpcUnit) -> Procedure[None]:
    """Switch the laser on, then the fan, and wait until it turns as it should.

    Raises:
        PowerError: one of them does not obey.
        DeviceError: the counter does not answer.
    """
    yield from unit.alone(switch_on_alone(unit))


def switch_off(unit: OpcUnit) -> Procedure[None]:
    """Switch the laser off, then the fan.

    Raises:
        PowerError: one of them does not obey.
        DeviceError: the counter does not answer.
    """
    yield from unit.alone(switch_off_alone(unit))


def set_gain(unit: OpcUnit, *, is_high: bool) -> Procedure[None]:
    """Fix the gain; only a reset lets the counter switch it by itself again.

    Raises:
        DeviceError: the counter does not answer.
    """
    option = HIGH_GAIN if is_high else LOW_GAIN
    yield from unit.alone(commands.write(unit.link, unit.timing, commands.POWER, bytes([option])))


def switch_on_alone(unit: OpcUnit) -> Procedure[None]:
    """Switch on, with the link for itself already; what is on stays as it is, without the waits."""
    unit.may_be_on = True
    for _ in range(TRIES):
        status = yield from read_status_alone(unit)
        if _is_on(status):
            return
        if not status["laser_is_on"]:
            yield from commands.write(unit.link, unit.timing, commands.POWER, bytes([LASER_ON]))
            yield Pause(unit.timing.laser_s)
        if not status["fan_is_on"]:
            yield from commands.write(unit.link, unit.timing, commands.POWER, bytes([FAN_ON]))
            yield Pause(unit.timing.fan_s)
    if not _is_on((yield from read_status_alone(unit))):
        raise PowerError("fan or laser does not switch on; is the supply strong enough?")


def switch_off_alone(unit: OpcUnit) -> Procedure[None]:
    """Switch off, with the link for itself already. One that fails does not keep the other on.

    A counter that does not become ready, however often it is asked, hears nothing: that is told at once.
    """
    problem: DeviceError | None = None
    for _ in range(TRIES):
        problem = None
        for option in (LASER_OFF, FAN_OFF):
            try:
                yield from commands.write(unit.link, unit.timing, commands.POWER, bytes([option]))
            except commands.BrokenAnswerError as error:
                problem = error
        if problem is None and not _any_on((yield from read_status_alone(unit))):
            unit.may_be_on = False
            return
    raise problem or PowerError("fan or laser does not switch off")


def _is_on(status: dict[str, Value]) -> bool:
    return bool(status["fan_is_on"] and status["laser_is_on"])


def _any_on(status: dict[str, Value]) -> bool:
    return bool(status["fan_is_on"] or status["laser_is_on"])


FAN: Final = 0
LASER: Final = 1
LAST_WEIGHTING: Final = 10
_INDEX: Final = "weighting_index"
_TOLERANCE: Final = 1e-6


def write_configuration(unit: OpcUnit, changes: Mapping[str, Value]) -> Procedure[None]:
    """Change configuration variables until power-off, and read them back. The maker advises against it.

    Args:
        unit: the device's.
        changes: by the names and in the units of `packets.CONFIGURATION`; the others stay.

    Raises:
        WriteForbiddenError: the device was opened without `allow_writes`.
        RefusedError: one does not read back as it was written.
        DeviceError: there is no such variable, or the counter does not answer.
    """
    _demand(unit.settings.allow_writes or unit.settings.allow_permanent, "changes the configuration", "allow_writes")
    unknown = changes.keys() - {field.name for field in CONFIGURATION.fields}
    if unknown:
        raise DeviceError(f"no configuration variable is called {', '.join(sorted(unknown))}")
    yield from unit.alone(_write_configuration(unit, changes))


def set_weighting_index(unit: OpcUnit, index: int) -> Procedure[None]:
    """Choose a set of densities by its number, 0 to 10, until power-off; 2 is the factory's.

    Raises:
        WriteForbiddenError: the device was opened without `allow_writes`.
        RefusedError: it does not read back as it was written.
        DeviceError: there is no such set, or the counter does not answer.
    """
    if index not in range(LAST_WEIGHTING + 1):
        raise DeviceError(f"sets of weightings have numbers from 0 to {LAST_WEIGHTING}, not {index}")
    yield from write_configuration(unit, {_INDEX: index})


def set_pot(unit: OpcUnit, channel: int, value: int) -> Procedure[None]:
    """Set the drive of fan (0) or laser (1), 0 to 255. That of the laser invalidates the calibration.

    Raises:
        WriteForbiddenError: for the fan without `allow_writes`, for the laser without `allow_permanent`.
        RefusedError: it does not read back as it was written.
        DeviceError: there is no such channel or value, or the counter does not answer.
    """
    if channel not in (FAN, LASER) or value not in range(256):
        raise DeviceError(f"channels are 0 (fan) and 1 (laser), values 0 to 255, not {channel} and {value}")
    if channel == LASER:
        _demand(unit.settings.allow_permanent, "invalidates the calibration", "allow_permanent")
    _demand(unit.settings.allow_writes or unit.settings.allow_permanent, "changes the drive of the fan", "allow_writes")
    yield from unit.alone(_set_pot(unit, channel, value))


def reset(unit: OpcUnit) -> Procedure[None]:
    """Reset the counter: fan and laser off, gain automatic, configuration as saved.

    Raises:
        DeviceError: the counter does not answer.
    """
    yield from unit.alone(_reset(unit))


def save_configuration(unit: OpcUnit) -> Procedure[None]:
    """Keep the configuration over power-off, in place of the factory's.

    Raises:
        WriteForbiddenError: the device was opened without `allow_permanent`.
        DeviceError: the counter does not answer.
    """
    _demand(unit.settings.allow_permanent, "overwrites the saved configuration", "allow_permanent")
    yield from unit.alone(commands.write(unit.link, unit.timing, commands.SAVE, commands.SAVE_KEY))


def write_serial_string(unit: OpcUnit, text: str) -> Procedure[None]:
    """Write the serial number's text. It can be written once in the life of a counter.

    Raises:
        WriteForbiddenError: the device was opened without `allow_permanent`.
        DeviceError: it is too long or no ASCII, or the counter does not answer.
    """
    _demand(unit.settings.allow_permanent, "writes the serial number for ever", "allow_permanent")
    if not text.isascii() or not text.isprintable() or len(text) > INFORMATION_BYTES:
        raise DeviceError(f"a serial number is up to {INFORMATION_BYTES} printable ASCII characters")
    octets = text.ljust(INFORMATION_BYTES).encode("ascii")
    yield from unit.alone(commands.write(unit.link, unit.timing, commands.WRITE_SERIAL, octets))


def enter_bootloader(unit: OpcUnit) -> Procedure[None]:
    """End the firmware and begin the boot loader; only the maker's program gets it out again.

    Raises:
        WriteForbiddenError: the device was opened without `allow_permanent`.
        DeviceError: the counter does not answer.
    """
    _demand(unit.settings.allow_permanent, "ends the firmware", "allow_permanent")
    yield from unit.alone(commands.read(unit.link, unit.timing, commands.BOOTLOADER, 0))


def _demand(is_allowed: bool, what: str, permission: str) -> None:  # noqa: FBT001 - a condition
    if not is_allowed:
        raise WriteForbiddenError(f"this {what}: open the counter with {permission}=True")


def _reset(unit: OpcUnit) -> Procedure[None]:
    yield from commands.read(unit.link, unit.timing, commands.RESET, 0)
    yield Pause(unit.timing.restart_s)
    unit.forget_time()


def _set_pot(unit: OpcUnit, channel: int, value: int) -> Procedure[None]:
    yield from commands.write(unit.link, unit.timing, commands.SET_POT, bytes([channel, value]))
    status = yield from read_status_alone(unit)
    found = status["laser_pot" if channel == LASER else "fan_pot"]
    if found != value:
        raise RefusedError(f"the drive was set to {value} and reads {found!r}")


def _write_configuration(unit: OpcUnit, changes: Mapping[str, Value]) -> Procedure[None]:
    before = yield from read_configuration_alone(unit)
    octets = CONFIGURATION.encode(before | dict(changes))
    if changes.keys() - {_INDEX}:
        payload = octets[: CONFIGURATION_BYTES - 1]  # the last one is the index, which has a command of its own
        yield from commands.write(unit.link, unit.timing, commands.WRITE_CONFIGURATION, payload)
        yield Pause(unit.timing.restart_s)
    if _INDEX in changes:
        yield from commands.write(unit.link, unit.timing, commands.WEIGHTING_INDEX, octets[-1:])
    after = yield from read_configuration_alone(unit)
    for name, value in changes.items():
        if abs(float(after[name]) - float(value)) > _TOLERANCE:
            raise RefusedError(f"{name} was written as {value!r} and reads {after[name]!r}")
