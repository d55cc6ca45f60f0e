"""Figures of the campaign report."""

import textwrap
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from pygnc_ground.campaign.statistics import Difference, Estimator, Group, Sensitivity
from pygnc_ground.orbit.consistency import band
from pygnc_ground.orbit.solution import FloatArray
from pygnc_ground.report.style import (
    LIMIT,
    OF_ESTIMATE,
    REJECTED,
    SHADE,
    Drawing,
    panel_grid,
)
from pygnc_ground.report.traces import legend, level, logarithmic

_GROUPS_MAX: Final = 24
_PARAMETERS_MAX: Final = 6
_ROW_IN: Final = 0.17
_LABEL_CHARACTERS: Final = 27
_WIDE_LABEL_CHARACTERS: Final = 47
_LEFT_IN: Final = 1.75
"""Left margin for labels of groups; those with the names of estimators need twice as much."""
_CROSSES_MAX: Final = 400
_POINTS_MAX: Final = 4000
_PARTS: Final = 6
"""Parts of the runs whose medians are connected."""


def distributions(groups: Sequence[Group], estimators: Sequence[Estimator], *, over_bound: bool = False) -> Drawing:
    """Draw the errors of the runs, or their ratios to the bounds: a panel per kind, a row per group and estimator."""

    def values(group: Group, estimator: Estimator) -> FloatArray:
        error = group.values(estimator.column("error"))
        figures = error / group.values(estimator.column("bound")) if over_bound else error
        return figures[np.isfinite(figures)]

    shown = [each for each in estimators if any(len(values(group, each)) for group in groups)]
    if not shown:
        return "No run has a bound; name it in estimators.bounds." if over_bound else "No run has an error."
    some = groups[:_GROUPS_MAX]
    kinds = list(dict.fromkeys(each.kind for each in shown))
    height_in = len(some) * (len(shown) // len(kinds) + 1.4) * _ROW_IN + 0.5
    figure, (panels,) = panel_grid(1, len(kinds), height_in, left_in=_LEFT_IN)
    for axes in panels[1:]:
        axes.tick_params(labelleft=False)
    for kind, axes in zip(kinds, panels, strict=True):
        of_kind = [each for each in shown if each.kind == kind]
        labels: list[tuple[float, str]] = []
        row = 0.0
        for group in some:
            begin = row
            for each in of_kind:
                _distribution(axes, row, values(group, each), OF_ESTIMATE[each.name])
                row += 1.0
            labels.append(((begin + row - 1.0) / 2.0, _label(group.name)))
            row += 0.8
        _logarithmic_rows(axes, labels, row)
        unit = "bound" if over_bound else of_kind[0].unit
        axes.set_title(f"{kind}, error over bound" if over_bound else f"{kind} error, {unit}")
        if over_bound:
            axes.axvline(1.0, color=LIMIT, linewidth=0.8, linestyle=(0, (4, 2)))
    names = list(dict.fromkeys(each.name for each in shown))
    entries = [("line and dot", OF_ESTIMATE[name], name) for name in names]
    legend(figure, [*entries, ("cross", REJECTED, "runs beyond nine tenths")])
    return figure


def _distribution(axes: Axes, row: float, values: FloatArray, colour: str) -> None:
    if not len(values):
        return
    low, first, middle, third, high = np.percentile(values, (5.0, 25.0, 50.0, 75.0, 95.0))
    axes.plot((low, high), (row, row), color=colour, linewidth=0.9)
    axes.plot((first, third), (row, row), color=colour, linewidth=3.6, solid_capstyle="butt")
    axes.plot(middle, row, "o", color=colour, markersize=4.4, markeredgewidth=0.8, markeredgecolor=SHADE)
    beyond = _some(np.sort(values[(values < low) | (values > high)]), _CROSSES_MAX)
    axes.plot(beyond, np.full(len(beyond), row), "x", color=REJECTED, markersize=2.8, markeredgewidth=0.7)


def _some(values: FloatArray, most: int) -> FloatArray:
    """Return at most `most` evenly spaced rows, the first and the last one included."""
    return values if len(values) <= most else values[np.linspace(0, len(values) - 1, most).astype(np.int64)]


def _logarithmic_rows(axes: Axes, labels: Sequence[tuple[float, str]], rows: float) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    low, high = axes.get_xlim()
    if high > 5.0 * low:
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        axes.xaxis.set_minor_formatter(StrMethodFormatter("{x:g}"))
    axes.set_ylim(rows - 0.3, -1.2)
    axes.set_yticks([place for place, _ in labels], [text for _, text in labels])
    axes.grid(visible=False, axis="y")


def _label(name: str, width: int = _LABEL_CHARACTERS) -> str:
    """Return the name of a group in at most two lines."""
    return "\n".join(textwrap.wrap(name, width, max_lines=2, placeholder="…"))


def over_time(series: Sequence[tuple[Estimator, pl.DataFrame]]) -> Drawing:
    """Draw error, sigma and bound over time, one panel per kind of estimator."""
    lines: dict[str, dict[str, Any]] = {
        "error": {"linewidth": 1.1},
        "sigma": {"linestyle": (0, (3, 1.5))},
        "bound": {"linestyle": (0, (1, 2))},
    }
    drawing = _over_time(series, [("RMS error, {unit}", lines)])
    if isinstance(drawing, Figure):
        for axes in drawing.axes:
            logarithmic(axes)
    return drawing


def consistency_over_time(series: Sequence[tuple[Estimator, pl.DataFrame]]) -> Drawing:
    """Draw mean NEES and NIS over time with the band of the NEES, a column of panels per kind of estimator."""
    rows = [(f"{name.upper()} per degree of freedom", {name: {"linewidth": 1.1}}) for name in ("nees", "nis")]
    drawing = _over_time(series, rows)
    if isinstance(drawing, Figure):
        shown = [(each, one) for each, one in series if one.height]
        kinds = list(dict.fromkeys(each.kind for each, _ in shown))
        for number, kind in enumerate(kinds):
            runs = max(int(one["runs"].to_numpy().max()) for each, one in shown if each.kind == kind)
            dof = next(each.dof for each, _ in shown if each.kind == kind)
            low, high = (limit / dof for limit in band(dof, runs))
            drawing.axes[number].axhspan(low, high, color=SHADE, zorder=0.1)
            for axes in (drawing.axes[number], drawing.axes[len(kinds) + number]):
                level(axes, 1.0)
                bottom, top = axes.get_ylim()
                axes.set_ylim(min(bottom, 0.5), max(top, 1.5))
    return drawing


def _over_time(
    series: Sequence[tuple[Estimator, pl.DataFrame]], rows: Sequence[tuple[str, dict[str, dict[str, Any]]]]
) -> Drawing:
    """Draw rows of panels; each row has a title and the style of the line of each quantity by its name."""
    shown = [(each, one) for each, one in series if one.height]
    if not shown:
        return "No run is finished."
    kinds = list(dict.fromkeys(each.kind for each, _ in shown))
    figure, panels = panel_grid(len(rows), len(kinds), 1.6, between_in=0.32)
    for (title, quantities), line in zip(rows, panels, strict=True):
        for kind, axes in zip(kinds, line, strict=True):
            for each, one in shown:
                if each.kind == kind:
                    marker = "o" if one.height == 1 else ""  # a line through one bin is invisible
                    for quantity, style in quantities.items():
                        colour = OF_ESTIMATE[each.name]
                        axes.plot(one["hours"], one[quantity], color=colour, marker=marker, markersize=3.0, **style)
            unit = next(each.unit for each, _ in shown if each.kind == kind)
            axes.set_title(f"{kind}: {title.format(unit=unit)}")
    for line in panels[:-1]:
        for axes in line:
            axes.tick_params(labelbottom=False)
    for axes in panels[-1]:
        axes.set_xlabel("hours after the start; of predictions, after the newest estimate")
    names = list(dict.fromkeys(each.name for each, _ in shown))
    legend(figure, [("line", OF_ESTIMATE[name], name) for name in names])
    return figure


def sensitivity(found: Sequence[Sensitivity]) -> Drawing:
    """Draw the errors of the flight software over the varied numbers, the strongest dependences first."""
    filters = [one for one in found if one.estimator.is_of_flight]
    names = list(dict.fromkeys(one.parameter for one in filters))[:_PARAMETERS_MAX]
    if not names:
        return "The campaign varies no number, or too few runs are finished."
    kinds = list(dict.fromkeys(one.estimator.kind for one in filters))
    figure, panels = panel_grid(len(names), len(kinds), 1.15, between_in=0.42)
    for name, line in zip(names, panels, strict=True):
        for kind, axes in zip(kinds, line, strict=True):
            unit = next(one.estimator.unit for one in filters if one.estimator.kind == kind)
            axes.set_title(f"{kind} error, {unit}, over {name}")
            for one in filters:
                if (one.parameter, one.estimator.kind) == (name, kind):
                    _scatter(axes, one)
    return figure


def _scatter(axes: Axes, one: Sensitivity) -> None:
    colour = OF_ESTIMATE[one.estimator.name]
    shown = _some(np.column_stack((one.values, one.errors)), _POINTS_MAX)
    axes.plot(shown[:, 0], shown[:, 1], "o", color=colour, markersize=1.8, markeredgewidth=0.0, alpha=0.6)
    distinct = np.unique(one.values)
    if len(distinct) <= _PARTS:
        parts = [one.values == value for value in distinct]
    else:
        edges = np.quantile(one.values, np.linspace(0.0, 1.0, _PARTS + 1))
        parts = [(one.values >= low) & (one.values <= high) for low, high in pairwise(edges.tolist())]
    middles = [(np.median(one.values[part]), np.median(one.errors[part])) for part in parts]
    axes.plot(*zip(*middles, strict=True), color=LIMIT, linewidth=1.2)
    if one.errors.max() > 20.0 * one.errors.min() > 0.0:
        logarithmic(axes)


def comparison(found: Sequence[Difference]) -> Drawing:
    """Draw the ratio of the errors of two campaigns with confidence intervals."""
    if not found:
        return "The campaigns have no group and no estimator in common."
    shown = found[: 2 * _GROUPS_MAX]
    figure, ((axes,),) = panel_grid(1, 1, 1.5 * _ROW_IN * len(shown) + 0.2, left_in=2.0 * _LEFT_IN)
    for row, one in enumerate(shown):
        colour = OF_ESTIMATE[one.estimator.name]
        axes.plot(one.ratio_band, (row, row), color=colour, linewidth=1.6)
        axes.plot(one.ratio, row, "o", color=colour, markersize=4.0)
    axes.axvline(1.0, color=LIMIT, linewidth=0.8, linestyle=(0, (4, 2)))
    axes.set_ylim(len(shown) - 0.4, -0.6)
    texts = [_label(f"{one.group}, {one.estimator.label}", _WIDE_LABEL_CHARACTERS) for one in shown]
    axes.set_yticks(range(len(shown)), texts)
    axes.set_title("error of this campaign over that of the other")
    return figure
