"""Map of the ground track: coastlines, track segments, positions of rejected records."""

from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import PathPatch
from matplotlib.path import Path as Outline
from matplotlib.patheffects import withStroke

from pygnc_ground.orbit.solution import BoolArray, FloatArray, IntArray
from pygnc_ground.replay.result import ReplayResult
from pygnc_ground.report.axes import TimeAxis
from pygnc_ground.report.rejections import rejected_rows
from pygnc_ground.report.statistics import geodetic
from pygnc_ground.report.style import COAST, FILTER, INK, LAND, PAGE, REJECTED, Drawing, new_figure
from pygnc_ground.report.traces import isolated, legend
from pygnc_system.files import data_file


def coastline() -> list[FloatArray]:
    """Return closed rings around land: east longitude and latitude in degrees, shape (n, 2) each.

    Lakes have the opposite orientation. Source: data/coastline/README.md.

    Raises:
        FileNotFoundError: The data file is missing.
    """
    lines = data_file("coastline/coastline.txt").read_text(encoding="ascii").splitlines()
    hundredths = (np.array(line.replace(",", " ").split(), dtype=np.float64) for line in lines)
    return [0.01 * ring.reshape(-1, 2) for ring in hundredths]


def flat_track(degrees: FloatArray, new_line: BoolArray) -> FloatArray:
    """Return the points of one line on a map from -180 to 180 degrees, with NaN between segments, shape (m, 2).

    Where a segment passes an edge of the map, it leaves and enters the map at the same latitude.

    Args:
        degrees: East longitude and latitude, shape (n, 2), in time order.
        new_line: True where a segment begins at the point, shape (n,).
    """
    here, there = degrees[:-1], degrees[1:]
    gap = new_line[1:]
    over = ~gap & (np.abs(there[:, 0] - here[:, 0]) > 180.0)
    edge = np.copysign(180.0, here[:, 0])
    to_edge, to_point = edge - here[:, 0], there[:, 0] + 2.0 * edge - here[:, 0]
    share = np.divide(to_edge, to_point, out=np.full(len(edge), 0.5), where=to_point != 0.0)
    latitude = here[:, 1] + share * (there[:, 1] - here[:, 1])
    leaves, enters = np.column_stack((edge, latitude)), np.column_stack((-edge, latitude))
    points = np.stack((here, leaves, np.full_like(here, np.nan), enters), axis=1)
    drawn = np.column_stack((np.ones_like(gap), over, over | gap, over))
    return np.concatenate((points[drawn], degrees[-1:]))


_HOUR_STEPS: Final = (1, 2, 3, 6, 12, 24, 48, 96)
_HOUR_MARKS_MAX: Final = 12
_CROSSES_MAX: Final = 400
_TRACK_POINTS_MAX: Final = 6000
_BRIDGED_H: Final = 1.0 / 12.0
"""Longer steps, above 19 degrees of the orbit, are not drawn because a straight line would miss the true track."""


