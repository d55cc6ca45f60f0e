"""Figure: distances to the partners, and how near they will come within a day."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from pygnc.bus.messages import ClosestApproach
from pygnc_ground.replay.formation_result import FormationResult
from pygnc_ground.report.drawing import Chart, panel_grid, to_svg
from pygnc_ground.report.formation_comparison import JudgedPartner
from pygnc_ground.report.palette import FILTER, MIRROR, REJECTED, SHADE

_NAME: Final = "formation-approach"
_TITLE: Final = "Closest approach within a day"
_MS_PER_HOUR: Final = 3_600_000
_DAY_H: Final = 24.0
_SIGMAS: Final = 3.0


def approaches(result: FormationResult, partners: Sequence[JudgedPartner]) -> Chart:
    """Per partner: distance over the arc by each possible orbit, and behind it the closest approaches."""
    drawn = [one for one in partners if result.approaches_of(one.result.partner)]
    if not drawn:
        return Chart(_NAME, _TITLE, "The flight did not say how near partners will come.", "", Markup())
    figure, grid = panel_grid(1, len(drawn), 2.0)
    for axes, one in zip(grid[0], drawn, strict=True):
        _panel(axes, result, one, result.approaches_of(one.result.partner))
        axes.set_title(f"Partner {one.result.partner}: {one.state}", fontweight="bold")
    grid[0][0].set_ylabel("distance [m]")
    figure.legend(
        [
            Line2D([], [], color=FILTER, marker="o", markersize=3.6),
            Line2D([], [], color=MIRROR, marker="o", markersize=3.6),
            Line2D([], [], color=REJECTED, linestyle="", marker="v", markersize=3.6),
            Patch(facecolor=SHADE),
        ],
        ["best orbit; closest approach with 3 σ", "other orbits", "least distance less 3 σ", "the arc that was solved"],
        loc="upper left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=4,
        columnspacing=1.6,
        handlelength=1.6,
        handletextpad=0.6,
        borderaxespad=0.0,
    )
    return Chart(
        _NAME,
        _TITLE,
        "Distances over the arc by each orbit that fits, and, over the day behind its end, when each of them brings "
        "the partner nearest, with three standard deviations of the distance then. Triangles: where the distance less "
        "three standard deviations is least, on the axis when contact cannot be excluded.",
        "A triangle on the axis, another orbit that comes much nearer than the best one.",
        to_svg(figure, _NAME, "Distances to the partners and their closest approaches over the next day"),
    )


def _panel(axes: Axes, result: FormationResult, one: JudgedPartner, nearest: Sequence[ClosestApproach]) -> None:
    end_ms = int(result.track_gps_ms[-1]) if len(result.track_gps_ms) else min(of.gps_ms for of in nearest)
    hours = (result.track_gps_ms - end_ms) / _MS_PER_HOUR
    highest = [of.distance_m for of in nearest]
    for rank, judged in reversed(list(enumerate(one.orbits))):
        distance_m = np.linalg.norm(judged.orbit.rtn[:, :3], axis=1)
        highest.append(float(distance_m.max()))
        axes.plot(hours, distance_m, color=MIRROR if rank else FILTER)
    for rank, of in reversed(list(enumerate(nearest))):
        hour, reach = (of.gps_ms - end_ms) / _MS_PER_HOUR, _SIGMAS * of.sigma_m
        low, colour = max(of.distance_m - reach, 0.0), MIRROR if rank else FILTER
        axes.plot((hour, hour), (low, of.distance_m + reach), color=colour, linewidth=1.2)
        axes.plot(hour, of.distance_m, "o", color=colour, markersize=4.0, markeredgewidth=0.0)
        least = ((of.least_gps_ms - end_ms) / _MS_PER_HOUR, max(of.least_m, 0.03 * max(highest)))
        axes.plot(*least, "v", color=REJECTED, markersize=3.6, markeredgewidth=0.9)
    begin = float(hours[0]) if len(hours) else 0.0
    axes.axvspan(begin, 0.0, color=SHADE, linewidth=0.0, zorder=0.4)
    axes.set_xlim(begin - 0.3, _DAY_H + 0.3)
    axes.set_ylim(0.0, 1.2 * max(highest))
    axes.set_xticks(np.arange(0.0, _DAY_H + 1.0, 6.0))
    axes.set_xlabel("hours after the end of the arc")
