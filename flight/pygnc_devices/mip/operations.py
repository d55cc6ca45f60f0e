"""Operations of a unit: identity, settings, streaming, calibration, filter."""

import contextlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from pygnc_devices.declaration import Value
from pygnc_devices.errors import DeviceError, NoAnswerError, RefusedError
from pygnc_devices.family import Found
from pygnc_devices.framing import Frame
from pygnc_devices.mip.actions import action
from pygnc_devices.mip.commands import Function, ask, request
from pygnc_devices.mip.fields import DATA_SETS, FIELDS, FIRST_DATA_SET
from pygnc_devices.mip.framing import field_headers
from pygnc_devices.mip.settings import (
    ALL_FUNCTIONS,
    BASE,
    BAUD,
    FILTER_COMMANDS,
    SETTINGS,
    THREE_DM,
    SettingCommand,
    parse_format,
    setting,
)
from pygnc_devices.mip.unit import MipUnit, decode
from pygnc_devices.scheduler import (
    ANSWER_TIMEOUT_S,
    ANSWER_TRIES,
    Claim,
    Request,
    SetBaud,
    Sleep,
    accept_if,
    agree_on_baud,
    responds,
    retry,
    wait_for,
)

_FLASH_S: Final = 2.0
"""Time limit for writing non-volatile memory."""
_SELF_TEST_S: Final = 6.0
_RESTART_S: Final = 0.5
_RESTART_ATTEMPTS: Final = 20
_SETTLE_S: Final = 0.25
_PROBE_S: Final = 0.1
_PROBES: Final = 2
_STREAM_S: Final = 1.1
"""Time in which a unit that streams sends a packet: the slowest rate is 1 Hz."""
_LONGEST_BIAS_S: Final = 65.535
_DEFAULT_HZ: Final = 100
_BASE_RATES: Final = {0x80: (0x06, 0x83), 0x81: (0x07, 0x84), 0x82: (0x0B, 0x8A)}
"""Command and reply of older models."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Identity of a unit, as the unit reports it; `firmware` is a version such as 1.1.22."""

    firmware: str
    model: str
    model_number: str
    serial_number: str
    lot: str
    options: str


async def ping(_unit: MipUnit) -> None:
    """Check that the unit responds."""
    await ask(request(BASE, 0x01))


async def idle(_unit: MipUnit) -> None:
    """Stop all periodic output until `resume`."""
    await ask(request(BASE, 0x02))


async def resume(_unit: MipUnit) -> None:
    """Resume the periodic output."""
    await ask(request(BASE, 0x06))


async def identify(_unit: MipUnit) -> Identity:
    """Return the identity of the unit."""
    return _identity(await ask(request(BASE, 0x03, reply=0x81), 0x81))


async def descriptors(_unit: MipUnit) -> list[tuple[int, int]]:
    """Return descriptor set and descriptor of each command and data field that the unit supports."""
    data = await ask(request(BASE, 0x04, reply=0x82), 0x82)
    with contextlib.suppress(RefusedError):  # models with more descriptors than one field can hold
        data += await ask(request(BASE, 0x07, reply=0x86), 0x86)
    return sorted(set(zip(data[::2], data[1::2], strict=False)))


async def built_in_test(_unit: MipUnit) -> int:
    """Return the result of the built-in test, 0 if there is no fault; the meaning of its bits depends on the model."""
    step = request(BASE, 0x05, reply=0x83, timeout_s=_SELF_TEST_S, tries=2)
    return int.from_bytes(await ask(step, 0x83), "big")


async def update_gps_time(_unit: MipUnit, week: int, tow_s: int) -> None:
    """Set the unit's GPS time: week, and second of the week.

    Raises:
        RefusedError: the unit keeps no GPS time.
    """
    for number, value in ((1, week), (2, tow_s)):
        await ask(request(BASE, 0x72, struct.pack(">BBI", Function.WRITE, number, value)))


