"""Constants of the host interface and of its sensors.

Sources: the PyCubed-PyGNC interface definition, the BMX160 and OPT3001 data sheets, NovAtel's OEM reference manual and
Semtech's SX1280 data sheet.
"""

from enum import IntEnum, unique
from typing import Final

SENSE_FILE: Final = "sense.bin"
HARD_EXIT_AT_S: Final = 9.0
"""Time after a request to stop at which main.py exits in any case; the host cuts the power after 10 s."""
LAST_BATCH: Final = "pygnc_batch_last"
"""Folder of the files that the previous run wrote; inputs of a run with --from-last-run."""
# Number of sensor packets in a sense record; a GPS packet (and CR LF) follows them.
batch_sensor_gps_packet_num_sensor_packets: Final = 5

MAGNETOMETER_UT_PER_COUNT: Final = 1.0 / 16.0
GYRO_DEG_S_PER_COUNT: Final = 1.0 / 65.6
"""Scale of the BMX160's gyro in its range of +-500 deg/s."""
LUX_PER_COUNT: Final = 0.01
"""OPT3001: lux = 0.01 * mantissa * 2**exponent, mantissa in the low 12 bits, exponent in the high 4."""
LUX_EXPONENT_MAX: Final = 11
"""Largest exponent of an OPT3001, which never produces 12 to 15."""

SX1280_M_HZ_PER_COUNT: Final = 36621.09375
"""Scale of the SX1280's range: range_m = raw * SX1280_M_HZ_PER_COUNT / bandwidth_hz."""
SX1280_FREQUENCY_HZ_PER_COUNT: Final = 1.55
"""Scale of the frequency error: error_hz = raw * SX1280_FREQUENCY_HZ_PER_COUNT / (1 625 000 / bandwidth_hz)."""
SX1280_FREQUENCY_REFERENCE_HZ: Final = 1_625_000.0
SX1280_BANDWIDTH_HZ: Final = 812_500.0
"""LoRa bandwidth of the fleet's radios (register code 0x18)."""

PARTNER_IDS: Final = range(0x4A, 0x4E)
"""Radio ids of the satellites of the fleet: the ASCII codes of 'J' to 'M'."""


@unique
class GpsTimeStatus(IntEnum):
    """GPS reference time status, as NovAtel's OEM manual numbers it."""

    UNKNOWN = 20
    APPROXIMATE = 60
    COARSE_ADJUSTING = 80
    COARSE = 100
    COARSE_STEERING = 120
    FREE_WHEELING = 130
    FINE_ADJUSTING = 140
    FINE = 160
    FINE_BACKUP_STEERING = 170
    FINE_STEERING = 180
    SATELLITE_TIME = 200


@unique
class SolutionStatus(IntEnum):
    """Status of a position or velocity: NovAtel's values that the interface document defines."""

    COMPUTED = 0
    INSUFFICIENT_OBSERVATIONS = 1
