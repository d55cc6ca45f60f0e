"""A small window with the last seconds of one or several devices. Needs Tk (Debian: python3-tk)."""

import tkinter as tk
from typing import Final

from pygnc_instruments.device.plot_curves import SPAN_S, Panel, Source, ticks

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

    def _canvas(self, number: int, title: str) -> tk.Canvas:
        key = (number, title)
        if key not in self.canvases:
            canvas = tk.Canvas(
                self._frames[number], width=_WIDTH, height=_HEIGHT, background=_PAPER, highlightthickness=0
            )
            canvas.pack(fill="both", expand=True)
            self.canvases[key] = canvas
        return self.canvases[key]

    def _draw(self, canvas: tk.Canvas, title: str, panel: Panel) -> None:
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
