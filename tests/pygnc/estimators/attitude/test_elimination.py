"""Unknowns put aside: what remains is as if all had been solved for together."""

import numpy as np
import pytest

from pygnc.common.arrays import Array
from pygnc.estimators.attitude.window import Reduced, Rows, reduced

WANTED, ASIDE, PROBLEMS = 3, 2, 4
ASIDE_SIGMA = np.array([0.5, 2.0])


def some_parts(seed: int) -> list[Rows]:
    """Two kinds of measurements of four problems."""
    rng = np.random.default_rng(seed)
    shapes = (PROBLEMS, 6, 3), (PROBLEMS, 5, 2)
    return [
        Rows(rng.normal(size=shape), rng.normal(size=(*shape, WANTED + ASIDE)), rng.uniform(0.5, 2.0, shape))
        for shape in shapes
    ]


def stacked(parts: list[Rows], problem: int) -> tuple[Array, Array, Array]:
    """Residuals (m,), partials (m, 5) and weights (m,) of one problem."""
    residual = np.concatenate([part.residual[problem].ravel() for part in parts])
    partials = np.concatenate([part.partials[problem].reshape(-1, WANTED + ASIDE) for part in parts])
    return residual, partials, np.concatenate([part.weight[problem].ravel() for part in parts])


def solved(seed: int) -> tuple[list[Rows], Reduced]:
    parts = some_parts(seed)
    return parts, reduced(parts, ASIDE_SIGMA)


@pytest.mark.parametrize("seed", range(3))
def test_the_wanted_unknowns_are_those_of_the_whole_problem(seed: int) -> None:
    parts, answer = solved(seed)
    for problem in range(PROBLEMS):
        residual, partials, weight = stacked(parts, problem)
        prior = np.hstack((np.zeros((ASIDE, WANTED)), np.diag(1.0 / ASIDE_SIGMA)))
        rows = np.vstack((np.sqrt(weight)[:, None] * partials, prior))
        whole = np.linalg.lstsq(rows, np.concatenate((np.sqrt(weight) * residual, np.zeros(ASIDE))))[0]
        covariance = np.linalg.inv(rows.T @ rows)[:WANTED, :WANTED]
        found = np.linalg.solve(answer.information[problem], answer.gradient[problem])
        np.testing.assert_allclose(found, whole[:WANTED], atol=1e-12)
        np.testing.assert_allclose(np.linalg.inv(answer.information[problem]), covariance, atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_what_remains_is_judged_by_the_covariance_of_all_errors(seed: int) -> None:
    """Costs of residuals and of what was put aside make up r' (R + C S C')^-1 r."""
    parts, answer = solved(seed)
    for problem in range(PROBLEMS):
        residual, partials, weight = stacked(parts, problem)
        by_aside = partials[:, WANTED:] * ASIDE_SIGMA
        expected = residual.dot(np.linalg.solve(np.diag(1.0 / weight) + by_aside @ by_aside.T, residual))
        left = np.concatenate([part.without(answer.aside)[problem].ravel() for part in parts])
        cost = (weight * left**2).sum() + np.square(answer.aside[problem] / ASIDE_SIGMA).sum()
        assert cost == pytest.approx(expected, rel=1e-12)
