"""Random walks of the biases: as the settings say while the biases rest, and wider while they move."""

import math
from dataclasses import replace

import numpy as np
import pytest

from pygnc.common.arrays import Array
from pygnc.estimators.attitude.bias_walks import NO_WALKS, BiasWalks
from tests.pygnc.estimators.attitude.truth import STEP_S, Truth, errors_deg, fly, run, with_samples

REMOVED = np.array([1e-6, 1e-6, 1e-6, 0.01, 0.01, 0.01])


def judged(corrections: Array, walks: BiasWalks = NO_WALKS) -> BiasWalks:
    for correction in corrections:
        walks = walks.updated(correction, REMOVED)
    return walks


def test_independent_corrections_widen_a_walk_rarely() -> None:
    rng = np.random.default_rng(4)
    widened = sum(max(judged(np.sqrt(REMOVED) * rng.normal(size=(24, 6)))[:2]) > 1.0 for _ in range(300))
    # Six sums with one degree of freedom each exceed 8 in 2.8 % of all cases.
    assert widened < 0.06 * 300


@pytest.mark.parametrize(("axis", "is_gyro"), [(1, True), (5, False)])
def test_corrections_in_one_direction_widen_the_walk_of_that_bias(axis: int, *, is_gyro: bool) -> None:
    steady = np.zeros((24, 6))
    steady[:, axis] = 2.0 * math.sqrt(REMOVED[axis])
    walks = judged(steady)
    # The sum is 48 times the root of one variance; that of all is 24.
    widened = math.sqrt(48.0**2 / 24.0)
    assert (walks.gyro, walks.magnetometer) == pytest.approx((widened, 1.0) if is_gyro else (1.0, widened))
    assert walks.samples == 0
    assert not walks.moved.any()
    rest = judged(np.zeros((24 * 10, 6)), walks)
    assert max(rest.gyro, rest.magnetometer) == pytest.approx(widened * 0.93**10)


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
