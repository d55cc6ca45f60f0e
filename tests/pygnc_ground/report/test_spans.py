import numpy as np
import pytest

from pygnc_ground.orbit.solution import BoolArray
from pygnc_ground.report.spans import spans
from pygnc_ground.report.time_axis import TimeAxis, sample_axis, time_axis
from tests.pygnc_ground.report import samples


def axis(seconds: list[float]) -> TimeAxis:
    """Of samples at these seconds on an axis of an hour."""
    time = time_axis(samples.clean(145))
    return sample_axis(time, samples.BEGIN_MS + (1000 * np.array(seconds)).astype(np.int64))


def seconds(time: TimeAxis, flags: list[bool]) -> list[list[float]]:
    begin_h = 21.0 + 10.0 / 60.0
    array: BoolArray = np.array(flags, dtype=np.bool_)
    found: list[list[float]] = ((spans(array, time) - begin_h) * 3600.0).round(3).tolist()
    return found


def test_a_run_lasts_until_the_next_sample_without_the_flag() -> None:
    time = axis([0.0, 100.0, 200.0, 300.0, 400.0])
    assert seconds(time, [False, True, True, False, True]) == [[100.0, 300.0], [400.0, 400.0]]
    assert seconds(time, [True, False, False, False, False]) == [[0.0, 100.0]]
    assert seconds(time, [False] * 5) == []


def test_it_ends_at_gaps() -> None:
    time = axis([0.0, 100.0, 2000.0, 2100.0])
    assert seconds(time, [True] * 4) == [[0.0, 100.0], [2000.0, 2100.0]]


def test_stretches_too_near_to_be_told_apart_are_one() -> None:
    time = axis([0.0, 2.0, 4.0, 6.0, 60.0])
    assert seconds(time, [True, False, True, False, False]) == [[0.0, 6.0]]


def test_samples_count_in_order_of_time_and_without_a_time_not_at_all() -> None:
    time = axis([300.0, 0.0, 100.0, -1e9, 200.0])
    assert seconds(time, [False, True, True, True, True]) == [[0.0, 300.0]]


def test_no_sample_gives_none() -> None:
    assert spans(np.zeros(0, dtype=np.bool_), axis([])).shape == (0, 2)
    assert seconds(axis([5.0]), [True]) == [[5.0, 5.0]]
    with pytest.raises(IndexError):
        spans(np.ones(1, dtype=np.bool_), axis([1.0, 2.0]))
