"""`pygnc device plot`: a small window with what a device feels; of monoDrive's sensors those with `display_process`.

Curves of the last seconds: what to keep of readings, how to scale it, where its points lie in a picture.

A small window with the last seconds of one or several devices. Needs Tk (Debian: python3-tk).
"""

import contextlib
import math
import signal
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final

import typer

from pygnc_devices.device import BlockingDevice
from pygnc_devices.errors import DeviceError
from pygnc_devices.monodrive.sensor import ImuSensor, Message, make_sensors
from pygnc_devices.reading import Reading
from pygnc_devices.units import ACCELERATION, ANGLE, MAGNETIC, RATE
from pygnc_instruments.device.connection import ConnectedDevice, DeviceSelection, connect, start_streaming
from pygnc_instruments.device.terminal import (
    Baud,
    FamilyName,
    Port,
    Seconds,
    UserPackets,
    statistics_line,
    told_plainly,
)

try:
    import tkinter as tk
except ImportError:  # the window alone needs Tk
    tk = None  # type: ignore[assignment]

SPAN_S: Final = 10.0
_MOTION: Final = {ACCELERATION: "specific force", RATE: "angular rate", ANGLE: "angles", MAGNETIC: "magnetic field"}
_MOST_POINTS: Final = 4000
_TICK_COUNT: Final = 4
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
    rough = (high - low) / _TICK_COUNT
    scale = 10.0 ** math.floor(math.log10(rough))
    step = next(scale * factor for factor in _STEPS if scale * factor >= rough * (1.0 - 1e-9))
    first = math.ceil(low / step)
    return [step * number for number in range(first, math.floor(high / step) + 1)]


_TURN_MS: Final = 50
_WIDTH, _HEIGHT, _LEFT, _EDGE = 640, 150, 64, 8
_COLOURS: Final = ("#c0392b", "#1e8449", "#1f618d", "#b9770e", "#6c3483", "#117a65")
_INK, _GRID, _PAPER = "#333333", "#dddddd", "#ffffff"


class PlotWindow:
    """The window.

    Args:
        sources: a part of the window for each.

    Raises:
        tkinter.TclError: there is no display.
    """

    def __init__(self, sources: list[Source]) -> None:
        self.root = tk.Tk()
        self.root.title(", ".join(source.title for source in sources))
        self.root.configure(background=_PAPER)
        self.sources = sources
        self.canvases: dict[tuple[int, str], tk.Canvas] = {}
        self._frames: list[tk.Frame] = []
        self._lines: list[tk.Label] = []
        for source in sources:
            frame = tk.Frame(self.root, background=_PAPER)
            frame.pack(fill="both", expand=True, padx=_EDGE, pady=_EDGE)
            tk.Label(frame, text=source.title, background=_PAPER, foreground=_INK, anchor="w").pack(fill="x")
            line = tk.Label(frame, text="", background=_PAPER, foreground="#777777", anchor="w")
            line.pack(fill="x", side="bottom")
            self._frames.append(frame)
            self._lines.append(line)
        self._is_ended = False
        self.root.after(0, self._turn)

    def run(self, seconds: float = 0.0) -> None:
        """Show it until it is closed, or for so long."""
        if seconds:
            self.root.after(round(seconds * 1000), self.close)
        self.root.mainloop()

    def close(self, *_: object) -> None:
        """Close it within a turn; may be called by a handler of signals."""
        self._is_ended = True

    def _turn(self) -> None:
        if self._is_ended:
            self.root.destroy()
            return
        for number, source in enumerate(self.sources):
            for sample in source.take():
                for title, values in sample.panels.items():
                    source.panels.setdefault(title, Panel()).add(sample.t_s, values)
            for title, panel in source.panels.items():
                self._draw(self._canvas(number, title), title, panel)
            self._lines[number].configure(text=source.status())
        self.root.after(_TURN_MS, self._turn)

    def _canvas(self, number: int, title: str) -> "tk.Canvas":
        key = (number, title)
        if key not in self.canvases:
            canvas = tk.Canvas(
                self._frames[number], width=_WIDTH, height=_HEIGHT, background=_PAPER, highlightthickness=0
            )
            canvas.pack(fill="both", expand=True)
            self.canvases[key] = canvas
        return self.canvases[key]

    def _draw(self, canvas: "tk.Canvas", title: str, panel: Panel) -> None:
        canvas.delete("all")
        width = max(canvas.winfo_width(), _WIDTH) - _LEFT - _EDGE
        top, height = 18, max(canvas.winfo_height(), _HEIGHT) - 18 - 16
        low, high = panel.limits()
        for tick in ticks(low, high):
            y = top + height * (high - tick) / (high - low)
            canvas.create_line(_LEFT, y, _LEFT + width, y, fill=_GRID)
            canvas.create_text(_LEFT - 6, y, text=f"{tick:.5g}", anchor="e", fill=_INK)
        canvas.create_rectangle(_LEFT, top, _LEFT + width, top + height, outline=_GRID)
        canvas.create_text(_LEFT, top + height + 9, text=f"-{SPAN_S:.0f} s", anchor="w", fill=_INK)
        canvas.create_text(_LEFT + width, top + height + 9, text="now", anchor="e", fill=_INK)
        legend = canvas.bbox(canvas.create_text(_LEFT, 8, text=title, anchor="w", fill=_INK))[2] + 16
        for (name, curve), colour in zip(panel.curves.items(), _COLOURS * len(panel.curves), strict=False):
            points = panel.points(name, width, height)
            if len(points) >= 4:
                shifted = [value + (_LEFT if at % 2 == 0 else top) for at, value in enumerate(points)]
                canvas.create_line(*shifted, fill=colour, width=1.5, tags=("curve", name))
            text = canvas.create_text(legend, 8, text=f"{name} {curve[-1][1]:.4g}", anchor="w", fill=colour)
            legend = canvas.bbox(text)[2] + 12


