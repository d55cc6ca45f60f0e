"""The sense file (`sense.bin`): a stream of records of N sensor packets, one GPS packet and, usually, CR LF.

The layout stands in `SENSOR_PACKET`, `gps_packet.SENSE_GPS_PACKET` and `SenseLayout` and nowhere else. Times and
light words are big-endian, the words of the inertial unit little-endian. `sense_scan` finds records in damaged data;
this module turns records into physical values and back.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pygnc.common.constants import (
    GYRO_DEG_S_PER_COUNT,
    LUX_EXPONENT_MAX,
    LUX_PER_COUNT,
    MAGNETOMETER_UT_PER_COUNT,
    batch_sensor_gps_packet_num_sensor_packets,
)
from pygnc.formats.gps_packet import (
    SENSE_GPS_PACKET,
    TERMINATOR,
    GpsFixes,
    cache_blocks,
    decode_gps_packets,
    encode_gps_packets,
    store_words,
)

SENSOR_PACKET: Final = np.dtype(
    [
        ("t_spacecraft_s", ">u4"),
        ("mag", "<i2", (3,)),
        ("hall", "<i2"),
        ("gyro", "<i2", (3,)),
        ("lux", ">u2", (6,)),
    ]
)
"""30 bytes: spacecraft time, magnetometer X Y Z and Hall resistance, gyro X Y Z, light on +X +Y +Z -X -Y -Z."""

_GYRO_RAD_S_PER_COUNT: Final = np.deg2rad(GYRO_DEG_S_PER_COUNT)
_LUX_MANTISSA_MAX: Final = 0xFFF
_LUX_WORD_MAX: Final = LUX_EXPONENT_MAX << 12 | _LUX_MANTISSA_MAX


def lux_from_words(words: ArrayLike) -> NDArray[np.float64]:
    """Illuminance by light words: 0.01 lux * mantissa * 2**exponent (OPT3001 data sheet, result register)."""
    wide = np.asarray(words, np.uint32)
    counts = (wide & _LUX_MANTISSA_MAX) << (wide >> 12)
    return counts.astype(np.float64) * LUX_PER_COUNT


_LUX_OF_SWAPPED_WORD: Final = lux_from_words(np.arange(1 << 16, dtype=np.uint16).byteswap())
"""By the big-endian word read as if it were little-endian: saves swapping the bytes first."""

_FLOOR_GUARD_COUNTS: Final = 1e-6
"""Keeps a value that came from a word from falling to the word below by rounding."""


@dataclass(frozen=True)
class SenseLayout:
    """Which of the record layouts a stream has.

    Raises:
        ValueError: fewer than one sensor packet in a record.
    """

    sensors_per_record: int = batch_sensor_gps_packet_num_sensor_packets
    terminated: bool = True
    """Whether each record ends in CR LF."""

    def __post_init__(self) -> None:
        if self.sensors_per_record < 1:
            raise ValueError(f"a sense record has at least one sensor packet, not {self.sensors_per_record}")

    @cached_property
    def record(self) -> np.dtype[np.void]:
        """One record as raw words: `sensors` (N,), `gps`, and `terminator` if there is one."""
        words: list[tuple[Any, ...]] = [
            ("sensors", SENSOR_PACKET, (self.sensors_per_record,)),
            ("gps", SENSE_GPS_PACKET),
        ]
        if self.terminated:
            words.append(("terminator", "u1", (len(TERMINATOR),)))
        return np.dtype(words)

    @property
    def size(self) -> int:
        """Bytes in a record: 251 by default, 249 without CR LF."""
        return self.record.itemsize


STANDARD_LAYOUT: Final = SenseLayout()
"""The fleet's records: five sensor packets and CR LF."""


@dataclass(frozen=True, slots=True, eq=False)
class SensorSamples:
    """The sensor packets of M records of N, in sensor axes."""

    t_spacecraft_s: NDArray[np.int64]
    """(M, N)"""
    mag_imu_ut: NDArray[np.float64]
    """(M, N, 3)"""
    hall_raw: NDArray[np.int64]
    """(M, N), needed to compensate the magnetometer"""
    gyro_imu_rad_s: NDArray[np.float64]
    """(M, N, 3)"""
    lux: NDArray[np.float64]
    """(M, N, 6), faces +X, +Y, +Z, -X, -Y, -Z"""


