"""Operations of an SPS30: identity, measurement, fan cleaning, sleep, settings, and continuous requests.

Each operation raises NoAnswerError if the sensor does not respond, and RefusedError if it refuses the command.
"""

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pygnc_devices.declaration import Value
from pygnc_devices.errors import NoAnswerError, RefusedError
from pygnc_devices.family import Found
from pygnc_devices.framing import Frame
from pygnc_devices.scheduler import Request, Sleep, accept_if
from pygnc_devices.sps30 import framing
from pygnc_devices.sps30.framing import LONGEST_TEXT, make_command
from pygnc_devices.sps30.packets import CLEANING_INTERVAL, DEVICE_ERROR, STATES, STATUS, STATUS_BITS, VERSION
from pygnc_devices.sps30.unit import SpsUnit

MODEL: Final = "SPS30"
_NOT_NOW: Final = "not allowed in the present state"
_FLOAT: Final = b"\x01\x03"
_INTEGER: Final = b"\x01\x05"
_PRODUCT_TYPE: Final = b"\x00"
_SERIAL_NUMBER: Final = b"\x03"
_FIRST_S: Final = 1.1
"""Time from the start to the first measurement, with a margin."""
_RESET_S: Final = 0.1
_PROBE_TRIES: Final = 2
_TRIES: Final = 5


@dataclass(frozen=True, slots=True)
class Identity:
    """Identity of a sensor.

    Attributes:
        serial_number: serial number, 16 hexadecimal digits.
        product_type: type of the product; 00080000 is an SPS30.
        firmware: version of the firmware, such as 2.3.
        hardware: revision of the hardware.
    """

    serial_number: str
    product_type: str
    firmware: str
    hardware: str


class StateError(RefusedError):
    """Error raised when the sensor refuses a command in its present state, such as a start while it measures."""


async def _ask(command: int, what: str, data: bytes = b"", tries: int = _TRIES) -> bytes:
    """Send a command; return the payload of the response, which begins with the state."""
    accept = accept_if(_responds_to(command))
    (frame,) = await Request(make_command(command, data), accept, "command", tries=tries, what=what)
    code = frame.payload[0] & ~DEVICE_ERROR
    if code:
        error = StateError if STATES[code] == _NOT_NOW else RefusedError
        raise error(f"the sensor refused {what}: {STATES[code]}")
    return frame.payload


def _responds_to(command: int) -> Callable[[Frame], bool]:
    return lambda frame: frame.kind == f"{command:02X}"


async def identify(unit: SpsUnit, tries: int = _TRIES) -> Identity:  # noqa: ARG001 - an operation
    """Return the identity of the sensor."""
    serial = await _ask(framing.INFORMATION, "the serial number", _SERIAL_NUMBER, tries)
    product = await _ask(framing.INFORMATION, "the product type", _PRODUCT_TYPE, tries)
    version = VERSION.decode(await _ask(framing.READ_VERSION, "the version", tries=tries))
    return Identity(
        _text(serial),
        _text(product),
        f"{_whole(version['firmware_major'])}.{_whole(version['firmware_minor'])}",
        str(version["hardware"]),
    )


def _text(payload: bytes) -> str:
    return payload[1 : 1 + LONGEST_TEXT].split(b"\0")[0].decode("latin-1")


async def read_status(unit: SpsUnit) -> str:  # noqa: ARG001 - an operation
    """Return the errors in the status register, `none` without an error; needs firmware 2.2."""
    found = STATUS.decode(await _ask(framing.READ_STATUS, "the status register", b"\0"))
    return STATUS_BITS.describe(found["status"])


async def clear_status(unit: SpsUnit) -> None:  # noqa: ARG001 - an operation
    """Clear the status register."""
    await _ask(framing.READ_STATUS, "the reset of the status register", b"\1")


async def start(unit: SpsUnit) -> None:
    """Start the measurement, unless the sensor measures already; wait until the first values exist."""
    try:
        await _ask(framing.START, "the start of the measurement", _INTEGER if unit.is_integer else _FLOAT)
    except StateError:
        unit.is_measuring = True
    else:
        unit.started(time.monotonic_ns())
        await Sleep(_FIRST_S)


