"""Drawing over the time axis: lines, bands, dots, marks of rejected records, legends, decimation of points."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, PathPatch
from matplotlib.path import Path as Outline
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from pygnc_ground.orbit.solution import BoolArray, FloatArray, IntArray
from pygnc_ground.report.axes import TimeAxis
from pygnc_ground.report.style import FILTER, LIMIT, MUTED, REJECTED

_GOLDEN: Final = 0.6180339887498949
"""Golden ratio; the fractional parts of its multiples fill the interval evenly and without a period."""


def extremes(y: FloatArray, bins: int) -> IntArray:
    """Return the ascending indices of the minimum and maximum in each of at most `bins` runs of equal length.

    All indices are returned if there are at most two per bin. `y` is (n,) and finite. Peaks survive, so that an outlier
    among thousands of points stays visible.
    """
    if len(y) <= 2 * bins:
        return np.arange(len(y))
    length = -(-len(y) // bins)
    runs = -(-len(y) // length)
    padded = np.pad(y, (0, runs * length - len(y)), mode="edge").reshape(runs, length)
    begin = np.arange(runs) * length
    picked = np.concatenate((begin + padded.argmin(axis=1), begin + padded.argmax(axis=1), [0, len(y) - 1]))
    return np.unique(np.minimum(picked, len(y) - 1))


def scattered(y: FloatArray, bins: int) -> IntArray:
    """Return the ascending indices of at most about two values per bin: peaks as `extremes`, the others scattered.

    Extremes alone would leave the middle of noise empty. `y` is (n,) and finite.
    """
    if len(y) <= 2 * bins:
        return np.arange(len(y))
    runs = 7 * bins // 4
    edges = np.arange(runs + 1) * len(y) // runs
    within = np.arange(runs) * _GOLDEN % 1.0
    drawn = edges[:-1] + (within * np.diff(edges)).astype(np.int64)
    return np.unique(np.concatenate((drawn, extremes(y, max(1, bins // 8)))))


_LINE_BINS: Final = 300
_DOT_BINS: Final = 600
_BAND_BINS: Final = 150
_CROSS_BINS: Final = 150
_UNDER, _OVER = 0.9, 2.0
"""Z-order of lines; dots are between the two."""
_ARROW_INSET: Final = 0.035
_RESTARTS_MAX: Final = 50
_KINDS: Final[dict[str, dict[str, Any]]] = {
    "line": {},
    "dashed": {"linestyle": (0, (3, 1.5))},
    "dotted": {"linestyle": (0, (1, 2))},
    "dot": {"linestyle": "", "marker": "o", "markersize": 2.6, "markeredgewidth": 0.0},
    "cross": {"linestyle": "", "marker": "x", "markersize": 3.6, "markeredgewidth": 0.9},
    "arrow": {"linestyle": "", "marker": "^", "markersize": 3.6, "markeredgewidth": 0.9},
    "triangle": {"linestyle": "", "marker": "v", "markersize": 3.6},
    "line and dot": {"marker": "o", "markersize": 3.6},
}
"""Style of the marks in a legend besides "band" and "shade"."""


class Trace(NamedTuple):
    """Finite values over ascending hours, both of shape (k,)."""

    hours: FloatArray
    values: FloatArray


def trace(time: TimeAxis, values: FloatArray, rows: IntArray | None = None) -> Trace:
    """Return the finite values of all records (n,), or of the records `rows`, both (k,), in time order."""
    column = values
    if rows is not None:
        column = np.full(len(time.hours), np.nan)
        column[rows] = values
    ordered = column[time.order]
    finite = np.isfinite(ordered)
    return Trace(time.hours[time.order][finite], ordered[finite])


def line(
    axes: Axes,
    time: TimeAxis,
    shown: Trace,
    colour: str,
    *,
    width: float = 0.9,
    dashed: bool = False,
    under: bool = False,
) -> None:
    """Draw a line with gaps, optionally under dots; a value between two gaps becomes a dot."""
    picked = _with_breaks(time, shown, _LINE_BINS)
    hours, values = np.append(shown.hours, np.nan)[picked], np.append(shown.values, np.nan)[picked]
    style = (0, (3, 1.5)) if dashed else "-"
    axes.plot(hours, values, color=colour, linewidth=width, linestyle=style, zorder=_UNDER if under else _OVER)
    lone = isolated(values)
    if lone.any():
        axes.plot(hours[lone], values[lone], "o", color=colour, markersize=2.0 * width, markeredgewidth=0.0)


def isolated(values: FloatArray) -> BoolArray:
    """Return True for each value, shape (k,), without a finite neighbour, which a line would not show."""
    finite = np.isfinite(np.concatenate(([np.nan], values, [np.nan])))
    return np.asarray(finite[1:-1] & ~finite[:-2] & ~finite[2:])


def band(axes: Axes, time: TimeAxis, shown: Trace, colour: str, *, low: FloatArray | None = None) -> None:
    """Fill the area between the trace and `low`, of equal length, or between plus and minus the trace."""
    picked = _with_breaks(time, shown, _BAND_BINS)
    hours, values = np.append(shown.hours, np.nan)[picked], np.append(shown.values, np.nan)[picked]
    below = -values if low is None else np.append(low, np.nan)[picked]
    axes.fill_between(hours, below, values, color=colour, linewidth=0.0, alpha=0.75)


def dots(axes: Axes, shown: Trace, colour: str, *, size: float = 1.8, bins: int = _DOT_BINS) -> None:
    """Draw a dot per value within the limits of the axes, which must be set; many values are thinned.

    One path with zero-length strokes and round ends takes a tenth of the size of markers.
    """
    low, high = axes.get_ylim()
    picked = scattered(shown.values, bins)
    few = Trace(shown.hours[picked], shown.values[picked])
    inside = (few.values >= low) & (few.values <= high)
    points = np.repeat(np.column_stack((few.hours[inside], few.values[inside])), 2, axis=0)
    codes = np.tile((Outline.MOVETO, Outline.LINETO), len(points) // 2)
    if not len(points):
        return
    outline = Outline(points, codes)
    outline.should_simplify = False
    axes.add_artist(PathPatch(outline, facecolor="none", edgecolor=colour, linewidth=size, capstyle="round"))


def rejected(axes: Axes, shown: Trace) -> None:
    """Draw crosses, and arrowheads at the edge for values beyond the limits of the axes, which must be set."""
    low, high = axes.get_ylim()
    inset = _ARROW_INSET * (high - low)
    picked = extremes(shown.values, _CROSS_BINS)
    few = Trace(shown.hours[picked], shown.values[picked])
    above, below = few.values > high, few.values < low
    shapes = ((~above & ~below, "x", few.values), (above, "^", high - inset), (below, "v", low + inset))
    for chosen, marker, value in shapes:
        if chosen.any():
            heights = np.broadcast_to(value, few.hours.shape)[chosen]
            axes.plot(few.hours[chosen], heights, marker, color=REJECTED, markersize=3.6, markeredgewidth=0.9)


def level(axes: Axes, *values: float) -> None:
    """Draw a level line per value in the colour of limits."""
    for value in values:
        axes.axhline(value, color=LIMIT, linewidth=0.8, linestyle=(0, (4, 2)))


Entry: TypeAlias = tuple[str, str, str]
"""Entry of a legend: kind of mark ("band", "shade" or a key of `_KINDS`), colour, meaning."""
REJECTED_ENTRIES: Final = (
    ("dot", FILTER, "used"),
    ("cross", REJECTED, "rejected"),
    ("arrow", REJECTED, "rejected, beyond the panel"),
)


def legend(figure: Figure, entries: Sequence[Entry], *, top: float = 1.0) -> None:
    """Draw one legend above all panels, with its upper edge at the fraction `top` of the height of the figure."""
    figure.legend(
        [_handle(kind, colour) for kind, colour, _ in entries],
        [text for _, _, text in entries],
        loc="upper left",
        bbox_to_anchor=(0.0, top),
        ncols=len(entries),
        columnspacing=1.6,
        handlelength=1.6,
        handletextpad=0.6,
        borderaxespad=0.0,
    )


def _handle(kind: str, colour: str) -> Artist:
    if kind == "band":
        return Patch(facecolor=colour, alpha=0.75, linewidth=0.0)
    if kind == "shade":
        return Patch(facecolor=colour)
    return Line2D([], [], color=colour, **_KINDS[kind])


def finish(figure: Figure, time: TimeAxis, entries: Sequence[Entry], restarted: BoolArray | None = None) -> Figure:
    """Apply the time axis to all panels, draw the legend and return the figure.

    The lowest row of panels gets the labels. Records at which the filter `restarted`, flags of shape (n,), get a dotted
    vertical line.
    """
    panels = figure.axes
    places = [(axes, axes.get_subplotspec()) for axes in panels]
    time.label_axes(panels, bottom=[axes for axes, place in places if place is not None and place.is_last_row()])
    if restarted is not None:
        hours = time.hours[restarted]
        for hour in hours[np.isfinite(hours)][:_RESTARTS_MAX]:
            for axes in panels:
                axes.axvline(hour, color=MUTED, linewidth=0.7, linestyle=(0, (1, 2)))
    legend(figure, entries)
    return figure


class Components(NamedTuple):
    """Vectors over time with standard deviations, drawn with one panel per component.

    Attributes:
        time: Time axis of n records.
        values: Components, in the unit of the panels, shape (k, 3).
        sigmas: Standard deviations of the components, in the unit of the panels, shape (k, 3).
        rows: Indices of the records, shape (k,); None for all n records.
        colour: Colour of the lines.
        band_colour: Colour of the 3-sigma bands; None for no bands.
        dashed: True for dashed lines.
    """

    time: TimeAxis
    values: FloatArray
    sigmas: FloatArray
    rows: IntArray | None
    colour: str
    band_colour: str | None
    dashed: bool = False


def common_limit(series: Sequence[Components], sigmas_share: float, values_share: float) -> float:
    """Return a limit that covers a share of the 3-sigma bounds and of the values of each series."""
    bounds, values = [3.0 * one.sigmas for one in series], [one.values for one in series]
    return max(limit_around(*bounds, share=sigmas_share), limit_around(*values, share=values_share))


def components(panels: Sequence[Axes], series: Sequence[Components], limit: float) -> None:
    """Draw three panels from -limit to limit with the 3-sigma bands and the lines of all series."""
    for k, axes in enumerate(panels):
        axes.set_ylim(-limit, limit)
        for one in series:
            if one.band_colour is not None:
                band(axes, one.time, trace(one.time, 3.0 * one.sigmas[:, k], one.rows), one.band_colour)
        for one in series:
            line(axes, one.time, trace(one.time, one.values[:, k], one.rows), one.colour, dashed=one.dashed)


def used_and_rejected(axes: Axes, time: TimeAxis, used: BoolArray, values: FloatArray) -> None:
    """Draw used values as dots and the others as crosses, both shape (n,); the limits of the axes must be set."""
    dots(axes, trace(time, np.where(used, values, np.nan)), FILTER)
    rejected(axes, trace(time, np.where(used, np.nan, values)))


def limit_around(*values: FloatArray, share: float) -> float:
    """Return a limit that covers a share of the finite absolute values of each array, with a margin; 1 if empty."""
    finite = [np.abs(array[np.isfinite(array)]) for array in values]
    quantiles = [float(np.quantile(array, share)) for array in finite if array.size]
    largest = max(quantiles, default=0.0)
    return 1.25 * largest if largest > 0.0 else 1.0


def _with_breaks(time: TimeAxis, shown: Trace, bins: int) -> IntArray:
    """Return the indices of the values to draw, thinned; -1 marks a gap."""
    pieces: list[IntArray] = []
    for part in np.split(np.arange(len(shown.hours)), np.flatnonzero(time.starts_after_gap(shown.hours))):
        share = max(2, round(bins * len(part) / max(1, len(shown.hours))))
        pieces += [part[extremes(shown.values[part], share)], np.array([-1])]
    return np.concatenate(pieces)


_WIDE: Final = 8.0
"""Above this ratio of maximum to median, the scale is logarithmic."""
_FEW_DECADES: Final = 30.0


def length_scale(axes: Axes, values: Sequence[FloatArray]) -> None:
    """Set a scale from zero, or a logarithmic one if values differ widely, with a margin."""
    every = np.concatenate([one.ravel() for one in values])
    every = every[np.isfinite(every) & (every > 0.0)]
    if not len(every):
        return
    low, high = float(every.min()), float(every.max())
    if high <= _WIDE * float(np.median(every)):
        axes.set_ylim(0.0, 1.25 * high)
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        return
    axes.set_ylim(0.6 * low, 1.7 * high)
    logarithmic(axes, (1.0, 2.0, 5.0) if high < _FEW_DECADES * low else (1.0,))


def logarithmic(axes: Axes, labelled: Sequence[float] = (1.0, 2.0, 5.0)) -> None:
    """Set a logarithmic scale with ticks at multiples of powers of ten; `labelled` holds the factors, from 1 to 10."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=labelled))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
