"""Driver of Aceinna DMU380, DMU381, IMU380 to IMU383, OpenIMU: `Ucb`, `AsyncUcb`, their controls and family."""

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Final

from pygnc_devices.declaration import Packet
from pygnc_devices.device import AsyncDevice, BlockingDevice, Opener, UnitDevice, method
from pygnc_devices.engine import Engine, Wire
from pygnc_devices.errors import AbortedError, NoAnswerError, RefusedError
from pygnc_devices.family import Controls, Family, Setting
from pygnc_devices.scheduler import Procedure
from pygnc_devices.ucb import configuration, fields, framing, operations
from pygnc_devices.ucb import openimu as user
from pygnc_devices.ucb import upgrade as firmware
from pygnc_devices.ucb.fields import BAUD, FIELD_TABLE, FILTER_CODE_OF_HZ, ORIENTATION, PACKET_TYPE, RATE, FieldError
from pygnc_devices.ucb.firmware import HOW_TO_RECOVER, UpgradeError
from pygnc_devices.ucb.unit import PACKETS, UcbUnit
from pygnc_devices.ucb.upgrade import check_upgrade, is_in_bootloader, upgrade

_USER: Final = "user."
_FILTERS: Final = (0x0005, 0x0006)
_FIND_BOOTLOADER_S: Final = 0.6
_HZ: Final = re.compile(r"(\d+)\s*hz", re.IGNORECASE)


async def describe(unit: UcbUnit) -> dict[str, str]:
    """Return identity, settings and status of the unit."""
    identity = await _identify(unit)
    description = {"serial_number": str(identity.serial_number), "model": identity.model, "identity": identity.text}
    try:
        found = await configuration.ask_known("GF", [RATE, PACKET_TYPE, ORIENTATION, *_FILTERS])
    except NoAnswerError:  # an application with lower-case commands only
        parameters = await user.get_parameters(unit)
        description |= {"version": await user.user_version(unit), "baud": str(unit.baud)}
        return description | {_USER + name: str(value) for name, value in parameters.items()}
    try:
        description["version"] = await operations.version(unit)
    except (RefusedError, NoAnswerError):
        description["version"] = identity.text.rpartition(" ")[2]
    stored = await configuration.ask_known("RF", [RATE])
    description["baud"] = str(unit.baud)
    description |= {
        "rate" if number == RATE else FIELD_TABLE[number].name: _text(number, value) for number, value in found.items()
    }
    if stored.get(RATE) != found.get(RATE):
        description["rate_configured"] = FIELD_TABLE[RATE].describe(stored.get(RATE, 0))
    return description | (await _status(unit))


async def get(unit: UcbUnit, names: Sequence[str]) -> list[Setting]:
    """Return values in effect: all fields, or `names`; `user.NAME` is a parameter of an OpenIMU application."""
    settings = await _ask_fields(unit, "GF", names)
    for name in names:
        if name == f"{_USER}*":
            settings += [Setting(_USER + key, value) for key, value in (await user.get_parameters(unit)).items()]
        elif name.startswith(_USER):
            settings.append(Setting(name, await user.get_parameter(unit, name.removeprefix(_USER))))
    return settings


async def read(unit: UcbUnit, names: Sequence[str]) -> list[Setting]:
    """Return values in EEPROM: all fields, or the named fields."""
    for name in names:
        if name.startswith(_USER):
            raise FieldError(f"{name}: parameters in flash cannot be read; use `get` for the values in effect")
    return await _ask_fields(unit, "RF", names)


async def put(unit: UcbUnit, values: Mapping[str, str]) -> list[Setting]:
    """Set values at once, until power-off."""
    wanted = _parse_fields(values)
    fields.check_values(wanted)
    code = wanted.pop(BAUD, None)
    settings = await _settings(unit, await configuration.set_fields(unit, wanted)) if wanted else []
    settings += await _put_parameters(unit, values)
    if code is not None:  # last: it changes the baud rate of the line
        await configuration.change_baud(unit, fields.BAUD_OF_CODE[code])
        settings += await _settings(unit, {BAUD: code})
    return settings


async def write(unit: UcbUnit, values: Mapping[str, str]) -> list[Setting]:
    """Write fields to EEPROM, in effect from the next power-up on, and parameters of an application to flash."""
    wanted = _parse_fields(values)
    settings = await _settings(unit, await configuration.write_fields(unit, wanted)) if wanted else []
    parameters = await _put_parameters(unit, values)
    if parameters:
        await user.save_parameters(unit)
    return settings + parameters


