import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from matplotlib.axes import Axes
from matplotlib.patches import PathPatch

from pygnc_ground.orbit.solution import FloatArray
from pygnc_ground.report import traces
from pygnc_ground.report.axes import time_axis
from pygnc_ground.report.style import FILTER, new_figure
from pygnc_ground.report.traces import Trace, extremes, length_scale, scattered
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


def test_a_limit_covers_most_values_and_ignores_unknown_ones() -> None:
    values = np.append(np.ones(99), [1e6])
    assert traces.limit_around(values, share=0.9) == 1.25
    assert traces.limit_around(values, np.array([np.nan, 3.0]), share=0.9) == 3.75
    assert traces.limit_around(np.array([np.nan]), np.empty(0), share=0.9) == 1.0
    assert traces.limit_around(np.zeros(5), share=0.9) == 1.0


VALUES = arrays(np.float64, st.integers(0, 300), elements=st.floats(-1e9, 1e9))


@given(VALUES, st.integers(1, 40))
def test_the_picked_values_are_few_and_have_the_peaks_and_the_ends(y: FloatArray, bins: int) -> None:
    picked = extremes(y, bins)
    assert len(picked) <= 2 * bins + 2
    assert (np.diff(picked) > 0).all()
    if len(y):
        assert {0, len(y) - 1} <= set(picked.tolist())
        assert (y[picked].min(), y[picked].max()) == (y.min(), y.max())


@given(VALUES)
def test_few_values_are_all_kept(y: FloatArray) -> None:
    assert extremes(y, max(1, (len(y) + 1) // 2)).tolist() == list(range(len(y)))


def test_every_stretch_keeps_its_own_peaks() -> None:
    y = np.zeros(1000)
    y[137], y[138], y[870] = 5.0, -5.0, 1.0
    assert {137, 138, 870} <= set(extremes(y, 10).tolist())


@given(VALUES, st.integers(1, 40))
def test_scattered_values_are_few_and_have_the_peaks(y: FloatArray, bins: int) -> None:
    picked = scattered(y, bins)
    assert len(picked) <= 2 * bins + 4
    assert (np.diff(picked) > 0).all()
    assert picked.tolist() == list(range(len(y))) or (y[picked].min(), y[picked].max()) == (y.min(), y.max())


def test_noise_stays_noise() -> None:
    y = np.random.default_rng(1).normal(size=20_000)
    few = y[scattered(y, 600)]
    assert 900 < len(few) <= 1200
    assert abs(float((np.abs(few) < 0.5).mean()) - 0.383) < 0.08
    assert abs(float((np.abs(y[extremes(y, 600)]) < 0.5).mean())) < 0.05


def test_decimation_does_not_alias_a_period() -> None:
    y = np.sin(np.arange(20_000) * 2.0 * np.pi / 22.2)
    few = y[scattered(y, 600)]
    assert abs(float((np.abs(few) < 0.5).mean()) - 1.0 / 3.0) < 0.08


@pytest.mark.parametrize(
    ("values", "scale"),
    [([1.0, 1.2, 0.8], "linear"), ([1.0, 1.1, 300.0], "log"), ([0.0, np.nan], "linear"), ([], "linear")],
)
def test_values_that_differ_widely_get_a_logarithmic_scale(values: list[float], scale: str) -> None:
    axes = new_figure(2.0).add_subplot()
    length_scale(axes, [np.array(values), np.array([])])
    assert axes.get_yscale() == scale
    low, high = axes.get_ylim()
    shown = [value for value in values if value > 0.0]
    assert all(low <= value <= high for value in shown)