def ground_track(result: ReplayResult, time: TimeAxis) -> Drawing:
    """Plot the filter's positions on a world map."""
    rows = time.order[result.solution.known[time.order]]
    if not len(rows):
        return "No position is known, so there is no ground track."
    hours = time.hours[rows]
    degrees = geodetic(result.solution.position_ecef_m[rows])[:, :2]

    figure = new_figure(5.1)
    axes = figure.add_axes((0.058, 0.078, 0.924, 0.87))
    _draw_earth(axes)
    new_line = np.diff(hours, prepend=hours[:1]) > min(time.gap_h, _BRIDGED_H)
    ends_line = np.roll(new_line, -1)
    kept = new_line | ends_line | (np.arange(len(rows)) % -(-len(rows) // _TRACK_POINTS_MAX) == 0)
    track = flat_track(degrees[kept], new_line[kept])
    axes.plot(track[:, 0], track[:, 1], color=FILTER, linewidth=1.1)
    lone = isolated(track[:, 0])
    axes.plot(track[lone, 0], track[lone, 1], "o", color=FILTER, markersize=2.0, markeredgewidth=0.0)
    _mark_hours(axes, degrees, hours, time.gap_h)
    crosses = _mark_rejected(axes, result, time)
    _mark_ends(axes, degrees, time.hours[rows])
    entries = [("line", FILTER, "filter's position; dots at full hours (UTC)")]
    if crosses:
        entries.append(("cross", REJECTED, "record rejected, at least in part, at the filter's position"))
    legend(figure, entries)
    return figure


def _draw_earth(axes: Axes) -> None:
    rings = coastline()
    codes = [np.array([Outline.MOVETO, *[Outline.LINETO] * (len(ring) - 2), Outline.CLOSEPOLY]) for ring in rings]
    land = Outline(np.concatenate(rings), np.concatenate(codes))
    axes.add_artist(PathPatch(land, facecolor=LAND, edgecolor=COAST, linewidth=0.4, zorder=0.5))
    axes.set(xlim=(-180, 180), ylim=(-90, 90), aspect="equal", xlabel="longitude [deg]", ylabel="latitude [deg]")
    axes.set_xticks(range(-180, 181, 30), [_side(degree, "W", "E") for degree in range(-180, 181, 30)])
    axes.set_yticks(range(-90, 91, 30), [_side(degree, "S", "N") for degree in range(-90, 91, 30)])


def _side(degree: int, negative: str, positive: str) -> str:
    if degree in {0, 180, -180}:
        return str(abs(degree))
    return f"{abs(degree)} {negative if degree < 0 else positive}"


def _mark_hours(axes: Axes, degrees: FloatArray, hours: FloatArray, gap_h: float) -> None:
    """Plot a dot and the hour where the track passes a full hour."""
    span = hours[-1] - hours[0]
    step = next((step for step in _HOUR_STEPS if span / step <= _HOUR_MARKS_MAX), _HOUR_STEPS[-1])
    full = np.arange(np.ceil(hours[0] / step), hours[-1] / step) * step
    nearest = np.abs(hours[:, None] - full).argmin(axis=0)
    for hour, row in zip(full.tolist(), nearest.tolist(), strict=True):
        if abs(hours[row] - hour) <= gap_h:
            axes.plot(*degrees[row], "o", color=FILTER, markersize=3.2, markeredgewidth=0.0)
            _write(axes, degrees[row], f"{round(hour) % 24:02d} h")


def _mark_rejected(axes: Axes, result: ReplayResult, time: TimeAxis) -> int:
    """Plot crosses at the filter's positions of rejected records; return how many."""
    rows: IntArray = np.array(rejected_rows(result), dtype=np.int64)
    rows = rows[result.solution.known[rows] & np.isfinite(time.hours[rows])]
    if len(rows):
        rows = rows[:: -(-len(rows) // _CROSSES_MAX)]
        degrees = geodetic(result.solution.position_ecef_m[rows])[:, :2]
        axes.plot(*degrees.T, "x", color=REJECTED, markersize=4.2, markeredgewidth=1.0)
    return len(rows)


def _mark_ends(axes: Axes, degrees: FloatArray, hours: FloatArray) -> None:
    ends = ((0, PAGE, "start"), (-1, INK, "end")) if len(hours) > 1 else ((0, INK, "at"),)
    for row, filling, word in ends:
        axes.plot(*degrees[row], "o", markersize=6.0, markerfacecolor=filling, markeredgecolor=INK, markeredgewidth=1.1)
        minutes = int(60 * hours[row])
        _write(axes, degrees[row], f"{word} {minutes // 60 % 24:02d}:{minutes % 60:02d}", bold=True)


def _write(axes: Axes, place: FloatArray, text: str, *, bold: bool = False) -> None:
    """Write text beside a position, towards the middle of the map, with an outline for legibility."""
    left = place[0] > 150.0
    axes.annotate(
        text,
        (place[0], place[1]),
        xytext=(-5 if left else 5, 4 if place[1] < 75.0 else -9),
        textcoords="offset points",
        ha="right" if left else "left",
        color=INK,
        fontsize=7.5 if bold else 6.5,
        fontweight="bold" if bold else "normal",
        path_effects=[withStroke(linewidth=2.0, foreground=PAGE)],
    )
