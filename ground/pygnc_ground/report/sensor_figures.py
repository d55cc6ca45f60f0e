"""Figures of the attitude sensors: light on the faces, magnetometer residuals, consistency of the attitude filter."""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes

from pygnc.estimators.attitude.settings import AttitudeSettings, MagnetometerSettings
from pygnc_ground.attitude.accuracy import NEES_DOF
from pygnc_ground.orbit.solution import BoolArray, FloatArray
from pygnc_ground.replay.result import AttitudeResult
from pygnc_ground.report import traces
from pygnc_ground.report.attitude_figures import face_names
from pygnc_ground.report.axes import TimeAxis, close_up, eclipses, shade, spans
from pygnc_ground.report.comparison import ComparedAttitude
from pygnc_ground.report.orbit_figures import Squares, component_panels, distance_panel, nees_squares, squares_chart
from pygnc_ground.report.style import FILTER, FILTER_BAND, LIMIT, REJECTED, SHADE, SMOOTHER, Chart, panel_grid, to_svg

_LIGHT_TITLE: Final = "Light on the faces"
_PERCENT: Final = 100.0
_PANEL_IN: Final = 0.82
_WIDTHS: Final = (1.7, 1.0)
_DOT_BINS: Final = 350
_LEAST_LIMIT: Final = 6.0
_TOP: Final = 1.12
"""Upper limit of panels of readings, in units of full scale."""
_BAR: Final = 5.0
"""Width in points of the bar over a panel while the face is held faulty."""


class _Marks(NamedTuple):
    """Kind of mark for each reading; all (n, 6)."""

    plain: BoolArray
    saturated: BoolArray
    doubted: BoolArray
    """Dark in sunlight, or rejected by the gate"""


def light(result: AttitudeResult, settings: AttitudeSettings, time: TimeAxis) -> Chart:
    """Plot measured minus expected light, and both in a close-up; without a model, the measured light alone."""
    if not len(time.order):
        return Chart("light", _LIGHT_TITLE, "No sensor sample has a known time.", "", Markup())
    stretch = close_up(result, time)
    figure, grid = panel_grid(6, 1 if stretch is None else 2, _PANEL_IN, widths=None if stretch is None else _WIDTHS)
    whole = [row[0] for row in grid]
    dark_h, marks = eclipses(result.samples, time), _marks(result)
    shade(whole, dark_h)
    time.label_axes(whole, bottom=whole[-1:])
    for face, (axes, name) in enumerate(zip(whole, face_names(settings.mounting), strict=True)):
        axes.set_ylabel(f"{name} [%]")
        if stretch is None:
            _readings(axes, time, result, marks, face)
        else:
            _differences(axes, time, result, marks, face)
            traces.level(axes, *(sign * 3.0 * _PERCENT * settings.sun_sensors.noise_share for sign in (-1, 1)))
        _broken(axes, time, (result.samples.faces_dead | result.samples.faces_mirrored)[:, face])
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
            _readings(axes, stretch, result, marks, face)
        entries[2:2] = [
            ("cross", REJECTED, "dark in sunlight, or rejected by the gate"),
            ("line", SMOOTHER, "model"),
            ("dashed", LIMIT, "3 σ of noise; full scale"),
        ]
    traces.legend(figure, entries)
    return Chart("light", _LIGHT_TITLE, _see(stretch), _WRONG, to_svg(figure, "light", "Light on each face over time"))


def _marks(result: AttitudeResult) -> _Marks:
    samples, seen = result.samples, result.light
    doubted = seen.dark | (samples.faces_usable & ~samples.faces_used)
    return _Marks(~doubted & ~seen.saturated, seen.saturated & ~doubted, doubted)


def _differences(axes: Axes, time: TimeAxis, result: AttitudeResult, marks: _Marks, face: int) -> None:
    samples, lit = result.samples, result.samples.sunlit_fraction > 0.0
    difference = _PERCENT * (result.light.measured - result.light.expected)
    sound = ~(marks.doubted | samples.faces_dead | samples.faces_mirrored)
    limit = max(_LEAST_LIMIT, traces.limit_around(difference[lit[:, None] & sound], share=0.995))
    axes.set_ylim(-limit, limit)
    _draw(axes, time, np.where(lit, difference[:, face], np.nan), marks, face)


def _readings(axes: Axes, time: TimeAxis, result: AttitudeResult, marks: _Marks, face: int) -> None:
    full_scale = _PERCENT * float(np.median(result.light.full_scale))
    axes.set_ylim(-0.06 * full_scale, _TOP * full_scale)
    traces.level(axes, full_scale)
    _draw(axes, time, _PERCENT * result.light.measured[:, face], marks, face)


