import numpy as np
import pytest

from pygnc_ground.report.consistency import running_mean


def test_single_squares_have_the_tabled_band() -> None:
    mean = running_mean(np.array([6.0, 3.0]), np.array([6, 3]))
    assert mean.mean.tolist() == [1.0, 1.0]
    # Quantiles 0.025 and 0.975 of chi-square with 6 and 3 degrees of freedom, from the usual printed tables.
    assert mean.low * [6, 3] == pytest.approx([1.237, 0.216], abs=5e-4)
    assert mean.high * [6, 3] == pytest.approx([14.449, 9.348], abs=5e-4)


def test_windows_take_a_tenth_and_weigh_by_degrees_of_freedom() -> None:
    squares, dof = np.arange(40.0), np.tile([6, 3], 20)
    mean = running_mean(squares, dof)
    assert len(mean.mean) == 37
    assert mean.mean[0] == pytest.approx((0 + 1 + 2 + 3) / 18)
    assert mean.mean[-1] == pytest.approx((36 + 37 + 38 + 39) / 18)
    assert (mean.middle[0], mean.middle[-1]) == (2, 38)
    assert (mean.low < 1.0).all()
    assert (mean.high > 1.0).all()


def test_windows_stop_growing_at_fifty() -> None:
    squares = np.random.default_rng(2).chisquare(6, 5000)
    mean = running_mean(squares, np.full(5000, 6))
    assert len(mean.mean) == 5000 - 49
    inside = (mean.mean >= mean.low) & (mean.mean <= mean.high)
    # Some 100 independent windows.
    assert inside.mean() == pytest.approx(0.95, abs=0.06)


def test_nothing_gives_nothing() -> None:
    assert len(running_mean(np.empty(0), np.empty(0, np.int64)).middle) == 0