def decode_sensors(records: NDArray[np.void]) -> SensorSamples:
    """Physical values of all sensor packets of M records."""
    packets = records["sensors"]
    samples = SensorSamples(
        t_spacecraft_s=np.empty(packets.shape, np.int64),
        mag_imu_ut=np.empty((*packets.shape, 3)),
        hall_raw=np.empty(packets.shape, np.int64),
        gyro_imu_rad_s=np.empty((*packets.shape, 3)),
        lux=np.empty((*packets.shape, 6)),
    )
    for block in cache_blocks(len(packets)):
        samples.t_spacecraft_s[block] = packets["t_spacecraft_s"][block]
        np.multiply(packets["mag"][block], MAGNETOMETER_UT_PER_COUNT, out=samples.mag_imu_ut[block])
        samples.hall_raw[block] = packets["hall"][block]
        np.multiply(packets["gyro"][block], _GYRO_RAD_S_PER_COUNT, out=samples.gyro_imu_rad_s[block])
        _LUX_OF_SWAPPED_WORD.take(packets["lux"][block].view("<u2"), out=samples.lux[block], mode="clip")
    return samples


def decode_fixes(records: NDArray[np.void]) -> GpsFixes:
    """The GPS packets of M records as native arrays."""
    return decode_gps_packets(records["gps"])


def encode_lux(lux: ArrayLike) -> NDArray[np.uint16]:
    """Words as an OPT3001 makes them, in the shape of `lux`.

    The smallest exponent whose full scale holds the value, the mantissa floored. Like the sensor, it reads no less
    than zero and saturates at 83 865.60 lux (0xBFFF).

    Raises:
        ValueError: a value is not a number.
    """
    counts = np.clip(np.asarray(lux, np.float64), 0.0, None) / LUX_PER_COUNT
    if np.isnan(counts).any():
        raise ValueError("light must be a number")
    full_scales = _LUX_MANTISSA_MAX * 2.0 ** np.arange(LUX_EXPONENT_MAX) + _FLOOR_GUARD_COUNTS
    exponent = np.searchsorted(full_scales, counts)
    mantissa = np.minimum(np.floor(counts / 2.0**exponent + _FLOOR_GUARD_COUNTS), _LUX_MANTISSA_MAX)
    return (exponent << 12 | mantissa.astype(np.int64)).astype(np.uint16)


def encode_records(sensors: SensorSamples, fixes: GpsFixes, layout: SenseLayout | None = None) -> NDArray[np.void]:
    """M records from physical values; `.tobytes()` of the result is the file.

    Magnetometer and gyro counts are floored, as the fleet's are. `layout` defaults to the standard 5 : 1 record.

    Raises:
        ValueError: a value exceeds the range of its word (+-2048 uT, +-499.5 deg/s) or is not a number, or the shapes
            disagree.
    """
    layout = layout or STANDARD_LAYOUT
    records = np.zeros(len(fixes), layout.record)
    packets = records["sensors"]
    store_words(packets, "t_spacecraft_s", sensors.t_spacecraft_s)
    store_words(packets, "mag", _floored_counts(sensors.mag_imu_ut, MAGNETOMETER_UT_PER_COUNT))
    store_words(packets, "hall", sensors.hall_raw)
    store_words(packets, "gyro", _floored_counts(sensors.gyro_imu_rad_s, _GYRO_RAD_S_PER_COUNT))
    store_words(packets, "lux", encode_lux(sensors.lux))
    records["gps"] = encode_gps_packets(fixes, SENSE_GPS_PACKET)
    if layout.terminated:
        records["terminator"] = tuple(TERMINATOR)
    return records


def _floored_counts(values: NDArray[np.float64], per_count: float) -> NDArray[np.float64]:
    return np.floor(values / per_count + _FLOOR_GUARD_COUNTS)
