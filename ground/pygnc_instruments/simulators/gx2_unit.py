"""Simulated 3DM-GX2, Inertia-Link or 3DM-GX3-25, and a simulated base station with such a node."""

import math
import struct
from collections import deque
from collections.abc import Callable
from typing import Final

from pygnc_devices.declaration import Value
from pygnc_devices.gx2.packets import PACKETS, STREAMABLE
from pygnc_instruments.simulators.unit import SimulatedUnit, motion

_COUNTS_PER_S: Final = 51_200
_TICKS_PER_COUNT: Final = 384
_GX3_HZ: Final = 62_500
_RATE, _STARTUP = 0xFCA2, 0xFCA6
_STORE_SAMPLING = 2
_LENGTHS: Final = {
    0x02: 3, 0xC4: 4, 0xC9: 15, 0xCA: 15, 0xCD: 5, 0xD0: 5, 0xDB: 20, 0xE4: 8, 0xE5: 4, 0xEA: 2, 0xFA: 1, 0xFB: 4,
}  # fmt: skip
_GUARDS: Final = {
    0xC4: b"\xc1\x29", 0xC9: b"\xb7\x44", 0xCA: b"\x12\xa5", 0xCD: b"\xc1\x29", 0xD0: b"\xc1\x29", 0xDB: b"\xa8\xb9",
    0xE4: b"\xc1\x29", 0xFB: b"\xc1\x29",
}  # fmt: skip


_GX3_GUARDS: Final = {0xFA: b"\x75\xb4", 0xFE: b"\x9e\x3a"}


