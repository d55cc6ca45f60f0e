import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from pygnc.common import quaternion
from pygnc.common.arrays import Array
from pygnc.estimators.attitude import search


def directions(seed: int, number: int) -> Array:
    vectors = np.random.default_rng(seed).normal(size=(number, 3))
    unit: Array = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def angle(q: Array, expected: Rotation) -> float:
    return float(np.linalg.norm(quaternion.error_vector(q, expected.as_quat(scalar_first=True))))


# Markley & Mortari, Quaternion attitude estimation using vector observations, J. Astronaut. Sci. 48, 2000:
# reference vectors and sigmas of the first five test cases, and the attitude matrix of all.
MARKLEY_MORTARI_ATTITUDE = np.array([[0.352, 0.864, 0.360], [-0.864, 0.152, 0.480], [0.360, -0.480, 0.800]])
"""Takes reference to body components."""
CASES = {
    1: (np.eye(3), np.full(3, 1e-6)),
    2: (np.eye(3)[:2], np.full(2, 1e-6)),
    3: (np.eye(3), np.full(3, 0.01)),
    4: (np.eye(3)[:2], np.full(2, 0.01)),
    5: (np.array([[0.6, 0.8, 0.0], [0.8, -0.6, 0.0]]), np.array([1e-6, 0.01])),
}


@pytest.mark.parametrize("case", CASES)
def test_reproduces_published_cases(case: int) -> None:
    reference, sigma = CASES[case]
    body = reference.dot(MARKLEY_MORTARI_ATTITUDE.T)
    solution = search.attitude_from_directions(body, reference, sigma)
    np.testing.assert_allclose(quaternion.to_matrix(solution.quaternion).T, MARKLEY_MORTARI_ATTITUDE, atol=1e-9)
    assert solution.loss * float(sigma.max()) ** 2 < 1e-9


def test_the_covariance_of_three_axes_is_the_published_one() -> None:
    """Three axes, each known to sigma: half its variance about every axis (covariance after Shuster & Oh, 1981)."""
    solution = search.attitude_from_directions(np.eye(3), np.eye(3), np.full(3, 0.01))
    np.testing.assert_allclose(solution.covariance, np.eye(3) * 0.01**2 / 2.0, rtol=1e-9)


@given(st.integers(0, 10_000), st.integers(2, 6))
@settings(max_examples=50, deadline=None)
def test_agrees_with_scipys_align_vectors(seed: int, number: int) -> None:
    rng = np.random.default_rng(seed)
    gcrf = directions(seed, number)
    true = Rotation.random(rng=rng)
    body = true.inv().apply(gcrf) + 0.02 * rng.normal(size=(number, 3))
    body /= np.linalg.norm(body, axis=1, keepdims=True)
    sigma = rng.uniform(0.01, 0.1, number)
    expected, _ = Rotation.align_vectors(gcrf, body, weights=sigma**-2.0)
    if np.linalg.cond(gcrf) < 30.0:
        assert angle(search.attitude_from_directions(body, gcrf, sigma).quaternion, expected) < 1e-6


def test_the_covariance_is_that_of_the_errors() -> None:
    rng = np.random.default_rng(3)
    gcrf, sigma = directions(1, 2), np.array([0.01, 0.02])
    true = Rotation.random(rng=rng)
    errors = []
    for _ in range(2000):
        noise = sigma[:, None] * rng.normal(size=(2, 3))
        body = true.inv().apply(gcrf) + noise
        body /= np.linalg.norm(body, axis=1, keepdims=True)
        solution = search.attitude_from_directions(body, gcrf, sigma)
        errors.append(quaternion.error_vector(true.as_quat(scalar_first=True), solution.quaternion))
    expected = search.attitude_from_directions(true.inv().apply(gcrf), gcrf, sigma).covariance
    np.testing.assert_allclose(np.cov(np.transpose(errors)), expected, atol=0.1 * np.trace(expected))


def test_one_direction_leaves_one_rotation_undetermined() -> None:
    solution = search.attitude_from_directions(np.eye(3)[:1], np.eye(3)[1:2], np.array([0.01]))
    np.testing.assert_allclose(quaternion.rotate(solution.quaternion, np.eye(3)[0]), np.eye(3)[1], atol=1e-12)
    assert np.isinf(solution.covariance).all()


@pytest.mark.parametrize("gcrf", [*np.eye(3), *-np.eye(3), np.array([-1.0, 1e-6, 0.0]), np.array([-0.6, 0.0, 0.8])])
def test_turns_about_a_direction_are_evenly_spread(gcrf: Array) -> None:
    gcrf = gcrf / np.linalg.norm(gcrf)
    body = np.array([1.0, 0.0, 0.0])
    turns = search.rotations_about(body, gcrf, 12)
    np.testing.assert_allclose(quaternion.rotate(turns, body), np.tile(gcrf, (12, 1)), atol=1e-12)
    steps = quaternion.error_vector(turns[1:], turns[:-1])
    np.testing.assert_allclose(steps, np.tile(np.pi / 6.0 * body, (11, 1)), atol=1e-9)
