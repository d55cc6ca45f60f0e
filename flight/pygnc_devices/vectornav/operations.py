"""Operations of a unit: identity, registers, streaming, calibration.

A command is a line; the response has the same name, and for a register its number. An error is `$VNERR,` and a code in
hexadecimal. The response to a write equals the request on many units, so that a line which returns what is sent is
detected by reading a register first. Source: VectorNav SDK 0.99 (`Commands.hpp`, `Errors.hpp`).
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from pygnc_devices.errors import DeviceError, NoAnswerError, RefusedError
from pygnc_devices.family import Found
from pygnc_devices.framing import Frame
from pygnc_devices.scheduler import (
    ANSWER_TIMEOUT_S,
    ANSWER_TRIES,
    Claim,
    Request,
    SetBaud,
    Sleep,
    agree_on_baud,
    responds,
    retry,
    wait_for,
)
from pygnc_devices.vectornav.fields import LINES
from pygnc_devices.vectornav.framing import UNKNOWN, make_line
from pygnc_devices.vectornav.registers import (
    ASYNC_RATE,
    ASYNC_TYPE,
    ASYNC_TYPES,
    BAUD,
    PROTOCOL,
    SETTINGS,
    setting,
)
from pygnc_devices.vectornav.unit import VectorNavUnit, bare_kind

ERRORS: Final = {
    0x01: "hard fault",
    0x02: "serial buffer overflow",
    0x03: "invalid checksum",
    0x04: "invalid command",
    0x05: "not enough parameters",
    0x06: "too many parameters",
    0x07: "invalid parameter",
    0x08: "invalid register",
    0x09: "unauthorized access",
    0x0A: "watchdog reset",
    0x0B: "output buffer overflow",
    0x0C: "insufficient baud rate",
    0xFF: "error buffer overflow",
}
_NO_RESPONSE: Final = frozenset((0x01, 0x0A, 0x0B, 0xFF))
"""Errors that a unit reports by itself."""
_DAMAGED: Final = frozenset((0x02, 0x03))
"""Errors of the line, after which the request is repeated."""
_READ, _WRITE, _ERROR = "RRG", "WRG", "ERR"
_FLASH_S: Final = 2.0
"""Time limit for writing non-volatile memory."""
_RESTART_S: Final = 0.5
_RESTART_ATTEMPTS: Final = 20
_SETTLE_S: Final = 0.25
_PROBE_S: Final = 0.12
_STREAM_S: Final = 1.1
"""Time in which a unit that streams sends a line: the slowest rate is 1 Hz."""
_DEFAULT_LINE: Final = "YMR"


@dataclass(frozen=True, slots=True)
class Identity:
    """Identity of a unit, as the unit reports it."""

    model: str
    hardware: str
    serial_number: str
    firmware: str


def request(text: str, *, timeout_s: float = ANSWER_TIMEOUT_S, tries: int = ANSWER_TRIES) -> Request:
    """Return the request of a command, such as RRG,01.

    Args:
        text: name of the command and parameters.
        timeout_s: time limit for the response, s.
        tries: largest number of attempts.
    """
    name, *parameters = text.split(",")
    number = int(parameters[0]) if name in {_READ, _WRITE} else None

    def accept(frame: Frame) -> Claim:
        kind = bare_kind(frame)
        if kind == _ERROR:
            return Claim.NO if _error_code(frame) in _NO_RESPONSE | _DAMAGED else Claim.LAST
        if kind != name:
            return Claim.NO
        first, comma, _ = frame.payload.decode("ascii").partition(",")
        has_value = name == _WRITE or comma != ""
        is_mine = number is None or (first.isdecimal() and int(first) == number and has_value)
        return Claim.LAST if is_mine else Claim.NO

    what = f"command {name}" if number is None else f"command {name} of register {number}"
    return Request(make_line(text), accept, "command", timeout_s, tries, what=what, may_be_equal=name != _READ)


async def ask(step: Request) -> list[str]:
    """Send a command; return the words of the response.

    Raises:
        RefusedError: the unit refuses the command; the message names the error.
        NoAnswerError: the unit does not respond.
    """
    frame = (await step)[-1]
    if bare_kind(frame) == _ERROR:
        code = _error_code(frame)
        raise RefusedError(f"the unit refuses {step.what}: {ERRORS.get(code, f'error {code:#04x}')}")
    return frame.payload.decode("ascii").split(",")


def _error_code(frame: Frame) -> int:
    try:
        return int(frame.payload.split(b",")[0], 16)
    except ValueError:
        return -1


async def read_register(_unit: VectorNavUnit, number: int) -> list[str]:
    """Return the words of a register.

    Raises:
        RefusedError: the unit does not have the register.
    """
    return (await ask(request(f"{_READ},{number:02}")))[1:]


async def write_register(unit: VectorNavUnit, number: int, words: Sequence[str]) -> None:
    """Write the words of a register, until power-off; it is read first, because an echo looks like a response.

    Raises:
        RefusedError: the unit refuses the words.
    """
    await read_register(unit, number)
    await _write(number, words)


async def identify(unit: VectorNavUnit) -> Identity:
    """Return the identity of the unit."""
    model, hardware, serial, firmware = [await read_register(unit, number) for number in (1, 2, 3, 4)]
    return Identity(model[0], ".".join(hardware), serial[0], firmware[0])


async def read_setting(unit: VectorNavUnit, name: str) -> str:
    """Return the value of a setting in effect.

    Raises:
        SettingError: the setting does not exist.
        RefusedError: the unit does not have the setting.
    """
    register = setting(name)
    try:
        return register.to_text(await read_register(unit, register.number))
    except RefusedError as error:
        raise RefusedError(f"{name}: {error}") from None


async def check_setting(unit: VectorNavUnit, name: str, text: str) -> list[str]:
    """Return the words of a value, whose number is that of the unit.

    Raises:
        SettingError: the setting or the value does not exist.
        RefusedError: the unit does not have the setting.
    """
    register = setting(name)
    try:
        return register.to_words(text, await read_register(unit, register.number))
    except RefusedError as error:
        raise RefusedError(f"{name}: {error}") from None


async def write_setting(unit: VectorNavUnit, name: str, text: str) -> str:
    """Set a value until power-off; return the value in effect.

    Raises:
        SettingError: the setting or the value does not exist.
        RefusedError: the unit refuses the value.
    """
    words = await check_setting(unit, name, text)
    try:
        if name == BAUD:
            await _change_baud(unit, int(words[0]))
        else:
            await _write(setting(name).number, words)
            unit.volatile[name] = text
    except RefusedError as error:
        raise RefusedError(f"{name}: {error}") from None
    unit.reset_rate()
    return await read_setting(unit, name)


async def save(unit: VectorNavUnit) -> None:
    """Write all settings in effect to non-volatile memory."""
    await _command(unit, "WNV", timeout_s=_FLASH_S)
    unit.volatile.clear()


async def restore_factory(unit: VectorNavUnit) -> None:
    """Set all settings to the factory defaults, also in non-volatile memory, and wait until the unit has restarted.

    Raises:
        NoAnswerError: the unit does not respond any more, for example because its baud rate has changed.
    """
    await _restart(unit, "RFS")


async def reset(unit: VectorNavUnit) -> None:
    """Restart the unit and wait until it responds; values set until power-off are lost."""
    await _restart(unit, "RST")


async def tare(unit: VectorNavUnit) -> None:
    """Make the present attitude the zero attitude."""
    await _command(unit, "TAR")


async def set_gyro_bias(unit: VectorNavUnit) -> None:
    """Make the bias that the filter estimates at present the one that it starts with; see `save`."""
    try:
        await _command(unit, "SGB")
    except RefusedError:  # firmware with the newer name
        await _command(unit, "SFB")


async def set_known_disturbance(unit: VectorNavUnit, sensor: str, is_present: bool) -> None:  # noqa: FBT001 - as the unit's parameter
    """Tell the filter that a disturbance of the `mag` or `accel` begins or ends.

    Raises:
        DeviceError: the sensor is neither of them.
    """
    if sensor not in {"mag", "accel"}:
        raise DeviceError(f"unknown sensor {sensor!r}; choose from mag, accel")
    await _command(unit, f"{'KMD' if sensor == 'mag' else 'KAD'},{is_present:d}")


async def set_streaming(unit: VectorNavUnit, is_on: bool) -> None:  # noqa: FBT001 - as the unit's parameter
    """Pause or resume the periodic output of this port, until power-off."""
    await _command(unit, f"ASY,{is_on:d}")


async def start(unit: VectorNavUnit) -> None:
    """Make the unit stream, unless it streams already."""
    if await responds(wait_for(_is_stream, "stream", _STREAM_S)):
        return
    with contextlib.suppress(RefusedError):  # older firmware
        await set_streaming(unit, True)  # noqa: FBT003 - the unit's parameter
    if await read_setting(unit, ASYNC_TYPE) == ASYNC_TYPES[0]:
        await write_setting(unit, ASYNC_TYPE, _DEFAULT_LINE)


async def stream(unit: VectorNavUnit, kind: int | str) -> str:
    """Set the rate of the line that the unit sends, Hz, or its name, until power-off."""
    return await write_setting(unit, ASYNC_RATE if isinstance(kind, int) else ASYNC_TYPE, str(kind))


async def learn(_unit: VectorNavUnit) -> None:
    """Read whether the unit's lines have checksums."""
    with contextlib.suppress(NoAnswerError, RefusedError):
        await ask(replace(request(f"{_READ},{SETTINGS[PROTOCOL].number}"), tries=2))


