"""Spacecraft clock: boots, residuals of the records against the clock map, and their figure."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from matplotlib.axes import Axes

from pygnc.estimators.clock.clock_map import TOLERANCE_MS
from pygnc_ground.orbit.solution import FloatArray, IntArray
from pygnc_ground.replay.result import FixRecords
from pygnc_ground.report import traces
from pygnc_ground.report.axes import TimeAxis
from pygnc_ground.report.style import FILTER, LIMIT, MUTED, REJECTED, Drawing, panel_grid


@dataclass(frozen=True, slots=True)
class ClockSegment:
    """Records between two jumps of the clock map."""

    first_row: int
    last_row: int
    records: int
    offset_ms: float
    """GPS time minus spacecraft time in ms, by the map after the last record of the segment"""
    residual_median_ms: float
    """Median residual of the records against the map in ms"""
    residual_spread_ms: float
    """Range between the 5th and the 95th percentile of the residuals in ms"""


@dataclass(frozen=True, slots=True, eq=False)
class ClockRecords:
    """Spacecraft clock at the records that have both times and a map."""

    row: IntArray
    """Indices of the k records, shape (k,)"""
    offset_ms: FloatArray
    """Offsets of the map after the records in ms, shape (k,)"""
    residual_ms: FloatArray
    """GPS times of the records minus their spacecraft times converted by the map, in ms, shape (k,)"""
    segments: tuple[ClockSegment, ...]


def clock_records(fixes: FixRecords) -> ClockRecords:
    """Compare spacecraft time and GPS time; a jump of the map beyond the tolerance of one boot begins a new segment."""
    row = np.flatnonzero((fixes.t_spacecraft_s >= 0) & np.isfinite(fixes.spacecraft_to_gps_ms))
    offset = fixes.spacecraft_to_gps_ms[row]
    residual = fixes.gps_ms[row] - 1000.0 * fixes.t_spacecraft_s[row] - offset
    jumps = np.flatnonzero(np.abs(np.diff(offset)) > TOLERANCE_MS) + 1
    parts = np.split(np.arange(len(row)), jumps) if len(row) else []
    segments = tuple(_segment(part, row, offset, residual) for part in parts)
    return ClockRecords(row, offset, residual, segments)


def _segment(part: IntArray, row: IntArray, offset: FloatArray, residual: FloatArray) -> ClockSegment:
    least, middle, most = np.quantile(residual[part], (0.05, 0.5, 0.95)).tolist()
    return ClockSegment(int(row[part[0]]), int(row[part[-1]]), len(part), float(offset[part[-1]]), middle, most - least)


_LIMIT_MIN_MS: Final = 600.0
"""Minimum limit of the axis; rounding to whole seconds alone causes residuals of half a second."""
_UNITS: Final = ((86_400_000.0, "d"), (3_600_000.0, "h"), (60_000.0, "min"), (1_000.0, "s"))


def clock(records: ClockRecords, time: TimeAxis) -> Drawing:
    """Plot the residual of each record against the clock map and, with several boots, the map itself."""
    if not np.isfinite(time.hours[records.row]).any():
        return "No record has both a spacecraft time and a GPS time, so there is no clock map."
    several = len(records.segments) > 1
    figure, grid = panel_grid(1 + several, 1, 1.4)
    panels = [row[0] for row in grid]
    limit = max(_LIMIT_MIN_MS, traces.limit_around(records.residual_ms, share=0.95))
    panels[-1].set_ylim(-limit, limit)
    panels[-1].set_ylabel("record − map [ms]")
    shown = traces.trace(time, records.residual_ms, records.row)
    traces.dots(panels[-1], shown, FILTER)
    beyond = np.abs(shown.values) > limit
    traces.rejected(panels[-1], traces.Trace(shown.hours[beyond], shown.values[beyond]))
    entries = [("dot", FILTER, "record"), ("arrow", REJECTED, "beyond the panel")]
    if several:
        _offsets(panels[0], records, time)
        entries += [("line", MUTED, "clock map"), ("dashed", LIMIT, "new boot")]
    for segment in records.segments[1:]:
        hour = time.hours[segment.first_row]
        for axes in panels:
            if np.isfinite(hour):
                axes.axvline(hour, color=LIMIT, linewidth=0.9, linestyle=(0, (4, 2)))
    return traces.finish(figure, time, entries)


def _offsets(axes: Axes, records: ClockRecords, time: TimeAxis) -> None:
    """Plot the map of each segment as one level relative to the first."""
    offsets = records.offset_ms - records.segments[0].offset_ms
    largest = float(np.abs(offsets).max())
    scale, unit = next((pair for pair in _UNITS if largest >= 2.0 * pair[0]), _UNITS[-1])
    axes.set_ylabel(f"map − first map [{unit}]")
    for number, segment in enumerate(records.segments, start=1):
        part = (records.row >= segment.first_row) & (records.row <= segment.last_row)
        shown = traces.trace(time, offsets[part] / scale, records.row[part])
        if len(shown.hours):
            axes.plot(shown.hours[[0, -1]], shown.values[[0, -1]], color=MUTED, linewidth=1.2)
            axes.annotate(
                f"boot {number}",
                (shown.hours[0], shown.values[0]),
                xytext=(3, 3),
                textcoords="offset points",
                color=MUTED,
                annotation_clip=False,
            )
    axes.margins(y=0.25)
