"""Figures of the attitude: errors against truth, filter minus smoother, sensor biases, modes and faults over time."""

from collections.abc import Iterator, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from pygnc.estimators.attitude.filter import Mode
from pygnc.estimators.attitude.mekf import AttitudeRejectCause
from pygnc.estimators.attitude.settings import MountingSettings
from pygnc.tasks.attitude.tracker import NO_TIME
from pygnc_cli.text import printable
from pygnc_ground.attitude.accuracy import settled
from pygnc_ground.attitude.solution import AttitudeSolution
from pygnc_ground.orbit.solution import BoolArray, FloatArray
from pygnc_ground.replay.result import AttitudeResult, SampleRecords
from pygnc_ground.report import traces
from pygnc_ground.report.axes import TimeAxis, eclipses, shade, spans
from pygnc_ground.report.comparison import (
    ComparedAttitude,
    RotationSeries,
    attitude_error_series,
    attitude_filter_minus_smoother,
)
from pygnc_ground.report.style import (
    BAND_OF_ESTIMATE,
    FILTER,
    FILTER_BAND,
    GOOD,
    INK,
    LIMIT,
    LOOK,
    MUTED,
    OF_ESTIMATE,
    REJECTED,
    SHADE,
    WIDTH_IN,
    Chart,
    new_figure,
    panel_grid,
    to_svg,
)
from pygnc_ground.report.traces import Trace
from pygnc_ground.report.wording import whole
from pygnc_ground.truth.attitude_truth import TrueAttitude

_WINDOW_H: Final = 1.0 / 12.0
_ECLIPSE: Final = ("band", SHADE, "eclipse")


def attitude_errors(result: AttitudeResult, found: Sequence[ComparedAttitude], time: TimeAxis) -> Chart:
    """Plot the errors about the body axes with 3-sigma bounds, and the angle between truth and estimate."""
    title, name = "Attitude error against truth", "attitude-errors"
    known = [one for one in found if len(one.errors)]
    if not known:
        return Chart(name, title, "No attitude lies in the time span of the truth.", "", Markup())
    figure, panels = _four_panels("error")
    shade(panels, eclipses(result.samples, time))
    series = {one.name: attitude_error_series(one) for one in known}
    _rotations(panels[:3], time, series)
    _angles(panels[3], time, known)
    bounded = bool(np.isfinite(found[0].bound_rad).any())
    entries = [("band", BAND_OF_ESTIMATE[name], f"3 σ of the {name}") for name in series]
    entries += [("line", OF_ESTIMATE[name], name) for name in series]
    if bounded:
        entries += [("dashed", OF_ESTIMATE[one.name], f"bound for any {one.name}") for one in known]
    _finish(figure, panels, result, time, [*entries, _ECLIPSE])
    return Chart(
        name,
        title,
        "Rotation from the true to the estimated body axes, as a rotation vector in body axes, with the 3-sigma "
        "bounds of the estimate's own covariance. The lowest panel shows the total angle as RMS over five minutes"
        + (
            ", and the smallest sigma that any filter or smoother can reach with these samples (posterior Cramér-Rao "
            "bound for the noise in the settings)"
            if bounded
            else ""
        )
        + ". Without sunlight, only the magnetometer constrains the attitude, so errors grow in eclipse.",
        "Errors outside the band for longer than a few samples; a narrow band around a large error (wrong lock); "
        "errors of one sign in sunlight (gain of a face, or mounting); a slow oscillation with the field "
        "(magnetometer bias).",
        to_svg(figure, name, "Attitude errors about the body axes over time with 3-sigma bounds"),
    )


def attitude_smoothing(result: AttitudeResult, found: Sequence[ComparedAttitude], time: TimeAxis) -> Chart:
    """Plot filter minus smoother with the bounds that follow from both covariances, and the sigmas of both."""
    title, name = "Attitude: filter minus smoother, and formal accuracy", "attitude-smoothing"
    difference = attitude_filter_minus_smoother(result)
    if not len(difference.row):
        return Chart(name, title, "The filter never had an attitude.", "", Markup())
    figure, panels = _four_panels("turn")
    shade(panels, eclipses(result.samples, time))
    _rotations(panels[:3], time, {"filter": difference})
    sigmas = {one.name: np.degrees(one.solution.sigma_rss_rad) for one in found}
    for estimate, sigma in sigmas.items():
        traces.line(panels[3], time, traces.trace(time, sigma), OF_ESTIMATE[estimate])
    _logarithmic(panels[3], list(sigmas.values()))
    panels[3].set_ylabel("σ, 3 axes [deg]")
    entries = [
        ("band", FILTER_BAND, "3 σ of the difference"),
        ("line", FILTER, "filter minus smoother; below: σ of the filter"),
        ("line", OF_ESTIMATE["smoother"], "σ of the smoother"),
    ]
    _finish(figure, panels, result, time, [*entries, _ECLIPSE])
    return Chart(
        name,
        title,
        "Rotation that later samples add to the filter's attitude, about the body axes. Its variance is the "
        "filter's minus the smoother's, so this tests both covariances without a truth (McReynolds): 99 % should "
        "lie in the band. The lowest panel shows the formal three-axis standard deviations.",
        "Differences outside the band for longer than a few samples (noise settings too small, or a wrong model); "
        "sigmas that grow in sunlight.",
        to_svg(figure, name, "Filter minus smoother about the body axes over time, and formal standard deviations"),
    )


