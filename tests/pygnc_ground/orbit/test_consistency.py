"""Bands against a published table, and the statistics of a filter that is right and of one that is not."""

import math
from typing import NamedTuple

import numpy as np
import pytest
from filterpy.common import Q_discrete_white_noise
from filterpy.kalman import KalmanFilter
from filterpy.stats import NEES

from pygnc_ground.orbit.consistency import band, fraction_inside, mean_of, nis_consistency
from pygnc_ground.orbit.solution import FloatArray

RUNS, EPOCHS = 50, 100


@pytest.mark.parametrize(
    ("dof", "count", "low", "high"),
    [
        (1, 1, 0.001, 5.024),
        (2, 1, 0.051, 7.378),
        (3, 1, 0.216, 9.348),
        (6, 1, 1.237, 14.449),
        (2, 50, 74.222 / 50, 129.561 / 50),
        (4, 25, 74.222 / 25, 129.561 / 25),
        (1, 100, 0.74222, 1.29561),
        (6, 10, 40.482 / 10, 83.298 / 10),
    ],
)
def test_bands_are_those_of_the_chi_square_table(dof: int, count: int, low: float, high: float) -> None:
    """NIST/SEMATECH e-Handbook of Statistical Methods, table 1.3.6.7.4, columns 0.025 and 0.975."""
    assert band(dof, count) == pytest.approx((low, high), abs=6e-4)


def test_ends_of_a_band_belong_to_it() -> None:
    assert fraction_inside(np.array([0.9, 1.0, 1.5, 2.0, 2.1]), 1.0, 2.0) == 0.6
    assert math.isnan(fraction_inside(np.empty(0), 1.0, 2.0))


# --- A linear system whose filter is known to be right ------------------------------------------------------------


class Runs(NamedTuple):
    nees: FloatArray
    """(runs, epochs)"""
    nis: FloatArray
    """(runs, epochs)"""


def simulate(believed_noise: float) -> Runs:
    """A target that accelerates at random, tracked by position; the filter believes so many times its acceleration."""
    random = np.random.default_rng(8)
    transition, noise = np.array([[1.0, 1.0], [0.0, 1.0]]), Q_discrete_white_noise(dim=2, dt=1.0, var=1.0)
    root = np.array([0.5, 1.0])
    runs = []
    for _ in range(RUNS):
        kalman = KalmanFilter(dim_x=2, dim_z=1)
        kalman.x, kalman.P = np.zeros(2), np.diag([25.0, 4.0])
        kalman.F, kalman.Q = transition, believed_noise**2 * noise
        kalman.H, kalman.R = np.array([[1.0, 0.0]]), np.array([[9.0]])
        true = random.normal(size=2) * (5.0, 2.0)
        trues, estimates, covariances, nis = [], [], [], []
        for _ in range(EPOCHS):
            true = transition.dot(true) + root * random.normal()
            kalman.predict()
            kalman.update(true[:1] + 3.0 * random.normal())
            trues.append(true)
            estimates.append(kalman.x)
            covariances.append(kalman.P)
            nis.append(kalman.mahalanobis**2)
        runs.append((NEES(np.array(trues), np.array(estimates), np.array(covariances)), nis))
    parts = [np.array(part) for part in zip(*runs, strict=True)]
    return Runs(*parts)


@pytest.fixture(scope="module")
def right() -> Runs:
    return simulate(1.0)


@pytest.fixture(scope="module")
def overconfident() -> Runs:
    return simulate(0.3)


@pytest.fixture(scope="module")
def timid() -> Runs:
    return simulate(3.0)


def test_95_percent_of_a_consistent_filter_lie_inside(right: Runs) -> None:
    assert fraction_inside(right.nees.mean(axis=0), *band(2, RUNS)) == pytest.approx(0.95, abs=0.05)
    assert mean_of(right.nees) / 2.0 == pytest.approx(1.0, abs=0.05)
    inside = 0
    for run in right.nis:
        nis = nis_consistency(run, np.ones(EPOCHS, dtype=np.int64))
        assert nis.count == EPOCHS
        assert nis.band_per_dof == pytest.approx((0.742, 1.296), abs=1e-3)
        assert nis.fraction_inside == pytest.approx(0.95, abs=0.1)
        inside += nis.band_per_dof.low <= nis.mean_per_dof <= nis.band_per_dof.high
    assert inside >= 0.86 * RUNS  # of 50 binomial trials at 0.95, fewer than 43 come once in a hundred


def test_detects_an_optimistic_filter(overconfident: Runs) -> None:
    assert fraction_inside(overconfident.nees.mean(axis=0), *band(2, RUNS)) < 0.2
    assert mean_of(overconfident.nees) / 2.0 > 1.5
    nis = nis_consistency(overconfident.nis.ravel(), np.ones(RUNS * EPOCHS, dtype=np.int64))
    assert nis.mean_per_dof > nis.band_per_dof.high
    assert nis.fraction_inside < 0.94


def test_detects_a_pessimistic_filter(timid: Runs) -> None:
    assert fraction_inside(timid.nees.mean(axis=0), *band(2, RUNS)) < 0.2
    assert mean_of(timid.nees) / 2.0 < 0.7
    nis = nis_consistency(timid.nis.ravel(), np.ones(RUNS * EPOCHS, dtype=np.int64))
    assert nis.mean_per_dof < nis.band_per_dof.low


# --- Gaps and mixtures --------------------------------------------------------------------------------------------


def test_values_that_are_unknown_do_not_count_in_a_mean() -> None:
    assert mean_of(np.array([4.0, math.nan, 14.0])) == 9.0


def test_each_innovation_is_judged_by_its_own_degrees_of_freedom() -> None:
    """10 is too much for 3 degrees of freedom and not for 6; what was not used does not count."""
    nis = nis_consistency(np.array([10.0, 10.0, np.nan, 2.0]), np.array([3, 6, 0, 3]))
    assert nis.count == 3
    assert nis.mean_per_dof == pytest.approx(22.0 / 12.0)
    assert nis.band_per_dof == pytest.approx((4.404 / 12.0, 23.337 / 12.0), abs=1e-4)
    assert nis.fraction_inside == pytest.approx(2.0 / 3.0)


def test_nothing_gives_nan() -> None:
    nis = nis_consistency(np.full(3, np.nan), np.zeros(3, dtype=np.int64))
    assert nis.count == 0
    assert math.isnan(nis.mean_per_dof)
    assert math.isnan(nis.fraction_inside)
    assert math.isnan(mean_of(np.full(3, np.nan)))
