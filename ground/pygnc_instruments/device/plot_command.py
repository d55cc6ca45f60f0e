"""`pygnc device plot`: a Tk window with curves, spectra or waterfalls of the last ten seconds of a device.

For a configuration of monoDrive's simulator, the window shows every IMU with `display_process`.
"""

import contextlib
import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum, unique
from pathlib import Path
from typing import Annotated, Final, TypeAlias

import numpy as np
import typer

from pygnc_cli.signals import stopped_by_signals
from pygnc_devices.device import BlockingDevice
from pygnc_devices.errors import DeviceError
from pygnc_devices.monodrive.sensor import ImuSensor, make_sensors
from pygnc_devices.reading import Reading
from pygnc_devices.subscriptions import LIVE_DEPTH
from pygnc_devices.units import ACCELERATION, ANGLE, MAGNETIC, RATE
from pygnc_instruments.device.connection import ConnectedDevice, DeviceSelection, connect
from pygnc_instruments.device.spectrum import BINS, ROW_S, ROWS, Waterfall, amplitude_density
from pygnc_instruments.device.terminal import (
    Baud,
    FamilyName,
    Port,
    Seconds,
    Server,
    UserPackets,
    reported_errors,
    statistics_line,
)

try:
    import tkinter as tk
except ImportError:  # only the window needs Tk
    tk = None  # type: ignore[assignment]

SPAN_S: Final = 10.0
_MOTION: Final = {ACCELERATION: "specific force", RATE: "angular rate", ANGLE: "angles", MAGNETIC: "magnetic field"}
_MONODRIVE: Final = {"acceleration": "acceleration_vector", "angular velocity": "angular_velocity_vector"}
_MAX_POINTS: Final = 4000
_TICK_COUNT: Final = 4
_TICK_STEPS: Final = (1.0, 2.0, 5.0, 10.0)
_REFRESH_MS: Final = 50
_DECADES: Final = 6
"""Largest range of a spectrum."""
_WIDTH, _HEIGHT, _LEFT, _EDGE = 640, 150, 64, 8
_COLOURS: Final = ("#c0392b", "#1e8449", "#1f618d", "#b9770e", "#6c3483", "#117a65")
_TEXT_COLOUR, _GRID_COLOUR, _BACKGROUND = "#333333", "#dddddd", "#ffffff"


@unique
class PlotView(StrEnum):
    """View of the readings."""

    TIME = "time"
    SPECTRUM = "spectrum"
    WATERFALL = "waterfall"


def plot(
    port: Port = "",
    *,
    view: Annotated[
        PlotView,
        typer.Option(help="Curves over time, amplitude spectral density of 10 s, or its history (waterfall)."),
    ] = PlotView.TIME,
    server: Server = "127.0.0.1",
    seconds: Seconds = 0.0,
    family: FamilyName = "",
    baud: Baud = 0,
    user_packets: UserPackets = None,
) -> None:
    """Plot the last ten seconds in a window. PORT may be a configuration of monoDrive's simulator (a .json file)."""
    with reported_errors(), contextlib.ExitStack() as stack:
        if port.endswith(".json"):
            sensors = [entry for entry in make_sensors(Path(port), server) if entry.configuration.display_process]
            if not sensors:
                raise DeviceError(
                    f"{port}: no IMU has both display_process and sensor_process; set both for an IMU to plot"
                )
            sources = [_sensor_source(stack.enter_context(entry)) for entry in sensors]
        else:
            connected = stack.enter_context(connect(DeviceSelection(port, family, baud, user_packets)))
            connected.start_streaming()
            sources = [_device_source(connected, stack)]
        if tk is None:
            raise DeviceError("the plot window needs Tk; on Debian: sudo apt install python3-tk")
        try:
            window = PlotWindow(sources, view)
        except tk.TclError as error:
            raise DeviceError(f"the window cannot be shown: {error}; start the command on a desktop") from None
        with stopped_by_signals(window.close):
            window.run(seconds)


Sample: TypeAlias = tuple[float, Mapping[str, Mapping[str, float]]]
"""Time on any clock, s, and values by panel, such as `specific force, m/s^2`, and curve, such as `xAccel`."""


def sample_of(reading: Reading) -> Sample:
    """Return the motion values of a reading in the units of CSV columns; all its numbers if it has no motion values."""
    motion = [entry for entry in reading.packet.fields if entry.unit in _MOTION]
    panels: dict[str, dict[str, float]] = {}
    for entry in motion or reading.packet.fields:
        value = reading.values[entry.name]
        if isinstance(value, int | float) and math.isfinite(value):
            title = f"{_MOTION[entry.unit]}, {entry.unit.column}" if motion else entry.unit.name or "numbers"
            panels.setdefault(title, {})[entry.column or entry.name] = value * entry.unit.column_per_unit
    return reading.t_mono_ns / 1e9, panels


