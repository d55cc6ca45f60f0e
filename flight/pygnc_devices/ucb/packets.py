"""Packets of the DMU38x family and of OpenIMU applications, and the bits of their built-in test (BIT) and status words.

DMU38x packets have big-endian words. User packets of the OpenIMU applications that Aceinna ships have lower-case types
and little-endian words. Sources: DMU380ZA manual 7430-3810, OpenIMU300 firmware, NAV440 manual.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Final, Literal

from pygnc_devices.declaration import TEXT, Field, Labels, Packet, axes
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


def _temperature(name: str, column: str, meaning: str) -> Field:
    return Field(f"temperature_{name}_degc", "h", TEMPERATURE, TEMPERATURE_SCALE, 0.0, meaning, column)


def _angle(name: str, column: str, meaning: str) -> Field:
    return Field(f"{name}_rad", "h", ANGLE, ANGLE_SCALE, 0.0, meaning, column)


def _word(name: str, meaning: str, code: str = "H", column: str = "") -> Field:
    return Field(name, code, meaning=meaning, column=column)


_A: Final = axes("accel", ACCELERATION, "mps2", ACCEL_SCALE, "specific force", "Accel", "h")
_R: Final = axes("rate", RATE, "rad_s", RATE_SCALE, "angular rate", "Rate", "h")
_RC: Final = axes("rate", RATE, "rad_s", RATE_SCALE, "angular rate less its estimated bias", "RateCorrected", "h")
_RS: Final = axes("rate", RATE, "rad_s", RATE_SCALE, "angular rate, bias not removed", "RateScaled", "h")
_M: Final = axes("mag", MAGNETIC, "t", MAGNETIC_SCALE, "magnetic field", "Mag", "h")
_T: Final = axes("temperature", TEMPERATURE, "degc", TEMPERATURE_SCALE, "temperature of the gyro", "RateTemp", "h")
_TX: Final = _temperature("x", "xRateTemp", "temperature of the x gyro")
_TB: Final = _temperature("board", "boardTemp", "temperature of the board")
_TILT: Final = (_angle("roll", "rollAngle", "roll"), _angle("pitch", "pitchAngle", "pitch"))
_RPY_MAG: Final = (*_TILT, _angle("yaw", "yawAngleMag", "yaw from magnetic north, or free"))
_RPY_TRUE: Final = (
    *_TILT,
    _angle("yaw", "yawAngleMag", "yaw from true north, or free; the column name is that of python-imu380"),
)
_V: Final = tuple(
    Field(f"velocity_{axis}_mps", "h", VELOCITY, VELOCITY_SCALE, 0.0, f"velocity {axis}", f"{axis[0]}Vel")
    for axis in ("north", "east", "down")
)
_LLH: Final = (
    Field("longitude_rad", "i", ANGLE, POSITION_SCALE, 0.0, "longitude", "longitude"),
    Field("latitude_rad", "i", ANGLE, POSITION_SCALE, 0.0, "latitude", "latitude"),
    Field("altitude_m", "h", LENGTH, ALTITUDE_SCALE_M, ALTITUDE_OFFSET_M, "height", "altitude"),
)
_BIT: Final = _word("bit_status", "master BIT word, see STATUS_BITS", column="BITstatus")
_COUNTER: Final = Field("counter", "H", TICKS, meaning="packet count, or timer of 65536 ticks/s", column="counter")
_ITOW16: Final = Field(
    "itow", "H", TICKS, meaning="low word of GPS time of week, ms, or timer of 65536/s", column="GPSITOW"
)
_ITOW32: Final = Field("itow_ms", "I", TICKS, meaning="GPS time of week, or of the unit's start, ms", column="timeITOW")
# In navigation packets these words have other column names, as in python-imu380.
_N_ITOW16: Final = replace(_ITOW16, column="iTOW")
_N_ITOW32: Final = replace(_ITOW32, column="iTOW")
_CLOCKS: Final = (_COUNTER, _ITOW16, _ITOW32, _N_ITOW16, _N_ITOW32)
_COUNTS, _MAG_COUNTS, _TEMPERATURE_COUNTS = (
    tuple(_word(name, "converter", "I", name) for name in names)
    for names in (
        ("xAccelCounts", "yAccelCounts", "zAccelCounts", "xRateCounts", "yRateCounts", "zRateCounts"),
        ("xMagCounts", "yMagCounts", "zMagCounts"),
        ("xAccelTemp", "yAccelTemp", "zAccelTemp", "xRateTemp", "yRateTemp", "zRateTemp", "boardTemp"),
    )
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
STATUS_WORDS: Final = tuple(STATUS_BITS)
"""Words of the T0 packet, in order; STATUS_BITS names their bits."""
_T0: Final = tuple(_word(name, "BIT or status word, see STATUS_BITS") for name in STATUS_WORDS)


def _output(name: str, meaning: str, *fields: Field) -> Packet:
    """Return an output packet; its clock is the field that `_CLOCKS` contains."""
    return Packet(name, fields, meaning=meaning, clock=next((field.name for field in fields if field in _CLOCKS), ""))


def _chips(name: str, code: str, byte_order: Literal[">", "<"], *tail: Field) -> Packet:
    """Return a packet of the IMU383 with seven unscaled words of each of its four redundant chips."""
    words = tuple(
        _word(f"chip{chip}_{value}", f"word of chip {chip}", code)
        for chip in range(1, 5)
        for value in ("accel_x", "accel_y", "accel_z", "rate_x", "rate_y", "rate_z", "temperature")
    )
    ends = (_word("subset", "chips in use"), _word("sample_index", "sample count"), *tail)
    return Packet(name, (*words, *ends), byte_order, meaning="all chips (IMU383)")


OUTPUT_PACKETS: Final = (
    _output("S0", "scaled sensors with magnetometer", *_A, *_R, *_M, *_T, _TB, _ITOW16, _BIT),
    _output("S1", "scaled sensors", *_A, *_R, *_T, _TB, _COUNTER, _BIT),
    _output("A0", "angles (NAV440)", *_RPY_MAG, *_RC, *_A, *_M, replace(_TX, meaning="temperature"), _ITOW16, _BIT),
    _output("A1", "angles", *_RPY_MAG, *_RC, *_A, *_M, _TX, _ITOW32, _BIT),
    _output("A2", "angles", *_RPY_TRUE, *_RC, *_A, *_T, _ITOW32, _BIT),
    _output("A3", "angles, rates as scaled", *_RPY_TRUE, *_RS, *_A, *_T, _ITOW32, _BIT),
    _output("A6", "tilt (MTLT)", *_TILT, _ITOW32, _BIT),
    _output("A7", "tilt and specific force (MTLT)", *_TILT, *_A, _ITOW32, _BIT),
    _output("B1", "angles, short", *_RPY_MAG, _RC[2], _A[0], _A[1], _ITOW32, _BIT),
    _output("B2", "tilt, short", *_TILT, _RC[2], _A[0], _ITOW16),
    _output("N0", "navigation", *_RPY_TRUE, *_RC, *_V, *_LLH, _N_ITOW16, _BIT),
    _output("N1", "navigation", *_RPY_TRUE, *_RC, *_A, *_V, *_LLH, _TX, _N_ITOW32, _BIT),
    # Angles, rates, forces and field fill 24 of the 46 bytes that are listed for N2; three words of velocity, three of
    # position, time and counter take the other 22.
    _output(
        "N2",
        "navigation (OEM)",
        *(*_RPY_TRUE, *_RC, *_A, *_M, *_V, *_LLH, _ITOW32, _word("counter", "packet count")),
    ),
    _output("F1", "converter counts", *_COUNTS, *_TEMPERATURE_COUNTS, _BIT),
    _output("F2", "converter counts with magnetometer", *_COUNTS, *_MAG_COUNTS, *_TEMPERATURE_COUNTS, _BIT),
    _chips("FM", "i", "<"),
    _chips("SM", "h", ">", _BIT),
    _output(
        "E3",
        "INS330BI",
        Field("counter", "I", TICKS, meaning="packet count"),
        *_RPY_MAG,
        _angle("steering", "steeringAngle", "steering angle"),
        *_A,
        *_R,
        Field("steering_rate_rad_s", "h", RATE, RATE_SCALE, 0.0, "steering rate", "steeringRate"),
        Field("speed_mps", "H", VELOCITY, 0.001, 0.0, "speed", "speed"),
        _word("master_status", "BIT word", column="masterStatus"),
        _word("slave_status", "BIT word", column="slaveStatus"),
    ),
)


def _answer(name: str, meaning: str, *fields: Field) -> Packet:
    return Packet(name, fields, meaning=meaning, is_reading=False)


ANSWER_PACKETS: Final = (
    _answer(
        "ID",
        "identity",
        _word("serial_number", "serial number", "I"),
        _word("text", "model, part number, version", TEXT),
    ),
    _answer(
        "VR",
        "version; stage 0 release candidate, 1 development, 2 alpha, 3 beta",
        *(_word(name, "version", "B") for name in ("major", "minor", "patch", "stage", "build")),
    ),
    _answer("T0", "all BIT and status words", *_T0),
    _answer(
        "T1",
        "T0 and two words more",
        *(*_T0[:4], _word("hardware_sensor", "BIT word"), *_T0[4:], _word("com_internal", "BIT word")),
    ),
    _answer(
        "CD",
        "magnetic alignment completed",
        _word("request", "word of the WC command"),
        Field("hard_iron_x_t", "h", MAGNETIC, MAGNETIC_SCALE, 0.0, "hard iron, x", "xHardIron"),
        Field("hard_iron_y_t", "h", MAGNETIC, MAGNETIC_SCALE, 0.0, "hard iron, y", "yHardIron"),
        Field("soft_iron_ratio", "H", NONE, 2.0 / _FULL, 0.0, "soft iron ratio"),
        Field("soft_iron_angle_rad", "H", ANGLE, ANGLE_SCALE, 0.0, "soft iron angle", "softIronAngle"),
    ),
)


def status_bit_names(word_name: str, word: int) -> tuple[str, ...]:
    """Return the names of the bits set in a status word; `bit 10` for a bit without a name."""
    return Labels(STATUS_BITS.get(word_name, {}), is_bit_field=True).bit_names(word)


_DEGREE: Final = 0.017453292519943295
_ACCEL: Final = axes("accel", ACCELERATION, "mps2", None, "specific force", "Accel")
_RATE: Final = axes("rate", RATE, "rad_s", _DEGREE, "angular rate", "Rate")
_MAG: Final = axes("mag", MAGNETIC, "t", 1e-4, "magnetic field", "Mag")
_RATE_BIAS: Final = axes("rate_bias", RATE, "rad_s", _DEGREE, "estimated bias of the angular rate", "RateBias")
_ACCEL_BIAS: Final = axes("accel_bias", ACCELERATION, "mps2", None, "estimated bias of the force", "AccelBias")
_ANGLES: Final = tuple(Field(f"{name}_rad", "f", ANGLE, _DEGREE, 0.0, name, name) for name in ("roll", "pitch", "yaw"))
_TICKS: Final = Field("time_ticks", "I", TICKS, meaning="ms or µs; the driver determines which", column="timeCounter")
_TIMES: Final = (
    Field("time_ms", "I", TICKS, meaning="time of the unit, ms", column="tstmp"),
    Field("time_s", "d", TIME, meaning="time of the unit", column="timeSec"),
)
_SWITCHES: Final = (
    _word("operation_mode", "0 stabilise, 1 initialise, 2 high gain, 3 low gain, 4 INS", "B", "opMode"),
    _word("linear_acceleration_switch", "1 while the unit takes the force for linear acceleration", "B", "linAccelSw"),
    _word("turn_switch", "1 while it turns", "B", "turnSw"),
)
_VELOCITY: Final = tuple(replace(field, code="f", scale=None) for field in _V)
_POSITION: Final = (
    Field("latitude_rad", "d", ANGLE, _DEGREE, 0.0, "latitude", "lat"),
    Field("longitude_rad", "d", ANGLE, _DEGREE, 0.0, "longitude", "lon"),
    Field("altitude_m", "d", LENGTH, meaning="height", column="alt"),
)
_TEMPERATURE: Final = Field("temperature_degc", "f", TEMPERATURE, meaning="temperature", column="temperature")


def _user(name: str, meaning: str, *fields: Field) -> Packet:
    """Return a user packet; its first field is its clock."""
    return Packet(name, fields, "<", meaning=meaning, clock=fields[0].name)


USER_PACKETS: Final = (
    _user("zT", "time only", _TICKS),
    _user("z1", "scaled sensors", _TICKS, *_ACCEL, *_RATE, *_MAG),
    _user("s1", "scaled sensors", *_TIMES, *_ACCEL, *_RATE, *_MAG, _TEMPERATURE),
    _user("a1", "tilt", *_TIMES, *_ANGLES[:2], *_RATE, *_ACCEL, *_SWITCHES),
    _user("a2", "angles", *_TIMES, *_ANGLES, *_RATE, *_ACCEL),
    _user("e1", "angles", *_TIMES, *_ANGLES, *_ACCEL, *_RATE, *_RATE_BIAS, *_MAG, *_SWITCHES),
    _user(
        "e2",
        "navigation",
        *(*_TIMES, *_ANGLES, *_ACCEL, *_ACCEL_BIAS, *_RATE, *_RATE_BIAS),
        *(*_VELOCITY, *_MAG, *_POSITION, *_SWITCHES),
    ),
)
"""User packets of the applications that Aceinna ships; `openimu.packets_from_json` declares others."""
