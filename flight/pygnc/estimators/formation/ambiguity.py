"""Whether the best solution is certain, and of use."""

import math
from typing import Final

import numpy as np

from pygnc.common.arrays import Array
from pygnc.estimators.formation.distinct import differing
from pygnc.estimators.formation.equations import Equations, Loss, Noise
from pygnc.estimators.formation.least_squares import Result, covariance, fitted
from pygnc.estimators.formation.reference import UNKNOWNS
from pygnc.estimators.formation.solution import Partner
from pygnc.estimators.formation.starts import Around, flips

_ARC_FRACTIONS: Final = (0.0, 0.25, 0.5, 0.75, 1.0)


def judged(
    equations: Equations,
    around: Around,
    result: Result,
    passed: Array,
    uncertain: Array,
    *,
    noise: Noise,
    loss: Loss,
) -> dict[int, Partner]:
    """The partners' ambiguity.

    Args:
        equations: Of all.
        around: Of the search.
        result: Distinct solutions, the best first.
        passed: Guesses (k, p) that the search passed through. Where the last fit slides from one of them into another
            solution, the cost has a shelf rather than a minimum; fitting nearly as well, it is as good a rival.
        uncertain: Covariance of the best solution, (p, p).
        noise: Of the observations.
        loss: That of the last fit.
    """
    settings, count = around.settings, len(equations.satellites)
    shelves = fitted(equations, around.dynamics, passed, noise, loss).cost
    cost = np.concatenate((result.fit.cost, shelves))
    different = differing(result, 0, np.concatenate((result.guesses, passed)), count)
    best = float(cost[0])
    freedom = max(sum(len(rows.places) for rows in equations.ranges) - equations.unknowns, 1)
    by_partner = {}
    for partner in range(1, count):
        rivals = cost[different[:, partner]].tolist()
        mirror = min(rivals) if rivals else _image_cost(equations, around, result, partner, noise=noise, loss=loss)
        # As a ratio of likelihoods with the noise unknown too.
        worse = freedom * math.log1p(max(mirror - best, 0.0) / freedom) if rivals else math.inf
        by_partner[equations.satellites[partner]] = Partner(
            _unsolved(equations, around, result, partner, uncertain), worse < settings.certain_chi_square, best, mirror
        )
    return by_partner


def _image_cost(
    equations: Equations, around: Around, result: Result, partner: int, *, noise: Noise, loss: Loss
) -> float:
    """Least cost of the best solution with this partner flipped, or the best cost if its images are no other orbits."""
    images = flips(result.guesses[:1], (partner,), around.reference)[1:, 0]
    guesses = images[differing(result, 0, images, len(equations.satellites))[:, partner]]
    if not len(guesses):
        return float(result.fit.cost[0])
    return float(fitted(equations, around.dynamics, guesses, noise, loss).cost.min())


def _unsolved(equations: Equations, around: Around, result: Result, partner: int, uncertain: Array) -> str | None:
    """Why a partner's orbit is not known; None when it is."""
    reference = around.reference
    places = 2.0 * reference.middle * np.array(_ARC_FRACTIONS)
    points = reference.nodes.by_epoch[places.astype(np.int64), :3]
    columns = np.concatenate((np.arange(UNKNOWNS), UNKNOWNS * partner + np.arange(UNKNOWNS)))
    # A valley that ends sooner than linear ranges make expect is one that the data hardly close.
    joint = np.stack((covariance(result.fit.information[0]), uncertain))[:, columns[:, None], columns]
    motion = around.dynamics.propagate(equations.states(result.guesses[:1]), partials=False)
    constants = motion.at(slice(None), places)
    apart_m = (points @ (constants[:, partner] - constants[:, 0])[..., None])[..., 0]
    by_unknowns = np.concatenate((-points, points), axis=2)
    placed = by_unknowns @ joint[:, None] @ by_unknowns.swapaxes(1, 2)
    variance = np.trace(placed, axis1=2, axis2=3).mean(axis=1).max()
    sigma_m, distance_m = math.sqrt(variance), math.sqrt((apart_m**2).sum(axis=1).mean())
    if sigma_m < around.settings.solved_sigma_ratio * distance_m:
        return None
    return f"its place is known to {sigma_m:.0f} m only, {distance_m:.0f} m away"
