"""Operations of a counter: identity, status, histograms, configuration, fan and laser, and continuous sampling.

Each operation raises DeviceError if the counter does not respond; the message names the probable cause. Changes until
power-off need `allow_writes`, changes that survive power-off need `allow_permanent`; without the permission they raise
WriteForbiddenError.
"""

import contextlib
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from pygnc_devices.declaration import Value
from pygnc_devices.errors import AbortedError, DeviceError, PortGoneError, RefusedError, WriteForbiddenError
from pygnc_devices.family import Found
from pygnc_devices.opc_n3 import command_channel
from pygnc_devices.opc_n3.command_channel import STANDARD, BrokenAnswerError, HandshakeError, UsbIss
from pygnc_devices.opc_n3.evaluation import MassModel
from pygnc_devices.opc_n3.framing import is_intact
from pygnc_devices.opc_n3.packets import CONFIGURATION, HISTOGRAM_BYTES, INFORMATION_BYTES, PM, STATUS
from pygnc_devices.opc_n3.unit import OpcUnit, decode
from pygnc_devices.reading import Stamp
from pygnc_devices.scheduler import Publish, Sleep

FAN: Final = 0
LASER: Final = 1
LAST_WEIGHTING: Final = 10
_FAN_OFF: Final = 0x02
_FAN_ON: Final = 0x03
_LASER_OFF: Final = 0x06
_LASER_ON: Final = 0x07
_LOW_GAIN: Final = 0x08
_HIGH_GAIN: Final = 0x09
_POWER_TRIES: Final = 3
_INDEX: Final = "weighting_index"
_TOLERANCE: Final = 1e-6
_NAME: Final = "OPC-N3"
_OTHERS: Final = re.compile(r"OPC-\w+")
_FIRMWARE: Final = re.compile(r"FirmwareVer\s*=\s*(\d+\.\d+\w*)")
_SERIAL: Final = re.compile(r"\d{6,}")
_IDLE: Final = "\x00\xff"


@dataclass(frozen=True, slots=True)
class Identity:
    """Identity of a counter.

    Attributes:
        information: text by which the counter identifies itself.
        serial_number: serial number of the counter.
        firmware: version of the firmware, such as 1.17a.
        adapter: serial number of the adapter; "" without an adapter.
    """

    information: str
    serial_number: str
    firmware: str
    adapter: str


class OtherDeviceError(DeviceError):
    """Error raised when the device is another kind of particle counter."""


class PowerError(DeviceError):
    """Error raised when fan or laser did not switch on or off."""


async def identify(unit: OpcUnit) -> Identity:
    """Return the identity of the counter.

    Raises:
        OtherDeviceError: the device is another kind of counter, whose commands have other meanings.
    """
    information = _text(await unit.channel.read(command_channel.READ_INFORMATION, INFORMATION_BYTES))
    if _NAME not in information:
        other = _OTHERS.search(information)
        raise OtherDeviceError(f"the device is not an {_NAME}, but {other[0] if other else repr(information)}")
    digits = _SERIAL.search(_text(await unit.channel.read(command_channel.READ_SERIAL, INFORMATION_BYTES)))
    firmware = _FIRMWARE.search(information)
    version = firmware[1] if firmware else "{}.{}".format(*await read_firmware(unit))
    return Identity(information, digits[0] if digits else "", version, unit.channel.adapter)


async def read_firmware(unit: OpcUnit) -> tuple[int, int]:
    """Return major and minor version of the firmware."""
    major, minor = await unit.channel.read(command_channel.READ_FIRMWARE, 2)
    return major, minor


async def check(unit: OpcUnit) -> None:
    """Check that the counter responds."""
    await unit.channel.read(command_channel.CHECK, 0)


async def read_status(unit: OpcUnit) -> dict[str, Value]:
    """Return the state of fan, laser and gain, by the names of `packets.STATUS`."""
    return STATUS.decode(await unit.channel.read(command_channel.READ_STATUS, STATUS.layout.size))


