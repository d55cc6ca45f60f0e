"""Panels of the plot window: curves of the last ten seconds, their axes and legend."""

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import tkinter as tk

SPAN_S: Final = 10.0
_MAX_POINTS: Final = 4000
_TICK_COUNT: Final = 4
_TICK_STEPS: Final = (1.0, 2.0, 5.0, 10.0)
WIDTH, HEIGHT, LEFT, EDGE = 640, 150, 64, 8
"""Smallest canvas, and the space for the marks and around it, pixels."""
_COLOURS: Final = ("#c0392b", "#1e8449", "#1f618d", "#b9770e", "#6c3483", "#117a65")
TEXT_COLOUR, _GRID_COLOUR = "#333333", "#dddddd"


@dataclass(slots=True)
class Panel:
    """Curves on one axis, over the last seconds."""

    curves: dict[str, deque[tuple[float, float]]] = field(default_factory=dict)

    def add(self, t_s: float, values: Mapping[str, float]) -> None:
        """Append a value at `t_s` to each curve and drop the values that are older than the time span of the axis."""
        for name, value in values.items():
            curve = self.curves.setdefault(name, deque(maxlen=_MAX_POINTS))
            curve.append((t_s, value))
            while curve[0][0] < t_s - SPAN_S:
                curve.popleft()

    def limits(self) -> tuple[float, float]:
        """Return the range of the axis: all values and a margin of 8 % on both sides."""
        values = [value for curve in self.curves.values() for _, value in curve]
        if not values:
            return -1.0, 1.0
        low, high = min(values), max(values)
        margin = 0.08 * (high - low) or max(abs(high) * 0.05, 1e-6)
        return low - margin, high + margin

    def points(self, name: str, width: float, height: float) -> list[float]:
        """Return a curve as [x, y, x, y ...], pixels, y downwards; the newest point of all curves is at x = `width`."""
        low, high = self.limits()
        newest_s = max(curve[-1][0] for curve in self.curves.values())
        flat = []
        for t_s, value in self.curves[name]:
            flat.append(width * (1.0 - (newest_s - t_s) / SPAN_S))
            flat.append(height * (high - value) / (high - low))
        return flat


def ticks(low: float, high: float) -> list[float]:
    """Return at most six round numbers from `low` to `high`, for the marks of an axis."""
    rough = (high - low) / _TICK_COUNT
    scale = 10.0 ** math.floor(math.log10(rough))
    step = next(scale * factor for factor in _TICK_STEPS if scale * factor >= rough * (1.0 - 1e-9))
    first = math.ceil(low / step)
    return [step * number for number in range(first, math.floor(high / step) + 1)]


@dataclass(frozen=True, slots=True)
class Area:
    """Area of a canvas inside its axes, pixels; its left edge is at `LEFT`."""

    width: float
    top: float
    height: float


def draw_curves(canvas: "tk.Canvas", title: str, panel: Panel) -> None:
    """Draw the values over time."""
    low, high = panel.limits()
    marks = {tick: f"{tick:.5g}" for tick in ticks(low, high)}
    area = draw_axes(canvas, (low, high), marks, (f"-{SPAN_S:.0f} s", "now"))
    labels = {f"{name} {curve[-1][1]:.4g}": name for name, curve in panel.curves.items()}
    curves = {label: panel.points(name, area.width, area.height) for label, name in labels.items()}
    draw_lines(canvas, title, area, curves)


def draw_axes(
    canvas: "tk.Canvas", limits: tuple[float, float], marks: Mapping[float, str], ends: tuple[str, str]
) -> Area:
    """Clear a canvas and draw its axes: marks of the vertical axis, and the ends of the horizontal axis."""
    canvas.delete("all")
    low, high = limits
    top = 18
    area = Area(max(canvas.winfo_width(), WIDTH) - LEFT - EDGE, top, max(canvas.winfo_height(), HEIGHT) - top - 16)
    for mark, text in marks.items():
        y = area.top + area.height * (high - mark) / (high - low)
        canvas.create_line(LEFT, y, LEFT + area.width, y, fill=_GRID_COLOUR)
        canvas.create_text(LEFT - 6, y, text=text, anchor="e", fill=TEXT_COLOUR)
    canvas.create_rectangle(LEFT, area.top, LEFT + area.width, area.top + area.height, outline=_GRID_COLOUR)
    bottom = area.top + area.height + 9
    canvas.create_text(LEFT, bottom, text=ends[0], anchor="w", fill=TEXT_COLOUR)
    canvas.create_text(LEFT + area.width, bottom, text=ends[1], anchor="e", fill=TEXT_COLOUR)
    return area


def draw_lines(canvas: "tk.Canvas", title: str, area: Area, curves: Mapping[str, list[float]]) -> None:
    """Draw the title, and each curve with its label in the legend."""
    legend_x = canvas.bbox(canvas.create_text(LEFT, 8, text=title, anchor="w", fill=TEXT_COLOUR))[2] + 16
    for (label, points), colour in zip(curves.items(), _COLOURS * len(curves), strict=False):
        if len(points) >= 4:
            shifted = [value + (LEFT if at % 2 == 0 else area.top) for at, value in enumerate(points)]
            canvas.create_line(*shifted, fill=colour, width=1.5, tags=("curve", label.partition(" ")[0]))
        text = canvas.create_text(legend_x, 8, text=label, anchor="w", fill=colour)
        legend_x = canvas.bbox(text)[2] + 12
