"""Figures of the orbit: errors against truth, filter minus smoother, formal accuracy, consistency, innovations."""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from matplotlib.axes import Axes

from pygnc_ground.attitude.accuracy import AttitudeErrors
from pygnc_ground.orbit.consistency import band, nis_consistency
from pygnc_ground.orbit.solution import FloatArray, IntArray, OrbitErrors
from pygnc_ground.replay.result import Innovations, ReplayResult
from pygnc_ground.report import traces
from pygnc_ground.report.axes import TimeAxis
from pygnc_ground.report.comparison import ComparedOrbit, running_mean
from pygnc_ground.report.style import (
    BAND_OF_ESTIMATE,
    FILTER,
    FILTER_BAND,
    LIMIT,
    MUTED,
    OF_ESTIMATE,
    REJECTED,
    Drawing,
    panel_grid,
)
from pygnc_ground.report.traces import Components, Entry, Trace
from pygnc_ground.wording import number, percent

_AXES: Final = ("radial", "transverse", "normal")
_MM: Final = 1e3


def errors(result: ReplayResult, found: Sequence[ComparedOrbit], time: TimeAxis) -> Drawing:
    """Plot radial, transverse and normal errors of all estimators, with 3-sigma bounds of filter and smoother."""
    series = {one.name: one.errors for one in found if one.errors is not None and len(one.errors)}
    if not series:
        return "No estimate lies in the time span of the truth."
    entries = [("band", BAND_OF_ESTIMATE[name], f"3 σ of the {name}") for name in series if name in BAND_OF_ESTIMATE]
    entries += [_line_entry(name) for name in series]
    return _six_panels(result, series, time, entries)


def smoothing(result: ReplayResult, difference: OrbitErrors | None, time: TimeAxis) -> Drawing:
    """Plot filter minus smoother with the bounds that follow from both covariances."""
    if difference is None or not len(difference):
        return "There is no smoother solution to compare with."
    entries = [("line", FILTER, "filter minus smoother"), ("band", FILTER_BAND, "3 σ of the difference")]
    return _six_panels(result, {"filter": difference}, time, entries)


def _six_panels(
    result: ReplayResult, series: dict[str, OrbitErrors], time: TimeAxis, entries: Sequence[Entry]
) -> Drawing:
    """Plot position and velocity side by side, with one row per axis."""
    figure, grid = panel_grid(3, 2, 1.35)
    position = [
        _components(name, time, one, one.position_rtn_m, one.position_sigma_rtn_m) for name, one in series.items()
    ]
    velocity = [
        _components(name, time, one, _MM * one.velocity_rtn_mps, _MM * one.velocity_sigma_rtn_mps)
        for name, one in series.items()
    ]
    for column, (quantity, unit, drawn) in enumerate((("Position", "m", position), ("Velocity", "mm/s", velocity))):
        panels = [row[column] for row in grid]
        panels[0].set_title(quantity, fontweight="bold")
        for axes, name in zip(panels, _AXES, strict=True):
            axes.set_ylabel(f"{name} [{unit}]")
        traces.components(panels, drawn, traces.common_limit(drawn, 0.9, 0.95))
    return traces.finish(figure, time, entries, result.fixes.restarted)


def _components(name: str, time: TimeAxis, errors: OrbitErrors, values: FloatArray, sigmas: FloatArray) -> Components:
    return Components(
        time, values, sigmas, errors.row, OF_ESTIMATE[name], BAND_OF_ESTIMATE.get(name), dashed=name == "batch"
    )


def _line_entry(name: str) -> Entry:
    return "dashed" if name == "batch" else "line", OF_ESTIMATE[name], name


