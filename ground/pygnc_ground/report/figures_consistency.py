"""Figure: normalised squares over time against their chi-square bands."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes

from pygnc_ground.orbit.consistency import band, nis_consistency
from pygnc_ground.orbit.solution import FloatArray, IntArray
from pygnc_ground.report import traces
from pygnc_ground.report.comparison import Estimate
from pygnc_ground.report.consistency import running_mean
from pygnc_ground.report.drawing import Chart, panel_grid, to_svg
from pygnc_ground.report.palette import FILTER, FILTER_BAND, LIMIT, OF_ESTIMATE, REJECTED
from pygnc_ground.report.time_axis import TimeAxis
from pygnc_ground.report.traces import Trace
from pygnc_ground.report.wording import number, percent

_TITLE: Final = "Consistency"
_FULL_DOF: Final = 6
_LEAST_TOP: Final = 4.0


@dataclass(frozen=True, slots=True, eq=False)
class Squares:
    """Normalised squares of one panel, in order of time, all (k,)."""

    name: str
    colour: str
    independent: bool
    """Whether neighbouring squares are, so that the mean has a band"""
    hours: FloatArray
    squares: FloatArray
    dof: IntArray
    usual_dof: int | None
    """Of the single square whose band is drawn; None where they differ too much for one"""


def normalised_squares(found: Sequence[Estimate], time: TimeAxis) -> Chart:
    """NIS of the filter and, with a truth, NEES of all estimates."""
    filtered = found[0]
    rows = time.order[np.isfinite(filtered.solution.nis[time.order]) & (filtered.solution.dof[time.order] > 0)]
    shown = [
        Squares(
            name="NIS of the filter",
            colour=FILTER,
            independent=True,
            hours=time.hours[rows],
            squares=filtered.solution.nis[rows],
            dof=filtered.solution.dof[rows],
            usual_dof=_FULL_DOF,
        )
    ]
    shown += [_nees(one, time) for one in found if one.errors is not None]
    return squares_chart(shown, time, "consistency", "record")


def squares_chart(squares: Sequence[Squares], time: TimeAxis, name: str, what: str) -> Chart:
    """A panel for each kind of squares, of which each belongs to a record, or whatever `what` says."""
    shown = [one for one in squares if len(one.hours)]
    if not shown:
        return Chart(name, _TITLE, f"No {what} was compared with a prediction.", "", Markup())
    figure, grid = panel_grid(len(shown), 1, 1.35)
    panels = [row[0] for row in grid]
    for axes, one in zip(panels, shown, strict=True):
        _panel(axes, time, one)
    figure.subplots_adjust(hspace=0.24)
    time.label_axes(panels, bottom=panels[-1:])
    entries = [
        ("dot", FILTER, f"one {what}"),
        ("line", FILTER, "running mean"),
        ("band", FILTER_BAND, "95 % band of the running mean"),
        ("arrow", REJECTED, "beyond the panel"),
    ]
    usual = sorted({one.usual_dof for one in shown if one.usual_dof is not None})
    entries += [("dashed", LIMIT, f"95 % band of one {what} ({dof} degrees of freedom)") for dof in usual]
    traces.legend(figure, entries)
    return Chart(
        name,
        _TITLE,
        "Squares of innovations (NIS) and, with a truth, of errors (NEES), each over its covariance and per degree of "
        "freedom. They should scatter around 1. Innovations of a consistent filter are independent, so their mean "
        "has a band; errors of neighbouring states are alike, so a mean NEES may wander farther.",
        "A mean that stays above the band (sigmas too small: the filter trusts itself too much) or below it (too "
        "large: it uses less of the data than it could); a step or a trend (something changed in flight).",
        to_svg(figure, name, "Normalised innovations and errors squared over time with chi-square bands"),
    )


def nees_squares(name: str, known: Trace, dof: int) -> Squares:
    """The errors of one estimate, in `known` as normalised squares of `dof` degrees of freedom each."""
    return Squares(
        name=f"NEES of the {name}",
        colour=OF_ESTIMATE[name],
        independent=False,
        hours=known.hours,
        squares=known.values,
        dof=np.full(len(known.hours), dof),
        usual_dof=dof,
    )


def _nees(one: Estimate, time: TimeAxis) -> Squares:
    squares = np.full(len(time.hours), np.nan)
    if one.errors is not None:
        squares[one.errors.row] = one.errors.nees
    return nees_squares(one.name, traces.trace(time, squares), _FULL_DOF)


def _panel(axes: Axes, time: TimeAxis, one: Squares) -> None:
    per_dof = one.squares / one.dof
    axes.set_ylim(0.0, max(_LEAST_TOP, traces.limit_around(per_dof, share=0.95)))
    axes.set_ylabel(f"{one.name[:4]} / dof [1]")
    mean = running_mean(one.squares, one.dof)
    hours = one.hours[mean.middle]
    if one.independent:
        traces.band(axes, time, Trace(hours, mean.high), FILTER_BAND, low=mean.low)
    if one.usual_dof is not None:
        limits = band(one.usual_dof, 1)
        traces.level(axes, limits.low / one.usual_dof, limits.high / one.usual_dof)
    top = axes.get_ylim()[1]
    traces.dots(axes, Trace(one.hours, per_dof), one.colour)
    traces.rejected(axes, Trace(one.hours[per_dof > top], per_dof[per_dof > top]))
    traces.line(axes, time, Trace(hours, mean.mean), one.colour, width=1.6)
    axes.set_title(_in_words(one))


def _in_words(one: Squares) -> str:
    whole = nis_consistency(one.squares, one.dof)
    low, high = whole.band_per_dof
    of_mean = f" (95 % band {number(low)} to {number(high)})" if one.independent else ""
    return (
        f"{one.name}: mean {number(whole.mean_per_dof)} per degree of freedom{of_mean}, "
        f"{percent(whole.fraction_inside)} of {whole.count} inside the 95 % band of one"
    )
