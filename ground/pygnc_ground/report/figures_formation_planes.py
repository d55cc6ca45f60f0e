"""Figure: the partners' motion relative to our satellite, in three planes."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.patches import Ellipse
from matplotlib.ticker import MaxNLocator

from pygnc_ground.orbit.solution import FloatArray
from pygnc_ground.report import traces
from pygnc_ground.report.drawing import Chart, panel_grid, to_svg
from pygnc_ground.report.figures_formation_states import LEFT
from pygnc_ground.report.formation_comparison import JudgedPartner, any_truth
from pygnc_ground.report.palette import FILTER, FILTER_BAND, INK, MIRROR, MUTED

_NAME: Final = "formation-planes"
_TITLE: Final = "Relative motion in three planes"
_AXES: Final = ("radial", "transverse", "normal")
_PLANES: Final = ((1, 0), (1, 2), (2, 0))
"""Axes to the right and upwards."""
_HEIGHT_IN: Final = (1.4, 2.4)
"""Of a row of panels; as high as the motion needs."""
_WIDTH_IN: Final = 2.55
"""Of a panel."""
_BETWEEN_IN: Final = 0.57
"""Of rows: an axis and a title."""
_ROOM: Final = 1.15
_TICKS: Final = 5
_SIGMAS: Final = 3.0


def planes(partners: Sequence[JudgedPartner]) -> Chart:
    """Each partner's possible orbits, and the true one, around our satellite; both axes of a panel to one scale."""
    drawn = [one for one in partners if one.orbits]
    if not drawn:
        return Chart(_NAME, _TITLE, "No partner's orbit is known.", "", Markup())
    height_in = float(np.clip(max(_height(one) for one in drawn), *_HEIGHT_IN))
    figure, grid = panel_grid(len(drawn), 3, height_in, between_in=_BETWEEN_IN)
    figure.subplots_adjust(left=LEFT)
    for row, one in zip(grid, drawn, strict=True):
        for axes, plane in zip(row, _PLANES, strict=True):
            _panel(axes, one, plane)
        row[0].set_title(f"Partner {one.result.partner}: {one.state}", fontweight="bold")
    entries = [("line", FILTER, "best orbit; ● end"), ("band", FILTER_BAND, "3 σ at the end")]
    if any(one.mirror and one.result.ambiguous for one in drawn):
        entries.append(("line", MIRROR, "mirror"))
    if any(len(one.orbits) > (2 if one.result.ambiguous else 1) for one in drawn):
        entries.append(("dotted", MIRROR, "further or excluded orbits"))
    if any_truth(drawn):
        entries.append(("dashed", INK, "truth"))
    traces.legend(figure, entries)
    return Chart(
        _NAME,
        _TITLE,
        "Where partners are, seen from our satellite (+), which flies to the right of the first two panels of each "
        "row: radial is upwards from the Earth, transverse along the orbit, normal along its angular momentum. Both "
        "axes of a panel have one scale. Undisturbed motion is an ellipse of 2 by 1 in the plane of transverse and "
        "radial, which drifts along the orbit when the periods differ. A mirror image has the same distances at all "
        "times, so ranges alone tell it from the best orbit slowly or not at all.",
        "A mirror that is not excluded (fixes of the partner would decide), an ellipse of 3 σ as large as the motion"
        + (", a truth that follows another orbit than the best." if any_truth(drawn) else "."),
        to_svg(figure, _NAME, "Relative motion of the partners in the planes of radial, transverse and normal"),
    )


def _places(one: JudgedPartner) -> FloatArray:
    """Of all that is drawn, our satellite included, (k, 3)."""
    every = [judged.orbit.rtn[:, :3] for judged in one.orbits]
    true = one.result.true_track[:, :3]
    return np.concatenate([np.zeros((1, 3)), *every, true[np.isfinite(true[:, 0])]])


def _height(one: JudgedPartner) -> float:
    """Of the panels in which the motion along the orbit fills the width, in inches."""
    extent = np.ptp(_places(one), axis=0)
    return float(_WIDTH_IN * max(extent[0], extent[2]) / max(extent[1], extent[2], 1.0))


def _panel(axes: Axes, one: JudgedPartner, plane: tuple[int, int]) -> None:
    right, up = plane
    places = _places(one)
    centre, extent = 0.5 * (places.min(axis=0) + places.max(axis=0)), np.ptp(places, axis=0)
    width, height = axes.bbox.size
    scale = 0.5 * _ROOM * max(extent[right] / width, extent[up] / height, 1.0 / width)
    axes.set_xlim(centre[right] - scale * width, centre[right] + scale * width)
    axes.set_ylim(centre[up] - scale * height, centre[up] + scale * height)
    axes.set_aspect("equal")
    for one_axis in (axes.xaxis, axes.yaxis):
        one_axis.set_major_locator(MaxNLocator(_TICKS))
    axes.set_xlabel(f"{_AXES[right]} [m]", labelpad=1.0)
    axes.set_ylabel(f"{_AXES[up]} [m]", labelpad=1.0)
    for number, judged in reversed(list(enumerate(one.orbits))):
        track = judged.orbit.rtn
        colour = MIRROR if number else FILTER
        possible = number < 2 and (one.result.ambiguous or not number)
        style = "-" if possible else (0, (1, 2))
        axes.plot(track[:, right], track[:, up], color=colour, linewidth=0.9, linestyle=style, zorder=2.0)
        axes.plot(track[-1, right], track[-1, up], "o", color=colour, markersize=3.4, markeredgewidth=0.0, zorder=2.5)
    best = one.orbits[0].orbit
    axes.add_patch(_ellipse(best.rtn[-1], best.covariance_rtn[-1], plane))
    true = one.result.true_track
    axes.plot(true[:, right], true[:, up], color=INK, linewidth=0.8, linestyle=(0, (4, 3)), zorder=2.2)
    axes.axhline(0.0, color=MUTED, linewidth=0.4, zorder=0.5)
    axes.axvline(0.0, color=MUTED, linewidth=0.4, zorder=0.5)
    axes.plot(0.0, 0.0, "+", color=INK, markersize=7.0, markeredgewidth=1.1, zorder=3.0)


def _ellipse(state: FloatArray, covariance: FloatArray, plane: tuple[int, int]) -> Ellipse:
    """Three standard deviations around a place."""
    values, vectors = np.linalg.eigh(covariance[np.ix_(plane, plane)])
    short, long = 2.0 * _SIGMAS * np.sqrt(np.maximum(values, 0.0))
    angle = float(np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1])))
    centre = (float(state[plane[0]]), float(state[plane[1]]))
    return Ellipse(centre, float(long), float(short), angle=angle, color=FILTER_BAND, linewidth=0.0, zorder=1.0)
