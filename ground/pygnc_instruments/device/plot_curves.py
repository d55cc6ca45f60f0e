"""Curves of the last seconds: what to keep of readings, how to scale it, where its points lie in a picture."""

import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from pygnc_devices.reading import Reading
from pygnc_devices.units import ACCELERATION, ANGLE, MAGNETIC, RATE

SPAN_S: Final = 10.0
_MOTION: Final = {ACCELERATION: "specific force", RATE: "angular rate", ANGLE: "angles", MAGNETIC: "magnetic field"}
_MOST_POINTS: Final = 4000
_TICKS: Final = 4
_STEPS: Final = (1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Sample:
    """Values of one moment: by panel (`specific force, m/s²`), then by curve (`x`)."""

    t_s: float
    panels: Mapping[str, Mapping[str, float]]


def sample_of(reading: Reading) -> Sample:
    """Return what is to be drawn of a reading: its motion; of a device that feels none, all its numbers by unit."""
    entries = [entry for entry in reading.packet.fields if entry.unit in _MOTION]
    panels: dict[str, dict[str, float]] = {}
    for entry in entries or reading.packet.fields:
        value = reading.values[entry.name]
        if isinstance(value, int | float) and math.isfinite(value):
            what = _MOTION.get(entry.unit, entry.unit.name)
            title = f"{what}, {entry.unit.column}" if entry.unit in _MOTION else what or "numbers"
            column = entry.column or entry.name
            panels.setdefault(title, {})[column] = value * entry.unit.column_per_unit
    return Sample(reading.t_mono_ns / 1e9, panels)


@dataclass(slots=True)
class Panel:
    """Curves that share an axis."""

    curves: dict[str, deque[tuple[float, float]]] = field(default_factory=dict)

    def add(self, t_s: float, values: Mapping[str, float]) -> None:
        """Append a moment, and forget those before the span."""
        for name, value in values.items():
            curve = self.curves.setdefault(name, deque(maxlen=_MOST_POINTS))
            curve.append((t_s, value))
            while curve[0][0] < t_s - SPAN_S:
                curve.popleft()

    def limits(self) -> tuple[float, float]:
        """Return the ends of the axis: all that is shown lies between, with some room."""
        values = [value for curve in self.curves.values() for _, value in curve]
        if not values:
            return -1.0, 1.0
        low, high = min(values), max(values)
        room = 0.08 * (high - low) or max(abs(high) * 0.05, 1e-6)
        return low - room, high + room

    def newest_s(self) -> float:
        """Return the time of the newest point."""
        return max((curve[-1][0] for curve in self.curves.values() if curve), default=0.0)

    def points(self, name: str, width: float, height: float) -> list[float]:
        """Return x, y, x, y ... of a curve in a picture whose y grows downwards; the newest point is at the right."""
        low, high = self.limits()
        newest_s = self.newest_s()
        flat = []
        for t_s, value in self.curves[name]:
            flat.append(width * (1.0 - (newest_s - t_s) / SPAN_S))
            flat.append(height * (high - value) / (high - low))
        return flat


@dataclass(slots=True)
class Source:
    """Where samples come from.

    Attributes:
        title: of its part of the window.
        take: returns what has come since it was called before; must not wait.
        status: says how the connection is, in a line.
    """

    title: str
    take: Callable[[], list[Sample]]
    status: Callable[[], str]
    panels: dict[str, Panel] = field(default_factory=dict)


def ticks(low: float, high: float) -> list[float]:
    """Return a few round numbers between two ends of an axis."""
    rough = (high - low) / _TICKS
    scale = 10.0 ** math.floor(math.log10(rough))
    step = next(scale * factor for factor in _STEPS if scale * factor >= rough * (1.0 - 1e-9))
    first = math.ceil(low / step)
    return [step * number for number in range(first, math.floor(high / step) + 1)]