async def read_configuration(unit: OpcUnit) -> dict[str, Value]:
    """Return the configuration variables, by the names of `packets.CONFIGURATION`.

    Raises:
        DeviceError: the response is impossible.
    """
    octets = await unit.channel.read(command_channel.READ_CONFIGURATION, CONFIGURATION.layout.size)
    values = CONFIGURATION.decode(octets)
    boundaries = [float(values[f"boundary_{k}_um"]) for k in range(25)]
    if boundaries != sorted(set(boundaries)) or boundaries[0] <= 0:  # the response has no checksum
        raise BrokenAnswerError("the configuration is impossible: its bin boundaries do not ascend", octets)
    unit.model = MassModel.from_configuration(values)
    return values


async def read_pm(unit: OpcUnit) -> dict[str, Value]:
    """Return the mass concentrations since the last histogram; this resets the histogram.

    Raises:
        DeviceError: the checksum is wrong.
    """
    octets = await unit.channel.read(command_channel.READ_PM, PM.layout.size)
    unit.forget_time()
    if not is_intact(octets):
        raise BrokenAnswerError("the checksum of the mass concentrations is wrong; the histogram is lost", octets)
    return PM.decode(octets)


async def read_histogram(unit: OpcUnit) -> dict[str, Value | None]:
    """Read, publish and return the histogram. The first histogram after power-on is not valid.

    Raises:
        DeviceError: the checksum is wrong.
    """
    raw = await read_intact_histogram(unit)
    await publish_histogram(unit, raw)
    return decode(raw)


async def read_intact_histogram(unit: OpcUnit) -> bytes:
    """Return the bytes of the histogram, without publishing it; raises as `read_histogram`."""
    try:
        raw = await unit.channel.read(command_channel.READ_HISTOGRAM, HISTOGRAM_BYTES)
        if not is_intact(raw):
            raise BrokenAnswerError("the checksum of a histogram is wrong; the histogram is lost", raw)  # noqa: TRY301 - counted below
    except BrokenAnswerError as error:
        unit.reject_histogram(error.octets)
        raise
    return raw


async def publish_histogram(unit: OpcUnit, raw: bytes) -> None:
    """Add a histogram; publish its reading, or the average if the histogram completes an average."""
    reading = unit.add_histogram(raw, Stamp.now())
    if reading is not None:
        await Publish(reading)


async def switch_on(unit: OpcUnit) -> None:
    """Switch on the laser, then the fan, and wait until the fan has reached its speed. Skip what is on already.

    Raises:
        PowerError: fan or laser does not switch on.
    """
    unit.may_be_on = True
    for _ in range(_POWER_TRIES):
        status = await read_status(unit)
        if status["fan_is_on"] and status["laser_is_on"]:
            return
        if not status["laser_is_on"]:
            await unit.channel.write(command_channel.POWER, bytes([_LASER_ON]))
            await Sleep(unit.timing.laser_s)
        if not status["fan_is_on"]:
            await unit.channel.write(command_channel.POWER, bytes([_FAN_ON]))
            await Sleep(unit.timing.fan_s)
    status = await read_status(unit)
    if not (status["fan_is_on"] and status["laser_is_on"]):
        raise PowerError("fan or laser does not switch on; check the power supply")


async def switch_off(unit: OpcUnit) -> None:
    """Switch the laser off, then the fan, even if the laser fails.

    Raises:
        PowerError: fan or laser does not switch off.
        HandshakeError: the counter does not become ready; no other command is sent.
    """
    problem: DeviceError | None = None
    for _ in range(_POWER_TRIES):
        problem = None
        for option in (_LASER_OFF, _FAN_OFF):
            try:
                await unit.channel.write(command_channel.POWER, bytes([option]))
            except BrokenAnswerError as error:
                problem = error
        if problem is not None:
            continue
        status = await read_status(unit)
        if not status["fan_is_on"] and not status["laser_is_on"]:
            unit.may_be_on = False
            return
    raise problem or PowerError("fan or laser does not switch off; switch the power of the counter off")


async def set_gain(unit: OpcUnit, *, is_high: bool) -> None:
    """Fix the gain; only a reset makes the counter switch its gain automatically again."""
    await unit.channel.write(command_channel.POWER, bytes([_HIGH_GAIN if is_high else _LOW_GAIN]))


