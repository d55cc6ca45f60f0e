"""Cross products and turns of many vectors at once."""

import numpy as np

from pygnc.environment.arrays import Array


def cross_matrices(vectors: Array) -> Array:
    """Cross products as matrices, shapes (..., 3) -> (..., 3, 3)."""
    matrices = np.zeros((*vectors.shape, 3))
    x, y, z = vectors[..., 0], vectors[..., 1], vectors[..., 2]
    matrices[..., 0, 1], matrices[..., 0, 2], matrices[..., 1, 2] = -z, y, -x
    matrices[..., 1, 0], matrices[..., 2, 0], matrices[..., 2, 1] = z, -y, x
    return matrices


def right_jacobians(turns: Array) -> Array:
    """As `motion.right_jacobian`, shapes (..., 3) -> (..., 3, 3)."""
    angle2 = (turns**2).sum(axis=-1)
    angle = np.sqrt(np.maximum(angle2, 1e-8))
    first, second = (1.0 - np.cos(angle)) / angle**2, (angle - np.sin(angle)) / angle**3
    cross = cross_matrices(turns)
    jacobians: Array = np.eye(3) - first[..., None, None] * cross + second[..., None, None] * (cross @ cross)
    return jacobians