async def reset(unit: MipUnit) -> None:
    """Restart the unit and wait until it responds; values set until power-off are lost."""
    with contextlib.suppress(NoAnswerError):  # it may restart before it responds
        await ask(request(BASE, 0x7E, tries=2))
    unit.volatile.clear()
    unit.reset_rate()
    await retry(lambda: ask(request(BASE, 0x01, tries=1)), _RESTART_ATTEMPTS, _RESTART_S)


async def read_setting(unit: MipUnit, name: str) -> str:
    """Return the value of a setting in effect.

    Raises:
        SettingError: the setting does not exist.
        RefusedError: the unit does not have the setting.
    """
    return await _apply(unit, setting(name), Function.READ)


async def write_setting(unit: MipUnit, name: str, text: str) -> str:
    """Set a value until power-off; return the value in effect.

    Raises:
        SettingError: the setting or the value does not exist.
        RefusedError: the unit refuses the value.
    """
    declaration = setting(name)
    declaration.to_bytes(text)
    if name == BAUD:
        await _change_baud(unit, int(text))
    else:
        await _apply(unit, declaration, Function.WRITE, text)
        unit.volatile.pop(name, None)  # the newest is restored last: settings may have the same content
        if not declaration.is_momentary:
            unit.volatile[name] = text
    unit.reset_rate()
    return await _apply(unit, declaration, Function.READ)


async def save_setting(unit: MipUnit, name: str) -> None:
    """Write the value in effect to non-volatile memory."""
    await _apply(unit, setting(name), Function.SAVE, timeout_s=_FLASH_S)
    unit.volatile.pop(name, None)


async def load_setting(unit: MipUnit, name: str) -> None:
    """Set a value to that in non-volatile memory."""
    await _apply(unit, setting(name), Function.LOAD)
    unit.volatile.pop(name, None)
    unit.reset_rate()


async def reset_setting(unit: MipUnit, name: str) -> None:
    """Set a value to the factory default, until power-off."""
    await _apply(unit, setting(name), Function.DEFAULT)
    unit.volatile.pop(name, None)
    unit.reset_rate()


async def save_all(_unit: MipUnit) -> None:
    """Write all values in effect to non-volatile memory."""
    await _all_settings(Function.SAVE)


async def load_all(unit: MipUnit) -> None:
    """Set all values to those in non-volatile memory."""
    await _all_settings(Function.LOAD)
    unit.volatile.clear()
    unit.reset_rate()


async def reset_all(unit: MipUnit) -> None:
    """Set all values to the factory defaults, until power-off."""
    await _all_settings(Function.DEFAULT)
    unit.volatile.clear()
    unit.reset_rate()


async def base_rate(_unit: MipUnit, data_set: int) -> int:
    """Return the base rate of a data set, Hz."""
    selector = bytes([data_set])
    try:
        data = await ask(request(THREE_DM, 0x0E, selector, reply=0x8E, echo=selector), 0x8E)
    except RefusedError:
        if data_set not in _BASE_RATES:
            raise
        command, reply = _BASE_RATES[data_set]
        return int.from_bytes(await ask(request(THREE_DM, command, reply=reply), reply), "big")
    return int.from_bytes(data[1:], "big")


async def poll(unit: MipUnit, data_set: int, names: Sequence[str]) -> dict[str, Value | None]:
    """Return the values of the named fields of a data set, the first of each; the packet gives readings, too.

    Raises:
        DeviceError: a field does not exist.
        RefusedError: the unit cannot send these fields.
    """
    known = {part.name: key for key, part in FIELDS[data_set].items()}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise DeviceError(f"unknown field {unknown[0]!r}; choose from {', '.join(known)}")
    wanted = bytes(known[name] for name in dict.fromkeys(names))

    def is_polled(frame: Frame) -> bool:
        descriptors = dict.fromkeys(descriptor for descriptor, _ in field_headers(frame.payload))
        return frame.kind == f"{data_set:02X}" and bytes(descriptors) == wanted

    await ask(request(THREE_DM, 0x0D, struct.pack(">BBB", data_set, 0, len(wanted)) + wanted))
    frame = (await Request(b"", accept_if(is_polled), "poll", tries=2, what="the polled packet"))[-1]
    return decode(unit.streams[data_set].layout(frame.payload), frame.payload)


