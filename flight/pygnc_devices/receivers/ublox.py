"""Driver of u-blox receivers with the UBX protocol: their family.

Receivers up to generation 9 take CFG-MSG, which configures the port that it comes from; newer ones take CFG-VALSET.
Sources: u-blox M8 receiver description, UBX-13003221; u-blox M10 SPG 5.10 interface description, UBX-21035062.
"""

import struct
from typing import Final

from pygnc_devices.engine import Wire
from pygnc_devices.errors import NoAnswerError, RefusedError
from pygnc_devices.framing import Frame, fletcher16
from pygnc_devices.receivers import framing, packets
from pygnc_devices.receivers.unit import Commands, Timed, command, receiver_family, receiver_format

LONGEST: Final = 512
"""Bytes of the longest frame; raw measurements may be longer and then count as damaged."""
ACK: Final = "05-01"
NAK: Final = "05-00"
_VERSION: Final = b"\x0a\x04"
_CFG_MSG: Final = b"\x06\x01"
_CFG_RATE: Final = b"\x06\x08"
_CFG_VALSET: Final = b"\x06\x8a"
_TEXT_BYTES: Final = 30
_RATE_MS: Final = 0x3021_0001
_PVT_ON_PORTS: Final = (0x2091_0007, 0x2091_0009, 0x2091_0008)
"""Keys of the rate of NAV-PVT on UART1, USB and UART2; a receiver need not have all of these ports."""
_GPS_TIME: Final = 1
_VALID_TIME: Final = 2
_TOW_SET: Final = 8


def make_frame(number: bytes, payload: bytes = b"") -> bytes:
    """Return a frame."""
    body = number + struct.pack("<H", len(payload)) + payload
    return b"\xb5\x62" + body + fletcher16(body)


async def _send(number: bytes, payload: bytes, what: str) -> None:
    """Send a command.

    Raises:
        RefusedError: the receiver refuses it.
    """

    def is_answer(frame: Frame) -> bool:
        return frame.kind in {ACK, NAK} and frame.payload == number

    (frame,) = await command(make_frame(number, payload), is_answer, what)
    if frame.kind == NAK:
        raise RefusedError(f"{what}: the receiver refuses it")


async def _set_rate(hz: float) -> None:
    try:
        for name in ("NAV-PVT", "NAV-SOL"):
            if await _is_taken(_CFG_MSG, packets.UBX_NUMBERS[name] + b"\1", f"CFG-MSG for {name}"):
                await _send(_CFG_RATE, struct.pack("<3H", round(1e3 / hz), 1, _GPS_TIME), f"CFG-RATE for {hz:g} Hz")
                return
    except NoAnswerError:
        pass
    await _set_values(struct.pack("<IH", _RATE_MS, round(1e3 / hz)), f"CFG-VALSET for {hz:g} Hz")
    taken = [await _is_taken(_CFG_VALSET, _values(struct.pack("<IB", key, 1)), "CFG-VALSET") for key in _PVT_ON_PORTS]
    if not any(taken):
        raise RefusedError("the receiver sends NAV-PVT on none of its ports")


async def _is_taken(number: bytes, payload: bytes, what: str) -> bool:
    try:
        await _send(number, payload, what)
    except RefusedError:
        return False
    return True


def _values(pairs: bytes) -> bytes:
    """Return the payload of CFG-VALSET that sets keys in the working memory."""
    return b"\0\1\0\0" + pairs


async def _set_values(pairs: bytes, what: str) -> None:
    await _send(_CFG_VALSET, _values(pairs), what)


def _describe(frame: Frame) -> dict[str, str]:
    """Return the identity in MON-VER: software, hardware, then texts such as MOD=ZED-F9P."""
    texts = [frame.payload[:_TEXT_BYTES], frame.payload[_TEXT_BYTES : _TEXT_BYTES + 10]]
    texts += [frame.payload[at : at + _TEXT_BYTES] for at in range(_TEXT_BYTES + 10, len(frame.payload), _TEXT_BYTES)]
    software, hardware, *others = (text.partition(b"\0")[0].decode("latin-1") for text in texts)
    named = dict(text.partition("=")[::2] for text in others)
    return {"model": named.get("MOD") or f"u-blox, hardware {hardware}", "version": named.get("FWVER", software)}


_TIMED: Final[Timed] = {
    "NAV-PVT": ("valid", lambda bits: bool(int(bits) & _VALID_TIME)),
    "NAV-SOL": ("status_flags", lambda bits: bool(int(bits) & _TOW_SET)),
}
FAMILY: Final = receiver_family(
    "ublox",
    "u-blox receivers",
    bauds=(38400, 9600, 115200),
    wire=Wire(receiver_format(framing.UBLOX_BEGINNING, framing.ublox).scan, LONGEST),
    packets=tuple(packets.UBLOX.values()),
    decode=framing.ublox_values,
    timed=_TIMED,
    binary=framing.UBLOX_FRAMES,
    commands=Commands(make_frame(_VERSION), "0a-04", _describe, _set_rate, NAK),
)
