"""Simulated Emus G1 Control Unit with a battery: broadcasts, responses, logs, parameters, password and faults."""

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from pygnc_devices.declaration import Value
from pygnc_devices.emus.sentences import CELLS_PER_FRAME, EPOCH_S, SENTENCES
from pygnc_instruments.simulators.unit import SimulatedUnit

_PERIOD_S: Final = 600.0
_VALID: Final = 0x2F
_CONTACTOR_AND_MAINS: Final = 1 << 11 | 1 << 4
BROADCAST: Final = ("BT1", "BV1", "BC1", "CV1", "BB1", "BT3", "ST1", "IN1", "OT1", "DT1")
_EMPTY_FIELDS: Final = {"BV1": 6, "BV2": 4, "BT1": 5, "BT2": 4, "BT3": 5, "BT4": 4, "BB1": 6, "BB2": 4}
_FURTHER_FIELDS: Final = {
    "BV1": ",",
    "BT1": ",",
    "BT3": ",",
    "CV1": ",01FF,01FD,01FA,03FC,09DA,66CF,0000,0000",
    "IN1": ",,,",
    "OT1": ",",
}
"""Further fields that real units send after the fields of the tables."""
_RESPONSE_S: Final = 0.01
_FRAME_GAP_S: Final = 0.005
"""Time between two sentences."""
_LARGEST_INPUT: Final = 512
_START_OF_CLOCK_S: Final = 1_763_742_000


@dataclass
class Battery:
    """Simulated battery: cells, current and charge as functions of time.

    Attributes:
        cells: number of cells per string.
        strings: number of parallel strings.
        capacity_c: capacity, C.
        state_of_charge: state of charge, 0 to 1.
        current_offset_a: error of the current sensor, A.
    """

    cells: int = 16
    strings: int = 1
    capacity_c: int = 360_000
    state_of_charge: float = 0.79
    current_offset_a: float = 0.3

    def current_a(self, t_s: float) -> float:
        """Return the measured current at a time in seconds, A; positive when charging."""
        return 10.0 * math.sin(2 * math.pi * t_s / _PERIOD_S) + self.current_offset_a

    def element(self, name: str, string: int, number: int, t_s: float) -> float:
        """Return the value of a cell in sentence `name`: V (BV2), percent (BB2) or degC (others)."""
        spread = ((7 * number + 3 * string) % 5 - 2) / 100
        if name == "BV2":
            return round(3.20 + 0.25 * self.state_of_charge + 0.001 * self.current_a(t_s) + spread, 2)
        if name == "BB2":
            return 100 / 255 * (64 if spread > 0.015 else 0)
        return round((22 if name == "BT4" else 25) + 100 * spread)

    def groups(self, name: str, t_s: float) -> Iterator[dict[str, Value | None]]:
        """Yield the values of each sentence of a kind that lists cells."""
        kind = {"BV2": "voltage_{}_v", "BB2": "rate_{}_percent"}.get(name, "temperature_{}_degc")
        for string in range(self.strings):
            for first in range(0, self.cells, CELLS_PER_FRAME):
                numbers = range(first, min(first + CELLS_PER_FRAME, self.cells))
                cells = {kind.format(k): self.element(name, string, number, t_s) for k, number in enumerate(numbers, 1)}
                yield {"string": string, "first_cell": first, "size": len(numbers), **cells}

    def values(self, name: str, t_s: float) -> dict[str, Value]:
        """Return the values of a sentence that does not list cells, by field name."""
        if name in {"BV1", "BT1", "BT3", "BB1"}:
            return self._summary(name, t_s)
        others: dict[str, dict[str, Value]] = {
            "BC1": {
                "charge_c": round(self.capacity_c * self.state_of_charge),
                "capacity_c": self.capacity_c,
                "state_of_charge_percent": 100 * self.state_of_charge,
            },
            "CV1": {"pack_v": self._pack_v(t_s), "current_a": self.current_a(t_s)},
            "ST1": {
                "charging_stage": 0,
                "charging_error": 0,
                "charging_error_parameter": 0,
                "stage_s": int(t_s),
                "status": _VALID,
                "protections": 0,
                "reductions": 0,
                "pins": _CONTACTOR_AND_MAINS,
            },
            "CS1": {
                "chargers": 1,
                "charger_status": 0,
                "set_v": 58.4,
                "set_a": 20.0,
                "actual_v": 56.1,
                "actual_a": 19.8,
            },
            "VR1": {"hardware": "G1", "serial_number": "00001234", "firmware": "2.4.0"},
            "TD1": {"year": 26, "month": 11, "day": 20, "hour": 23, "minute": 5, "second": 59, "uptime_s": int(t_s)},
            "IN1": {"inputs": 0x10},
            "OT1": {"charger": 0, "outputs": 0},
            "CG1": {"current_sensor_status": 1, "group_1_cells": self.cells, "group_1_status": 1},
            "RS2": {"reset_1_t_local_s": 1_763_742_000, "reset_1_causes": 1},
        }
        return others.get(name, {})

    def _summary(self, name: str, t_s: float) -> dict[str, Value]:
        of_cells = {"BV1": "BV2", "BT1": "BT2", "BT3": "BT4", "BB1": "BB2"}[name]
        elements = [
            self.element(of_cells, string, number, t_s)
            for string in range(self.strings)
            for number in range(self.cells)
        ]
        low, high, mean = min(elements), max(elements), sum(elements) / len(elements)
        names = {"BV1": "cell_{}_v", "BB1": "rate_{}_percent"}.get(name, "temperature_{}_degc")
        summary: dict[str, Value] = {
            "cells": len(elements),
            names.format("min"): low,
            names.format("max"): high,
            names.format("average"): mean,
        }
        if name == "BV1":
            summary["pack_v"] = self._pack_v(t_s)
        if name == "BB1":
            summary["threshold_v"] = 3.45
        return summary

    def _pack_v(self, t_s: float) -> float:
        return sum(self.element("BV2", 0, number, t_s) for number in range(self.cells))


