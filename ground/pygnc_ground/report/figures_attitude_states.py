"""Figure: when the attitude was known, what failed, and how the body turned."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes

from pygnc_ground.replay.attitude_result import AttitudeResult
from pygnc_ground.report import traces
from pygnc_ground.report.attitude_states import Held
from pygnc_ground.report.drawing import WIDTH_IN, Chart, new_figure, to_svg
from pygnc_ground.report.eclipse import eclipses, shade
from pygnc_ground.report.palette import GOOD, INK, LIMIT, MUTED, SHADE
from pygnc_ground.report.spans import spans
from pygnc_ground.report.time_axis import TimeAxis
from pygnc_ground.report.wording import whole

_TITLE: Final = "Mode, trouble and body rate"
_TOP_IN, _BETWEEN_IN, _BOTTOM_IN, _RIGHT_IN = 0.46, 0.16, 0.4, 0.62
_LEFT_IN: Final = 2.45
_ROW_IN: Final = 0.22
_RATE_IN: Final = 1.3
_BAR: Final = 0.62
_AXIS_COLOURS: Final = (INK, LIMIT, GOOD)


def states(result: AttitudeResult, found: Sequence[Held], time: TimeAxis) -> Chart:
    """A bar for each time that something held; the rate's components below."""
    samples = result.samples
    if not len(time.order):
        see = (
            "No sensor sample has a time that is known, so nothing is known of the attitude."
            if len(samples)
            else "There is no sensor sample."
        )
        return Chart("attitude-states", _TITLE, see, "", Markup())
    strips_in = _ROW_IN * len(found)
    height_in = _TOP_IN + strips_in + _BETWEEN_IN + _RATE_IN + _BOTTOM_IN
    figure = new_figure(height_in)
    left, width = _LEFT_IN / WIDTH_IN, (WIDTH_IN - _LEFT_IN - _RIGHT_IN) / WIDTH_IN
    rate = figure.add_axes((left, _BOTTOM_IN / height_in, width, _RATE_IN / height_in))
    begin_in = _BOTTOM_IN + _RATE_IN + _BETWEEN_IN
    strips = figure.add_axes((left, begin_in / height_in, width, strips_in / height_in))
    time.label_axes([strips, rate], bottom=[rate])
    shade([strips, rate], eclipses(samples, time))
    _strips(strips, found, time)
    _rate(rate, result, time)
    traces.restarts([strips, rate], time, samples.found_again)
    entries = [("band", SHADE, "eclipse")]
    entries += [("line", colour, f"body rate about {name}") for name, colour in zip("xyz", _AXIS_COLOURS, strict=True)]
    if samples.found_again.any():
        entries.append(("dotted", MUTED, "attitude found anew"))
    traces.legend(figure, entries)
    return Chart(
        "attitude-states",
        _TITLE,
        "When the attitude was fine, coarse or unknown, and when something failed; on the right, for how many samples. "
        "Below, the rate that the filter makes of the gyro's readings, about the axes of the body; before it has found "
        "an attitude their bias is still in it.",
        "A coarse or unknown attitude long after the start, a fine one that is often found anew, bars of trouble that "
        "go on, a rate that jumps or that stands still while the light on the faces changes.",
        to_svg(figure, "attitude-states", "Modes and causes over time, and the body rate"),
    )


def _strips(axes: Axes, found: Sequence[Held], time: TimeAxis) -> None:
    axes.set_ylim(len(found) - 0.5, -0.5)
    axes.set_yticks(range(len(found)), [one.label for one in found])
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    for row, one in enumerate(found):
        bars = [(begin, end - begin) for begin, end in spans(one.flags, time).tolist()]
        if bars:
            # The edge keeps the bar of a single sample in sight.
            axes.broken_barh(bars, (row - 0.5 * _BAR, _BAR), facecolor=one.colour, edgecolor=one.colour, linewidth=0.6)
        axes.text(1.008, row, whole(int(one.flags.sum())), transform=axes.get_yaxis_transform(), va="center")
    axes.text(1.008, 1.0 + 0.06 / len(found), "samples", transform=axes.transAxes, color=MUTED)


def _rate(axes: Axes, result: AttitudeResult, time: TimeAxis) -> None:
    rate_deg_s = np.degrees(result.solution.rate_body_rad_s)
    axes.set_ylabel("rate [deg/s]")
    for component, colour in enumerate(_AXIS_COLOURS):
        traces.line(axes, time, traces.trace(time, rate_deg_s[:, component]), colour)
    axes.margins(y=0.08)
