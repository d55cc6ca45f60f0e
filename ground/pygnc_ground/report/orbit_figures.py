"""Figures of the orbit: errors against truth, filter minus smoother, formal accuracy, consistency, innovations."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from pygnc_ground.orbit.consistency import band, nis_consistency
from pygnc_ground.orbit.solution import BoolArray, FloatArray, IntArray
from pygnc_ground.replay.result import ReplayResult
from pygnc_ground.report import traces
from pygnc_ground.report.axes import TimeAxis
from pygnc_ground.report.comparison import ComparedOrbit, RtnSeries, error_series, running_mean
from pygnc_ground.report.style import (
    BAND_OF_ESTIMATE,
    FILTER,
    FILTER_BAND,
    LIMIT,
    MUTED,
    OF_ESTIMATE,
    REJECTED,
    Chart,
    panel_grid,
    to_svg,
)
from pygnc_ground.report.traces import Trace
from pygnc_ground.report.wording import number, percent

_AXES: Final = ("radial", "transverse", "normal")
_MM: Final = 1e3


def errors(result: ReplayResult, found: Sequence[ComparedOrbit], time: TimeAxis) -> Chart:
    """Plot radial, transverse and normal errors of all estimators, with 3-sigma bounds of filter and smoother."""
    title = "Position and velocity error against truth"
    series = {one.name: error_series(one.errors) for one in found if one.errors is not None and len(one.errors)}
    if not series:
        see = "No estimate lies in the time span of the truth."
        return Chart("errors", title, see, "", Markup())
    figure, panels = _six_panels()
    _set_limits(panels, list(series.values()))
    entries = []
    for name, one in series.items():
        if name in BAND_OF_ESTIMATE:
            _bands(panels, time, one, BAND_OF_ESTIMATE[name])
            entries.append(("band", BAND_OF_ESTIMATE[name], f"3 σ of the {name}"))
    for name, one in series.items():
        _lines(panels, time, one, OF_ESTIMATE[name], dashed=name == "batch")
        entries.append(("dashed" if name == "batch" else "line", OF_ESTIMATE[name], name))
    every = [axes for row in panels for axes in row]
    time.label_axes(every, bottom=panels[2])
    traces.restarts(every, time, result.fixes.restarted)
    traces.legend(figure, entries)
    return Chart(
        "errors",
        title,
        "Estimate minus truth along radial, transverse (along track) and normal, with the 3-sigma bounds of the "
        "estimate's own covariance (not drawn for the batch). The wide bounds after a start are cut off.",
        "Errors outside the band for longer than a few records (covariance too small); a band much wider than the "
        "errors (covariance too large); a transverse error that grows steadily (drag); an oscillation once per "
        "orbit (gravity or frames); a smoother that is no better than the filter.",
        to_svg(figure, "errors", "Position and velocity errors over time with 3-sigma bounds"),
    )


def smoothing(result: ReplayResult, difference: RtnSeries | None, time: TimeAxis) -> Chart:
    """Plot filter minus smoother with the bounds that follow from both covariances."""
    title = "Filter minus smoother"
    if difference is None or not len(difference.row):
        see = "There is no smoother solution to compare with."
        return Chart("smoothing", title, see, "", Markup())
    figure, panels = _six_panels()
    _set_limits(panels, [difference])
    _bands(panels, time, difference, FILTER_BAND)
    _lines(panels, time, difference, FILTER)
    every = [axes for row in panels for axes in row]
    time.label_axes(every, bottom=panels[2])
    traces.restarts(every, time, result.fixes.restarted)
    traces.legend(figure, [("line", FILTER, "filter minus smoother"), ("band", FILTER_BAND, "3 σ of the difference")])
    return Chart(
        "smoothing",
        title,
        "Change by later fixes along radial, transverse and normal. Its variance is the filter's minus the "
        "smoother's, so this tests both covariances without a truth (McReynolds): 99 % should lie in the band.",
        "Differences outside the band for longer than a few records: the process noise is too small, or the "
        "measurement sigmas are wrong.",
        to_svg(figure, "smoothing", "Filter minus smoother over time with the expected bounds"),
    )


def _six_panels() -> tuple[Figure, list[list[Axes]]]:
    """Return a figure with position and velocity side by side and one row per axis."""
    figure, panels = panel_grid(3, 2, 1.35)
    for column, (quantity, unit) in enumerate((("Position", "m"), ("Velocity", "mm/s"))):
        panels[0][column].set_title(quantity, fontweight="bold")
        for row, name in enumerate(_AXES):
            panels[row][column].set_ylabel(f"{name} [{unit}]")
    return figure, panels


def _columns(one: RtnSeries) -> tuple[tuple[FloatArray, FloatArray], ...]:
    """Return values and sigmas of position and velocity, each (k, 3), in the units of the panels."""
    return (one.position_m, one.position_sigma_m), (_MM * one.velocity_mps, _MM * one.velocity_sigma_mps)


def _set_limits(panels: list[list[Axes]], series: Sequence[RtnSeries]) -> None:
    """Set a common scale for the three axes that covers all bounds except the widest 10 %."""
    for column in (0, 1):
        sigmas = [3.0 * _columns(one)[column][1] for one in series]
        values = [_columns(one)[column][0] for one in series]
        limit = max(traces.limit_around(*sigmas, share=0.9), traces.limit_around(*values, share=0.95))
        for row in panels:
            row[column].set_ylim(-limit, limit)


def _bands(panels: list[list[Axes]], time: TimeAxis, one: RtnSeries, colour: str) -> None:
    for column, (_, sigma) in enumerate(_columns(one)):
        for k, row in enumerate(panels):
            traces.band(row[column], time, traces.trace(time, 3.0 * sigma[:, k], one.row), colour)


def _lines(panels: list[list[Axes]], time: TimeAxis, one: RtnSeries, colour: str, *, dashed: bool = False) -> None:
    for column, (values, _) in enumerate(_columns(one)):
        for k, row in enumerate(panels):
            traces.line(row[column], time, traces.trace(time, values[:, k], one.row), colour, dashed=dashed)


_SIGMAS_TITLE: Final = "Formal accuracy"
_QUANTITIES: Final = (("Position", slice(0, 3), 1.0, "m"), ("Velocity", slice(3, 6), 1e3, "mm/s"))


def sigmas(found: Sequence[ComparedOrbit], time: TimeAxis) -> Chart:
    """Plot the formal standard deviations of position and velocity."""
    known = [one for one in found if one.solution.known.any()]
    if not known:
        return Chart("sigmas", _SIGMAS_TITLE, "No estimator has a state.", "", Markup())
    figure, (panels,) = panel_grid(1, 2, 1.8)
    for axes, (quantity, part, scale, unit) in zip(panels, _QUANTITIES, strict=True):
        axes.set_title(quantity, fontweight="bold")
        axes.set_ylabel(f"3-D σ [{unit}]")
        axes.set_yscale("log")
        for one in known:
            sigma = scale * np.linalg.norm(one.solution.sigma_ecef[:, part], axis=1)
            shown = traces.trace(time, np.where(sigma > 0.0, sigma, np.nan))
            traces.line(axes, time, shown, OF_ESTIMATE[one.name], dashed=one.name == "batch")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    time.label_axes(panels, bottom=panels)
    entries = [("dashed" if one.name == "batch" else "line", OF_ESTIMATE[one.name], one.name) for one in known]
    traces.legend(figure, entries)
    return Chart(
        "sigmas",
        _SIGMAS_TITLE,
        "Three-dimensional standard deviations by each estimate's covariance. There is no truth to compare them with.",
        "Sigmas of the filter that keep growing (its fixes are rejected); a smoother above the filter; a batch far "
        "below the smoother (it assumes a perfect force model).",
        to_svg(figure, "sigmas", "Formal standard deviations of position and velocity over time"),
    )


_CONSISTENCY_TITLE: Final = "Consistency"
_FULL_DOF: Final = 6
_LEAST_TOP: Final = 4.0


@dataclass(frozen=True, slots=True, eq=False)
class Squares:
    """Normalised squares of one panel in time order, all (k,)."""

    name: str
    colour: str
    independent: bool
    """Whether neighbouring squares are independent, so that the band of the mean is valid"""
    hours: FloatArray
    squares: FloatArray
    dof: IntArray
    usual_dof: int | None
    """Degrees of freedom of the single squares whose band is drawn; None if they differ too much"""


def normalised_squares(found: Sequence[ComparedOrbit], time: TimeAxis) -> Chart:
    """Plot the NIS of the filter and, with a truth, the NEES of all estimators."""
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
    """Plot one panel per kind of squares; `what` names the thing to which each square belongs."""
    shown = [one for one in squares if len(one.hours)]
    if not shown:
        return Chart(name, _CONSISTENCY_TITLE, f"No {what} was compared with a prediction.", "", Markup())
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
        _CONSISTENCY_TITLE,
        "Squared innovations (NIS) and, with a truth, squared errors (NEES), each normalised by its covariance and per "
        "degree of freedom. They should scatter around 1. Innovations of a consistent filter are independent, so "
        "their mean has a band. Errors of neighbouring states are correlated, so a mean NEES may deviate further.",
        "A mean that stays above the band (sigmas too small: overconfident filter) or below it (sigmas too large: data "
        "are used less than possible); a step or a trend (something changed in flight).",
        to_svg(figure, name, "Normalised innovations and errors squared over time with chi-square bands"),
    )


def nees_squares(name: str, known: Trace, dof: int) -> Squares:
    """Return the squares of one estimate; `known` holds normalised squares with `dof` degrees of freedom each."""
    return Squares(
        name=f"NEES of the {name}",
        colour=OF_ESTIMATE[name],
        independent=False,
        hours=known.hours,
        squares=known.values,
        dof=np.full(len(known.hours), dof),
        usual_dof=dof,
    )


def _nees(one: ComparedOrbit, time: TimeAxis) -> Squares:
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


_INNOVATIONS_TITLE: Final = "Innovations"


def innovations(result: ReplayResult, time: TimeAxis) -> Chart:
    """Plot the innovations of position and velocity per axis, and their normalised length against the gate."""
    fixes = result.fixes
    used = (
        np.array([not cause for cause in fixes.position_cause], dtype=bool),
        np.array([not cause for cause in fixes.velocity_cause], dtype=bool),
    )
    if not (np.isfinite(fixes.position_chi_square).any() or np.isfinite(fixes.velocity_chi_square).any()):
        see = "The filter never had a prediction to compare a record with."
        return Chart("innovations", _INNOVATIONS_TITLE, see, "", Markup())
    gate = math.sqrt(result.settings.orbit.measurement.gate)
    figure, panels = panel_grid(4, 2, 1.2)
    position, velocity = ([row[column] for row in panels] for column in (0, 1))
    component_panels(position[:3], time, used[0], (fixes.position_innovation_m, fixes.position_innovation_sigma_m), "m")
    in_mm = (_MM * fixes.velocity_innovation_mps, _MM * fixes.velocity_innovation_sigma_mps)
    component_panels(velocity[:3], time, used[1], in_mm, "mm/s")
    distance_panel(position[3], time, used[0], fixes.position_chi_square, gate)
    distance_panel(velocity[3], time, used[1], fixes.velocity_chi_square, gate)
    position[0].set_title("Position", fontweight="bold")
    velocity[0].set_title("Velocity", fontweight="bold")
    time.label_axes([*position, *velocity], bottom=panels[3])
    traces.restarts([*position, *velocity], time, fixes.restarted)
    entries = [
        ("dot", FILTER, "used"),
        ("cross", REJECTED, "rejected"),
        ("arrow", REJECTED, "rejected, beyond the panel"),
        ("band", FILTER_BAND, "3 σ expected"),
        ("dashed", LIMIT, f"gate √χ² = {gate:.2f}"),
    ]
    if fixes.restarted.any():
        entries.append(("dotted", MUTED, "filter restarted"))
    traces.legend(figure, entries)
    return Chart(
        "innovations",
        _INNOVATIONS_TITLE,
        "Measured minus predicted along the ITRF axes with three expected standard deviations. The lowest panels "
        "show the length of each innovation in standard deviations, √χ² with 3 degrees of freedom, and the gate "
        "above which the filter rejects a measurement.",
        "Dots that drift or oscillate with the orbit (wrong force model); dots that fill only the middle of the "
        "band (sigmas too large) or exceed it (too small); consecutive rejections (the filter is lost, not the "
        "receiver).",
        to_svg(figure, "innovations", "Innovations of position and velocity over time with their expected bands"),
    )


def component_panels(
    panels: Sequence[Axes],
    time: TimeAxis,
    used: BoolArray,
    values: tuple[FloatArray, FloatArray],
    unit: str,
    *,
    names: str = "XYZ",
) -> None:
    """Plot innovation and sigma, each (n, 3), per axis with a common scale; `used` is (n,)."""
    innovation, sigma = values
    limit = max(traces.limit_around(3.0 * sigma, share=0.95), traces.limit_around(innovation[used], share=0.995))
    for k, (axes, name) in enumerate(zip(panels, names, strict=True)):
        axes.set_ylim(-limit, limit)
        axes.set_ylabel(f"{name} [{unit}]")
        traces.band(axes, time, traces.trace(time, 3.0 * sigma[:, k]), FILTER_BAND)
        _marks(axes, time, used, innovation[:, k])


def distance_panel(axes: Axes, time: TimeAxis, used: BoolArray, chi_square: FloatArray, gate: float) -> None:
    """Plot the normalised length of innovations, given as squares (n,), and the gate."""
    axes.set_ylim(0.0, 1.6 * gate)
    axes.set_ylabel("√χ² [σ]")
    _marks(axes, time, used, np.sqrt(chi_square))
    traces.level(axes, gate)


def _marks(axes: Axes, time: TimeAxis, used: BoolArray, values: FloatArray) -> None:
    traces.dots(axes, traces.trace(time, np.where(used, values, np.nan)), FILTER)
    traces.rejected(axes, traces.trace(time, np.where(used, np.nan, values)))
