"""The array type of all numerics, and the cross product as a matrix.

Quantiles. NumPy's own would load `numpy.ma` at their first call: 20 ms and 3 MB of a flight process.
"""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.float64]


def cross_matrix(vector: Array) -> Array:
    """Matrix (3, 3) whose product with another vector is `vector` (3,) cross that vector."""
    x, y, z = vector.tolist()
    return np.array(((0.0, -z, y), (z, 0.0, -x), (-y, x, 0.0)))


Floats = npt.NDArray[np.float64]


def quantile(values: Floats, share: float) -> Floats:
    """Return what a share of values (n, ...) is below, along their first axis; linear between neighbours."""
    ordered = np.sort(values, axis=0)
    place = share * (len(ordered) - 1)
    below = min(int(place), max(len(ordered) - 2, 0))
    found: Floats = ordered[below] + (place - below) * (ordered[min(below + 1, len(ordered) - 1)] - ordered[below])
    return found


def median(values: Floats) -> Floats:
    """Return the middle of values (n, ...) along their first axis."""
    return quantile(values, 0.5)
