"""Driver of VectorNav units: `VectorNav`, `AsyncVectorNav`, their controls and family."""

import contextlib
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from pygnc_devices.declaration import Record
from pygnc_devices.device import AsyncDevice, BlockingDevice, Opener, UnitDevice, method
from pygnc_devices.engine import Engine, Wire
from pygnc_devices.errors import RefusedError
from pygnc_devices.family import CalibrationSetting, Controls, Family, HeldCalibration, Setting
from pygnc_devices.snapshot import UnitSnapshot, require_owner
from pygnc_devices.vectornav import framing, operations
from pygnc_devices.vectornav.fields import GROUPS, LINES
from pygnc_devices.vectornav.packets import header_of, is_reserved, record_of
from pygnc_devices.vectornav.registers import ASYNC_RATE, ASYNC_TYPE, ASYNC_TYPES, BAUD, SETTINGS, TAG, setting
from pygnc_devices.vectornav.unit import VectorNavUnit

_OUTPUTS: Final = ("binary.1", "binary.2", "binary.3")


async def describe(unit: VectorNavUnit) -> dict[str, str]:
    """Return identity, outputs and baud rate of the unit."""
    identity = await operations.identify(unit)
    description = {
        "serial_number": identity.serial_number,
        "model": identity.model,
        "hardware": identity.hardware,
        "version": identity.firmware,
        "baud": str(unit.baud),
    }
    values = await _values(unit, (TAG, ASYNC_TYPE, ASYNC_RATE, *_OUTPUTS))
    if values.get(ASYNC_TYPE, ASYNC_TYPES[0]) != ASYNC_TYPES[0]:
        description["line"] = values[ASYNC_TYPE]
        description["rate"] = f"{values.get(ASYNC_RATE, '?')} Hz"
    outputs = {name: values[name] for name in _OUTPUTS if values.get(name, ASYNC_TYPES[0]) != ASYNC_TYPES[0]}
    description |= outputs | ({TAG: values[TAG]} if values.get(TAG) else {})
    return description


async def get(unit: VectorNavUnit, names: Sequence[str]) -> list[Setting]:
    """Return values in effect: the named settings, or all that the unit has."""
    if names:
        return [_setting(name, await operations.read_setting(unit, name)) for name in names]
    return [_setting(name, text) for name, text in (await _values(unit, SETTINGS)).items()]


async def put(unit: VectorNavUnit, values: Mapping[str, str]) -> list[Setting]:
    """Set values until power-off, if all are values. The baud rate comes last: it changes the line."""
    order = sorted(values, key=lambda name: setting(name).name == BAUD)
    for name in order:
        await operations.check_setting(unit, name, values[name])
    return [_setting(name, await operations.write_setting(unit, name, values[name])) for name in order]


async def write(unit: VectorNavUnit, values: Mapping[str, str]) -> list[Setting]:
    """Set values, and write all settings in effect to non-volatile memory: a unit cannot write a single one."""
    settings = await put(unit, values)
    if values:
        await operations.save(unit)
    return settings


class Snapshot(UnitSnapshot, frozen=True, tag="pygnc VectorNav settings 1"):
    """Snapshot of a unit: its settings as texts by name, without the baud rate of the line."""

    serial_number: str
    model: str
    settings: dict[str, str]


async def take_snapshot(unit: VectorNavUnit) -> str:
    """Return all settings in effect, without the baud rate, as JSON text."""
    identity = await operations.identify(unit)
    return Snapshot(identity.serial_number, identity.model, await _values(unit, _RESTORED)).to_json()


async def restore(unit: VectorNavUnit, text: str, to_another_unit: bool) -> list[Setting]:  # noqa: FBT001 - see Controls
    """Restore a snapshot: set the values that differ and write them to non-volatile memory.

    Raises:
        SnapshotError: the text is not a snapshot, or it belongs to another unit and `to_another_unit` is not set.
    """
    snapshot, identity = Snapshot.from_json(text), await operations.identify(unit)
    owner = (snapshot.serial_number, snapshot.model)
    require_owner(owner, (identity.serial_number, identity.model), to_another_unit=to_another_unit)
    current = await _values(unit, [setting(name).name for name in snapshot.settings])
    return await write(unit, {name: value for name, value in snapshot.settings.items() if current.get(name) != value})


