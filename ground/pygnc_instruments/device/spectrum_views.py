"""Views of the plot window: spectra of the last ten seconds, and waterfalls of their history."""

import math
import tkinter as tk
from typing import Final

import numpy as np

from pygnc_instruments.device.plot_panel import LEFT, Panel, draw_axes, draw_lines
from pygnc_instruments.device.spectrum import BINS, ROW_S, ROWS, Waterfall, amplitude_density

_DECADES: Final = 6
"""Largest range of a spectrum."""


def draw_spectra(canvas: "tk.Canvas", title: str, panel: Panel) -> None:
    """Draw the amplitude spectral density of each curve, and print its highest frequency."""
    spectra = {name: found for name, curve in panel.curves.items() if (found := amplitude_density(curve)) is not None}
    if not spectra:
        return
    logs = {name: np.log10(np.maximum(density, np.finfo(float).tiny)) for name, (_, density) in spectra.items()}
    high = math.ceil(max(float(log.max()) for log in logs.values()))
    low = max(math.floor(min(float(log.min()) for log in logs.values())), high - _DECADES)
    last_hz = max(float(frequencies[-1]) for frequencies, _ in spectra.values())
    marks = {float(decade): f"1e{decade}" for decade in range(low, high + 1)}
    area = draw_axes(canvas, (low, high), marks, ("0 Hz", f"{last_hz:.4g} Hz"))
    curves = {}
    for name, (frequencies, _) in spectra.items():
        x = area.width * frequencies / last_hz
        y = area.height * (high - np.maximum(logs[name], low)) / (high - low)
        peak_hz = float(frequencies[int(np.argmax(logs[name]))])
        curves[f"{name} {peak_hz:.4g} Hz"] = np.column_stack((x, y)).ravel().tolist()
    draw_lines(canvas, f"{title}/√Hz; highest at", area, curves)


class WaterfallView:
    """Waterfalls of the panels, one on each canvas."""

    def __init__(self) -> None:
        self._waterfalls: dict[tk.Canvas, Waterfall] = {}
        self._images: dict[tk.Canvas, tk.PhotoImage] = {}
        """Tk draws an image only as long as it is referenced."""

    def __call__(self, canvas: tk.Canvas, title: str, panel: Panel) -> None:
        """Add a row if it is due, and draw the waterfall again."""
        waterfall = self._waterfalls.setdefault(canvas, Waterfall())
        newest_s = max(curve[-1][0] for curve in panel.curves.values())
        if not waterfall.add(newest_s, panel.curves.values()):
            return
        marks = {0.0: "now", -ROWS * ROW_S: f"-{ROWS * ROW_S:.0f} s"}
        area = draw_axes(canvas, (-ROWS * ROW_S, 0.0), marks, ("0 Hz", f"{waterfall.half_rate_hz:.4g} Hz"))
        image = tk.PhotoImage(width=BINS, height=ROWS)
        image.put(" ".join("{" + " ".join(row) + "}" for row in waterfall.colours()))
        self._images[canvas] = image.zoom(max(1, int(area.width) // BINS), max(1, int(area.height) // ROWS))
        canvas.create_image(LEFT, area.top, image=self._images[canvas], anchor="nw", tags=("waterfall",))
        draw_lines(canvas, f"{title}, density of all axes, white: low", area, {})
