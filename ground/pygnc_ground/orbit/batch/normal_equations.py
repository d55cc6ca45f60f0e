"""Normal equations, and the choice of the a-priori sigmas of the forces by maximum evidence.

The standard deviations of the density variation and of the empirical accelerations are unknown beforehand. They are
chosen to maximise the evidence: the probability of the fixes with the parameters marginalised (MacKay, Neural
Computation 4, 1992; variance component estimation in geodesy). An arc with well modelled forces thus remains stiff, and
one with unmodelled forces gets the freedom that it needs.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Final, NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc_ground.orbit.batch.forces import ArcParameters, Factors, Prior
from pygnc_ground.orbit.solution import FloatArray

_STEP: Final = 10.0**0.5
"""Ratio of neighbouring factors."""
_DENSITY_POWERS: Final = range(-4, 3)
_EMPIRICAL_POWERS: Final = range(-4, 9)
"""Powers of the step: factors from 0.01 to 10 for the density, and to 10 000 for the empirical accelerations."""
_EXPECTED_POWER: Final = -1.0
_POWER_SIGMA: Final = 2.0
"""Prior of the factors: a third of the settings, within a factor of ten, because the settings are made for the flight's
simpler force model.
"""


@dataclass(slots=True, eq=False)
class NormalEquations:
    """Sums over all weighted observations, for corrections of p parameters."""

    matrix: FloatArray
    """(p, p)."""
    right: FloatArray
    """(p,)."""

    @classmethod
    def empty(cls, count: int) -> "NormalEquations":
        """Return the equations without observations."""
        return cls(np.zeros((count, count)), np.zeros(count))

    def add(self, rows: FloatArray, residuals: FloatArray) -> None:
        """Add observations of unit variance: derivatives (n, q) by the first q parameters, residuals (n,)."""
        acting = rows.shape[1]
        self.matrix[:acting, :acting] += rows.T @ rows
        self.right[:acting] += rows.T @ residuals


class Solution(NamedTuple):
    """Most probable correction of p parameters."""

    correction: FloatArray
    """Correction of the parameters, shape (p,)."""
    log_evidence: float
    """Logarithm of the evidence, except for a constant that is independent of the prior."""
    factor: tuple[FloatArray, bool]
    """Cholesky factor of the scaled information, as returned by SciPy, shape (p, p)."""
    unit: FloatArray
    """Scale of each parameter, shape (p,)."""

    def covariance(self) -> FloatArray:
        """Compute the covariance of the parameters, shape (p, p)."""
        covariance: FloatArray = self.unit[:, None] * cho_solve(self.factor, np.diag(self.unit))
        return covariance


def solve(normal: NormalEquations, prior: Prior, values: FloatArray) -> Solution:
    """Return the corrections of the parameters from their current values, shape (p,).

    Raises:
        numpy.linalg.LinAlgError: The observations do not determine the state.
    """
    offset = values - prior.mean
    pull = prior.information @ offset
    total = normal.matrix + prior.information
    # Parameters range from kilometres to nanometres per second squared; scaling gives all of them unit information.
    unit = 1.0 / np.sqrt(np.diagonal(total))
    factor = cho_factor(unit[:, None] * total * unit, lower=True)
    right = unit * (normal.right - pull)
    solved = cho_solve(factor, right)
    log_determinant = 2.0 * float(np.log(np.diagonal(factor[0]) / unit).sum())
    cost = float(offset @ pull - right @ solved)
    return Solution(unit * solved, 0.5 * (prior.log_determinant - log_determinant - cost), factor, unit)


def choose_factors(
    normal: NormalEquations, unknowns: ArcParameters, settings: OrbitSettings, values: FloatArray, start: Factors | None
) -> Factors:
    """Return the factors with the largest evidence, by hill climbing from `start` or from the best of a coarse grid.

    Cost: a factorisation of the normal equations for each of some 25 pairs, or for 5 or more with a start.
    """

    @cache
    def evidence(density_variation: int, empirical: int) -> float:
        if density_variation not in _DENSITY_POWERS or empirical not in _EMPIRICAL_POWERS:
            return -math.inf
        prior = unknowns.prior(settings, Factors(_STEP**density_variation, _STEP**empirical))
        unlikely = sum(((power - _EXPECTED_POWER) / _POWER_SIGMA) ** 2 for power in (density_variation, empirical))
        return solve(normal, prior, values).log_evidence - 0.5 * unlikely

    def best(places: Iterable[tuple[int, int]]) -> tuple[int, int]:
        return max(places, key=lambda place: evidence(*place))

    def around(density: int, empirical: int) -> list[tuple[int, int]]:
        # The point itself comes first: a neighbour replaces it only if its evidence is larger.
        return [(density + i, empirical + j) for i, j in ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1))]

    def power(factor: float) -> int:
        return round(math.log(factor) / math.log(_STEP))

    if start is None:
        found = best((density, empirical) for density in _DENSITY_POWERS[::3] for empirical in _EMPIRICAL_POWERS[::3])
    else:
        found = power(start.density_variation), power(start.empirical)
    while (higher := best(around(*found))) != found:
        found = higher
    return Factors(_STEP ** found[0], _STEP ** found[1])
