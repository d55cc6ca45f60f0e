"""Report of an orbit from raw GNSS measurements: one HTML page without external resources."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from matplotlib.axes import Axes

from pygnc_ground.orbit.solution import FloatArray, IntArray, OrbitErrors, OrbitSolution
from pygnc_ground.replay.folder import Origin
from pygnc_ground.report import traces
from pygnc_ground.report.axes import TimeAxis, span_axis
from pygnc_ground.report.html import report_environment, versions
from pygnc_ground.report.style import FILTER, FILTER_BAND, INK, Drawing, chart, panel_grid, report_style
from pygnc_ground.report.traces import Components, Entry

_AXES: Final = ("radial", "transverse", "normal")
_ERROR: Final = (("line", FILTER, "estimate minus truth"), ("band", FILTER_BAND, "3 σ"))
_LIBRARIES: Final = ("numpy", "pyerfa", "satkit", "matplotlib", "jinja2")


@dataclass(frozen=True, slots=True, eq=False)
class Relative:
    """Relative positions of a partner along radial, transverse, normal at n times."""

    gps_ms: IntArray
    position_rtn_m: FloatArray
    sigma_rtn_m: FloatArray
    true_rtn_m: FloatArray
    """True positions, shape (n, 3); NaN where unknown."""
    radio_gps_ms: IntArray
    radio_m: FloatArray
    """Ranges of the radio minus distance, shape (k,); empty without ranges."""


@dataclass(frozen=True, slots=True, eq=False)
class RawReport:
    """Content of the report."""

    title: str
    lines: Sequence[str]
    origin: Origin
    solution: OrbitSolution
    errors: OrbitErrors | None
    """Errors against a truth; None without one."""
    phase_gps_ms: IntArray
    phase_m: FloatArray
    """Residuals of the phases, shape (k,), NaN where not used; empty for the filter."""
    relative: Relative | None

    def write(self, path: Path) -> None:
        """Write the page.

        Raises:
            OSError: The file cannot be written.
        """
        path.write_text(self.render(), encoding="utf-8", newline="\n")

    def render(self) -> str:
        """Return the page as HTML text."""
        known_ms = self.solution.gps_ms[self.solution.known]
        span = int(known_ms[0]), int(known_ms[-1])
        with report_style():
            charts = [chart("raw-position", self._position(span)), chart("raw-phases", self._phases(span))]
            if self.relative is not None:
                charts.append(chart("raw-relative", _relative(self.relative, span)))
                if len(self.relative.radio_m):
                    charts.append(chart("raw-radio", _radio(self.relative, span)))
        page = report_environment().get_template("raw_orbit.html.j2")
        return page.render(report=self, span=span, charts=charts, versions=versions(_LIBRARIES))

    def _position(self, span: tuple[int, int]) -> Drawing:
        """Plot errors against the truth with 3-sigma bounds, or the bounds alone."""
        time = span_axis(self.solution.gps_ms, span)
        if self.errors is not None and len(self.errors):
            errors = self.errors
            drawn = Components(
                time, errors.position_rtn_m, errors.position_sigma_rtn_m, errors.row, FILTER, FILTER_BAND
            )
            return _components(time, drawn, traces.common_limit([drawn], 0.95, 0.99), _ERROR)
        variances = self.solution.triangles_rtn[:, [0, 2, 5]]
        figure, ((axes,),) = panel_grid(1, 1, 2.2)
        axes.set_ylabel("3-D σ [m]")
        sigma_m = np.sqrt(variances.sum(axis=1))
        traces.line(axes, time, traces.trace(time, sigma_m), FILTER)
        traces.length_scale(axes, [sigma_m])
        return traces.finish(figure, time, [("line", FILTER, "3-D σ of the position")])

    def _phases(self, span: tuple[int, int]) -> Drawing:
        if not np.isfinite(self.phase_m).any():
            return "The filter keeps no residuals."
        return _dots(self.phase_gps_ms, self.phase_m, span, "residual [m]", "phase minus orbit, clock and ambiguity")


def _components(time: TimeAxis, drawn: Components, limit: float, entries: Sequence[Entry]) -> Drawing:
    figure, grid = panel_grid(3, 1, 1.3)
    panels: list[Axes] = [row[0] for row in grid]
    for axes, name in zip(panels, _AXES, strict=True):
        axes.set_ylabel(f"{name} [m]")
    traces.components(panels, [drawn], limit)
    return traces.finish(figure, time, entries)


def _relative(found: Relative, span: tuple[int, int]) -> Drawing:
    """Plot errors of relative positions with 3-sigma bounds; without a truth, positions and sigmas."""
    time = span_axis(found.gps_ms, span)
    if np.isfinite(found.true_rtn_m).any():
        error_m = found.position_rtn_m - found.true_rtn_m
        drawn = Components(time, error_m, found.sigma_rtn_m, None, FILTER, FILTER_BAND)
        return _components(time, drawn, traces.common_limit([drawn], 0.95, 0.99), _ERROR)
    figure, grid = panel_grid(3, 2, 1.3)
    grid[0][0].set_title("Position", fontweight="bold")
    grid[0][1].set_title("Standard deviation", fontweight="bold")
    for k, (name, (position, sigma)) in enumerate(zip(_AXES, grid, strict=True)):
        position.set_ylabel(f"{name} [m]")
        sigma.set_ylabel("σ [m]")
        traces.line(position, time, traces.trace(time, found.position_rtn_m[:, k]), FILTER)
        traces.line(sigma, time, traces.trace(time, found.sigma_rtn_m[:, k]), FILTER)
        traces.length_scale(sigma, [found.sigma_rtn_m[:, k]])
    return traces.finish(figure, time, [("line", FILTER, "partner relative to the satellite; right: its σ")])


def _radio(found: Relative, span: tuple[int, int]) -> Drawing:
    return _dots(found.radio_gps_ms, found.radio_m, span, "range - distance [m]", "range of the radio minus distance")


def _dots(gps_ms: IntArray, values: FloatArray, span: tuple[int, int], label: str, meaning: str) -> Drawing:
    """Plot values as dots about their median."""
    time = span_axis(gps_ms, span)
    figure, ((axes,),) = panel_grid(1, 1, 2.2)
    middle = float(np.nanmedian(values))
    limit = traces.limit_around(values - middle, share=0.995)
    axes.set_ylim(middle - limit, middle + limit)
    axes.set_ylabel(label)
    axes.axhline(middle, color=INK, linewidth=0.7)
    traces.dots(axes, traces.trace(time, values), FILTER)
    return traces.finish(figure, time, [("dot", FILTER, meaning), ("line", INK, "median")])
