"""Driver of Xsens units: `Mti`, `AsyncMti`, their controls and family."""

from collections.abc import Mapping, Sequence
from typing import Final

from pygnc_devices.declaration import Record
from pygnc_devices.device import AsyncDevice, BlockingDevice, Opener, UnitDevice, method
from pygnc_devices.engine import Engine, Wire
from pygnc_devices.errors import DeviceError
from pygnc_devices.family import Controls, Family, Setting
from pygnc_devices.snapshot import UnitSnapshot, require_owner
from pygnc_devices.xsens import framing, operations
from pygnc_devices.xsens.items import ITEMS
from pygnc_devices.xsens.layout import is_receivers, item_set
from pygnc_devices.xsens.settings import BAUD, OUTPUTS, SETTINGS, fastest_hz, parse_outputs, setting
from pygnc_devices.xsens.unit import MtUnit


async def describe(unit: MtUnit) -> dict[str, str]:
    """Return identity, outputs and rate of the unit, and its errors."""
    async with operations.configuring(unit):
        identity = await operations.identify(unit)
        outputs = await operations.read_setting(unit, OUTPUTS)
    description = {
        "serial_number": identity.serial_number,
        "model": identity.product,
        "version": identity.firmware,
        "hardware": identity.hardware,
        "baud": str(unit.baud),
        "outputs": outputs,
    }
    if hz := fastest_hz(parse_outputs(setting(OUTPUTS).to_bytes(outputs))):
        description["rate"] = f"{hz} Hz"
    if unit.errors:
        description["errors"] = ", ".join(f"{name} ({count})" for name, count in unit.errors.items())
    return description


async def get(unit: MtUnit, names: Sequence[str]) -> list[Setting]:
    """Return values: the named settings, or all that the unit has."""
    for name in names:
        setting(name)
    if not names:
        return _settings(await operations.read_settings(unit))
    async with operations.configuring(unit):
        return _settings({name: await operations.read_setting(unit, name) for name in names})


async def put(_unit: MtUnit, values: Mapping[str, str]) -> list[Setting]:
    """Refuse: a unit stores all settings.

    Raises:
        DeviceError: always.
    """
    raise DeviceError(f"{', '.join(values)}: an Xsens unit has no settings until power-off; use write to store them")


async def write(unit: MtUnit, values: Mapping[str, str]) -> list[Setting]:
    """Write settings to non-volatile memory."""
    return _settings(await operations.write_settings(unit, values))


class Snapshot(UnitSnapshot, frozen=True, tag="pygnc Xsens settings 1"):
    """Snapshot of a unit: its settings as texts by name, without the baud rate of the line."""

    serial_number: str
    model: str
    settings: dict[str, str]


async def take_snapshot(unit: MtUnit) -> str:
    """Return all settings, without the baud rate, as JSON text."""
    async with operations.configuring(unit):
        identity = await operations.identify(unit)
        values = await operations.read_settings(unit)
    values.pop(BAUD, None)
    return Snapshot(identity.serial_number, identity.product, values).to_json()


async def restore(unit: MtUnit, text: str, to_another_unit: bool) -> list[Setting]:  # noqa: FBT001 - see Controls
    """Restore a snapshot: write the values that differ.

    Raises:
        SnapshotError: the text is not a snapshot, or it belongs to another unit and `to_another_unit` is not set.
    """
    snapshot = Snapshot.from_json(text)
    async with operations.configuring(unit):
        identity = await operations.identify(unit)
        owner = (snapshot.serial_number, snapshot.model)
        require_owner(owner, (identity.serial_number, identity.product), to_another_unit=to_another_unit)
        current = await operations.read_settings(unit)
        return await write(
            unit, {name: value for name, value in snapshot.settings.items() if current.get(name) != value}
        )


def _settings(values: Mapping[str, str]) -> list[Setting]:
    return [
        Setting(name, int(text) if text.isdecimal() else text, "", SETTINGS[name].meaning)
        for name, text in values.items()
    ]


CONTROLS: Final = Controls(
    describe=describe,
    start=operations.start,
    get=get,
    set=put,
    read=get,
    write=write,
    snapshot=take_snapshot,
    restore=restore,
    reset=operations.reset,
)

DEFAULT_BAUD: Final = 115200
WIRE: Final = Wire(framing.scan, framing.LONGEST_FRAME)


def _open(url: str, baud: int = DEFAULT_BAUD) -> tuple[Engine, MtUnit]:
    """Open a unit.

    Args:
        url: serial path, `socket://host:port`, `rfc2217://host:port`, `file://recording.raw`.
        baud: baud rate of the line; on USB, any.

    Raises:
        PortError: the port cannot be opened.
    """
    unit = MtUnit(baud, recover=operations.recover)
    return Engine(url, baud, WIRE, unit), unit


class MtiMethods(UnitDevice[MtUnit]):
    """Methods of the synchronous and the asyncio API; `xsens.operations` documents them and their errors."""

    open = Opener(_open)

    identify = method(operations.identify)
    measure = method(operations.measure)
    read_setting = method(operations.read_setting)
    read_settings = method(operations.read_settings)
    write_settings = method(operations.write_settings)
    filter_profiles = method(operations.filter_profiles)
    self_test = method(operations.self_test)
    reset_orientation = method(operations.reset_orientation)
    store_orientation = method(operations.store_orientation)
    estimate_gyro_bias = method(operations.estimate_gyro_bias)
    reset = method(operations.reset)


class Mti(MtiMethods, BlockingDevice):
    """Synchronous driver."""


class AsyncMti(MtiMethods, AsyncDevice):
    """Driver for asyncio."""


PACKETS: Final[tuple[Record, ...]] = (
    item_set("data", tuple(ITEMS)),
    item_set("gnss", tuple(identifier for identifier in ITEMS if is_receivers(identifier))),
)
"""Readings with all declared items; a unit sends some of them."""

FAMILY: Final = Family(
    name="xsens",
    title="Xsens MTi 1, 10, 100 and 600 series",
    bauds=(DEFAULT_BAUD, 921_600, 460_800),
    rare_bauds=(19_200, 230_400),
    quiet_bauds=(),
    wire=WIRE,
    packets=PACKETS,
    device=Mti,
    async_device=AsyncMti,
    interpreter=MtUnit,
    probe=operations.probe,
    controls=CONTROLS,
)
"""Units measure after power-up: a search for all families needs no further attempts where nothing is heard."""