async def recover(unit: VectorNavUnit) -> None:
    """Restore the settings of this session after a reconnection; the unit may have lost its power."""
    for name, text in tuple(unit.volatile.items()):
        await _write(SETTINGS[name].number, await check_setting(unit, name, text))


async def probe() -> Found:
    """Identify a unit, for a search; a stream of 5 Hz or more is found without a response, too."""
    kinds: set[str] = set()
    model = request(f"{_READ},01")

    def accept(frame: Frame) -> Claim:
        if _is_stream(frame):
            kinds.add(frame.kind)
        return model.accept(frame)

    try:
        words = await ask(replace(model, accept=accept, timeout_s=_PROBE_S, tries=1))
    except NoAnswerError:
        if not kinds:
            raise
        try:
            words = await ask(replace(model, tries=2))
        except NoAnswerError:
            return Found("", f"streams {', '.join(sorted(kinds))}; does not respond to commands")
    serial = await ask(replace(request(f"{_READ},03"), tries=2))
    return Found(serial[1], words[1])


def _is_stream(frame: Frame) -> bool:
    return frame.kind in LINES or frame.kind == UNKNOWN or frame.kind.startswith("binary")


async def _write(number: int, words: Sequence[str]) -> None:
    await ask(request(",".join((_WRITE, f"{number:02}", *words))))


