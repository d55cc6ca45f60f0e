"""Normal equations, and how well an assumption on the unknown forces explains the fixes.

The standard deviations of what nobody knows beforehand, the density's variation and the empirical accelerations, are
chosen to maximise the evidence: the probability of the fixes under the assumption, the unknowns integrated out (MacKay,
Neural Computation 4, 1992; geodesy's variance components). An arc whose forces are modelled well thus stays stiff, and
one that needs freedom gets it.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc_ground.orbit.batch.forces import ArcParameters, Factors, Prior
from pygnc_ground.orbit.solution import FloatArray

_STEP: Final = 10.0**0.5
"""Between the factors that are tried."""
_DENSITY_POWERS: Final = range(-4, 3)
_EMPIRICAL_POWERS: Final = range(-4, 9)
"""Of the step: factors from 0.01 to 10, as air never changes by more, and to 10 000."""
_EXPECTED_POWER: Final = -1.0
_POWER_SIGMA: Final = 2.0
"""Where an arc says nothing, a third of the settings, give or take a factor of ten: they are made for the flight's
simpler forces."""


@dataclass(slots=True, eq=False)
class NormalEquations:
    """Sums over all weighted observations, for corrections of p unknowns."""

    matrix: FloatArray
    """(p, p)"""
    right: FloatArray
    """(p,)"""

    @classmethod
    def empty(cls, count: int) -> "NormalEquations":
        """Of no observations."""
        return cls(np.zeros((count, count)), np.zeros(count))

    def add(self, rows: FloatArray, residuals: FloatArray) -> None:
        """Add observations of unit variance: derivatives (n, q) by the first q unknowns, residuals (n,)."""
        acting = rows.shape[1]
        self.matrix[:acting, :acting] += rows.T @ rows
        self.right[:acting] += rows.T @ residuals


@dataclass(frozen=True, slots=True, eq=False)
class Solution:
    """The most probable correction.

    Raises:
        numpy.linalg.LinAlgError: from `solve`, when the observations do not determine the state.
    """

    correction: FloatArray
    """(p,)"""
    log_evidence: float
    """But for a part that no prior changes"""
    _factor: tuple[FloatArray, bool]
    _unit: FloatArray

    @classmethod
    def solve(cls, normal: NormalEquations, prior: Prior, values: FloatArray) -> "Solution":
        """Solve for corrections of the unknowns from their present values (p,)."""
        offset = values - prior.mean
        pull = prior.information @ offset
        total = normal.matrix + prior.information
        # Unknowns from kilometres to nanometres per second squared, all brought to one.
        unit = 1.0 / np.sqrt(np.diagonal(total))
        factor = cho_factor(unit[:, None] * total * unit, lower=True)
        right = unit * (normal.right - pull)
        solved = cho_solve(factor, right)
        log_determinant = 2.0 * float(np.log(np.diagonal(factor[0]) / unit).sum())
        cost = float(offset @ pull - right @ solved)
        return cls(unit * solved, 0.5 * (prior.log_determinant - log_determinant - cost), factor, unit)

    @property
    def covariance(self) -> FloatArray:
        """Of the unknowns, shape (p, p)."""
        covariance: FloatArray = self._unit[:, None] * cho_solve(self._factor, np.diag(self._unit))
        return covariance


def choose_factors(
    normal: NormalEquations, unknowns: ArcParameters, settings: OrbitSettings, values: FloatArray, start: Factors | None
) -> Factors:
    """The factors with the greatest evidence: uphill on a fine grid from `start`, or from the best of a coarse grid.

    Cost: a factorisation of the normal equations for each of some 25 pairs, for 5 or more with a start.
    """

    @cache
    def evidence(density_variation: int, empirical: int) -> float:
        if density_variation not in _DENSITY_POWERS or empirical not in _EMPIRICAL_POWERS:
            return -math.inf
        prior = unknowns.prior(settings, Factors(_STEP**density_variation, _STEP**empirical))
        unlikely = sum(((power - _EXPECTED_POWER) / _POWER_SIGMA) ** 2 for power in (density_variation, empirical))
        return Solution.solve(normal, prior, values).log_evidence - 0.5 * unlikely

    def best(places: Iterable[tuple[int, int]]) -> tuple[int, int]:
        return max(places, key=lambda place: evidence(*place))

    if start is None:
        found = best((density, empirical) for density in _DENSITY_POWERS[::3] for empirical in _EMPIRICAL_POWERS[::3])
    else:
        found = _power(start.density_variation), _power(start.empirical)
    while (higher := best(_around(*found))) != found:
        found = higher
    return Factors(_STEP ** found[0], _STEP ** found[1])


def _power(factor: float) -> int:
    return round(math.log(factor) / math.log(_STEP))


def _around(density: int, empirical: int) -> list[tuple[int, int]]:
    """The place itself, first, and its neighbours on the grid."""
    neighbours = [(density + step, empirical) for step in (-1, 1)] + [(density, empirical + step) for step in (-1, 1)]
    return [(density, empirical), *neighbours]
