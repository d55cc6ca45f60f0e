"""Figures of the formation: relative positions and errors, planes, ranges, hypotheses, closest approaches."""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Ellipse, Patch
from matplotlib.ticker import MaxNLocator, NullLocator, StrMethodFormatter

from pygnc.bus.messages import ClosestApproach
from pygnc_ground.orbit.solution import FloatArray, IntArray
from pygnc_ground.replay.result import FormationResult, LinkResult
from pygnc_ground.report import traces
from pygnc_ground.report.axes import FormationAxis
from pygnc_ground.report.comparison import ComparedPartner, any_truth, orbit_name
from pygnc_ground.report.style import (
    FILTER,
    FILTER_BAND,
    INK,
    LIMIT,
    MIRROR,
    MIRROR_BAND,
    MUTED,
    REJECTED,
    SHADE,
    Chart,
    new_figure,
    panel_grid,
    to_svg,
)
from pygnc_ground.report.traces import length_scale
from pygnc_ground.report.wording import number

_AXES: Final = ("radial", "transverse", "normal")
_SIGMAS: Final = 3.0
LEFT: Final = 0.078
"""Left margin as a fraction of the width, wide enough for numbers in metres."""


def relative_states(partners: Sequence[ComparedPartner], axis: FormationAxis) -> Chart:
    """Plot the flight's estimates of each partner with three sigmas, the mirror solution, and the sigma."""
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
        "Partner minus own position along radial, transverse and normal of our orbit, as estimated by the flight at "
        "the time of each range and fix, with 3-sigma bounds. The lowest panels show the 3-D standard deviation. "
        "The flight solves an arc as a whole, so its beginning is known as well as its end.",
        "Steps at the transition to a later solution (they should be within the band); a σ that grows to hundreds of "
        "metres at the ends (the ranges do not constrain that direction).",
        to_svg(figure, name, "Relative positions of the partners over time with 3-sigma bounds"),
    )


def _limits(reach: FloatArray, *values: FloatArray) -> tuple[float, float]:
    """Return limits around all values that include the band if it is not much wider than the values."""
    every = np.concatenate(values)
    low, high = float(np.nanmin(every)), float(np.nanmax(every))
    room = min(float(np.nanmax(reach)), high - low) + 0.06 * (high - low) or 1.0
    return low - room, high + room


def relative_errors(partners: Sequence[ComparedPartner], axis: FormationAxis, track_gps_ms: IntArray) -> Chart:
    """Plot errors of the best orbit and of the one nearest to the truth, with three sigmas."""
    name, title = "formation-errors", "Relative position error against truth"
    drawn = [one for one in partners if one.nearest is not None]
    if not drawn:
        return Chart(name, title, "No partner has both an orbit and a truth in the same time span.", "", Markup())
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
        "Estimate minus truth with the 3-sigma bounds of the estimate's own covariance; the lowest panels show the 3-D "
        "error. An arc is solved as a whole, so errors are smooth and correlated: once outside the band, they stay "
        "outside for long. While the best orbit is ambiguous, the orbit nearest to the truth is shown too and sets the "
        "scale.",
        "A partner called certain with errors far outside its band (wrong orbit); transverse errors that "
        "grow towards both ends (differential drag); no orbit near the truth.",
        to_svg(figure, name, "Relative position errors of the partners over time with 3-sigma bounds"),
    )


def _errors(panels: Sequence[Axes], one: ComparedPartner, axis: FormationAxis, track_gps_ms: IntArray) -> None:
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
    """Return standard deviations of positions, (n, 3)."""
    return np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))[:, :3]


_PLANES_NAME: Final = "formation-planes"
_PLANES_TITLE: Final = "Relative motion in three planes"
_PLANES: Final = ((1, 0), (1, 2), (2, 0))
"""Components on the horizontal and vertical axis of each panel."""
_HEIGHT_IN: Final = (1.4, 2.4)
"""Minimum and maximum height of a row of panels."""
_WIDTH_IN: Final = 2.55
"""Width of a panel."""
_BETWEEN_IN: Final = 0.57
"""Height between rows for an axis and a title."""
_ROOM: Final = 1.15
_TICKS: Final = 5


