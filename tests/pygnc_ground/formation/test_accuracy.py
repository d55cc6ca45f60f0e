import numpy as np
import pytest

from pygnc_ground.formation.accuracy import relative_accuracy
from pygnc_ground.orbit.solution import FloatArray

SIGMA = np.array([1.0, 2.0, 2.0, 1e-3, 2e-3, 2e-3])


def states(count: int) -> tuple[FloatArray, FloatArray]:
    """Zeros, and covariances of `SIGMA`."""
    return np.zeros((count, 6)), np.tile(np.diag(SIGMA**2), (count, 1, 1))


def test_errors_and_sigmas_are_root_mean_squares() -> None:
    rtn, covariance = states(4)
    rtn[:, :3] = [[3.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 12.0], [0.0, 0.0, 0.0]]
    found = relative_accuracy(rtn, covariance, np.zeros((4, 6)))
    assert found.error_m == pytest.approx(np.sqrt((9.0 + 16.0 + 144.0) / 4.0))
    assert found.error_rtn_m == pytest.approx((1.5, 2.0, 6.0))
    assert found.sigma_m == pytest.approx(3.0)
    assert found.velocity_sigma_mps == pytest.approx(3e-3)
    assert found.ratio == pytest.approx(found.error_m / 3.0)


def test_errors_of_the_stated_size_have_a_normalised_square_of_six() -> None:
    rtn, covariance = states(4000)
    mixed = np.linalg.qr(np.random.default_rng(1).normal(size=(6, 6)))[0]
    rtn = np.random.default_rng(2).normal(size=(4000, 6)) * SIGMA @ mixed.T
    found = relative_accuracy(rtn, mixed @ covariance @ mixed.T, np.zeros((4000, 6)))
    # The mean of chi-squares of 6 degrees of freedom scatters by sqrt(12 / 4000).
    assert found.nees_mean == pytest.approx(6.0, abs=5.0 * np.sqrt(12.0 / 4000.0))


def test_only_moments_with_both_count() -> None:
    rtn, covariance = states(6)
    true = np.ones((6, 6))
    rtn[0], true[5] = np.nan, np.nan
    covariance[0] = np.nan
    found = relative_accuracy(rtn, covariance, true)
    assert found.moments == 4
    assert found.error_m == pytest.approx(np.sqrt(3.0))


def test_without_a_truth_sigmas_are_of_all_states() -> None:
    rtn, covariance = states(5)
    rtn[2] = covariance[2] = np.nan
    found = relative_accuracy(rtn, covariance, np.full((5, 6), np.nan))
    assert found.moments == 4
    assert found.sigma_m == pytest.approx(3.0)
    assert np.isnan(found.error_m)
    assert np.isnan(found.nees_mean)


def test_of_nothing_nothing_is_said() -> None:
    found = relative_accuracy(np.full((2, 6), np.nan), np.full((2, 6, 6), np.nan), np.zeros((2, 6)))
    assert found.moments == 0
    assert np.isnan(found.sigma_m)
