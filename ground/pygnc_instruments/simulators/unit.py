"""Interface of simulated units, and the motion that simulated IMUs measure."""

import math
from typing import Protocol

from pygnc_devices.declaration import Value
from pygnc_devices.units import STANDARD_GRAVITY_MPS2

_YAW_RATE_RAD_S = 0.5
_TILT_RAD = 0.1


class SimulatedUnit(Protocol):
    """A simulated unit: bytes in, bytes out, in simulated time. It owns no port, no thread and no clock.

    Attributes:
        baud: current baud rate.
    """

    baud: int

    def receive(self, octets: bytes, now_s: float) -> None:
        """Receive bytes from the driver."""
        ...

    def run(self, now_s: float) -> bytes:
        """Return the bytes sent up to now."""
        ...

    def next_s(self) -> float:
        """Return the time of the next output at the latest; infinity if the unit only answers."""
        ...

    def power_cycle(self, now_s: float) -> None:
        """Restart with the settings in non-volatile memory."""
        ...


def motion(t_s: float) -> dict[str, Value]:
    """Return the measurements of a slow, known motion by field name, in SI units and radians.

    The body rotates about its vertical axis and wobbles by 0.1 rad.
    """
    phase = _YAW_RATE_RAD_S * t_s
    roll, pitch = _TILT_RAD * math.sin(phase), _TILT_RAD * math.cos(phase)
    values: dict[str, Value] = {
        "roll_rad": roll,
        "pitch_rad": pitch,
        "yaw_rad": math.remainder(phase, 2.0 * math.pi),
        "accel_x_mps2": -STANDARD_GRAVITY_MPS2 * math.sin(pitch),
        "accel_y_mps2": STANDARD_GRAVITY_MPS2 * math.sin(roll) * math.cos(pitch),
        "accel_z_mps2": STANDARD_GRAVITY_MPS2 * math.cos(roll) * math.cos(pitch),
        "rate_x_rad_s": _TILT_RAD * _YAW_RATE_RAD_S * math.cos(phase),
        "rate_y_rad_s": -_TILT_RAD * _YAW_RATE_RAD_S * math.sin(phase),
        "rate_z_rad_s": _YAW_RATE_RAD_S,
        "mag_x_t": 2.0e-5 * math.cos(phase),
        "mag_y_t": -2.0e-5 * math.sin(phase),
        "mag_z_t": 4.5e-5,
        "velocity_north_mps": 1.5,
        "velocity_east_mps": -2.5,
        "velocity_down_mps": 0.25,
        "longitude_rad": -2.13,
        "latitude_rad": 0.65,
        "altitude_m": 12.0,
    }
    for name in ("x", "y", "z", "board"):
        values[f"temperature_{name}_degc"] = 31.0
    values["temperature_degc"] = 31.0
    return values
