"""Knowledge of each partner's orbit: whether there is one, and whether another orbit fits nearly as well.

A partner is certain if its ranges fit to within their noise, and if n ln(1 + d/n) reaches the margin of the settings,
with d the excess of chi-square of the best other solution and n the degrees of freedom: the likelihood ratio with the
noise estimated as well.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from pygnc.common.arrays import Array
from pygnc.estimators.formation.least_squares import differs_from
from pygnc.estimators.formation.observation_equations import Equations, Fit, scaled_inverse
from pygnc.estimators.formation.search import mirrored_candidates
from pygnc.estimators.formation.settings import FormationSettings

_NONLINEAR_MAX_M: Final = 50_000.0
"""Largest distance at which the motion of a partner without fixes is accurate."""
_MISFIT_MAX: Final = 1.1
"""Largest ratio of the noise with model error to that without in a good fit."""
_ARC_FRACTIONS: Final = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Moments of the arc, as fractions of its length, at which the uncertainty of a position is evaluated."""


@dataclass(frozen=True, slots=True)
class Partner:
    """Knowledge of a partner's orbit.

    Attributes:
        unsolved: Reason why there is no orbit; None if there is one.
        ambiguous: True if another solution fits nearly as well, or if even the best one does not fit.
        chi_square_best: Chi-square of the best solution.
        chi_square_mirror: Chi-square of the best solution in which this partner moves differently. If all searches
            from its mirror images lead back to the best solution, chi-square of the best image without improvement.
            If the images differ from the best solution by less than its uncertainty, equal to `chi_square_best`.
    """

    unsolved: str | None
    ambiguous: bool
    chi_square_best: float
    chi_square_mirror: float


def unsolved_reason(sigma_m: float, distance_m: float, sigma_ratio_max: float) -> str | None:
    """Return the reason why a partner's orbit is unknown; None if its uncertainty is small relative to its distance."""
    if sigma_m < sigma_ratio_max * distance_m:
        return None
    return f"standard deviation of its position {sigma_m:.0f} m at a distance of {distance_m:.0f} m"


def judge_partners(
    equations: Equations, settings: FormationSettings, result: Fit, intermediate: Array, covariance: Array
) -> dict[int, Partner]:
    """Return the knowledge of each partner's orbit, by radio id.

    Args:
        equations: Equations of all satellites.
        settings: Margins of certainty and of the uncertainty of a position.
        result: Distinct solutions, the best first.
        intermediate: Parameters (k, p) from earlier stages. If the last fit moves some of them into another solution,
            the cost has a plateau there instead of a minimum. If they fit nearly as well, they count as other
            solutions.
        covariance: Covariance of the best solution, (p, p).
    """
    count = len(equations.satellites)
    cost = np.concatenate((result.cost, equations.fit(intermediate).cost))
    differs = differs_from(result, 0, np.concatenate((result.parameters, intermediate)), count)
    best = float(cost[0])
    freedom = max(equations.range_count - equations.parameter_count, 1)
    by_partner = {}
    for partner in range(1, count):
        competitors = cost[differs[:, partner]].tolist()
        mirror = min(competitors) if competitors else _mirror_image_cost(equations, result, partner)
        # Likelihood ratio with the noise estimated as well.
        excess = freedom * math.log1p(max(mirror - best, 0.0) / freedom) if competitors else math.inf
        sigma_m, distance_m = _position_uncertainty(equations, result, partner, covariance)
        by_partner[equations.satellites[partner]] = Partner(
            unsolved_reason(sigma_m, distance_m, settings.solved_sigma_ratio),
            excess < settings.certain_chi_square or not _fits(equations, partner, distance_m),
            best,
            mirror,
        )
    return by_partner


def _fits(equations: Equations, partner: int, distance_m: float) -> bool:
    """Return True if the model describes the observations of a partner, whatever other solutions there are."""
    tracks = equations.tracks
    if distance_m > _NONLINEAR_MAX_M and not tracks[partner].is_linear:
        return False
    # Ranges to a partner with a less accurate model say nothing about one whose orbit its fixes determine.
    known = tracks[partner].is_linear
    pairs = [
        number
        for number, pair in enumerate(equations.index_pairs)
        if partner in pair and (not known or all(tracks[end].is_linear for end in pair))
    ]
    noise = equations.noise
    return bool((noise.range_sigma_m[pairs] <= _MISFIT_MAX * noise.white_sigma_m[pairs]).all())


def _mirror_image_cost(equations: Equations, result: Fit, partner: int) -> float:
    """Return the least cost of this partner's mirror images, or the best cost if they are not distinct orbits."""
    images = mirrored_candidates(result.parameters[:1], (partner,), equations.dynamics.reference)[1:, 0]
    parameters = images[differs_from(result, 0, images, len(equations.satellites))[:, partner]]
    return float(equations.fit(parameters).cost.min() if len(parameters) else result.cost[0])


def _position_uncertainty(equations: Equations, result: Fit, partner: int, covariance: Array) -> tuple[float, float]:
    """Return standard deviation and distance of a partner's position in the best solution, in m.

    Both are RMS values over some moments of the arc. The larger of the linear covariance and `covariance` counts.
    """
    first_ms, last_ms = equations.dynamics.reference.span_ms
    moments = first_ms + (last_ms - first_ms) * np.array(_ARC_FRACTIONS)
    best = result.parameters[0]
    states, partials = equations.states_at(moments, best, equations.motion(best[None]))
    relative_position_m, d_relative = (part[partner, :, :3] - part[0, :, :3] for part in (states, partials))
    # The larger of both: a ridge that is shorter than its linear covariance is hardly bounded by the data.
    joint = np.stack((scaled_inverse(result.information[0]), covariance))
    propagated = d_relative @ joint[:, None] @ d_relative.swapaxes(1, 2)
    variance = np.trace(propagated, axis1=2, axis2=3).mean(axis=1).max()
    return math.sqrt(variance), math.sqrt((relative_position_m**2).sum(axis=1).mean())