def sigmas(found: Sequence[ComparedOrbit], time: TimeAxis) -> Drawing:
    """Plot the formal standard deviations of position and velocity."""
    known = [one for one in found if one.solution.known.any()]
    if not known:
        return "No estimator has a state."
    figure, (panels,) = panel_grid(1, 2, 1.8)
    quantities = (("Position", slice(0, 3), 1.0, "m"), ("Velocity", slice(3, 6), _MM, "mm/s"))
    for axes, (quantity, part, scale, unit) in zip(panels, quantities, strict=True):
        axes.set_title(quantity, fontweight="bold")
        axes.set_ylabel(f"3-D σ [{unit}]")
        traces.logarithmic(axes)
        for one in known:
            sigma = scale * np.linalg.norm(one.solution.sigma_ecef[:, part], axis=1)
            shown = traces.trace(time, np.where(sigma > 0.0, sigma, np.nan))
            traces.line(axes, time, shown, OF_ESTIMATE[one.name], dashed=one.name == "batch")
    return traces.finish(figure, time, [_line_entry(one.name) for one in known])


_FULL_DOF: Final = 6
_TOP_MIN: Final = 4.0
"""Minimum upper end of the panels of normalised squares per degree of freedom."""


class Squares(NamedTuple):
    """Normalised squares of one panel in time order.

    Attributes:
        name: Name of the squares; its first word is the label of the panel.
        colour: Colour of the dots and of the running mean.
        independent: True if neighbouring squares are independent, so that the band of the mean is valid.
        shown: Squares over time, k values.
        dof: Degrees of freedom of each square, shape (k,).
        usual_dof: Degrees of freedom of the squares whose 95 % band is drawn; None if they differ too much.
    """

    name: str
    colour: str
    independent: bool
    shown: Trace
    dof: IntArray
    usual_dof: int | None


def normalised_squares(found: Sequence[ComparedOrbit], time: TimeAxis) -> Drawing:
    """Plot the NIS of the filter and, with a truth, the NEES of all estimators."""
    filtered = found[0].solution
    shown = [nis_squares(filtered.nis, filtered.dof, time, _FULL_DOF)]
    shown += [nees_squares(one.name, one.errors, _FULL_DOF, time) for one in found if one.errors is not None]
    return squares_figure(shown, time, "record")


def nis_squares(nis: FloatArray, dof: IntArray, time: TimeAxis, usual_dof: int | None) -> Squares:
    """Return the normalised innovations squared of a filter; `nis` and its degrees of freedom have shape (n,)."""
    rows = time.order[np.isfinite(nis[time.order]) & (dof[time.order] > 0)]
    shown = Trace(time.hours[rows], nis[rows])
    return Squares("NIS of the filter", FILTER, independent=True, shown=shown, dof=dof[rows], usual_dof=usual_dof)


def nees_squares(name: str, errors: OrbitErrors | AttitudeErrors, dof: int, time: TimeAxis) -> Squares:
    """Return the normalised errors squared of one estimate; each has `dof` degrees of freedom."""
    shown = traces.trace(time, errors.nees, errors.row)
    dofs = np.full(len(shown.hours), dof)
    return Squares(f"NEES of the {name}", OF_ESTIMATE[name], independent=False, shown=shown, dof=dofs, usual_dof=dof)


def squares_figure(squares: Sequence[Squares], time: TimeAxis, what: str) -> Drawing:
    """Plot one panel per kind of squares; `what` names the thing to which each square belongs."""
    shown = [one for one in squares if len(one.shown.hours)]
    if not shown:
        return f"No {what} was compared with a prediction."
    figure, grid = panel_grid(len(shown), 1, 1.35)
    for (axes,), one in zip(grid, shown, strict=True):
        _squares_panel(axes, time, one)
    figure.subplots_adjust(hspace=0.24)
    entries = [
        ("dot", FILTER, f"one {what}"),
        ("line", FILTER, "running mean"),
        ("band", FILTER_BAND, "95 % band of the running mean"),
        ("arrow", REJECTED, "beyond the panel"),
    ]
    usual = sorted({one.usual_dof for one in shown if one.usual_dof is not None})
    entries += [("dashed", LIMIT, f"95 % band of one {what} ({dof} degrees of freedom)") for dof in usual]
    return traces.finish(figure, time, entries)


