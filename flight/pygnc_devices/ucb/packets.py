"""Packets of the DMU38x family (big-endian words), and the bits of their built-in test (BIT) and status words.

Sources: DMU380ZA manual 7430-3810, OpenIMU300 firmware, NAV440 manual.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Final, Literal

from pygnc_devices.declaration import TEXT, Field, Packet
from pygnc_devices.units import (
    ACCELERATION,
    ANGLE,
    LENGTH,
    MAGNETIC,
    NONE,
    RATE,
    STANDARD_GRAVITY_MPS2,
    TEMPERATURE,
    TICKS,
    TIME,
    VELOCITY,
    Unit,
)

OVERHEAD_BYTES: Final = 7
"""Bytes of a frame besides the payload: preamble, type, length, CRC."""
_FULL: Final = 1 << 16
ACCEL_SCALE: Final = 20.0 * STANDARD_GRAVITY_MPS2 / _FULL
RATE_SCALE: Final = math.radians(1260.0) / _FULL
ANGLE_SCALE: Final = 2.0 * math.pi / _FULL
TEMPERATURE_SCALE: Final = 200.0 / _FULL
VELOCITY_SCALE: Final = 512.0 / _FULL
MAGNETIC_SCALE: Final = 20.0e-4 / _FULL
"""T per bit. The NAV440 has a tenth of it: `magnetic_range` of `Ucb.open`."""
POSITION_SCALE: Final = 2.0 * math.pi / (1 << 32)
ALTITUDE_SCALE_M: Final = 0.25
ALTITUDE_OFFSET_M: Final = 8092.0
"""Offset for the range [-100, 16284) m that the manual gives for a signed word; not verified by a recording."""

XYZ: Final = "xyz"


def axes(  # noqa: PLR0917 - a table's columns
    name: str, unit: Unit, suffix: str, scale: float | None, column: str, meaning: str, code: str = "h"
) -> tuple[Field, ...]:
    """Return the three fields of a vector; `*` in `name` and `column` is replaced by the axis."""
    return tuple(
        Field(
            f"{name.replace('*', axis)}_{suffix}",
            code,
            unit,
            scale,
            0.0,
            f"{meaning}, {axis}",
            column.replace("*", axis),
        )
        for axis in XYZ
    )


_A: Final = axes("accel_*", ACCELERATION, "mps2", ACCEL_SCALE, "*Accel", "specific force")
_R: Final = axes("rate_*", RATE, "rad_s", RATE_SCALE, "*Rate", "angular rate")
_RC: Final = axes("rate_*", RATE, "rad_s", RATE_SCALE, "*RateCorrected", "angular rate less its estimated bias")
_RS: Final = axes("rate_*", RATE, "rad_s", RATE_SCALE, "*RateScaled", "angular rate, bias not removed")
_M: Final = axes("mag_*", MAGNETIC, "t", MAGNETIC_SCALE, "*Mag", "magnetic field")
_T: Final = axes("temperature_*", TEMPERATURE, "degc", TEMPERATURE_SCALE, "*RateTemp", "temperature of the gyro")


def _temperature(name: str, column: str, meaning: str) -> Field:
    return Field(f"temperature_{name}_degc", "h", TEMPERATURE, TEMPERATURE_SCALE, 0.0, meaning, column)


def _angle(name: str, column: str, meaning: str) -> Field:
    return Field(f"{name}_rad", "h", ANGLE, ANGLE_SCALE, 0.0, meaning, column)


_TX: Final = _temperature("x", "xRateTemp", "temperature of the x gyro")
_TB: Final = _temperature("board", "boardTemp", "temperature of the board")
_ROLL: Final = _angle("roll", "rollAngle", "roll")
_PITCH: Final = _angle("pitch", "pitchAngle", "pitch")
_YAW_MAG: Final = _angle("yaw", "yawAngleMag", "yaw from magnetic north, or free")
_YAW_TRUE: Final = _angle(
    "yaw", "yawAngleMag", "yaw from true north, or free; the column name is that of python-imu380"
)
_V: Final = tuple(
    Field(f"velocity_{axis}_mps", "h", VELOCITY, VELOCITY_SCALE, 0.0, f"velocity {word}", f"{axis[0]}Vel")
    for axis, word in (("north", "north"), ("east", "east"), ("down", "down"))
)
_LLH: Final = (
    Field("longitude_rad", "i", ANGLE, POSITION_SCALE, 0.0, "longitude", "longitude"),
    Field("latitude_rad", "i", ANGLE, POSITION_SCALE, 0.0, "latitude", "latitude"),
    Field("altitude_m", "h", LENGTH, ALTITUDE_SCALE_M, ALTITUDE_OFFSET_M, "height", "altitude"),
)
_BIT: Final = Field("bit_status", "H", NONE, meaning="master BIT word, see STATUS_BITS", column="BITstatus")
_COUNTER: Final = Field("counter", "H", TICKS, meaning="packet count, or timer of 65536 ticks/s", column="counter")
_ITOW16: Final = Field(
    "itow", "H", TICKS, meaning="low word of GPS time of week, ms, or timer of 65536/s", column="GPSITOW"
)
_ITOW32: Final = Field("itow_ms", "I", TICKS, meaning="GPS time of week, or of the unit's start, ms", column="timeITOW")

# Navigation packets have the same words under another column's name, as python-imu380 writes them.
_N_ITOW16: Final = replace(_ITOW16, column="iTOW")
_N_ITOW32: Final = replace(_ITOW32, column="iTOW")


def _raw(names: tuple[str, ...], what: str) -> tuple[Field, ...]:
    return tuple(Field(name, "I", NONE, meaning=what, column=name) for name in names)


_COUNTS: Final = _raw(
    ("xAccelCounts", "yAccelCounts", "zAccelCounts", "xRateCounts", "yRateCounts", "zRateCounts"), "converter"
)
_MAG_COUNTS: Final = _raw(("xMagCounts", "yMagCounts", "zMagCounts"), "converter")
_TEMPERATURE_COUNTS: Final = _raw(
    ("xAccelTemp", "yAccelTemp", "zAccelTemp", "xRateTemp", "yRateTemp", "zRateTemp", "boardTemp"), "converter"
)

STATUS_WORDS: Final = (
    "bit_status",
    "hardware",
    "hardware_power",
    "hardware_environment",
    "com",
    "serial_a",
    "serial_b",
    "software",
    "software_algorithm",
    "software_data",
    "hardware_status",
    "com_status",
    "software_status",
    "sensor_status",
)
"""Words of the T0 packet, in order; STATUS_BITS names their bits."""
_T0: Final = tuple(Field(name, "H", NONE, meaning="BIT or status word, see STATUS_BITS") for name in STATUS_WORDS)


def _chips(name: str, code: str, byte_order: Literal[">", "<"], tail: tuple[Field, ...]) -> Packet:
    """Return a packet of the IMU383 with seven unscaled words of each of its four redundant chips."""
    values = tuple(
        Field(f"chip{chip}_{value}", code, NONE, meaning=f"word of chip {chip}")
        for chip in range(1, 5)
        for value in ("accel_x", "accel_y", "accel_z", "rate_x", "rate_y", "rate_z", "temperature")
    )
    subset = Field("subset", "H", NONE, meaning="chips in use")
    index = Field("sample_index", "H", NONE, meaning="sample count")
    return Packet(name, (*values, subset, index, *tail), byte_order, meaning="all chips (IMU383)")


OUTPUT_PACKETS: Final = (
    Packet("S0", (*_A, *_R, *_M, *_T, _TB, _ITOW16, _BIT), meaning="scaled sensors with magnetometer", clock="itow"),
    Packet("S1", (*_A, *_R, *_T, _TB, _COUNTER, _BIT), meaning="scaled sensors", clock="counter"),
    Packet(
        "A0",
        (_ROLL, _PITCH, _YAW_MAG, *_RC, *_A, *_M, _temperature("x", "xRateTemp", "temperature"), _ITOW16, _BIT),
        meaning="angles (NAV440)",
        clock="itow",
    ),
    Packet("A1", (_ROLL, _PITCH, _YAW_MAG, *_RC, *_A, *_M, _TX, _ITOW32, _BIT), meaning="angles", clock="itow_ms"),
    Packet("A2", (_ROLL, _PITCH, _YAW_TRUE, *_RC, *_A, *_T, _ITOW32, _BIT), meaning="angles", clock="itow_ms"),
    Packet(
        "A3",
        (_ROLL, _PITCH, _YAW_TRUE, *_RS, *_A, *_T, _ITOW32, _BIT),
        meaning="angles, rates as scaled",
        clock="itow_ms",
    ),
    Packet("A6", (_ROLL, _PITCH, _ITOW32, _BIT), meaning="tilt (MTLT)", clock="itow_ms"),
    Packet("A7", (_ROLL, _PITCH, *_A, _ITOW32, _BIT), meaning="tilt and specific force (MTLT)", clock="itow_ms"),
    Packet(
        "B1", (_ROLL, _PITCH, _YAW_MAG, _RC[2], _A[0], _A[1], _ITOW32, _BIT), meaning="angles, short", clock="itow_ms"
    ),
    Packet("B2", (_ROLL, _PITCH, _RC[2], _A[0], _ITOW16), meaning="tilt, short", clock="itow"),
    Packet("N0", (_ROLL, _PITCH, _YAW_TRUE, *_RC, *_V, *_LLH, _N_ITOW16, _BIT), meaning="navigation", clock="itow"),
    Packet(
        "N1",
        (_ROLL, _PITCH, _YAW_TRUE, *_RC, *_A, *_V, *_LLH, _TX, _N_ITOW32, _BIT),
        meaning="navigation",
        clock="itow_ms",
    ),
    # Angles, rates, forces and field fill 24 of the 46 bytes that are listed for N2; three words of velocity, three of
    # position, time and counter take the other 22.
    Packet(
        "N2",
        (
            _ROLL,
            _PITCH,
            _YAW_TRUE,
            *_RC,
            *_A,
            *_M,
            *_V,
            *_LLH,
            _ITOW32,
            Field("counter", "H", NONE, meaning="packet count"),
        ),
        meaning="navigation (OEM)",
        clock="itow_ms",
    ),
    Packet("F1", (*_COUNTS, *_TEMPERATURE_COUNTS, _BIT), meaning="converter counts"),
    Packet("F2", (*_COUNTS, *_MAG_COUNTS, *_TEMPERATURE_COUNTS, _BIT), meaning="converter counts with magnetometer"),
    _chips("FM", "i", "<", ()),
    _chips("SM", "h", ">", (_BIT,)),
    Packet(
        "E3",
        (
            Field("counter", "I", TICKS, meaning="packet count"),
            _ROLL,
            _PITCH,
            _YAW_MAG,
            _angle("steering", "steeringAngle", "steering angle"),
            *_A,
            *_R,
            Field("steering_rate_rad_s", "h", RATE, RATE_SCALE, 0.0, "steering rate", "steeringRate"),
            Field("speed_mps", "H", VELOCITY, 0.001, 0.0, "speed", "speed"),
            Field("master_status", "H", NONE, meaning="BIT word", column="masterStatus"),
            Field("slave_status", "H", NONE, meaning="BIT word", column="slaveStatus"),
        ),
        meaning="INS330BI",
    ),
)

ANSWER_PACKETS: Final = (
    Packet(
        "ID",
        (
            Field("serial_number", "I", NONE, meaning="serial number"),
            Field("text", TEXT, NONE, meaning="model, part number, version"),
        ),
        meaning="identity",
        is_reading=False,
    ),
    Packet(
        "VR",
        tuple(Field(name, "B", NONE, meaning="version") for name in ("major", "minor", "patch", "stage", "build")),
        meaning="version; stage 0 release candidate, 1 development, 2 alpha, 3 beta",
        is_reading=False,
    ),
    Packet("T0", _T0, meaning="all BIT and status words", is_reading=False),
    Packet(
        "T1",
        (
            *_T0[:4],
            Field("hardware_sensor", "H", NONE, meaning="BIT word"),
            *_T0[4:],
            Field("com_internal", "H", NONE, meaning="BIT word"),
        ),
        meaning="T0 and two words more",
        is_reading=False,
    ),
    Packet(
        "CD",
        (
            Field("request", "H", NONE, meaning="of the WC command"),
            Field("hard_iron_x_t", "h", MAGNETIC, MAGNETIC_SCALE, 0.0, "hard iron, x", "xHardIron"),
            Field("hard_iron_y_t", "h", MAGNETIC, MAGNETIC_SCALE, 0.0, "hard iron, y", "yHardIron"),
            Field("soft_iron_ratio", "H", NONE, 2.0 / _FULL, 0.0, "soft iron ratio"),
            Field("soft_iron_angle_rad", "H", ANGLE, ANGLE_SCALE, 0.0, "soft iron angle", "softIronAngle"),
        ),
        meaning="magnetic alignment completed",
        is_reading=False,
    ),
)


_SERIAL: Final = {0: "transmit overflow", 1: "receive overflow", 2: "framing", 3: "break", 4: "parity"}

STATUS_BITS: Final[Mapping[str, Mapping[int, str]]] = {
    "bit_status": {
        0: "master fail", 1: "hardware error", 2: "communication error", 3: "software error", 8: "master status",
        9: "hardware status", 10: "communication status", 11: "software status", 12: "sensor status",
    },
    "hardware": {
        0: "power", 1: "environment", 2: "sensor", 3: "magnetometer", 4: "accelerometer", 5: "gyro",
        6: "pulse per second", 7: "nss",
    },
    "hardware_power": {
        0: "input power", 1: "input current", 2: "input voltage", 3: "5 V", 4: "3 V", 5: "2 V", 6: "2.5 V reference",
        7: "6 V", 8: "ground reference", 9: "4 V",
    },
    "hardware_environment": {0: "board temperature"},
    "com": {0: "serial port A", 1: "serial port B", 2: "I2C", 3: "SPI"},
    "serial_a": _SERIAL,
    "serial_b": _SERIAL,
    "software": {0: "algorithm", 1: "data"},
    "software_algorithm": {0: "initialisation", 1: "over range", 2: "missed navigation step"},
    "software_data": {0: "calibration CRC", 1: "magnetic alignment out of bounds"},
    "hardware_status": {
        0: "1PPS not locked", 1: "internal GPS not locked", 2: "no differential GPS", 3: "EEPROM unlocked",
    },
    "com_status": {0: "no external GPS", 1: "no external magnetometer"},
    "software_status": {
        0: "algorithm initialising", 1: "high gain", 2: "attitude only", 3: "turn switch",
    },
    "sensor_status": {0: "over range"},
}  # fmt: skip

HARD_FAILURES: Final = frozenset({0, 1, 2, 3})
"""Bits of `bit_status` that mean a failure; the others are states, selected by the enable masks (fields 16 to 19)."""


def status_bit_names(word_name: str, word: int) -> tuple[str, ...]:
    """Return the names of the bits set in a status word; `bit 10` for a bit without a name."""
    names = STATUS_BITS.get(word_name, {})
    return tuple(names.get(bit, f"bit {bit}") for bit in range(16) if word >> bit & 1)


def reports_failure(bit_status: int) -> bool:
    """Return whether a `bit_status` reports a failure and not only a state."""
    return any(bit_status >> bit & 1 for bit in HARD_FAILURES)


_DEGREE: Final = 0.017453292519943295


_GAUSS_T: Final = 1e-4


def _vector(  # noqa: PLR0917 - a table's columns
    name: str, unit: Unit, suffix: str, scale: float | None, column: str, meaning: str
) -> tuple[Field, ...]:
    return tuple(
        Field(f"{name}_{axis}_{suffix}", "f", unit, scale, 0.0, f"{meaning}, {axis}", f"{axis}{column}") for axis in XYZ
    )


_ACCEL: Final = _vector("accel", ACCELERATION, "mps2", None, "Accel", "specific force")


_RATE: Final = _vector("rate", RATE, "rad_s", _DEGREE, "Rate", "angular rate")


_MAG: Final = _vector("mag", MAGNETIC, "t", _GAUSS_T, "Mag", "magnetic field")


_RATE_BIAS: Final = _vector("rate_bias", RATE, "rad_s", _DEGREE, "RateBias", "estimated bias of the angular rate")


_ACCEL_BIAS: Final = _vector("accel_bias", ACCELERATION, "mps2", None, "AccelBias", "estimated bias of the force")


_TILT: Final = tuple(Field(f"{name}_rad", "f", ANGLE, _DEGREE, 0.0, name, name) for name in ("roll", "pitch"))


_ANGLES: Final = (*_TILT, Field("yaw_rad", "f", ANGLE, _DEGREE, 0.0, "yaw", "yaw"))


_TICKS: Final = Field("time_ticks", "I", TICKS, meaning="ms or µs; the driver determines which", column="timeCounter")


_MS: Final = Field("time_ms", "I", TICKS, meaning="time of the unit, ms", column="tstmp")


_SECONDS: Final = Field("time_s", "d", TIME, meaning="time of the unit", column="timeSec")


_SWITCHES: Final = tuple(
    Field(name, "B", NONE, meaning=meaning, column=column)
    for name, column, meaning in (
        ("operation_mode", "opMode", "0 stabilise, 1 initialise, 2 high gain, 3 low gain, 4 INS"),
        ("linear_acceleration_switch", "linAccelSw", "1 while the unit takes the force for linear acceleration"),
        ("turn_switch", "turnSw", "1 while it turns"),
    )
)


_VELOCITY: Final = tuple(
    Field(f"velocity_{word}_mps", "f", VELOCITY, meaning=f"velocity {word}", column=f"{word[0]}Vel")
    for word in ("north", "east", "down")
)


_POSITION: Final = (
    Field("latitude_rad", "d", ANGLE, _DEGREE, 0.0, "latitude", "lat"),
    Field("longitude_rad", "d", ANGLE, _DEGREE, 0.0, "longitude", "lon"),
    Field("altitude_m", "d", LENGTH, meaning="height", column="alt"),
)


_TEMPERATURE: Final = Field("temperature_degc", "f", TEMPERATURE, meaning="temperature", column="temperature")


USER_PACKETS: Final = (
    Packet("zT", (_TICKS,), "<", meaning="time only", clock="time_ticks"),
    Packet("z1", (_TICKS, *_ACCEL, *_RATE, *_MAG), "<", meaning="scaled sensors", clock="time_ticks"),
    Packet("s1", (_MS, _SECONDS, *_ACCEL, *_RATE, *_MAG, _TEMPERATURE), "<", meaning="scaled sensors", clock="time_ms"),
    Packet("a1", (_MS, _SECONDS, *_TILT, *_RATE, *_ACCEL, *_SWITCHES), "<", meaning="tilt", clock="time_ms"),
    Packet("a2", (_MS, _SECONDS, *_ANGLES, *_RATE, *_ACCEL), "<", meaning="angles", clock="time_ms"),
    Packet(
        "e1",
        (_MS, _SECONDS, *_ANGLES, *_ACCEL, *_RATE, *_RATE_BIAS, *_MAG, *_SWITCHES),
        "<",
        meaning="angles",
        clock="time_ms",
    ),
    Packet(
        "e2",
        (
            *(_MS, _SECONDS, *_ANGLES, *_ACCEL, *_ACCEL_BIAS, *_RATE, *_RATE_BIAS),
            *(*_VELOCITY, *_MAG, *_POSITION, *_SWITCHES),
        ),
        "<",
        meaning="navigation",
        clock="time_ms",
    ),
)
