"""Septentrio Binary Format (SBF).

A block: `$@`, CRC, number and revision, length, time of week, week, content; the CRC (CCITT) covers all after it, and
numbers are little-endian. Source: Septentrio, mosaic-X5 reference guide, SBF.
"""

import binascii
import struct
from functools import partial
from typing import Final

import numpy as np

from pygnc.inputs.receivers.parts import COMPUTED, Part, Position, Spread, Velocity
from pygnc_devices.framing import DamageReason, Frame
from pygnc_ground.receivers.epochs import GPS_WEEKS
from pygnc_ground.receivers.protocol import Message, Protocol, names_of, part_of

_HEADER_BYTES: Final = 8
_UNKNOWN_TOW: Final = 0xFFFF_FFFF
_UNKNOWN_WEEK: Final = 0xFFFF
_UNKNOWN: Final = -2e10
"""Value of a number that the receiver does not know."""
_MODES: Final = {0: "none", 3: "fixedpos"}


def _frame_at(octets: bytes, at: int) -> Frame | DamageReason | None:
    if len(octets) - at < _HEADER_BYTES:
        return None
    crc, identity, length = struct.unpack_from("<3H", octets, at + 2)
    if length < _HEADER_BYTES or length % 4:
        return DamageReason.CONTENT
    end = at + length
    if end > len(octets):
        return None
    if binascii.crc_hqx(octets[at + 4 : end], 0) != crc:
        return DamageReason.CHECKSUM
    number = identity & 0x1FFF
    return Frame(_NAMES.get(number, str(number)), octets[at + _HEADER_BYTES : end], octets[at:end], at)


def _solution(mode: int, error: int) -> str:
    if error:
        return f"error_{error}"
    return _MODES.get(mode & 0x0F, COMPUTED)


def _dated(tow_ms: int, week: int) -> Part:
    is_known = tow_ms != _UNKNOWN_TOW and week != _UNKNOWN_WEEK
    return Part(tow_ms if is_known else 0, week if is_known else 0)


def _known(values: tuple[float, ...]) -> np.ndarray:
    return np.where(np.array(values) == _UNKNOWN, np.nan, values)


_PVT: Final = struct.Struct("<IHBB3df3ffdfBBB")


def _pvt(payload: bytes) -> Part:
    tow_ms, week, mode, error, *words = _PVT.unpack_from(payload)
    solution, satellites = _solution(mode, error), words[12]
    return _dated(tow_ms, week)._replace(
        position=Position(solution, _known(tuple(words[:3]))),
        velocity=Velocity(solution, _known(tuple(words[4:7]))),
        satellites=(satellites, satellites),
    )


_COVARIANCE: Final = struct.Struct("<IHBB10f")


def _spread(payload: bytes) -> tuple[Part, Spread | None]:
    tow_ms, week, mode, error, *words = _COVARIANCE.unpack_from(payload)
    xx, yy, zz, _, xy, xz, _, yz, _, _ = _known(tuple(words)).tolist()
    covariance = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    is_known = _solution(mode, error) == COMPUTED and bool(np.isfinite(covariance).all())
    return _dated(tow_ms, week), Spread(covariance) if is_known else None


def _position_covariance(payload: bytes) -> Part:
    part, spread = _spread(payload)
    return part._replace(position_spread=spread)


def _velocity_covariance(payload: bytes) -> Part:
    part, spread = _spread(payload)
    return part._replace(velocity_spread=spread)


_BLOCKS: Final = {
    "PVTCartesian": Message(4006, _pvt, _PVT.size),
    "PosCovCartesian": Message(5905, _position_covariance, _COVARIANCE.size),
    "VelCovCartesian": Message(5907, _velocity_covariance, _COVARIANCE.size),
}
_NAMES: Final = names_of(_BLOCKS)


SEPTENTRIO: Final = Protocol(
    "septentrio", "Septentrio SBF", rb"\$(?:@|\Z)", _frame_at, partial(part_of, _BLOCKS), GPS_WEEKS, tuple(_BLOCKS)
)
