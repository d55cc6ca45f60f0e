"""What was not used of the GPS records, and why.

Figure: what was not used, when and why.

The books of the input's bytes, file by file, and where in a file the damage is.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from pygnc.bus.messages import SourceFile
from pygnc.estimators.orbit.gps_fix import RejectCause
from pygnc.tasks.orbit.tracker import TIME_INCONSISTENT
from pygnc_cli.text import printable
from pygnc_ground.orbit.solution import IntArray
from pygnc_ground.replay.result import ReplayResult
from pygnc_ground.report import traces
from pygnc_ground.report.axes import TimeAxis
from pygnc_ground.report.style import LIMIT, MUTED, REJECTED, WIDTH_IN, Chart, new_figure, to_svg

_UNKNOWN_SHOWN: Final = 60
_MEANINGS: Final = MappingProxyType(
    {
        RejectCause.NO_TIME: "the receiver does not know the time",
        RejectCause.TIME_STATUS: "the receiver's time is too coarse",
        RejectCause.POSITION_STATUS: "the receiver has no computed position",
        RejectCause.NO_SATELLITES: "no satellite was used",
        RejectCause.NOT_FINITE: "a number of the position is none",
        RejectCause.ZERO_POSITION: "the position is all zero",
        RejectCause.RADIUS: "too near to the Earth's centre, or too far",
        RejectCause.VELOCITY_STATUS: "the receiver has no computed velocity",
        RejectCause.VELOCITY_NOT_FINITE: "a number of the velocity is none",
        RejectCause.SPEED: "too slow or too fast for an orbit",
        RejectCause.LATENCY: "the velocity's latency makes no sense",
        RejectCause.NO_VELOCITY: "it came without a usable velocity",
        RejectCause.NOT_LATER: "not later than the one before",
        RejectCause.GAP: "too long after the last one to carry the orbit on",
        RejectCause.GATE: "too far from the prediction (chi-square gate)",
        RejectCause.START: "disagrees with the others of the start",
        TIME_INCONSISTENT: "GPS time contradicts the spacecraft clock",
    }
)


@dataclass(frozen=True, slots=True, eq=False)
class CauseBooks:
    """What one cause did."""

    cause: str
    positions: IntArray
    """Records, by number, whose position it kept out"""
    velocities: IntArray
    untimed: int
    """Records without a time"""

    @property
    def total(self) -> int:
        """Positions and velocities together, records without a time as one."""
        return len(self.positions) + len(self.velocities) + self.untimed


@dataclass(frozen=True, slots=True)
class RejectedRecord:
    """A line of the table."""

    seq: int
    source: str
    offset: int
    gps_ms: int
    t_spacecraft_s: int | None
    part: str
    """position, velocity, or both"""
    cause: str


def meaning(cause: str) -> str:
    """A cause in plain words; unknown ones as they are, as far as they can be printed."""
    return _MEANINGS.get(cause, printable(cause.replace("_", " "))[:_UNKNOWN_SHOWN])


def books_by_cause(result: ReplayResult) -> tuple[CauseBooks, ...]:
    """The causes that occur, the most frequent one first."""
    positions, velocities = np.array(result.fixes.position_cause), np.array(result.fixes.velocity_cause)
    untimed = Counter(record.cause for record in result.untimed)
    causes = {*result.fixes.position_cause, *result.fixes.velocity_cause, *untimed} - {""}
    books = [
        CauseBooks(cause, np.flatnonzero(positions == cause), np.flatnonzero(velocities == cause), untimed[cause])
        for cause in sorted(causes)
    ]
    return tuple(sorted(books, key=lambda book: -book.total))


def rejected_rows(result: ReplayResult) -> list[int]:
    """Records, by number, of which position or velocity was not used."""
    causes = zip(result.fixes.position_cause, result.fixes.velocity_cause, strict=True)
    return [row for row, (position, velocity) in enumerate(causes) if position or velocity]


def rejected_records(result: ReplayResult, most: int) -> list[RejectedRecord]:
    """The first `most` of them, in the order of the input."""
    fixes = result.fixes
    records = []
    for row in rejected_rows(result)[:most]:
        position, velocity = fixes.position_cause[row], fixes.velocity_cause[row]
        if position == velocity:
            part, causes = "both", [position]
        else:
            part = "both" if position and velocity else "position" if position else "velocity"
            causes = [cause for cause in (position, velocity) if cause]
        t_spacecraft_s = int(fixes.t_spacecraft_s[row])
        records.append(
            RejectedRecord(
                seq=int(fixes.seq[row]),
                source=fixes.source[row],
                offset=int(fixes.offset[row]),
                gps_ms=int(fixes.gps_ms[row]),
                t_spacecraft_s=t_spacecraft_s if t_spacecraft_s >= 0 else None,
                part=part,
                cause="; ".join(map(meaning, causes)),
            )
        )
    return records


_TITLE: Final = "When and why"
_ROW_IN: Final = 0.36
_TOP_IN, _BOTTOM_IN = 0.46, 0.42
_SLOT: Final = 0.33
_STROKES_MAX: Final = 300
"""Strokes side by side in the width of the panel."""


def rejections(books: Sequence[CauseBooks], time: TimeAxis) -> Chart:
    """A row per cause: when it struck, and how often."""
    if not books:
        return Chart("rejections", _TITLE, "No record was rejected.", "", Markup())
    height_in = _TOP_IN + _ROW_IN * len(books) + _BOTTOM_IN
    figure = new_figure(height_in)
    bottom, height = _BOTTOM_IN / height_in, _ROW_IN * len(books) / height_in
    left_in = 2.72
    when = figure.add_axes((left_in / WIDTH_IN, bottom, 4.4 / WIDTH_IN, height))
    often = figure.add_axes(((left_in + 4.7) / WIDTH_IN, bottom, (WIDTH_IN - left_in - 5.05) / WIDTH_IN, height))
    for axes in (when, often):
        axes.set_ylim(len(books) - 0.5, -0.5)
        axes.set_yticks(range(len(books)), [meaning(book.cause) for book in books])
        axes.tick_params(axis="y", length=0)
    often.tick_params(labelleft=False)
    time.label_axes([when], bottom=[when])
    for row, book in enumerate(books):
        counts = ((len(book.positions), REJECTED), (len(book.velocities), LIMIT), (book.untimed, MUTED))
        present = [(count, colour) for count, colour in counts if count]
        rows_of = {REJECTED: book.positions, LIMIT: book.velocities, MUTED: np.empty(0, np.int64)}
        for slot, (count, colour) in enumerate(present):
            height = row + _SLOT * (slot - 0.5 * (len(present) - 1))
            _strokes(when, time, rows_of[colour], height, colour)
            _bar(often, count, height, colour)
    when.grid(axis="y", visible=False)
    often.grid(axis="y", visible=False)
    often.set_xlim(0.0, 1.22 * max(max(len(book.positions), len(book.velocities), book.untimed) for book in books))
    often.set_xlabel("records [1]")
    often.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    when.set_title("When", fontweight="bold")
    often.set_title("How often", fontweight="bold")
    entries = [("line", REJECTED, "position"), ("line", LIMIT, "velocity")]
    if any(book.untimed for book in books):
        entries.append(("line", MUTED, "record without a time"))
    traces.legend(figure, entries)
    return Chart(
        "rejections",
        _TITLE,
        "Each stroke is a record whose position or velocity was not used, in the row of its cause, the most frequent "
        "cause on top. Records without a time are only counted.",
        "Long unbroken rows of strokes (the receiver or the filter is in trouble, not single records), causes that "
        "begin together with a new boot of the spacecraft clock.",
        to_svg(figure, "rejections", "Rejected records over time and their number, by cause"),
    )


def _strokes(axes: Axes, time: TimeAxis, rows: IntArray, height: float, colour: str) -> None:
    hours = time.hours[rows][np.isfinite(time.hours[rows])]
    begin, end = axes.get_xlim()
    # Strokes that would fall on one another are drawn once.
    _, different = np.unique(np.round(hours / (end - begin) * _STROKES_MAX), return_index=True)
    axes.vlines(hours[different], height - 0.4 * _SLOT, height + 0.4 * _SLOT, color=colour, linewidth=1.0)


def _bar(axes: Axes, count: int, height: float, colour: str) -> None:
    axes.barh(height, count, height=0.8 * _SLOT, color=colour)
    axes.annotate(str(count), (count, height), xytext=(3, 0), textcoords="offset points", va="center", fontsize=6.5)


_LENGTH: Final = 1000
"""Of the strip that stands for a file."""
_LEAST_WIDTH: Final = 4.0
"""One damaged byte can still be seen."""


@dataclass(frozen=True, slots=True)
class DamagedRange:
    """Where a damaged range is drawn on the strip."""

    x: float
    width: float


def balanced(source: SourceFile) -> bool:
    """Whether every byte is either delivered or damaged."""
    return bool(source.fault) or source.size_bytes == source.delivered_bytes + source.damaged_bytes


def strip(source: SourceFile) -> list[DamagedRange]:
    """The damaged ranges that are listed, on a strip of length 1000; those that would cover each other are one."""
    drawn: list[DamagedRange] = []
    for start, stop, _ in sorted(source.damage):
        scale = _LENGTH / max(1, source.size_bytes)
        width = min(max((stop - start) * scale, _LEAST_WIDTH), _LENGTH)
        x = min(start * scale, _LENGTH - width)
        if drawn and x + width <= drawn[-1].x + drawn[-1].width:
            continue
        drawn.append(DamagedRange(round(x, 1), round(width, 1)))
    return drawn
