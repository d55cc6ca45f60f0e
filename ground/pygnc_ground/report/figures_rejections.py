"""Figure: what was not used, when and why."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from pygnc_ground.orbit.solution import IntArray
from pygnc_ground.report import traces
from pygnc_ground.report.drawing import WIDTH_IN, Chart, new_figure, to_svg
from pygnc_ground.report.palette import LIMIT, MUTED, REJECTED
from pygnc_ground.report.rejections import CauseBooks, meaning
from pygnc_ground.report.time_axis import TimeAxis

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