def _squares_panel(axes: Axes, time: TimeAxis, one: Squares) -> None:
    hours, squares = one.shown.hours, one.shown.values
    per_dof = squares / one.dof
    top = max(_TOP_MIN, traces.limit_around(per_dof, share=0.95))
    axes.set_ylim(0.0, top)
    axes.set_ylabel(f"{one.name.partition(' ')[0]} / dof [1]")
    mean = running_mean(squares, one.dof)
    middle_h = hours[mean.middle]
    if one.independent:
        traces.band(axes, time, Trace(middle_h, mean.high), FILTER_BAND, low=mean.low)
    if one.usual_dof is not None:
        limits = band(one.usual_dof, 1)
        traces.level(axes, limits.low / one.usual_dof, limits.high / one.usual_dof)
    traces.dots(axes, Trace(hours, per_dof), one.colour)
    traces.rejected(axes, Trace(hours[per_dof > top], per_dof[per_dof > top]))
    traces.line(axes, time, Trace(middle_h, mean.mean), one.colour, width=1.6)
    whole = nis_consistency(squares, one.dof)
    low, high = whole.band_per_dof
    of_mean = f" (95 % band {number(low)} to {number(high)})" if one.independent else ""
    axes.set_title(
        f"{one.name}: mean {number(whole.mean_per_dof)} per degree of freedom{of_mean}, "
        f"{percent(whole.fraction_inside)} of {whole.count} inside the 95 % band of one"
    )


def innovations(result: ReplayResult, time: TimeAxis) -> Drawing:
    """Plot the innovations of position and velocity per axis, and their normalised length against the gate."""
    fixes = result.fixes
    if not (np.isfinite(fixes.position.chi_square).any() or np.isfinite(fixes.velocity.chi_square).any()):
        return "The filter never had a prediction to compare a record with."
    gate = math.sqrt(result.settings.orbit.measurement.gate)
    figure, grid = panel_grid(4, 2, 1.2)
    columns = (("Position", "m", fixes.position), ("Velocity", "mm/s", fixes.velocity.scaled(_MM)))
    for column, (quantity, unit, found) in enumerate(columns):
        panels = [row[column] for row in grid]
        panels[0].set_title(quantity, fontweight="bold")
        innovation_panels(panels, time, found, gate, [f"{name} [{unit}]" for name in "XYZ"])
    entries = innovation_entries(gate)
    if fixes.restarted.any():
        entries.append(("dotted", MUTED, "filter restarted"))
    return traces.finish(figure, time, entries, fixes.restarted)


def innovation_panels(
    panels: Sequence[Axes], time: TimeAxis, found: Innovations, gate: float, names: Sequence[str]
) -> None:
    """Plot the components of innovations in panels with these names, and their normalised length in the last panel.

    `gate` is the largest normalised length that passes the gate.
    """
    bounds, used = 3.0 * found.sigmas, found.used
    limit = max(traces.limit_around(bounds, share=0.95), traces.limit_around(found.values[used], share=0.995))
    for k, (axes, name) in enumerate(zip(panels[:-1], names, strict=True)):
        axes.set_ylim(-limit, limit)
        axes.set_ylabel(name)
        traces.band(axes, time, traces.trace(time, bounds[:, k]), FILTER_BAND)
        traces.used_and_rejected(axes, time, used, found.values[:, k])
    panels[-1].set_ylim(0.0, 1.6 * gate)
    panels[-1].set_ylabel("√χ² [σ]")
    traces.used_and_rejected(panels[-1], time, used, np.sqrt(found.chi_square))
    traces.level(panels[-1], gate)


def innovation_entries(gate: float) -> list[Entry]:
    """Return the legend of innovations; `gate` is the largest normalised length that passes the gate."""
    expected = ("band", FILTER_BAND, "3 σ expected")
    return [*traces.REJECTED_ENTRIES, expected, ("dashed", LIMIT, f"gate √χ² = {gate:.2f}")]