def planes(partners: Sequence[ComparedPartner]) -> Chart:
    """Plot each partner's candidate orbits and the true one relative to our satellite, with equal scales."""
    drawn = [one for one in partners if one.orbits]
    if not drawn:
        return Chart(_PLANES_NAME, _PLANES_TITLE, "No partner's orbit is known.", "", Markup())
    height_in = float(np.clip(max(_height(one) for one in drawn), *_HEIGHT_IN))
    figure, grid = panel_grid(len(drawn), 3, height_in, between_in=_BETWEEN_IN)
    figure.subplots_adjust(left=LEFT)
    for row, one in zip(grid, drawn, strict=True):
        for axes, plane in zip(row, _PLANES, strict=True):
            _plane_panel(axes, one, plane)
        row[0].set_title(f"Partner {one.result.partner}: {one.state}", fontweight="bold")
    entries = [("line", FILTER, "best orbit; ● end"), ("band", FILTER_BAND, "3 σ at the end")]
    if any(one.mirror and one.result.ambiguous for one in drawn):
        entries.append(("line", MIRROR, "mirror"))
    if any(len(one.orbits) > (2 if one.result.ambiguous else 1) for one in drawn):
        entries.append(("dotted", MIRROR, "other or excluded orbits"))
    if any_truth(drawn):
        entries.append(("dashed", INK, "truth"))
    traces.legend(figure, entries)
    return Chart(
        _PLANES_NAME,
        _PLANES_TITLE,
        "Position of each partner relative to our satellite (+), which flies to the right in the first two panels "
        "of each row. Radial points away from the Earth, transverse along the orbit, normal along the angular "
        "momentum. Both axes of a panel have the same scale. Undisturbed motion is a 2:1 ellipse in the plane of "
        "transverse and radial, which drifts along the orbit if the periods differ. A mirror image has the same "
        "distances at all times, so ranges alone distinguish it from the best orbit slowly or not at all.",
        "A mirror that is not excluded (fixes of the partner would decide); a 3-sigma ellipse as large as the motion"
        + ("; a truth that follows another orbit than the best." if any_truth(drawn) else "."),
        to_svg(figure, _PLANES_NAME, "Relative motion of the partners in the planes of radial, transverse and normal"),
    )


def _places(one: ComparedPartner) -> FloatArray:
    """Return all positions to be drawn, our satellite included, (k, 3)."""
    every = [judged.orbit.rtn[:, :3] for judged in one.orbits]
    true = one.result.true_track[:, :3]
    return np.concatenate([np.zeros((1, 3)), *every, true[np.isfinite(true[:, 0])]])


def _height(one: ComparedPartner) -> float:
    """Return the height in inches of panels whose width is filled by the transverse motion."""
    extent = np.ptp(_places(one), axis=0)
    return float(_WIDTH_IN * max(extent[0], extent[2]) / max(extent[1], extent[2], 1.0))


def _plane_panel(axes: Axes, one: ComparedPartner, plane: tuple[int, int]) -> None:
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
    for place, judged in reversed(list(enumerate(one.orbits))):
        track = judged.orbit.rtn
        colour = MIRROR if place else FILTER
        possible = place < 2 and (one.result.ambiguous or not place)
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
    """Return the 3-sigma ellipse of a position."""
    values, vectors = np.linalg.eigh(covariance[np.ix_(plane, plane)])
    short, long = 2.0 * _SIGMAS * np.sqrt(np.maximum(values, 0.0))
    angle = float(np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1])))
    centre = (float(state[plane[0]]), float(state[plane[1]]))
    return Ellipse(centre, float(long), float(short), angle=angle, color=FILTER_BAND, linewidth=0.0, zorder=1.0)


_RANGES_NAME: Final = "formation-ranges"
_RANGES_TITLE: Final = "Ranges and their residuals"


def ranges(links: Sequence[LinkResult], axis: FormationAxis) -> Chart:
    """Plot for each pair of radios the measured ranges without bias, the model, and the residuals."""
    drawn = [link for link in links if len(link.gps_ms)]
    if not drawn:
        return Chart(_RANGES_NAME, _RANGES_TITLE, "The newest solution has no range.", "", Markup())
    figure, grid = panel_grid(len(drawn), 2, 0.95)
    grid[0][0].set_title("Range minus bias [m]", fontweight="bold")
    grid[0][1].set_title("Measured minus computed [m]", fontweight="bold")
    for (left, right), link in zip(grid, drawn, strict=True):
        one, other = link.pair
        left.set_ylabel(f"{one} to {other}")
        _ranges(left, link, axis)
        _residuals(right, link, axis)
    time = axis.at(drawn[-1].gps_ms)
    time.label_axes([axes for row in grid for axes in row], bottom=grid[-1])
    traces.legend(
        figure,
        [
            ("line", INK, "model"),
            ("dot", FILTER, "used"),
            ("cross", REJECTED, "rejected"),
            ("arrow", REJECTED, "rejected, beyond the panel"),
            ("band", FILTER_BAND, "3 σ of the estimated noise"),
        ],
    )
    return Chart(
        _RANGES_NAME,
        _RANGES_TITLE,
        "Measured distances without the estimated bias of each pair, on the distances of the best orbits; "
        "and the residuals with three standard deviations of a range. Noise and bias of each pair are estimated from "
        "the same ranges.",
        "Residuals that oscillate or drift with the orbit (wrong times, a changing bias, or the wrong orbit); a band "
        "much wider than the radios' noise; consecutive rejected ranges.",
        to_svg(figure, _RANGES_NAME, "Ranges of each pair of radios over time against the model, and their residuals"),
    )


