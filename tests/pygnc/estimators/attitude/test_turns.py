import numpy as np

from pygnc.common import quaternion
from pygnc.estimators.attitude.propagation import cross_matrices, right_jacobians

VECTORS = np.random.default_rng(1).normal(size=(4, 5, 3))


def test_the_matrices_make_cross_products() -> None:
    others = np.random.default_rng(2).normal(size=VECTORS.shape)
    products = (cross_matrices(VECTORS) @ others[..., None])[..., 0]
    np.testing.assert_allclose(products, np.cross(VECTORS, others), atol=1e-14)


def test_the_jacobians_are_the_derivatives_of_the_exponential() -> None:
    jacobians = right_jacobians(VECTORS)
    for axis in range(3):
        small = 1e-6 * np.eye(3)[axis]
        ends = [quaternion.exponential(VECTORS + sign * small) for sign in (1.0, -1.0)]
        difference = quaternion.error_vector(ends[0], ends[1]) / 2e-6
        np.testing.assert_allclose(jacobians[..., axis], difference, atol=1e-8)


def test_without_a_turn_the_jacobian_is_the_identity() -> None:
    np.testing.assert_allclose(right_jacobians(np.zeros((2, 3))), np.broadcast_to(np.eye(3), (2, 3, 3)), atol=1e-12)
