"""GPS packets of the host as fixes, which do not depend on the receiver.

No other module uses both the status codes of the host's receiver and the fields of `GnssFix`.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec
import numpy as np

from pygnc.bus.messages import GnssFix, InputMessage
from pygnc.common.clock import gps_ms_from_week, week_from_gps_ms
from pygnc.formats.gps_packet import (
    GPS_PACKETS,
    RANGE_GPS,
    SENSE_GPS,
    SENSE_GPS_PACKET,
    GpsFixes,
    decode_gps_packets,
    received_gps_week,
    solution_name,
    time_sigma_s,
)
from pygnc.inputs.source import columns_of, packet_messages


def fix_messages(
    fixes: GpsFixes, places: Sequence[tuple[int, str, int, bytes]], kind: str, satellite_id: int = 0
) -> Iterator[GnssFix]:
    """Return the messages of M GPS packets of one kind.

    Args:
        fixes: The decoded packets.
        places: Number, source, offset and raw bytes of each message; length M.
        kind: Kind of the packets, a key of `GPS_PACKETS`.
        satellite_id: Radio id of the partner that made the fixes, 0 for our own.
    """
    columns: dict[str, Iterable[Any]] = {**columns_of(fixes)}
    if fixes.time_status is not None:
        columns["time_status"] = map(time_sigma_s, columns["time_status"])
    columns["time_sigma_s"] = columns.pop("time_status")
    columns["gps_ms"] = map(gps_ms_from_week, columns.pop("gps_week"), columns.pop("gps_tow_ms"))
    for part in ("position", "velocity"):
        columns[f"{part}_solution"] = map(solution_name, columns.pop(f"{part}_status"))
    return packet_messages(GnssFix, columns, places, kind=kind, satellite_id=satellite_id)


def fix_message(
    raw: bytes, place: tuple[int, str, int], kind: str, *, satellite_id: int = 0, earliest_week: int = 0
) -> GnssFix:
    """Return the message of one GPS packet; `place` is its number, source and offset."""
    fixes = decode_gps_packets(np.frombuffer(raw, GPS_PACKETS[kind]), earliest_week)
    return next(fix_messages(fixes, [(*place, raw)], kind, satellite_id))


def rollover(fix: GnssFix) -> tuple[int, int] | None:
    """Return the GPS week in the packet and the week used instead if the receiver's count has rolled over."""
    if fix.kind not in GPS_PACKETS or fix.gps_ms is None:
        return None
    weeks = received_gps_week(fix.kind, fix.raw), week_from_gps_ms(fix.gps_ms)[0]
    return None if weeks[0] == weeks[1] else weeks


# --- Input journals ---------------------------------------------------------------------------------------------------

_decode: Final = msgspec.msgpack.Decoder(InputMessage).decode


def decode_input(payload: bytes) -> InputMessage:
    """Return a message of an input journal of any version.

    Raises:
        msgspec.DecodeError: The bytes are no input message.
    """
    try:
        message: InputMessage = _decode(payload)
    except msgspec.ValidationError:
        values = msgspec.msgpack.decode(payload)
        if isinstance(values, list) and values[:1] == ["GpsFix"]:
            return _former_fix(values)
        raise
    return message


def _former_fix(values: list[object]) -> GnssFix:
    """Return the fix of a message of an older version, which held the receiver's codes; so does its raw packet."""
    place = msgspec.convert(values[1:4], tuple[int, str, int])
    week, raw, satellite_id = msgspec.convert([*values[6:7], *[*values, 0][19:21]], tuple[int, bytes, int])
    kind = SENSE_GPS if len(raw) == SENSE_GPS_PACKET.itemsize else RANGE_GPS
    return fix_message(raw, place, kind, satellite_id=satellite_id, earliest_week=week)
