"""Figure: what the measurements said that the filter did not expect."""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes

from pygnc_ground.orbit.solution import BoolArray, FloatArray
from pygnc_ground.replay.result import ReplayResult
from pygnc_ground.report import traces
from pygnc_ground.report.drawing import Chart, panel_grid, to_svg
from pygnc_ground.report.palette import FILTER, FILTER_BAND, LIMIT, MUTED, REJECTED
from pygnc_ground.report.time_axis import TimeAxis

_TITLE: Final = "Innovations"
_MM: Final = 1e3


def innovations(result: ReplayResult, time: TimeAxis) -> Chart:
    """Innovations of position and velocity per axis, and their distance against the gate."""
    fixes = result.fixes
    used = (
        np.array([not cause for cause in fixes.position_cause], dtype=bool),
        np.array([not cause for cause in fixes.velocity_cause], dtype=bool),
    )
    if not (np.isfinite(fixes.position_chi_square).any() or np.isfinite(fixes.velocity_chi_square).any()):
        see = "The filter never had a prediction to compare a record with."
        return Chart("innovations", _TITLE, see, "", Markup())
    gate = math.sqrt(result.settings.orbit.measurement.gate)
    figure, panels = panel_grid(4, 2, 1.2)
    position, velocity = ([row[column] for row in panels] for column in (0, 1))
    component_panels(position[:3], time, used[0], (fixes.position_innovation_m, fixes.position_innovation_sigma_m), "m")
    in_mm = (_MM * fixes.velocity_innovation_mps, _MM * fixes.velocity_innovation_sigma_mps)
    component_panels(velocity[:3], time, used[1], in_mm, "mm/s")
    distance_panel(position[3], time, used[0], fixes.position_chi_square, gate)
    distance_panel(velocity[3], time, used[1], fixes.velocity_chi_square, gate)
    position[0].set_title("Position", fontweight="bold")
    velocity[0].set_title("Velocity", fontweight="bold")
    time.label_axes([*position, *velocity], bottom=panels[3])
    traces.restarts([*position, *velocity], time, fixes.restarted)
    entries = [
        ("dot", FILTER, "used"),
        ("cross", REJECTED, "not used"),
        ("arrow", REJECTED, "not used, beyond the panel"),
        ("band", FILTER_BAND, "3 σ expected"),
        ("dashed", LIMIT, f"gate √χ² = {gate:.2f}"),
    ]
    if fixes.restarted.any():
        entries.append(("dotted", MUTED, "filter started again"))
    traces.legend(figure, entries)
    return Chart(
        "innovations",
        _TITLE,
        "Measured minus predicted along the axes of ITRF, with three expected standard deviations. The lowest panels "
        "show the length of each innovation in standard deviations, √χ² of 3 degrees of freedom, and the gate beyond "
        "which the filter does not use a measurement.",
        "Dots that drift or swing with the orbit (a force is modelled wrongly), dots that fill only the middle of the "
        "band (sigmas too large) or spill over it (too small), rejections in a row (the filter is lost, not the "
        "receiver).",
        to_svg(figure, "innovations", "Innovations of position and velocity over time with their expected bands"),
    )


def component_panels(
    panels: Sequence[Axes],
    time: TimeAxis,
    used: BoolArray,
    values: tuple[FloatArray, FloatArray],
    unit: str,
    *,
    names: str = "XYZ",
) -> None:
    """Innovation and sigma, each (n, 3), per axis, all to one scale; `used` (n,)."""
    innovation, sigma = values
    limit = max(traces.limit_around(3.0 * sigma, share=0.95), traces.limit_around(innovation[used], share=0.995))
    for k, (axes, name) in enumerate(zip(panels, names, strict=True)):
        axes.set_ylim(-limit, limit)
        axes.set_ylabel(f"{name} [{unit}]")
        traces.band(axes, time, traces.trace(time, 3.0 * sigma[:, k]), FILTER_BAND)
        _marks(axes, time, used, innovation[:, k])


def distance_panel(axes: Axes, time: TimeAxis, used: BoolArray, chi_square: FloatArray, gate: float) -> None:
    """Lengths of innovations in standard deviations, (n,) as squares, and the gate's."""
    axes.set_ylim(0.0, 1.6 * gate)
    axes.set_ylabel("√χ² [σ]")
    _marks(axes, time, used, np.sqrt(chi_square))
    traces.level(axes, gate)


def _marks(axes: Axes, time: TimeAxis, used: BoolArray, values: FloatArray) -> None:
    traces.dots(axes, traces.trace(time, np.where(used, values, np.nan)), FILTER)
    traces.rejected(axes, traces.trace(time, np.where(used, np.nan, values)))