def _ranges(axes: Axes, link: LinkResult, axis: FormationAxis) -> None:
    time = axis.at(link.gps_ms)
    shown = np.concatenate((link.model_m, link.distance_m[link.used]))
    low, high = float(shown.min()), float(shown.max())
    room = 0.08 * (high - low) or 1.0
    axes.set_ylim(low - room, high + room)
    _marks(axes, link, link.distance_m, axis)
    traces.line(axes, time, traces.trace(time, link.model_m), INK)


def _residuals(axes: Axes, link: LinkResult, axis: FormationAxis) -> None:
    time = axis.at(link.gps_ms)
    reach = _SIGMAS * link.noise_m
    axes.set_ylim(-1.6 * reach, 1.6 * reach)
    traces.band(axes, time, traces.trace(time, np.full(len(link.gps_ms), reach)), FILTER_BAND)
    _marks(axes, link, link.residual_m, axis)


def _marks(axes: Axes, link: LinkResult, values: FloatArray, axis: FormationAxis) -> None:
    time = axis.at(link.gps_ms)
    traces.dots(axes, traces.trace(time, np.where(link.used, values, np.nan)), FILTER)
    traces.rejected(axes, traces.trace(time, np.where(link.used, np.nan, values)))


_HYPOTHESES_NAME: Final = "formation-hypotheses"
_HYPOTHESES_TITLE: Final = "Hypotheses"
_LINE_IN: Final = 0.2
_LEAST: Final = 0.1
"""The scale of differences is linear below this value."""


def hypotheses(result: FormationResult, partners: Sequence[ComparedPartner]) -> Chart:
    """Plot the chi-square of each partner's candidate orbits above the best, and the margin of certainty."""
    drawn = [one for one in partners if one.orbits]
    if not drawn or not math.isfinite(result.margin):
        return Chart(
            _HYPOTHESES_NAME, _HYPOTHESES_TITLE, "There is no solution, so there are no hypotheses.", "", Markup()
        )
    lines = 1 + sum(max(2, len(one.orbits)) + 1 for one in drawn)
    height_in = 0.75 + _LINE_IN * lines
    figure = new_figure(height_in)
    axes = figure.add_axes((0.11, 0.42 / height_in, 0.87, 1.0 - 0.6 / height_in))
    highest = _highest(result, drawn)
    axes.set_xscale("symlog", linthresh=_LEAST, linscale=0.5)
    axes.set_xlim(-0.03, 30.0 * highest)
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    place = 0.0
    ticks: list[tuple[float, str]] = [(place, "whole formation")]
    above = result.chi_square - result.chi_square[0]
    axes.plot(above, [place] * len(above), "|", color=INK, markersize=7.0, markeredgewidth=1.0)
    for one in drawn:
        place -= 1.0
        ticks.append((place - 1.0, f"partner {one.result.partner}"))
        place = _orbits(axes, one, place)
    axes.axvline(result.margin, color=LIMIT, linewidth=0.9, linestyle=(0, (4, 2)))
    axes.text(result.margin, 1.15, f" excluded beyond {number(result.margin)}", color=LIMIT, va="bottom", ha="left")
    axes.set_ylim(place - 0.8, 1.0)
    axes.set_yticks([at for at, _ in ticks], [label for _, label in ticks])
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("χ² above the best")
    return Chart(
        _HYPOTHESES_NAME,
        _HYPOTHESES_TITLE,
        "Excess chi-square of each orbit that the search found: whole formations in the first line, then "
        "each partner's distinct orbits with their 3-D RMS distance from the best one"
        + (" and their error against the truth" if any(one.nearest is not None for one in drawn) else "")
        + ". An orbit left of the dashed line is not excluded, so the partner is ambiguous. An open mark is the mirror "
        "image of the best orbit; every search from it converged to the best orbit.",
        "Marks between the best orbit and the dashed line: more ranges, or a few fixes of the partner, would decide.",
        to_svg(figure, _HYPOTHESES_NAME, "Chi-squares of the hypotheses above the best, with the margin of certainty"),
    )


