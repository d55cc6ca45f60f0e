"""Figures of the formation: relative positions and errors, planes, ranges, hypotheses, closest approaches."""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse
from matplotlib.ticker import MaxNLocator, NullLocator, StrMethodFormatter

from pygnc_ground.formation.conjunction import Conjunction
from pygnc_ground.orbit.solution import FloatArray, IntArray
from pygnc_ground.replay.result import FormationResult, LinkResult, orbit_name
from pygnc_ground.report import traces
from pygnc_ground.report.axes import MS_PER_HOUR, TimeAxis, sample_axis
from pygnc_ground.report.comparison import ComparedPartner, any_truth
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
    Drawing,
    panel_grid,
)
from pygnc_ground.report.traces import Components, length_scale
from pygnc_ground.wording import number

_AXES: Final = ("radial", "transverse", "normal")
_SIGMAS: Final = 3.0
_LEFT_IN: Final = 0.75
"""Left margin, wide enough for numbers in metres."""


def _partner_columns(partners: Sequence[ComparedPartner], lowest: str) -> tuple[Figure, list[list[Axes]]]:
    """Return a figure and, for each partner, the panels of the three axes and of a fourth quantity below."""
    figure, grid = panel_grid(4, len(partners), 1.0, left_in=_LEFT_IN)
    for row, name in zip(grid, (*_AXES, lowest), strict=True):
        row[0].set_ylabel(f"{name} [m]")
    for axes, one in zip(grid[0], partners, strict=True):
        axes.set_title(_title(one), fontweight="bold")
    return figure, [[row[column] for row in grid] for column in range(len(partners))]


def _title(one: ComparedPartner) -> str:
    return f"Partner {one.result.partner}: {one.state}"


def relative_states(partners: Sequence[ComparedPartner], axis: TimeAxis) -> Drawing:
    """Plot the estimates of each partner with three sigmas, the mirror solution, and the 3-D sigma."""
    drawn = [one for one in partners if one.result.states.known.any() and not one.result.cause]
    if not drawn:
        return "No partner's orbit is known."
    figure, columns = _partner_columns(drawn, "σ, 3-D")
    for panels, one in zip(columns, drawn, strict=True):
        states = one.result.states
        time = sample_axis(axis, states.gps_ms)
        sigma = _sigma(states.covariance_rtn)
        for component, axes in enumerate(panels[:3]):
            value, reach = states.rtn[:, component], _SIGMAS * sigma[:, component]
            mirror, true = states.mirror_rtn_m[:, component], states.true_rtn[:, component]
            low = traces.trace(time, value - reach)
            traces.band(axes, time, traces.trace(time, value + reach), FILTER_BAND, low=low.values)
            traces.line(axes, time, traces.trace(time, mirror), MIRROR)
            traces.line(axes, time, traces.trace(time, value), FILTER)
            traces.line(axes, time, traces.trace(time, true), INK, dashed=True)
            axes.set_ylim(*_limits(reach, value, mirror, true))
        length = np.linalg.norm(sigma, axis=1)
        traces.line(panels[3], time, traces.trace(time, length), FILTER)
        length_scale(panels[3], [length])
    entries = [("line", FILTER, "best orbit; below: its σ"), ("band", FILTER_BAND, "3 σ")]
    if any(np.isfinite(one.result.states.mirror_rtn_m).any() for one in drawn):
        entries.append(("line", MIRROR, "mirror"))
    if any_truth(drawn):
        entries.append(("dashed", INK, "truth"))
    return traces.finish(figure, time, entries)


def _limits(reach: FloatArray, *values: FloatArray) -> tuple[float, float]:
    """Return limits around all values, with room for the band `reach` up to the range of the values."""
    every = np.concatenate(values)
    low, high = float(np.nanmin(every)), float(np.nanmax(every))
    room = min(float(np.nanmax(reach)), high - low) + 0.06 * (high - low) or 1.0
    return low - room, high + room


def relative_errors(partners: Sequence[ComparedPartner], axis: TimeAxis, track_gps_ms: IntArray) -> Drawing:
    """Plot errors of the best orbit and of the orbit nearest to the truth, with three sigmas."""
    drawn = [one for one in partners if one.nearest is not None]
    if not drawn:
        return "No partner has both an orbit and a truth in the same time span."
    figure, columns = _partner_columns(drawn, "3-D")
    for panels, one in zip(columns, drawn, strict=True):
        if one.nearest:
            panels[0].set_title(f"{_title(one)}; true: {orbit_name(one.nearest)}", fontweight="bold")
        time = _errors(panels, one, axis, track_gps_ms)
    entries = [("band", FILTER_BAND, "3 σ"), ("line", FILTER, "error of the best orbit"), ("dashed", FILTER, "σ")]
    if any(one.nearest for one in drawn):
        entries += [("line", MIRROR, "error of the orbit nearest to the truth"), ("band", MIRROR_BAND, "its 3 σ")]
    return traces.finish(figure, time, entries)


