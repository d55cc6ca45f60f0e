"""GPS packets of the host as fixes, which do not depend on the receiver.

This is the only place that knows both the words of the host's receiver and the terms of `GnssFix`.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from pygnc.bus.messages import GnssFix, InputMessage, Vector3
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


def fix_messages(
    fixes: GpsFixes, places: Sequence[tuple[int, str, int, bytes]], kind: str, satellite_id: int = 0
) -> Iterator[GnssFix]:
    """Yield the messages of M GPS packets of one kind.

    Args:
        fixes: The decoded packets.
        places: Number, source, offset and raw bytes of each message; length M.
        kind: Kind of the packets, a key of `GPS_PACKETS`.
        satellite_id: Radio id of the partner that made the fixes, 0 for our own.
    """
    # Iterating over Python lists takes a tenth of the time of iterating over arrays.
    unstated = [None] * len(fixes)
    rows = zip(
        places,
        unstated if fixes.t_spacecraft_s is None else fixes.t_spacecraft_s.tolist(),
        unstated if fixes.time_status is None else map(time_sigma_s, fixes.time_status.tolist()),
        map(gps_ms_from_week, fixes.gps_week.tolist(), fixes.gps_tow_ms.tolist()),
        _solutions(fixes.position_status, fixes.position_ecef_m, fixes.position_sigma_m),
        _solutions(fixes.velocity_status, fixes.velocity_ecef_mps, fixes.velocity_sigma_mps),
        np.column_stack([fixes.velocity_latency_s, fixes.differential_age_s, fixes.solution_age_s]).tolist(),
        np.column_stack([fixes.satellites_tracked, fixes.satellites_used]).tolist(),
        strict=True,
    )
    for (seq, source, offset, raw), t_spacecraft_s, sigma_s, gps_ms, position, velocity, ages_s, satellites in rows:
        yield GnssFix(
            seq=seq,
            source=source,
            offset=offset,
            kind=kind,
            t_spacecraft_s=t_spacecraft_s,
            gps_ms=gps_ms,
            time_sigma_s=sigma_s,
            position_solution=position[0],
            position_ecef_m=position[1],
            position_sigma_m=position[2],
            velocity_solution=velocity[0],
            velocity_ecef_mps=velocity[1],
            velocity_sigma_mps=velocity[2],
            velocity_latency_s=ages_s[0],
            differential_age_s=ages_s[1],
            solution_age_s=ages_s[2],
            satellites_tracked=satellites[0],
            satellites_used=satellites[1],
            raw=raw,
            satellite_id=satellite_id,
        )


def _solutions(
    statuses: NDArray[np.int64], vectors: NDArray[np.float64], sigmas: NDArray[np.float64]
) -> Iterator[tuple[str, Vector3, Vector3]]:
    rows = zip(statuses.tolist(), vectors.tolist(), sigmas.tolist(), strict=True)
    return ((solution_name(status), tuple(vector), tuple(sigma)) for status, vector, sigma in rows)


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
    """Return the fix of a message that named the receiver's words; its raw packet still contains them."""
    place = msgspec.convert(values[1:4], tuple[int, str, int])
    week, raw, satellite_id = msgspec.convert([*values[6:7], *[*values, 0][19:21]], tuple[int, bytes, int])
    kind = SENSE_GPS if len(raw) == SENSE_GPS_PACKET.itemsize else RANGE_GPS
    return fix_message(raw, place, kind, satellite_id=satellite_id, earliest_week=week)
