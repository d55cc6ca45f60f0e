"""Commands: packets with one field. The response has an acknowledgement and, if requested, data.

The acknowledgement is the field F1: descriptor of the command, error code (0: accepted). Most settings have one command
with a function selector: write, read, save, load the saved value, load the factory default. Source: MIP SDK of
MicroStrain (`mip_result.h`, `mip_cmdqueue`, `definitions/commands_base.h`, `commands_3dm.h`, `commands_filter.h`).
"""

from enum import IntEnum, unique
from typing import Final

from pygnc_devices.errors import RefusedError
from pygnc_devices.framing import Frame
from pygnc_devices.mip.framing import make_packet, split_fields
from pygnc_devices.scheduler import ANSWER_TIMEOUT_S, ANSWER_TRIES, Claim, Request

ACKNOWLEDGEMENT: Final = 0xF1
ERRORS: Final = {
    0x01: "unknown command",
    0x02: "invalid checksum",
    0x03: "invalid parameter",
    0x04: "command failed",
    0x05: "command timeout",
}


@unique
class Function(IntEnum):
    """Function selector of the commands of settings."""

    WRITE = 1
    READ = 2
    SAVE = 3
    LOAD = 4
    DEFAULT = 5


def acknowledged(frame: Frame) -> tuple[int, int] | None:
    """Return the command and the error code of a response; None if the packet is not a response."""
    descriptor, data = next(split_fields(frame.payload))
    return (data[0], data[1]) if descriptor == ACKNOWLEDGEMENT and len(data) == 2 else None


def refusal(frame: Frame) -> str | None:
    """Return the error with which a unit refuses a command; None if the packet is not a refusal."""
    answer = acknowledged(frame)
    return ERRORS.get(answer[1], f"error {answer[1]:#04x}") if answer is not None and answer[1] else None


def request(
    descriptor_set: int,
    command: int,
    data: bytes = b"",
    *,
    reply: int | None = None,
    echo: bytes = b"",
    timeout_s: float = ANSWER_TIMEOUT_S,
    tries: int = ANSWER_TRIES,
) -> Request:
    """Return the request of a command.

    Args:
        descriptor_set: descriptor set of the command.
        command: descriptor of the command.
        data: parameters.
        reply: descriptor of the field that follows the acknowledgement; None: no field.
        echo: first bytes of that field.
        timeout_s: time limit for the response, s.
        tries: largest number of attempts.
    """
    kind = f"{descriptor_set:02X}"

    def accept(frame: Frame) -> Claim:
        answer = acknowledged(frame) if frame.kind == kind else None
        if answer is None or answer[0] != command:
            return Claim.NO
        found = b"" if reply is None else _field(frame, reply)
        is_whole = answer[1] != 0 or (found is not None and found.startswith(echo))
        return Claim.LAST if is_whole else Claim.NO

    octets = make_packet(descriptor_set, [(command, data)])
    return Request(octets, accept, f"{kind} {command:02X}", timeout_s, tries, what=f"command {kind} {command:02X}")


async def ask(step: Request, reply: int | None = None) -> bytes:
    """Send a command; return the data of the field `reply` of the response.

    Raises:
        RefusedError: the unit refuses the command; the message names the error.
        NoAnswerError: the unit does not respond.
    """
    frame = (await step)[-1]
    error = refusal(frame)
    if error is not None:
        raise RefusedError(f"the unit refuses {step.what}: {error}")
    return b"" if reply is None else _field(frame, reply) or b""


def _field(frame: Frame, wanted: int) -> bytes | None:
    return next((data for descriptor, data in split_fields(frame.payload) if descriptor == wanted), None)