def _angles(axes: Axes, time: TimeAxis, known: Sequence[ComparedAttitude]) -> None:
    """Plot the angles between truth and estimates and their bounds on a logarithmic scale."""
    drawn = []
    for one in known:
        angle = traces.trace(time, np.degrees(one.errors.angle_rad), one.errors.row)
        drawn.append(_running_rms(angle))
        traces.line(axes, time, drawn[-1], OF_ESTIMATE[one.name], width=1.2)
        traces.line(axes, time, traces.trace(time, np.degrees(one.bound_rad)), OF_ESTIMATE[one.name], dashed=True)
    _logarithmic(axes, [one.values for one in drawn])
    axes.set_ylabel("angle [deg]")


def _running_rms(shown: Trace) -> Trace:
    """Return the RMS over a centred window at each value."""
    total = np.concatenate(([0.0], np.cumsum(shown.values**2)))
    first = np.searchsorted(shown.hours, shown.hours - 0.5 * _WINDOW_H)
    behind = np.searchsorted(shown.hours, shown.hours + 0.5 * _WINDOW_H, side="right")
    return Trace(shown.hours, np.sqrt((total[behind] - total[first]) / (behind - first)))


def _four_panels(what: str) -> tuple[Figure, list[Axes]]:
    figure, grid = panel_grid(4, 1, 1.15)
    panels = [row[0] for row in grid]
    for axes, name in zip(panels, "xyz", strict=False):
        axes.set_ylabel(f"{what} about {name} [deg]")
    return figure, panels


def _rotations(panels: Sequence[Axes], time: TimeAxis, series: dict[str, RotationSeries]) -> None:
    """Plot three panels with a common scale that covers all bounds except the widest 5 %."""
    sigmas = [np.degrees(3.0 * one.sigma_rad) for one in series.values()]
    values = [np.degrees(one.rotation_rad) for one in series.values()]
    limit = max(traces.limit_around(*sigmas, share=0.95), traces.limit_around(*values, share=0.99))
    for component, axes in enumerate(panels):
        axes.set_ylim(-limit, limit)
        for (name, one), sigma in zip(series.items(), sigmas, strict=True):
            traces.band(axes, time, traces.trace(time, sigma[:, component], one.row), BAND_OF_ESTIMATE[name])
        for (name, one), value in zip(series.items(), values, strict=True):
            traces.line(axes, time, traces.trace(time, value[:, component], one.row), OF_ESTIMATE[name])


def _logarithmic(axes: Axes, values_deg: Sequence[FloatArray]) -> None:
    finite = np.concatenate(values_deg)
    finite = finite[np.isfinite(finite) & (finite > 0.0)]
    axes.set_yscale("log")
    if len(finite):
        axes.set_ylim(0.5 * float(finite.min()), 2.0 * float(finite.max()))
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _finish(
    figure: Figure,
    panels: Sequence[Axes],
    result: AttitudeResult,
    time: TimeAxis,
    entries: Sequence[tuple[str, str, str]],
) -> None:
    time.label_axes(panels, bottom=panels[-1:])
    traces.restarts(panels, time, result.samples.found_again)
    traces.legend(figure, entries)


_BIASES_TITLE: Final = "Biases"
_SIGMAS: Final = 3.0


class _Series(NamedTuple):
    """Biases of one sensor from one estimator, in the units of the panels."""

    name: str
    values: FloatArray
    """(n, 3)"""
    sigmas: FloatArray
    """(n, 3)"""
    settled: BoolArray
    """(n,)"""


