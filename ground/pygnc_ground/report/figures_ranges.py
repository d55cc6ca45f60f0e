"""Figure: the ranges between radios against the model."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes

from pygnc_ground.orbit.solution import FloatArray
from pygnc_ground.replay.formation_result import LinkResult
from pygnc_ground.report import traces
from pygnc_ground.report.drawing import Chart, panel_grid, to_svg
from pygnc_ground.report.formation_axis import FormationAxis
from pygnc_ground.report.palette import FILTER, FILTER_BAND, INK, REJECTED

_NAME: Final = "formation-ranges"
_TITLE: Final = "Ranges and their residuals"
_SIGMAS: Final = 3.0


def ranges(links: Sequence[LinkResult], axis: FormationAxis) -> Chart:
    """Per pair of radios: measured without the bias beside the model, and what is left."""
    drawn = [link for link in links if len(link.gps_ms)]
    if not drawn:
        return Chart(_NAME, _TITLE, "There is no range in the newest solution.", "", Markup())
    figure, grid = panel_grid(len(drawn), 2, 0.95)
    grid[0][0].set_title("Range minus bias [m]", fontweight="bold")
    grid[0][1].set_title("Measured minus computed [m]", fontweight="bold")
    for (left, right), link in zip(grid, drawn, strict=True):
        one, other = link.pair
        left.set_ylabel(f"{one} to {other}")
        _ranges(left, link, axis)
        _residuals(right, link, axis)
    time = axis.at(drawn[-1].gps_ms)
    time.label_axes([axes for row in grid for axes in row], bottom=grid[-1])
    traces.legend(
        figure,
        [
            ("line", INK, "model"),
            ("dot", FILTER, "used"),
            ("cross", REJECTED, "not used"),
            ("arrow", REJECTED, "not used, beyond the panel"),
            ("band", FILTER_BAND, "3 σ of the noise, as estimated"),
        ],
    )
    return Chart(
        _NAME,
        _TITLE,
        "Distances as the radios measured them, without the bias that was estimated for each pair, on the distances of "
        "the best orbits; and the differences, with three standard deviations of a range. Noise and bias of each pair "
        "are estimated from these very ranges.",
        "Residuals that swing or drift with the orbit (wrong times, a bias that changes, or the wrong orbit), a band "
        "much wider than the radios' noise, rejected ranges in a row.",
        to_svg(figure, _NAME, "Ranges of each pair of radios over time against the model, and their residuals"),
    )


def _ranges(axes: Axes, link: LinkResult, axis: FormationAxis) -> None:
    time = axis.at(link.gps_ms)
    shown = np.concatenate((link.model_m, link.distance_m[link.used]))
    low, high = float(shown.min()), float(shown.max())
    room = 0.08 * (high - low) or 1.0
    axes.set_ylim(low - room, high + room)
    _marks(axes, link, link.distance_m, axis)
    traces.line(axes, time, traces.trace(time, link.model_m), INK)


def _residuals(axes: Axes, link: LinkResult, axis: FormationAxis) -> None:
    time = axis.at(link.gps_ms)
    reach = _SIGMAS * link.noise_m
    axes.set_ylim(-1.6 * reach, 1.6 * reach)
    traces.band(axes, time, traces.trace(time, np.full(len(link.gps_ms), reach)), FILTER_BAND)
    _marks(axes, link, link.residual_m, axis)


def _marks(axes: Axes, link: LinkResult, values: FloatArray, axis: FormationAxis) -> None:
    time = axis.at(link.gps_ms)
    traces.dots(axes, traces.trace(time, np.where(link.used, values, np.nan)), FILTER)
    traces.rejected(axes, traces.trace(time, np.where(link.used, np.nan, values)))