def _errors(panels: Sequence[Axes], one: ComparedPartner, axis: TimeAxis, track_gps_ms: IntArray) -> TimeAxis:
    """Plot the errors of one partner; the orbit nearest to the truth sets the scale."""
    states = one.result.states
    time = sample_axis(axis, states.gps_ms)
    error_m = (states.rtn - states.true_rtn)[:, :3]
    series = [Components(time, error_m, _sigma(states.covariance_rtn), None, FILTER, FILTER_BAND)]
    if one.nearest:
        orbit = one.orbits[one.nearest].orbit
        error_m, sigma_m = (orbit.rtn - one.result.true_track)[:, :3], _sigma(orbit.covariance_rtn)
        series.append(Components(sample_axis(axis, track_gps_ms), error_m, sigma_m, None, MIRROR, MIRROR_BAND))
    traces.components(panels[:3], series, traces.common_limit(series[-1:], 1.0, 1.0))
    lengths = []
    for of in series:
        for vectors, dashed in ((of.values, False), (of.sigmas, True)):
            lengths.append(np.linalg.norm(vectors, axis=1))
            traces.line(panels[3], of.time, traces.trace(of.time, lengths[-1]), of.colour, dashed=dashed)
    length_scale(panels[3], lengths)
    return time


def _sigma(covariance: FloatArray) -> FloatArray:
    """Return standard deviations of positions, shape (n, 3)."""
    return np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))[:, :3]


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


def planes(partners: Sequence[ComparedPartner]) -> Drawing:
    """Plot the candidate orbits and the true orbit of each partner relative to our satellite, with equal scales."""
    drawn = [one for one in partners if one.orbits]
    if not drawn:
        return "No partner's orbit is known."
    height_in = float(np.clip(max(_height(one) for one in drawn), *_HEIGHT_IN))
    figure, grid = panel_grid(len(drawn), 3, height_in, between_in=_BETWEEN_IN, left_in=_LEFT_IN)
    for row, one in zip(grid, drawn, strict=True):
        for axes, plane in zip(row, _PLANES, strict=True):
            _plane_panel(axes, one, plane)
        row[0].set_title(_title(one), fontweight="bold")
    entries = [("line", FILTER, "best orbit; ● end"), ("band", FILTER_BAND, "3 σ at the end")]
    if any(one.mirror and one.result.ambiguous for one in drawn):
        entries.append(("line", MIRROR, "mirror"))
    if any(len(one.orbits) > (2 if one.result.ambiguous else 1) for one in drawn):
        entries.append(("dotted", MIRROR, "other or excluded orbits"))
    if any_truth(drawn):
        entries.append(("dashed", INK, "truth"))
    traces.legend(figure, entries)
    return figure


def _places(one: ComparedPartner) -> FloatArray:
    """Return all positions to be drawn, our satellite included, (k, 3)."""
    every = [candidate.orbit.rtn[:, :3] for candidate in one.orbits]
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
    for place, candidate in reversed(list(enumerate(one.orbits))):
        track = candidate.orbit.rtn
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


def ranges(links: Sequence[LinkResult], axis: TimeAxis) -> Drawing:
    """Plot for each pair of radios the measured ranges without bias, the model, and the residuals."""
    drawn = [link for link in links if len(link.gps_ms)]
    if not drawn:
        return "The newest solution has no range."
    figure, grid = panel_grid(len(drawn), 2, 0.95)
    grid[0][0].set_title("Range minus bias [m]", fontweight="bold")
    grid[0][1].set_title("Measured minus computed [m]", fontweight="bold")
    for (left, right), link in zip(grid, drawn, strict=True):
        time = sample_axis(axis, link.gps_ms)
        left.set_ylabel(f"{link.pair[0]} to {link.pair[1]}")
        shown = np.concatenate((link.model_m, link.distance_m[link.used]))
        low, high = float(shown.min()), float(shown.max())
        room = 0.08 * (high - low) or 1.0
        left.set_ylim(low - room, high + room)
        traces.used_and_rejected(left, time, link.used, link.distance_m)
        traces.line(left, time, traces.trace(time, link.model_m), INK)
        reach = _SIGMAS * link.noise_m
        right.set_ylim(-1.6 * reach, 1.6 * reach)
        traces.band(right, time, traces.trace(time, np.full(len(link.gps_ms), reach)), FILTER_BAND)
        traces.used_and_rejected(right, time, link.used, link.residual_m)
    noise = ("band", FILTER_BAND, "3 σ of the estimated noise")
    return traces.finish(figure, time, [("line", INK, "model"), *traces.REJECTED_ENTRIES, noise])


_LINE_IN: Final = 0.2
_LINEAR_BELOW: Final = 0.1
"""The scale of chi-square differences is linear below this value."""


