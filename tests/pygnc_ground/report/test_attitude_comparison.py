from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pygnc_ground.report.attitude_comparison import attitude_estimates, error_series, filter_minus_smoother
from tests.pygnc_ground.report import attitude_samples, samples

RESULT = attitude_samples.clean(400, begin_ms=samples.BEGIN_MS)


def test_both_estimates_have_their_errors_bounds_and_accuracy() -> None:
    filtered, smoothed = attitude_estimates(RESULT)
    assert (filtered.name, smoothed.name) == ("filter", "smoother")
    assert RESULT.bound is not None
    assert filtered.bound_rad is RESULT.bound.filter_rad
    assert smoothed.bound_rad is RESULT.bound.smoother_rad
    assert smoothed.accuracy.whole.error_deg == pytest.approx(0.3 * 3**0.5, rel=0.1)
    assert filtered.accuracy.nees_mean == pytest.approx(3.0, abs=0.5)
    series = error_series(filtered)
    assert (series.sigma_rad == filtered.solution.sigma_rad).all()


def test_without_a_truth_there_are_no_errors() -> None:
    filtered, smoothed = attitude_estimates(replace(RESULT, truth=None, bound=None))
    assert len(filtered.errors) == len(smoothed.errors) == 0
    assert np.isnan(filtered.bound_rad).all()
    assert np.isnan(smoothed.accuracy.whole.error_deg)


def test_the_difference_is_the_turn_from_the_smoothed_attitude_to_the_filters() -> None:
    difference = filter_minus_smoother(RESULT)
    turn = Rotation.from_rotvec(difference.turn_rad)
    smoothed = Rotation.from_quat(RESULT.smoothed.quaternion, scalar_first=True)
    filtered = Rotation.from_quat(RESULT.solution.quaternion, scalar_first=True)
    assert ((smoothed * turn).inv() * filtered).magnitude().max() < 1e-9


def test_its_variance_is_the_filters_minus_the_smoothers() -> None:
    difference = filter_minus_smoother(RESULT)
    expected = np.radians(np.sqrt((0.4 * (1.0 + 4.0 * np.exp(-np.arange(400) / 10.0))) ** 2 - 0.09))
    assert difference.sigma_rad == pytest.approx(np.repeat(expected[:, None], 3, axis=1))


def test_only_samples_with_both_attitudes_are_compared() -> None:
    lost = attitude_samples.without_attitude(RESULT)
    assert not len(filter_minus_smoother(lost).row)
    assert not len(filter_minus_smoother(replace(RESULT, smoothed=lost.smoothed)).row)
