"""Logs and status file of the original PyGNC (2023): nested MessagePack arrays.

A message is an array without field names and is recognised by its shape alone. The viewer therefore checks the whole
shape: numbers of elements, types, and the format of the epoch.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias

import msgpack
import msgspec

from pygnc.formats.damage import Damage, DamageReason
from pygnc_ground.inspection.sections import (
    DamageTally,
    Entry,
    Facts,
    Listing,
    Note,
    Section,
    Value,
    Viewer,
    read_chunks,
)

MESSAGE_BYTES_MAX: Final = 1024
"""The longest message has 376 bytes."""

BEGINNING: Final = re.compile(rb"\x96\xb4|\x92\x95|[\x95\x9f][\xca-\xd3]")
"""Beginning of a message: an array of 6 with a text of 20 characters, an array in an array, or an array of 5 or 15 with
a time that needs more than one byte.
"""

_Number: TypeAlias = int | float
_Vector: TypeAlias = tuple[_Number, _Number, _Number]
_Six: TypeAlias = tuple[_Number, _Number, _Number, _Number, _Number, _Number]
_FiveOrSix: TypeAlias = Annotated[tuple[_Number, ...], msgspec.Meta(min_length=5, max_length=6)]
"""Disturbances: six elements by default, five after the filter has written them."""


class SensorMessage(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """Sensor packet: illuminance in lux, other units as the names say."""

    t_spacecraft_s: _Number
    mag_imu_ut: _Vector
    hall_raw: _Number
    gyro_imu_deg_s: _Vector
    lux: _Six


class GPSMessage(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """GPS packet: units as the names say."""

    t_spacecraft_s: _Number
    time_status: _Number
    gps_week: _Number
    gps_tow_ms: _Number
    position_status: _Number
    position_ecef_m: _Vector
    position_sigma_m: _Vector
    velocity_status: _Number
    velocity_ecef_mps: _Vector
    velocity_sigma_mps: _Vector
    velocity_latency_s: _Number
    differential_age_s: _Number
    solution_age_s: _Number
    satellites_tracked: _Number
    satellites_used: _Number


class OrbitEstimateMessage(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """Orbit estimate: units as in the remarks `_ORBIT_NOTES`."""

    epoch_utc: Annotated[str, msgspec.Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]
    state_eci: _Six
    disturbance: _FiveOrSix
    state_variance: _Six
    disturbance_variance: _FiveOrSix
    sensor: SensorMessage


class SensorGPSMessage(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """Sensor packet and GPS packet of one record."""

    sensor: SensorMessage
    gps: GPSMessage


_KINDS: Final = (OrbitEstimateMessage, SensorMessage, GPSMessage, SensorGPSMessage)


def decode_message(data: bytes | memoryview) -> tuple[str, dict[str, Value], int] | None:
    """Return name, fields and length in bytes of the message at the start of `data`, or None if it is not complete."""
    unpacker = msgpack.Unpacker(
        use_list=False,
        max_buffer_size=MESSAGE_BYTES_MAX,
        max_array_len=len(GPSMessage.__struct_fields__),
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
    for kind in _KINDS:
        try:
            return kind.__name__, _fields(msgspec.convert(decoded, kind)), unpacker.tell()
        except msgspec.ValidationError:
            continue
    return None


def _fields(message: msgspec.Struct) -> dict[str, Value]:
    fields = msgspec.structs.asdict(message)
    return {name: _fields(value) if isinstance(value, msgspec.Struct) else value for name, value in fields.items()}


@dataclass(frozen=True, slots=True)
class OldMessage:
    """Message with its kind, fields, byte offset in the file and length in bytes."""

    kind: str
    fields: dict[str, Value]
    offset: int
    size: int


def read_old_log(path: Path) -> Iterator[OldMessage]:
    """Yield every complete message in the file; bytes between messages are skipped.

    Raises:
        OSError: The file cannot be read.
    """
    pending, offset = b"", 0
    for chunk in read_chunks(path):
        pending += chunk
        # Any message that begins before this offset is complete.
        settled = max(0, len(pending) - MESSAGE_BYTES_MAX)
        for message in find_messages(pending, offset):
            if message.offset >= offset + settled:
                break
            settled = max(settled, message.offset + message.size - offset)
            yield message
        pending, offset = pending[settled:], offset + settled
    yield from find_messages(pending, offset)


def find_messages(data: bytes, base_offset: int = 0) -> Iterator[OldMessage]:
    """Yield every complete message in `data`, whose first byte has the offset `base_offset` in its file."""
    position = 0
    while (beginning := BEGINNING.search(data, position)) is not None:
        start = beginning.start()
        decoded = decode_message(memoryview(data)[start : start + MESSAGE_BYTES_MAX])
        if decoded is None:
            position = start + 1
        else:
            kind, fields, size = decoded
            yield OldMessage(kind, fields, base_offset + start, size)
            position = start + size


_ORBIT_NOTES: Final = (
    Note(
        "state_variance and disturbance_variance are not variances but the signed diagonal of the filter's"
        " square-root factor (m, m/s, m/s², 1/s): an absolute value is at most the standard deviation"
    ),
    Note(
        "disturbance holds three accelerations (m/s²), then two of three inverse time constants (1/s); PyGNC dropped"
        " the last one"
    ),
    Note("epochs are truncated to whole seconds; state_eci is position (m) and velocity (m/s) in GCRF"),
)


def _recognises(head: bytes) -> bool:
    """Return True if `head` contains a complete message."""
    return next(find_messages(head), None) is not None


def _summary(path: Path) -> Iterator[Section]:
    """Yield counts and times per message kind, remarks on the fields, and bytes outside messages."""
    kinds: dict[str, tuple[int, Any, Any, int]] = {}
    damage = DamageTally()
    end = 0
    for message in read_old_log(path):
        damage.add(_between(end, message.offset, DamageReason.CONTENT))
        end = message.offset + message.size
        # Times are in s, or epochs, whose form sorts as text.
        time = _time_of(message.fields)
        count, first, last, steps_back = kinds.get(message.kind, (0, time, time, 0))
        kinds[message.kind] = count + 1, first, time, steps_back + (time < last)
    size = path.stat().st_size
    reason = DamageReason.CUT_TAIL if size - end < MESSAGE_BYTES_MAX else DamageReason.CONTENT
    damage.add(_between(end, size, reason))
    yield Facts("log", {"messages": sum(count for count, *_ in kinds.values()), **damage.facts})
    if not kinds:
        yield Note("the file contains no complete message", fault=True)
        return
    rows = [(name, *found) for name, found in kinds.items()]
    yield Listing("messages", ("kind", "count", "first_time", "last_time", "steps_back"), rows)
    if any(steps_back for *_, steps_back in kinds.values()):
        yield Note("time steps back: PyGNC appended a later run of the same data to this file")
    if "OrbitEstimateMessage" in kinds:
        yield from _ORBIT_NOTES
    yield from damage.sections()


def _entries(path: Path) -> Iterator[Sequence[Entry]]:
    for message in read_old_log(path):
        yield [Entry(message.kind, {"at_byte": message.offset, **message.fields})]


OLD_LOGS: Final = Viewer("old PyGNC log", _recognises, _summary, _entries)
"""Viewer of `log_<epoch>.bin` and `pygnc_status.bin` of the original PyGNC."""


def _between(start: int, stop: int, reason: DamageReason) -> list[Damage]:
    return [Damage(start, stop, reason)] if start < stop else []


def _time_of(fields: Any) -> Any:  # noqa: ANN401 - epoch as text, or seconds
    return fields["epoch_utc"] if "epoch_utc" in fields else fields.get("sensor", fields)["t_spacecraft_s"]
