"""A battery for the simulated Control Unit: cells, current, charge, as functions of time."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pygnc_devices.declaration import Value
from pygnc_devices.emus.sentences import CELLS_PER_FRAME

_PERIOD_S: Final = 600.0
_VALID: Final = 0x2F
_CONTACTOR_AND_MAINS: Final = 1 << 11 | 1 << 4


@dataclass
class Battery:
    """Cells in strings.

    Attributes:
        cells: of each string.
        strings: in parallel.
        capacity_c: of all.
        state_of_charge: 0 to 1.
        current_offset_a: error of the current sensor.
        is_charging: whether a charger is connected.
    """

    cells: int = 16
    strings: int = 1
    capacity_c: int = 360_000
    state_of_charge: float = 0.79
    current_offset_a: float = 0.3
    is_charging: bool = False

    def current_a(self, t_s: float) -> float:
        """Return the current as the sensor shows it, positive when charging."""
        return 10.0 * math.sin(2 * math.pi * t_s / _PERIOD_S) + self.current_offset_a

    def element(self, name: str, string: int, number: int, t_s: float) -> float:
        """Return what a sentence about cells says of one."""
        spread = ((7 * number + 3 * string) % 5 - 2) / 100
        if name == "BV2":
            return round(3.20 + 0.25 * self.state_of_charge + 0.001 * self.current_a(t_s) + spread, 2)
        if name == "BB2":
            return 100 / 255 * (64 if spread > 0.015 else 0)
        return round((22 if name == "BT4" else 25) + 100 * spread)

    def groups(self, name: str, t_s: float) -> Iterator[dict[str, Value | None]]:
        """Yield the values of all sentences about cells."""
        kind = {"BV2": "voltage_{}_v", "BB2": "rate_{}_percent"}.get(name, "temperature_{}_degc")
        for string in range(self.strings):
            for first in range(0, self.cells, CELLS_PER_FRAME):
                numbers = range(first, min(first + CELLS_PER_FRAME, self.cells))
                values: dict[str, Value | None] = {"string": string, "first_cell": first, "size": len(numbers)}
                values |= {
                    kind.format(k): self.element(name, string, number, t_s) for k, number in enumerate(numbers, 1)
                }
                yield values

    def values(self, name: str, t_s: float) -> dict[str, Value]:
        """Return the values of any other sentence."""
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
                "charging_stage": 3 if self.is_charging else 0,
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
            "OT1": {"charger": 0x80 if self.is_charging else 0, "outputs": 0},
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
