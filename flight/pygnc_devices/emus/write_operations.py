"""Changing a Control Unit. Nothing here is sent unless the device was opened with `allow_writes=True`."""

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
"""Of the function flags: set, it holds the battery's contactor open; clear, protections decide."""
_LONGEST_TEXT: Final = 64


def _writes(
    procedure: Callable[Concatenate[EmusUnit, P], Operation[T]],
) -> Callable[Concatenate[EmusUnit, P], Operation[T]]:
    """Refuse a procedure on a device that was not opened for writing."""

    @wraps(procedure)
    async def guarded(unit: EmusUnit, /, *args: P.args, **kwargs: P.kwargs) -> T:
        if not unit.allow_writes:
            what = procedure.__name__.replace("_", " ")
            raise WriteForbiddenError(f"to {what} changes the Control Unit: open it with allow_writes=True")
        return await procedure(unit, *args, **kwargs)

    return guarded


@_writes
async def write_parameter(unit: EmusUnit, number: str, data: str) -> None:
    """Write a parameter of the configuration and read it back.

    Raises:
        DeviceError: number or data are not hexadecimal.
        RefusedError: it does not read back as it was written.
        NoAnswerError: the unit said nothing.
    """
    for text in (number, data):
        if not text or not all(digit in "0123456789ABCDEFabcdef" for digit in text):
            raise DeviceError(f"{text!r}: number and data of a parameter are hexadecimal")
    await operations.parameter(number, data.upper())
    found = await read_parameter(unit, number)
    if found.lstrip("0").upper() != data.lstrip("0").upper():
        raise RefusedError(f"parameter {number} was written as {data} and reads {found or 'nothing'}")


@_writes
async def write_function_flag(unit: EmusUnit, bit: int, is_set: bool) -> int:  # noqa: FBT001 - that is what is written
    """Set or clear one bit of the function flags, leave the others as they are, and return them.

    Raises:
        DeviceError: there is no such bit, or the unit tells no flags.
        RefusedError: it does not read back as it was written.
        NoAnswerError: the unit said nothing.
    """
    if not 0 <= bit < 32:
        raise DeviceError(f"the function flags have bits 0 to 31, not {bit}")
    text = await read_parameter(unit, FUNCTION_FLAGS)
    try:
        flags = int(text, 16)
    except ValueError:
        raise DeviceError(f"the unit tells no function flags, but {text!r}") from None
    flags = flags | 1 << bit if is_set else flags & ~(1 << bit)
    await write_parameter(unit, FUNCTION_FLAGS, f"{flags:08X}")
    return flags


@_writes
async def open_contactor(unit: EmusUnit) -> None:
    """Force the battery's contactor open. What hangs on the battery loses power.

    Raises:
        RefusedError: it does not read back as it was written.
        NoAnswerError: the unit said nothing.
    """
    await write_function_flag(unit, CONTACTOR_BIT, is_set=True)


@_writes
async def release_contactor(unit: EmusUnit) -> None:
    """Let protections decide about the battery's contactor again.

    Raises:
        RefusedError: it does not read back as it was written.
        NoAnswerError: the unit said nothing.
    """
    await write_function_flag(unit, CONTACTOR_BIT, is_set=False)


@_writes
async def log_in(unit: EmusUnit, password: str) -> bool:  # noqa: ARG001 - a method of the device
    """Give the password; returns whether the unit takes it.

    Raises:
        DeviceError: no password can be written so.
        NoAnswerError: the unit said nothing.
    """
    frame = (await operations.question("PW1", _secret(password), tries=1))[-1]
    return frame.payload.strip(b"0") != b""


@_writes
async def log_out(unit: EmusUnit) -> None:  # noqa: ARG001 - a method of the device
    """Take the password back.

    Raises:
        NoAnswerError: the unit said nothing.
    """
    await operations.question("PW1", "", tries=1)


@_writes
async def set_password(unit: EmusUnit, password: str) -> bool:  # noqa: ARG001 - a method of the device
    """Set a new password, or clear it with an empty one; returns whether the unit took it.

    Raises:
        DeviceError: no password can be written so.
        NoAnswerError: the unit said nothing.
    """
    frame = (await operations.question("PW2", _secret(password) if password else "", tries=1))[-1]
    return frame.payload.strip(b"0") == b"1"


@_writes
async def set_state_of_charge(unit: EmusUnit, percent: int) -> None:  # noqa: ARG001 - a method of the device
    """Tell the unit the state of charge.

    Raises:
        DeviceError: it is not a whole number from 0 to 100.
        NoAnswerError: the unit said nothing.
    """
    if percent not in range(101):
        raise DeviceError(f"a state of charge is a whole number from 0 to 100 %, not {percent}")
    await operations.question("SC1", f"{percent:02X}", tries=1)


@_writes
async def zero_current_sensor(unit: EmusUnit) -> None:  # noqa: ARG001 - a method of the device
    """Take the present current for zero.

    Raises:
        NoAnswerError: the unit said nothing.
    """
    await operations.question("RC1", "", tries=1)


@_writes
async def restart(unit: EmusUnit) -> None:  # noqa: ARG001 - a method of the device
    """Restart the unit; needs the password.

    Raises:
        NoAnswerError: the unit said nothing.
    """
    await operations.question("RS1", "", tries=1)


@_writes
async def reset_to_factory(unit: EmusUnit) -> None:  # noqa: ARG001 - a method of the device
    """Put the configuration back to the factory's; needs the password.

    Raises:
        NoAnswerError: the unit said nothing.
    """
    await operations.question("FD1", "", tries=1)


@_writes
async def clear_log(unit: EmusUnit) -> None:  # noqa: ARG001 - a method of the device
    """Clear the event log.

    Raises:
        NoAnswerError: the unit said nothing.
    """
    await operations.question("LG1", "c", tries=1)


@_writes
async def clear_statistics(unit: EmusUnit) -> None:  # noqa: ARG001 - a method of the device
    """Clear the long-term statistics that are not protected.

    Raises:
        NoAnswerError: the unit said nothing.
    """
    await operations.question("SS1", "c", tries=1)


def _secret(text: str) -> str:
    if not text.isascii() or not text.isprintable() or "," in text or not 0 < len(text) <= _LONGEST_TEXT:
        raise DeviceError("a password is 1 to 64 printable ASCII characters without commas")
    return text
