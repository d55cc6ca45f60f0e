"""Figures: the partners' relative positions over time, and their errors."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes

from pygnc_ground.orbit.solution import FloatArray, IntArray
from pygnc_ground.report import traces
from pygnc_ground.report.drawing import Chart, panel_grid, to_svg
from pygnc_ground.report.formation_axis import FormationAxis
from pygnc_ground.report.formation_comparison import JudgedPartner, any_truth, orbit_name
from pygnc_ground.report.length_scale import length_scale
from pygnc_ground.report.palette import FILTER, FILTER_BAND, INK, MIRROR, MIRROR_BAND

_AXES: Final = ("radial", "transverse", "normal")
_SIGMAS: Final = 3.0
LEFT: Final = 0.078
"""Margin, as a share of the width: numbers of metres are long."""


def relative_states(partners: Sequence[JudgedPartner], axis: FormationAxis) -> Chart:
    """What the flight said of each partner: place with three sigmas, the mirror's place, and the sigma."""
    name, title = "formation-states", "Relative positions"
    drawn = [one for one in partners if one.result.states.known.any() and not one.result.cause]
    if not drawn:
        return Chart(name, title, "No partner's orbit is known.", "", Markup())
    figure, grid = panel_grid(4, len(drawn), 1.0)
    figure.subplots_adjust(left=LEFT)
    for column, one in enumerate(drawn):
        states = one.result.states
        time = axis.at(states.gps_ms)
        panels = [row[column] for row in grid]
        panels[0].set_title(f"Partner {one.result.partner}: {one.state}", fontweight="bold")
        sigma = np.sqrt(np.diagonal(states.covariance_rtn, axis1=1, axis2=2))[:, :3]
        for component, axes in enumerate(panels[:3]):
            value, reach = states.rtn[:, component], _SIGMAS * sigma[:, component]
            low = traces.trace(time, value - reach)
            traces.band(axes, time, traces.trace(time, value + reach), FILTER_BAND, low=low.values)
            traces.line(axes, time, traces.trace(time, states.mirror_rtn_m[:, component]), MIRROR)
            traces.line(axes, time, traces.trace(time, value), FILTER)
            traces.line(axes, time, traces.trace(time, states.true_rtn[:, component]), INK, dashed=True)
            axes.set_ylim(*_limits(reach, value, states.mirror_rtn_m[:, component], states.true_rtn[:, component]))
            axes.set_ylabel(f"{_AXES[component]} [m]" if not column else "")
        length = np.linalg.norm(sigma, axis=1)
        traces.line(panels[3], time, traces.trace(time, length), FILTER)
        length_scale(panels[3], [length])
        panels[3].set_ylabel("σ, 3-D [m]" if not column else "")
        time.label_axes(panels, bottom=panels[3:])
    entries = [("line", FILTER, "best orbit; below: its σ"), ("band", FILTER_BAND, "3 σ")]
    if any(np.isfinite(one.result.states.mirror_rtn_m).any() for one in drawn):
        entries.append(("line", MIRROR, "mirror"))
    if any_truth(drawn):
        entries.append(("dashed", INK, "truth"))
    traces.legend(figure, entries)
    return Chart(
        name,
        title,
        "Partner minus self along radial, transverse and normal of our orbit, as the flight said it at the time of "
        "each range and fix, with three standard deviations. The lowest panels show the standard deviation of all "
        "three axes together. The flight solves an arc as a whole, so that its beginning is known as well as its end.",
        "Steps where a later solution took over (they should be within the band), a σ that grows to hundreds of "
        "metres at the ends (the ranges do not hold that direction).",
        to_svg(figure, name, "Relative positions of the partners over time with three standard deviations"),
    )


def _limits(reach: FloatArray, *values: FloatArray) -> tuple[float, float]:
    """Of a panel: around all values, with the band as far as it is not much wider than they are apart."""
    every = np.concatenate(values)
    low, high = float(np.nanmin(every)), float(np.nanmax(every))
    room = min(float(np.nanmax(reach)), high - low) + 0.06 * (high - low) or 1.0
    return low - room, high + room


