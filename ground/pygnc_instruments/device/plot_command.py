"""`pygnc device plot`: a Tk window with curves, spectra or waterfalls of the last ten seconds of a device.

For a configuration of monoDrive's simulator, the window shows every IMU with `display_process`.
"""

import contextlib
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum, unique
from pathlib import Path
from typing import Annotated, Final, TypeAlias

import typer

from pygnc_cli.signals import stopped_by_signals
from pygnc_devices.device import BlockingDevice
from pygnc_devices.errors import DeviceError
from pygnc_devices.monodrive.sensor import ImuSensor, make_sensors
from pygnc_devices.reading import Reading
from pygnc_devices.subscriptions import LIVE_DEPTH
from pygnc_devices.units import ACCELERATION, ANGLE, MAGNETIC, RATE
from pygnc_instruments.device.connection import ConnectedDevice, DeviceSelection, connect
from pygnc_instruments.device.plot_panel import EDGE, HEIGHT, TEXT_COLOUR, WIDTH, Panel, draw_curves
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

_MOTION: Final = {ACCELERATION: "specific force", RATE: "angular rate", ANGLE: "angles", MAGNETIC: "magnetic field"}
_MONODRIVE: Final = {"acceleration": "acceleration_vector", "angular velocity": "angular_velocity_vector"}
_REFRESH_MS: Final = 50
_BACKGROUND: Final = "#ffffff"


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
            window = PlotWindow(sources, _drawing(view))
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


Draw: TypeAlias = Callable[["tk.Canvas", str, Panel], None]
"""Draws a panel with its title on a canvas."""


def _drawing(view: PlotView) -> Draw:
    if view is PlotView.TIME:
        return draw_curves
    from pygnc_instruments.device.spectrum_views import WaterfallView, draw_spectra  # noqa: PLC0415 - loads NumPy

    return draw_spectra if view is PlotView.SPECTRUM else WaterfallView()


class PlotWindow:
    """Tk window with a section for each source.

    Args:
        sources: sources of the sections.
        draw: draws the panels of the sources.

    Raises:
        tkinter.TclError: there is no display.
    """

    def __init__(self, sources: list[Source], draw: Draw) -> None:
        self._draw = draw
        self.root = tk.Tk()
        self.root.title(", ".join(source.title for source in sources))
        self.root.configure(background=_BACKGROUND)
        self._canvases: dict[tuple[tk.Frame, str], tk.Canvas] = {}
        self._sections: list[tuple[Source, tk.Frame, tk.Label]] = []
        for source in sources:
            frame = tk.Frame(self.root, background=_BACKGROUND)
            frame.pack(fill="both", expand=True, padx=EDGE, pady=EDGE)
            title = tk.Label(frame, text=source.title, background=_BACKGROUND, foreground=TEXT_COLOUR, anchor="w")
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
            canvas = tk.Canvas(frame, width=WIDTH, height=HEIGHT, background=_BACKGROUND, highlightthickness=0)
            canvas.pack(fill="both", expand=True)
            self._canvases[key] = canvas
        return self._canvases[key]
