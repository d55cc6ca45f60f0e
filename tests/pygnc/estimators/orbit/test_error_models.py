"""Correlated errors of the receiver: recognised, not averaged away, and not assumed without need."""

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from pygnc.common.arrays import Array
from pygnc.estimators import kalman
from pygnc.estimators.kalman import Observation
from pygnc.estimators.orbit.error_models import (
    BANK,
    DISTRUSTING,
    ERROR_MODELS,
    WHITE,
    ErrorBank,
    _log_determinant,
    log_prior,
)
from pygnc.estimators.orbit.filter import OrbitFilter
from pygnc.estimators.orbit.hypotheses import mixture
from pygnc.estimators.orbit.measurement import Fix
from pygnc.estimators.orbit.settings import MeasurementSettings, OrbitSettings, ProcessNoiseSettings
from pygnc.estimators.orbit.update import OrbitUpdate
from tests.pygnc.estimators.orbit.truth import CADENCE_S, make_fixes, run, sun_synchronous

TRUTH = sun_synchronous()
SETTLED = 144
"""Fixes of the first hour."""


def gauss_markov(count: int, sigma: float, time_s: float, seed: int) -> Array:
    """Return a stationary first-order Gauss-Markov process every 25 s, shape (count, 3)."""
    random = np.random.default_rng(seed)
    kept = np.exp(-CADENCE_S / time_s)
    values = np.empty((count, 3))
    values[0] = sigma * random.standard_normal(3)
    for row in range(1, count):
        values[row] = kept * values[row - 1] + sigma * np.sqrt(1.0 - kept**2) * random.standard_normal(3)
    return values


@cache
def correlated_fixes() -> tuple[Fix, ...]:
    """White errors of 3 m and 1 cm/s, and correlated ones of 5 m and 3 mm/s over 600 s; sigmas are the root sum."""
    fixes = make_fixes(TRUTH, 3.0)
    errors_m, errors_mps = (gauss_markov(len(fixes), sigma, 600.0, seed) for sigma, seed in ((5.0, 11), (0.003, 12)))
    return tuple(
        replace(
            fix,
            position_ecef_m=fix.position_ecef_m + errors_m[row],
            position_sigma_m=np.full(3, np.hypot(3.0, 5.0)),
            velocity_ecef_mps=fix.velocity_ecef_mps + errors_mps[row],
        )
        for row, fix in enumerate(fixes)
        if fix.velocity_ecef_mps is not None
    )


def without_correlation() -> OrbitSettings:
    settings = OrbitSettings()
    return replace(settings, measurement=replace(settings.measurement, correlated_errors=False))


def errors_and_nees(updates: list[OrbitUpdate]) -> tuple[float, float]:
    """Return RMS of the position error in m and mean NEES per degree of freedom after the first hour."""
    squares, nees = [], []
    for update in updates[SETTLED:]:
        assert update.state is not None
        error = update.state.x[:6] - TRUTH.gcrf[TRUTH.index(update.fix.gps_ms)]
        squares.append(error[:3] @ error[:3])
        nees.append(error @ np.linalg.solve(update.state.covariance[:6, :6], error) / 6.0)
    return float(np.sqrt(np.mean(squares))), float(np.mean(nees))