@dataclass(frozen=True, slots=True)
class EmusFaults:
    """Faults of a unit.

    Attributes:
        has_no_cells: True if the unit does not reach its cells; it sends empty fields after `no_cells_s`.
        no_cells_s: time from a request until the unit sends empty fields, s.
        lost_frames: number of sentences about cells that are lost, counted from the first.
        is_unordered: True if sentences about cells are sent in reverse order.
        has_empty_lines: True if lines of NUL and LF are sent between sentences.
        has_further_fields: True if every sentence has two more fields than the tables.
        unknown: name and text of an additional sentence in each broadcast.
        can_frames: number of forwarded CAN frames in each broadcast.
        forgets_writes: True if new parameters are lost.
    """

    has_no_cells: bool = False
    no_cells_s: float = 5.0
    lost_frames: int = 0
    is_unordered: bool = False
    has_empty_lines: bool = False
    has_further_fields: bool = False
    unknown: tuple[str, str] | None = None
    can_frames: int = 0
    forgets_writes: bool = False


class EmusSimulator(SimulatedUnit):
    """Simulated Control Unit.

    Args:
        battery: the battery.
        broadcast_s: interval of the broadcasts, s; infinity for none.
        faults: faults of the unit.
        password: password for RS1 and FD1; "" for none.
    """

    def __init__(
        self,
        battery: Battery | None = None,
        *,
        broadcast_s: float = 1.0,
        faults: EmusFaults | None = None,
        password: str = "",
    ) -> None:
        super().__init__()
        self.baud = 57600
        self.battery = battery or Battery()
        self.faults = faults or EmusFaults()
        self.parameters = {"1600": 0x00000001}
        self.password = password
        self.log = [(22, 10), (26, 12), (28, 3600)]
        self.statistics = {0: 1234, 10: 0x55, 12: 0x10, 18: 7}
        self.commands: list[str] = []
        self._broadcast_s = broadcast_s
        self._lost_frames = self.faults.lost_frames
        self._restart(0.0)
        self._handlers: dict[str, Callable[[str], list[str]]] = {
            "LG1": self._log,
            "SS1": self._statistics,
            "CF2": self._parameter,
            "PW1": self._log_in,
            "PW2": self._set_password,
            "SC1": self._set_state_of_charge,
            "RC1": self._reset_current,
            "RS1": self._reset,
            "FD1": self._restore_defaults,
        }

    def _take(self, now_s: float) -> bool:
        """Respond to a line that ends with CR or LF; lines with a wrong checksum are ignored."""
        line, end, rest = self._input.replace(b"\r", b"\n").partition(b"\n")
        if not end:
            self._input = self._input[-_LARGEST_INPUT:]
            return False
        self._input = rest
        body, _, digits = line.rpartition(b",")
        if len(body) >= 4 and body[3:4] == b"," and digits == b"%02X" % _checksum(body + b","):
            with contextlib.suppress(ValueError):  # one of 256 damaged requests has a valid checksum
                self._respond(body[:3].decode("ascii"), body[4:].decode("ascii"), now_s)
        return True

    def _restart(self, now_s: float) -> None:
        self.is_logged_in = not self.password
        self._next_broadcast_s = now_s if math.isfinite(self._broadcast_s) else math.inf

    def _tick_s(self) -> float:
        return self._next_broadcast_s

    def sentence(self, name: str, text: str) -> bytes:
        """Return a sentence with its checksum."""
        further = ",7,x" if self.faults.has_further_fields else ""
        body = f"{name},{text}{further},".encode("latin-1")
        return body + b"%02X\r\n" % _checksum(body)

    def _tick(self) -> bytes:
        now_s = self._next_broadcast_s
        self._next_broadcast_s += self._broadcast_s
        for number, name in enumerate(BROADCAST):
            self._send(self.sentence(name, self._text(name, now_s)), now_s + number * _FRAME_GAP_S)
        if self.faults.unknown is not None:
            self._send(self.sentence(*self.faults.unknown), now_s)
        for number in range(self.faults.can_frames):
            self._send(self.sentence("CN1", f"{0x9B60000 + number:08X},1,0,8,{number:016X}"), now_s)
        if self.faults.has_empty_lines:
            self._send(b"\0\n", now_s)
        return b""

    def _respond(self, name: str, text: str, now_s: float) -> None:
        self.commands.append(f"{name},{text}")
        is_delayed = self.faults.has_no_cells and name in _EMPTY_FIELDS
        at_s = now_s + (self.faults.no_cells_s if is_delayed else _RESPONSE_S)
        if name in self._handlers:
            texts = self._handlers[name](text)
        elif text != "?":
            return
        elif name in {"BV2", "BT2", "BT4", "BB2"}:
            texts = self._cells(name, now_s)
        elif name in SENTENCES:
            texts = [self._text(name, now_s)]
        else:
            return
        for number, entry in enumerate(texts):
            self._send(self.sentence(name, entry), at_s + number * _FRAME_GAP_S)

    def _text(self, name: str, now_s: float) -> str:
        if self.faults.has_no_cells and name in _EMPTY_FIELDS:
            return "," * (_EMPTY_FIELDS[name] - 1)
        values: dict[str, Value | None] = {**self.battery.values(name, now_s)}
        if name == "ST1" and self.faults.has_no_cells:
            values |= {"status": 0, "protections": 1 << 6}
        return SENTENCES[name].encode(values).decode("ascii") + _FURTHER_FIELDS.get(name, "")

    def _cells(self, name: str, now_s: float) -> list[str]:
        if self.faults.has_no_cells:
            return ["," * (_EMPTY_FIELDS[name] - 1)]
        texts = [SENTENCES[name].encode(values).decode("ascii") for values in self.battery.groups(name, now_s)]
        if self.faults.is_unordered:
            texts.reverse()
        lost = min(self._lost_frames, len(texts))
        self._lost_frames -= lost
        return texts[lost:]

    def _log(self, text: str) -> list[str]:
        if text in {"c", "C"}:
            self.log.clear()
            return [""]
        return [f"{k:02X},{event:02X},,{_since_2000(t_s):08X}" for k, (event, t_s) in enumerate(self.log)] or [",,,"]

    def _statistics(self, text: str) -> list[str]:
        if text == "c":
            self.statistics.clear()
            return [""]
        numbers = list(self.statistics) if text == "?" else [int(text, 16)]
        return [f"{k:02X},{self.statistics.get(k, 0):X},0003,{_since_2000(60):08X}" for k in numbers] or [",,,"]

    def _parameter(self, text: str) -> list[str]:
        number, data = text.split(",", 1)
        if data not in {"?", ""} and not self.faults.forgets_writes:
            self.parameters[number] = int(data, 16)
        return [f"{number},{self.parameters[number]:08X}"] if number in self.parameters else [f"{number},"]

    def _log_in(self, text: str) -> list[str]:
        if text != "?":
            self.is_logged_in = text == self.password
        return [f"{int(self.is_logged_in):02X}"]

    def _set_password(self, text: str) -> list[str]:
        self.password = text
        return ["01"]

    def _set_state_of_charge(self, text: str) -> list[str]:
        self.battery.state_of_charge = int(text, 16) / 100
        return [text]

    def _reset_current(self, _: str) -> list[str]:
        self.battery.current_offset_a = 0.0
        return [""]

    def _reset(self, _: str) -> list[str]:
        return [""] if self.is_logged_in else []

    def _restore_defaults(self, text: str) -> list[str]:
        if self.is_logged_in:
            self.parameters = {"1600": 1}
        return self._reset(text)


def _since_2000(t_s: float) -> int:
    return round(_START_OF_CLOCK_S - EPOCH_S + t_s)


def _checksum(octets: bytes) -> int:
    """Return the CRC-8 of 1-Wire, computed bit by bit as in the unit's protocol description."""
    crc = 0
    for octet in octets:
        for _ in range(8):
            feedback = (crc ^ octet) & 1
            crc = ((crc ^ 0x18) if feedback else crc) >> 1 & 0x7F | feedback << 7
            octet >>= 1  # noqa: PLW2901 - shifts out one bit after the other
    return crc
