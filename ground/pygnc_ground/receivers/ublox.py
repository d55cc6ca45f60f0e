"""UBX protocol of u-blox receivers.

A frame: B5 62, class, number, length of the payload, payload, Fletcher's checksum over all but the first two bytes;
numbers are little-endian. Source: u-blox M8 receiver description, UBX-13003221, and u-blox 6, GPS.G6-SW-10018, for
NAV-SOL.
"""

import math
import struct
from datetime import UTC, datetime
from functools import partial
from typing import Final

import numpy as np

from pygnc.common.clock import MS_PER_WEEK, gps_ms_from_unix_ms
from pygnc_devices.framing import DamageReason, Frame, fletcher16
from pygnc_ground.receivers.epochs import COMPUTED, GPS_WEEKS, Part, Position, Spread, Velocity, ecef_from_geodetic
from pygnc_ground.receivers.protocol import Message, Protocol, names_of, part_of

_HEADER_BYTES: Final = 6
_OVERHEAD_BYTES: Final = 8
_UNKNOWN: Final = 0xFFFF_FFFF
"""Accuracy that is stated without a fix."""
_FIX_TYPES: Final = {0: "none", 1: "dead_reckoning", 2: "2d", 3: COMPUTED, 4: COMPUTED, 5: "time_only"}


def _frame_at(octets: bytes, at: int) -> Frame | DamageReason | None:
    if len(octets) - at < _HEADER_BYTES:
        return None
    end = at + _OVERHEAD_BYTES + int.from_bytes(octets[at + 4 : at + 6], "little")
    if end > len(octets):
        return None
    if fletcher16(octets[at + 2 : end - 2]) != octets[end - 2 : end]:
        return DamageReason.CHECKSUM
    number = octets[at + 2 : at + 4]
    return Frame(_NAMES.get(number, number.hex("-")), octets[at + _HEADER_BYTES : end - 2], octets[at:end], at)


def _shared(accuracy: float) -> Spread:
    """Return the spread of an accuracy that is the root sum square over three axes."""
    return Spread.of([accuracy / math.sqrt(3.0)] * 3)


_PVT: Final = struct.Struct("<IH5BBIi4B4i2I3iiiI")


def _pvt(payload: bytes) -> Part:
    words = _PVT.unpack_from(payload)
    tow_ms, year, month, day, hour, minute, second, valid, accuracy_ns, nano, fix, flags, _, satellites = words[:14]
    longitude, latitude, height_mm, _, horizontal_mm, vertical_mm, north, east, down, _, _, speed_mm = words[14:26]
    solution = _FIX_TYPES.get(fix, "none") if flags & 1 or fix not in {3, 4} else "invalid"
    level_m = 1e-3 * horizontal_mm / math.sqrt(2.0)
    return Part(
        tow_ms,
        # The date tells the week and need not be right to the leap second.
        _week((year, month, day, hour, minute, second), tow_ms) if valid & 3 == 3 else None,
        late_s=math.remainder(1e-9 * nano - 1e-3 * (tow_ms % 1000), 1.0),
        time_sigma_s=1e-9 * accuracy_ns if accuracy_ns != _UNKNOWN else math.inf,
        position=Position(
            solution,
            ecef_from_geodetic(1e-7 * latitude, 1e-7 * longitude, 1e-3 * height_mm),
            Spread.of((level_m, level_m, 1e-3 * vertical_mm), is_local=True),
        ),
        velocity=Velocity(
            solution,
            1e-3 * np.array((east, north, -down), dtype=float),
            _shared(1e-3 * speed_mm),
            is_local=True,
        ),
        satellites=(satellites, satellites),
    )


def _week(date: tuple[int, int, int, int, int, int], tow_ms: int) -> int | None:
    try:
        moment = datetime(*date[:5], min(date[5], 59), tzinfo=UTC)
    except ValueError:
        return None
    return round((gps_ms_from_unix_ms(round(1000 * moment.timestamp())) - tow_ms) / MS_PER_WEEK)


_SOL: Final = struct.Struct("<IihBB3iI3iIHBB")


def _sol(payload: bytes) -> Part:
    tow_ms, nano, week, fix, flags, *words = _SOL.unpack_from(payload)
    position_cm, accuracy_cm, velocity_cm, speed_cm, satellites = words[:3], words[3], words[4:7], words[7], words[10]
    solution = _FIX_TYPES.get(fix, "none") if flags & 1 or fix not in {3, 4} else "invalid"
    return Part(
        tow_ms,
        week if flags & 12 == 12 else None,
        late_s=1e-9 * nano,
        position=Position(solution, 1e-2 * np.array(position_cm, dtype=float), _shared(1e-2 * accuracy_cm)),
        velocity=Velocity(solution, 1e-2 * np.array(velocity_cm, dtype=float), _shared(1e-2 * speed_cm)),
        satellites=(satellites, satellites),
    )


def _pos_ecef(payload: bytes) -> Part:
    tow_ms, x, y, z, accuracy_cm = struct.unpack_from("<I3iI", payload)
    solution = "none" if accuracy_cm == _UNKNOWN else COMPUTED
    return Part(
        tow_ms, position=Position(solution, 1e-2 * np.array((x, y, z), dtype=float), _shared(1e-2 * accuracy_cm))
    )


def _vel_ecef(payload: bytes) -> Part:
    tow_ms, x, y, z, accuracy_cm = struct.unpack_from("<I3iI", payload)
    solution = "none" if accuracy_cm == _UNKNOWN else COMPUTED
    return Part(
        tow_ms, velocity=Velocity(solution, 1e-2 * np.array((x, y, z), dtype=float), _shared(1e-2 * accuracy_cm))
    )


def _time_gps(payload: bytes) -> Part:
    tow_ms, nano, week, _, valid, accuracy_ns = struct.unpack_from("<IihbBI", payload)
    is_set = valid & 3 == 3
    return Part(
        tow_ms, week if is_set else None, late_s=1e-9 * nano, time_sigma_s=1e-9 * accuracy_ns if is_set else math.inf
    )


def _cov(payload: bytes) -> Part:
    tow_ms, _, has_position, has_velocity, *words = struct.unpack_from("<I3B9x12f", payload)
    position, velocity = (_east_north_up(words[at : at + 6]) for at in (0, 6))
    return Part(
        tow_ms,
        position_spread=position if has_position else None,
        velocity_spread=velocity if has_velocity else None,
    )


def _east_north_up(words: list[float]) -> Spread:
    """Return the spread of the covariances NN, NE, ND, EE, ED, DD."""
    nn, ne, nd, ee, ed, dd = words
    return Spread(np.array([[ee, ne, -ed], [ne, nn, -nd], [-ed, -nd, dd]]), is_local=True)


_MESSAGES: Final = {
    "NAV-PVT": Message(b"\x01\x07", _pvt, 84),
    "NAV-SOL": Message(b"\x01\x06", _sol, 52),
    "NAV-POSECEF": Message(b"\x01\x01", _pos_ecef, 20),
    "NAV-VELECEF": Message(b"\x01\x11", _vel_ecef, 20),
    "NAV-COV": Message(b"\x01\x36", _cov, 64),
    "NAV-TIMEGPS": Message(b"\x01\x20", _time_gps, 16),
}
_NAMES: Final = names_of(_MESSAGES)


UBLOX: Final = Protocol(
    "ublox", "UBX of u-blox", rb"\xb5(?:\x62|\Z)", _frame_at, partial(part_of, _MESSAGES), GPS_WEEKS, tuple(_MESSAGES)
)