def _draw(axes: Axes, time: TimeAxis, values: FloatArray, marks: _Marks, face: int) -> None:
    for flags, colour in ((marks.plain, FILTER), (marks.saturated, LIMIT)):
        shown = traces.trace(time, np.where(flags[:, face], values, np.nan))
        traces.dots(axes, shown, colour, size=1.6, bins=_DOT_BINS)
    traces.rejected(axes, traces.trace(time, np.where(marks.doubted[:, face], values, np.nan)))


def _broken(axes: Axes, time: TimeAxis, flags: BoolArray) -> None:
    """Plot a bar along the upper edge in the intervals in which the flight software treats the face as faulty."""
    top = axes.get_ylim()[1]
    for begin, end in spans(flags, time).tolist():
        axes.plot((begin, end), (top, top), color=REJECTED, linewidth=_BAR, solid_capstyle="butt")


def _see(stretch: TimeAxis | None) -> str:
    shares = "Light on each face as a fraction of full sunlight at normal incidence. "
    broken = " A red bar along the upper edge marks when the flight treated a face as dead or mirrored."
    if stretch is None:
        return f"{shares}Without an attitude and an orbit there is no model to compare with.{broken}"
    return (
        f"{shares}Left: reading minus model (Sun, albedo, full scale) at the smoothed "
        f"attitude; right: both during some rotations of the body.{broken}"
    )


_WRONG: Final = (
    "Differences proportional to the light (gain of the face); differences only at grazing light (mounting of the "
    "face); differences on all faces at once (attitude or albedo); a face that stays dark or at full scale."
)


_FIELD_TITLE: Final = "Magnetometer residuals"


def field_residuals(result: AttitudeResult, settings: MagnetometerSettings, time: TimeAxis) -> Chart:
    """Plot the innovations of the magnetometer per sensor axis, and their normalised length against the gate."""
    samples = result.samples
    if not np.isfinite(samples.field_chi_square).any():
        see = "The filter never had an attitude to predict a magnetometer reading."
        return Chart("field", _FIELD_TITLE, see, "", Markup())
    gate = math.sqrt(settings.gate)
    figure, grid = panel_grid(2, 2, 1.3)
    x, y, z, distance = (axes for row in grid for axes in row)
    every = [x, y, z, distance]
    shade(every, eclipses(samples, time))
    values = (samples.field_innovation_ut, samples.field_innovation_sigma_ut)
    component_panels((x, y, z), time, samples.field_used, values, "µT", names="xyz")
    distance_panel(distance, time, samples.field_used, samples.field_chi_square, gate)
    time.label_axes(every, bottom=grid[1])
    traces.restarts(every, time, samples.found_again)
    traces.legend(
        figure,
        [
            ("dot", FILTER, "used"),
            ("cross", REJECTED, "rejected"),
            ("arrow", REJECTED, "rejected, beyond the panel"),
            ("band", FILTER_BAND, "3 σ expected"),
            ("dashed", LIMIT, f"gate √χ² = {gate:.2f}"),
            ("band", SHADE, "eclipse"),
        ],
    )
    return Chart(
        "field",
        _FIELD_TITLE,
        "Magnetometer reading minus prediction (IGRF field rotated by the predicted attitude, plus bias) in the "
        "sensor's axes, with three expected standard deviations. Lower right: length of each innovation in "
        "standard deviations, √χ² with 3 degrees of freedom, and the gate.",
        "Dots that oscillate with the body's rotation (scale or axes of the magnetometer) or with the orbit "
        "(wrong time or orbit); steps (a current on board); consecutive rejections (wrong attitude).",
        to_svg(figure, "field", "Residuals of the magnetometer over time with their expected bands"),
    )


def attitude_consistency(result: AttitudeResult, found: Sequence[ComparedAttitude], time: TimeAxis) -> Chart:
    """Plot the NIS of the filter and, with a truth, the NEES of both estimators."""
    samples = result.samples
    rows = time.order[np.isfinite(samples.nis[time.order]) & (samples.dof[time.order] > 0)]
    innovations = Squares(
        name="NIS of the filter",
        colour=FILTER,
        independent=True,
        hours=time.hours[rows],
        squares=samples.nis[rows],
        dof=samples.dof[rows],
        usual_dof=None,
    )
    return squares_chart([innovations, *(_nees(one, time) for one in found)], time, "attitude-consistency", "sample")


def _nees(one: ComparedAttitude, time: TimeAxis) -> Squares:
    return nees_squares(one.name, traces.trace(time, one.errors.nees, one.errors.row), NEES_DOF)
