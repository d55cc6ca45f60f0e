"""Random walks of the biases: as the settings say while the biases rest, and wider while they move."""

import math
from dataclasses import replace

import numpy as np
import pytest

from pygnc.common.arrays import Array
from pygnc.environment.solar_radiation import THERMAL_TIME_S
from pygnc.estimators.attitude.bias_walks import NO_WALKS, SAMPLES, BiasWalks, Moment
from pygnc.estimators.attitude.filter import AttitudeFilter
from pygnc.estimators.attitude.state import ERRORS, AttitudeState
from tests.pygnc.estimators.attitude.truth import SETTINGS, SIZE, STEP_S, Truth, errors_deg, fly, run, with_samples

BEFORE = np.array([4e-6, 4e-6, 4e-6, 0.04, 0.04, 0.04])
AFTER = 0.75 * BEFORE
WALK = np.array([1e-5, 1e-5, 1e-5, 1e-3, 1e-3, 1e-3])
REMOVED = BEFORE + 120.0 * WALK**2 - AFTER
"""Variance that updates have removed in two minutes."""


def state(at_s: int, bias: Array, variance: Array) -> AttitudeState:
    slow, covariance = np.zeros(SIZE - 3), np.full(SIZE, 1e-4)
    slow[:6], covariance[3:9] = bias, np.sqrt(variance)
    return AttitudeState(1000 * at_s, np.array([1.0, 0.0, 0.0, 0.0]), slow, np.diag(covariance))


def judged(moved: Array, walks: BiasWalks = NO_WALKS) -> BiasWalks:
    """Return the walks after biases have moved in two minutes."""
    begun = walks.interrupted().judged(state(0, np.zeros(6), BEFORE), 0.0)
    return begun.after_step(math.sqrt(120.0) * WALK).judged(state(120, moved, AFTER), 0.0)


def test_independent_corrections_widen_a_walk_rarely() -> None:
    rng = np.random.default_rng(4)
    widened = sum(max(judged(np.sqrt(REMOVED) * rng.normal(size=6))[:2]) > 1.0 for _ in range(1000))
    # Six sums with one degree of freedom each exceed 8 in 2.8 % of all cases.
    assert 0.01 * 1000 < widened < 0.05 * 1000


@pytest.mark.parametrize(("axis", "is_gyro"), [(1, True), (5, False)])
def test_a_bias_that_moves_farther_widens_its_walk(axis: int, *, is_gyro: bool) -> None:
    moved = np.zeros(6)
    moved[axis] = 5.0 * math.sqrt(REMOVED[axis])
    walks = judged(moved)
    assert (walks.gyro, walks.magnetometer) == pytest.approx((5.0, 1.0) if is_gyro else (1.0, 5.0))
    rest = steady = walks
    for _ in range(10):
        rest = judged(np.zeros(6), rest)
        begun = steady.interrupted().judged(state(0, np.zeros(6), AFTER), 0.0)
        steady = begun.after_step(math.sqrt(120.0) * WALK).judged(state(120, np.zeros(6), AFTER), 0.0)
    # Where readings reduce the variance of a bias, little of it comes from the walk, of which a rest then says little.
    share = np.max(120.0 * WALK**2 / REMOVED)
    assert max(rest.gyro, rest.magnetometer) == pytest.approx(5.0 * 0.97 ** (10 * share))
    assert max(steady.gyro, steady.magnetometer) == pytest.approx(5.0 * 0.97**10)


def test_a_state_that_keeps_its_readings_has_not_moved() -> None:
    linear, kept = state(60, np.zeros(6), BEFORE), state(60, np.full(6, 0.5), 2.0 * BEFORE)
    begun = NO_WALKS.judged(state(0, np.zeros(6), BEFORE), 0.0).after_step(math.sqrt(120.0) * WALK)
    after = state(120, np.full(6, 0.5), BEFORE + AFTER)
    assert max(begun.judged(after, 0.0)[:2]) > 5.0
    assert begun.rebased(linear, kept).judged(after, 0.0)[:2] == (1.0, 1.0)


def test_a_change_of_the_biases_by_something_else_is_not_judged() -> None:
    begun = NO_WALKS.judged(state(0, np.zeros(6), BEFORE), 0.0)
    elsewhere = begun.interrupted().after_step(WALK).judged(state(120, np.ones(6), AFTER), 0.0)
    assert elsewhere[:2] == (1.0, 1.0)


