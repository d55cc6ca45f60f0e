"""The range files (`rng#####.bin`): a stream of GPS packets and of range packets, in any mixture.

A range packet is what the SX1280 radio reported about one partner; the layout stands in `RANGE_PACKET`, that of the
102-byte GPS packet in `gps_packet.RANGE_GPS_PACKET`. `range_scan` finds the packets; this module turns them into
physical values and back, and puts files into the order of their numbers.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum, unique
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pygnc.common.constants import (
    SX1280_BANDWIDTH_HZ,
    SX1280_FREQUENCY_HZ_PER_COUNT,
    SX1280_FREQUENCY_REFERENCE_HZ,
    SX1280_M_HZ_PER_COUNT,
)
from pygnc.formats.gps_packet import store_words

RANGE_PACKET: Final = np.dtype(
    [
        ("partner_id", "u1"),
        ("rssi", "u1"),
        ("t_spacecraft_s", ">u4"),
        ("frequency_error", "u1", (3,)),
        ("distance", "u1", (3,)),
    ]
)
"""12 bytes: partner, signal strength, spacecraft time, frequency error (20 bits) and distance (24 bits), big-endian."""

_FREQUENCY_BITS: Final = 20
_DISTANCE_BITS: Final = 24
_RSSI_DBM_PER_COUNT: Final = -0.5
_FILE_NAME: Final = re.compile(r"rng(\d{5})\.bin")
FILE_NUMBERS: Final = 1 << 16
"""The controller's file counter has 16 bits."""


@unique
class PacketKind(IntEnum):
    """Which of the two packets of a range file."""

    GPS = 0
    RANGE = 1


@dataclass(frozen=True, slots=True, eq=False)
class RangeMeasurements:
    """M range packets as native arrays, all (M,)."""

    partner_id: NDArray[np.int64]
    rssi_dbm: NDArray[np.float64]
    t_spacecraft_s: NDArray[np.int64]
    frequency_error_hz: NDArray[np.float64]
    range_m: NDArray[np.float64]
    """Still contains the radio pair's delay, about 1 km uncalibrated."""

    def __len__(self) -> int:
        return len(self.partner_id)


def decode_ranges(packets: NDArray[np.void], bandwidth_hz: float = SX1280_BANDWIDTH_HZ) -> RangeMeasurements:
    """Physical values of M range packets measured at a LoRa bandwidth (SX1280 data sheet, ranging operation)."""
    return RangeMeasurements(
        partner_id=packets["partner_id"].astype(np.int64),
        rssi_dbm=packets["rssi"] * _RSSI_DBM_PER_COUNT,
        t_spacecraft_s=packets["t_spacecraft_s"].astype(np.int64),
        frequency_error_hz=_frequency_hz_per_count(bandwidth_hz) * _signed(packets["frequency_error"], _FREQUENCY_BITS),
        range_m=SX1280_M_HZ_PER_COUNT / bandwidth_hz * _signed(packets["distance"], _DISTANCE_BITS),
    )


def encode_ranges(measurements: RangeMeasurements, bandwidth_hz: float = SX1280_BANDWIDTH_HZ) -> NDArray[np.void]:
    """M range packets from physical values, rounded to the nearest count.

    Raises:
        ValueError: a value does not fit its word.
    """
    packets = np.zeros(len(measurements), RANGE_PACKET)
    store_words(packets, "partner_id", measurements.partner_id)
    store_words(packets, "rssi", np.rint(measurements.rssi_dbm / _RSSI_DBM_PER_COUNT))
    store_words(packets, "t_spacecraft_s", measurements.t_spacecraft_s)
    frequency_counts = measurements.frequency_error_hz / _frequency_hz_per_count(bandwidth_hz)
    packets["frequency_error"] = _octets(frequency_counts, _FREQUENCY_BITS)
    packets["distance"] = _octets(measurements.range_m * (bandwidth_hz / SX1280_M_HZ_PER_COUNT), _DISTANCE_BITS)
    return packets


def join_packets(kinds: NDArray[np.uint8], fixes: NDArray[np.void], ranges: NDArray[np.void]) -> bytes:
    """The stream whose packets, in the order of `kinds`, are `fixes` and `ranges`: undoes a scan without damage."""
    remaining = {PacketKind.GPS: iter(fixes), PacketKind.RANGE: iter(ranges)}
    return b"".join(next(remaining[PacketKind(kind)]).tobytes() for kind in kinds)


def range_file_number(name: str) -> int | None:
    """The number in a range file's name, None if it is not one."""
    match = _FILE_NAME.fullmatch(name)
    return int(match[1]) if match and int(match[1]) < FILE_NUMBERS else None


def consecutive_runs(numbers: Iterable[int]) -> list[list[int]]:
    """File numbers in the order of writing, oldest first, as runs without a gap; 0 follows 65535.

    A packet cut by the end of a file continues in the next number of the same run. The oldest file is taken to stand
    behind the longest stretch of missing numbers.
    """
    ascending = sorted(set(numbers))
    runs: list[list[int]] = []
    for number in ascending:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    if len(runs) > 1 and runs[0][0] == 0 and runs[-1][-1] == FILE_NUMBERS - 1:
        runs[0] = runs.pop() + runs[0]
    missing_before = [(run[0] - runs[index - 1][-1]) % FILE_NUMBERS for index, run in enumerate(runs)]
    oldest = missing_before.index(max(missing_before)) if runs else 0
    return runs[oldest:] + runs[:oldest]


def _frequency_hz_per_count(bandwidth_hz: float) -> float:
    return SX1280_FREQUENCY_HZ_PER_COUNT / (SX1280_FREQUENCY_REFERENCE_HZ / bandwidth_hz)


def _signed(octets: NDArray[np.uint8], bits: int) -> NDArray[np.float64]:
    """Two's complement of the low `bits` of big-endian (M, 3) octets, (M,); the radio leaves junk above them."""
    wide = octets.astype(np.int64)
    unsigned = (wide[:, 0] << 16 | wide[:, 1] << 8 | wide[:, 2]) & ((1 << bits) - 1)
    sign = 1 << (bits - 1)
    return ((unsigned ^ sign) - sign).astype(np.float64)


def _octets(counts: NDArray[np.float64], bits: int) -> NDArray[np.uint8]:
    """(M, 3) big-endian octets of the nearest integers, the bits above `bits` zero."""
    rounded = np.rint(counts)
    limit = 1 << (bits - 1)
    if not ((rounded >= -limit) & (rounded < limit)).all():
        raise ValueError(f"a count must be in {-limit} .. {limit - 1}")
    words = rounded.astype(np.int64) & ((1 << bits) - 1)
    return np.stack([words >> 16, words >> 8 & 0xFF, words & 0xFF], axis=-1).astype(np.uint8)
