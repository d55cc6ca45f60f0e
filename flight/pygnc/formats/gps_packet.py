"""GPS packets of sense and range files, and helpers for arrays of packed records.

Both packets are excerpts of NovAtel's BESTXYZ log (OEM7 manual, message 241). Values are little-endian except the
spacecraft time, which the controller writes big-endian. The log's checksum is not part of them.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pygnc.common.clock import MS_PER_WEEK, WEEKS_PER_ROLLOVER
from pygnc.common.constants import GpsTimeStatus, SolutionStatus
from pygnc.formats.layout import XYZ, Field

_BLOCK_RECORDS: Final = 2048


def store_words(packets: NDArray[np.void], name: str, values: NDArray[Any]) -> None:
    """Assign `values` to the field `name` of an array of packets.

    Raises:
        ValueError: A value is out of the range of an integer field or not a number, or the shape is wrong.
    """
    if np.shape(values) != packets[name].shape:
        raise ValueError(f"{name} must have the shape {packets[name].shape}, not {np.shape(values)}")
    word = packets.dtype[name].base
    if word.kind in "iu" and np.size(values):
        limits = np.iinfo(word)
        if not (np.min(values) >= limits.min and np.max(values) <= limits.max):
            raise ValueError(
                f"{name} must be in {limits.min} .. {limits.max}, but is in {np.min(values)} .. {np.max(values)}"
            )
    packets[name] = values


def cache_blocks(count: int) -> Iterator[slice]:
    """Return slices that cover `count` records in blocks that fit the processor's cache during several passes."""
    return (slice(start, start + _BLOCK_RECORDS) for start in range(0, count, _BLOCK_RECORDS))


def numpy_type(fields: Sequence[Field]) -> np.dtype[np.void]:
    """Return the NumPy type of a packet: a field with parts is an array, and a field of bytes is one of octets."""
    shapes = [
        (int(field.code[:-1]),) if field.code.endswith("s") else field.parts and (len(field.parts),) for field in fields
    ]
    return np.dtype([(field.name, _numpy_code(field.code), shape) for field, shape in zip(fields, shapes, strict=True)])


def _numpy_code(code: str) -> str:
    return "u1" if code.endswith("s") else f"<{code}"[-2:]


SPACECRAFT_TIME: Final = Field("t_spacecraft_s", ">I", "s", "spacecraft time")
RANGE_GPS_SYNC: Final = b"\xaa\x44\x12"
TERMINATOR: Final = b"\r\n"


def _bestxyz_fields(velocity_status: str) -> tuple[Field, ...]:
    return (
        Field("gps_week", "H", "", "GPS week, 0: unknown"),
        Field("gps_tow_ms", "I", "ms", "GPS time of week"),
        Field("position_status", "B", "", "position solution status of NovAtel, 0: computed"),
        Field("position_ecef_m", "d", "m", "position, ECEF", parts=XYZ),
        Field("position_sigma_m", "f", "m", "standard deviation of the position", parts=XYZ),
        Field("velocity_status", velocity_status, "", "velocity solution status of NovAtel, 0: computed"),
        Field("velocity_ecef_mps", "d", "m/s", "velocity, ECEF", parts=XYZ),
        Field("velocity_sigma_mps", "f", "m/s", "standard deviation of the velocity", parts=XYZ),
        Field("velocity_latency_s", "f", "s", "latency: the velocity was valid this long before the position"),
        Field("differential_age_s", "f", "s", "age of the differential corrections"),
        Field("solution_age_s", "f", "s", "age of the solution"),
        Field("satellites_tracked", "B", "", "satellites tracked"),
        Field("satellites_used", "B", "", "satellites used"),
    )


SENSE_GPS_FIELDS: Final = (
    SPACECRAFT_TIME,
    Field("time_status", "B", "", "GPS reference time status of NovAtel: 20 unknown ... 180 fine steering"),
    *_bestxyz_fields("B"),
)
"""GPS packet of a sense file, 99 bytes: spacecraft time and receiver time status first, one-byte velocity status."""
SENSE_GPS_PACKET: Final = numpy_type(SENSE_GPS_FIELDS)

