"""Binary protocol of SkyTraq receivers.

A frame: A0 A1, length of the payload, payload, the exclusive or of its bytes, CR LF; numbers are big-endian. The
messages have no standard deviations. Source: SkyTraq application notes AN0024 and AN0030, binary messages of Venus 8.
"""

import struct
from functools import partial, reduce
from operator import xor
from typing import Final

import numpy as np

from pygnc_devices.framing import DamageReason, Frame
from pygnc_ground.receivers.epochs import COMPUTED, GPS_WEEKS, Part, Position, Velocity
from pygnc_ground.receivers.protocol import Message, Protocol, names_of, part_of

_OVERHEAD_BYTES: Final = 7
_END: Final = b"\r\n"


def _frame_at(octets: bytes, at: int) -> Frame | DamageReason | None:
    if len(octets) - at < 5:
        return None
    length = int.from_bytes(octets[at + 2 : at + 4], "big")
    if not length:
        return DamageReason.CONTENT
    end = at + _OVERHEAD_BYTES + length
    if end > len(octets):
        return None
    payload = octets[at + 4 : end - 3]
    if reduce(xor, payload) != octets[end - 3] or octets[end - 2 : end] != _END:
        return DamageReason.CHECKSUM
    return Frame(_NAMES.get(payload[0], f"{payload[0]:02X}"), payload[1:], octets[at:end], at)


_NAVIGATION: Final = struct.Struct(">BBHI4i5H6i")
_FIX_MODES: Final = {0: "none", 1: "2d", 2: COMPUTED, 3: COMPUTED}


def _navigation(payload: bytes) -> Part:
    mode, satellites, week, tow, *words = _NAVIGATION.unpack_from(payload)
    position_cm, velocity_cm = (np.array(words[at : at + 3], dtype=float) for at in (9, 12))
    solution = _FIX_MODES.get(mode, "none")
    return Part(
        10 * tow,
        week,
        position=Position(solution, 1e-2 * position_cm),
        velocity=Velocity(solution, 1e-2 * velocity_cm),
        satellites=(satellites, satellites),
    )


_RECEIVER: Final = struct.Struct(">BBHd3d3f")
_STATES: Final = {0: "none", 1: "prediction", 2: "2d", 3: COMPUTED, 4: COMPUTED}


def _receiver(payload: bytes) -> Part:
    _, state, week, tow_s, *words = _RECEIVER.unpack_from(payload)
    tow_ms = round(1e3 * tow_s)
    solution = _STATES.get(state, "none")
    return Part(
        tow_ms,
        week,
        late_s=tow_s - 1e-3 * tow_ms,
        position=Position(solution, np.array(words[:3])),
        velocity=Velocity(solution, np.array(words[3:])),
    )


_MESSAGES: Final = {
    "receiver state": Message(0xDF, _receiver, _RECEIVER.size),
    "navigation data": Message(0xA8, _navigation, _NAVIGATION.size),
}
_NAMES: Final = names_of(_MESSAGES)


SKYTRAQ: Final = Protocol(
    "skytraq",
    "SkyTraq binary",
    rb"\xa0(?:\xa1|\Z)",
    _frame_at,
    partial(part_of, _MESSAGES),
    GPS_WEEKS,
    tuple(_MESSAGES),
)
