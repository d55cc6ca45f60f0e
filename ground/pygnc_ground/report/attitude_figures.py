"""Figures of the attitude: errors against truth, filter minus smoother, sensor biases, modes and faults over time."""

from collections.abc import Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pygnc.estimators.attitude.filter import Mode
from pygnc.estimators.attitude.settings import FACES, MountingSettings
from pygnc_ground.attitude.accuracy import settled
from pygnc_ground.orbit.solution import BoolArray, FloatArray, IntArray
from pygnc_ground.replay.result import AttitudeResult, SampleRecords
from pygnc_ground.report import traces
from pygnc_ground.report.axes import TimeAxis, eclipses, shade, spans
from pygnc_ground.report.comparison import ComparedAttitude, attitude_filter_minus_smoother
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
    Drawing,
    panel_grid,
)
from pygnc_ground.report.traces import Components, Trace
from pygnc_ground.wording import meaning, whole

_WINDOW_H: Final = 1.0 / 12.0
_ECLIPSE: Final = ("band", SHADE, "eclipse")


def attitude_errors(result: AttitudeResult, found: Sequence[ComparedAttitude], time: TimeAxis) -> Drawing:
    """Plot the errors about the body axes with 3-sigma bounds, and the angle between truth and estimate."""
    known = [one for one in found if len(one.errors)]
    if not known:
        return "No attitude lies in the time span of the truth."
    rotations = {
        one.name: (one.errors.row, one.errors.turn_rad, one.solution.sigma_rad[one.errors.row]) for one in known
    }
    figure, lowest = _rotations(result, time, "error", rotations)
    angles = []
    for one in known:
        angles.append(_running_rms(traces.trace(time, np.degrees(one.errors.angle_rad), one.errors.row)))
        traces.line(lowest, time, angles[-1], OF_ESTIMATE[one.name], width=1.2)
        traces.line(lowest, time, traces.trace(time, np.degrees(one.bound_rad)), OF_ESTIMATE[one.name], dashed=True)
    _logarithmic(lowest, [one.values for one in angles], "angle [deg]")
    entries = [("band", BAND_OF_ESTIMATE[one.name], f"3 σ of the {one.name}") for one in known]
    entries += [("line", OF_ESTIMATE[one.name], one.name) for one in known]
    if np.isfinite(found[0].bound_rad).any():
        entries += [("dashed", OF_ESTIMATE[one.name], f"bound for any {one.name}") for one in known]
    return traces.finish(figure, time, [*entries, _ECLIPSE], result.samples.found_again)


def attitude_smoothing(result: AttitudeResult, found: Sequence[ComparedAttitude], time: TimeAxis) -> Drawing:
    """Plot filter minus smoother with the bounds that follow from both covariances, and the sigmas of both."""
    difference = attitude_filter_minus_smoother(result)
    if not len(difference[0]):
        return "The filter never had an attitude."
    figure, lowest = _rotations(result, time, "turn", {"filter": difference})
    sigmas = {one.name: np.degrees(one.solution.sigma_rss_rad) for one in found}
    for name, sigma in sigmas.items():
        traces.line(lowest, time, traces.trace(time, sigma), OF_ESTIMATE[name])
    _logarithmic(lowest, list(sigmas.values()), "σ, 3 axes [deg]")
    entries = [
        ("band", FILTER_BAND, "3 σ of the difference"),
        ("line", FILTER, "filter minus smoother; below: σ of the filter"),
        ("line", OF_ESTIMATE["smoother"], "σ of the smoother"),
        _ECLIPSE,
    ]
    return traces.finish(figure, time, entries, result.samples.found_again)


def _rotations(
    result: AttitudeResult, time: TimeAxis, what: str, series: dict[str, tuple[IntArray, FloatArray, FloatArray]]
) -> tuple[Figure, Axes]:
    """Plot rows, rotations and sigmas of each estimate about the body axes; return the figure and its fourth panel."""
    figure, grid = panel_grid(4, 1, 1.15)
    panels = [row[0] for row in grid]
    shade(panels, eclipses(result.samples, time))
    drawn = [
        Components(time, np.degrees(turn), np.degrees(sigma), row, OF_ESTIMATE[name], BAND_OF_ESTIMATE[name])
        for name, (row, turn, sigma) in series.items()
    ]
    for axes, name in zip(panels[:3], "xyz", strict=True):
        axes.set_ylabel(f"{what} about {name} [deg]")
    traces.components(panels[:3], drawn, traces.common_limit(drawn, 0.95, 0.99))
    return figure, panels[3]


