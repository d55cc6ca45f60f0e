"""Frame of the monoDrive IMU, and the headers of the versions of the simulator.

Frame: C2, acceleration (3 floats), angular rate (3 floats), timer, sum of the bytes before it (0: none), time of week;
35 bytes, in either byte order. Header: length of header and frame, time stamp, game time, and since June 2020 a count
of samples; without the length in datagrams. Source: monoDrive's client (documentation and both Python generations).
"""

from dataclasses import replace
from typing import Final, Literal, TypeAlias

import msgspec

from pygnc_devices.declaration import Packet, axes, word
from pygnc_devices.units import ACCELERATION, RATE, STANDARD_GRAVITY_MPS2, TICKS

AccelUnit: TypeAlias = Literal["g", "m/s2", "cm/s2"]

START: Final = 0xC2
FRAME_BYTES: Final = 35
TIMER_HZ: Final = 19_660_800
MPS2_PER_UNIT: Final[dict[AccelUnit, float]] = {"g": STANDARD_GRAVITY_MPS2, "m/s2": 1.0, "cm/s2": 0.01}
HEADERS: Final = {12: "IIf", 16: "IIfI"}
"""Struct codes by length in bytes: length, time stamp, game time, count of samples."""
LONGEST: Final = max(HEADERS) + FRAME_BYTES


class Layout(msgspec.Struct, frozen=True):
    """Layout of a simulator's frames, as far as the simulator does not report it.

    Attributes:
        byte_order: byte order of frame and header; `auto`: determined from the frames.
        checksum: treatment of frames with a wrong checksum: ignore it, log a warning, or drop the frame.
        accel_unit: unit of the acceleration on the wire.
    """

    byte_order: Literal["auto", ">", "<"] = "auto"
    checksum: Literal["off", "warn", "drop"] = "drop"
    accel_unit: AccelUnit = "g"


IMU: Final = Packet(
    "IMU",
    (
        word("time_stamp_ms", "I", "milliseconds since Sunday, of the simulator's computer"),
        word("game_time", "f", "time in the game: ms in old simulators, s in newer simulators"),
        word("sample_count", "I", "number of samples so far; missing in old simulators"),
        *axes("accel", ACCELERATION, "mps2", STANDARD_GRAVITY_MPS2, "acceleration", "Accel"),
        *axes("rate", RATE, "rad_s", None, "angular rate", "Rate"),
        word("timer_ticks", "I", "clock of the simulated unit, 19660800 per second, wraps", TICKS),
        word("checksum", "H", "sum of the bytes before it; 0: none"),
        word("time_of_week_ms", "i", "GPS time of week"),
    ),
    meaning="acceleration, angular rate, time of week",
    clock="timer_ticks",
)


def imu_packet(unit: AccelUnit) -> Packet:
    """Return the declaration for a unit of acceleration on the wire."""
    scale = MPS2_PER_UNIT[unit]
    fields = (replace(field, scale=scale) if field.name.startswith("accel") else field for field in IMU.fields)
    return replace(IMU, fields=tuple(fields))
