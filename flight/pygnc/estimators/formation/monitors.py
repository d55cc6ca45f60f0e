"""Monitors of a solution: observations rejected in succession, and drag modes far beyond their prior.

The residuals of accepted observations look good in a wrong local minimum, too, because it rejects all that disagree.
Outliers occur alone; a wrong orbit rejects the observations of an hour. Page's cumulative sum tells one from the other
(Biometrika 41, 1954): plus 1 for each rejected observation, minus 1 for each accepted one, but at least 0. In units of
ln 4, this is the log-likelihood ratio of a share of 80 % rejected, as with a wrong orbit, to one of 20 % outliers.
"""

from collections.abc import Iterable
from itertools import accumulate
from typing import Final

import numpy as np

from pygnc.common.arrays import Array
from pygnc.estimators.formation.observation_equations import Equations

REJECTED_MAX: Final = 8
"""Limit of the cumulative sum, which eight successive rejections reach. 20 % independent outliers reach it with a
probability of 7e-6 per observation (ruin of a gambler): once in 34 arcs of 12 hours with six pairs."""
_MODE_MAX: Final = 5.0
"""Limit of the deviation of a drag mode from its prior, given the other modes, in standard deviations."""


def rejection_sum(previous: int, rejected: bool) -> int:  # noqa: FBT001 - the signature that `accumulate` needs
    """Return the cumulative sum after one more observation."""
    return max(previous + (1 if rejected else -1), 0)


def contradictions(equations: Equations, parameters: Array) -> dict[int, str]:
    """Return what contradicts the orbits of partners in a solution, by the index of the partner.

    Args:
        equations: Equations with fixes that are not folded, drag modes, noise and the loss that rejects outliers.
        parameters: Parameters of the solution, (p,).
    """
    found: dict[int, str] = {}
    best, ids = parameters[None], equations.satellites
    information = equations.prior.information
    ratios = np.abs(information @ (parameters - equations.prior.mean)) / np.sqrt(np.diagonal(information))
    for satellite in range(1, len(ids)):
        ratio = ratios[equations.mode_indices(satellite)].max(initial=0.0)
        if ratio > _MODE_MAX:
            found[satellite] = f"its drag would have to vary by {ratio:.0f} standard deviations"
    motion = equations.motion(best, partials=False)
    for satellite in equations.known:
        outside = ~equations.fixes_inside(satellite, best) & equations.fixes[satellite].available
        if satellite and _is_in_succession(outside[:, 0]):
            found[satellite] = f"{int(outside[:, 0].sum())} of its {len(outside)} fixes do not fit"
    for pair, rows in enumerate(equations.ranges):
        residual_m = equations.range_residuals(pair, best, motion)[0][:, 0]
        rejected = np.abs(residual_m) > equations.loss.limit * equations.noise.range_sigma_m[pair]
        if _is_in_succession(rejected):
            for satellite, other in (rows.pair, rows.pair[::-1]):
                found[satellite] = f"{int(rejected.sum())} of {len(rejected)} ranges to {ids[other]} do not fit"
    found.pop(0, None)
    return found


def _is_in_succession(rejected: Iterable[bool]) -> bool:
    return max(accumulate(rejected, rejection_sum, initial=0)) >= REJECTED_MAX
