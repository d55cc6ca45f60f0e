"""Packets of the single-byte protocol: command byte, big-endian words, timer, 16-bit sum.

Sources: MicroStrain Data Communications Protocol 1.19 (3DM-GX2, Inertia-Link); drivers of the 3DM-GX3-25 for D4 to DF.
"""

import struct
from dataclasses import replace
from typing import Final

from pygnc_devices.declaration import Field, Packet, axes, matrix, word
from pygnc_devices.units import (
    ACCELERATION,
    ANGLE,
    GAUSS_T,
    MAGNETIC,
    NONE,
    RATE,
    STANDARD_GRAVITY_MPS2,
    TICKS,
    VELOCITY,
)

OVERHEAD_BYTES: Final = 3
"""Bytes of a frame besides the payload: command byte, sum."""
LARGEST_FLOAT: Final = 1e6
"""Largest float in a packet: bytes with a larger value are not a packet, even if their sum is right."""

_ACCEL: Final = axes("accel", ACCELERATION, "mps2", STANDARD_GRAVITY_MPS2, "specific force", "Accel")
_RATE: Final = axes("rate", RATE, "rad_s", None, "angular rate", "Rate")
_MAG: Final = axes("mag", MAGNETIC, "t", GAUSS_T, "magnetic field; not measured by an Inertia-Link", "Mag")
_TURN: Final = axes("delta_angle", ANGLE, "rad", None, "rotation since the previous sample", "DeltaAngle")
_PUSH: Final = axes(
    "delta_velocity", VELOCITY, "mps", STANDARD_GRAVITY_MPS2, "integral of specific force", "DeltaVelocity"
)
_GYRO_BIAS: Final = axes("gyro_bias", RATE, "rad_s", None, "bias of the gyros", "RateBias")
_M: Final = matrix("m", "rotation from north-east-down to the unit's axes")
_EULER: Final = tuple(
    Field(f"{name}_rad", "f", ANGLE, None, 0.0, f"{name} angle", f"{name}Angle") for name in ("roll", "pitch", "yaw")
)
_TIMER: Final = Field("timer_ticks", "I", TICKS, None, 0.0, "clock of the unit, wraps", "timer")


def _stabilized(field: Field) -> Field:
    return replace(field, name=f"stabilized_{field.name}", column=f"{field.column}Stabilized")


def _reading(name: str, *fields: Field, meaning: str) -> Packet:
    return Packet(name, (*fields, _TIMER), meaning=meaning, clock="timer_ticks")


def _answer(name: str, *fields: Field, meaning: str) -> Packet:
    return Packet(name, fields, meaning=meaning, is_reading=False)


