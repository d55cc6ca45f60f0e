"""Operations of a unit: identity, settings, reset of the orientation, estimation of the gyro's bias.

A unit either measures or waits for settings. An operation that needs the second state returns the unit to its
measurements at its end, also after an error; the readings pause meanwhile.
"""

import contextlib
import struct
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from pygnc_devices.errors import DeviceError, NoAnswerError, RefusedError
from pygnc_devices.family import Found
from pygnc_devices.framing import Frame
from pygnc_devices.reading import NS_PER_S
from pygnc_devices.scheduler import Claim, Operation, SetBaud, Sleep, agree_on_baud, responds, retry, wait_for
from pygnc_devices.xsens import messages
from pygnc_devices.xsens.framing import MTDATA2
from pygnc_devices.xsens.messages import ask, request
from pygnc_devices.xsens.settings import BAUD, OUTPUTS, SETTINGS, fastest_hz, parse_outputs, setting
from pygnc_devices.xsens.unit import MtUnit

_FLASH_S: Final = 1.0
"""Time limit for writing non-volatile memory."""
_SELF_TEST_S: Final = 6.0
_RESTART_S: Final = 0.5
_RESTART_ATTEMPTS: Final = 20
_SETTLE_S: Final = 0.25
_PROBE_S: Final = 0.1
_PROBES: Final = 2
_STREAM_S: Final = 1.1
"""Time in which a unit that measures sends a message: the slowest rate is 1 Hz."""
_LONGEST_NO_ROTATION_S: Final = 65_535
_PROFILE: Final = struct.Struct(">BB20s")
_RESETS: Final = {
    "heading": 1,
    "inclination": 3,
    "alignment": 4,
    "default_heading": 5,
    "default_inclination": 6,
    "default_alignment": 7,
}
_STORE: Final = 0
_SENSORS: Final = ("accel", "gyro", "mag")


@dataclass(frozen=True, slots=True)
class Identity:
    """Identity of a unit, as the unit reports it; `serial_number` is the device identifier in hexadecimal."""

    serial_number: str
    product: str
    firmware: str
    hardware: str


@contextlib.asynccontextmanager
async def configuring(unit: MtUnit) -> AsyncGenerator[None, None]:
    """Let the unit wait for settings, and return it to its measurements when the last of several operations ends."""
    unit.configurations += 1
    try:
        await ask(request(messages.GO_TO_CONFIG))
        yield
    finally:
        unit.configurations -= 1
        if unit.configurations == 0:
            await measure()


async def measure(_unit: MtUnit | None = None) -> None:
    """Let the unit measure.

    Raises:
        RefusedError: the unit cannot measure with its settings.
    """
    await ask(request(messages.GO_TO_MEASUREMENT))


async def recover() -> None:
    """Let a unit measure that an interrupted operation has left in its settings, unless it has restarted."""
    with contextlib.suppress(RefusedError):
        await measure()


async def identify(unit: MtUnit) -> Identity:
    """Return the identity of the unit."""
    async with configuring(unit):
        return await _identity()


async def _identity() -> Identity:
    number = await ask(request(messages.REQUEST_ID, fits=lambda data: len(data) >= 4))
    product = await ask(request(messages.REQUEST_PRODUCT))
    firmware = await ask(request(messages.REQUEST_FIRMWARE, fits=lambda data: len(data) >= 3))
    try:
        hardware = await ask(request(messages.REQUEST_HARDWARE, fits=lambda data: len(data) >= 2))
    except RefusedError:  # older firmware
        hardware = b""
    return Identity(number.hex().upper(), _text(product), _version(firmware[:3]), _version(hardware[:2]))


def _text(data: bytes) -> str:
    return data.partition(b"\0")[0].decode("latin-1").strip()


def _version(data: bytes) -> str:
    return ".".join(map(str, data))


async def read_setting(unit: MtUnit, name: str) -> str:
    """Return the value of a setting.

    Raises:
        SettingError: the setting does not exist.
        RefusedError: the unit does not have the setting.
    """
    setting(name)
    async with configuring(unit):
        return await _read(unit, name)


async def read_settings(unit: MtUnit) -> dict[str, str]:
    """Return the values of all settings that the unit has."""
    values = {}
    async with configuring(unit):
        for name in SETTINGS:
            with contextlib.suppress(RefusedError):
                values[name] = await _read(unit, name)
    return values


async def write_settings(unit: MtUnit, values: Mapping[str, str]) -> dict[str, str]:
    """Write values to non-volatile memory, read them back and return them. The baud rate comes last.

    Raises:
        SettingError: a setting or a value does not exist; nothing was written.
        RefusedError: the unit refuses a value.
        DeviceError: a value reads back differently. A unit may choose other rates of its outputs; they are returned.
    """
    wanted = {name: setting(name).to_bytes(text) for name, text in values.items()}
    found = {}
    async with configuring(unit):
        for name, data in wanted.items():
            if name != BAUD:
                found[name] = await _write(unit, name, data)
    if BAUD in wanted:
        await _change_baud(unit, int(values[BAUD]), wanted[BAUD])
        found[BAUD] = await read_setting(unit, BAUD)
    return found


async def _read(unit: MtUnit, name: str) -> str:
    declaration = SETTINGS[name]
    step = request(declaration.message, declaration.selector, fits=declaration.fits)
    data = await _ask_about(name, ask(step))
    if name == OUTPUTS:
        _learn(unit, data)
    return declaration.to_text(data)


