"""Commands of the DMU38x family and of its bootloader, and which frames are their answers.

Source: DMU380ZA manual 7430-3810, section 6. The functions return requests; operations await them.
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from pygnc_devices.framing import Frame
from pygnc_devices.scheduler import ANSWER_TIMEOUT_S, ANSWER_TRIES, Claim, Request
from pygnc_devices.ucb.framing import make_frame

NAK_KINDS: Final = ("\x15\x15", "\x00\x00")
"""Types of refusals: of the DMU380 and IMU383, and of OpenIMU firmware. The payload is the type of the command."""
WRITE_TIMEOUT_S: Final = 1.5
"""A write to the EEPROM takes about a second."""
FLUSH: Final = bytes(257)
"""Sent before a repeated command: if the length byte was damaged, the unit waits for up to so many bytes."""
MOST_FIELDS: Final = 40
"""Largest number of fields in one command; the answer must fit into 255 bytes."""
_MAG_ALIGN_LIMIT_S: Final = 150.0


def is_nak(frame: Frame, kind: str) -> bool:
    """Return whether a frame refuses a command of this type."""
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
    """Return a command that is answered by one frame: of the same type, of type `answer`, or a NAK.

    Args:
        kind: type of the command.
        payload: payload of the command.
        answer: type of the answer, if it differs.
        fits: returns whether the payload of an answer belongs to this command and not to an earlier one.
        timeout_s: see `Request`.
        tries: see `Request`.
    """
    answer = answer or kind

    def accept(frame: Frame) -> Claim:
        is_mine = is_nak(frame, kind) or (frame.kind == answer and fits(frame.payload))
        return Claim.LAST if is_mine else Claim.NO

    return _request(kind, payload, accept, timeout_s, tries, f"{kind} command")


def ping() -> Request:
    """Return PK."""
    return command("PK", fits=lambda payload: payload == b"")


def echo(octets: bytes) -> Request:
    """Return CH, which is answered by the same bytes."""
    return command("CH", octets, fits=lambda payload: payload == octets)


def get_packet(kind: str) -> Request:
    """Return GP: one packet of any type. If that type is streamed, a packet of the stream is accepted as the answer."""
    return command("GP", kind.encode("latin-1"), answer=kind)


def reset(kind: str) -> Request:
    """Return AR, SR or PR."""
    return command(kind)


def calibrate(request: int) -> Request:
    """Return WC, which is answered at once by the same word; the result follows as CD."""
    octets = request.to_bytes(2, "big")
    return command("WC", octets, fits=lambda payload: payload == octets)


def calibration_done() -> Request:
    """Return a request that waits for CD."""
    return Request(
        b"",
        lambda frame: Claim.LAST if frame.kind in ("CD", "CC") else Claim.NO,
        "CD",
        _MAG_ALIGN_LIMIT_S,
        tries=1,
        what="the end of the magnetic alignment",
    )


def read_words(address: int, count: int) -> Request:
    """Return RE: factory words of the EEPROM."""
    octets = struct.pack(">HB", address, count)
    return command("RE", octets, fits=lambda payload: payload[:3] == octets)


def ask_fields(kind: str, ids: Sequence[int]) -> Request:
    """Return GF or RF: values of fields, volatile or in the EEPROM."""
    payload = struct.pack(f">B{len(ids)}H", len(ids), *ids)
    return _of_fields(kind, payload, ids, words=2)


def put_fields(kind: str, values: Mapping[int, int]) -> Request:
    """Return SF or WF: set fields, volatile or in the EEPROM."""
    words = [word for pair in values.items() for word in pair]
    payload = struct.pack(f">B{len(words)}H", len(values), *words)
    # A write to the EEPROM without an answer may have been done: its operation reads before it repeats.
    timeout_s, tries = (WRITE_TIMEOUT_S, 1) if kind == "WF" else (ANSWER_TIMEOUT_S, ANSWER_TRIES)
    return _of_fields(kind, payload, list(values), words=1, timeout_s=timeout_s, tries=tries)


def _of_fields(
    kind: str,
    payload: bytes,
    ids: Sequence[int],
    *,
    words: int,
    timeout_s: float = ANSWER_TIMEOUT_S,
    tries: int = ANSWER_TRIES,
) -> Request:
    """Return a command for several fields.

    Partial success gives two answers: one lists the accepted fields, the other is a NAK.
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

    return _request(kind, payload, accept, timeout_s, tries, f"{kind} of fields {list(ids)}")


def _request(  # noqa: PLR0917 - private
    kind: str, payload: bytes, accept: Callable[[Frame], Claim], timeout_s: float, tries: int, what: str
) -> Request:
    octets = make_frame(kind, payload)
    return Request(octets, accept, kind, timeout_s, tries, what=what, again=FLUSH + octets)


def parse_ids(payload: bytes, words: int) -> tuple[int, ...] | None:
    """Return the fields that an answer names, with `words` words for each; None if the payload is malformed."""
    if not payload or len(payload) != 1 + 2 * words * payload[0]:
        return None
    return struct.unpack_from(f">{words * payload[0]}H", payload, 1)[::words]


def parse_values(payload: bytes) -> dict[int, int]:
    """Return the values in an answer to GF or RF, by field."""
    words = struct.unpack_from(f">{2 * payload[0]}H", payload, 1)
    return dict(zip(words[::2], words[1::2], strict=True))


BLOCK_BYTES: Final = 240
"""Bytes of the image in a WA command: the most that all firmware accepts."""
BOOTLOADER_BAUD: Final = 57600
_CATCH_S: Final = 0.01
"""Interval of JI commands to a unit that listens for a tenth of a second after power-up."""


def enter_bootloader() -> Request:
    """Return JI, sent once: if the answer is lost, the unit may be in its bootloader already."""
    return replace(command("JI"), timeout_s=0.5, tries=1)


def catch_at_power_up(limit_s: float) -> Request:
    """Return JI, sent repeatedly with both byte orders of the CRC: some bootloaders expect it swapped."""
    request = command("JI")
    octets = request.octets + swap_crc(request.octets)
    return replace(
        request,
        octets=octets,
        again=octets,
        timeout_s=_CATCH_S,
        tries=max(1, round(limit_s / _CATCH_S)),
        what="JI command while the unit is switched off and on",
    )


def start_application(*, swapped_crc: bool) -> Request:
    """Return JA, sent once: many bootloaders do not answer."""
    request = command("JA")
    return replace(request, octets=swap_crc(request.octets) if swapped_crc else request.octets, timeout_s=0.5, tries=1)


def where_are_you() -> Request:
    """Return pG: an application answers with its name, a bootloader that it is one."""
    return replace(command("pG"), timeout_s=0.2, tries=1)


def is_bootloader(frame: Frame) -> bool:
    """Return whether an answer to `where_are_you` comes from a bootloader."""
    return frame.kind == "pG" and b"bootloader" in frame.payload.lower()


def write_block(address: int, data: bytes, timeout_s: float) -> Request:
    """Return WA, sent once: a block of the image at its address. The answer repeats address and length, or is empty."""
    head = struct.pack(">IB", address, len(data))

    def accept(frame: Frame) -> Claim:
        is_mine = frame.kind == "WA" and frame.payload[:5] in (head, b"")
        return Claim.LAST if is_mine or is_nak(frame, "WA") else Claim.NO

    request = command("WA", head + data)
    return replace(request, accept=accept, timeout_s=timeout_s, tries=1, what=f"WA command at {address:#x}")


def swap_crc(frame: bytes) -> bytes:
    """Return a frame with the bytes of its CRC swapped."""
    return frame[:-2] + frame[:-3:-1]