def biases(result: AttitudeResult, found: Sequence[ComparedAttitude], time: TimeAxis) -> Chart:
    """Plot both estimates with 3-sigma bounds, and the truth, per sensor axis."""
    known = [one for one in found if one.solution.known.any()]
    if not known:
        return Chart("biases", _BIASES_TITLE, "Biases are unknown without an attitude.", "", Markup())
    figure, grid = panel_grid(3, 2, 1.2)
    for column, (sensor, unit) in enumerate((("Gyro", "deg/s"), ("Magnetometer", "µT"))):
        grid[0][column].set_title(f"{sensor} [{unit}]", fontweight="bold")
        panels, true = [row[column] for row in grid], _true(result.truth, column)
        series = [_Series(one.name, *_of(one.solution, column), settled(one.solution)[0]) for one in known]
        _column(panels, time, series, true)
        _set_limits(panels, series, true)
        for axes, name in zip(panels, "xyz", strict=True):
            axes.set_ylabel(name)
    every = [axes for row in grid for axes in row]
    time.label_axes(every, bottom=grid[2])
    traces.restarts(every, time, result.samples.found_again)
    entries = [("band", BAND_OF_ESTIMATE[one.name], f"3 σ of the {one.name}") for one in known]
    entries += [("line", OF_ESTIMATE[one.name], one.name) for one in known]
    if result.truth is not None:
        entries.append(("dashed", INK, "truth"))
    traces.legend(figure, entries)
    return Chart(
        "biases",
        _BIASES_TITLE,
        "Estimated sensor biases in the sensors' own axes with 3-sigma bounds. The panels of a column have a common "
        "scale; the wide bounds after a start are cut off. While the body rate is constant, a scale error of the "
        "gyro looks like a bias.",
        "A bias that drifts by more than its band (temperature, or a current on board); steps (something was "
        "switched); bands that do not shrink (biases are not observable while the body hardly rotates)"
        + ("." if result.truth is None else "; a truth outside the bands."),
        to_svg(figure, "biases", "Biases of gyro and magnetometer over time with 3-sigma bounds"),
    )


def _of(solution: AttitudeSolution, column: int) -> tuple[FloatArray, FloatArray]:
    """Return values and sigmas in the units of the panels, each (n, 3)."""
    if column:
        return solution.mag_bias_imu_ut, solution.mag_bias_sigma_ut
    return np.degrees(solution.gyro_bias_imu_rad_s), np.degrees(solution.gyro_bias_sigma_rad_s)


def _true(truth: TrueAttitude | None, column: int) -> FloatArray | None:
    if truth is None:
        return None
    return truth.mag_bias_imu_ut if column else np.degrees(truth.gyro_bias_imu_rad_s)


def _column(panels: Sequence[Axes], time: TimeAxis, series: Sequence[_Series], true: FloatArray | None) -> None:
    for component, axes in enumerate(panels):
        for one in series:
            value, sigma = one.values[:, component], _SIGMAS * one.sigmas[:, component]
            # Without an attitude, a bias may be known from calibration, but its sigma is not.
            top, low = traces.trace(time, value + sigma), traces.trace(time, value - sigma)
            traces.band(axes, time, top, BAND_OF_ESTIMATE[one.name], low=low.values)
        for one in series:
            traces.line(axes, time, traces.trace(time, one.values[:, component]), OF_ESTIMATE[one.name])
        if true is not None:
            traces.line(axes, time, traces.trace(time, true[:, component]), INK, dashed=True)


def _set_limits(panels: Sequence[Axes], series: Sequence[_Series], true: FloatArray | None) -> None:
    """Set equal heights around the last median that contain settled values, their bounds, and the truth."""
    centre = np.median(series[-1].values[series[-1].settled], axis=0)
    reach = [np.abs(one.values - centre)[one.settled] + _SIGMAS * one.sigmas[one.settled] for one in series]
    if true is not None:
        reach.append(np.abs(true - centre))
    limit = traces.limit_around(*reach, share=0.98)
    for axes, middle in zip(panels, centre.tolist(), strict=True):
        axes.set_ylim(middle - limit, middle + limit)


_MODES: Final = MappingProxyType(
    {
        Mode.FINE: ("fine attitude", FILTER),
        Mode.COARSE: ("coarse attitude", LOOK),
        Mode.SEARCHING: ("attitude unknown", MUTED),
    }
)
_CAUSES: Final = MappingProxyType(
    {
        NO_TIME: "sample without a time",
        AttitudeRejectCause.NOT_LATER: "sample not later than the previous one",
        AttitudeRejectCause.NOT_FINITE: "sample with a value that is not finite",
        AttitudeRejectCause.NO_SURROUNDINGS: "no orbit",
        AttitudeRejectCause.GATE: "all measurements of the sample rejected by the gates",
    }
)
_UNKNOWN_SHOWN: Final = 40
_NAMES: Final = ("+X", "+Y", "+Z", "−X", "−Y", "−Z")


class Condition(NamedTuple):
    """Condition that holds for some samples, such as a mode or a fault.

    Attributes:
        label: Name of the condition.
        flags: Samples to which it applies, shape (n,).
        colour: Colour of its bars.
    """

    label: str
    flags: BoolArray
    colour: str