async def _write(unit: MtUnit, name: str, data: bytes) -> str:
    declaration = SETTINGS[name]
    await _ask_about(name, ask(request(declaration.message, declaration.selector + data, timeout_s=_FLASH_S)))
    text = await _read(unit, name)
    if name != OUTPUTS and text != declaration.to_text(data):
        raise DeviceError(f"{name}: wrote {declaration.to_text(data)}, read back {text}; write it again")
    return text


async def _ask_about(name: str, operation: Operation[bytes]) -> bytes:
    try:
        return await operation
    except RefusedError as error:
        raise RefusedError(f"{name}: {error}") from None


def _learn(unit: MtUnit, data: bytes) -> None:
    """Take the columns of the readings and their rate from an output configuration."""
    outputs = list(parse_outputs(data))
    unit.declare(identifier for identifier, _ in outputs)
    hz = fastest_hz(outputs)
    unit.counter.period_ns = NS_PER_S // hz if hz else None


async def filter_profiles(unit: MtUnit) -> dict[int, str]:
    """Return the labels of the filter profiles by number."""
    async with configuring(unit):
        data = await ask(request(messages.FILTER_PROFILES))
    whole = data[: len(data) - len(data) % _PROFILE.size]
    return {number: _text(label) for number, _, label in _PROFILE.iter_unpack(whole) if _text(label)}


async def self_test(unit: MtUnit) -> dict[str, bool]:
    """Run the self-test of the MTi 1, 10 and 100 series; return which axes have passed it, such as `gyro x`."""
    async with configuring(unit):
        data = await ask(request(messages.SELF_TEST, fits=lambda data: len(data) >= 2, timeout_s=_SELF_TEST_S, tries=2))
    names = [f"{sensor} {axis}" for sensor in _SENSORS for axis in "xyz"]
    return {name: bool(int.from_bytes(data[:2], "big") >> bit & 1) for bit, name in enumerate(names)}


async def reset_orientation(_unit: MtUnit, kind: str) -> None:
    """Reset the orientation until power-off: `heading`, `inclination`, `alignment` (both), or back to a default.

    Raises:
        DeviceError: the kind does not exist.
        RefusedError: the unit cannot reset the orientation.
    """
    if kind not in _RESETS:
        raise DeviceError(f"unknown reset {kind!r}; choose from {', '.join(_RESETS)}")
    await ask(request(messages.RESET_ORIENTATION, _RESETS[kind].to_bytes(2, "big")))


async def store_orientation(unit: MtUnit) -> None:
    """Write the reset of the orientation to non-volatile memory."""
    async with configuring(unit):
        await ask(request(messages.RESET_ORIENTATION, _STORE.to_bytes(2, "big"), timeout_s=_FLASH_S))


async def estimate_gyro_bias(_unit: MtUnit, seconds: int = 6) -> None:
    """Tell a unit that measures that it does not rotate for some seconds, in which it estimates the gyro's bias.

    Bits 3 and 4 of the status word tell whether the estimation is running.
    """
    if not 0 < seconds <= _LONGEST_NO_ROTATION_S:
        raise DeviceError(f"{seconds} s: choose 1 to {_LONGEST_NO_ROTATION_S} s")
    await ask(request(messages.NO_ROTATION, seconds.to_bytes(2, "big")))


async def reset(_unit: MtUnit) -> None:
    """Restart the unit and wait until it responds; values set until power-off are lost."""
    with contextlib.suppress(NoAnswerError):  # it may restart before it responds
        await ask(request(messages.RESET, tries=2))
    await retry(lambda: ask(request(messages.GO_TO_CONFIG, tries=1)), _RESTART_ATTEMPTS, _RESTART_S)
    await measure()


async def start(_unit: MtUnit) -> None:
    """Make the unit measure, unless it does already.

    Raises:
        DeviceError: the unit has no outputs.
    """
    if await _is_measuring():
        return
    await measure()
    if not await _is_measuring():
        raise DeviceError("the unit measures but sends no MTData2 messages; write the setting outputs")


async def _is_measuring() -> bool:
    return await responds(wait_for(lambda frame: frame.kind == MTDATA2, "stream", _STREAM_S))


async def probe() -> Found:
    """Identify a unit, for a search; a stream of 5 Hz or more is found without a response, too."""
    kinds: set[str] = set()
    step = request(messages.GO_TO_CONFIG, timeout_s=_PROBE_S, tries=_PROBES)

    def accept(frame: Frame) -> Claim:
        kinds.add(frame.kind)
        return step.accept(frame)

    try:
        await replace(step, accept=accept)
    except NoAnswerError:
        if MTDATA2 not in kinds:
            raise
        try:
            await ask(request(messages.GO_TO_CONFIG, tries=_PROBES))
        except NoAnswerError:
            return Found("", "streams MTData2; does not respond to commands")
    try:
        identity = await _identity()
    finally:
        with contextlib.suppress(RefusedError):  # a unit without outputs
            await measure()
    return Found(identity.serial_number, identity.product)


async def _change_baud(unit: MtUnit, baud: int, code: bytes) -> None:
    """Write the baud rate and restart the unit, which then uses it; if it does not respond, use the previous rate."""
    await ask(request(messages.GO_TO_CONFIG))
    try:
        await _ask_about(BAUD, ask(request(messages.BAUD, code, timeout_s=_FLASH_S)))
    except RefusedError:
        await measure()
        raise
    with contextlib.suppress(NoAnswerError):  # it may restart before it responds
        await ask(request(messages.RESET, tries=1))
    await agree_on_baud(unit, baud, _answers_at)
    await measure()


async def _answers_at(baud: int) -> bool:
    await SetBaud(baud)
    await Sleep(_SETTLE_S)
    return await responds(request(messages.GO_TO_CONFIG, timeout_s=_SETTLE_S, tries=6))
