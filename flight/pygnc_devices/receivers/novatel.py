"""Driver of NovAtel OEM6 and OEM7 receivers: their family.

Commands are abbreviated ASCII, to which a receiver responds `<OK` or `<ERROR:...` and its prompt `[COM1]`.
Source: NovAtel, OEM7 Commands and Logs Reference Manual.
"""

import csv
import re
from typing import Final

from pygnc_devices.engine import Wire
from pygnc_devices.errors import RefusedError
from pygnc_devices.framing import DamageReason, Frame
from pygnc_devices.receivers import framing, packets
from pygnc_devices.receivers.framing import Found
from pygnc_devices.receivers.unit import Commands, Timed, command, receiver_family, receiver_format

LONGEST: Final = 1024
"""Bytes of the longest frame; logs with raw measurements may be longer and then count as damaged."""
OK: Final = "OK"
REFUSAL: Final = "ERROR"
PROMPT: Final = "prompt"
_BEGINNING: Final = rb"<(?:OK|ERR|\Z|O\Z|ER?\Z)|\[(?:[A-Z]|\Z)|" + framing.NOVATEL_BEGINNING
_RESPONSE: Final = re.compile(rb"<(OK|ERROR:[ -~]{0,100})[\r\n]")
_RESPONSE_BYTES: Final = 110
_PROMPT: Final = re.compile(rb"\[[A-Z]{2,5}\d{0,2}\]")
_PROMPT_BYTES: Final = 9
_TIME_UNKNOWN: Final = 20


def _frame_at(octets: bytes, at: int) -> Found:
    if octets[at] == ord("<"):
        return _matched(_RESPONSE, octets, at, _RESPONSE_BYTES)
    if octets[at] == ord("["):
        return _matched(_PROMPT, octets, at, _PROMPT_BYTES)
    return framing.novatel(octets, at)


def _matched(pattern: re.Pattern[bytes], octets: bytes, at: int, longest: int) -> Found:
    """Return the response or the prompt at an offset; text that another byte ends is none."""
    found = pattern.match(octets, at, at + longest)
    if found is None:
        piece = octets[at : at + longest]
        return None if len(piece) < longest and piece.isascii() and piece.decode().isprintable() else DamageReason.NOISE
    if not found.lastindex:
        return Frame(PROMPT, b"", found.group(), at)
    kind, _, text = found.group(1).partition(b":")
    return Frame(kind.decode(), text, found.group(), at)


async def _send(text: str) -> None:
    """Send a command.

    Raises:
        RefusedError: the receiver refuses it.
    """
    (frame,) = await command(text.encode() + b"\r\n", lambda frame: frame.kind in {OK, REFUSAL}, text)
    if frame.kind == REFUSAL:
        raise RefusedError(f"{text}: {frame.payload.decode()}")


async def _set_rate(hz: float) -> None:
    await _send(f"LOG BESTXYZB ONTIME {1.0 / hz:g}")


def _describe(frame: Frame) -> dict[str, str]:
    """Return the identity by the first component of VERSIONA: type, model, serial number, hardware, software ..."""
    _, _, data = frame.payload.decode("ascii", "replace").partition(";")
    words = next(csv.reader([data]))
    return dict(zip(("model", "serial_number", "hardware", "version"), words[2:6], strict=False))


_TIMED: Final[Timed] = dict.fromkeys(packets.NOVATEL, ("time_status", lambda status: status != _TIME_UNKNOWN))
FAMILY: Final = receiver_family(
    "novatel",
    "NovAtel OEM6 and OEM7",
    bauds=(9600, 115200),
    wire=Wire(receiver_format(_BEGINNING, _frame_at).scan, LONGEST),
    packets=tuple(packets.NOVATEL.values()),
    decode=framing.novatel_values,
    timed=_TIMED,
    binary=framing.NOVATEL_FRAMES,
    # The first line end separates the question from what other drivers sent in a search.
    commands=Commands(
        b"\r\nLOG VERSIONA ONCE\r\n", "VERSIONA", _describe, _set_rate, REFUSAL, frozenset((OK, REFUSAL, PROMPT)), 0.15
    ),
    quiet_bauds=(9600,),
)
