"""Controls of UCB units: fields by name with values as people write them, and OpenIMU parameters as `user.*`."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from pygnc_devices.errors import AbortedError, NoAnswerError, RefusedError
from pygnc_devices.family import Controls, Setting
from pygnc_devices.ucb import configuration, fields, operations
from pygnc_devices.ucb import openimu_parameters as user
from pygnc_devices.ucb.fields import BAUD, FIELD_TABLE, FILTER_CODE_OF_HZ, ORIENTATION, PACKET_TYPE, RATE, FieldError
from pygnc_devices.ucb.firmware import HOW_TO_RECOVER, UpgradeError
from pygnc_devices.ucb.unit import UcbUnit
from pygnc_devices.ucb.upgrade import is_in_bootloader, upgrade

_USER: Final = "user."
_FILTERS: Final = (0x0005, 0x0006)
_FIND_BOOTLOADER_S: Final = 0.6
_NAMES: Final = {RATE: "rate"}
_HZ: Final = re.compile(r"(\d+)\s*hz", re.IGNORECASE)


async def describe(unit: UcbUnit) -> dict[str, str]:
    """Return identity, settings and status of the unit."""
    identity = await _identify(unit)
    description = {"serial_number": str(identity.serial_number), "model": identity.model, "identity": identity.text}
    try:
        description["version"] = await operations.version(unit)
    except (RefusedError, NoAnswerError):
        description["version"] = identity.text.split()[-1]
    found = await configuration.ask_known("GF", [RATE, PACKET_TYPE, ORIENTATION, *_FILTERS])
    stored = await configuration.ask_known("RF", [RATE])
    description["baud"] = str(unit.baud)
    description |= {
        _NAMES.get(number, FIELD_TABLE[number].name): _text(number, value) for number, value in found.items()
    }
    if stored.get(RATE) != found.get(RATE):
        description["rate_configured"] = FIELD_TABLE[RATE].describe(stored.get(RATE, 0))
    return description | (await _status(unit))


async def get(unit: UcbUnit, names: Sequence[str]) -> list[Setting]:
    """Return values in effect: all fields, or the named ones; parameters of an OpenIMU application are `user.NAME`."""
    return await _ask(unit, "GF", names)


async def read(unit: UcbUnit, names: Sequence[str]) -> list[Setting]:
    """Return values in EEPROM."""
    if any(name.startswith(_USER) for name in names):
        raise FieldError("parameters in flash cannot be read; `get` returns those in effect")
    return await _ask(unit, "RF", names)


async def put(unit: UcbUnit, values: Mapping[str, str]) -> list[Setting]:
    """Set values at once, until power-off."""
    wanted = dict(parse(name, text) for name, text in values.items() if not name.startswith(_USER))
    fields.check_values(wanted)
    code = wanted.pop(BAUD, None)
    settings = _settings(await configuration.set_fields(unit, wanted)) if wanted else []
    settings += await _put_parameters(unit, values)
    if code is not None:  # last: it changes the baud rate of the line
        await configuration.change_baud(unit, fields.BAUD_OF_CODE[code])
        settings += _settings({BAUD: code})
    return settings


async def write(unit: UcbUnit, values: Mapping[str, str]) -> list[Setting]:
    """Write fields to EEPROM, in effect from the next power-up on, and parameters of an application to flash."""
    wanted = dict(parse(name, text) for name, text in values.items() if not name.startswith(_USER))
    settings = _settings(await configuration.write_fields(unit, wanted)) if wanted else []
    parameters = await _put_parameters(unit, values)
    if parameters:
        await user.save_parameters(unit)
    return settings + parameters


def parse(name: str, text: str) -> tuple[int, int]:
    """Return number and value of a field from texts such as 0x14, 50Hz, S1, -y-x-z, 57600.

    Raises:
        FieldError: the field is unknown, or cannot have this value.
    """
    number = fields.field_id(int(name, 0) if name[:1].isdecimal() else name)
    spec = FIELD_TABLE.get(number)
    if spec is None:
        raise FieldError(f"field {number:#06x} is in no table; its values cannot be checked")
    plain = text.replace(" ", "").lower()
    for value, meaning in (spec.legal or {}).items():
        if meaning and plain in {(shown := meaning.replace(" ", "").lower()), shown.removesuffix("baud")}:
            return number, value
    if spec.is_packet_type and len(text) == 2:
        return number, fields.type_value(text)
    corner = _HZ.fullmatch(plain)
    if number in _FILTERS and corner is not None and int(corner[1]) in FILTER_CODE_OF_HZ:
        return number, FILTER_CODE_OF_HZ[int(corner[1])]
    try:
        return number, int(text, 0)
    except ValueError:
        choices = list((spec.legal or {}).values())
        choices += [f"{hz} Hz" for hz in FILTER_CODE_OF_HZ] if number in _FILTERS else []
        hint = f"; choose from {', '.join(choices)}" if choices else ""
        raise FieldError(f"field {number} ({spec.name}): unknown value {text!r}{hint}") from None


async def take_snapshot(unit: UcbUnit) -> str:
    """Return all fields as JSON text."""
    return (await configuration.take_snapshot(unit)).to_json()


async def restore(unit: UcbUnit, text: str, to_another_unit: bool) -> list[Setting]:  # noqa: FBT001 - see Controls
    """Restore a snapshot; return the fields written to EEPROM."""
    kept = configuration.Snapshot.from_json(text)
    return _settings(await configuration.restore_snapshot(unit, kept, to_another_unit=to_another_unit))


async def align_magnetometer(unit: UcbUnit) -> tuple[dict[str, str], bool]:
    """Align the magnetometer while the unit is turned; if aborted, end the alignment."""
    try:
        found = await operations.align_magnetometer(unit)
    except AbortedError:
        await operations.stop_alignment(unit)
        raise
    description = {
        "hard_iron_x": f"{found.hard_iron_x_t * 1e4:.5f} G",
        "hard_iron_y": f"{found.hard_iron_y_t * 1e4:.5f} G",
        "soft_iron_ratio": f"{found.soft_iron_ratio:.5f}",
        "soft_iron_angle": f"{found.soft_iron_angle_rad:.5f} rad",
    }
    return description, found.is_acceptable


async def _ask(unit: UcbUnit, kind: str, names: Sequence[str]) -> list[Setting]:
    parameters = [name.removeprefix(_USER) for name in names if name.startswith(_USER)]
    ids = [fields.field_id(int(name, 0) if name[:1].isdecimal() else name)
           for name in names if not name.startswith(_USER)]  # fmt: skip
    if not names:
        return _settings(await configuration.ask_known(kind, list(FIELD_TABLE)))
    ask = configuration.get_fields if kind == "GF" else configuration.read_fields
    settings = _settings(await ask(unit, ids)) if ids else []
    if "*" in parameters:
        found = await user.get_parameters(unit)
        return [*settings, *(Setting(_USER + name, value) for name, value in found.items())]
    for name in parameters:
        settings.append(Setting(_USER + name, (await user.get_parameter(unit, name))))
    return settings


async def _put_parameters(unit: UcbUnit, values: Mapping[str, str]) -> list[Setting]:
    settings = []
    for name, text in ((name.removeprefix(_USER), text) for name, text in values.items() if name.startswith(_USER)):
        entry = user.parameter(name)
        convert: Callable[[str], int | float | str] = {"int": int, "float": float}.get(entry.kind, str)
        try:
            value = convert(text)
        except ValueError:
            raise user.ParameterError(f"parameter {name}: {text!r} is not of type {entry.kind}") from None
        await user.set_parameter(unit, name, value)
        settings.append(Setting(_USER + name, value))
    return settings


def _settings(values: Mapping[int, int]) -> list[Setting]:
    return [
        Setting(spec.name, value, _text(number, value), spec.meaning)
        for number, value in values.items()
        for spec in [FIELD_TABLE[number]]
    ]


def _text(number: int, value: int) -> str:
    if number in _FILTERS:
        hz = fields.filter_hz(value)
        return f"{hz} Hz" if hz else "unfiltered, or 50 Hz"
    return FIELD_TABLE[number].describe(value)


async def _identify(unit: UcbUnit) -> operations.Identity:
    try:
        return await operations.identify(unit)
    except RefusedError:
        if await is_in_bootloader(unit.baud, _FIND_BOOTLOADER_S):
            raise UpgradeError(f"the unit has no application. {HOW_TO_RECOVER}", is_in_bootloader=True) from None
        raise


async def _status(unit: UcbUnit) -> dict[str, str]:
    try:
        status = await operations.status(unit)
    except (RefusedError, NoAnswerError):
        return {}
    raised = {f"status.{name}": ", ".join(bits) for name, bits in status.items() if bits}
    return raised or {"status": "good"}


CONTROLS: Final = Controls(
    describe=describe,
    get=get,
    set=put,
    read=read,
    write=write,
    snapshot=take_snapshot,
    restore=restore,
    upgrade=upgrade,
    align_magnetometer=align_magnetometer,
    store_alignment=operations.store_alignment,
)