async def capture_gyro_bias(_unit: MipUnit, seconds: float = 5.0) -> tuple[float, float, float]:
    """Measure the bias of the gyro while the unit rests; return the bias, rad/s, which is in effect until power-off."""
    ms = round(1000 * min(seconds, _LONGEST_BIAS_S))
    step = request(THREE_DM, 0x39, ms.to_bytes(2, "big"), reply=0x9B, timeout_s=seconds + _FLASH_S, tries=1)
    x, y, z = struct.unpack(">3f", await ask(step, 0x9B))
    return x, y, z


async def sensor_ranges(_unit: MipUnit, sensor: int) -> dict[int, float]:
    """Return the range by the number of its setting: 1 accelerometer, g; 2 gyro, deg/s; 3 magnetometer, G; 4 hPa."""
    selector = bytes([sensor])
    data = await ask(request(THREE_DM, 0x53, selector, reply=0xD3, echo=selector), 0xD3)
    return dict(struct.iter_unpack(">Bf", data[2 : 2 + 5 * data[1]]))


async def command(_unit: MipUnit, name: str, text: str = "") -> str:
    """Carry out a command of `actions` with the values in a text; return the values of the response.

    Raises:
        SettingError: the command or the values do not exist.
        RefusedError: the unit refuses the command.
        NoAnswerError: the unit does not respond; whether it has acted is unknown. The command is not repeated.
    """
    declaration = action(name)
    data = declaration.values.write(name, text)
    echo = data[: declaration.echo]
    step = request(
        declaration.descriptor_set,
        declaration.command,
        data,
        reply=declaration.reply,
        echo=echo,
        timeout_s=declaration.seconds,
        tries=1,
    )
    found = await ask(step, declaration.reply)
    return "" if declaration.reply is None else declaration.result.read(name, found[len(echo) :])


async def reset_filter(_unit: MipUnit) -> None:
    """Restart the estimation filter."""
    await ask(request(FILTER_COMMANDS, 0x01))


async def run_filter(_unit: MipUnit) -> None:
    """Start the estimation filter, if it waits for this command."""
    await ask(request(FILTER_COMMANDS, 0x05))


async def set_initial_attitude(_unit: MipUnit, roll_rad: float, pitch_rad: float, heading_rad: float) -> None:
    """Initialise the filter with an attitude of the vehicle from north-east-down."""
    await ask(request(FILTER_COMMANDS, 0x02, struct.pack(">3f", roll_rad, pitch_rad, heading_rad)))


async def set_initial_heading(_unit: MipUnit, heading_rad: float) -> None:
    """Initialise the filter with a heading; roll and pitch come from the accelerometer."""
    await ask(request(FILTER_COMMANDS, 0x03, struct.pack(">f", heading_rad)))