def test_a_gyro_bias_that_follows_the_warmth_rests() -> None:
    """The change by warmth is known, so only the deviation from it counts as a walk."""
    warmed = state(120, np.array([5e-3, 0.0, 0.0, 0.0, 0.0, 0.0]), AFTER)
    before = state(0, np.zeros(6), BEFORE)
    before.slow[ERRORS.in_slow(ERRORS.gyro_thermal).start] = 2.5e-2
    assert NO_WALKS.judged(before, 0.3).judged(warmed, 0.5).gyro == 1.0
    assert NO_WALKS.judged(before, 0.3).judged(warmed, 0.3).gyro > 1.0


def test_all_noise_of_the_steps_explains_a_moving_bias() -> None:
    """Errors of the warmth move the biases, too, and may exceed what the updates have removed by far."""
    moved = np.full(6, 4.0) * np.sqrt(REMOVED)
    begun = NO_WALKS.judged(state(0, np.zeros(6), BEFORE), 0.0)
    for _ in range(SAMPLES):
        begun = begun.after_step(np.sqrt(REMOVED))
    assert begun.judged(state(120, moved, AFTER), 0.0)[:2] == (1.0, 1.0)


def test_an_uncertain_change_by_warmth_explains_a_moving_bias() -> None:
    root = np.diag(np.concatenate((np.full(3, 1e-2), np.sqrt(BEFORE), np.full(SIZE - 9, 1e-4))))
    root[ERRORS.gyro_thermal, ERRORS.gyro_thermal] = 1e-2 * np.eye(3)
    before = AttitudeState(0, np.array([1.0, 0.0, 0.0, 0.0]), np.zeros(SIZE - 3), root)
    predicted, variance = Moment.of(before, 0.3).at(0.5)
    assert not predicted.any()
    assert variance[:3] == pytest.approx(BEFORE[:3] + (0.2 * 1e-2) ** 2)
    assert variance[3:] == pytest.approx(BEFORE[3:])


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_unknown_change_by_warmth_does_not_widen_the_walk_of_the_gyro(seed: int) -> None:
    """When the satellite cools down first, noise by the error of the warmth is much larger than the walk."""
    truth, warmth, environments = fly(seed, 25.0, start_angle_deg=90.0), 0.9, []
    for environment in truth.environments:
        warmth += (environment.sunlit_fraction - warmth) * STEP_S / THERMAL_TIME_S
        environments.append(replace(environment, warmth=warmth))
    attitude, factors = AttitudeFilter(SETTINGS), []
    for sample, environment in zip(truth.samples, environments, strict=True):
        attitude.process(sample, environment)
        factors.append(attitude.memory.errors.bias_walks.gyro)
    assert environments[-1].warmth < 0.6
    assert max(factors) < 1.5


def warming(truth: Truth, amplitude: float, *, is_gyro: bool) -> Truth:
    """Return the flight with a bias that moves by a sine of the orbit."""
    samples = []
    for k, sample in enumerate(truth.samples):
        change = amplitude * math.sin(2.0 * math.pi * k * STEP_S / 5_740.0) * np.array([1.0, -0.7, 0.5])
        if is_gyro:
            samples.append(replace(sample, gyro_imu_rad_s=sample.gyro_imu_rad_s + np.radians(change)))
        else:
            samples.append(replace(sample, mag_imu_ut=sample.mag_imu_ut + change))
    return with_samples(truth, samples)


@pytest.mark.parametrize(("amplitude", "is_gyro"), [(0.2, True), (2.0, False)])
def test_biases_that_follow_the_temperature_are_followed(amplitude: float, *, is_gyro: bool) -> None:
    truth = fly(3, 90.0)
    attitude, updates = run(warming(truth, amplitude, is_gyro=is_gyro))
    walks = attitude.memory.errors.bias_walks
    assert (walks.gyro if is_gyro else walks.magnetometer) > 2.0
    assert not any(update.state is None for update in updates[120:])
    squares, errors = [], errors_deg(truth, updates[360:])
    for update, error in zip(updates[360:], errors, strict=True):
        assert update.state is not None
        squares.append((math.radians(error) / update.state.attitude_sigma_rad) ** 2)
    assert np.mean(squares) < 2.0
    assert np.sqrt(np.mean(np.square(errors))) < 4.0