def face_names(mounting: MountingSettings) -> tuple[str, ...]:
    """Return the names of the faces by body axis, or by number if a face is not along a body axis."""
    normals = np.array(mounting.face_normals_body)
    axes = np.concatenate((np.eye(3), -np.eye(3)))
    along = normals.dot(axes.T) > 1.0 - 1e-6
    if not along.any(axis=1).all():
        return tuple(f"no. {number}" for number in range(1, len(normals) + 1))
    return tuple(_NAMES[index] for index in along.argmax(axis=1))


def conditions(samples: SampleRecords, mounting: MountingSettings) -> list[Condition]:
    """Return the modes and all conditions that occurred: rejection causes, gates, failed sensors."""
    return [one for one in _all(samples, mounting) if one.flags.any()]


def _all(samples: SampleRecords, mounting: MountingSettings) -> Iterator[Condition]:
    modes, causes = np.array(samples.mode), np.array(samples.cause)
    for mode, (label, colour) in _MODES.items():
        yield Condition(label, np.asarray(modes == mode.value), colour)
    for cause in sorted({*samples.cause} - {""}):
        label = _CAUSES.get(cause, printable(cause.replace("_", " "))[:_UNKNOWN_SHOWN])
        yield Condition(label, np.asarray(causes == cause), REJECTED)
    judged = np.isfinite(samples.field_chi_square)
    yield Condition("magnetometer rejected by its gate", judged & ~samples.field_used, REJECTED)
    stopped = samples.faces_usable & ~samples.faces_used
    yield Condition("a face rejected by its gate", np.asarray(stopped.any(axis=1)), REJECTED)
    for number, name in enumerate(face_names(mounting)):
        yield Condition(f"face {name} dead", samples.faces_dead[:, number], REJECTED)
        yield Condition(f"face {name} mirrored", samples.faces_mirrored[:, number], REJECTED)
    for number, name in enumerate("xyz"):
        yield Condition(f"gyro axis {name} stuck", samples.gyro_stuck[:, number], REJECTED)


_STATES_TITLE: Final = "Mode, faults and body rate"
_TOP_IN, _BETWEEN_IN, _BOTTOM_IN, _RIGHT_IN = 0.46, 0.16, 0.4, 0.62
_LEFT_IN: Final = 2.45
_ROW_IN: Final = 0.22
_RATE_IN: Final = 1.3
_BAR: Final = 0.62
_AXIS_COLOURS: Final = (INK, LIMIT, GOOD)


def states(result: AttitudeResult, found: Sequence[Condition], time: TimeAxis) -> Chart:
    """Plot a bar for each time span in which a condition held, and the components of the body rate."""
    samples = result.samples
    if not len(time.order):
        see = (
            "No sensor sample has a known time, so there is no attitude."
            if len(samples)
            else "There is no sensor sample."
        )
        return Chart("attitude-states", _STATES_TITLE, see, "", Markup())
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
        entries.append(("dotted", MUTED, "attitude re-acquired"))
    traces.legend(figure, entries)
    return Chart(
        "attitude-states",
        _STATES_TITLE,
        "Time spans with fine, coarse or unknown attitude, and with faults; the number on the right counts samples. "
        "Below: body rate from the gyro minus the filter's bias estimate, about the body axes. It still includes the "
        "bias before the first attitude.",
        "A coarse or unknown attitude long after the start; a fine attitude that is re-acquired often; fault bars "
        "that do not end; a rate that jumps, or that is constant while the light on the faces changes.",
        to_svg(figure, "attitude-states", "Modes and faults over time, and the body rate"),
    )


def _strips(axes: Axes, found: Sequence[Condition], time: TimeAxis) -> None:
    axes.set_ylim(len(found) - 0.5, -0.5)
    axes.set_yticks(range(len(found)), [one.label for one in found])
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    for row, one in enumerate(found):
        bars = [(begin, end - begin) for begin, end in spans(one.flags, time).tolist()]
        if bars:
            # The edge keeps the bar of a single sample visible.
            axes.broken_barh(bars, (row - 0.5 * _BAR, _BAR), facecolor=one.colour, edgecolor=one.colour, linewidth=0.6)
        axes.text(1.008, row, whole(int(one.flags.sum())), transform=axes.get_yaxis_transform(), va="center")
    axes.text(1.008, 1.0 + 0.06 / len(found), "samples", transform=axes.transAxes, color=MUTED)


def _rate(axes: Axes, result: AttitudeResult, time: TimeAxis) -> None:
    rate_deg_s = np.degrees(result.solution.rate_body_rad_s)
    axes.set_ylabel("rate [deg/s]")
    for component, colour in enumerate(_AXIS_COLOURS):
        traces.line(axes, time, traces.trace(time, rate_deg_s[:, component]), colour)
    axes.margins(y=0.08)
