from dataclasses import replace

import numpy as np
import pytest

from pygnc.common.arrays import Array
from pygnc.environment.frames import EarthFrames
from pygnc.estimators.kalman import Observation, chi_square
from pygnc.estimators.orbit.measurement import (
    Fix,
    Gate,
    effect_of_clock,
    linearise_fix,
    linearise_fixes,
    with_clock_error,
)
from pygnc.estimators.orbit.settings import MeasurementSettings
from pygnc.estimators.orbit.state import OrbitState
from tests.pygnc.environment.authority import ecef_state
from tests.pygnc.estimators.orbit.truth import ORIENTATION, propagate, sun_synchronous

SETTINGS = MeasurementSettings(position_sigma_default_m=12.0, velocity_sigma_default_mps=0.02)
FRAMES = EarthFrames(ORIENTATION)
TRUTH = sun_synchronous()
GPS_MS = TRUTH.gps_ms[100]
STATE = np.concatenate((TRUTH.gcrf[100], [0.3, 1e-7, -2e-7, 3e-7]))


def fix(latency_ms: int = 0) -> Fix:
    """Without noise; the velocity is the one of `latency_ms` ago."""
    earlier_ms = GPS_MS - latency_ms
    earlier = propagate(TRUTH.gcrf[100], [GPS_MS, earlier_ms])[1] if latency_ms else TRUTH.gcrf[100]
    return Fix(
        gps_ms=GPS_MS,
        position_ecef_m=TRUTH.ecef[100, :3],
        position_sigma_m=np.array([3.0, 4.0, 5.0]),
        velocity_ecef_mps=ecef_state(earlier_ms, earlier)[3:],
        velocity_sigma_mps=np.array([0.1, 0.2, 0.3]),
        velocity_latency_s=latency_ms * 1e-3,
    )


def compared(fix: Fix, shift: float = 0.0, column: int = 0) -> tuple[Observation, Observation | None]:
    x = STATE.copy()
    x[column] += shift
    return linearise_fix(fix, x, FRAMES, SETTINGS)


@pytest.mark.parametrize("latency_ms", [0, 50, 150, 250, 1_000])
def test_a_perfect_fix_leaves_no_residual(latency_ms: int) -> None:
    position, velocity = compared(fix(latency_ms))
    assert velocity is not None
    np.testing.assert_allclose(position.residual, 0.0, atol=1e-3)
    np.testing.assert_allclose(velocity.residual, 0.0, atol=5e-5)


def test_fixes_together_are_linearised_as_each_alone() -> None:
    no_velocity = replace(fix(), velocity_ecef_mps=None, velocity_sigma_mps=None)
    fixes = [fix(), no_velocity, fix(150), fix(1_000)]
    states = STATE[:6] + np.outer(np.arange(4.0), (900.0, -400.0, 200.0, 0.3, -0.2, 0.1))
    together = linearise_fixes(fixes, states, FRAMES, SETTINGS)
    for state, one, parts in zip(states, fixes, together, strict=True):
        alone = linearise_fix(one, np.concatenate((state, STATE[6:])), FRAMES, SETTINGS)
        for found, expected in zip(parts, alone, strict=True):
            assert (found is None) == (expected is None)
            if found is not None and expected is not None:
                # The pole is that of the middle of the latency there, and moves by 1e-11 rad a second.
                np.testing.assert_allclose(found.residual, expected.residual, rtol=0.0, atol=1e-4)
                np.testing.assert_allclose(found.partials, expected.partials[:, :6], rtol=0.0, atol=1e-10)
                np.testing.assert_array_equal(found.sigma, expected.sigma)


def test_no_fix_has_no_observation() -> None:
    assert linearise_fixes([], np.zeros((0, 6)), FRAMES, SETTINGS) == []


def test_a_clock_that_is_fast_states_a_later_time() -> None:
    sigma_s = 0.01
    seen = effect_of_clock(replace(fix(), time_sigma_s=sigma_s), STATE, FRAMES, SETTINGS)
    # Centred differences over 25 s would be too coarse; two seconds give the derivative to a millionth.
    later, earlier = (
        ecef_state(GPS_MS + ms, propagate(TRUTH.gcrf[100], [GPS_MS, GPS_MS + ms])[1]) for ms in (1000, -1000)
    )
    np.testing.assert_allclose(seen, -sigma_s * (later - earlier) / 2.0, rtol=2e-3, atol=1e-4)
    assert not effect_of_clock(fix(), STATE, FRAMES, SETTINGS).any()
    operator = replace(SETTINGS, time_sigma_s=2.0 * sigma_s)
    np.testing.assert_allclose(effect_of_clock(fix(), STATE, FRAMES, operator), 2.0 * seen)


