"""Simulated PMS5003 particle counter: active and passive mode, sleep, faults."""

import math
from dataclasses import dataclass
from random import Random
from typing import Final

from pygnc_devices.declaration import Value
from pygnc_devices.pms5003.packets import COUNT_NAMES, FACTORY_PM_NAMES, MEASUREMENT, PM_NAMES
from pygnc_instruments.simulators.unit import SimulatedUnit

_COMMAND_BYTES: Final = 7
_START: Final = b"BM"
_RESPONSE_S: Final = 0.01
_MASS_SHARES: Final = (0.65, 1.0, 1.15)
_PER_UG_M3: Final = (1.7, 0.5, 0.09, 0.008, 0.002, 0.0006)
"""Particles per cm³ larger than each size, per µg/m³ of PM2.5."""
_VERSION: Final = 0x97


@dataclass
class PmsFaults:
    """Faults of a simulated sensor.

    Attributes:
        error_code: error code in its measurements.
        dead_laser: True if the laser emits no light: nothing is counted.
        is_inverted: True if the order of its counts is reversed.
        is_mute: True if commands are not acknowledged, as some versions of the firmware do.
    """

    error_code: int = 0
    dead_laser: bool = False
    is_inverted: bool = False
    is_mute: bool = False


class PmsSimulator(SimulatedUnit):
    """Simulated sensor.

    Args:
        period_s: interval at which it sends by itself, s.
        mean_ug_m3: mean concentration of PM2.5 in the atmosphere.
        faults: faults of the sensor.
        seed: seed of the noise.
    """

    _input_gap_s = 0.5

    def __init__(
        self,
        *,
        period_s: float = 0.9,
        mean_ug_m3: float = 12.0,
        faults: PmsFaults | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.baud = 9600
        self.mean_ug_m3 = mean_ug_m3
        self.faults = faults or PmsFaults()
        self.commands: list[tuple[int, int]] = []
        self._period_s = period_s
        self._random = Random(seed)  # noqa: S311 - particles, no secrets
        self._restart(0.0)

    def _restart(self, now_s: float) -> None:
        self.is_active, self.is_asleep = True, False
        self._next_s = now_s

    def _tick_s(self) -> float:
        return self._next_s if self.is_active and not self.is_asleep else math.inf

    def _tick(self) -> bytes:
        now_s = self._next_s
        self._next_s += self._period_s
        return self.frame(now_s)

    def frame(self, t_s: float) -> bytes:
        """Return the frame of a measurement at a time in seconds."""
        mass = max(0.0, self.mean_ug_m3 * (1.0 + 0.3 * math.sin(t_s / 600.0)) + self._random.gauss(0.0, 0.5))
        values: dict[str, Value | None] = {"version": _VERSION, "error_code": self.faults.error_code}
        values |= dict(zip(PM_NAMES, (mass * share for share in _MASS_SHARES), strict=True))
        values |= dict(zip(FACTORY_PM_NAMES, (1.2 * mass * share for share in _MASS_SHARES), strict=True))
        counts = [0.0 if self.faults.dead_laser else mass * share for share in _PER_UG_M3]
        values |= dict(zip(COUNT_NAMES, counts[::-1] if self.faults.is_inverted else counts, strict=True))
        return _sealed(_START + b"\x00\x1c" + MEASUREMENT.encode(values))

    def _take(self, now_s: float) -> bool:
        """Carry out a command; bytes that are no command are dropped singly."""
        at = self._input.find(_START)
        self._input = self._input[at if at >= 0 else -1 :] if at else self._input
        command = self._input[:_COMMAND_BYTES]
        if len(command) < _COMMAND_BYTES:
            return False
        if _sealed(command[:-2]) != command:
            self._input = self._input[1:]
            return True
        self._input = self._input[_COMMAND_BYTES:]
        self._carry_out(command[2], command[4], now_s)
        return True

    def _carry_out(self, command: int, data: int, now_s: float) -> None:
        self.commands.append((command, data))
        if command == 0xE4:
            was_asleep, self.is_asleep = self.is_asleep, not data
            if was_asleep and data:  # it wakes in active mode and sends no acknowledgement
                self._restart(now_s)
                return
        elif self.is_asleep:
            return
        elif command == 0xE2:
            self._send(self.frame(now_s), now_s + _RESPONSE_S)
            return
        elif command == 0xE1:
            self.is_active = bool(data)
            self._next_s = now_s + self._period_s
        else:
            return
        if not self.faults.is_mute:
            self._send(_sealed(_START + bytes([0, 4, command, data])), now_s + _RESPONSE_S)


def _sealed(octets: bytes) -> bytes:
    """Append the sum of all bytes."""
    return octets + sum(octets).to_bytes(2, "big")
