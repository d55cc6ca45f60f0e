"""The pairs of times in the reference recordings, by the offsets of the interface document alone."""

import struct

from pygnc.common.clock import gps_ms_from_week
from tests.reference import recording


def recorded_sense_times() -> list[tuple[int, int | None]]:
    """(spacecraft time, GPS time) of each record's GPS segment."""
    data = recording("recorded_sense.bin").read_bytes()
    times = []
    for base in range(0, len(data), 251):
        (t_spacecraft_s,) = struct.unpack_from(">I", data, base + 150)
        times.append((t_spacecraft_s, gps_ms_from_week(*struct.unpack_from("<HI", data, base + 155))))
    return times


def recorded_range_times() -> list[tuple[int, int | None]]:
    """(spacecraft time of the range packet, GPS time of the GPS packet before it)."""
    data = recording("recorded_range.bin").read_bytes()
    times, position, gps_ms = [], 0, None
    while position < len(data):
        if data[position] == 0xAA:
            gps_ms = gps_ms_from_week(*struct.unpack_from("<HI", data, position + 3))
            position += 102
        else:
            times.append((struct.unpack_from(">I", data, position + 2)[0], gps_ms))
            position += 12
    return times
