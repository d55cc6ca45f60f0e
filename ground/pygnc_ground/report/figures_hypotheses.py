"""Figure: the orbits that were compared, by their chi-squares."""

import math
from collections.abc import Sequence
from typing import Final

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator, StrMethodFormatter

from pygnc_ground.replay.formation_result import FormationResult
from pygnc_ground.report.drawing import Chart, new_figure, to_svg
from pygnc_ground.report.formation_comparison import JudgedPartner
from pygnc_ground.report.palette import FILTER, INK, LIMIT, MIRROR, MUTED
from pygnc_ground.report.wording import number

_NAME: Final = "formation-hypotheses"
_TITLE: Final = "Hypotheses"
_LINE_IN: Final = 0.2
_LEAST: Final = 0.1
"""Below this the scale of differences is linear."""


def hypotheses(result: FormationResult, partners: Sequence[JudgedPartner]) -> Chart:
    """Each partner's different orbits by how much worse they fit than the best, and the margin of certainty."""
    drawn = [one for one in partners if one.orbits]
    if not drawn or not math.isfinite(result.margin):
        return Chart(_NAME, _TITLE, "There is no solution, so nothing was compared.", "", Markup())
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
        _NAME,
        _TITLE,
        "How much worse each of the orbits fits that were searched for and found: in the first line whole formations, "
        "below them each partner's different orbits, with their 3-D RMS distance from the best one"
        + (" and their error against the truth" if any(one.nearest is not None for one in drawn) else "")
        + ". An orbit left of the dashed line is not excluded, and the partner is ambiguous. An open mark is the best "
        "orbit's mirror image itself, from which every search led back to the best orbit.",
        "Marks between the best orbit and the dashed line: more ranges, or a few fixes of the partner, decide.",
        to_svg(figure, _NAME, "Chi-squares of the hypotheses above the best, with the margin of certainty"),
    )


def _orbits(axes: Axes, one: JudgedPartner, place: float) -> float:
    """A line per orbit; return the place of the last."""
    for rank, judged in enumerate(one.orbits):
        place -= 1.0
        colour = MIRROR if rank else FILTER
        axes.plot((0.0, judged.above), (place, place), color=colour, linewidth=0.8)
        axes.plot(judged.above, place, "o", color=colour, markersize=4.4, markeredgewidth=0.0)
        told = [f"{number(judged.apart_m)} m away" if rank else "best"]
        if math.isfinite(judged.accuracy.error_m):
            told.append(f"error {number(judged.accuracy.error_m)} m, σ {number(judged.accuracy.sigma_m)} m")
        weight = "bold" if rank == one.nearest else "normal"
        axes.annotate(
            ", ".join(told),
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
        told_of_image = "its mirror image is the same orbit" if image == 0.0 else "its mirror image"
        if math.isfinite(image):
            axes.plot(image, place, "o", color=MIRROR, markersize=4.4, markerfacecolor="none", markeredgewidth=1.0)
            axes.annotate(
                told_of_image, (image, place), (7.0, 0.0), textcoords="offset points", va="center", color=MUTED
            )
    return place


def _highest(result: FormationResult, drawn: Sequence[JudgedPartner]) -> float:
    images = [one.result.chi2_mirror - one.result.chi2_best for one in drawn]
    found = [judged.above for one in drawn for judged in one.orbits]
    return max(result.margin, *(value for value in (*images, *found) if math.isfinite(value)))