def relative_errors(partners: Sequence[JudgedPartner], axis: FormationAxis, track_gps_ms: IntArray) -> Chart:
    """Errors of the best orbit, and of the one nearest to the truth, with three sigmas."""
    name, title = "formation-errors", "Errors of relative positions"
    drawn = [one for one in partners if one.nearest is not None]
    if not drawn:
        return Chart(name, title, "No known orbit of a partner falls into the time span of a truth.", "", Markup())
    figure, grid = panel_grid(4, len(drawn), 1.0)
    figure.subplots_adjust(left=LEFT)
    for column, one in enumerate(drawn):
        panels = [row[column] for row in grid]
        near = one.nearest or 0
        also = f"; true: {orbit_name(near)}" if near else ""
        panels[0].set_title(f"Partner {one.result.partner}: {one.state}{also}", fontweight="bold")
        _errors(panels, one, axis, track_gps_ms)
        for component, axes in enumerate(panels):
            label = f"{_AXES[component]} [m]" if component < 3 else "3-D [m]"
            axes.set_ylabel(label if not column else "")
    entries = [("band", FILTER_BAND, "3 σ"), ("line", FILTER, "error of the best orbit"), ("dashed", FILTER, "σ")]
    if any(one.nearest for one in drawn):
        entries += [("line", MIRROR, "error of the orbit nearest to the truth"), ("band", MIRROR_BAND, "its 3 σ")]
    traces.legend(figure, entries)
    return Chart(
        name,
        title,
        "Estimate minus truth, with three standard deviations by the estimate's own covariance; the lowest panels "
        "show lengths. An arc is solved as a whole, so that errors are smooth and hang together: once outside the band "
        "is outside for long. While the best orbit is ambiguous, the one that is nearest to the truth is shown beside "
        "it, and its scale is chosen.",
        "A partner that is called certain with errors far outside its band (the wrong orbit), transverse errors that "
        "grow towards both ends (differential drag), no orbit near the truth.",
        to_svg(figure, name, "Errors of the partners' relative positions over time with three standard deviations"),
    )


def _errors(panels: Sequence[Axes], one: JudgedPartner, axis: FormationAxis, track_gps_ms: IntArray) -> None:
    states, true_track = one.result.states, one.result.true_track
    time, track_time = axis.at(states.gps_ms), axis.at(track_gps_ms)
    series = [(time, states.rtn - states.true_rtn, states.covariance_rtn, FILTER, FILTER_BAND)]
    if one.nearest:
        orbit = one.orbits[one.nearest].orbit
        series.append((track_time, orbit.rtn - true_track, orbit.covariance_rtn, MIRROR, MIRROR_BAND))
    _, error, covariance, _, _ = series[-1]
    limit = max(
        traces.limit_around(_SIGMAS * _sigma(covariance), share=1.0), traces.limit_around(error[:, :3], share=1.0)
    )
    for component, axes in enumerate(panels[:3]):
        axes.set_ylim(-limit, limit)
        for when, _, variance, _, shade in series:
            traces.band(axes, when, traces.trace(when, _SIGMAS * _sigma(variance)[:, component]), shade)
        for when, value, _, colour, _ in series:
            traces.line(axes, when, traces.trace(when, value[:, component]), colour)
    lengths = []
    for when, value, variance, colour, _ in series:
        lengths += [np.linalg.norm(value[:, :3], axis=1), np.linalg.norm(_sigma(variance), axis=1)]
        for length, dashed in zip(lengths[-2:], (False, True), strict=True):
            traces.line(panels[3], when, traces.trace(when, length), colour, dashed=dashed)
    length_scale(panels[3], lengths)
    time.label_axes(panels, bottom=panels[3:])


def _sigma(covariance: FloatArray) -> FloatArray:
    """Of positions, (n, 3)."""
    return np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))[:, :3]
