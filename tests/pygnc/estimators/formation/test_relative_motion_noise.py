"""Process noise against closed forms of white acceleration and Gauss-Markov processes."""

import math
from dataclasses import replace

import numpy as np
import pytest

from pygnc.common.arrays import Array
from pygnc.estimators.formation.relative_motion import JointStep, orbit_vector, process_noise_root
from pygnc.estimators.formation.settings import FormationSettings
from pygnc.estimators.orbit.settings import OrbitSettings, ProcessNoiseSettings

STEP_S = 60.0
PROCESSES = ProcessNoiseSettings(empirical_sigma_mps2=(1e-7, 2e-7, 3e-7), density_variation=0.0)
ORBIT = replace(OrbitSettings(gravity_degree=70), process_noise=PROCESSES)
X = orbit_vector(np.array((6.9e6, 0.0, 0.0, 0.0, 0.0, 7_600.0, 0.0)))
DIRECTIONS = np.concatenate((np.array(((0.0,), (0.0,), (-4e-7,))), np.eye(3)), axis=1)


STEP = JointStep(X, np.zeros((0, 7)), np.eye(7), DIRECTIONS)


def covariance(distances_m: Array, orbit: OrbitSettings = ORBIT, log_drag: float = 0.0) -> Array:
    deviations = np.zeros((len(distances_m), 7))
    deviations[:, 0], deviations[:, 6] = distances_m, log_drag
    root = process_noise_root(FormationSettings(), orbit, STEP, step_s=STEP_S, deviations=deviations, biases=2)
    return np.asarray(root @ root.T)


def test_many_steps_match_white_acceleration_in_closed_form() -> None:
    drift = np.eye(16)
    drift[:3, 3:6] = drift[7:10, 10:13] = STEP_S * np.eye(3)
    noise, total = covariance(np.zeros(2)), np.zeros((16, 16))
    for _ in range(60):
        total = drift @ total @ drift.T + noise
    density = 2.0 * 900.0 * np.array((1e-7, 2e-7, 3e-7)) ** 2
    np.testing.assert_allclose(np.diagonal(total)[:3], 1.01 * density * 3600.0**3 / 3.0, rtol=0.02)
    np.testing.assert_allclose(np.diagonal(total)[3:6], 1.01 * density * 3600.0, rtol=0.02)


def test_relative_density_of_neighbours_is_a_hundredth() -> None:
    noise = covariance(np.zeros(2))
    difference = np.concatenate((np.eye(6), np.zeros((6, 1)), -np.eye(6), np.zeros((6, 3))), axis=1)
    density = 2.0 * 900.0 * np.array((1e-7, 2e-7, 3e-7)) ** 2
    relative = difference @ noise @ difference.T
    np.testing.assert_allclose(np.diagonal(relative)[3:], 2.0 * 0.01 * density * STEP_S, rtol=1e-6)


def test_omitted_gravity_acts_on_distant_satellites() -> None:
    coarse = replace(ORBIT, gravity_degree=20)
    near, far = covariance(np.array((0.0, 0.0)), coarse), covariance(np.array((0.0, 20_000.0)), coarse)
    np.testing.assert_allclose(near[:7, :7], far[:7, :7])
    np.testing.assert_allclose(near[:7, 7:14], far[:7, 7:14])
    assert np.trace(far[7:13, 7:13]) > 1.001 * np.trace(near[7:13, 7:13])


def test_density_variation_acts_along_the_track() -> None:
    varied = replace(ORBIT, process_noise=replace(PROCESSES, density_variation=1.0))
    change = np.diagonal(covariance(np.zeros(1), varied) - covariance(np.zeros(1)))
    assert change[4] == pytest.approx(1.01 * 2.0 * 900.0 * (4e-7) ** 2 * STEP_S, rel=1e-6)
    np.testing.assert_allclose(change[[3, 5]], 0.0, atol=1e-20)


def test_density_variation_acts_on_the_difference_of_two_drags() -> None:
    varied = replace(ORBIT, process_noise=replace(PROCESSES, density_variation=1.0))
    change = np.diagonal(
        covariance(np.zeros(1), varied, math.log(3.0)) - covariance(np.zeros(1), log_drag=math.log(3.0))
    )
    assert change[4] == pytest.approx((1.0 + 0.01 + 2.0**2) * 2.0 * 900.0 * (4e-7) ** 2 * STEP_S, rel=1e-6)


def test_drag_factors_reach_their_stationary_variance_and_biases_are_constant() -> None:
    noise, total = covariance(np.zeros(2)), np.zeros((16, 16))
    left = math.exp(-STEP_S / PROCESSES.drag_log_time_s)
    drags = np.ix_((6, 13), (6, 13))
    for _ in range(20_000):
        total[drags] = left**2 * total[drags] + noise[drags]
    assert total[6, 6] == pytest.approx(0.8**2 + 0.35**2, rel=1e-3)
    assert total[6, 13] == pytest.approx(0.8**2, rel=1e-3)
    np.testing.assert_array_equal(noise[14:], 0.0)
