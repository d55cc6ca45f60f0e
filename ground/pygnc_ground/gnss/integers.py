"""Integer least squares for carrier-phase ambiguities (LAMBDA), and the choice of those that are safe to fix.

Integers are decorrelated by integer transformations and permutations, then searched depth first.

Sources: P. J. G. Teunissen, The least-squares ambiguity decorrelation adjustment, J. Geodesy 70, 1995; P. de Jonge &
C. Tiberius, The LAMBDA method for integer ambiguity estimation, LGR-Series 12, Delft 1996; success rate: Teunissen, An
optimality property of the integer least-squares estimator, J. Geodesy 73, 1999; search in order of distance: C. P.
Schnorr & M. Euchner, Math. Programming 66, 1994; difference test: Tiberius & de Jonge, Fast positioning using the
LAMBDA method, Proc. DSNS, 1995.
"""

import math
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from pygnc_ground.gnss.measurements import FloatArray, IntArray

_SUCCESS: Final = 0.9999
"""Least probability that all fixed integers are right."""
_DIFFERENCE: Final = 20.0
"""Least difference of the squared distances of the second best integers and the best: odds of 20 000 to 1."""
_FIT_SIGMAS: Final = 4.0
"""Largest squared distance of the best integers, in standard deviations of its distribution above the mean."""
_CAUTION: Final = 1.5
"""Factor on the variances: those of real errors are not known better."""
_NODES_MAX: Final = 200_000
"""Steps after which a search gives up; only ambiguities that cannot be fixed take that long."""


class Decorrelated(NamedTuple):
    """Ambiguities z = Z' a with nearly independent errors; their covariance is L' D L."""

    transform: IntArray
    """Z, whose determinant is 1 or -1, shape (n, n)."""
    lower: FloatArray
    """L, unit lower triangular, shape (n, n)."""
    variances: FloatArray
    """Diagonal of D: variance of each ambiguity, if those after it are known, shape (n,)."""


class Candidates(NamedTuple):
    """Best integers in order of their distance."""

    integers: IntArray
    """Shape (k, n)."""
    distances: FloatArray
    """Squared distances from the real ambiguities in the metric of their covariance, shape (k,)."""


@dataclass(frozen=True, slots=True, eq=False)
class Fixed:
    """Integer combinations of ambiguities that are known: `combinations`' a = `integers`."""

    combinations: IntArray
    """Shape (n, k)."""
    integers: IntArray
    """Shape (k,)."""
    rest: IntArray
    """Combinations that are not known, shape (n, n - k)."""


def decorrelate(covariance: FloatArray) -> Decorrelated:
    """Return a transformation to nearly independent ambiguities, the most accurate of which are last.

    Raises:
        numpy.linalg.LinAlgError: The covariance (n, n) is not positive definite.
    """
    count = len(covariance)
    # With rows and columns reversed, L' D L is the usual decomposition.
    root = np.linalg.cholesky(covariance[::-1, ::-1])
    diagonal = np.diagonal(root)
    lower = np.ascontiguousarray((root / diagonal)[::-1, ::-1].T)
    variances, transform = diagonal[::-1] ** 2, np.eye(count, dtype=np.int64)
    row = count - 2
    while row >= 0:
        _reduce(lower, transform, row + 1, row)
        swapped = variances[row] + lower[row + 1, row] ** 2 * variances[row + 1]
        if swapped < (1.0 - 1e-9) * variances[row + 1]:
            _swap(lower, variances, transform, row, swapped)
            row = min(row + 1, count - 2)
        else:
            row -= 1
    for column in range(count - 2, -1, -1):
        for below in range(column + 1, count):
            _reduce(lower, transform, below, column)
    return Decorrelated(transform, lower, variances)


def _reduce(lower: FloatArray, transform: IntArray, row: int, column: int) -> None:
    """Subtract a multiple of ambiguity `row` from ambiguity `column`, so that they are nearly independent."""
    multiple = round(float(lower[row, column]))
    if multiple:
        lower[row:, column] -= multiple * lower[row:, row]
        transform[:, column] -= multiple * transform[:, row]


