"""Base class of simulated units, and the motion that simulated IMUs measure."""

import heapq
import itertools
import math
from abc import ABC, abstractmethod

from pygnc_devices.declaration import Value
from pygnc_devices.units import STANDARD_GRAVITY_MPS2

_YAW_RATE_RAD_S = 0.5
_TILT_RAD = 0.1


class SimulatedUnit(ABC):
    """Base class of simulated units: bytes in, bytes out, in simulated time, without a port, a thread or a clock.

    Attributes:
        baud: current baud rate, bits per second.
    """

    baud = 115200
    _input_gap_s = math.inf
    """Time without input after which an incomplete command is dropped."""

    def __init__(self) -> None:
        self._input = b""
        self._input_s = 0.0
        self._sending: list[tuple[float, int, bytes]] = []
        self._numbers = itertools.count()

    def receive(self, octets: bytes, now_s: float) -> None:
        """Receive bytes from the driver at a time in seconds."""
        if now_s - self._input_s > self._input_gap_s:
            self._input = b""
        self._input, self._input_s = self._input + octets, now_s
        while self._input and self._take(now_s):
            pass

    def run(self, now_s: float) -> bytes:
        """Return the bytes that the unit has sent since the previous call and up to `now_s`."""
        sent = []
        while min(queued_s := self._queued_s(), tick_s := self._tick_s()) <= now_s:
            sent.append(heapq.heappop(self._sending)[2] if queued_s <= tick_s else self._tick())
        return b"".join(sent)

    def next_s(self) -> float:
        """Return the time by which `run` has to be called again, s; infinity if nothing is due."""
        return min(self._queued_s(), self._tick_s())

    def power_cycle(self, now_s: float) -> None:
        """Restart with the settings in non-volatile memory; discard input and pending output."""
        self._input = b""
        self._sending.clear()
        self._restart(now_s)

    def _send(self, octets: bytes, at_s: float) -> None:
        heapq.heappush(self._sending, (at_s, next(self._numbers), octets))

    def _queued_s(self) -> float:
        return self._sending[0][0] if self._sending else math.inf

    @abstractmethod
    def _restart(self, now_s: float) -> None: ...

    def _take(self, now_s: float) -> bool:  # noqa: ARG002 - the time is for units with commands
        """Carry out the first command in the input and remove it; return False if it is incomplete."""
        self._input = b""
        return False

    def _tick_s(self) -> float:
        """Return the time of the next periodic output."""
        return math.inf

    def _tick(self) -> bytes:
        """Return the periodic output that is due; units without periodic output have none."""
        return b""


def motion(t_s: float) -> dict[str, Value]:
    """Return the values that an IMU measures `t_s` seconds into a known motion, by field name, in SI units and radians.

    The body rotates about its vertical axis at 0.5 rad/s and wobbles by 0.1 rad.
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
