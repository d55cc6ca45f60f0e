"""Driver of MicroStrain units with the MIP protocol: `Mip`, `AsyncMip`, their controls and family."""

import contextlib
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final
from urllib.parse import urlsplit

from pygnc_devices.declaration import Record
from pygnc_devices.device import AsyncDevice, BlockingDevice, Opener, UnitDevice, method
from pygnc_devices.engine import Engine, Wire
from pygnc_devices.errors import NoAnswerError, RefusedError, SettingError
from pygnc_devices.family import CalibrationSetting, Controls, Family, HeldCalibration, Setting
from pygnc_devices.mip import framing, operations
from pygnc_devices.mip.fields import DATA_SETS, SHARED
from pygnc_devices.mip.settings import BAUD, SETTINGS, parse_format, setting
from pygnc_devices.mip.unit import MipUnit, field_set
from pygnc_devices.snapshot import UnitSnapshot, require_owner
from pygnc_devices.units import STANDARD_GRAVITY_MPS2

_log = logging.getLogger(__name__)


async def describe(unit: MipUnit) -> dict[str, str]:
    """Return identity, rates and baud rate of the unit."""
    identity = await operations.identify(unit)
    description = {
        "serial_number": identity.serial_number,
        "model": identity.model,
        "model_number": identity.model_number,
        "lot": identity.lot,
        "options": identity.options,
        "version": identity.firmware,
        "baud": str(unit.baud),
    }
    for key, (name, _) in DATA_SETS.items():
        if f"format.{name}" in SETTINGS and (hz := await _fastest_hz(unit, name, key)):
            description["rate" if name == "sensor" else f"rate_{name}"] = f"{hz:g} Hz"
    return description


async def get(unit: MipUnit, names: Sequence[str]) -> list[Setting]:
    """Return values in effect: the named settings, or all that the unit has."""
    if names:
        return [_setting(name, await operations.read_setting(unit, name)) for name in names]
    found = await _all_values(unit)
    return [_setting(name, text) for name, text in found.items()]


async def put(unit: MipUnit, values: Mapping[str, str]) -> list[Setting]:
    """Set values until power-off. The baud rate comes last: it changes the line."""
    _check(values)
    order = sorted(values, key=lambda name: name == BAUD)
    return [_setting(name, await operations.write_setting(unit, name, values[name])) for name in order]


async def write(unit: MipUnit, values: Mapping[str, str]) -> list[Setting]:
    """Set values and write them to non-volatile memory.

    Raises:
        SettingError: a setting or a value does not exist, or cannot be saved; no value is set then.
    """
    unsaved = [name for name in values if "s" not in setting(name).functions]
    if unsaved:
        raise SettingError(f"{unsaved[0]}: units cannot save it; set it without saving")
    settings = await put(unit, values)
    for name in values:
        await operations.save_setting(unit, name)
    return settings


class Snapshot(UnitSnapshot, frozen=True, tag="pygnc MIP settings 1"):
    """Snapshot of a unit: its settings as texts by name, without the baud rate of the line."""

    serial_number: str
    model: str
    settings: dict[str, str]


async def take_snapshot(unit: MipUnit) -> str:
    """Return all settings in effect, without the baud rate, as JSON text."""
    identity = await operations.identify(unit)
    values = await _all_values(unit)
    kept = {name: text for name, text in values.items() if name != BAUD and SETTINGS[name].is_stored}
    return Snapshot(identity.serial_number, identity.model, kept).to_json()


async def restore(unit: MipUnit, text: str, to_another_unit: bool) -> list[Setting]:  # noqa: FBT001 - see Controls
    """Restore a snapshot: set the values that differ and write them to non-volatile memory.

    Raises:
        SnapshotError: the text is not a snapshot, or it belongs to another unit and `to_another_unit` is not set.
    """
    snapshot, identity = Snapshot.from_json(text), await operations.identify(unit)
    owner = (snapshot.serial_number, snapshot.model)
    require_owner(owner, (identity.serial_number, identity.model), to_another_unit=to_another_unit)
    _check(snapshot.settings)
    current = await _all_values(unit)
    return await write(unit, {name: value for name, value in snapshot.settings.items() if current.get(name) != value})


async def _all_values(unit: MipUnit) -> dict[str, str]:
    known: set[tuple[int, int]] = set()
    with contextlib.suppress(RefusedError):  # then each setting is asked for
        known = set(await operations.descriptors(unit))
    values = {}
    for name, entry in SETTINGS.items():
        if not known or any((one.descriptor_set, one.command) in known for one in entry.commands):
            try:
                values[name] = await operations.read_setting(unit, name)
            except RefusedError:  # the model does not have the setting
                pass
            except SettingError as error:
                _log.warning("%s; the setting is left out", error)
    return values