def _swap(lower: FloatArray, variances: FloatArray, transform: IntArray, row: int, swapped: float) -> None:
    """Exchange ambiguities `row` and `row + 1`; `swapped` is the new variance of the latter."""
    later, slope = variances[row + 1], lower[row + 1, row]
    share = variances[row] / swapped
    new_slope = later * slope / swapped
    above = lower[row : row + 2, :row].copy()
    lower[row, :row] = above[1] - slope * above[0]
    lower[row + 1, :row] = share * above[0] + new_slope * above[1]
    lower[row + 1, row] = new_slope
    lower[row + 2 :, [row, row + 1]] = lower[row + 2 :, [row + 1, row]]
    transform[:, [row, row + 1]] = transform[:, [row + 1, row]]
    variances[row], variances[row + 1] = share * later, swapped


def success_rate(variances: FloatArray) -> float:
    """Return the probability that rounding one ambiguity after the other is right; that of a search is larger."""
    return math.prod(math.erf(1.0 / math.sqrt(8.0 * variance)) for variance in variances.tolist())


def search(ambiguities: FloatArray, lower: FloatArray, variances: FloatArray, count: int = 2) -> Candidates | None:
    """Return the `count` nearest integers to ambiguities (n,) with the covariance L' D L; None after many steps."""
    size = len(ambiguities)
    found: list[tuple[float, IntArray]] = []
    limit = math.inf
    value, step = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
    centre, before = np.zeros(size), np.zeros(size + 1)
    shifts = np.zeros((size + 1, size))
    level = size - 1
    _enter(level, centre, value, step, ambiguities, shifts)
    for _ in range(_NODES_MAX):
        rest = float(centre[level] - value[level])
        distance = before[level + 1] + rest**2 / variances[level]
        if distance < limit:
            if level:
                before[level] = distance
                shifts[level] = shifts[level + 1]
                shifts[level, :level] -= rest * lower[level, :level]
                level -= 1
                _enter(level, centre, value, step, ambiguities, shifts)
                continue
            found = sorted([*found, (distance, value.copy())], key=lambda one: one[0])[:count]
            limit = found[-1][0] if len(found) == count else math.inf
        else:
            level += 1
            if level == size:
                return Candidates(np.array([one[1] for one in found]), np.array([one[0] for one in found]))
        # Next value in order of distance from the centre.
        value[level] += step[level]
        step[level] = -step[level] - (1 if step[level] > 0 else -1)
    return None


def _enter(  # noqa: PLR0917 - the state of the search
    level: int, centre: FloatArray, value: IntArray, step: IntArray, ambiguities: FloatArray, shifts: FloatArray
) -> None:
    """Begin with the integer nearest to an ambiguity, given the later ones."""
    centre[level] = ambiguities[level] + shifts[level + 1, level]
    value[level] = round(float(centre[level]))
    step[level] = 1 if centre[level] >= value[level] else -1


def resolve(ambiguities: FloatArray, covariance: FloatArray) -> Fixed:
    """Return the integer combinations of ambiguities (n,) that are known with the probability demanded, also none.

    The best integers must be likely by themselves, and much more so than the second best.
    """
    found = decorrelate(_CAUTION * covariance)
    rates = np.cumprod([success_rate(found.variances[[row]]) for row in range(len(ambiguities) - 1, -1, -1)])
    known = int((rates >= _SUCCESS).sum())
    transformed = found.transform.T @ ambiguities
    while known:
        kept = slice(len(ambiguities) - known, None)
        best = search(transformed[kept], found.lower[kept, kept], found.variances[kept])
        if best is not None and _is_valid(best.distances, known):
            return Fixed(found.transform[:, kept], best.integers[0], found.transform[:, : kept.start])
        known = 2 * known // 3
    return Fixed(found.transform[:, :0], np.zeros(0, dtype=np.int64), found.transform)


def _is_valid(distances: FloatArray, count: int) -> bool:
    fits = distances[0] < count + _FIT_SIGMAS * math.sqrt(2.0 * count) + _FIT_SIGMAS**2
    return bool(fits and distances[1] - distances[0] >= _DIFFERENCE)
