"""Array type of the numerical code, and small functions of arrays.

`quantile`, `median` and `unique` replace NumPy's functions, which load `numpy.ma` at the first call; this costs a
flight process 20 ms and 3 MB.
"""

from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.float64]

T = TypeVar("T", bound=np.number[Any])


def cross_matrix(vector: Array) -> Array:
    """Return the matrices of the cross product with vectors (..., 3), shape (..., 3, 3): matrix @ w = vector x w."""
    if vector.ndim > 1:
        matrices: Array = np.cross(vector[..., None, :], np.eye(3)).swapaxes(-1, -2)
        return matrices
    x, y, z = vector.tolist()
    return np.array(((0.0, -z, y), (z, 0.0, -x), (-y, x, 0.0)))


def cross(one: Array, other: Array) -> Array:
    """Return the cross product of two vectors, shape (3,); with plain numbers it is many times faster than NumPy's."""
    x, y, z = one.tolist()
    u, v, w = other.tolist()
    return np.array((y * w - z * v, z * u - x * w, x * v - y * u))


def quantile(values: Array, share: float) -> Array:
    """Return the quantile along the first axis, shape (...), with linear interpolation between neighbours.

    Args:
        values: Numbers in any unit, shape (n, ...), n at least 1.
        share: Probability of the quantile, 0 to 1.
    """
    ordered = np.sort(values, axis=0)
    place = share * (len(ordered) - 1)
    below = min(int(place), max(len(ordered) - 2, 0))
    between: Array = ordered[below] + (place - below) * (ordered[min(below + 1, len(ordered) - 1)] - ordered[below])
    return between


def median(values: Array) -> Array:
    """Return the median of `values`, shape (n, ...), along the first axis, shape (...)."""
    return quantile(values, 0.5)


def unique(values: npt.NDArray[T]) -> tuple[npt.NDArray[T], npt.NDArray[np.intp]]:
    """Return the different values in ascending order, and the index in them of each of the `values`, shape (n,)."""
    order = np.argsort(values)
    ordered = values[order]
    is_first = np.append(True, ordered[1:] != ordered[:-1])[: len(values)]
    index = np.empty_like(order)
    index[order] = np.cumsum(is_first) - 1
    return ordered[is_first], index