RANGE_GPS_FIELDS: Final = (
    Field("sync", "3s", "", "sync AA 44 12", fixed=RANGE_GPS_SYNC),
    *_bestxyz_fields("I"),
    Field("terminator", "2s", "", "end 0D 0A", fixed=TERMINATOR),
)
"""GPS packet of a range file, 102 bytes: no spacecraft time, four-byte velocity status."""
RANGE_GPS_PACKET: Final = numpy_type(RANGE_GPS_FIELDS)

SENSE_GPS: Final = "sense_gps"
RANGE_GPS: Final = "range_gps"
GPS_PACKETS: Final = {SENSE_GPS: SENSE_GPS_PACKET, RANGE_GPS: RANGE_GPS_PACKET}
"""Layouts of both packets by the `kind` of the input messages that contain them."""

# The limits apply to the sum of absolute components, which is faster to compute and at most sqrt(3) times the length.
_POSITION_M: Final = (6.2e6, 9.0e7)
_VELOCITY_MPS: Final = (1e-9, 2.0e4)
_SIGMAS_AND_AGES: Final = (1e-9, 1e7)


@dataclass(frozen=True, slots=True, eq=False)
class GpsFixes:
    """Values of M GPS packets in native byte order: arrays of shape (M,), vectors (M, 3) in ITRF.

    `t_spacecraft_s` and `time_status` are None for packets of a range file, which do not contain them.
    """

    t_spacecraft_s: NDArray[np.int64] | None
    time_status: NDArray[np.int64] | None
    gps_week: NDArray[np.int64]
    gps_tow_ms: NDArray[np.int64]
    position_status: NDArray[np.int64]
    position_ecef_m: NDArray[np.float64]
    position_sigma_m: NDArray[np.float64]
    velocity_status: NDArray[np.int64]
    velocity_ecef_mps: NDArray[np.float64]
    velocity_sigma_mps: NDArray[np.float64]
    velocity_latency_s: NDArray[np.float64]
    differential_age_s: NDArray[np.float64]
    solution_age_s: NDArray[np.float64]
    satellites_tracked: NDArray[np.int64]
    satellites_used: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.gps_week)