async def reset(unit: OpcUnit) -> None:
    """Reset the counter: fan and laser off, gain automatic, configuration as saved."""
    await unit.channel.read(command_channel.RESET, 0, rest_s=unit.timing.restart_s)
    unit.forget_time()


async def write_configuration(unit: OpcUnit, changes: Mapping[str, Value]) -> None:
    """Change configuration variables until power-off, and read them back. The manufacturer advises against changes.

    Args:
        unit: state of the counter.
        changes: values by the names and in the units of `packets.CONFIGURATION`; other variables keep their values.

    Raises:
        RefusedError: a variable reads back with another value.
        DeviceError: a variable does not exist.
    """
    _require(unit.allow_writes, "changes the configuration", "allow_writes")
    unknown = changes.keys() - {field.name for field in CONFIGURATION.fields}
    if unknown:
        raise DeviceError(
            f"unknown configuration variable {', '.join(sorted(unknown))}; choose from packets.CONFIGURATION"
        )
    before = await read_configuration(unit)
    octets = CONFIGURATION.encode(before | dict(changes))
    if changes.keys() - {_INDEX}:
        payload = octets[:-1]  # the last byte is the index, which has its own command
        await unit.channel.write(command_channel.WRITE_CONFIGURATION, payload, rest_s=unit.timing.restart_s)
    if _INDEX in changes:
        await unit.channel.write(command_channel.WEIGHTING_INDEX, octets[-1:])
    after = await read_configuration(unit)
    for name, value in changes.items():
        if abs(float(after[name]) - float(value)) > _TOLERANCE:
            raise RefusedError(
                f"{name}: wrote {value!r}, read back {after[name]!r}; repeat the write or use another value"
            )


async def set_weighting_index(unit: OpcUnit, index: int) -> None:
    """Select a set of particle densities, 0 to 10, until power-off; the factory's set is 2.

    Raises:
        RefusedError: the index reads back with another value.
        DeviceError: the set does not exist.
    """
    if index not in range(LAST_WEIGHTING + 1):
        raise DeviceError(f"weighting index {index} is not from 0 to {LAST_WEIGHTING}")
    await write_configuration(unit, {_INDEX: index})


async def set_pot(unit: OpcUnit, channel: int, value: int) -> None:
    """Set the drive of the fan (0) or of the laser (1), 0 to 255. A change of the laser invalidates the calibration.

    Raises:
        WriteForbiddenError: for the fan without `allow_writes`, for the laser without `allow_permanent`.
        RefusedError: the drive reads back with another value.
        DeviceError: channel or value is out of range.
    """
    if channel not in (FAN, LASER) or value not in range(256):
        raise DeviceError(f"channel {channel}, value {value}: channels are 0 (fan) and 1 (laser), values 0 to 255")
    if channel == LASER:
        _require(unit.allow_permanent, "invalidates the calibration", "allow_permanent")
    _require(unit.allow_writes, "changes the drive of the fan", "allow_writes")
    await unit.channel.write(command_channel.SET_POT, bytes([channel, value]))
    name = "laser" if channel == LASER else "fan"
    found = (await read_status(unit))[f"{name}_pot"]
    if found != value:
        raise RefusedError(f"{name} drive: wrote {value}, read back {found!r}; repeat the write")


async def save_configuration(unit: OpcUnit) -> None:
    """Save the configuration in effect; this overwrites the factory's configuration."""
    _require(unit.allow_permanent, "overwrites the saved configuration", "allow_permanent")
    await unit.channel.write(command_channel.SAVE, command_channel.SAVE_KEY)


async def write_serial_string(unit: OpcUnit, text: str) -> None:
    """Write the text of the serial number, which is possible once in the life of a counter.

    Raises:
        DeviceError: the text is too long or not ASCII.
    """
    _require(unit.allow_permanent, "writes the serial number for ever", "allow_permanent")
    if not text.isascii() or not text.isprintable() or len(text) > INFORMATION_BYTES:
        raise DeviceError(f"serial number {text!r} is not up to {INFORMATION_BYTES} printable ASCII characters")
    octets = text.ljust(INFORMATION_BYTES).encode("ascii")
    await unit.channel.write(command_channel.WRITE_SERIAL, octets)


