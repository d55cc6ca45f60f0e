"""Messages to a unit and their acknowledgements, whose number is greater by one; an error is a message of its own.

Source: MT Low Level Communication Protocol (MT0101P) of Xsens, and the maker's library xspublic (`xsxbusmessageid.h`,
`xsresultvalue.h`).
"""

from collections.abc import Callable
from typing import Final

from pygnc_devices.errors import RefusedError
from pygnc_devices.framing import Frame
from pygnc_devices.scheduler import ANSWER_TIMEOUT_S, ANSWER_TRIES, Request, accept_if
from pygnc_devices.xsens.framing import make_frame

REQUEST_ID, REQUEST_FIRMWARE, REQUEST_PRODUCT, REQUEST_HARDWARE = 0x00, 0x12, 0x1C, 0x1E
GO_TO_MEASUREMENT, GO_TO_CONFIG, RESET = 0x10, 0x30, 0x40
BAUD, NO_ROTATION, SELF_TEST, OUTPUTS = 0x18, 0x22, 0x24, 0xC0
FILTER_PROFILES, FILTER_PROFILE, RESET_ORIENTATION = 0x62, 0x64, 0xA4
MEASURING: Final = "11"
CONFIGURING: Final = "31"
OLD_DATA: Final = "32"
WAKE_UP: Final = "3E"
ERROR: Final = "42"
_REFUSALS: Final = {
    0x03: "invalid period",
    0x04: "invalid or unknown message",
    0x20: "invalid baud rate",
    0x21: "invalid parameter",
    0x31: "unknown filter profile",
    0x33: "access denied",
    0x35: "invalid output configuration",
}
ERRORS: Final = _REFUSALS | {
    0x1E: "timer overflow during the measurement",
    0x23: "send buffer full",
    0x24: "send buffer overflow",
    0x28: "internal error",
    0x29: "more data than the line can carry",
    0x2A: "sample buffer overflow",
    0x2B: "unexpected external trigger",
    0x2C: "samples out of order",
    0x2D: "dip of the supply voltage",
    0x2E: "current limit reached",
    0x2F: "temperature out of range",
    0x32: "stored settings invalid",
}
"""Meanings of the errors of a unit; those of bus masters and of the library on the host are omitted."""


def meaning(data: bytes) -> str:
    """Return the meaning of the data of an error message."""
    code = data[0] if data else 0
    return ERRORS.get(code, f"error {code:#04x}")


def is_refusal(frame: Frame) -> bool:
    """Return True if an error message refuses a request, and does not report a condition of the unit."""
    return frame.kind == ERROR and frame.payload[:1] != b"" and frame.payload[0] in _REFUSALS


def request(
    message: int,
    data: bytes = b"",
    *,
    fits: Callable[[bytes], bool] = lambda _: True,
    timeout_s: float = ANSWER_TIMEOUT_S,
    tries: int = ANSWER_TRIES,
) -> Request:
    """Return the request of a message.

    Args:
        message: number of the message.
        data: data of the message.
        fits: returns True if the data of an acknowledgement belong to this message and not to an earlier one.
        timeout_s: time limit for the acknowledgement, s.
        tries: largest number of attempts.
    """
    kind = f"{message + 1:02X}"
    accept = accept_if(lambda frame: is_refusal(frame) or (frame.kind == kind and fits(frame.payload)))
    octets = make_frame(f"{message:02X}", data)
    return Request(octets, accept, "message", timeout_s, tries, what=f"message {message:02X}")


async def ask(step: Request) -> bytes:
    """Send a message; return the data of its acknowledgement.

    Raises:
        RefusedError: the unit refuses the message; the text names the error.
        NoAnswerError: the unit does not respond.
    """
    frame = (await step)[-1]
    if frame.kind == ERROR:
        raise RefusedError(f"the unit refuses {step.what}: {meaning(frame.payload)}")
    return frame.payload
