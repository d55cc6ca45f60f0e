"""The messages of the original PyGNC (2023), which its logs and its status file hold: nested MessagePack arrays.

A message is an array without names. Its shape alone tells what it is, so the shape is checked wholly: the numbers of
elements, numbers where numbers belong, and the form of the epoch.
"""

import re
from collections.abc import Mapping
from typing import Final, TypeAlias

import msgpack

from pygnc_ground.inspection.sections import Value

MESSAGE_BYTES_MAX: Final = 1024
"""The longest message has 376."""

BEGINNING: Final = re.compile(rb"\x96\xb4|\x92\x95|[\x95\x9f][\xca-\xd3]")
"""What a message begins with: an array of 6 and a text of 20 letters, an array in an array, or an array of 5 or 15 and
a time, which is too large a number for one byte."""

_EPOCH: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")

_NUMBER: Final = 0
_EPOCH_TEXT: Final = -1
Shape: TypeAlias = "int | tuple[int, ...] | Mapping[str, Shape]"
"""A number, the epoch, a vector of one of the lengths given, or a message in the message."""

_SENSOR: Final[dict[str, Shape]] = {
    "t_spacecraft_s": _NUMBER,
    "mag_imu_ut": (3,),
    "hall_raw": _NUMBER,
    "gyro_imu_deg_s": (3,),
    "lux": (6,),
}
_GPS: Final[dict[str, Shape]] = {
    "t_spacecraft_s": _NUMBER,
    "time_status": _NUMBER,
    "gps_week": _NUMBER,
    "gps_tow_ms": _NUMBER,
    "position_status": _NUMBER,
    "position_ecef_m": (3,),
    "position_sigma_m": (3,),
    "velocity_status": _NUMBER,
    "velocity_ecef_mps": (3,),
    "velocity_sigma_mps": (3,),
    "velocity_latency_s": _NUMBER,
    "differential_age_s": _NUMBER,
    "solution_age_s": _NUMBER,
    "satellites_tracked": _NUMBER,
    "satellites_used": _NUMBER,
}
# The disturbance arrays have six elements by default, five once the filter has filled them.
_ORBIT: Final[dict[str, Shape]] = {
    "epoch_utc": _EPOCH_TEXT,
    "state_eci": (6,),
    "disturbance": (5, 6),
    "state_variance": (6,),
    "disturbance_variance": (5, 6),
    "sensor": _SENSOR,
}
MESSAGES: Final[dict[str, dict[str, Shape]]] = {
    "OrbitEstimateMessage": _ORBIT,
    "SensorMessage": _SENSOR,
    "GPSMessage": _GPS,
    "SensorGPSMessage": {"sensor": _SENSOR, "gps": _GPS},
}


def decode_message(data: bytes | memoryview) -> tuple[str, dict[str, Value], int] | None:
    """Name, fields and length in bytes of the message at the beginning of `data`; None if there is no whole one."""
    unpacker = msgpack.Unpacker(
        use_list=False,
        max_buffer_size=MESSAGE_BYTES_MAX,
        max_array_len=len(_GPS),
        max_str_len=20,
        max_bin_len=0,
        max_map_len=0,
        max_ext_len=0,
    )
    unpacker.feed(data[:MESSAGE_BYTES_MAX])
    try:
        decoded = unpacker.unpack()
    except (msgpack.UnpackException, ValueError):
        return None
    for name, shape in MESSAGES.items():
        fields = _match(decoded, shape)
        if fields is not None:
            return name, fields, unpacker.tell()
    return None


def _match(decoded: object, shape: Mapping[str, Shape]) -> dict[str, Value] | None:
    if not isinstance(decoded, tuple) or len(decoded) != len(shape):
        return None
    fields: dict[str, Value] = {}
    for (name, part), value in zip(shape.items(), decoded, strict=True):
        if isinstance(part, Mapping):
            nested = _match(value, part)
            if nested is None:
                return None
            fields[name] = nested
        elif _fits(value, part):
            fields[name] = value
        else:
            return None
    return fields


def _fits(value: object, part: int | tuple[int, ...]) -> bool:
    if part == _EPOCH_TEXT:
        return isinstance(value, str) and _EPOCH.fullmatch(value) is not None
    if part == _NUMBER:
        return _is_number(value)
    return isinstance(value, tuple) and isinstance(part, tuple) and len(value) in part and all(map(_is_number, value))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