async def start(unit: MipUnit) -> None:
    """Make the unit stream the sensor data, unless it streams already; a format that the unit has is kept."""
    if await responds(wait_for(lambda frame: int(frame.kind, 16) >= FIRST_DATA_SET, "stream", _STREAM_S)):
        return
    if await read_setting(unit, "format.sensor") == "none":
        divider = max(1, await base_rate(unit, 0x80) // _DEFAULT_HZ)
        try:
            await write_setting(unit, "format.sensor", _format("reference_time", divider))
        except RefusedError:
            await write_setting(unit, "format.sensor", _format("sensor_timestamp", divider))
    await write_setting(unit, "stream.sensor", "on")
    await resume(unit)


async def learn_formats(unit: MipUnit) -> None:
    """Read the formats of the data sets, so that the first reading already has all columns.

    If a unit does not respond, only one format is requested; its readings get further columns as fields appear.
    """
    try:
        for key, (name, _) in DATA_SETS.items():
            declaration = SETTINGS.get(f"format.{name}")
            if declaration is not None:
                with contextlib.suppress(RefusedError):
                    data = declaration.to_bytes(await _apply(unit, declaration, Function.READ, tries=2))
                    unit.streams[key].expect(descriptor for descriptor, _ in parse_format(data))
    except NoAnswerError:
        pass
    finally:
        unit.is_ready = True


async def recover(unit: MipUnit) -> None:
    """Restore the settings of this session after a reconnection; the unit may have lost its power."""
    for name, text in tuple(unit.volatile.items()):
        await _apply(unit, SETTINGS[name], Function.WRITE, text)


async def probe() -> Found:
    """Identify a unit, for a search; a stream of 5 Hz or more is found without a response, too."""
    kinds: set[str] = set()
    identity = request(BASE, 0x03, reply=0x81)

    def accept(frame: Frame) -> Claim:
        if int(frame.kind, 16) >= FIRST_DATA_SET:
            kinds.add(frame.kind)
        return identity.accept(frame)

    try:
        data = await ask(replace(identity, accept=accept, timeout_s=_PROBE_S, tries=_PROBES), 0x81)
    except NoAnswerError:
        if not kinds:
            raise
        try:
            data = await ask(replace(identity, tries=_PROBES), 0x81)
        except NoAnswerError:
            names = sorted(DATA_SETS.get(int(kind, 16), (kind,))[0] for kind in kinds)
            return Found("", f"streams {', '.join(names)}; does not respond to commands")
    found = _identity(data)
    return Found(found.serial_number, found.model)


def _format(clock: str, divider: int) -> str:
    return ",".join(f"{name}:{divider}" for name in ("scaled_accel", "scaled_gyro", "scaled_mag", clock))


async def _apply(  # noqa: PLR0917 - the parts of a command
    unit: MipUnit,
    declaration: SettingCommand,
    function: Function,
    text: str = "",
    timeout_s: float = ANSWER_TIMEOUT_S,
    tries: int = ANSWER_TRIES,
) -> str:
    """Carry out a command of a setting, with the alternative command if the unit refuses the first one.

    `text` is the value to write. The result is the value that was read, else "".
    """
    other = declaration.alternative
    if other is not None and declaration.name in unit.legacy:
        return await _apply(unit, other, function, text, timeout_s, tries)
    selector = declaration.selector
    if ALL_FUNCTIONS[function - 1] not in declaration.functions:
        raise RefusedError(f"{declaration.name}: units have no command that would {function.name.lower()} it")
    reply = declaration.reply if function is Function.READ else None
    step = request(
        declaration.descriptor_set,
        declaration.command,
        bytes([function]) + selector + (declaration.to_bytes(text) if function is Function.WRITE else b""),
        reply=reply,
        echo=selector if reply is not None else b"",
        timeout_s=timeout_s,
        tries=tries,
    )
    try:
        data = await ask(step, reply)
    except RefusedError as error:
        if other is None:
            raise RefusedError(f"{declaration.name}: {error}") from None
        found = await _apply(unit, other, function, text, timeout_s, tries)
        unit.legacy.add(declaration.name)
        return found
    return "" if reply is None else declaration.to_text(data[len(selector) + declaration.read_only :])


async def _change_baud(unit: MipUnit, baud: int) -> None:
    """Change the baud rate at both ends; if the unit does not respond then, return to the previous rate."""
    with contextlib.suppress(NoAnswerError):  # the response may come at the new baud rate
        await _apply(unit, SETTINGS[BAUD], Function.WRITE, str(baud), tries=1)
    await agree_on_baud(unit, baud, _answers_at)


async def _answers_at(baud: int) -> bool:
    await SetBaud(baud)
    await Sleep(_SETTLE_S)
    return await responds(request(BASE, 0x01, timeout_s=_SETTLE_S, tries=4))


async def _all_settings(function: Function) -> None:
    await ask(request(THREE_DM, 0x30, bytes([function]), timeout_s=_FLASH_S, tries=3))


def _identity(data: bytes) -> Identity:
    number, *texts = struct.unpack_from(">H16s16s16s16s16s", data.ljust(82))
    cleaned = (text.partition(b"\0")[0].decode("latin-1").strip() for text in texts)
    return Identity(f"{number // 1000}.{number // 100 % 10}.{number % 100:02}", *cleaned)