async def take_snapshot(unit: UcbUnit) -> str:
    """Return all fields as JSON text."""
    return (await configuration.take_snapshot(unit)).to_json()


async def restore(unit: UcbUnit, text: str, to_another_unit: bool) -> list[Setting]:  # noqa: FBT001 - see Controls
    """Restore a snapshot; return the fields written to EEPROM, and the parameters written to flash."""
    snapshot = configuration.Snapshot.from_json(text)
    changed = await configuration.restore_snapshot(unit, snapshot, to_another_unit=to_another_unit)
    restored = await _settings(unit, {key: int(value) for key, value in changed.items() if isinstance(key, int)})
    return restored + [Setting(_USER + key, value) for key, value in changed.items() if isinstance(key, str)]


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


def _field_id(name: str) -> int:
    if name == "rate":  # as `describe` and the heads of logs show it
        return RATE
    return fields.field_id(int(name, 0) if name[:1].isdecimal() else name)


def _parse_fields(values: Mapping[str, str]) -> dict[int, int]:
    numbers = {_field_id(name): text for name, text in values.items() if not name.startswith(_USER)}
    return {number: _parse(number, text) for number, text in numbers.items()}


def _parse(number: int, text: str) -> int:
    """Return the value of a field from a text such as 0x14, 50Hz, S1, -y-x-z, 57600."""
    spec = FIELD_TABLE.get(number)
    if spec is None:
        raise FieldError(f"unknown field {number:#06x}; its values cannot be checked")
    plain = text.replace(" ", "").lower()
    for value, meaning in (spec.legal or {}).items():
        if meaning and plain in {(shown := meaning.replace(" ", "").lower()), shown.removesuffix("baud")}:
            return value
    if spec.is_packet_type and len(text) == 2:
        return fields.type_value(text)
    corner = _HZ.fullmatch(plain)
    if number in _FILTERS and corner is not None and int(corner[1]) in FILTER_CODE_OF_HZ:
        return FILTER_CODE_OF_HZ[int(corner[1])]
    try:
        return int(text, 0)
    except ValueError:
        choices = list((spec.legal or {}).values())
        choices += [f"{hz} Hz" for hz in FILTER_CODE_OF_HZ] if number in _FILTERS else []
        hint = f"choose from {', '.join(choices)}" if choices else "use a whole number"
        raise FieldError(f"field {number} ({spec.name}): unknown value {text!r}; {hint}") from None


async def _ask_fields(unit: UcbUnit, kind: str, names: Sequence[str]) -> list[Setting]:
    if not names:
        return await _settings(unit, await configuration.ask_known(kind, list(FIELD_TABLE)))
    ids = [_field_id(name) for name in names if not name.startswith(_USER)]
    ask = configuration.get_fields if kind == "GF" else configuration.read_fields
    return await _settings(unit, await ask(unit, ids)) if ids else []


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


async def _settings(unit: UcbUnit, values: Mapping[int, int]) -> list[Setting]:
    model = ""
    if fields.HARD_IRON & values.keys():
        with contextlib.suppress(NoAnswerError, RefusedError):
            model = (await operations.identify(unit)).model
    return [
        Setting(spec.name, value, _text(number, value, model), spec.meaning)
        for number, value in values.items()
        for spec in [FIELD_TABLE[number]]
    ]


def _text(number: int, value: int, model: str = "") -> str:
    if number in _FILTERS:
        hz = fields.filter_hz(value)
        return f"{hz} Hz" if hz else "unfiltered, or 50 Hz"
    return FIELD_TABLE[number].describe(value, model)


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
    stream=lambda unit, rate_hz: configuration.set_rate(unit, int(rate_hz)),
    get=get,
    set=put,
    read=read,
    write=write,
    snapshot=take_snapshot,
    restore=restore,
    upgrade=upgrade,
    check_upgrade=check_upgrade,
    reset=operations.restart,
    align_magnetometer=align_magnetometer,
    store_alignment=operations.store_alignment,
)


DEFAULT_BAUD: Final = 115200
_CLOSING_S: Final = 5.0
"""Enough to restore the rate: longer than all attempts of a command."""
WIRE: Final = Wire(framing.scan, framing.LONGEST_FRAME, closing_limit_s=_CLOSING_S)


