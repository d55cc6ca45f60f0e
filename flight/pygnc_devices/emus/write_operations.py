"""Operations that change a Control Unit. They need a device that was opened with `allow_writes=True`."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, Final, ParamSpec, TypeVar

from pygnc_devices.emus import operations
from pygnc_devices.emus.operations import read_parameter
from pygnc_devices.emus.unit import EmusUnit
from pygnc_devices.errors import DeviceError, RefusedError, WriteForbiddenError
from pygnc_devices.scheduler import Operation

P = ParamSpec("P")
T = TypeVar("T")

FUNCTION_FLAGS: Final = "1600"
CONTACTOR_BIT: Final = 27
"""Bit of the function flags that holds the battery's contactor open; if it is clear, protections decide."""
_LONGEST_TEXT: Final = 64


def _writes(
    procedure: Callable[Concatenate[EmusUnit, P], Operation[T]],
) -> Callable[Concatenate[EmusUnit, P], Operation[T]]:
    """Reject an operation on a device that was not opened for writing."""

    @wraps(procedure)
    async def guarded(unit: EmusUnit, /, *args: P.args, **kwargs: P.kwargs) -> T:
        if not unit.allow_writes:
            what = procedure.__name__.replace("_", " ")
            raise WriteForbiddenError(f"{what} changes the Control Unit; open it with allow_writes=True to allow that")
        return await procedure(unit, *args, **kwargs)

    return guarded


@_writes
async def write_parameter(unit: EmusUnit, number: str, data: str) -> None:
    """Write a parameter of the configuration and read it back.

    Raises:
        DeviceError: number or data is not hexadecimal.
        RefusedError: it reads back with another value.
        NoAnswerError: no answer came.
    """
    for text in (number, data):
        if not text or not all(digit in "0123456789ABCDEFabcdef" for digit in text):
            raise DeviceError(f"{text!r}: number and data of a parameter must be hexadecimal")
    await operations.request_parameter(number, data.upper())
    found = await read_parameter(unit, number)
    if found.lstrip("0").upper() != data.lstrip("0").upper():
        raise RefusedError(f"parameter {number}: wrote {data}, read back {found or 'nothing'}")


@_writes
async def write_function_flag(unit: EmusUnit, bit: int, is_set: bool) -> int:  # noqa: FBT001 - that is what is written
    """Set or clear one bit of the function flags, and return all of them.

    Raises:
        DeviceError: the bit does not exist, or the answer contains no flags.
        RefusedError: it reads back with another value.
        NoAnswerError: no answer came.
    """
    if not 0 <= bit < 32:
        raise DeviceError(f"bit {bit}: the function flags have bits 0 to 31")
    text = await read_parameter(unit, FUNCTION_FLAGS)
    try:
        flags = int(text, 16)
    except ValueError:
        raise DeviceError(f"the unit's function flags are not hexadecimal: {text!r}") from None
    flags = flags | 1 << bit if is_set else flags & ~(1 << bit)
    await write_parameter(unit, FUNCTION_FLAGS, f"{flags:08X}")
    return flags


@_writes
async def open_contactor(unit: EmusUnit) -> None:
    """Force the battery's contactor open. All consumers of the battery lose power.

    Raises:
        RefusedError: it reads back with another value.
        NoAnswerError: no answer came.
    """
    await write_function_flag(unit, CONTACTOR_BIT, is_set=True)


@_writes
async def release_contactor(unit: EmusUnit) -> None:
    """Return control of the battery's contactor to the protections.

    Raises:
        RefusedError: it reads back with another value.
        NoAnswerError: no answer came.
    """
    await write_function_flag(unit, CONTACTOR_BIT, is_set=False)


@_writes
async def log_in(unit: EmusUnit, password: str) -> bool:  # noqa: ARG001 - a method of the device
    """Send the password; return whether the unit accepts it.

    Raises:
        DeviceError: the text cannot be a password.
        NoAnswerError: no answer came.
    """
    frame = (await operations.request_sentence("PW1", _secret(password), tries=1))[-1]
    return frame.payload.strip(b"0") != b""


@_writes
async def log_out(unit: EmusUnit) -> None:  # noqa: ARG001 - a method of the device
    """Lock the unit again.

    Raises:
        NoAnswerError: no answer came.
    """
    await operations.request_sentence("PW1", "", tries=1)


@_writes
async def set_password(unit: EmusUnit, password: str) -> bool:  # noqa: ARG001 - a method of the device
    """Set a new password, or clear it with an empty one; return whether the unit accepted it.

    Raises:
        DeviceError: the text cannot be a password.
        NoAnswerError: no answer came.
    """
    frame = (await operations.request_sentence("PW2", _secret(password) if password else "", tries=1))[-1]
    return frame.payload.strip(b"0") == b"1"


@_writes
async def set_state_of_charge(unit: EmusUnit, percent: int) -> None:  # noqa: ARG001 - a method of the device
    """Set the state of charge.

    Raises:
        DeviceError: it is not a whole number from 0 to 100.
        NoAnswerError: no answer came.
    """
    if percent not in range(101):
        raise DeviceError(f"state of charge {percent} is not a whole number from 0 to 100 %")
    await operations.request_sentence("SC1", f"{percent:02X}", tries=1)


@_writes
async def zero_current_sensor(unit: EmusUnit) -> None:  # noqa: ARG001 - a method of the device
    """Define the present current as zero.

    Raises:
        NoAnswerError: no answer came.
    """
    await operations.request_sentence("RC1", "", tries=1)


@_writes
async def restart(unit: EmusUnit) -> None:  # noqa: ARG001 - a method of the device
    """Restart the unit; needs the password.

    Raises:
        NoAnswerError: no answer came.
    """
    await operations.request_sentence("RS1", "", tries=1)


@_writes
async def reset_to_factory(unit: EmusUnit) -> None:  # noqa: ARG001 - a method of the device
    """Restore the factory's configuration; needs the password.

    Raises:
        NoAnswerError: no answer came.
    """
    await operations.request_sentence("FD1", "", tries=1)


@_writes
async def clear_log(unit: EmusUnit) -> None:  # noqa: ARG001 - a method of the device
    """Clear the event log.

    Raises:
        NoAnswerError: no answer came.
    """
    await operations.request_sentence("LG1", "c", tries=1)


@_writes
async def clear_statistics(unit: EmusUnit) -> None:  # noqa: ARG001 - a method of the device
    """Clear the long-term statistics that are not protected.

    Raises:
        NoAnswerError: no answer came.
    """
    await operations.request_sentence("SS1", "c", tries=1)


def _secret(text: str) -> str:
    if not text.isascii() or not text.isprintable() or "," in text or not 0 < len(text) <= _LONGEST_TEXT:
        raise DeviceError("a password must be 1 to 64 printable ASCII characters without commas")
    return text
