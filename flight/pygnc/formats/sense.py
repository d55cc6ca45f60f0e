"""Sense file (`sense.bin`): records of N sensor packets, one GPS packet and, usually, CR LF.

`FIELDS`, `gps_packet.SENSE_GPS_FIELDS` and `SenseLayout` are the only declarations of the layout. Times and light
words are big-endian, magnetometer, Hall and gyro values little-endian. This module converts records to values and back;
`sense_scan` finds records in damaged data.
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
    SPACECRAFT_TIME,
    TERMINATOR,
    GpsFixes,
    cache_blocks,
    encode_gps_packets,
    numpy_type,
    store_words,
)
from pygnc.formats.layout import XYZ, Field

_LUX_MANTISSA_MAX: Final = 0xFFF
FIELDS: Final = (
    SPACECRAFT_TIME,
    Field("mag", "h", "uT", "magnetic field, sensor axes", parts=XYZ, scale=MAGNETOMETER_UT_PER_COUNT),
    Field("hall", "h", "", "Hall resistance, or times"),
    Field("gyro", "h", "deg/s", "angular rate, sensor axes", parts=XYZ, scale=GYRO_DEG_S_PER_COUNT),
    Field(
        "lux",
        ">H",
        "lx",
        "illuminance, 0.01 lx x (word & 0xFFF) x 2^(word >> 12)",
        parts=("plus_x", "plus_y", "plus_z", "minus_x", "minus_y", "minus_z"),
        curve=(
            *(
                (exponent << 12 | mantissa, mantissa * LUX_PER_COUNT * 2.0**exponent)
                for exponent in range(16)
                for mantissa in (0, _LUX_MANTISSA_MAX)
            ),
            (1 << 16, 0.0),  # some readers of XTCE refuse a word that is not before the last point
        ),
    ),
)
"""Sensor packet, 30 bytes."""
SENSOR_PACKET: Final = numpy_type(FIELDS)

_GYRO_RAD_S_PER_COUNT: Final = np.deg2rad(GYRO_DEG_S_PER_COUNT)


def lux_from_words(words: ArrayLike) -> NDArray[np.float64]:
    """Return the illuminance in lux: 0.01 lux * mantissa * 2**exponent (OPT3001 data sheet, result register)."""
    wide = np.asarray(words, np.uint32)
    counts = (wide & _LUX_MANTISSA_MAX) << (wide >> 12)
    return counts.astype(np.float64) * LUX_PER_COUNT


_FLOOR_GUARD_COUNTS: Final = 1e-6
"""Added before rounding down, so that a decoded value encodes to the same word again."""


@dataclass(frozen=True)
class SenseLayout:
    """Layout of the records of a sense file: number of sensor packets and optional CR LF.

    Raises:
        ValueError: `sensors_per_record` is less than 1.
    """

    sensors_per_record: int = batch_sensor_gps_packet_num_sensor_packets
    terminated: bool = True
    """True if each record ends in CR LF."""

    def __post_init__(self) -> None:
        if self.sensors_per_record < 1:
            raise ValueError(f"sensors_per_record must be at least 1, not {self.sensors_per_record}")

    @cached_property
    def record(self) -> np.dtype[np.void]:
        """NumPy type of a record: `sensors` (N,), `gps`, and `terminator` if the layout has one."""
        words: list[tuple[Any, ...]] = [
            ("sensors", SENSOR_PACKET, (self.sensors_per_record,)),
            ("gps", SENSE_GPS_PACKET),
        ]
        if self.terminated:
            words.append(("terminator", "u1", (len(TERMINATOR),)))
        return np.dtype(words)

    @property
    def size(self) -> int:
        """Size of a record in bytes: 251 by default, 249 without CR LF."""
        return self.record.itemsize


STANDARD_LAYOUT: Final = SenseLayout()
"""Records of the satellites: five sensor packets, one GPS packet and CR LF."""


@dataclass(frozen=True, slots=True, eq=False)
class SensorSamples:
    """Values of the N sensor packets of each of M records, in sensor axes."""

    t_spacecraft_s: NDArray[np.int64]
    """Spacecraft time, s, (M, N)"""
    mag_imu_ut: NDArray[np.float64]
    """Magnetic field, uT, (M, N, 3)"""
    hall_raw: NDArray[np.int64]
    """Hall word: Hall resistance for the magnetometer's compensation, or milliseconds (see `hall_words`), (M, N)"""
    gyro_imu_rad_s: NDArray[np.float64]
    """Angular rate, rad/s, (M, N, 3)"""
    lux: NDArray[np.float64]
    """Illuminance of the faces +X, +Y, +Z, -X, -Y, -Z, lux, (M, N, 6)"""


SENSE_SENSORS: Final = "sense_sensors"
"""`kind` of the input messages that contain sensor packets."""
TORQUERS_ON: Final = 0x4000
"""Bit of a hall word that contains milliseconds instead of the Hall resistance: the magnetorquers are on."""
_MILLISECONDS: Final = 0x03FF
"""Bits of a hall word that contains milliseconds, counted from the spacecraft time, instead of the Hall resistance."""


def hall_words(milliseconds: NDArray[np.int64], torquers_on: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return hall words that contain milliseconds, 0 to 999, and the torquer flag instead of the Hall resistance."""
    return milliseconds | np.where(torquers_on, TORQUERS_ON, 0)


def milliseconds_from_hall_word(word: int) -> int | None:
    """Return the milliseconds, 0 to 999, in a hall word made by `hall_words`; None if the word is damaged."""
    milliseconds = word & _MILLISECONDS
    return milliseconds if milliseconds < 1000 and word & ~(_MILLISECONDS | TORQUERS_ON) == 0 else None


def decode_sensors(records: NDArray[np.void]) -> SensorSamples:
    """Decode the N sensor packets of each of M records (`SenseLayout.record`)."""
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
        samples.lux[block] = lux_from_words(packets["lux"][block])
    return samples


def encode_lux(lux: ArrayLike) -> NDArray[np.uint16]:
    """Encode illuminance like an OPT3001; the result has the shape of `lux`.

    Uses the smallest exponent with which the value fits and rounds the mantissa down. Like the sensor, it limits
    values to 0 .. 83 865.60 lux (0xBFFF).

    Raises:
        ValueError: A value is not a number.
    """
    counts = np.clip(np.asarray(lux, np.float64), 0.0, None) / LUX_PER_COUNT
    if np.isnan(counts).any():
        raise ValueError("illuminance must be a number in lux, but is NaN")
    full_scales = _LUX_MANTISSA_MAX * 2.0 ** np.arange(LUX_EXPONENT_MAX) + _FLOOR_GUARD_COUNTS
    exponent = np.searchsorted(full_scales, counts)
    mantissa = np.minimum(np.floor(counts / 2.0**exponent + _FLOOR_GUARD_COUNTS), _LUX_MANTISSA_MAX)
    return (exponent << 12 | mantissa.astype(np.int64)).astype(np.uint16)


def encode_records(sensors: SensorSamples, fixes: GpsFixes, layout: SenseLayout | None = None) -> NDArray[np.void]:
    """Encode M records, shape (M,); `.tobytes()` of the result is the content of the file.

    Magnetometer and gyro counts are rounded down as in the satellites. `layout` defaults to the standard record.

    Raises:
        ValueError: A value exceeds the range of its field (+-2048 uT, +-499.5 deg/s) or is not a number, or the shapes
            differ.
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