def decode_gps_packets(packets: NDArray[np.void], earliest_week: int = 0) -> GpsFixes:
    """Decode M packets of either kind (`SENSE_GPS_PACKET` or `RANGE_GPS_PACKET`).

    Args:
        packets: The packets, shape (M,).
        earliest_week: First possible GPS week. Earlier weeks, except 0 (unknown), come from a receiver whose count
            has rolled over after 1024 weeks, and are corrected.
    """
    names = [field.name for field in fields(GpsFixes) if field.name in (packets.dtype.names or ())]
    native: dict[str, Any] = dict.fromkeys((field.name for field in fields(GpsFixes)), None)
    native |= {
        name: np.empty(packets[name].shape, np.float64 if packets[name].dtype.kind == "f" else np.int64)
        for name in names
    }
    with np.errstate(invalid="ignore"):  # the conversion of a signalling NaN
        for block in cache_blocks(len(packets)):
            for name in names:
                native[name][block] = packets[name][block]
    week = native["gps_week"]
    too_early = (week > 0) & (week < earliest_week)
    week[too_early] += -((week[too_early] - earliest_week) // WEEKS_PER_ROLLOVER) * WEEKS_PER_ROLLOVER
    return GpsFixes(**native)


def received_gps_week(kind: str, raw: bytes) -> int:
    """Return the GPS week in a packet (`kind` is a key of `GPS_PACKETS`) without correction of a rollover."""
    return int(np.frombuffer(raw, GPS_PACKETS[kind])["gps_week"][0])


_TIME_SIGMAS_S: Final = {
    GpsTimeStatus.UNKNOWN: math.inf,
    GpsTimeStatus.APPROXIMATE: 1.0,
    GpsTimeStatus.COARSE: 1e-2,
    GpsTimeStatus.FINE_ADJUSTING: 1e-6,
}
"""Standard deviation of the receiver's time, s, for this status and higher ones, in ascending order. The manual gives
classes only; the figures are their orders of magnitude."""


def time_sigma_s(time_status: int) -> float:
    """Return the standard deviation of the receiver's time, s; infinite if its clock is not set."""
    return min((sigma_s for status, sigma_s in _TIME_SIGMAS_S.items() if time_status >= status), default=math.inf)


def solution_name(solution_status: int) -> str:
    """Return the name of a solution status (OEM7 manual, table "Solution Status"), or `status_<number>`."""
    return _SOLUTIONS.get(solution_status, f"status_{solution_status}")


_SOLUTIONS: Final = {int(status): status.name.lower() for status in SolutionStatus}


def encode_gps_packets(fixes: GpsFixes, packet: np.dtype[np.void]) -> NDArray[np.void]:
    """Encode M packets of the given kind; the inverse of `decode_gps_packets`.

    Raises:
        ValueError: A value does not fit its field, or a sense packet lacks its spacecraft time.
    """
    packets = np.zeros(len(fixes), packet)
    for field in fields(GpsFixes):
        if field.name not in (packet.names or ()):
            continue
        values = getattr(fixes, field.name)
        if values is None:
            raise ValueError(f"GPS packet of {packet.itemsize} bytes: {field.name} is None; set it in GpsFixes")
        store_words(packets, field.name, values)
    if "sync" in (packet.names or ()):
        packets["sync"] = tuple(RANGE_GPS_SYNC)
        packets["terminator"] = tuple(TERMINATOR)
    return packets


def range_packet_from_sense(sense_packet: bytes) -> bytes:
    """Return the GPS packet of a range file with the values of a GPS packet of a sense file."""
    fixes = decode_gps_packets(np.frombuffer(sense_packet, SENSE_GPS_PACKET))
    return encode_gps_packets(fixes, RANGE_GPS_PACKET).tobytes()


def plausible_gps_packets(packets: NDArray[np.void]) -> NDArray[np.bool_]:
    """Return True for each of M packets that could come from a receiver, (M,). Status fields are not checked.

    A plausible packet has a time of week below one week and not both week and time of week zero, and uses no more
    satellites than it tracks. Its position is zero, or between the ground and geostationary orbit with satellites used.
    Its velocity is zero or below escape velocity, and the sum of its sigmas and ages is zero or below 1e7.
    """
    tracked, used = packets["satellites_tracked"], packets["satellites_used"]
    week, tow_ms = packets["gps_week"], packets["gps_tow_ms"]
    with np.errstate(over="ignore", invalid="ignore"):
        position = _sum_of_magnitudes(packets["position_ecef_m"])
        velocity = _sum_of_magnitudes(packets["velocity_ecef_mps"])
        others = _sum_of_magnitudes(packets["position_sigma_m"]) + _sum_of_magnitudes(packets["velocity_sigma_mps"])
        for age in ("velocity_latency_s", "differential_age_s", "solution_age_s"):
            others += np.abs(packets[age])
    plausible: NDArray[np.bool_] = ((week > 0) | (tow_ms > 0)) & (tow_ms < MS_PER_WEEK) & (used <= tracked)
    plausible &= (used > 0) | (position == 0.0)
    for values, limits in ((position, _POSITION_M), (velocity, _VELOCITY_MPS), (others, _SIGMAS_AND_AGES)):
        plausible &= (values == 0.0) | ((values >= limits[0]) & (values <= limits[1]))
    return plausible


def _sum_of_magnitudes(vectors: NDArray[Any]) -> NDArray[np.float64]:
    """Return the sum of the absolute components of each vector, (M,); by columns, NumPy is three times faster."""
    x, y, z = (np.abs(vectors[:, axis], dtype=np.float64) for axis in range(3))
    total: NDArray[np.float64] = x + y + z
    return total
