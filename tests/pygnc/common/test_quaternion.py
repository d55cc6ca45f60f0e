"""Against SciPy's Rotation."""

import math

import numpy as np
import numpy.typing as npt
import pytest
from scipy.spatial.transform import Rotation

from pygnc.common import quaternion

RNG = np.random.default_rng(4)
ROTATIONS = Rotation.random(200, rng=RNG)
OTHERS = Rotation.random(200, rng=RNG)
Q = ROTATIONS.as_quat(scalar_first=True)
P = OTHERS.as_quat(scalar_first=True)
VECTORS = RNG.normal(size=(200, 3))


def alike(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> None:
    """Compare quaternions up to their sign."""
    signs = np.sign(np.sum(first * second, axis=-1, keepdims=True))
    np.testing.assert_allclose(first, signs * second, atol=1e-14)


def test_the_product_turns_first_by_its_second_factor() -> None:
    alike(quaternion.multiply(Q, P), (ROTATIONS * OTHERS).as_quat(scalar_first=True))


def test_single_quaternions_and_arrays_of_them_give_the_same() -> None:
    singles = [quaternion.multiply(q, P[0]) for q in Q]
    np.testing.assert_allclose(quaternion.multiply(Q, P[0]), singles, atol=1e-15)
    np.testing.assert_allclose(quaternion.to_matrix(Q), [quaternion.to_matrix(q) for q in Q], atol=1e-15)
    grid = Q.reshape(20, 10, 4)
    np.testing.assert_array_equal(quaternion.to_matrix(grid), quaternion.to_matrix(Q).reshape(20, 10, 3, 3))
    np.testing.assert_array_equal(quaternion.multiply(grid, grid), quaternion.multiply(Q, Q).reshape(20, 10, 4))


def test_the_matrix_is_scipys() -> None:
    np.testing.assert_allclose(quaternion.to_matrix(Q), ROTATIONS.as_matrix(), atol=1e-14)


def test_the_matrix_turns_as_the_quaternion_does() -> None:
    np.testing.assert_allclose(quaternion.rotate(Q, VECTORS), ROTATIONS.apply(VECTORS), atol=1e-13)


def test_the_conjugate_turns_back() -> None:
    np.testing.assert_allclose(quaternion.rotate(quaternion.conjugate(Q), quaternion.rotate(Q, VECTORS)), VECTORS)


@pytest.mark.parametrize("axis", [(1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.6, 0.8), (0.5, 0.5, math.sqrt(0.5))])
@pytest.mark.parametrize("angle", [0.0, 1e-9, 1.0, math.pi - 1e-9, math.pi])
def test_the_matrix_leads_back_to_the_quaternion_whatever_the_turn(
    axis: tuple[float, float, float], angle: float
) -> None:
    turned = Rotation.from_rotvec(angle * np.array(axis))
    q = quaternion.from_matrix(turned.as_matrix())
    assert q[0] >= 0.0
    alike(q, turned.as_quat(scalar_first=True))


def test_many_matrices_lead_back_at_once() -> None:
    alike(quaternion.from_matrix(ROTATIONS.as_matrix()), Q)


@pytest.mark.parametrize("size", [0.0, 1e-12, 1e-7, 1e-3, 1.0, 3.1, 6.0])
def test_the_exponential_is_scipys(size: float) -> None:
    turns = size * VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)
    expected = Rotation.from_rotvec(turns).as_quat(scalar_first=True)
    alike(quaternion.exponential(turns), expected)
    alike(quaternion.exponential(turns[7]), expected[7])


@pytest.mark.parametrize("size", [0.0, 1e-12, 1e-3, 1.0, 3.14])
def test_the_error_vector_leads_from_the_reference_to_the_quaternion(size: float) -> None:
    turns = size * VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)
    turned = quaternion.multiply(Q, quaternion.exponential(turns))
    np.testing.assert_allclose(quaternion.error_vector(turned, Q), turns, atol=1e-13)
    np.testing.assert_allclose(quaternion.error_vector(-turned, Q), turns, atol=1e-13)
    np.testing.assert_allclose(quaternion.error_vector(-turned[7], Q[7]), turns[7], atol=1e-13)