def _orbits(axes: Axes, one: ComparedPartner, place: float) -> float:
    """Plot a line per orbit; return the place of the last."""
    for rank, judged in enumerate(one.orbits):
        place -= 1.0
        colour = MIRROR if rank else FILTER
        axes.plot((0.0, judged.above), (place, place), color=colour, linewidth=0.8)
        axes.plot(judged.above, place, "o", color=colour, markersize=4.4, markeredgewidth=0.0)
        labels = [f"distance {number(judged.distance_m)} m" if rank else "best"]
        if math.isfinite(judged.accuracy.error_m):
            labels.append(f"error {number(judged.accuracy.error_m)} m, σ {number(judged.accuracy.sigma_m)} m")
        weight = "bold" if rank == one.nearest else "normal"
        axes.annotate(
            ", ".join(labels),
            (judged.above, place),
            (7.0, 0.0),
            textcoords="offset points",
            va="center",
            color=INK,
            fontweight=weight,
        )
    image = one.result.chi2_mirror - one.result.chi2_best
    if one.mirror is None:
        place -= 1.0
        image_label = "its mirror image is the same orbit" if image == 0.0 else "its mirror image"
        if math.isfinite(image):
            axes.plot(image, place, "o", color=MIRROR, markersize=4.4, markerfacecolor="none", markeredgewidth=1.0)
            axes.annotate(image_label, (image, place), (7.0, 0.0), textcoords="offset points", va="center", color=MUTED)
    return place


def _highest(result: FormationResult, drawn: Sequence[ComparedPartner]) -> float:
    images = [one.result.chi2_mirror - one.result.chi2_best for one in drawn]
    found = [judged.above for one in drawn for judged in one.orbits]
    return max(result.margin, *(value for value in (*images, *found) if math.isfinite(value)))


_APPROACH_NAME: Final = "formation-approach"
_APPROACH_TITLE: Final = "Closest approach within a day"
_MS_PER_HOUR: Final = 3_600_000
_DAY_H: Final = 24.0


def approaches(result: FormationResult, partners: Sequence[ComparedPartner]) -> Chart:
    """Plot for each partner the distance over the arc by each candidate orbit, and the predicted closest approaches."""
    drawn = [one for one in partners if result.approaches_of(one.result.partner)]
    if not drawn:
        return Chart(_APPROACH_NAME, _APPROACH_TITLE, "The flight did not predict a closest approach.", "", Markup())
    figure, grid = panel_grid(1, len(drawn), 2.0)
    for axes, one in zip(grid[0], drawn, strict=True):
        _approach_panel(axes, result, one, result.approaches_of(one.result.partner))
        axes.set_title(f"Partner {one.result.partner}: {one.state}", fontweight="bold")
    grid[0][0].set_ylabel("distance [m]")
    figure.legend(
        [
            Line2D([], [], color=FILTER, marker="o", markersize=3.6),
            Line2D([], [], color=MIRROR, marker="o", markersize=3.6),
            Line2D([], [], color=REJECTED, linestyle="", marker="v", markersize=3.6),
            Patch(facecolor=SHADE),
        ],
        ["best orbit; closest approach with 3 σ", "other orbits", "minimum distance minus 3 σ", "solved arc"],
        loc="upper left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=4,
        columnspacing=1.6,
        handlelength=1.6,
        handletextpad=0.6,
        borderaxespad=0.0,
    )
    return Chart(
        _APPROACH_NAME,
        _APPROACH_TITLE,
        "Distances over the arc by each orbit that fits. For the day after its end, the predicted closest approach "
        "of each orbit with three standard deviations of the distance. Triangles: minimum of distance minus three "
        "standard deviations; they are on the axis if a collision cannot be excluded.",
        "A triangle on the axis; another orbit that comes much closer than the best one.",
        to_svg(figure, _APPROACH_NAME, "Distances to the partners and their closest approaches over the next day"),
    )


def _approach_panel(
    axes: Axes, result: FormationResult, one: ComparedPartner, nearest: Sequence[ClosestApproach]
) -> None:
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
