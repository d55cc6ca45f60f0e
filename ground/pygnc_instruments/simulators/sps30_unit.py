"""Simulated SPS30 particle counter: SHDLC, measurement, sleep, fan cleaning, status register, faults."""

import math
import struct
from dataclasses import dataclass
from random import Random
from typing import Final

from pygnc_instruments.simulators.unit import SimulatedUnit

_FLAG: Final = 0x7E
_SPECIAL: Final = {0x7E, 0x7D, 0x11, 0x13}
_RESPONSE_S: Final = 0.005
_LONGEST: Final = 600
_MASS_SHARES: Final = (0.93, 1.0, 1.03, 1.05)
_PER_UG_M3: Final = (5.9, 6.9, 7.0, 7.0, 7.01)
"""Particles per cm³ up to each size, per µg/m³ of PM2.5."""
_TYPICAL_UM: Final = 0.5
_DEVICE_ERROR: Final = 0x80
_WRONG_LENGTH, _UNKNOWN, _ILLEGAL, _NOT_NOW = 0x01, 0x02, 0x04, 0x43
_ONLY_IDLE: Final = {0x00, 0x10}
_ONLY_MEASURING: Final = {0x01, 0x03, 0x56}
_TEXTS: Final = {0x00: "00080000", 0x03: "8FB3A2C4D5E6F701"}
_LENGTHS: Final = {
    0x00: (2,), 0x01: (0,), 0x03: (0,), 0x10: (0,), 0x11: (0,), 0x56: (0,), 0x80: (1, 5), 0xD0: (1,), 0xD1: (0,),
    0xD2: (1,), 0xD3: (0,),
}  # fmt: skip
"""Lengths of the data of the commands."""


@dataclass
class SpsFaults:
    """Faults of a simulated sensor.

    Attributes:
        status: bits in its status register.
        dead_laser: True if the laser emits no light: nothing is counted.
        is_not_a_number: True if its values are not numbers.
        is_old: True if its firmware is 1.0: it has no sleep, no whole numbers and no status register.
    """

    status: int = 0
    dead_laser: bool = False
    is_not_a_number: bool = False
    is_old: bool = False