async def _fastest_hz(unit: MipUnit, name: str, data_set: int) -> float | None:
    """Return the rate of the packets of a data set, Hz; None if the unit does not send it."""
    try:
        if await operations.read_setting(unit, f"stream.{name}") == "off":
            return None
        data = setting(f"format.{name}").to_bytes(await operations.read_setting(unit, f"format.{name}"))
        dividers = [divider for _, divider in parse_format(data) if divider]
        return await operations.base_rate(unit, data_set) / min(dividers) if dividers else None
    except (RefusedError, NoAnswerError):
        return None


def _check(values: Mapping[str, str]) -> None:
    for name, text in values.items():
        setting(name).to_bytes(text)


def _setting(name: str, text: str) -> Setting:
    number = text if not text.isdecimal() else int(text)
    return Setting(name, number, "", SETTINGS[name].meaning)


CONTROLS: Final = Controls(
    describe=describe,
    start=operations.start,
    get=get,
    set=put,
    write=write,
    snapshot=take_snapshot,
    restore=restore,
    command=operations.command,
    reset=operations.reset,
)


DEFAULT_BAUD: Final = 115200
WIRE: Final = Wire(framing.scan, framing.LONGEST_FRAME)


def _open(url: str, baud: int = DEFAULT_BAUD) -> tuple[Engine, MipUnit]:
    """Open a unit, and read which fields its packets have.

    Args:
        url: serial path, `socket://host:port`, `rfc2217://host:port`, `file://recording.raw`.
        baud: baud rate of the line; on USB, any.

    Raises:
        PortError: the port cannot be opened.
    """
    unit = MipUnit(baud, recover=operations.recover)
    unit.is_ready = urlsplit(url).scheme == "file"
    engine = Engine(url, baud, WIRE, unit)
    engine.run_while_connected(partial(operations.learn_formats, unit))
    return engine, unit


class MipMethods(UnitDevice[MipUnit]):
    """Methods of the synchronous and the asyncio API; `mip.operations` documents them and their errors."""

    open = Opener(_open)

    ping = method(operations.ping)
    idle = method(operations.idle)
    resume = method(operations.resume)
    identify = method(operations.identify)
    descriptors = method(operations.descriptors)
    built_in_test = method(operations.built_in_test)
    update_gps_time = method(operations.update_gps_time)
    reset = method(operations.reset)
    poll = method(operations.poll)
    base_rate = method(operations.base_rate)
    read_setting = method(operations.read_setting)
    write_setting = method(operations.write_setting)
    save_setting = method(operations.save_setting)
    load_setting = method(operations.load_setting)
    reset_setting = method(operations.reset_setting)
    save_all = method(operations.save_all)
    load_all = method(operations.load_all)
    reset_all = method(operations.reset_all)
    command = method(operations.command)
    capture_gyro_bias = method(operations.capture_gyro_bias)
    sensor_ranges = method(operations.sensor_ranges)
    reset_filter = method(operations.reset_filter)
    run_filter = method(operations.run_filter)
    set_initial_attitude = method(operations.set_initial_attitude)
    set_initial_heading = method(operations.set_initial_heading)


class Mip(MipMethods, BlockingDevice):
    """Synchronous driver."""


class AsyncMip(MipMethods, AsyncDevice):
    """Driver for asyncio."""


PACKETS: Final[tuple[Record, ...]] = tuple(field_set(name, (*fields, *SHARED)) for name, fields in DATA_SETS.values())
"""Readings of the data sets with all declared fields; a unit sends some of them."""

CALIBRATION: Final = HeldCalibration(
    accelerometer=CalibrationSetting("accel_bias", 1.0 / STANDARD_GRAVITY_MPS2, has_matrix=False),
    gyro=CalibrationSetting("gyro_bias", has_matrix=False),
    rotation="transformation",
    unrotated=(0.0, 0.0, 0.0),
)
FAMILY: Final = Family(
    name="mip",
    title="MicroStrain MIP: 3DM-GX3-45, GX4, GX5, CV5, CV7, GQ7",
    bauds=(DEFAULT_BAUD, 921_600, 460_800),
    rare_bauds=(19200, 230_400),
    wire=WIRE,
    packets=PACKETS,
    device=Mip,
    async_device=AsyncMip,
    interpreter=MipUnit,
    probe=operations.probe,
    controls=CONTROLS,
    calibration=CALIBRATION,
)