async def enter_bootloader(unit: OpcUnit) -> None:
    """End the firmware and start the bootloader, which only the manufacturer's program can leave."""
    _require(unit.allow_permanent, "ends the firmware", "allow_permanent")
    await unit.channel.read(command_channel.BOOTLOADER, 0)


async def probe() -> Found:
    """Identify the counter behind an adapter, for a search."""
    unit = OpcUnit(UsbIss(timeout_s=0.2), timing=replace(STANDARD, handshakes=1, polls=20))
    identity = await identify(unit)
    return Found(identity.serial_number, identity.information)


def _require(is_allowed: bool, what: str, permission: str) -> None:  # noqa: FBT001 - a condition
    if not is_allowed:
        raise WriteForbiddenError(f"this operation {what}; open the counter with {permission}=True to allow it")


def _text(octets: bytes) -> str:
    return octets.decode("latin-1").strip(_IDLE + " .\r\n")


ZEROS: Final = 4
"""Histograms without a particle before fan and laser are restarted; doubled after each restart without success."""
BROKEN_IN_A_ROW: Final = 3
"""Broken histograms in a row that count as a failure."""
RESET_EVERY: Final = 3
"""Failures before the counter is reset."""
_COUNTS_BYTES: Final = 48


async def run_sampling(unit: OpcUnit) -> None:
    """Read and publish histograms until aborted; start again after errors.

    At the end fan and laser are switched off, and an incomplete average is published.

    Raises:
        OtherDeviceError: the device is another kind of counter.
    """
    failures = 0
    try:
        while True:
            try:
                if unit.sample_s is None:
                    await _keep_alive(unit)
                else:
                    await identify(unit)
                    await read_configuration(unit)
                    await switch_on(unit)
                    await _sample(unit, unit.sample_s)
            except (AbortedError, OtherDeviceError, PortGoneError):
                raise
            except DeviceError as error:
                failures = 1 if unit.trouble is None else failures + 1
                unit.set_trouble(str(error))
                unit.channel.is_set_up = False
                await Sleep(unit.timing.rest_s)
                if failures % RESET_EVERY == 0:
                    with contextlib.suppress(HandshakeError, BrokenAnswerError):
                        await reset(unit)
    finally:
        if unit.may_be_on:
            with contextlib.suppress(DeviceError):
                await switch_off(unit)
        reading = unit.finish_average()
        if reading is not None:
            await Publish(reading)


async def _keep_alive(unit: OpcUnit) -> None:
    """Send a command every `keep_alive_s` seconds, so that the counter does not begin to record autonomously."""
    while True:
        await check(unit)
        unit.set_trouble(None)
        await Sleep(unit.timing.keep_alive_s)


async def _sample(unit: OpcUnit, sample_s: float) -> None:
    """Read histograms; discard the first histogram, and the first after an error. Raise after several errors."""
    is_first, broken, zeros, restart_at = True, 0, 0, ZEROS
    next_s = time.monotonic()
    while True:
        try:
            raw = await read_intact_histogram(unit)
        except BrokenAnswerError:
            is_first, broken = True, broken + 1
            if broken == BROKEN_IN_A_ROW:
                raise
            await Sleep(unit.timing.rest_s)
            continue
        if is_first:
            unit.discard_histogram(Stamp.now())
        else:
            await publish_histogram(unit, raw)
        broken = 0
        zeros = 0 if any(raw[:_COUNTS_BYTES]) or is_first else zeros + 1
        is_first = False
        if zeros == 0:
            restart_at = ZEROS
            unit.set_trouble(None)
        elif zeros == restart_at:
            unit.set_trouble(f"no particle in {zeros} histograms; fan and laser are restarted")
            await switch_off(unit)
            await Sleep(unit.timing.laser_s)
            await switch_on(unit)
            zeros, restart_at, is_first = 0, restart_at * 2, True
        next_s = max(next_s + sample_s, time.monotonic())
        await Sleep(next_s - time.monotonic())
