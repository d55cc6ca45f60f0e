"""Figures of differences along radial, transverse and normal: errors against a truth, and filter minus smoother."""

from collections.abc import Sequence
from typing import Final

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pygnc_ground.orbit.solution import FloatArray
from pygnc_ground.replay.result import ReplayResult
from pygnc_ground.report import traces
from pygnc_ground.report.comparison import Estimate, RtnSeries, error_series
from pygnc_ground.report.drawing import Chart, panel_grid, to_svg
from pygnc_ground.report.palette import BAND_OF_ESTIMATE, FILTER, FILTER_BAND, OF_ESTIMATE
from pygnc_ground.report.time_axis import TimeAxis

_AXES: Final = ("radial", "transverse", "normal")
_MM: Final = 1e3


def errors(result: ReplayResult, found: Sequence[Estimate], time: TimeAxis) -> Chart:
    """Errors of all estimates along radial, transverse and normal, with 3-sigma bounds of filter and smoother."""
    title = "Errors against the truth"
    series = {one.name: error_series(one.errors) for one in found if one.errors is not None and len(one.errors)}
    if not series:
        see = "No estimate falls into the time span of the truth."
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
        "Estimate minus truth along radial, transverse (along the track) and normal, with three standard deviations "
        "by the estimate's own covariance (not drawn for the batch). Panels are cut where bounds are widest, after a "
        "start.",
        "Errors outside their band for longer than a few records (too sure of itself), a band much wider than the "
        "errors (too careful), a transverse error that grows steadily (drag), a swing once per orbit (gravity or "
        "frames), a smoother that is no better than the filter.",
        to_svg(figure, "errors", "Errors of position and velocity over time with their 3-sigma bounds"),
    )


def smoothing(result: ReplayResult, difference: RtnSeries | None, time: TimeAxis) -> Chart:
    """Filter minus smoother with the bounds that the two covariances give."""
    title = "Filter minus smoother"
    if difference is None or not len(difference.row):
        see = "There is no smoother's solution to compare the filter with."
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
        "What later fixes change, along radial, transverse and normal. Its variance is the filter's minus the "
        "smoother's, so this tests both covariances without a truth (McReynolds): 99 % should lie in the band.",
        "Differences outside the band for longer than a few records: the process noise is too small, or the sigmas of "
        "the measurements are wrong.",
        to_svg(figure, "smoothing", "Filter minus smoother over time with the bounds expected of the difference"),
    )


def _six_panels() -> tuple[Figure, list[list[Axes]]]:
    """Position and velocity side by side, the three axes below each other."""
    figure, panels = panel_grid(3, 2, 1.35)
    for column, (quantity, unit) in enumerate((("Position", "m"), ("Velocity", "mm/s"))):
        panels[0][column].set_title(quantity, fontweight="bold")
        for row, name in enumerate(_AXES):
            panels[row][column].set_ylabel(f"{name} [{unit}]")
    return figure, panels


def _columns(one: RtnSeries) -> tuple[tuple[FloatArray, FloatArray], ...]:
    """Values and sigmas, each (k, 3), of position and velocity in the units of the panels."""
    return (one.position_m, one.position_sigma_m), (_MM * one.velocity_mps, _MM * one.velocity_sigma_mps)


def _set_limits(panels: list[list[Axes]], series: Sequence[RtnSeries]) -> None:
    """One scale for the three axes, which shows all but the widest tenth of the bounds."""
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
