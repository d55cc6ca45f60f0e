"""Changing a counter. What lasts until it is switched off needs `allow_writes`, what lasts longer `allow_permanent`."""

from collections.abc import Mapping
from typing import Final

from pygnc_devices.declaration import Value
from pygnc_devices.errors import DeviceError, RefusedError, WriteForbiddenError
from pygnc_devices.opc_n3 import commands
from pygnc_devices.opc_n3.packets import CONFIGURATION, CONFIGURATION_BYTES, INFORMATION_BYTES
from pygnc_devices.opc_n3.procedures import read_configuration_alone, read_status_alone
from pygnc_devices.opc_n3.unit import OpcUnit
from pygnc_devices.procedure import Pause, Procedure

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
