"""Range files (`rng#####.bin`): GPS packets and range packets in any order.

A range packet is one measurement of the SX1280 radio to a partner. Layouts: `FIELDS` and
`gps_packet.RANGE_GPS_FIELDS`. This module converts packets to physical values and back and sorts files by their
numbers; `range_scan` finds the packets in a file.
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
from pygnc.formats.gps_packet import SPACECRAFT_TIME, numpy_type, store_words
from pygnc.formats.layout import Field

_FREQUENCY_BITS: Final = 20
_DISTANCE_BITS: Final = 24
_RSSI_DBM_PER_COUNT: Final = -0.5


def _frequency_hz_per_count(bandwidth_hz: float) -> float:
    return SX1280_FREQUENCY_HZ_PER_COUNT / (SX1280_FREQUENCY_REFERENCE_HZ / bandwidth_hz)


FIELDS: Final = (
    Field("partner_id", "B", "", "radio id of the partner, 0x4A to 0x4D"),
    Field("rssi", "B", "dBm", "signal strength", scale=_RSSI_DBM_PER_COUNT),
    SPACECRAFT_TIME,
    Field(
        "frequency_error",
        "3s",
        "Hz",
        "frequency error; the scale is 1.55 / (1 625 000 / bandwidth)",
        bits=_FREQUENCY_BITS,
        scale=_frequency_hz_per_count(SX1280_BANDWIDTH_HZ),
    ),
    Field(
        "distance",
        "3s",
        "m",
        "range with the delay of the radios; the scale is 36621.09375 / bandwidth",
        bits=_DISTANCE_BITS,
        scale=SX1280_M_HZ_PER_COUNT / SX1280_BANDWIDTH_HZ,
    ),
)
"""Range packet, 12 bytes."""
RANGE_PACKET: Final = numpy_type(FIELDS)
_FILE_NAME: Final = re.compile(r"rng([0-9]{5})\.bin")
FILE_NUMBERS: Final = 1 << 16
"""Number of different file numbers, 0 to 65535, because the controller's counter has 16 bits."""


@unique
class PacketKind(IntEnum):
    """Kind of a packet in a range file: its GPS packets and range packets are mixed and have different lengths."""

    GPS = 0
    RANGE = 1


@dataclass(frozen=True, slots=True, eq=False)
class RangeMeasurements:
    """Physical values of M range packets, arrays of shape (M,).

    Attributes:
        partner_id: Radio id of the partner.
        rssi_dbm: Signal strength.
        t_spacecraft_s: Spacecraft time of the measuring satellite.
        frequency_error_hz: Frequency error of the partner's signal.
        range_m: Range including the delay of the radio pair, about 1 km unless the radios are calibrated.
    """

    partner_id: NDArray[np.int64]
    rssi_dbm: NDArray[np.float64]
    t_spacecraft_s: NDArray[np.int64]
    frequency_error_hz: NDArray[np.float64]
    range_m: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.partner_id)


def decode_ranges(packets: NDArray[np.void], bandwidth_hz: float = SX1280_BANDWIDTH_HZ) -> RangeMeasurements:
    """Decode M range packets measured at LoRa bandwidth `bandwidth_hz` (SX1280 data sheet, ranging operation)."""
    return RangeMeasurements(
        partner_id=packets["partner_id"].astype(np.int64),
        rssi_dbm=packets["rssi"] * _RSSI_DBM_PER_COUNT,
        t_spacecraft_s=packets["t_spacecraft_s"].astype(np.int64),
        frequency_error_hz=_frequency_hz_per_count(bandwidth_hz) * _signed(packets["frequency_error"], _FREQUENCY_BITS),
        range_m=SX1280_M_HZ_PER_COUNT / bandwidth_hz * _signed(packets["distance"], _DISTANCE_BITS),
    )


def encode_ranges(measurements: RangeMeasurements, bandwidth_hz: float = SX1280_BANDWIDTH_HZ) -> NDArray[np.void]:
    """Encode M range packets, rounded to the nearest count.

    Raises:
        ValueError: A value does not fit its field.
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
    """Join GPS packets (`fixes`) and range packets (`ranges`) in the order of `kinds`; the inverse of a scan."""
    remaining = {PacketKind.GPS: iter(fixes), PacketKind.RANGE: iter(ranges)}
    return b"".join(next(remaining[PacketKind(kind)]).tobytes() for kind in kinds)


def range_file_number(name: str) -> int | None:
    """Return the number in the name of a range file, or None for another name."""
    match = _FILE_NAME.fullmatch(name)
    return int(match[1]) if match and int(match[1]) < FILE_NUMBERS else None


def consecutive_runs(numbers: Iterable[int]) -> list[list[int]]:
    """Return file numbers in the order of writing, oldest first, as runs without a gap; 0 follows 65535.

    A packet may continue in the next file of the same run. The oldest file is assumed to follow the longest gap.
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


def _signed(octets: NDArray[np.uint8], bits: int) -> NDArray[np.float64]:
    """Return the two's complement numbers, (M,), in the low `bits` of big-endian octets, (M, 3)."""
    wide = octets.astype(np.int64)
    unsigned = (wide[:, 0] << 16 | wide[:, 1] << 8 | wide[:, 2]) & ((1 << bits) - 1)
    sign = 1 << (bits - 1)
    return ((unsigned ^ sign) - sign).astype(np.float64)


def _octets(counts: NDArray[np.float64], bits: int) -> NDArray[np.uint8]:
    """Return the nearest integers as big-endian octets, (M, 3): two's complement of `bits` bits, others zero."""
    rounded = np.rint(counts)
    limit = 1 << (bits - 1)
    if not ((rounded >= -limit) & (rounded < limit)).all():
        raise ValueError(f"frequency error or range is out of range: counts must be in {-limit} .. {limit - 1}")
    words = rounded.astype(np.int64) & ((1 << bits) - 1)
    return np.stack([words >> 16, words >> 8 & 0xFF, words & 0xFF], axis=-1).astype(np.uint8)
