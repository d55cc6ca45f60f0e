"""In which of an estimator's hypotheses the truth is at home.

The nearest hypothesis depends on the errors: to judge errors by it is to choose among them. The one that least squares
on the same observations find when they begin at the truth does not.
"""

from typing import Final, NamedTuple

import numpy as np

from pygnc.estimators.formation.equations import Equations, Loss, Noise
from pygnc.estimators.formation.least_squares import covariance, minimise
from pygnc.estimators.formation.reference import UNKNOWNS, Reference, of_satellite
from pygnc.estimators.formation.relative_motion import RelativeDynamics
from pygnc.estimators.formation.solution import FormationSolution
from pygnc_ground.campaign.formation import FormationWorld, Records
from pygnc_ground.orbit.solution import FloatArray, IntArray

_ITERATIONS: Final = 100
_TOLERANCE: Final = 1e-3


class Homes(NamedTuple):
    """Of each of p partners."""

    hypothesis: IntArray
    """The one nearest to where the search from the truth ended, (p,)"""
    distance: FloatArray
    """To there, squared over the covariance there, (p,); hypotheses are the same orbit where it is small"""


def true_unknowns(world: FormationWorld, records: Records, equations: Equations, reference: Reference) -> FloatArray:
    """True orbits and biases as deviations from the reference, (u,); drag as the prior has it."""
    truth: FloatArray = equations.prior.mean.copy()
    states = world.states_gcrf(np.array([reference.epoch_ms]))[:, 0]
    places = [world.ids.index(identity) for identity in equations.satellites]
    for number, place in enumerate(places):
        truth[of_satellite(number)[:6]] = states[place] - reference.nodes.state[reference.middle]
    for number, (one, other) in enumerate(equations.pairs):
        pair = sorted((world.ids.index(one), world.ids.index(other)))
        truth[UNKNOWNS * len(places) + number] = records.bias_m[pair[0], pair[1]]
    return truth


def homes_of(
    equations: Equations,
    dynamics: RelativeDynamics,
    solution: FormationSolution,
    truth: FloatArray,
    *,
    noise: Noise,
    loss: Loss,
) -> Homes:
    """Where least squares end that begin at the truth.

    Args:
        equations: All that the solution was made of.
        dynamics: Of its reference.
        solution: With the hypotheses.
        truth: All unknowns, (u,).
        noise: Of the last fit.
        loss: Likewise.
    """
    found = minimise(equations, dynamics, truth[None], noise, loss, iterations=_ITERATIONS, tolerance=_TOLERANCE)
    guesses = np.array([hypothesis.unknowns for hypothesis in solution.hypotheses])
    everything = covariance(found.fit.information[0])
    own = of_satellite(0)[:6]
    distances = []
    for partner in range(1, len(equations.satellites)):
        its = of_satellite(partner)[:6]
        relative = np.zeros((6, equations.unknowns))
        relative[:, its], relative[:, own] = np.eye(6), -np.eye(6)
        off = (guesses - found.guesses[0]) @ relative.T
        information = covariance(relative @ everything @ relative.T)
        distances.append(np.einsum("ki,ij,kj->k", off, information, off))
    nearest = np.argmin(distances, axis=1)
    return Homes(nearest, np.min(distances, axis=1))
