"""Logs of NovAtel OEM6 and OEM7 receivers, ASCII and binary.

Binary: AA 44 12, header of 28 bytes, data, CRC-32; or AA 44 13 and a header of 12 bytes, which has no time status.
Numbers are little-endian. ASCII: `#NAME,header;data*CRC`. Both have the same words. Source: NovAtel, OEM7 Commands and
Logs Reference Manual.
"""

import math
import re
import struct
import zlib
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, TypeAlias

import numpy as np

from pygnc.common.constants import GpsTimeStatus, SolutionStatus
from pygnc.formats.gps_packet import solution_name, time_sigma_s
from pygnc_devices.framing import DamageReason, Frame
from pygnc_ground.receivers.epochs import COMPUTED, GPS_WEEKS, Part, Position, Spread, Velocity, ecef_from_geodetic
from pygnc_ground.receivers.protocol import Protocol

Word: TypeAlias = str | float
_LONGEST_TEXT: Final = 1 << 15
_END: Final = re.compile(rb"\*([0-9a-fA-F]{8})|[\r\n\0]")
_CRC_BYTES: Final = 4
_LONG_HEADER_BYTES: Final = 28
_SHORT_HEADER_BYTES: Final = 12


class _Head(NamedTuple):
    """Time of a log; the status is None if the header has none."""

    status: int | None
    week: int
    tow_ms: int


def crc32(octets: bytes) -> int:
    """Return NovAtel's CRC-32: that of zlib without its inversions."""
    return zlib.crc32(octets, 0xFFFF_FFFF) ^ 0xFFFF_FFFF


def _frame_at(octets: bytes, at: int) -> Frame | DamageReason | None:
    return _text_at(octets, at) if octets[at : at + 1] == b"#" else _binary_at(octets, at)


def _text_at(octets: bytes, at: int) -> Frame | DamageReason | None:
    end = _END.search(octets, at, at + _LONGEST_TEXT)
    if end is None:
        return None if len(octets) - at < _LONGEST_TEXT else DamageReason.NOISE
    if end.group(1) is None:
        return DamageReason.NOISE
    text, stated = octets[at + 1 : end.start()], int(end.group(1), 16)
    # In JSON, each quotation mark is preceded by a backslash.
    for content in (text, text.replace(b'\\"', b'"')):
        if crc32(content) == stated:
            raw = octets[at : end.end()]
            return Frame(content.split(b",", 1)[0].decode("ascii", "replace"), content, raw, at)
    return DamageReason.CHECKSUM


def _binary_at(octets: bytes, at: int) -> Frame | DamageReason | None:
    is_long = octets[at + 2 : at + 3] == b"\x12"
    if len(octets) - at < (_LONG_HEADER_BYTES if is_long else _SHORT_HEADER_BYTES):
        return None
    header = octets[at + 3] if is_long else _SHORT_HEADER_BYTES
    if header < _SHORT_HEADER_BYTES:
        return DamageReason.CONTENT
    length = int.from_bytes(octets[at + 8 : at + 10], "little") if is_long else octets[at + 3]
    end = at + header + length + _CRC_BYTES
    if end > len(octets):
        return None
    if crc32(octets[at : end - _CRC_BYTES]) != int.from_bytes(octets[end - _CRC_BYTES : end], "little"):
        return DamageReason.CHECKSUM
    number = int.from_bytes(octets[at + 4 : at + 6], "little")
    name = f"{_NAMES[number]}B" if number in _NAMES else str(number)
    return Frame(name, octets[at : end - _CRC_BYTES], octets[at:end], at)


# --- Words ----------------------------------------------------------------------------------------------------------


def _read_text(payload: bytes) -> tuple[_Head, Sequence[Word]]:
    head, _, data = payload.decode("ascii", "replace").partition(";")
    words = head.split(",")
    status = _TIME_STATUSES.get(words[4], GpsTimeStatus.UNKNOWN)
    return _Head(status, int(words[5]), round(1000 * float(words[6]))), data.split(",")


def _read_binary(payload: bytes, layout: struct.Struct) -> tuple[_Head, Sequence[Word]]:
    if payload[2] == 0x12:
        status, week, tow_ms = struct.unpack_from("<BHI", payload, 13)
        return _Head(status, week, tow_ms), layout.unpack_from(payload, payload[3])
    week, tow_ms = struct.unpack_from("<HI", payload, 6)
    return _Head(None, week, tow_ms), layout.unpack_from(payload, _SHORT_HEADER_BYTES)