def _running_rms(shown: Trace) -> Trace:
    """Return the RMS over a centred window at each value."""
    total = np.concatenate(([0.0], np.cumsum(shown.values**2)))
    first = np.searchsorted(shown.hours, shown.hours - 0.5 * _WINDOW_H)
    behind = np.searchsorted(shown.hours, shown.hours + 0.5 * _WINDOW_H, side="right")
    return Trace(shown.hours, np.sqrt((total[behind] - total[first]) / (behind - first)))


def _logarithmic(axes: Axes, values_deg: Sequence[FloatArray], label: str) -> None:
    finite = np.concatenate(values_deg)
    finite = finite[np.isfinite(finite) & (finite > 0.0)]
    traces.logarithmic(axes)
    if len(finite):
        axes.set_ylim(0.5 * float(finite.min()), 2.0 * float(finite.max()))
    axes.set_ylabel(label)


_SIGMAS: Final = 3.0


class _Bias(NamedTuple):
    """Biases of one sensor by one estimator: values and sigmas in the unit of the panels, shape (n, 3)."""

    name: str
    values: FloatArray
    sigmas: FloatArray
    settled: BoolArray
    """Samples after the settling time, shape (n,)."""


def biases(result: AttitudeResult, found: Sequence[ComparedAttitude], time: TimeAxis) -> Drawing:
    """Plot both estimates with 3-sigma bounds, and the truth, per sensor axis."""
    known = [(one.name, one.solution, settled(one.solution)[0]) for one in found if one.solution.known.any()]
    if not known:
        return "Biases are unknown without an attitude."
    truth = result.truth
    figure, grid = panel_grid(3, 2, 1.2)
    columns = (
        ("Gyro [deg/s]", "gyro_bias_imu_rad_s", "gyro_bias_sigma_rad_s", 180.0 / np.pi),
        ("Magnetometer [µT]", "mag_bias_imu_ut", "mag_bias_sigma_ut", 1.0),
    )
    for column, (title, value, sigma, unit) in enumerate(columns):
        grid[0][column].set_title(title, fontweight="bold")
        series = [_Bias(name, unit * getattr(of, value), unit * getattr(of, sigma), late) for name, of, late in known]
        true = None if truth is None else unit * getattr(truth, value)
        _bias_panels([row[column] for row in grid], time, series, true)
    entries = [("band", BAND_OF_ESTIMATE[name], f"3 σ of the {name}") for name, _, _ in known]
    entries += [("line", OF_ESTIMATE[name], name) for name, _, _ in known]
    if truth is not None:
        entries.append(("dashed", INK, "truth"))
    return traces.finish(figure, time, entries, result.samples.found_again)


def _bias_panels(panels: Sequence[Axes], time: TimeAxis, series: Sequence[_Bias], true: FloatArray | None) -> None:
    """Plot one axis per panel, all to the same scale, which fits settled values, their bounds and the truth."""
    centre = np.median(series[-1].values[series[-1].settled], axis=0)
    reach = [np.abs(one.values - centre)[one.settled] + _SIGMAS * one.sigmas[one.settled] for one in series]
    if true is not None:
        reach.append(np.abs(true - centre))
    limit = traces.limit_around(*reach, share=0.98)
    for component, (axes, middle) in enumerate(zip(panels, centre.tolist(), strict=True)):
        axes.set_ylabel("xyz"[component])
        axes.set_ylim(middle - limit, middle + limit)
        for one in series:
            value, sigma = one.values[:, component], _SIGMAS * one.sigmas[:, component]
            # Without an attitude, a bias may be known from calibration, but its sigma is not.
            top, low = traces.trace(time, value + sigma), traces.trace(time, value - sigma)
            traces.band(axes, time, top, BAND_OF_ESTIMATE[one.name], low=low.values)
        for one in series:
            traces.line(axes, time, traces.trace(time, one.values[:, component]), OF_ESTIMATE[one.name])
        if true is not None:
            traces.line(axes, time, traces.trace(time, true[:, component]), INK, dashed=True)


