"""Figures of attitudes: errors against a truth with bounds, or filter minus smoother and formal accuracy."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from pygnc_ground.orbit.solution import FloatArray
from pygnc_ground.replay.attitude_result import AttitudeResult
from pygnc_ground.report import traces
from pygnc_ground.report.attitude_comparison import AttitudeEstimate, TurnSeries, error_series, filter_minus_smoother
from pygnc_ground.report.drawing import Chart, panel_grid, to_svg
from pygnc_ground.report.eclipse import eclipses, shade
from pygnc_ground.report.palette import BAND_OF_ESTIMATE, FILTER, FILTER_BAND, OF_ESTIMATE, SHADE
from pygnc_ground.report.time_axis import TimeAxis
from pygnc_ground.report.traces import Trace

_WINDOW_H: Final = 1.0 / 12.0
_ECLIPSE: Final = ("band", SHADE, "eclipse")


def attitude_errors(result: AttitudeResult, found: Sequence[AttitudeEstimate], time: TimeAxis) -> Chart:
    """Errors about the body axes with 3-sigma bounds, and the angle between truth and estimate."""
    title, name = "Attitude errors against the truth", "attitude-errors"
    known = [one for one in found if len(one.errors)]
    if not known:
        return Chart(name, title, "No attitude falls into the time span of the truth.", "", Markup())
    figure, panels = _four_panels("error")
    shade(panels, eclipses(result.samples, time))
    series = {one.name: error_series(one) for one in known}
    _turns(panels[:3], time, series)
    _angles(panels[3], time, known)
    bounded = bool(np.isfinite(found[0].bound_rad).any())
    entries = [("band", BAND_OF_ESTIMATE[name], f"3 σ of the {name}") for name in series]
    entries += [("line", OF_ESTIMATE[name], name) for name in series]
    if bounded:
        entries += [("dashed", OF_ESTIMATE[one.name], f"bound of any {one.name}") for one in known]
    _finish(figure, panels, result, time, [*entries, _ECLIPSE])
    return Chart(
        name,
        title,
        "The turn that leads from the true body axes to the estimated ones, as a rotation vector in body axes, with "
        "three standard deviations by the estimate's own covariance. The lowest panel shows its length, the angle "
        "about all three axes, as RMS over five minutes"
        + (
            ", and the least sigma that filters and smoothers can reach with these samples (posterior Cramér-Rao "
            "bound, with the noises that the settings expect)"
            if bounded
            else ""
        )
        + ". Without sunlight only the magnetometer holds the attitude, so "
        "errors grow in eclipse.",
        "Errors outside their band for longer than a few samples, a small band around a large error (a wrong lock), "
        "an error that stays on one side in sunlight (a face's gain or the mounting), a slow swing with the field "
        "(the magnetometer's bias).",
        to_svg(figure, name, "Errors of the attitude about the body axes over time with their 3-sigma bounds"),
    )


def attitude_smoothing(result: AttitudeResult, found: Sequence[AttitudeEstimate], time: TimeAxis) -> Chart:
    """Filter minus smoother with the bounds that the two covariances give, and the sigmas of both."""
    title, name = "Attitude: filter minus smoother, and formal accuracy", "attitude-smoothing"
    difference = filter_minus_smoother(result)
    if not len(difference.row):
        return Chart(name, title, "The filter never found an attitude.", "", Markup())
    figure, panels = _four_panels("turn")
    shade(panels, eclipses(result.samples, time))
    _turns(panels[:3], time, {"filter": difference})
    sigmas = {one.name: np.degrees(one.solution.sigma_rss_rad) for one in found}
    for estimate, sigma in sigmas.items():
        traces.line(panels[3], time, traces.trace(time, sigma), OF_ESTIMATE[estimate])
    _logarithmic(panels[3], list(sigmas.values()))
    panels[3].set_ylabel("σ, 3 axes [deg]")
    entries = [
        ("band", FILTER_BAND, "3 σ of the difference"),
        ("line", FILTER, "filter minus smoother; below: σ of the filter"),
        ("line", OF_ESTIMATE["smoother"], "σ of the smoother"),
    ]
    _finish(figure, panels, result, time, [*entries, _ECLIPSE])
    return Chart(
        name,
        title,
        "What later samples change, as a turn about the body axes. Its variance is the filter's minus the smoother's, "
        "so this tests both covariances without a truth (McReynolds): 99 % should lie in the band. The lowest panel "
        "shows how exactly both claim to know the attitude, about all three axes.",
        "Differences outside the band for longer than a few samples (noises set too small, or a model that is wrong), "
        "sigmas that grow in sunlight.",
        to_svg(figure, name, "Filter minus smoother about the body axes over time, and formal standard deviations"),
    )


def _angles(axes: Axes, time: TimeAxis, known: Sequence[AttitudeEstimate]) -> None:
    """Angles between truth and estimates, and their bounds, over a logarithmic scale."""
    drawn = []
    for one in known:
        angle = traces.trace(time, np.degrees(one.errors.angle_rad), one.errors.row)
        drawn.append(_running_rms(angle))
        traces.line(axes, time, drawn[-1], OF_ESTIMATE[one.name], width=1.2)
        traces.line(axes, time, traces.trace(time, np.degrees(one.bound_rad)), OF_ESTIMATE[one.name], dashed=True)
    _logarithmic(axes, [one.values for one in drawn])
    axes.set_ylabel("angle [deg]")


def _running_rms(shown: Trace) -> Trace:
    """Each value with those up to half a window before and behind it."""
    total = np.concatenate(([0.0], np.cumsum(shown.values**2)))
    first = np.searchsorted(shown.hours, shown.hours - 0.5 * _WINDOW_H)
    behind = np.searchsorted(shown.hours, shown.hours + 0.5 * _WINDOW_H, side="right")
    return Trace(shown.hours, np.sqrt((total[behind] - total[first]) / (behind - first)))


def _four_panels(what: str) -> tuple[Figure, list[Axes]]:
    figure, grid = panel_grid(4, 1, 1.15)
    panels = [row[0] for row in grid]
    for axes, name in zip(panels, "xyz", strict=False):
        axes.set_ylabel(f"{what} about {name} [deg]")
    return figure, panels


def _turns(panels: Sequence[Axes], time: TimeAxis, series: dict[str, TurnSeries]) -> None:
    """Three panels of one scale, which shows all but the widest twentieth of the bounds."""
    sigmas = [np.degrees(3.0 * one.sigma_rad) for one in series.values()]
    values = [np.degrees(one.turn_rad) for one in series.values()]
    limit = max(traces.limit_around(*sigmas, share=0.95), traces.limit_around(*values, share=0.99))
    for component, axes in enumerate(panels):
        axes.set_ylim(-limit, limit)
        for (name, one), sigma in zip(series.items(), sigmas, strict=True):
            traces.band(axes, time, traces.trace(time, sigma[:, component], one.row), BAND_OF_ESTIMATE[name])
        for (name, one), value in zip(series.items(), values, strict=True):
            traces.line(axes, time, traces.trace(time, value[:, component], one.row), OF_ESTIMATE[name])


def _logarithmic(axes: Axes, values_deg: Sequence[FloatArray]) -> None:
    finite = np.concatenate(values_deg)
    finite = finite[np.isfinite(finite) & (finite > 0.0)]
    axes.set_yscale("log")
    if len(finite):
        axes.set_ylim(0.5 * float(finite.min()), 2.0 * float(finite.max()))
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _finish(
    figure: Figure,
    panels: Sequence[Axes],
    result: AttitudeResult,
    time: TimeAxis,
    entries: Sequence[tuple[str, str, str]],
) -> None:
    time.label_axes(panels, bottom=panels[-1:])
    traces.restarts(panels, time, result.samples.found_again)
    traces.legend(figure, entries)