READINGS: Final = (
    _reading(
        "C1",
        *axes("raw_accel", NONE, "", None, "A/D counts of the accelerometer, 65536 for 5 V", "AccelCounts"),
        *axes("raw_rate", NONE, "", None, "A/D counts of the gyro, 65536 for 5 V", "RateCounts"),
        meaning="raw A/D values",
    ),
    _reading("C2", *_ACCEL, *_RATE, meaning="specific force and angular rate"),
    _reading("C3", *_TURN, *_PUSH, meaning="rotation and velocity change"),
    _reading("C5", *_M, meaning="orientation"),
    _reading("C6", *matrix("m", "rotation that the last update made"), meaning="update of the orientation"),
    _reading("C7", *_MAG, meaning="magnetic field"),
    _reading("C8", *_ACCEL, *_RATE, *_M, meaning="specific force, angular rate, orientation"),
    _reading("CB", *_ACCEL, *_RATE, *_MAG, meaning="specific force, angular rate, magnetic field"),
    _reading("CC", *_ACCEL, *_RATE, *_MAG, *_M, meaning="specific force, angular rate, magnetic field, orientation"),
    _reading("CE", *_EULER, meaning="Euler angles"),
    _reading("CF", *_EULER, *_RATE, meaning="Euler angles and angular rate"),
    _reading(
        "D1",
        word("raw_temperature_accel", "H", "12-bit A/D counts, accelerometer"),
        *(word(f"raw_temperature_gyro_{axis}", "H", f"12-bit A/D counts, gyro {axis}") for axis in ("x", "y", "z")),
        meaning="temperatures, raw",
    ),
    _reading(
        "D2",
        *(_stabilized(field) for field in _ACCEL),
        *_RATE,
        *(_stabilized(field) for field in _MAG),
        meaning="gravity and magnetic field estimated by the filter, angular rate",
    ),
    _reading("D3", *_TURN, *_PUSH, *_MAG, meaning="rotation, velocity change, magnetic field"),
    _reading(
        "DF",
        *(word(f"q{number}", "f", f"component {number} of the quaternion") for number in range(4)),
        meaning="orientation as a quaternion (3DM-GX3-25)",
    ),
)
ANSWERS: Final = (
    _answer("C4", word("command", "B", "packet that is streamed, 0: none"), _TIMER, meaning="continuous mode"),
    _answer(
        "C9",
        *axes("accel_bias", ACCELERATION, "mps2", STANDARD_GRAVITY_MPS2, "bias of the accelerometer", "AccelBias"),
        _TIMER,
        meaning="bias of the accelerometer, as written",
    ),
    _answer("CA", *_GYRO_BIAS, _TIMER, meaning="bias of the gyros, as written"),
    _answer("CD", *_GYRO_BIAS, _TIMER, meaning="bias of the gyros, as captured"),
    _answer(
        "D0",
        word("quantity", "H", "1 accelerometer, 2 gyros, 65535 nothing"),
        _TIMER,
        meaning="bias into EEPROM",
    ),
    _answer("E4", word("word", "H", "word as written"), meaning="write a word of the EEPROM"),
    _answer("E5", word("word", "H", "word as read"), meaning="read a word of the EEPROM"),
    _answer("E9", word("firmware", "I", "version: 2103 is 2.1.03"), meaning="version of the firmware"),
    _answer("EA", word("selector", "B", "number of the text"), word("text", "16s", "ASCII"), meaning="identity"),
    _answer("FB", word("bits", "B", "tests that are on"), meaning="built-in test"),
    _answer("D4", word("mode", "B", "mode"), meaning="mode (3DM-GX3-25)"),
    _answer("D7", _TIMER, meaning="timer was set (3DM-GX3-25)"),
    _answer("D9", word("settings", "7s", "not decoded"), meaning="settings of the line (3DM-GX3-25)"),
    _answer("DA", word("flags", "I", "not decoded"), meaning="stationary test (3DM-GX3-25)"),
    _answer(
        "DB",
        word("decimation", "H", "divider of 1000 Hz"),
        word("flags", "H", "data conditioning"),
        word("inertial_filter_size", "B", "samples, gyros and accelerometers"),
        word("magnetic_filter_size", "B", "samples, magnetometer"),
        word("up_compensation", "H", "seconds"),
        word("north_compensation", "H", "seconds"),
        word("magnetic_power", "B", "0: highest bandwidth"),
        word("reserved", "5s", "zero"),
        meaning="sampling settings (3DM-GX3-25)",
    ),
    _answer("DD", word("seconds", "f", "reported by the unit"), meaning="realignment (3DM-GX3-25)"),
)
PACKETS: Final = {packet.name: packet for packet in (*READINGS, *ANSWERS)}
STREAMABLE: Final = frozenset(packet.name for packet in READINGS)
LONGEST_FRAME: Final = max(packet.layout.size for packet in PACKETS.values()) + OVERHEAD_BYTES
PACKET_OF_BYTE: Final = {int(name, 16): packet for name, packet in PACKETS.items()}

_FLOATS: Final = {
    packet.name: struct.Struct(f">{sum(field.code == 'f' for field in packet.fields)}f") for packet in PACKETS.values()
}
_SELECTORS: Final = range(4)


def floats_of(packet: Packet) -> struct.Struct:
    """Return the layout of the floats, which are the first fields of each packet."""
    return _FLOATS[packet.name]


def can_be(packet: Packet, payload: bytes) -> bool:
    """Return True if a unit can have sent a payload; this rejects most noise whose sum is right by chance.

    NaN is legal, for values that the unit does not have.
    """
    if any(abs(word) > LARGEST_FLOAT for word in floats_of(packet).unpack_from(payload)):
        return False
    if packet.name == "EA":
        return payload[0] in _SELECTORS and all(octet < 0x80 for octet in payload[1:])
    if packet.name == "C4":
        return payload[0] == 0 or payload[0] in PACKET_OF_BYTE
    return True
