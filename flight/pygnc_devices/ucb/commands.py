"""Commands of the DMU38x family and their responses.

Source: DMU380ZA manual 7430-3810, section 6. The functions return requests; operations await them.
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from pygnc_devices.errors import RefusedError
from pygnc_devices.framing import Frame
from pygnc_devices.scheduler import ANSWER_TIMEOUT_S, ANSWER_TRIES, Claim, Request, accept_if
from pygnc_devices.ucb.framing import make_frame

NAK_KINDS: Final = ("\x15\x15", "\x00\x00")
"""Types of refusals: of the DMU380 and IMU383, and of OpenIMU firmware. The payload is the type of the command."""
WRITE_TIMEOUT_S: Final = 1.5
"""A write to the EEPROM takes about a second."""
FLUSH: Final = bytes(257)
"""Bytes sent before a repeated command: if the length byte was damaged, the unit waits for up to 257 bytes."""
MOST_FIELDS: Final = 40
"""Largest number of fields in one command; the response must fit into 255 bytes."""


def is_nak(frame: Frame, kind: str) -> bool:
    """Return True if a frame refuses a command of type `kind`."""
    return frame.kind in NAK_KINDS and frame.payload[:2] == kind.encode("latin-1")


def command(
    kind: str,
    payload: bytes = b"",
    *,
    answer: str = "",
    fits: Callable[[bytes], bool] = lambda _: True,
    timeout_s: float = ANSWER_TIMEOUT_S,
    tries: int = ANSWER_TRIES,
) -> Request:
    """Return a command whose response is one frame: of the same type, of type `answer`, or a NAK.

    Args:
        kind: type of the command.
        payload: payload of the command.
        answer: type of the response; "": the type of the command.
        fits: returns True if the payload of a response belongs to this command and not to an earlier command.
        timeout_s: time limit for the response to each attempt, s.
        tries: largest number of attempts.
    """
    answer = answer or kind
    accept = accept_if(lambda frame: is_nak(frame, kind) or (frame.kind == answer and fits(frame.payload)))
    octets = make_frame(kind, payload)
    again = FLUSH + octets
    return Request(octets, accept, kind, timeout_s, tries, what=f"{kind} command", again=again, may_be_equal=True)


async def send(request: Request) -> Frame:
    """Send a command and return the response.

    Raises:
        RefusedError: the unit refuses the command.
    """
    frame = (await request)[-1]
    if frame.kind in NAK_KINDS:
        raise RefusedError(f"the unit refuses the {request.what}")
    return frame


def ping() -> Request:
    """Return the command PK; the unit responds with an empty PK."""
    return command("PK", fits=lambda payload: payload == b"")


def get_packet(kind: str) -> Request:
    """Return the command GP, which requests one packet. If that type is streamed, a streamed packet is the response."""
    return command("GP", kind.encode("latin-1"), answer=kind)


def calibrate(request: int) -> Request:
    """Return the command WC, which starts or stops a calibration.

    The unit confirms at once with the same word; the result follows in a CD packet.
    """
    octets = request.to_bytes(2, "big")
    return command("WC", octets, fits=lambda payload: payload == octets)


def ask_fields(kind: str, ids: Sequence[int]) -> Request:
    """Return the command GF or RF, which reads fields, volatile or in the EEPROM."""
    return _of_fields(command(kind, struct.pack(f">B{len(ids)}H", len(ids), *ids)), kind, ids, words=2)


def put_fields(kind: str, values: Mapping[int, int]) -> Request:
    """Return the command SF or WF, which sets fields, volatile or in the EEPROM."""
    words = [word for pair in values.items() for word in pair]
    request = command(kind, struct.pack(f">B{len(words)}H", len(values), *words))
    if kind == "WF":
        # A write to the EEPROM without a response may have been done: its operation reads before it repeats.
        request = replace(request, timeout_s=WRITE_TIMEOUT_S, tries=1)
    return _of_fields(request, kind, list(values), words=1)


def _of_fields(request: Request, kind: str, ids: Sequence[int], *, words: int) -> Request:
    """Return a command for several fields.

    Partial success gives two responses: one lists the accepted fields, the other is a NAK.
    """

    def accept(frame: Frame) -> Claim:
        if is_nak(frame, kind):
            return Claim.LAST if len(ids) == 1 else Claim.PART
        if frame.kind != kind:
            return Claim.NO
        named = parse_ids(frame.payload, words)
        if named is None or not set(named) <= set(ids):
            return Claim.NO
        return Claim.LAST if len(named) == len(ids) else Claim.PART

    return replace(request, accept=accept, what=f"{kind} of fields {list(ids)}")


def parse_ids(payload: bytes, words: int) -> tuple[int, ...] | None:
    """Return the field numbers in a response with `words` words per field; None if the payload is malformed."""
    if not payload or len(payload) != 1 + 2 * words * payload[0]:
        return None
    return struct.unpack_from(f">{words * payload[0]}H", payload, 1)[::words]


def parse_values(payload: bytes) -> dict[int, int]:
    """Return the values in a response to GF or RF, by field number."""
    words = struct.unpack_from(f">{2 * payload[0]}H", payload, 1)
    return dict(zip(words[::2], words[1::2], strict=True))


def where_are_you() -> Request:
    """Return the command pG, sent once. An application responds with its name, a bootloader with its own text."""
    return command("pG", fits=bool, tries=1)


def is_bootloader(frame: Frame) -> bool:
    """Return True if a response to `where_are_you` comes from a bootloader."""
    return frame.kind == "pG" and b"bootloader" in frame.payload.lower()