def with_slow_velocity_errors(fixes: list[Fix], size_mps: float, shape: str, seed: int) -> list[Fix]:
    """Return the fixes with velocity errors that change every 10 minutes in steps, or linearly between those values."""
    every = round(600 / CADENCE_S)
    values = size_mps * np.random.default_rng(seed).standard_normal((len(fixes) // every + 2, 3))
    wrong = []
    for row, fix in enumerate(fixes):
        at, share = row // every, row % every / every if shape == "drift" else 0.0
        assert fix.velocity_ecef_mps is not None
        error_mps = values[at] + share * (values[at + 1] - values[at])
        wrong.append(replace(fix, velocity_ecef_mps=fix.velocity_ecef_mps + error_mps))
    return wrong


def distrust(orbit: OrbitFilter) -> float:
    return float(weights(orbit)[len(ERROR_MODELS) : len(ERROR_MODELS) + len(DISTRUSTING)].sum())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size_mps", "shape"), [(0.05, "steps"), (0.02, "steps"), (0.1, "steps"), (0.05, "drift"), (0.02, "drift")]
)
def test_slow_velocity_errors_are_recognised_by_the_positions(size_mps: float, shape: str) -> None:
    for seed in (11, 12):
        fixes = with_slow_velocity_errors(make_fixes(TRUTH, seed=seed), size_mps, shape, seed)
        orbit, updates = run(fixes)
        error_m, nees = errors_and_nees(updates)
        assert distrust(orbit) > 0.99
        assert error_m < 5.0
        assert nees < 2.0
        # Nothing is certain and wrong before they are recognised, either.
        for update in updates:
            assert update.state is not None
            sigma_m = np.sqrt(np.trace(update.state.covariance[:3, :3]))
            off_m = np.linalg.norm(update.state.x[:3] - TRUTH.gcrf[TRUTH.index(update.fix.gps_ms), :3])
            assert off_m < 5.0 * sigma_m


@pytest.mark.parametrize(("size_mps", "seed"), [(0.02, 4), (0.02, 25), (0.03, 45), (0.05, 23)])
def test_the_first_step_of_velocities_is_no_manoeuvre(size_mps: float, seed: int) -> None:
    fixes = with_slow_velocity_errors(make_fixes(TRUTH, seed=seed)[:60], size_mps, "steps", seed)
    orbit, updates = run(fixes)
    assert not any(update.manoeuvre for update in updates)
    assert orbit.velocity_distrust > 0.9


@pytest.mark.slow
def test_slow_velocity_errors_beside_correlated_positions_are_recognised() -> None:
    orbit, updates = run(with_slow_velocity_errors(list(correlated_fixes()), 0.05, "steps", 13))
    error_m, nees = errors_and_nees(updates)
    assert distrust(orbit) > 0.99
    assert error_m < 10.0
    assert nees < 2.0


@pytest.mark.slow
def test_good_velocities_after_slow_errors_leave_the_orbit_honest() -> None:
    fixes = make_fixes(TRUTH)
    wrong = with_slow_velocity_errors(fixes[:SETTLED], 0.05, "steps", 11)
    error_m, nees = errors_and_nees(run([*wrong, *fixes[SETTLED:]])[1])
    assert error_m < 5.0
    assert nees < 2.0


def test_velocities_do_not_weigh_a_hypothesis_that_distrusts_them() -> None:
    bank = ErrorBank(MeasurementSettings(), ProcessNoiseSettings())
    hypotheses = bank.unknown()
    hypotheses.root[:, :10, :10] *= 1e-3
    position = Observation(np.zeros(3), np.eye(3, 10), np.full(3, 10.0))
    for error_mps in (0.0, 0.04):
        velocity = Observation(np.full(3, error_mps), np.eye(3, 10, 3), np.full(3, 0.01))
        test = bank.test(hypotheses, position, velocity, np.zeros(6))
        updated, _ = bank.updated(hypotheses, test, (True, True))
        assert bank.distrust(updated) == pytest.approx(bank.distrust(hypotheses), rel=1e-3)


def weights(orbit: OrbitFilter) -> Array:
    return orbit.memory.hypotheses.weight


@pytest.mark.slow
def test_correlated_errors_are_recognised_and_neither_averaged_away_nor_absorbed() -> None:
    orbit, updates = run(list(correlated_fixes()))
    _, naive = run(list(correlated_fixes()), without_correlation())
    assert weights(orbit)[0] < 1e-3
    error_m, nees = errors_and_nees(updates)
    naive_m, naive_nees = errors_and_nees(naive)
    assert error_m < 4.5
    assert error_m < 0.8 * naive_m
    assert nees < 2.0
    assert naive_nees > 4.0
    # The most probable hypothesis has white innovations, which do not widen its process noise.
    assert orbit.memory.hypotheses.empirical_factor[weights(orbit).argmax()] < 3.0


@pytest.mark.slow
def test_white_errors_stay_white() -> None:
    fixes = make_fixes(TRUTH)
    orbit, updates = run(fixes)
    _, plain = run(fixes, without_correlation())
    assert weights(orbit)[0] > 0.99
    for with_bank, alone in zip(updates[SETTLED:], plain[SETTLED:], strict=True):
        assert with_bank.state is not None
        assert alone.state is not None
        sigma = np.sqrt(np.diagonal(alone.state.covariance))
        assert (np.abs(with_bank.state.x - alone.state.x) < 0.35 * sigma).all()
        np.testing.assert_allclose(np.sqrt(np.diagonal(with_bank.state.covariance)), sigma, rtol=0.1)


def test_good_fixes_refute_an_unknown_force_for_good() -> None:
    fixes = make_fixes(TRUTH)
    assert len(weights(run(fixes[:10])[0])) == len(BANK)
    settled, _ = run(fixes[:SETTLED])
    assert len(weights(settled)) == len(BANK) - 1
    assert weights(settled).sum() == pytest.approx(1.0, abs=1e-8)


@pytest.mark.parametrize(("bias_m", "least", "most"), [(0.0, 1.0, 2.0), (15.0, 100.0, 3_000.0)])
def test_innovations_that_repeat_themselves_widen_the_process_noise(bias_m: float, least: float, most: float) -> None:
    bank = ErrorBank(without_correlation().measurement, ProcessNoiseSettings())
    hypotheses = replace(bank.unknown(), root=np.zeros((1, 16, 16)))
    for residual in np.random.default_rng(2).normal(bias_m, 10.0, (100, 3)):
        test = bank.test(hypotheses, Observation(residual, np.eye(3, 10), np.full(3, 10.0)), None, np.zeros(6))
        hypotheses = bank.adapted(hypotheses, test)
    assert least <= hypotheses.empirical_factor[0] <= most


def test_prior_weights_add_up_to_one() -> None:
    assert sum(np.exp(log_prior(model)) for model in ERROR_MODELS) == pytest.approx(1.0)
    bank = ErrorBank(MeasurementSettings(), ProcessNoiseSettings())
    assert bank.unknown().weight.sum() == pytest.approx(1.0)
    assert ERROR_MODELS[0] == WHITE


def test_a_mixture_has_the_mean_and_covariance_of_its_parts() -> None:
    random = np.random.default_rng(3)
    x, root = random.normal(size=(3, 10)), np.tril(random.normal(size=(3, 10, 10)))
    weight = np.array([0.5, 0.3, 0.2])
    of_clock = random.normal(size=(3, 10))
    state = mixture(7, x, root, of_clock, weight)
    mean = weight @ x
    covariance = np.outer(weight @ of_clock, weight @ of_clock)
    for share, one, part in zip(weight, x, root, strict=True):
        covariance += share * (part @ part.T + np.outer(one - mean, one - mean))
    np.testing.assert_allclose(state.x, mean)
    np.testing.assert_allclose(state.covariance, covariance)


def test_stacked_updates_are_independent_and_their_likelihood_is_gaussian() -> None:
    random = np.random.default_rng(4)
    x, root = random.normal(size=(4, 5)), np.tril(random.normal(size=(4, 5, 5)))
    residual, partials = random.normal(size=(4, 3)), random.normal(size=(4, 3, 5))
    sigma = random.uniform(0.5, 2.0, size=(4, 3))
    states, roots, nis, log_likelihood = kalman.update_stacked(x, root, residual, partials, sigma)
    for row in range(4):
        state, lower, alone = kalman.update(x[row], root[row], residual[row], partials[row], sigma[row])
        np.testing.assert_allclose(states[row], state)
        np.testing.assert_allclose(roots[row], lower)
        assert nis[row] == pytest.approx(alone)
        covariance = kalman.innovation_covariance(root[row], partials[row], sigma[row])
        expected = multivariate_normal(np.zeros(3), covariance).logpdf(residual[row])
        assert log_likelihood[row] - 1.5 * np.log(2.0 * np.pi) == pytest.approx(expected)


def test_a_restart_keeps_the_noise_factors_and_widens_them_for_scattered_fixes() -> None:
    bank = ErrorBank(MeasurementSettings(), ProcessNoiseSettings())
    learnt = replace(bank.unknown(), noise_factor=np.full_like(bank.unknown().noise_factor, 3.0))
    again = bank.restarted(learnt, np.eye(10), (0.9, 1e6))
    np.testing.assert_array_equal(again.noise_factor[0], 3.0)
    np.testing.assert_array_equal(again.noise_factor[1], MeasurementSettings().noise_scale_max)
    assert not again.deviation.any()


def test_a_determinant_that_rounding_makes_negative_is_computed_otherwise() -> None:
    clock_m = 7_600.0 * 0.127 * np.array([0.1, 0.9, 0.4])
    covariance = np.outer(clock_m, clock_m) + 1e-4 * np.eye(3)
    assert _log_determinant(covariance) == pytest.approx(math.log(1e-8 * clock_m.dot(clock_m)), abs=0.01)
    assert _log_determinant(np.diag([1.0, 2.0, 3.0])) == pytest.approx(math.log(6.0))
