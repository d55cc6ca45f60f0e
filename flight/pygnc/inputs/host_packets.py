"""Conversion of the host's packets to messages that do not depend on packet layout, receiver and radio.

Only this module uses both the fields of the host's packets and those of the messages.
"""

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias, TypeVar

import msgspec
import numpy as np

from pygnc.bus.messages import GnssFix, RangeMeasurement, SensorSample
from pygnc.common.clock import gps_ms_from_week, week_from_gps_ms
from pygnc.estimators.attitude.settings import HallWord
from pygnc.formats.gps_packet import (
    GPS_PACKETS,
    GpsFixes,
    decode_gps_packets,
    received_gps_week,
    solution_name,
    time_sigma_s,
)
from pygnc.formats.ranges import RangeMeasurements
from pygnc.formats.sense import (
    SENSE_SENSORS,
    SENSOR_PACKET,
    TORQUERS_ON,
    SensorSamples,
    decode_sensors,
    milliseconds_from_hall_word,
)

_MILLISECOND_SIGMA_S: Final = 1e-3 / math.sqrt(12.0)
"""Standard deviation of a time that was rounded to whole milliseconds."""
_ONE_SENSOR: Final = np.dtype([("sensors", SENSOR_PACKET, (1,))])

Place: TypeAlias = tuple[int, str, int, bytes]
"""Sequence number, source, offset in the source, and raw bytes of a message."""
_Packet = TypeVar("_Packet", SensorSample, RangeMeasurement, GnssFix)


def fix_messages(fixes: GpsFixes, places: Sequence[Place], kind: str, satellite_id: int = 0) -> Iterator[GnssFix]:
    """Return the messages of M GPS packets of one kind.

    Args:
        fixes: The decoded packets.
        places: Place of each message; length M.
        kind: Kind of the packets, a key of `GPS_PACKETS`.
        satellite_id: Radio id of the partner that made the fixes, 0 for our own.
    """
    columns: dict[str, Iterable[Any]] = {**_columns_of(fixes)}
    if fixes.time_status is not None:
        columns["time_status"] = map(time_sigma_s, columns["time_status"])
    columns["time_sigma_s"] = columns.pop("time_status")
    columns["gps_ms"] = map(gps_ms_from_week, columns.pop("gps_week"), columns.pop("gps_tow_ms"))
    for part in ("position", "velocity"):
        columns[f"{part}_solution"] = map(solution_name, columns.pop(f"{part}_status"))
    return _messages(GnssFix, columns, places, kind=kind, satellite_id=satellite_id)


def fix_message(
    raw: bytes, place: tuple[int, str, int], kind: str, *, satellite_id: int = 0, earliest_week: int = 0
) -> GnssFix:
    """Return the message of one GPS packet; arguments as in `fix_messages`.

    Weeks before `earliest_week` are corrected for a rollover of the receiver's count.
    """
    fixes = decode_gps_packets(np.frombuffer(raw, GPS_PACKETS[kind]), earliest_week)
    return next(fix_messages(fixes, [(*place, raw)], kind, satellite_id))


def rollover(fix: GnssFix) -> tuple[int, int] | None:
    """Return the GPS week in the packet and the corrected one; None if the receiver's count has not rolled over."""
    if fix.kind not in GPS_PACKETS or fix.gps_ms is None:
        return None
    weeks = received_gps_week(fix.kind, fix.raw), week_from_gps_ms(fix.gps_ms)[0]
    return None if weeks[0] == weeks[1] else weeks


def sample_messages(samples: SensorSamples, places: Sequence[Place], hall_word: HallWord) -> Iterator[SensorSample]:
    """Return the messages of M times N sensor packets, record by record.

    Args:
        samples: The decoded packets.
        places: Place of each message; length M times N.
        hall_word: Meaning of the packets' Hall words, as in the settings.
    """
    columns: dict[str, Iterable[Any]] = {**_columns_of(samples)}
    words = columns.pop("hall_raw")
    times = [_times(word) if hall_word == "times" else (0, None, False) for word in words]
    for k, name in enumerate(("t_spacecraft_ms", "time_sigma_s", "torquers_on")):
        columns[name] = [one[k] for one in times]
    return _messages(SensorSample, columns, places, kind=SENSE_SENSORS)


def _times(word: int) -> tuple[int, float | None, bool]:
    """Return milliseconds, their standard deviation in s (None if damaged), and whether the torquers are on."""
    milliseconds, torquers_on = milliseconds_from_hall_word(word), bool(word & TORQUERS_ON)
    return (0, None, torquers_on) if milliseconds is None else (milliseconds, _MILLISECOND_SIGMA_S, torquers_on)


def sample_message(
    raw: bytes, place: tuple[int, str, int], hall_word: HallWord, t_mono_ns: int | None = None
) -> SensorSample:
    """Return the message of one sensor packet.

    Args:
        raw: The packet, 30 bytes.
        place: Number, source and offset of the message.
        hall_word: Meaning of the Hall word, as in the settings.
        t_mono_ns: Time of arrival by the computer's monotonic clock; None for a packet of a file.
    """
    samples = decode_sensors(np.frombuffer(raw, _ONE_SENSOR))
    message = next(sample_messages(samples, [(*place, raw)], hall_word))
    return message if t_mono_ns is None else msgspec.structs.replace(message, t_mono_ns=t_mono_ns)


def range_messages(
    ranges: RangeMeasurements, places: Sequence[Place], satellite_id: int = 0
) -> Iterator[RangeMeasurement]:
    """Return the messages of M range packets.

    Args:
        ranges: The decoded packets.
        places: Place of each message; length M.
        satellite_id: Radio id of the partner that measured the ranges, 0 for our own.
    """
    return _messages(RangeMeasurement, _columns_of(ranges), places, satellite_id=satellite_id)


def _columns_of(packets: SensorSamples | RangeMeasurements | GpsFixes) -> dict[str, list[Any]]:
    """Return a list of the values of all packets by field, vectors as tuples; all leading axes become one.

    Iterating over Python lists takes a tenth of the time of iterating over arrays.
    """
    arrays = {field.name: getattr(packets, field.name) for field in dataclasses.fields(packets)}
    present = [array for array in arrays.values() if array is not None]
    leading = min(array.ndim for array in present)
    columns: dict[str, list[Any]] = {}
    for name, array in arrays.items():
        if array is None:
            columns[name] = [None] * math.prod(present[0].shape[:leading])
        elif array.ndim > leading:
            columns[name] = [tuple(vector) for vector in array.reshape(-1, array.shape[-1]).tolist()]
        else:
            columns[name] = array.ravel().tolist()
    return columns


def _messages(
    message: type[_Packet], columns: Mapping[str, Iterable[Any]], places: Sequence[Place], /, **constants: object
) -> Iterator[_Packet]:
    """Yield messages of a class; fields are taken from `places`, from `columns` by name, and from `constants`."""
    for (seq, source, offset, raw), row in zip(places, zip(*columns.values(), strict=True), strict=True):
        values: dict[str, Any] = dict(zip(columns, row, strict=True)) | constants
        yield message(seq=seq, source=source, offset=offset, raw=raw, **values)