@dataclass(slots=True)
class Panel:
    """Curves on one axis, over the last seconds."""

    curves: dict[str, deque[tuple[float, float]]] = field(default_factory=dict)
    waterfall: Waterfall = field(default_factory=Waterfall)
    image: "tk.PhotoImage | None" = None

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


@dataclass(slots=True)
class Source:
    """Source of samples for one section of the window.

    Attributes:
        title: title of the section.
        new_samples: function that returns the samples since its previous call, without waiting.
        status: function that returns the state of the connection as a line of text.
        panels: curves by title.
    """

    title: str
    new_samples: Callable[[], list[Sample]]
    status: Callable[[], str]
    panels: dict[str, Panel] = field(default_factory=dict)


def _device_source(connected: ConnectedDevice, stack: contextlib.ExitStack) -> Source:
    readings = stack.enter_context(contextlib.closing(connected.device.subscribe(LIVE_DEPTH)))

    def new_samples() -> list[Sample]:
        return [sample_of(reading) for reading in iter(lambda: readings.take(0.0), None)]

    return Source(connected.device.url, new_samples, lambda: _status(connected.device))


def _sensor_source(sensor: ImuSensor) -> Source:
    def new_samples() -> list[Sample]:
        now_s = time.monotonic()
        samples: list[Sample] = []
        for message in sensor.get_display_messages(block=False):
            panels = {
                title: dict(zip("xyz", vector, strict=True))
                for title, key in _MONODRIVE.items()
                if isinstance(vector := message[key], list)
            }
            samples.append((now_s, panels))
        return samples

    return Source(sensor.name, new_samples, lambda: _status(sensor.device))


def _status(device: BlockingDevice) -> str:
    state = "" if device.is_connected else "disconnected; reconnecting. "
    return f"{state}{statistics_line(device.statistics)}"


def ticks(low: float, high: float) -> list[float]:
    """Return at most six round numbers from `low` to `high`, for the marks of an axis."""
    rough = (high - low) / _TICK_COUNT
    scale = 10.0 ** math.floor(math.log10(rough))
    step = next(scale * factor for factor in _TICK_STEPS if scale * factor >= rough * (1.0 - 1e-9))
    first = math.ceil(low / step)
    return [step * number for number in range(first, math.floor(high / step) + 1)]


class PlotWindow:
    """Tk window with a section for each source.

    Raises:
        tkinter.TclError: there is no display.
    """

    def __init__(self, sources: list[Source], view: PlotView = PlotView.TIME) -> None:
        self._draw = {
            PlotView.TIME: _draw_curves,
            PlotView.SPECTRUM: _draw_spectra,
            PlotView.WATERFALL: _draw_waterfall,
        }[view]
        self.root = tk.Tk()
        self.root.title(", ".join(source.title for source in sources))
        self.root.configure(background=_BACKGROUND)
        self._canvases: dict[tuple[tk.Frame, str], tk.Canvas] = {}
        self._sections: list[tuple[Source, tk.Frame, tk.Label]] = []
        for source in sources:
            frame = tk.Frame(self.root, background=_BACKGROUND)
            frame.pack(fill="both", expand=True, padx=_EDGE, pady=_EDGE)
            title = tk.Label(frame, text=source.title, background=_BACKGROUND, foreground=_TEXT_COLOUR, anchor="w")
            title.pack(fill="x")
            line = tk.Label(frame, text="", background=_BACKGROUND, foreground="#777777", anchor="w")
            line.pack(fill="x", side="bottom")
            self._sections.append((source, frame, line))
        self._is_closing = False
        self.root.after(0, self._refresh)

    def run(self, seconds: float = 0.0) -> None:
        """Show the window until it is closed, at most for `seconds`; 0 for no limit."""
        if seconds:
            self.root.after(round(seconds * 1000), self.close)
        self.root.mainloop()

    def close(self) -> None:
        """Close the window at its next refresh; signal handlers may call this."""
        self._is_closing = True

    def _refresh(self) -> None:
        if self._is_closing:
            self.root.destroy()
            return
        for source, frame, line in self._sections:
            for t_s, panels in source.new_samples():
                for title, values in panels.items():
                    source.panels.setdefault(title, Panel()).add(t_s, values)
            for title, panel in source.panels.items():
                self._draw(self._canvas(frame, title), title, panel)
            line.configure(text=source.status())
        self.root.after(_REFRESH_MS, self._refresh)

    def _canvas(self, frame: "tk.Frame", title: str) -> "tk.Canvas":
        key = (frame, title)
        if key not in self._canvases:
            canvas = tk.Canvas(frame, width=_WIDTH, height=_HEIGHT, background=_BACKGROUND, highlightthickness=0)
            canvas.pack(fill="both", expand=True)
            self._canvases[key] = canvas
        return self._canvases[key]


@dataclass(frozen=True, slots=True)
class _Area:
    """Area of a canvas inside its axes, pixels."""

    width: float
    top: float
    height: float


