"""Rejected GPS records by cause, their figure, and damaged bytes of the input files."""

from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from pygnc.bus.messages import SourceFile
from pygnc_ground.orbit.solution import IntArray
from pygnc_ground.replay.result import ReplayResult
from pygnc_ground.report import traces
from pygnc_ground.report.axes import TimeAxis
from pygnc_ground.report.style import LIMIT, MUTED, REJECTED, Drawing, panel_grid
from pygnc_ground.wording import meaning


class CauseCounts(NamedTuple):
    """Records rejected for one cause.

    Attributes:
        cause: Cause as in the messages of the flight software.
        positions: Indices of the records whose position was rejected, shape (p,).
        velocities: Indices of the records whose velocity was rejected, shape (v,).
        untimed: Number of records without a time.
    """

    cause: str
    positions: IntArray
    velocities: IntArray
    untimed: int

    @property
    def total(self) -> int:
        """Rejected positions plus velocities; a record without a time counts once."""
        return len(self.positions) + len(self.velocities) + self.untimed


def counts_by_cause(result: ReplayResult) -> tuple[CauseCounts, ...]:
    """Return the counts of the causes that occurred, the most frequent first."""
    positions, velocities = np.array(result.fixes.position_cause), np.array(result.fixes.velocity_cause)
    untimed = Counter(record.cause for record in result.untimed)
    names = {*result.fixes.position_cause, *result.fixes.velocity_cause, *untimed} - {""}
    causes = [
        CauseCounts(cause, np.flatnonzero(positions == cause), np.flatnonzero(velocities == cause), untimed[cause])
        for cause in sorted(names)
    ]
    return tuple(sorted(causes, key=lambda one: -one.total))


def rejected_rows(result: ReplayResult) -> list[int]:
    """Return the indices of records whose position or velocity was rejected."""
    causes = zip(result.fixes.position_cause, result.fixes.velocity_cause, strict=True)
    return [row for row, (position, velocity) in enumerate(causes) if position or velocity]


_ROW_IN: Final = 0.36
_SLOT: Final = 0.33
_STROKES_MAX: Final = 300
"""Maximum number of strokes side by side."""


def rejections(causes: Sequence[CauseCounts], time: TimeAxis) -> Drawing:
    """Plot one row per cause: when it occurred, and how often."""
    if not causes:
        return "No record was rejected."
    figure, ((when, often),) = panel_grid(1, 2, _ROW_IN * len(causes), widths=(2.4, 1.0), left_in=2.72, right_in=0.35)
    for axes in (when, often):
        axes.set_ylim(len(causes) - 0.5, -0.5)
        axes.set_yticks(range(len(causes)), [meaning(one.cause) for one in causes])
        axes.tick_params(axis="y", length=0)
    often.tick_params(labelleft=False)
    time.label_axes([when], bottom=[when])
    for row, one in enumerate(causes):
        parts = (
            (len(one.positions), one.positions, REJECTED),
            (len(one.velocities), one.velocities, LIMIT),
            (one.untimed, np.empty(0, np.int64), MUTED),
        )
        present = [part for part in parts if part[0]]
        for slot, (count, rows, colour) in enumerate(present):
            height = row + _SLOT * (slot - 0.5 * (len(present) - 1))
            _strokes(when, time, rows, height, colour)
            often.barh(height, count, height=0.8 * _SLOT, color=colour)
            place = (count, height)
            often.annotate(str(count), place, xytext=(3, 0), textcoords="offset points", va="center", fontsize=6.5)
    when.grid(axis="y", visible=False)
    often.grid(axis="y", visible=False)
    often.set_xlim(0.0, 1.22 * max(max(len(one.positions), len(one.velocities), one.untimed) for one in causes))
    often.set_xlabel("records [1]")
    often.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    when.set_title("When", fontweight="bold")
    often.set_title("Count", fontweight="bold")
    entries = [("line", REJECTED, "position"), ("line", LIMIT, "velocity")]
    if any(one.untimed for one in causes):
        entries.append(("line", MUTED, "record without a time"))
    traces.legend(figure, entries)
    return figure


def _strokes(axes: Axes, time: TimeAxis, rows: IntArray, height: float, colour: str) -> None:
    hours = time.hours[rows][np.isfinite(time.hours[rows])]
    begin, end = axes.get_xlim()
    # Strokes that would overlap are drawn once.
    _, different = np.unique(np.round(hours / (end - begin) * _STROKES_MAX), return_index=True)
    axes.vlines(hours[different], height - 0.4 * _SLOT, height + 0.4 * _SLOT, color=colour, linewidth=1.0)


_LENGTH: Final = 1000
"""Length of the strip that represents a file."""
_WIDTH_MIN: Final = 4.0
"""Minimum width, so that one damaged byte is visible."""


def balanced(source: SourceFile) -> bool:
    """Return True if every byte is either delivered or damaged, or the file cannot be read."""
    return bool(source.fault) or source.size_bytes == source.delivered_bytes + source.damaged_bytes


def strip(source: SourceFile) -> list[tuple[float, float]]:
    """Return begin and width of the listed damaged ranges on a strip of length 1000; overlapping ranges are merged."""
    drawn: list[tuple[float, float]] = []
    end = 0.0
    scale = _LENGTH / max(1, source.size_bytes)
    for start, stop, _ in sorted(source.damage):
        width = min(max((stop - start) * scale, _WIDTH_MIN), _LENGTH)
        x = min(start * scale, _LENGTH - width)
        if not drawn or x + width > end:
            drawn.append((round(x, 1), round(width, 1)))
            end = sum(drawn[-1])
    return drawn