class Sps30Simulator(SimulatedUnit):
    """Simulated sensor.

    Args:
        period_s: interval of its measurements, s.
        mean_ug_m3: mean concentration of PM2.5.
        is_measuring: True if it measures as soon as it has power, which real sensors do not.
        faults: faults of the sensor.
        seed: seed of the noise.
    """

    def __init__(
        self,
        *,
        period_s: float = 1.0,
        mean_ug_m3: float = 12.0,
        is_measuring: bool = False,
        faults: SpsFaults | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.mean_ug_m3 = mean_ug_m3
        self.faults = faults or SpsFaults()
        self.auto_cleaning_s = 604_800
        self.commands: list[tuple[int, bytes]] = []
        self._period_s = period_s
        self._starts_measuring = is_measuring
        self._random = Random(seed)  # noqa: S311 - particles, no secrets
        self._restart(0.0)

    def _restart(self, now_s: float) -> None:
        self.is_measuring, self.is_asleep, self._is_interface_on = self._starts_measuring, False, True
        self._is_integer = False
        self._next_s = now_s + self._period_s

    def _take(self, now_s: float) -> bool:
        """Carry out the first command; what is between two flags and is no command is dropped."""
        begin = self._input.find(_FLAG)
        end = self._input.find(_FLAG, begin + 1) if begin >= 0 else -1
        if end < 0:
            self._input = self._input[max(begin, 0) :][-_LONGEST:] if begin >= 0 else b""
            return False
        content = _unstuffed(self._input[begin + 1 : end])
        if len(content) < 4 or len(content) != 4 + content[2] or content[0] or _check(content[:-1]) != content[-1]:
            self._input = self._input[end:]
            return len(self._input) > 1
        self._input = self._input[end + 1 :]
        if self.is_asleep and not self._is_interface_on:
            self._is_interface_on = True  # any byte is a pulse on the line
            return True
        self._respond(content[1], content[3:-1], now_s)
        return True

    def _respond(self, command: int, data: bytes, now_s: float) -> None:
        if self.is_asleep and command != 0x11:
            return
        self.commands.append((command, data))
        if command not in _LENGTHS or (self.faults.is_old and command in {0x10, 0x11, 0xD2}):
            found: bytes | int = _UNKNOWN
        elif len(data) not in _LENGTHS[command]:
            found = _WRONG_LENGTH
        else:
            found = self._carry_out(command, data, now_s)
        state, answer = (found, b"") if isinstance(found, int) else (0, found)
        if self.faults.status:
            state |= _DEVICE_ERROR
        self._send(response(command, state, answer), now_s + _RESPONSE_S)

    def _carry_out(self, command: int, data: bytes, now_s: float) -> bytes | int:
        """Return the data of the response, or the code of an error."""
        answer: bytes | int
        if (self.is_measuring and command in _ONLY_IDLE) or (not self.is_measuring and command in _ONLY_MEASURING):
            return _NOT_NOW
        match command:
            case 0x00:
                answer = self._start(data, now_s)
            case 0x03:
                answer = self._measurement(now_s)
            case 0x80:
                answer = self._auto_cleaning(data[1:])
            case 0xD0:
                answer = _TEXTS[data[0]].encode() + b"\0" if data[0] in _TEXTS else _ILLEGAL
            case 0xD1:
                answer = bytes([*((1, 0) if self.faults.is_old else (2, 3)), 0, 7, 0, 2, 0])
            case 0xD2:
                answer = self.faults.status.to_bytes(4, "big") + b"\0"
                self.faults.status = 0 if data[0] else self.faults.status
            case _:
                self._switch(command)
                answer = b""
        return answer

    def _switch(self, command: int) -> None:
        if command in {0x01, 0xD3}:
            self.is_measuring = False
        elif command in {0x10, 0x11}:
            self.is_asleep, self._is_interface_on = command == 0x10, command == 0x11

    def _auto_cleaning(self, written: bytes) -> bytes:
        if written:
            self.auto_cleaning_s = int.from_bytes(written, "big")
        return b"" if written else self.auto_cleaning_s.to_bytes(4, "big")

    def _start(self, data: bytes, now_s: float) -> bytes | int:
        if data not in {b"\x01\x03", b"\x01\x05"} or (self.faults.is_old and data[1] == 5):
            return _ILLEGAL
        self.is_measuring, self._is_integer = True, data[1] == 5
        self._next_s = now_s + self._period_s
        return b""

    def _measurement(self, now_s: float) -> bytes:
        if now_s < self._next_s:
            return b""
        self._next_s = max(self._next_s + self._period_s, now_s)
        mass = max(0.01, self.mean_ug_m3 * (1.0 + 0.3 * math.sin(now_s / 600.0)) + self._random.gauss(0.0, 0.2))
        values = [mass * share for share in (*_MASS_SHARES, *_PER_UG_M3)]
        size_um = _TYPICAL_UM
        if self.faults.dead_laser:
            values, size_um = [0.0] * len(values), 0.0
        if self.faults.is_not_a_number:
            values[0] = math.nan
        if self._is_integer:
            return struct.pack(">10H", *(min(round(value), 0xFFFF) for value in values), round(1000 * size_um))
        return struct.pack(">10f", *values, size_um)


def response(command: int, state: int, data: bytes) -> bytes:
    """Return the frame of a response."""
    content = bytes([0, command, state, len(data)]) + data
    stuffed = bytearray([_FLAG])
    for octet in content + bytes([_check(content)]):
        stuffed += bytes([0x7D, octet ^ 0x20] if octet in _SPECIAL else [octet])
    return bytes(stuffed) + bytes([_FLAG])


def _unstuffed(octets: bytes) -> bytes:
    found, is_escaped = bytearray(), False
    for octet in octets:
        if octet == 0x7D:
            is_escaped = True
        else:
            found.append(octet ^ 0x20 if is_escaped else octet)
            is_escaped = False
    return bytes(found)


def _check(octets: bytes) -> int:
    """Return the lowest byte of the inverted sum."""
    return 0xFF - sum(octets) % 256
