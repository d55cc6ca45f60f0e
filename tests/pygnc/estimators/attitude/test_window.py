"""Fits of a window: right by the truth, and as certain as they say."""

import numpy as np
import pytest

from pygnc.common import quaternion
from pygnc.common.arrays import Array
from pygnc.estimators.attitude.hypotheses import Hypotheses, Prior
from pygnc.estimators.attitude.measurement import sky
from pygnc.estimators.attitude.window import Moment, Window
from tests.pygnc.estimators.attitude.truth import SETTINGS, fly

SAMPLES = 30
PRIOR = Prior(np.zeros(6), np.repeat((np.radians(2.0), 25.0), 3))


def fitted(seed: int, rate_deg_s: float) -> tuple[Array, Array, float]:
    """Errors (9,) of the fit that lies next to the truth, its covariance (12, 12), and its cost per measurement."""
    truth = fly(seed, 2.5, rate_deg_s=rate_deg_s)
    pairs = zip(truth.samples[:SAMPLES], truth.surroundings[:SAMPLES], strict=True)
    window = Window([Moment(sample, around, sky(around, SETTINGS)) for sample, around in pairs], SETTINGS)
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
def test_a_fit_is_as_certain_as_it_says(rate_deg_s: float) -> None:
    """Attitude errors squared over their covariance are 3 on average; 40 windows tell that to a quarter or so."""
    squares, costs = [], []
    for seed in range(40):
        error, covariance, cost = fitted(seed, rate_deg_s)
        squares.append(error[:3].dot(np.linalg.solve(covariance[:3, :3], error[:3])))
        costs.append(cost)
    assert 1.5 < np.mean(squares) < 4.5
    assert 0.5 < np.mean(costs) < 1.2


def test_costs_and_what_is_handed_over_rest_on_the_same_information() -> None:
    truth = fly(1, 2.5)
    pairs = zip(truth.samples, truth.surroundings, strict=True)
    window = Window([Moment(sample, around, sky(around, SETTINGS)) for sample, around in pairs], SETTINGS)
    guess = Hypotheses(truth.quaternion[-1:], truth.gyro_bias_rad_s[None], truth.mag_bias_ut[None])
    covariance = window.covariances(guess, PRIOR)[0]
    np.testing.assert_allclose(covariance[:9, :9], np.linalg.inv(window.fit(guess, PRIOR).information[0]), rtol=1e-6)
    # Of bias and field error their sum is known better than either.
    correlation = covariance / np.sqrt(np.outer(np.diagonal(covariance), np.diagonal(covariance)))
    assert np.abs(correlation[6:9, 9:12]).max() > 0.3
