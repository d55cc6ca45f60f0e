import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.patches import PathPatch

from pygnc_ground.report import traces
from pygnc_ground.report.drawing import new_figure
from pygnc_ground.report.palette import FILTER
from pygnc_ground.report.time_axis import time_axis
from pygnc_ground.report.traces import Trace
from tests.pygnc_ground.report import samples


@pytest.fixture
def axes() -> Axes:
    panel = new_figure(2.0).subplots()
    panel.set_ylim(-1.0, 1.0)
    return panel


def test_a_trace_is_in_order_of_time_and_leaves_out_what_is_unknown() -> None:
    result = samples.clean(5)
    result.fixes.gps_ms[[1, 3]] = result.fixes.gps_ms[[3, 1]]
    time = time_axis(result)
    shown = traces.trace(time, np.array([0.0, 1.0, np.nan, 3.0, 4.0]))
    assert shown.values.tolist() == [0.0, 3.0, 1.0, 4.0]
    assert (np.diff(shown.hours) > 0.0).all()
    some = traces.trace(time, np.array([7.0, 8.0]), np.array([4, 1]))
    assert some.values.tolist() == [8.0, 7.0]


def test_a_line_is_broken_at_gaps_and_lone_values_are_dots(axes: Axes) -> None:
    time = time_axis(samples.clean(20))
    hours = np.array([0.0, 0.01, 0.02, 1.0, 2.0, 2.01])
    traces.line(axes, time, Trace(hours, np.arange(6.0)), FILTER)
    through, dots = axes.lines
    values = np.asarray(through.get_ydata(), dtype=float)
    assert np.flatnonzero(np.isnan(values)).tolist() == [3, 5, 8]
    assert values[np.isfinite(values)].tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert np.asarray(dots.get_ydata()).tolist() == [3.0]


def test_a_line_of_any_length_has_a_bounded_number_of_points_and_keeps_its_peaks(axes: Axes) -> None:
    time = time_axis(samples.clean(20))
    values = np.zeros(50_000)
    values[12_345] = 9.0
    traces.line(axes, time, Trace(np.linspace(0.0, 5.0, 50_000), values), FILTER)
    drawn = np.asarray(axes.lines[0].get_ydata(), dtype=float)
    assert len(drawn) < 1000
    assert np.nanmax(drawn) == 9.0


def test_dots_are_drawn_within_the_limits_only(axes: Axes) -> None:
    traces.dots(axes, Trace(np.arange(4.0), np.array([0.0, 5.0, -0.5, -3.0])), FILTER)
    (patch,) = [artist for artist in axes.get_children() if isinstance(artist, PathPatch)]
    assert np.asarray(patch.get_path().vertices)[::2].tolist() == [[0.0, 0.0], [2.0, -0.5]]
    traces.dots(axes, Trace(np.empty(0), np.empty(0)), FILTER)


def test_rejected_values_beyond_the_limits_point_there(axes: Axes) -> None:
    traces.rejected(axes, Trace(np.arange(4.0), np.array([0.0, 5.0, -0.5, -3.0])))
    drawn = {str(one.get_marker()): np.asarray(one.get_xdata()).tolist() for one in axes.lines}
    assert drawn == {"x": [0.0, 2.0], "^": [1.0], "v": [3.0]}
    assert all((np.abs(np.asarray(one.get_ydata(), dtype=float)) < 1.0).all() for one in axes.lines)


def test_a_limit_holds_most_values_and_knows_nothing_of_unknown_ones() -> None:
    values = np.append(np.ones(99), [1e6])
    assert traces.limit_around(values, share=0.9) == 1.25
    assert traces.limit_around(values, np.array([np.nan, 3.0]), share=0.9) == 3.75
    assert traces.limit_around(np.array([np.nan]), np.empty(0), share=0.9) == 1.0
    assert traces.limit_around(np.zeros(5), share=0.9) == 1.0
