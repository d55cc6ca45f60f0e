import numpy as np
import pytest

from pygnc.common.arrays import Array
from pygnc.estimators.kalman import chi_square
from pygnc.estimators.orbit.measurement import Gate, Observation
from pygnc.estimators.orbit.settings import MeasurementSettings
from pygnc.estimators.orbit.state import OrbitState

LIMITS = MeasurementSettings()
EXACT = OrbitState(0, np.zeros(10), np.zeros((10, 10)))
"""A state without uncertainty: the innovations are the measurement noise."""


def observation(residual: Array, sigma: float = 10.0) -> Observation:
    return Observation(residual, np.eye(3, 10), np.full(3, sigma))


def after(residuals: Array) -> Gate:
    gate = Gate()
    for residual in residuals:
        gate = gate.judge(observation(residual), EXACT, LIMITS).gate
    return gate


def noise(sigma: float, number: int = 400) -> Array:
    return np.random.default_rng(2).normal(0.0, sigma, (number, 3))


def test_chi_square_is_the_quadratic_form() -> None:
    root = np.random.default_rng(1).normal(size=(3, 3)) * np.array([1e3, 1.0, 1e-3])[:, None]
    residual = np.array([100.0, -1.0, 2e-3])
    covariance = root.dot(root.T)
    assert chi_square(residual, covariance) == pytest.approx(residual.dot(np.linalg.inv(covariance)).dot(residual))


def test_the_limit_is_chi_square_of_three() -> None:
    """Of Gaussian innovations one in 10 000 is refused (Abramowitz & Stegun, table 26.8: 21.11)."""
    residuals = np.random.default_rng(9).normal(0.0, 10.0, (60_000, 3))
    assert 0 < sum(np.square(residuals / 10.0).sum(axis=1) > LIMITS.gate) < 16
    just_in, just_out = (np.array([0.0, 0.0, 10.0 * (LIMITS.gate * f) ** 0.5]) for f in (0.999, 1.001))
    assert Gate().judge(observation(just_in), EXACT, LIMITS).used is not None
    assert Gate().judge(observation(just_out), EXACT, LIMITS).used is None


@pytest.mark.parametrize("actual", [0.7, 1.0, 2.0, 5.0])
def test_the_factor_finds_the_true_noise(actual: float) -> None:
    assert after(noise(10.0 * actual)).factor == pytest.approx(actual, rel=0.15)


@pytest.mark.parametrize(("actual", "expected"), [(0.01, LIMITS.noise_scale_min), (1e4, LIMITS.noise_scale_max)])
def test_the_factor_stays_in_its_bounds(actual: float, expected: float) -> None:
    assert after(noise(10.0 * actual)).factor == expected


def test_a_slow_model_error_is_not_taken_for_noise() -> None:
    wave = 25.0 * np.sin(np.arange(400) / 30.0)[:, None]
    gate = after(noise(10.0) + wave)
    assert gate.factor == pytest.approx(1.0, rel=0.15)


def test_a_model_error_shows_as_correlation() -> None:
    means = []
    for residuals in (noise(10.0), noise(10.0) + 15.0):
        gate, correlations = Gate(), []
        for residual in residuals:
            gate = gate.judge(observation(residual), EXACT, LIMITS).gate
            correlations.append(gate.correlation)
        means.append(float(np.mean(correlations)))
    white, biased = means
    assert abs(white) < 0.1
    assert 1.0 < biased < 1.5**2


def test_one_outlier_teaches_nothing() -> None:
    residuals = noise(10.0)
    undisturbed = after(residuals)
    residuals[-5] = 1e4
    assert after(residuals).factor == pytest.approx(undisturbed.factor, rel=0.03)


def test_a_restart_keeps_what_was_learnt_and_heeds_scattering_fixes() -> None:
    learnt = Gate(factor=3.0, residual=(1.0, 1.0, 1.0), variance=(1.0, 1.0, 1.0), accepted=True)
    assert learnt.restarted(0.9, LIMITS) == Gate(factor=3.0)
    assert Gate().restarted(0.9, LIMITS) == Gate()
    assert Gate().restarted(4.0, LIMITS) == Gate(factor=4.0)
    assert Gate().restarted(1e6, LIMITS) == Gate(factor=LIMITS.noise_scale_max)