_MONODRIVE: Final = {"acceleration": "acceleration_vector", "angular velocity": "angular_velocity_vector"}


def plot(
    port: Port = "",
    *,
    server: Annotated[str, typer.Option(help="Where the simulator of monoDrive runs.")] = "127.0.0.1",
    seconds: Seconds = 0.0,
    family: FamilyName = "",
    baud: Baud = 0,
    user_packets: UserPackets = None,
) -> None:
    """Show the last ten seconds in a window. PORT may be monoDrive's configuration (a .json file)."""
    with told_plainly(), contextlib.ExitStack() as stack:
        if port.endswith(".json"):
            sources = _sensors(Path(port), server, stack)
        else:
            connected = stack.enter_context(connect(DeviceSelection(port, family, baud, user_packets)))
            start_streaming(connected)
            sources = [_device(connected, stack)]
        _show(sources, seconds)


def _device(connected: ConnectedDevice, stack: contextlib.ExitStack) -> Source:
    readings = stack.enter_context(contextlib.closing(connected.device.engine.feed.subscribe()))

    def take() -> list[Sample]:
        samples = []
        while (reading := readings.take(0.0)) is not None:
            samples.append(sample_of(reading))
        return samples

    return Source(connected.device.url, take, lambda: _status(connected.device))


def _sensors(path: Path, server: str, stack: contextlib.ExitStack) -> list[Source]:
    """Return the IMUs of a vehicle that want a display, as their own queue for it gives them."""
    sensors = [entry for entry in make_sensors(path, server) if entry.configuration.display_process]
    if not sensors:
        raise DeviceError(f"{path}: no IMU in it has display_process and sensor_process")
    return [_sensor(stack.enter_context(entry)) for entry in sensors]


def _sensor(sensor: ImuSensor) -> Source:
    def take() -> list[Sample]:
        now_s = time.monotonic()
        return [Sample(now_s, _vectors(message)) for message in sensor.get_display_messages(block=False)]

    return Source(sensor.name, take, lambda: _status(sensor.device))


def _vectors(message: Message) -> dict[str, dict[str, float]]:
    panels = {}
    for title, key in _MONODRIVE.items():
        vector = message[key]
        if isinstance(vector, list):
            panels[title] = dict(zip("xyz", vector, strict=True))
    return panels


def _status(device: BlockingDevice) -> str:
    gone = "" if device.is_connected else "the port is gone; it is looked for. "
    return f"{gone}{statistics_line(device.statistics)}"


def _show(sources: list[Source], seconds: float) -> None:
    if tk is None:
        raise DeviceError("the plot window needs Tk; on Debian: sudo apt install python3-tk")
    try:
        window = PlotWindow(sources)
    except tk.TclError as error:
        raise DeviceError(f"no window can be shown: {error}") from None
    before = {number: signal.signal(number, window.close) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        window.run(seconds)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