async def _command(unit: VectorNavUnit, text: str, timeout_s: float = ANSWER_TIMEOUT_S) -> None:
    """Carry out a command whose response may equal the request; the register is read to detect an echo."""
    await read_register(unit, 1)
    await ask(request(text, timeout_s=timeout_s, tries=3))


async def _restart(unit: VectorNavUnit, text: str) -> None:
    with contextlib.suppress(NoAnswerError):  # it may restart before it responds
        await _command(unit, text, timeout_s=_FLASH_S)
    unit.volatile.clear()
    unit.reset_rate()
    await retry(lambda: ask(replace(request(f"{_READ},01"), tries=1)), _RESTART_ATTEMPTS, _RESTART_S)


async def _change_baud(unit: VectorNavUnit, baud: int) -> None:
    """Change the baud rate at both ends; if the unit does not respond then, return to the previous rate."""
    with contextlib.suppress(NoAnswerError):  # the response may come at the new baud rate
        await ask(request(f"{_WRITE},{SETTINGS[BAUD].number:02},{baud}", tries=1))
    await agree_on_baud(unit, baud, _answers_at)


async def _answers_at(baud: int) -> bool:
    await SetBaud(baud)
    await Sleep(_SETTLE_S)
    return await responds(request(f"{_READ},01", timeout_s=_SETTLE_S, tries=4), _READ)
