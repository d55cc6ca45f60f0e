"""Driver of SkyTraq receivers: their family.

Source: SkyTraq application note AN0024, binary messages of Venus 8.
"""

from functools import reduce
from operator import xor
from typing import Final

from pygnc_devices.engine import Wire
from pygnc_devices.errors import RefusedError
from pygnc_devices.framing import Frame
from pygnc_devices.receivers import framing, packets
from pygnc_devices.receivers.unit import Commands, Timed, command, receiver_family, receiver_format

LONGEST: Final = 512
"""Bytes of the longest frame; raw measurements may be longer and then count as damaged."""
ACK: Final = "83"
NACK: Final = "84"
_VERSION: Final = b"\x02\x01"
_BINARY: Final = b"\x09\x02\0"
"""Configure message type: binary, until power-off."""
_EACH_EPOCH: Final = b"\x11\x01\0"
"""Configure navigation data message interval: each epoch, until power-off."""
_RATE: Final = 0x0E
_RATES_HZ: Final = (1, 2, 4, 5, 8, 10, 20, 25, 40, 50)


def make_frame(payload: bytes) -> bytes:
    """Return a frame; the payload begins with the number of the message."""
    return b"\xa0\xa1" + len(payload).to_bytes(2, "big") + payload + bytes([reduce(xor, payload)]) + b"\r\n"


async def _send(payload: bytes, what: str) -> None:
    """Send a command.

    Raises:
        RefusedError: the receiver refuses it.
    """

    def is_answer(frame: Frame) -> bool:
        return frame.kind in {ACK, NACK} and frame.payload[:1] == payload[:1]

    (frame,) = await command(make_frame(payload), is_answer, what)
    if frame.kind == NACK:
        raise RefusedError(f"{what}: the receiver refuses it")


async def _set_rate(hz: float) -> None:
    if hz not in _RATES_HZ:
        raise RefusedError(f"rate {hz:g} Hz: choose from {', '.join(map(str, _RATES_HZ))} Hz")
    await _send(_BINARY, "binary messages")
    await _send(bytes((_RATE, round(hz), 0)), f"rate {hz:g} Hz")
    await _send(_EACH_EPOCH, "navigation data")


def _describe(frame: Frame) -> dict[str, str]:
    """Return the versions: type of software, then kernel, ODM and revision with four bytes each."""
    kernel, odm, revision = (".".join(map(str, frame.payload[at + 1 : at + 4])) for at in (1, 5, 9))
    return {"model": "SkyTraq", "version": f"kernel {kernel}, ODM {odm}, revision {revision}"}


_TIMED: Final[Timed] = {"receiver state": ("state", bool), "navigation data": ("fix_type", bool)}
FAMILY: Final = receiver_family(
    "skytraq",
    "SkyTraq Venus and Phoenix",
    bauds=(115200, 9600),
    wire=Wire(receiver_format(framing.SKYTRAQ_BEGINNING, framing.skytraq).scan, LONGEST),
    packets=tuple(packets.SKYTRAQ.values()),
    decode=framing.skytraq_values,
    timed=_TIMED,
    binary=framing.SKYTRAQ_FRAMES,
    commands=Commands(make_frame(_VERSION), "80", _describe, _set_rate, NACK),
)
