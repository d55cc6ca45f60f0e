"""Fits of a window: right by the truth, and as certain as they say.

Unknowns put aside: what remains is as if all had been solved for together.
"""

import numpy as np
import pytest

from pygnc.common import quaternion
from pygnc.common.arrays import Array
from pygnc.estimators.attitude.hypotheses import BiasPrior, Hypotheses
from pygnc.estimators.attitude.measurement import light_sources
from pygnc.estimators.attitude.window import (
    LinearisedMeasurements,
    MarginalNormalEquations,
    Window,
    WindowSample,
    marginalise,
)
from tests.pygnc.estimators.attitude.truth import SETTINGS, fly

SAMPLES = 30
PRIOR = BiasPrior(np.zeros(6), np.repeat((np.radians(2.0), 25.0), 3))


def fitted(seed: int, rate_deg_s: float) -> tuple[Array, Array, float]:
    """Errors (9,) of the fit that lies next to the truth, its covariance (12, 12), and its cost per measurement."""
    truth = fly(seed, 2.5, rate_deg_s=rate_deg_s)
    pairs = zip(truth.samples[:SAMPLES], truth.surroundings[:SAMPLES], strict=True)
    window = Window(
        [WindowSample(sample, around, light_sources(around, SETTINGS)) for sample, around in pairs], SETTINGS
    )
    true = truth.quaternion[SAMPLES - 1]
    guess = Hypotheses(true[None], truth.gyro_bias_rad_s[None], truth.mag_bias_ut[None])
    for _ in range(6):
        fit = window.fit(guess, PRIOR)
        step = np.linalg.solve(fit.information, fit.gradient[..., None])[..., 0]
        guess = guess.corrected(np.asarray(step, np.float64))
    turn = quaternion.error_vector(true, guess.quaternion[0])
    biases = truth.gyro_bias_rad_s - guess.gyro_bias_rad_s[0], truth.mag_bias_ut - guess.mag_bias_ut[0]
    return (
        np.concatenate((turn, *biases)),
        window.covariances(guess, PRIOR)[0],
        float(fit.cost[0]) / window.measurements,
    )


@pytest.mark.parametrize("rate_deg_s", [0.5, 3.0])
def test_fit_errors_agree_with_the_covariance(rate_deg_s: float) -> None:
    """Normalised attitude errors squared are 3 on average; 40 windows determine that to about a quarter."""
    squares, costs = [], []
    for seed in range(40):
        error, covariance, cost = fitted(seed, rate_deg_s)
        squares.append(error[:3].dot(np.linalg.solve(covariance[:3, :3], error[:3])))
        costs.append(cost)
    assert 1.5 < np.mean(squares) < 4.5
    assert 0.5 < np.mean(costs) < 1.2


def test_costs_and_covariances_use_the_same_information() -> None:
    truth = fly(1, 2.5)
    pairs = zip(truth.samples, truth.surroundings, strict=True)
    window = Window(
        [WindowSample(sample, around, light_sources(around, SETTINGS)) for sample, around in pairs], SETTINGS
    )
    guess = Hypotheses(truth.quaternion[-1:], truth.gyro_bias_rad_s[None], truth.mag_bias_ut[None])
    covariance = window.covariances(guess, PRIOR)[0]
    np.testing.assert_allclose(covariance[:9, :9], np.linalg.inv(window.fit(guess, PRIOR).information[0]), rtol=1e-6)
    # The sum of bias and field error is known better than either.
    correlation = covariance / np.sqrt(np.outer(np.diagonal(covariance), np.diagonal(covariance)))
    assert np.abs(correlation[6:9, 9:12]).max() > 0.3


WANTED, NUISANCE, PROBLEMS = 3, 2, 4
NUISANCE_SIGMA = np.array([0.5, 2.0])


def some_parts(seed: int) -> list[LinearisedMeasurements]:
    """Two kinds of measurements of four problems."""
    rng = np.random.default_rng(seed)
    shapes = (PROBLEMS, 6, 3), (PROBLEMS, 5, 2)
    return [
        LinearisedMeasurements(
            rng.normal(size=shape), rng.normal(size=(*shape, WANTED + NUISANCE)), rng.uniform(0.5, 2.0, shape)
        )
        for shape in shapes
    ]


def stacked(parts: list[LinearisedMeasurements], problem: int) -> tuple[Array, Array, Array]:
    """Residuals (m,), partials (m, 5) and weights (m,) of one problem."""
    residual = np.concatenate([part.residual[problem].ravel() for part in parts])
    partials = np.concatenate([part.partials[problem].reshape(-1, WANTED + NUISANCE) for part in parts])
    return residual, partials, np.concatenate([part.weight[problem].ravel() for part in parts])


def solved(seed: int) -> tuple[list[LinearisedMeasurements], MarginalNormalEquations]:
    parts = some_parts(seed)
    return parts, marginalise(parts, NUISANCE_SIGMA)


@pytest.mark.parametrize("seed", range(3))
def test_marginalisation_agrees_with_the_full_problem(seed: int) -> None:
    parts, answer = solved(seed)
    for problem in range(PROBLEMS):
        residual, partials, weight = stacked(parts, problem)
        prior = np.hstack((np.zeros((NUISANCE, WANTED)), np.diag(1.0 / NUISANCE_SIGMA)))
        rows = np.vstack((np.sqrt(weight)[:, None] * partials, prior))
        whole = np.linalg.lstsq(rows, np.concatenate((np.sqrt(weight) * residual, np.zeros(NUISANCE))))[0]
        covariance = np.linalg.inv(rows.T @ rows)[:WANTED, :WANTED]
        found = np.linalg.solve(answer.information[problem], answer.gradient[problem])
        np.testing.assert_allclose(found, whole[:WANTED], atol=1e-12)
        np.testing.assert_allclose(np.linalg.inv(answer.information[problem]), covariance, atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_costs_use_the_covariance_of_all_errors(seed: int) -> None:
    """The costs of residuals and nuisance parameters add up to r' (R + C S C')^-1 r."""
    parts, answer = solved(seed)
    for problem in range(PROBLEMS):
        residual, partials, weight = stacked(parts, problem)
        d_nuisance = partials[:, WANTED:] * NUISANCE_SIGMA
        expected = residual.dot(np.linalg.solve(np.diag(1.0 / weight) + d_nuisance @ d_nuisance.T, residual))
        left = np.concatenate([part.residual_after(answer.nuisance)[problem].ravel() for part in parts])
        cost = (weight * left**2).sum() + np.square(answer.nuisance[problem] / NUISANCE_SIGMA).sum()
        assert cost == pytest.approx(expected, rel=1e-12)
