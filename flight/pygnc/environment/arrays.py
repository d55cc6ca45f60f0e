"""The array type of all numerics, and the cross product as a matrix."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.float64]


def cross_matrix(vector: Array) -> Array:
    """Matrix (3, 3) whose product with another vector is `vector` (3,) cross that vector."""
    x, y, z = vector.tolist()
    return np.array(((0.0, -z, y), (z, 0.0, -x), (-y, x, 0.0)))