class Gx2Simulator(SimulatedUnit):
    """Simulated 3DM-GX2, Inertia-Link or 3DM-GX3-25.

    Args:
        name: 3DM-GX2, Inertia-Link or 3DM-GX3-25.
        serial_number: serial number.
        eeprom: EEPROM words that differ from the defaults.
        ignored_starts: number of C4 commands after power-up that are acknowledged but not carried out.
        failing_writes: number of E4 commands after power-up that are acknowledged but not carried out.
    """

    _input_gap_s = 0.1
    _continuous: int
    _captured: bytes

    def __init__(
        self,
        name: str = "3DM-GX2",
        serial_number: str = "2143-01876",
        *,
        eeprom: dict[int, int] | None = None,
        ignored_starts: int = 0,
        failing_writes: int = 0,
    ) -> None:
        super().__init__()
        self.name = name
        self.serial_number = serial_number
        self.eeprom = {_RATE: 512, _STARTUP: 0} | (eeprom or {})
        self.gyro_bias = (0.0, 0.0, 0.0)
        self.accel_bias = (0.0, 0.0, 0.0)
        self.stored_biases: set[int] = set()
        self.test_bits = 0
        self.deafness = 0
        self.writes = 0
        self.is_gx3 = "GX3" in name
        self.stored_sampling = struct.pack(">HHBBHHB5x", 10, 3, 15, 17, 10, 10, 0)
        self._faults_after_boot = (ignored_starts, failing_writes)
        self._restart(0.0)

    def _take(self, now_s: float) -> bool:
        """Queue a command, recognised by its first byte and its fixed guard bytes, for the end of the cycle."""
        head = self._input[0]
        if self.is_gx3 and head in _GX3_GUARDS:
            length, guard = 3, _GX3_GUARDS[head]
        else:
            length, guard = _LENGTHS.get(head, 1), _GUARDS.get(head, b"")
        if len(self._input) < length:
            return False
        command = self._input[:length]
        if command[1 : 1 + len(guard)] != guard:
            self._input = self._input[1:]
            return True
        self._input = self._input[length:]
        if head == 0xFE and self.is_gx3:
            self.power_cycle(now_s)
        elif head == 0xFA:
            self.deafness = max(0, self.deafness - 1)
            self._continuous = self._continuous if self.deafness else 0
        elif head in {*_LENGTHS, 0xE9} or f"{head:02X}" in STREAMABLE:
            self._commands.append(command)
        return True

    def _tick_s(self) -> float:
        """Return the end of the current measurement cycle, s; output is sent then."""
        return self._boot_s + (self._cycles + 1) * self._cycle_s

    def _tick(self) -> bytes:
        self._cycles += 1
        at_s = self._cycles * self._cycle_s
        if self._boot_s + at_s < self._busy_until_s:
            return b""
        sent = _with_sum(b"\xcd" + self._timed(self._captured)) if self._captured else b""
        self._captured = b""
        if self._continuous:
            sent += self._reading(f"{self._continuous:02X}", at_s)
        if self._commands:
            sent += self._obey(self._commands.popleft(), at_s)
        return sent

    def _restart(self, now_s: float) -> None:
        self._boot_s, self._cycles, self._busy_until_s = now_s, 0, 0.0
        self._ignored_starts, self._failing_writes = self._faults_after_boot
        self._continuous = self.eeprom[_STARTUP] & 0xFF
        self._captured = b""
        self._commands: deque[bytes] = deque()
        self.sampling = self.stored_sampling
        self._set_rate()

    def ticks(self) -> int:
        """Return the timer in ticks, modulo 2^32."""
        ticks_per_cycle = self._cycle_s * _GX3_HZ if self.is_gx3 else self._divider * _TICKS_PER_COUNT
        return round(self._cycles * ticks_per_cycle) & 0xFFFFFFFF

    def _set_rate(self) -> None:
        self._divider = self.eeprom[_RATE]
        decimation = int.from_bytes(self.sampling[:2], "big")
        self._cycle_s = decimation / 1000 if self.is_gx3 else self._divider / _COUNTS_PER_S

    def _obey(self, command: bytes, at_s: float) -> bytes:
        kind = f"{command[0]:02X}"
        handlers: dict[str, Callable[[bytes], bytes]] = {
            "C4": self._set_continuous, "C9": self._set_bias, "CA": self._set_bias, "CD": self._capture,
            "D0": self._store, "DB": self._sample, "E4": self._write, "E5": self._read,
            "E9": lambda _: (2103).to_bytes(4, "big"), "EA": self._identify, "FB": self._test,
        }  # fmt: skip
        if kind in STREAMABLE and (kind != "DF" or self.is_gx3):
            return self._reading(kind, at_s)
        handler = handlers.get(kind)
        if handler is None or (kind == "DB" and not self.is_gx3):
            return b""
        payload = handler(command)
        return _with_sum(command[:1] + payload) if payload else b""

    def _reading(self, kind: str, at_s: float) -> bytes:
        payload = PACKETS[kind].encode(self.values(at_s))
        if self.name == "Inertia-Link" and kind in {"C7", "CB", "CC", "D2", "D3"}:
            at = {"C7": 0}.get(kind, 24)
            payload = payload[:at] + b"\xff\xc0\x00\x00" * 3 + payload[at + 12 :]
        return _with_sum(bytes.fromhex(kind) + payload)

    def values(self, t_s: float) -> dict[str, Value]:
        """Return the measurements at a time in seconds, by field name, in SI units and radians."""
        measured = motion(t_s)
        roll, pitch, yaw = (float(measured[f"{name}_rad"]) for name in ("roll", "pitch", "yaw"))
        for axis in ("x", "y", "z"):
            # At rest, the acceleration that this family reports points away from the Earth.
            measured[f"accel_{axis}_mps2"] = -float(measured[f"accel_{axis}_mps2"])
            measured[f"stabilized_accel_{axis}_mps2"] = measured[f"accel_{axis}_mps2"]
            measured[f"stabilized_mag_{axis}_t"] = measured[f"mag_{axis}_t"]
        for row, line in enumerate(_matrix(roll, pitch, yaw), 1):
            for column, element in enumerate(line, 1):
                measured[f"m{row}{column}"] = element
        raw: dict[str, Value] = {"raw_temperature_accel": 1030, "q0": 1.0}
        raw |= {f"raw_temperature_gyro_{axis}": 3103 for axis in ("x", "y", "z")}
        return measured | raw | {"timer_ticks": self.ticks()}

    def _timed(self, payload: bytes) -> bytes:
        return payload + self.ticks().to_bytes(4, "big")

    def _set_continuous(self, command: bytes) -> bytes:
        if self._ignored_starts and command[3]:
            self._ignored_starts -= 1
        elif not (command[3] == 0 and self.deafness):
            self._continuous = command[3]
        else:
            return b""
        return self._timed(command[3:4])

    def _set_bias(self, command: bytes) -> bytes:
        bias = struct.unpack(">3f", command[3:])
        if command[0] == 0xC9:
            self.accel_bias = bias
        else:
            self.gyro_bias = bias
        return self._timed(command[3:])

    def _capture(self, command: bytes) -> bytes:
        (ms,) = struct.unpack(">H", command[3:])
        self._busy_until_s = self._boot_s + self._cycles * self._cycle_s + ms / 1000
        self.gyro_bias = (0.001, -0.002, 0.003)
        self._captured = struct.pack(">3f", *self.gyro_bias)
        return b""

    def _store(self, command: bytes) -> bytes:
        (quantity,) = struct.unpack(">H", command[3:])
        is_known = quantity in {1, 2}
        if is_known:
            self.stored_biases.add(quantity)
        return self._timed(command[3:5] if is_known else b"\xff\xff")

    def _sample(self, command: bytes) -> bytes:
        if command[3]:
            self.sampling = command[4:]
            if command[3] == _STORE_SAMPLING:
                self.stored_sampling = self.sampling
            self._boot_s += self._cycles * self._cycle_s
            self._cycles = 0
            self._set_rate()
        return self.sampling

    def _write(self, command: bytes) -> bytes:
        address, word = struct.unpack(">HH", command[4:])
        self.writes += 1
        if self._failing_writes:
            self._failing_writes -= 1
        else:
            self.eeprom[address] = word
        return command[6:]

    def _read(self, command: bytes) -> bytes:
        return self.eeprom.get(int.from_bytes(command[2:], "big"), 0xFFFF).to_bytes(2, "big")

    def _identify(self, command: bytes) -> bytes:
        texts = ("2143-0500", self.serial_number, self.name, "5g 300d/s")
        return command[1:] + texts[command[1] & 3].rjust(16).encode()

    def _test(self, command: bytes) -> bytes:
        self.test_bits = command[3]
        return command[3:]


