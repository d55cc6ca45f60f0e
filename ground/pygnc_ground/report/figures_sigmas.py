"""Figure: how exactly each estimator claims to know the orbit."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from markupsafe import Markup
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from pygnc_ground.report import traces
from pygnc_ground.report.comparison import Estimate
from pygnc_ground.report.drawing import Chart, panel_grid, to_svg
from pygnc_ground.report.palette import OF_ESTIMATE
from pygnc_ground.report.time_axis import TimeAxis

_TITLE: Final = "Formal accuracy"
_QUANTITIES: Final = (("Position", slice(0, 3), 1.0, "m"), ("Velocity", slice(3, 6), 1e3, "mm/s"))


def sigmas(found: Sequence[Estimate], time: TimeAxis) -> Chart:
    """Standard deviations of position and velocity by the estimates' own covariances."""
    known = [one for one in found if one.solution.known.any()]
    if not known:
        return Chart("sigmas", _TITLE, "No estimator has a state.", "", Markup())
    figure, (panels,) = panel_grid(1, 2, 1.8)
    for axes, (quantity, part, scale, unit) in zip(panels, _QUANTITIES, strict=True):
        axes.set_title(quantity, fontweight="bold")
        axes.set_ylabel(f"three-dimensional σ [{unit}]")
        axes.set_yscale("log")
        for one in known:
            sigma = scale * np.linalg.norm(one.solution.sigma_ecef[:, part], axis=1)
            shown = traces.trace(time, np.where(sigma > 0.0, sigma, np.nan))
            traces.line(axes, time, shown, OF_ESTIMATE[one.name], dashed=one.name == "batch")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    time.label_axes(panels, bottom=panels)
    entries = [("dashed" if one.name == "batch" else "line", OF_ESTIMATE[one.name], one.name) for one in known]
    traces.legend(figure, entries)
    return Chart(
        "sigmas",
        _TITLE,
        "Three-dimensional standard deviations by the covariance of each estimate. There is no truth here to compare "
        "them with.",
        "Sigmas of the filter that keep growing (its fixes are not used), a smoother above the filter, a batch far "
        "below the smoother (it takes its force model for perfect).",
        to_svg(figure, "sigmas", "Formal standard deviations of position and velocity over time"),
    )