_MODES: Final = MappingProxyType(
    {
        Mode.FINE: ("fine attitude", FILTER),
        Mode.COARSE: ("coarse attitude", LOOK),
        Mode.SEARCHING: ("attitude unknown", MUTED),
    }
)
_NAMES: Final = ("+X", "+Y", "+Z", "−X", "−Y", "−Z")


class Condition(NamedTuple):
    """Condition that holds for the flagged ones of n samples, such as a mode or a fault, and the colour of its bars."""

    label: str
    flags: BoolArray
    colour: str


def face_names(mounting: MountingSettings) -> tuple[str, ...]:
    """Return the names of all faces, six or more: by body axis if each is along another one, otherwise by number."""
    normals = np.array(mounting.face_normals_body)
    missing = ("not fitted",) * (FACES - len(normals))
    axes = np.concatenate((np.eye(3), -np.eye(3)))
    along = normals.dot(axes.T) > 1.0 - 1e-6
    if not along.any(axis=1).all() or along.sum(axis=0).max() > 1:
        return *(f"no. {number}" for number in range(1, len(normals) + 1)), *missing
    return *(_NAMES[index] for index in along.argmax(axis=1)), *missing


def conditions(samples: SampleRecords, mounting: MountingSettings) -> list[Condition]:
    """Return the modes and all conditions that occurred: rejection causes, gates, failed sensors."""
    modes, causes = np.array(samples.mode), np.array(samples.cause)
    found = [Condition(label, np.asarray(modes == mode.value), colour) for mode, (label, colour) in _MODES.items()]
    faults = {meaning(cause, "attitude"): np.asarray(causes == cause) for cause in sorted({*samples.cause} - {""})}
    for name, of in samples.innovations.items():
        faults[f"{name.replace('_', ' ')} rejected by its gate"] = np.isfinite(of.chi_square) & ~of.used
    stopped = samples.faces_usable & ~samples.faces_used
    faults["a face rejected by its gate"] = np.asarray(stopped.any(axis=1))
    for number, name in enumerate(face_names(mounting)):
        faults[f"face {name} dead"] = samples.faces_dead[:, number]
        faults[f"face {name} mirrored"] = samples.faces_mirrored[:, number]
    faults |= {f"gyro axis {name} stuck": samples.gyro_stuck[:, number] for number, name in enumerate("xyz")}
    found += [Condition(label, flags, REJECTED) for label, flags in faults.items()]
    return [one for one in found if one.flags.any()]


_ROW_IN: Final = 0.22
_RATE_IN: Final = 1.3
_BAR: Final = 0.62
_AXIS_COLOURS: Final = (INK, LIMIT, GOOD)


def states(result: AttitudeResult, found: Sequence[Condition], time: TimeAxis) -> Drawing:
    """Plot a bar for each time span in which a condition held, and the components of the body rate."""
    samples = result.samples
    if not len(samples):
        return "There is no sensor sample."
    if not len(time.order):
        return "No sensor sample has a known time, so there is no attitude."
    heights = (_ROW_IN * len(found), _RATE_IN)
    figure, ((strips,), (rate,)) = panel_grid(2, 1, heights, between_in=0.16, left_in=2.45, right_in=0.62)
    shade([strips, rate], eclipses(samples, time))
    _strips(strips, found, time)
    rate_deg_s = np.degrees(result.solution.rate_body_rad_s)
    rate.set_ylabel("rate [deg/s]")
    for component, colour in enumerate(_AXIS_COLOURS):
        traces.line(rate, time, traces.trace(time, rate_deg_s[:, component]), colour)
    rate.margins(y=0.08)
    entries = [_ECLIPSE]
    entries += [("line", colour, f"body rate about {name}") for name, colour in zip("xyz", _AXIS_COLOURS, strict=True)]
    if samples.found_again.any():
        entries.append(("dotted", MUTED, "attitude re-acquired"))
    return traces.finish(figure, time, entries, samples.found_again)


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
