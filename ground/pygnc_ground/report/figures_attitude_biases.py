"""Figure: biases of gyro and magnetometer."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes

from pygnc_ground.attitude.accuracy import settled
from pygnc_ground.attitude.solution import AttitudeSolution
from pygnc_ground.orbit.solution import BoolArray, FloatArray
from pygnc_ground.replay.attitude_result import AttitudeResult
from pygnc_ground.report import traces
from pygnc_ground.report.attitude_comparison import AttitudeEstimate
from pygnc_ground.report.drawing import Chart, panel_grid, to_svg
from pygnc_ground.report.palette import BAND_OF_ESTIMATE, INK, OF_ESTIMATE
from pygnc_ground.report.time_axis import TimeAxis
from pygnc_ground.truth.attitude_truth import TrueAttitude

_TITLE: Final = "Biases"
_SIGMAS: Final = 3.0


class _Series(NamedTuple):
    """One estimator's biases of one sensor in the units of the panels."""

    name: str
    values: FloatArray
    """(n, 3)"""
    sigmas: FloatArray
    """(n, 3)"""
    settled: BoolArray
    """(n,)"""


def biases(result: AttitudeResult, found: Sequence[AttitudeEstimate], time: TimeAxis) -> Chart:
    """Both estimates with 3-sigma bounds, and the truth, per axis of the sensors."""
    known = [one for one in found if one.solution.known.any()]
    if not known:
        return Chart("biases", _TITLE, "Without an attitude nothing is known of biases.", "", Markup())
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
        _TITLE,
        "What the filter finds the sensors to show too much, in the sensors' own axes, with three standard "
        "deviations. The three panels of a column have one scale; they are cut where bounds are widest, after a "
        "start. While the rate is steady, a scale error of the gyro acts like a bias.",
        "A bias that wanders by more than its band (a sensor that depends on temperature, or a current on board), "
        "steps (something was switched), bands that do not shrink (a body that hardly turns shows no biases)"
        + ("." if result.truth is None else ", a truth outside the bands."),
        to_svg(figure, "biases", "Biases of gyro and magnetometer over time with their 3-sigma bounds"),
    )


def _of(solution: AttitudeSolution, column: int) -> tuple[FloatArray, FloatArray]:
    """Values and sigmas in the units of the panels, each (n, 3)."""
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
            # Without an attitude a bias may be known by calibration, and its sigma not.
            top, low = traces.trace(time, value + sigma), traces.trace(time, value - sigma)
            traces.band(axes, time, top, BAND_OF_ESTIMATE[one.name], low=low.values)
        for one in series:
            traces.line(axes, time, traces.trace(time, one.values[:, component]), OF_ESTIMATE[one.name])
        if true is not None:
            traces.line(axes, time, traces.trace(time, true[:, component]), INK, dashed=True)


def _set_limits(panels: Sequence[Axes], series: Sequence[_Series], true: FloatArray | None) -> None:
    """Equal heights around the last estimator's median, that hold what is settled with its bounds, and the truth."""
    centre = np.median(series[-1].values[series[-1].settled], axis=0)
    reach = [np.abs(one.values - centre)[one.settled] + _SIGMAS * one.sigmas[one.settled] for one in series]
    if true is not None:
        reach.append(np.abs(true - centre))
    limit = traces.limit_around(*reach, share=0.98)
    for axes, middle in zip(panels, centre.tolist(), strict=True):
        axes.set_ylim(middle - limit, middle + limit)