def test_the_mean_of_fixes_has_the_standard_deviation_of_the_clock() -> None:
    position, _ = compared(fix())
    effect = effect_of_clock(replace(fix(), time_sigma_s=0.01), STATE, FRAMES, SETTINGS)[:3]
    assert with_clock_error(position, np.zeros(3), 100) is position
    partials = with_clock_error(position, effect, 100).partials[:, :3] / position.sigma[:, None]
    covariance = np.linalg.inv(100.0 * partials.T @ partials)
    rotation = position.partials[:, :3]
    expected = np.diag(position.sigma**2) / 100.0 + np.outer(effect, effect)
    np.testing.assert_allclose(rotation @ covariance @ rotation.T, expected, rtol=1e-6, atol=1e-9)


def test_neglecting_the_latency_leaves_a_residual() -> None:
    _, velocity = compared(replace(fix(50), velocity_latency_s=0.0))
    assert velocity is not None
    assert 0.3 < np.linalg.norm(velocity.residual) < 0.5


@pytest.mark.parametrize("latency_ms", [0, 250])
def test_the_partials_are_the_derivatives(latency_ms: int) -> None:
    measured = fix(latency_ms)
    centre = compared(measured)
    for column, step in enumerate([100.0] * 3 + [1.0] * 3 + [0.1] + [1e-6] * 3):
        ends = [compared(measured, sign * step, column) for sign in (1.0, -1.0)]
        for kind in (0, 1):
            above, below, at = ends[0][kind], ends[1][kind], centre[kind]
            assert above is not None
            assert below is not None
            assert at is not None
            expected = (below.residual - above.residual) / (2.0 * step)
            np.testing.assert_allclose(at.partials[:, column], expected, rtol=0.0, atol=2e-9)


def test_sigmas_are_the_receivers_with_defaults_and_a_floor() -> None:
    measured = replace(
        fix(), position_sigma_m=np.array([0.0, 0.01, 50.0]), velocity_sigma_mps=np.array([0.0, 1e-5, -1.0])
    )
    position, velocity = compared(measured)
    assert velocity is not None
    assert position.sigma.tolist() == [12.0, SETTINGS.position_sigma_floor_m, 50.0]
    assert velocity.sigma.tolist() == [0.02, SETTINGS.velocity_sigma_floor_mps, 0.02]


def test_a_fix_without_velocity_gives_a_position_only() -> None:
    position, velocity = compared(replace(fix(), velocity_ecef_mps=None, velocity_sigma_mps=None))
    assert velocity is None
    np.testing.assert_allclose(position.residual, 0.0, atol=1e-3)


def test_observations_stack_and_widen() -> None:
    position, velocity = compared(fix())
    assert velocity is not None
    both = Observation.stacked([position.scaled(2.0), velocity])
    assert both.residual.shape == (6,)
    assert both.partials.shape == (6, 10)
    assert both.sigma.tolist() == [6.0, 8.0, 10.0, 0.1, 0.2, 0.3]


LIMITS = MeasurementSettings()
EXACT = OrbitState(0, np.zeros(10), np.zeros((10, 10)))
"""A state without uncertainty: the innovations are the measurement noise."""


def observation(residual: Array, sigma: float = 10.0) -> Observation:
    return Observation(residual, np.eye(3, 10), np.full(3, sigma))


def after(residuals: Array) -> Gate:
    gate = Gate()
    for residual in residuals:
        gate = gate.test(observation(residual), EXACT, LIMITS).gate
    return gate


def noise(sigma: float, number: int = 400) -> Array:
    return np.random.default_rng(2).normal(0.0, sigma, (number, 3))


def test_chi_square_is_the_quadratic_form() -> None:
    root = np.random.default_rng(1).normal(size=(3, 3)) * np.array([1e3, 1.0, 1e-3])[:, None]
    residual = np.array([100.0, -1.0, 2e-3])
    covariance = root.dot(root.T)
    assert chi_square(residual, covariance) == pytest.approx(residual.dot(np.linalg.inv(covariance)).dot(residual))


def test_the_limit_is_chi_square_of_three() -> None:
    """The gate rejects one Gaussian innovation in 10 000 (Abramowitz & Stegun, table 26.8: 21.11)."""
    residuals = np.random.default_rng(9).normal(0.0, 10.0, (60_000, 3))
    assert 0 < sum(np.square(residuals / 10.0).sum(axis=1) > LIMITS.gate) < 16
    just_in, just_out = (np.array([0.0, 0.0, 10.0 * (LIMITS.gate * f) ** 0.5]) for f in (0.999, 1.001))
    assert Gate().test(observation(just_in), EXACT, LIMITS).used is not None
    assert Gate().test(observation(just_out), EXACT, LIMITS).used is None


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


def test_one_outlier_does_not_adapt_noise_or_model() -> None:
    residuals = noise(10.0)
    undisturbed = after(residuals)
    residuals[-5] = 1e4
    assert after(residuals).factor == pytest.approx(undisturbed.factor, rel=0.03)