async def stop(unit: SpsUnit) -> None:
    """Stop the measurement: fan and laser are switched off."""
    with contextlib.suppress(StateError):
        await _ask(framing.STOP, "the end of the measurement")
    unit.stopped()


async def read_measurement(unit: SpsUnit) -> bool:  # noqa: ARG001 - an operation
    """Request a measurement, which is published; return False if there is none since the previous request."""
    return len(await _ask(framing.READ, "a measurement")) > 1


async def clean_fan(unit: SpsUnit) -> None:
    """Blow dust out of the fan, which takes 10 s; the sensor must measure."""
    await _ask(framing.CLEAN, "the fan cleaning")
    unit.cleaned(time.monotonic_ns())


async def read_auto_cleaning(unit: SpsUnit) -> int:  # noqa: ARG001 - an operation
    """Return the measuring time between two automatic fan cleanings, s; 0: never."""
    found = CLEANING_INTERVAL.decode(await _ask(framing.AUTO_CLEANING, "the cleaning interval", b"\0"))
    return _whole(found["auto_cleaning_interval_s"])


async def write_auto_cleaning(unit: SpsUnit, interval_s: int) -> int:
    """Store the measuring time between two automatic fan cleanings, s, in non-volatile memory, and read it back.

    Raises:
        RefusedError: another interval is read back, as by firmware before 2.2 until a reset.
    """
    await _ask(framing.AUTO_CLEANING, "the cleaning interval", b"\0" + interval_s.to_bytes(4, "big"))
    found = await read_auto_cleaning(unit)
    if found != interval_s:
        raise RefusedError(
            f"auto_cleaning_interval_s: wrote {interval_s}, read back {found}; reset the sensor and read it again"
        )
    return found


def _whole(value: Value) -> int:
    return value if isinstance(value, int) else 0


async def sleep(unit: SpsUnit) -> None:
    """Stop the measurement and switch the interface off, until `wake`; needs firmware 2.0."""
    await stop(unit)
    await _ask(framing.SLEEP, "the command to sleep")
    unit.is_asleep = True


async def wake(unit: SpsUnit) -> None:
    """Wake the sensor; a sensor that is awake stays as it is."""
    octets = 2 * make_command(framing.WAKE)  # the first command only switches the interface on
    await Request(octets, accept_if(_responds_to(framing.WAKE)), "command", tries=_TRIES, what="the command to wake")
    unit.is_asleep = False


async def reset(unit: SpsUnit) -> None:
    """Restart the sensor, which does not measure then."""
    await _ask(framing.RESET, "the reset")
    unit.stopped()
    await Sleep(_RESET_S)


async def run(unit: SpsUnit) -> None:
    """Read measurements until aborted; start the measurement again after a power cut.

    At the end the measurement is stopped if this program has started it.
    """
    next_s = time.monotonic()
    try:
        while True:
            if not unit.is_asleep:
                await _measure(unit)
            next_s = max(next_s + (unit.sample_s or 0.0), time.monotonic())
            await Sleep(next_s - time.monotonic())
    finally:
        if unit.has_started:
            with contextlib.suppress(NoAnswerError, RefusedError):
                await stop(unit)


async def _measure(unit: SpsUnit) -> None:
    try:
        if not unit.is_measuring:
            await start(unit)
        await read_measurement(unit)
        unit.set_trouble(None)
    except RefusedError as error:
        unit.stopped()
        unit.set_trouble(None if isinstance(error, StateError) else str(error))
    except NoAnswerError as error:
        unit.stopped()
        unit.set_trouble(f"{error}; check power and cable, and that the pin SEL is open")
        with contextlib.suppress(NoAnswerError):
            await wake(unit)


async def probe() -> Found:
    """Identify a sensor, for a search."""
    who = await identify(SpsUnit(), _PROBE_TRIES)
    return Found(who.serial_number, f"{MODEL} {who.firmware}")
