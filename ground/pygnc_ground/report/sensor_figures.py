"""Figures of the attitude sensors: light on the faces, residuals of vectors, consistency of the attitude filter."""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes

from pygnc.estimators.attitude.magnetometer import Magnetometer
from pygnc.estimators.attitude.settings import AttitudeSettings
from pygnc_ground.attitude.accuracy import NEES_DOF
from pygnc_ground.orbit.solution import BoolArray, FloatArray
from pygnc_ground.replay.result import AttitudeResult
from pygnc_ground.report import traces
from pygnc_ground.report.attitude_figures import face_names
from pygnc_ground.report.axes import TimeAxis, close_up, eclipses, shade, spans
from pygnc_ground.report.comparison import ComparedAttitude
from pygnc_ground.report.orbit_figures import (
    innovation_entries,
    innovation_panels,
    nees_squares,
    nis_squares,
    squares_figure,
)
from pygnc_ground.report.style import FILTER, LIMIT, REJECTED, SHADE, SMOOTHER, Drawing, panel_grid

_PERCENT: Final = 100.0
_PANEL_IN: Final = 0.82
_WIDTHS: Final = (1.7, 1.0)
_DOT_BINS: Final = 350
_LIMIT_MIN_PERCENT: Final = 6.0
_TOP: Final = 1.12
"""Upper limit of panels of readings, in units of full scale."""
_BAR_PT: Final = 5.0
"""Width of the bar that marks a faulty face at the upper edge of a panel, in points."""


def light(result: AttitudeResult, settings: AttitudeSettings, time: TimeAxis) -> Drawing:
    """Plot measured minus expected light, and both in a close-up; without a model, the measured light alone."""
    if not len(time.order):
        return "No sensor sample has a known time."
    samples = result.samples
    stretch = close_up(result, time)
    names = face_names(settings.mounting)
    figure, grid = panel_grid(
        len(names), 1 if stretch is None else 2, _PANEL_IN, widths=None if stretch is None else _WIDTHS
    )
    whole = [row[0] for row in grid]
    dark_h = eclipses(samples, time)
    suspect = result.light.dark | (samples.faces_usable & ~samples.faces_used)
    shade(whole, dark_h)
    time.label_axes(whole, bottom=whole[-1:])
    for face, (axes, name) in enumerate(zip(whole, names, strict=True)):
        axes.set_ylabel(f"{name} [%]")
        if stretch is None:
            _readings(axes, time, result, suspect, face)
        else:
            _differences(axes, time, result, suspect, face)
            noise_percent = _PERCENT * settings.sun_sensors.noise_share
            traces.level(axes, -3.0 * noise_percent, 3.0 * noise_percent)
        top = axes.get_ylim()[1]
        for begin, end in spans(samples.faces_faulty[:, face], time).tolist():
            axes.plot((begin, end), (top, top), color=REJECTED, linewidth=_BAR_PT, solid_capstyle="butt")
    entries = [("dot", FILTER, "reading"), ("dot", LIMIT, "at full scale"), ("band", SHADE, "eclipse")]
    if stretch is not None:
        near = [row[1] for row in grid]
        whole[0].set_title("Measured minus model, fraction of full sunlight", fontweight="bold")
        near[0].set_title("Close-up: measured, and model", fontweight="bold")
        shade(near, np.clip(dark_h, *stretch.limits))
        stretch.label_axes(near, bottom=near[-1:])
        for face, axes in enumerate(near):
            expected = traces.trace(stretch, _PERCENT * result.light.expected[:, face])
            traces.line(axes, stretch, expected, SMOOTHER, width=1.1, under=True)
            _readings(axes, stretch, result, suspect, face)
        entries[2:2] = [
            ("cross", REJECTED, "dark in sunlight, or rejected by the gate"),
            ("line", SMOOTHER, "model"),
            ("dashed", LIMIT, "3 σ of noise; full scale"),
        ]
    traces.legend(figure, entries)
    return figure


def _differences(axes: Axes, time: TimeAxis, result: AttitudeResult, suspect: BoolArray, face: int) -> None:
    lit = result.samples.sunlit_fraction > 0.0
    difference = _PERCENT * (result.light.measured - result.light.expected)
    sound = ~(suspect | result.samples.faces_faulty)
    limit = max(_LIMIT_MIN_PERCENT, traces.limit_around(difference[lit[:, None] & sound], share=0.995))
    axes.set_ylim(-limit, limit)
    values = np.where(lit, difference[:, face], np.nan)
    _draw(axes, time, values, result.light.saturated[:, face], suspect[:, face])


def _readings(axes: Axes, time: TimeAxis, result: AttitudeResult, suspect: BoolArray, face: int) -> None:
    full_scale = _PERCENT * float(np.median(result.light.full_scale))
    axes.set_ylim(-0.06 * full_scale, _TOP * full_scale)
    traces.level(axes, full_scale)
    values = _PERCENT * result.light.measured[:, face]
    _draw(axes, time, values, result.light.saturated[:, face], suspect[:, face])


def _draw(axes: Axes, time: TimeAxis, values: FloatArray, saturated: BoolArray, suspect: BoolArray) -> None:
    for flags, colour in ((~saturated & ~suspect, FILTER), (saturated & ~suspect, LIMIT)):
        traces.dots(axes, traces.trace(time, np.where(flags, values, np.nan)), colour, size=1.6, bins=_DOT_BINS)
    traces.rejected(axes, traces.trace(time, np.where(suspect, values, np.nan)))


def sensor_residuals(result: AttitudeResult, name: str, settings: AttitudeSettings, time: TimeAxis) -> Drawing:
    """Plot the innovations of a measurement model per axis, and their normalised length against its gate."""
    samples, innovations = result.samples, result.samples.innovations[name]
    if not np.isfinite(innovations.chi_square).any():
        return f"The filter never had an attitude to predict a reading of the {name.replace('_', ' ')}."
    width = innovations.values.shape[1]
    unit, factor = ("µT", 1.0) if name == Magnetometer.name else ("mrad", 1e3)
    figure, grid = panel_grid(2, 2, 1.3) if width == 3 else panel_grid(width + 1, 1, 0.9)
    panels = [axes for row in grid for axes in row]
    shade(panels, eclipses(samples, time))
    limit = math.sqrt(getattr(settings, name).gate)
    innovation_panels(panels, time, innovations.scaled(factor), limit, [f"{axis} [{unit}]" for axis in "xyz"[:width]])
    entries = [*innovation_entries(limit), ("band", SHADE, "eclipse")]
    return traces.finish(figure, time, entries, samples.found_again)


def attitude_consistency(result: AttitudeResult, found: Sequence[ComparedAttitude], time: TimeAxis) -> Drawing:
    """Plot the NIS of the filter and, with a truth, the NEES of both estimators."""
    shown = [nis_squares(result.samples.nis, result.samples.dof, time, None)]
    shown += [nees_squares(one.name, one.errors, NEES_DOF, time) for one in found]
    return squares_figure(shown, time, "sample")
