"""Which guesses are different orbits, given how well each is known."""

from typing import Final

import numpy as np
import numpy.typing as npt

from pygnc.common.arrays import Array
from pygnc.estimators.formation.equations import Fit
from pygnc.estimators.formation.least_squares import Result, covariance
from pygnc.estimators.formation.reference import of_satellite

SAME: Final = 9.0
"""Two orbits of a partner are one when their difference, squared over the better one's covariance, is less."""


def merged(result: Result, satellites: int) -> Result:
    """The distinct ones of the guesses, the best first."""
    order = np.argsort(result.fit.cost, kind="stable")
    is_open = np.ones(len(order), dtype=np.bool_)
    chosen = []
    for row in order.tolist():
        if is_open[row]:
            chosen.append(row)
            is_open &= differing(result, row, result.guesses, satellites).any(axis=1)
    return picked(result, chosen)


def picked(result: Result, chosen: list[int]) -> Result:
    """Some of the guesses."""
    return Result(result.guesses[chosen], Fit(*(part[chosen] for part in result.fit)))


def differing(
    result: Result, row: int, guesses: Array, satellites: int, *, limit: float = SAME
) -> npt.NDArray[np.bool_]:
    """Whether partners' orbits relative to ours in `guesses` (k, p) are others than in guess number `row`.

    They are when their difference, squared over the covariance in that guess, is more than `limit`.

    Returns:
        Shape (k, satellites); never true of ourselves.
    """
    everything = covariance(result.fit.information[row])
    change = guesses - result.guesses[row]
    different = np.zeros((len(guesses), satellites), dtype=np.bool_)
    own = of_satellite(0)[:6]
    for partner in range(1, satellites):
        its = of_satellite(partner)[:6]
        apart = change[:, its] - change[:, own]
        mixed = everything[its[:, None], own]
        relative = everything[its[:, None], its] + everything[own[:, None], own] - mixed - mixed.T
        different[:, partner] = np.einsum("ki,ij,kj->k", apart, covariance(relative), apart) > limit
    return different
