"""Figure of Allan deviations and of the noise models that explain them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pygnc_cli.web_page import PALETTE
from pygnc_devices.units import Unit
from pygnc_instruments.device.log_files import LogError
from pygnc_instruments.device.noise_report import QUANTITIES, AxisNoise
from pygnc_instruments.device.sensor_log import SENSORS

_COLOURS: Final = tuple(PALETTE[name].light for name in ("filter", "smoother", "batch", "mirror", "limit", "muted"))
_INCHES: Final = (9.0, 3.4)
_DPI: Final = 130
_FORMATS: Final = (".png", ".svg")


def check_format(path: Path) -> None:
    """Check the suffix of a figure.

    Raises:
        LogError: it is unknown.
    """
    if path.suffix.lower() not in _FORMATS:
        raise LogError(f"{path}: unknown format of the figure; use one of the suffixes {', '.join(_FORMATS)}")


def write_figure(path: Path, found: Sequence[AxisNoise], title: str) -> None:
    """Write a figure as PNG or SVG."""
    draw(found, title).savefig(path, dpi=_DPI)


def draw(found: Sequence[AxisNoise], title: str) -> Figure:
    """Return a figure with a panel for each kind of sensor: measured Allan deviations and their models."""
    units = [unit for unit in SENSORS if any(entry.axis.unit is unit for entry in found)]
    figure = Figure(figsize=(_INCHES[0], _INCHES[1] * len(units)), layout="constrained")
    figure.suptitle(f"Allan deviation: {title}", fontsize=10)
    for axes, unit in zip(figure.subplots(len(units), 1, squeeze=False)[:, 0], units, strict=True):
        _draw_panel(axes, unit, [entry for entry in found if entry.axis.unit is unit])
    return figure


def _draw_panel(axes: Axes, unit: Unit, found: Sequence[AxisNoise]) -> None:
    _, shown, scale = QUANTITIES[unit].flicker
    for entry, colour in zip(found, _COLOURS * len(found), strict=False):
        tau_s, deviation = entry.allan.tau_s, entry.allan.deviation * scale
        spread = deviation * entry.allan.relative_sigma
        axes.fill_between(
            tau_s, np.maximum(deviation - spread, 0.1 * deviation), deviation + spread, color=colour, alpha=0.18, lw=0
        )
        axes.plot(tau_s, deviation, ".", color=colour, markersize=3.5, label=entry.axis.name)
        axes.plot(tau_s, entry.model.deviation(tau_s) * scale, color=colour, lw=1.0)
    axes.set(xscale="log", yscale="log", xlabel="averaging time, s", ylabel=f"{QUANTITIES[unit].title}, {shown}")
    axes.grid(visible=True, which="both", lw=0.3, alpha=0.5)
    axes.plot([], [], color="#5a6572", lw=1.0, label="model; shaded: 1 sigma")
    axes.legend(fontsize=8, ncols=2)