def _with_sum(body: bytes) -> bytes:
    return body + (sum(body) & 0xFFFF).to_bytes(2, "big")


def _matrix(roll: float, pitch: float, yaw: float) -> list[list[float]]:
    """Return the rotation matrix from north-east-down to the body axes (3-2-1 Euler angles, rad)."""
    cr, sr, cp, sp = math.cos(roll), math.sin(roll), math.cos(pitch), math.sin(pitch)
    cy, sy = math.cos(yaw), math.sin(yaw)
    return [
        [cp * cy, cp * sy, -sp],
        [sr * sp * cy - cr * sy, sr * sp * sy + cr * cy, sr * cp],
        [cr * sp * cy + sr * sy, cr * sp * sy - sr * cy, cr * cp],
    ]


class Gx2BaseStation(SimulatedUnit):
    """Simulated base station with one wireless node."""

    def __init__(self, unit: Gx2Simulator, node: int = 76) -> None:
        super().__init__()
        self.unit = unit
        self.node = node

    def _take(self, now_s: float) -> bool:
        """Carry out a wrapped command, or a ping of the node."""
        head, size = self._input[:3], len(self._input)
        if head[0] not in {0x02, 0xAA}:
            self._input = self._input[1:]
            return True
        if size < 3 or (head[0] == 0xAA and size < 6):
            return False
        if head[0] == 0x02:
            self._send(b"\x02" if int.from_bytes(head[1:], "big") == self.node else b"\x21", now_s)
            self._input = self._input[3:]
            return True
        return self._take_wrapped(now_s)

    def _take_wrapped(self, now_s: float) -> bool:
        end = 6 + self._input[5] + 2
        body, total = self._input[1 : end - 2], self._input[end - 2 : end]
        is_wrapped = body.startswith(b"\x0b\x00")
        if is_wrapped and len(self._input) < end:
            return False
        if not is_wrapped or (sum(body) & 0xFFFF).to_bytes(2, "big") != total:
            self._input = self._input[1:]
            return True
        self._input = self._input[end:]
        is_mine = int.from_bytes(body[2:4], "big") == self.node
        self._send(b"\xaa" if is_mine else b"\x21", now_s)
        if is_mine:
            self.unit.receive(body[6:], now_s)
        return True

    def _tick_s(self) -> float:
        return self.unit.next_s()

    def _tick(self) -> bytes:
        sent, responses = b"", self.unit.run(self.unit.next_s())
        while responses:
            length = PACKETS[f"{responses[0]:02X}"].layout.size + 3
            data, responses = responses[: length - 2], responses[length:]
            body = b"\x07\x00" + self.node.to_bytes(2, "big") + bytes([len(data) + 1, 0]) + data
            sent += b"\xaa" + body + b"\x26\xd4" + (sum(body) & 0xFFFF).to_bytes(2, "big")
        return sent

    def _restart(self, now_s: float) -> None:
        self.unit.power_cycle(now_s)