_TIME_STATUSES: Final = {status.name.replace("_", ""): int(status) for status in GpsTimeStatus} | {
    "FINE": int(GpsTimeStatus.FINE)
}
_SOLUTIONS: Final = {
    "SOL_COMPUTED": int(SolutionStatus.COMPUTED),
    "INSUFFICIENT_OBS": int(SolutionStatus.INSUFFICIENT_OBSERVATIONS),
    "NO_CONVERGENCE": 2,
    "SINGULARITY": 3,
    "COV_TRACE": 4,
    "TEST_DIST": 5,
    "COLD_START": 6,
    "V_H_LIMIT": 7,
    "VARIANCE": 8,
    "RESIDUALS": 9,
    "INTEGRITY_WARNING": 13,
    "PENDING": 18,
    "INVALID_FIX": 19,
    "UNAUTHORIZED": 20,
    "INVALID_RATE": 22,
}
_UNMEASURED: Final = {"NONE": 0, "FIXEDPOS": 1, "FIXEDHEIGHT": 2, "PROPAGATED": 19}
"""Types of positions and velocities that no measurement of the epoch stands behind."""
_TYPE_NAMES: Final = {number: name.lower() for name, number in _UNMEASURED.items()}


def _solution(status: Word, kind: Word) -> str:
    """Return the name of a solution, by its type if nothing was measured."""
    number = _SOLUTIONS.get(status, -1) if isinstance(status, str) else int(status)
    name = solution_name(number) if number >= 0 else str(status).lower()
    type_number = _UNMEASURED.get(kind) if isinstance(kind, str) else int(kind)
    return _TYPE_NAMES.get(type_number, name) if name == COMPUTED and type_number is not None else name


def _numbers(words: Sequence[Word]) -> list[float]:
    return [float(word) for word in words]


# --- Logs -----------------------------------------------------------------------------------------------------------


def _dated(head: _Head) -> Part:
    return Part(head.tow_ms, head.week, time_sigma_s=None if head.status is None else time_sigma_s(head.status))


def _bestxyz(head: _Head, words: Sequence[Word]) -> Part:
    position, position_sigma, velocity, velocity_sigma = (_numbers(words[at : at + 3]) for at in (2, 5, 10, 13))
    latency_s, differential_s, age_s, tracked, used = _numbers(words[17:22])
    return _dated(head)._replace(
        position=Position(_solution(words[0], words[1]), np.array(position), Spread.of(position_sigma)),
        velocity=Velocity(_solution(words[8], words[9]), np.array(velocity), Spread.of(velocity_sigma), latency_s),
        satellites=(int(tracked), int(used)),
        differential_age_s=differential_s,
        solution_age_s=age_s,
    )


def _bestpos(head: _Head, words: Sequence[Word]) -> Part:
    latitude, longitude, height_m, undulation_m = _numbers(words[2:6])
    north, east, up = _numbers(words[7:10])
    differential_s, age_s, tracked, used = _numbers(words[11:15])
    return _dated(head)._replace(
        position=Position(
            _solution(words[0], words[1]),
            ecef_from_geodetic(latitude, longitude, height_m + undulation_m),
            Spread.of((east, north, up), is_local=True),
        ),
        satellites=(int(tracked), int(used)),
        differential_age_s=differential_s,
        solution_age_s=age_s,
    )


def _bestvel(head: _Head, words: Sequence[Word]) -> Part:
    latency_s, _, level_mps, track_deg, up_mps = _numbers(words[2:7])
    track = math.radians(track_deg)
    velocity = np.array((level_mps * math.sin(track), level_mps * math.cos(track), up_mps))
    return _dated(head)._replace(
        velocity=Velocity(_solution(words[0], words[1]), velocity, None, latency_s, is_local=True)
    )


def _time(head: _Head, words: Sequence[Word]) -> Part:
    """Return the offset of the receiver's clock, which a clock that is not steered leaves in the times of fixes."""
    offset_s, sigma_s = _numbers(words[1:3])
    if words[0] not in {"VALID", 0} or not math.isfinite(offset_s):
        return _dated(head)
    return _dated(head)._replace(late_s=-offset_s, time_sigma_s=sigma_s)


class _Log(NamedTuple):
    number: int
    layout: struct.Struct
    part: Callable[[_Head, Sequence[Word]], Part]


_LOGS: Final = {
    "TIME": _Log(101, struct.Struct("<I3d"), _time),
    "BESTXYZ": _Log(241, struct.Struct("<2I3d3f2I3d3f4s3f2B"), _bestxyz),
    "BESTPOS": _Log(42, struct.Struct("<2I3dfI3f4s2f2B"), _bestpos),
    "BESTVEL": _Log(99, struct.Struct("<2I2f3d"), _bestvel),
}
_NAMES: Final = {log.number: name for name, log in _LOGS.items()}


def _part(frame: Frame) -> Part | None:
    log = _LOGS.get(frame.kind[:-1])
    if log is None or frame.kind[-1] not in "AB":
        return None
    try:
        is_text = frame.kind[-1] == "A"
        return log.part(*(_read_text(frame.payload) if is_text else _read_binary(frame.payload, log.layout)))
    except (ValueError, IndexError, struct.error):
        return None  # a version of the log with other words


_PREFERRED: Final = tuple(f"{name}{form}" for name in _LOGS for form in "AB")
NOVATEL: Final = Protocol(
    "novatel",
    "NovAtel OEM",
    rb"\xaa(?:\x44(?:[\x12\x13]|\Z)|\Z)|#(?:[A-Z](?:[A-Z0-9]|\Z)|\Z)",
    _frame_at,
    _part,
    GPS_WEEKS,
    _PREFERRED,
)