async def _values(unit: VectorNavUnit, names: Sequence[str] | Mapping[str, object]) -> dict[str, str]:
    values = {}
    for name in names:
        with contextlib.suppress(RefusedError):  # the model does not have the register
            values[name] = await operations.read_setting(unit, name)
    return values


def _setting(name: str, text: str) -> Setting:
    return Setting(name, int(text) if text.isdecimal() else text, "", SETTINGS[name].meaning)


_RESTORED: Final = tuple(name for name in SETTINGS if name != BAUD)
CONTROLS: Final = Controls(
    describe=describe,
    start=operations.start,
    stream=operations.stream,
    get=get,
    set=put,
    write=write,
    snapshot=take_snapshot,
    restore=restore,
    reset=operations.reset,
)

DEFAULT_BAUD: Final = 115200
WIRE: Final = Wire(framing.scan, framing.LONGEST)


def _open(url: str, baud: int = DEFAULT_BAUD) -> tuple[Engine, VectorNavUnit]:
    """Open a unit, and read whether its lines have checksums.

    Args:
        url: serial path, `socket://host:port`, `rfc2217://host:port`, `file://recording.raw`.
        baud: baud rate of the line.

    Raises:
        PortError: the port cannot be opened.
    """
    unit = VectorNavUnit(baud, recover=operations.recover)
    engine = Engine(url, baud, WIRE, unit)
    engine.run_while_connected(partial(operations.learn, unit))
    return engine, unit


class VectorNavMethods(UnitDevice[VectorNavUnit]):
    """Methods of the synchronous and the asyncio API; `vectornav.operations` documents them and their errors."""

    open = Opener(_open)

    identify = method(operations.identify)
    reset = method(operations.reset)
    read_register = method(operations.read_register)
    write_register = method(operations.write_register)
    read_setting = method(operations.read_setting)
    write_setting = method(operations.write_setting)
    save = method(operations.save)
    restore_factory = method(operations.restore_factory)
    tare = method(operations.tare)
    set_gyro_bias = method(operations.set_gyro_bias)
    set_known_disturbance = method(operations.set_known_disturbance)
    set_streaming = method(operations.set_streaming)


class VectorNav(VectorNavMethods, BlockingDevice):
    """Synchronous driver."""


class AsyncVectorNav(VectorNavMethods, AsyncDevice):
    """Driver for asyncio."""


def _group_records() -> list[Record]:
    headers = (
        header_of((number, field.bit) for field in fields if not is_reserved(field))
        for number, (_, fields) in GROUPS.items()
    )
    return [record for record in map(record_of, headers) if record is not None]


PACKETS: Final[tuple[Record, ...]] = (*LINES.values(), *_group_records())
"""Lines without appended fields, and for each group a packet with all fields; a unit sends some of them."""

CALIBRATION: Final = HeldCalibration(
    accelerometer=CalibrationSetting("calibration.accel"),
    gyro=CalibrationSetting("calibration.gyro"),
    rotation="rotation",
    unrotated=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0),
)
FAMILY: Final = Family(
    name="vectornav",
    title="VectorNav VN-100, VN-200, VN-300",
    bauds=(DEFAULT_BAUD, 921_600, 230_400),
    rare_bauds=(19200, 460_800),
    quiet_bauds=(DEFAULT_BAUD,),
    wire=WIRE,
    packets=PACKETS,
    device=VectorNav,
    async_device=AsyncVectorNav,
    interpreter=VectorNavUnit,
    probe=operations.probe,
    controls=CONTROLS,
    calibration=CALIBRATION,
)