def _draw_curves(canvas: "tk.Canvas", title: str, panel: Panel) -> None:
    low, high = panel.limits()
    marks = {tick: f"{tick:.5g}" for tick in ticks(low, high)}
    area = _draw_axes(canvas, (low, high), marks, (f"-{SPAN_S:.0f} s", "now"))
    labels = {f"{name} {curve[-1][1]:.4g}": name for name, curve in panel.curves.items()}
    curves = {label: panel.points(name, area.width, area.height) for label, name in labels.items()}
    _draw_lines(canvas, title, area, curves)


def _draw_spectra(canvas: "tk.Canvas", title: str, panel: Panel) -> None:
    spectra = {name: found for name, curve in panel.curves.items() if (found := amplitude_density(curve)) is not None}
    if not spectra:
        return
    logs = {name: np.log10(np.maximum(density, np.finfo(float).tiny)) for name, (_, density) in spectra.items()}
    high = math.ceil(max(float(log.max()) for log in logs.values()))
    low = max(math.floor(min(float(log.min()) for log in logs.values())), high - _DECADES)
    last_hz = max(float(frequencies[-1]) for frequencies, _ in spectra.values())
    marks = {float(decade): f"1e{decade}" for decade in range(low, high + 1)}
    area = _draw_axes(canvas, (low, high), marks, ("0 Hz", f"{last_hz:.4g} Hz"))
    curves = {}
    for name, (frequencies, _) in spectra.items():
        x = area.width * frequencies / last_hz
        y = area.height * (high - np.maximum(logs[name], low)) / (high - low)
        peak_hz = float(frequencies[int(np.argmax(logs[name]))])
        curves[f"{name} {peak_hz:.4g} Hz"] = np.column_stack((x, y)).ravel().tolist()
    _draw_lines(canvas, f"{title}/√Hz; highest at", area, curves)


def _draw_waterfall(canvas: "tk.Canvas", title: str, panel: Panel) -> None:
    newest_s = max(curve[-1][0] for curve in panel.curves.values())
    if not panel.waterfall.add(newest_s, panel.curves.values()):
        return
    marks = {0.0: "now", -ROWS * ROW_S: f"-{ROWS * ROW_S:.0f} s"}
    last = f"{panel.waterfall.half_rate_hz:.4g} Hz"
    area = _draw_axes(canvas, (-ROWS * ROW_S, 0.0), marks, ("0 Hz", last))
    image = tk.PhotoImage(width=BINS, height=ROWS)
    image.put(" ".join("{" + " ".join(row) + "}" for row in panel.waterfall.colours()))
    panel.image = image.zoom(max(1, int(area.width) // BINS), max(1, int(area.height) // ROWS))
    canvas.create_image(_LEFT, area.top, image=panel.image, anchor="nw", tags=("waterfall",))
    _draw_lines(canvas, f"{title}, density of all axes, white: low", area, {})


def _draw_axes(
    canvas: "tk.Canvas", limits: tuple[float, float], marks: Mapping[float, str], ends: tuple[str, str]
) -> _Area:
    """Clear a canvas and draw its axes: marks of the vertical axis, and the ends of the horizontal axis."""
    canvas.delete("all")
    low, high = limits
    top = 18
    area = _Area(max(canvas.winfo_width(), _WIDTH) - _LEFT - _EDGE, top, max(canvas.winfo_height(), _HEIGHT) - top - 16)
    for mark, text in marks.items():
        y = area.top + area.height * (high - mark) / (high - low)
        canvas.create_line(_LEFT, y, _LEFT + area.width, y, fill=_GRID_COLOUR)
        canvas.create_text(_LEFT - 6, y, text=text, anchor="e", fill=_TEXT_COLOUR)
    canvas.create_rectangle(_LEFT, area.top, _LEFT + area.width, area.top + area.height, outline=_GRID_COLOUR)
    bottom = area.top + area.height + 9
    canvas.create_text(_LEFT, bottom, text=ends[0], anchor="w", fill=_TEXT_COLOUR)
    canvas.create_text(_LEFT + area.width, bottom, text=ends[1], anchor="e", fill=_TEXT_COLOUR)
    return area


def _draw_lines(canvas: "tk.Canvas", title: str, area: _Area, curves: Mapping[str, list[float]]) -> None:
    """Draw the title, and each curve with its label in the legend."""
    legend_x = canvas.bbox(canvas.create_text(_LEFT, 8, text=title, anchor="w", fill=_TEXT_COLOUR))[2] + 16
    for (label, points), colour in zip(curves.items(), _COLOURS * len(curves), strict=False):
        if len(points) >= 4:
            shifted = [value + (_LEFT if at % 2 == 0 else area.top) for at, value in enumerate(points)]
            canvas.create_line(*shifted, fill=colour, width=1.5, tags=("curve", label.partition(" ")[0]))
        text = canvas.create_text(legend_x, 8, text=label, anchor="w", fill=colour)
        legend_x = canvas.bbox(text)[2] + 12