def _open(
    url: str, baud: int = DEFAULT_BAUD, *, user_packets: Iterable[Packet] = (), magnetic_range: float = 20.0
) -> tuple[Engine, UcbUnit]:
    """Open a unit.

    Args:
        url: serial path, `socket://host:port`, `rfc2217://host:port`, `file://recording.raw`.
        baud: baud rate of the line; units are delivered with 115200, the IMU380 with 38400.
        user_packets: additional declarations; see `openimu.packets_from_json`.
        magnetic_range: range of the 65536 counts of the magnetometer, gauss; 2 for the NAV440.

    Raises:
        PortError: the port cannot be opened.
    """
    unit = UcbUnit(baud, user_packets, magnetic_range, recover=configuration.recover)
    engine = Engine(url, baud, WIRE, unit)
    engine.run_while_connected(partial(operations.follow_rate, unit))
    return engine, unit


class UcbMethods(UnitDevice[UcbUnit]):
    """Methods of the synchronous and the asyncio API; the operations modules document them and their errors."""

    open = Opener(_open)

    ping = method(operations.ping)
    echo = method(operations.echo)
    identify = method(operations.identify)
    version = method(operations.version)
    get_packet = method(operations.get_packet)
    read_words = method(operations.read_words)
    status = method(operations.status)
    reset_algorithm = method(operations.reset_algorithm)
    restart = method(operations.restart)
    reset_program = method(operations.reset_program)
    level = method(operations.level)
    align_magnetometer = method(operations.align_magnetometer)
    start_alignment = method(operations.start_alignment)
    stop_alignment = method(operations.stop_alignment)
    store_alignment = method(operations.store_alignment)

    get_fields = method(configuration.get_fields)
    read_fields = method(configuration.read_fields)
    set_fields = method(configuration.set_fields)
    write_fields = method(configuration.write_fields)
    set_rate = method(configuration.set_rate)
    set_packet_type = method(configuration.set_packet_type)
    change_baud = method(configuration.change_baud)
    take_snapshot = method(configuration.take_snapshot)
    restore_snapshot = method(configuration.restore_snapshot)
    upgrade = method(firmware.upgrade)

    user_ping = method(user.user_ping)
    user_version = method(user.user_version)
    get_parameter = method(user.get_parameter)
    get_parameters = method(user.get_parameters)
    get_parameter_range = method(user.get_parameter_range)
    set_parameter = method(user.set_parameter)
    set_parameters = method(user.set_parameters)
    set_parameter_range = method(user.set_parameter_range)
    save_parameters = method(user.save_parameters)
    restore_default_parameters = method(user.restore_default_parameters)
    user_mag_align = method(user.user_mag_align)
    user_reset = method(user.user_reset)


class Ucb(UcbMethods, BlockingDevice):
    """Synchronous driver."""

    @contextmanager
    def quiet(self) -> Generator[None, None, None]:
        """Stop the stream within a `with` block, and restore it in every case, exceptions and Ctrl-C included.

        Use this on lines near their capacity; otherwise commands work while the unit streams. The engine's thread
        restores the rate even if a second Ctrl-C ends the wait for the restoration.
        """
        stopping = Procedure(configuration.go_quiet(self.unit))
        try:
            self.engine.submit(stopping)
            stopping.result()
            yield
        finally:
            try:
                restoring = self._restore(stopping)
            except BaseException:  # Ctrl-C
                self._restore(stopping)
                raise
            restoring.result()

    def _restore(self, stopping: Procedure[int]) -> Procedure[None]:
        self.engine.abort(stopping)
        return self.engine.start(configuration.undo_quiet(self.unit, stopping.future))


class AsyncUcb(UcbMethods, AsyncDevice):
    """Driver for asyncio."""

    @asynccontextmanager
    async def quiet(self) -> AsyncGenerator[None, None]:
        """Stop the stream; see `Ucb.quiet`. Cancelling counts as an exception."""
        stopping = self.engine.start(configuration.go_quiet(self.unit))
        try:
            await asyncio.wrap_future(stopping.future)
            yield
        finally:
            self.engine.abort(stopping)
            restoring = self.engine.start(configuration.undo_quiet(self.unit, stopping.future))
            await asyncio.shield(asyncio.wrap_future(restoring.future))


FAMILY: Final = Family(
    name="ucb",
    title="Aceinna DMU38x, IMU38x, OpenIMU",
    bauds=(115200, 57600, 38400),
    rare_bauds=(19200, 230_400),
    wire=WIRE,
    packets=tuple(PACKETS.values()),
    device=Ucb,
    async_device=AsyncUcb,
    interpreter=UcbUnit,
    probe=operations.probe,
    controls=CONTROLS,
)