def hypotheses(result: FormationResult, partners: Sequence[ComparedPartner]) -> Drawing:
    """Plot the chi-square of each partner's candidate orbits above the best, and the margin of certainty."""
    drawn = [one for one in partners if one.orbits]
    if not drawn or not math.isfinite(result.margin):
        return "There is no solution, so there are no hypotheses."
    lines = 1 + sum(max(2, len(one.orbits)) + 1 for one in drawn)
    figure, ((axes,),) = panel_grid(1, 1, _LINE_IN * lines, left_in=1.05)
    found = [candidate.above for one in drawn for candidate in one.orbits]
    found += [_image(one) for one in drawn if math.isfinite(_image(one))]
    axes.set_xscale("symlog", linthresh=_LINEAR_BELOW, linscale=0.5)
    axes.set_xlim(-0.03, 30.0 * max(result.margin, *found))
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
    return figure


def _image(one: ComparedPartner) -> float:
    """Return the chi-square of the mirror image above the best orbit."""
    return one.result.chi2_mirror - one.result.chi2_best


def _orbits(axes: Axes, one: ComparedPartner, place: float) -> float:
    """Plot a line per orbit; return the height of the last line."""
    for rank, candidate in enumerate(one.orbits):
        place -= 1.0
        colour = MIRROR if rank else FILTER
        axes.plot((0.0, candidate.above), (place, place), color=colour, linewidth=0.8)
        axes.plot(candidate.above, place, "o", color=colour, markersize=4.4, markeredgewidth=0.0)
        text = f"distance {number(candidate.distance_m)} m" if rank else "best"
        if math.isfinite(candidate.accuracy.error_m):
            text += f", error {number(candidate.accuracy.error_m)} m, σ {number(candidate.accuracy.sigma_m)} m"
        _beside(axes, text, candidate.above, place, INK, bold=rank == one.nearest)
    if one.mirror is None:
        place -= 1.0
        image = _image(one)
        if math.isfinite(image):
            axes.plot(image, place, "o", color=MIRROR, markersize=4.4, markerfacecolor="none", markeredgewidth=1.0)
            text = "its mirror image is the same orbit" if image == 0.0 else "its mirror image"
            _beside(axes, text, image, place, MUTED)
    return place


def _beside(axes: Axes, text: str, above: float, place: float, colour: str, *, bold: bool = False) -> None:
    axes.annotate(
        text,
        (above, place),
        (7.0, 0.0),
        textcoords="offset points",
        va="center",
        color=colour,
        fontweight="bold" if bold else "normal",
    )


_DAY_H: Final = 24.0


def approaches(result: FormationResult, partners: Sequence[ComparedPartner]) -> Drawing:
    """Plot for each partner the distance over the arc by each candidate orbit, and the predicted encounters."""
    drawn = [one for one in partners if result.conjunctions_of(one.result.partner)]
    if not drawn:
        return "The flight software did not predict a closest approach."
    figure, grid = panel_grid(1, len(drawn), 2.0)
    for axes, one in zip(grid[0], drawn, strict=True):
        _approach_panel(axes, result, one, result.conjunctions_of(one.result.partner))
        axes.set_title(_title(one), fontweight="bold")
    grid[0][0].set_ylabel("distance [m]")
    traces.legend(
        figure,
        [
            ("line and dot", FILTER, "best orbit; closest approach with 3 σ"),
            ("line and dot", MIRROR, "other orbits"),
            ("triangle", REJECTED, "most probable collision"),
            ("shade", SHADE, "solved arc"),
        ],
    )
    return figure


def _approach_panel(
    axes: Axes, result: FormationResult, one: ComparedPartner, conjunctions: Sequence[Conjunction]
) -> None:
    every = [of for each in conjunctions for of in (each.nearest, each.likeliest)]
    end_ms = int(result.track_gps_ms[-1]) if len(result.track_gps_ms) else min(of.gps_ms for of in every)
    hours = (result.track_gps_ms - end_ms) / MS_PER_HOUR
    highest = [of.distance_m for of in every]
    for rank, candidate in reversed(list(enumerate(one.orbits))):
        distance_m = np.linalg.norm(candidate.orbit.rtn[:, :3], axis=1)
        highest.append(float(distance_m.max()))
        axes.plot(hours, distance_m, color=MIRROR if rank else FILTER)
    for each in reversed(conjunctions):
        of, colour = each.nearest, MIRROR if each.hypothesis else FILTER
        hour, reach = (of.gps_ms - end_ms) / MS_PER_HOUR, _SIGMAS * of.sigma_m
        axes.plot((hour, hour), (max(of.distance_m - reach, 0.0), of.distance_m + reach), color=colour, linewidth=1.2)
        axes.plot(hour, of.distance_m, "o", color=colour, markersize=4.0, markeredgewidth=0.0)
        hour = (each.likeliest.gps_ms - end_ms) / MS_PER_HOUR
        axes.plot(hour, each.likeliest.distance_m, "v", color=REJECTED, markersize=3.6, markeredgewidth=0.9)
    begin = float(hours[0]) if len(hours) else 0.0
    axes.axvspan(begin, 0.0, color=SHADE, linewidth=0.0, zorder=0.4)
    axes.set_xlim(begin - 0.3, _DAY_H + 0.3)
    axes.set_ylim(0.0, 1.2 * max(highest))
    axes.set_xticks(np.arange(0.0, _DAY_H + 1.0, 6.0))
    axes.set_xlabel("hours after the end of the arc")
