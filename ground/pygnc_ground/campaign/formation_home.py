"""In which of an estimator's hypotheses the truth is at home.

The nearest hypothesis depends on the errors: to judge errors by it is to choose among them. The one that least squares
on the same observations find when they begin at the truth does not.
"""

from typing import Final, NamedTuple

import numpy as np

from pygnc.estimators.formation.equations import Equations, Loss, Noise, Prior
from pygnc.estimators.formation.least_squares import covariance, minimise
from pygnc.estimators.formation.reference import UNKNOWNS, Reference, of_satellite
from pygnc.estimators.formation.starts import Around
from pygnc_ground.campaign.formation import FormationWorld, Records
from pygnc_ground.orbit.solution import FloatArray, IntArray

_ITERATIONS: Final = 100
_TOLERANCE: Final = 1e-3
_EVERY_RANGE: Final = 1_000_000


class Judged(NamedTuple):
    """Some h hypotheses for u unknowns of s satellites, what they were made of, and the truth."""

    equations: Equations
    around: Around
    noise: Noise
    loss: Loss
    """Of the last fit, as is the noise"""
    hypotheses: FloatArray
    """(h, u)"""
    covariances: FloatArray
    """(h, u, u)"""
    truth: FloatArray
    """(u,)"""

    def alone(self, partner: int) -> "Judged":
        """One partner, by index, and we: all there is to it where it has ranges to us only."""
        some, whole = (0, partner), self.equations
        columns = whole.columns_of(some)
        known = covariance(whole.prior.information)[columns[:, None], columns]
        return Judged(
            whole.subset(some, Prior(whole.prior.mean[columns], covariance(known)), some, _EVERY_RANGE),
            self.around,
            Noise(self.noise.range_sigma_m[whole.pairs_among(some)], self.noise.fix_scale[list(some)]),
            self.loss,
            self.hypotheses[:, columns],
            self.covariances[:, columns[:, None], columns],
            self.truth[columns],
        )


class Homes(NamedTuple):
    """Of each of p partners."""

    hypothesis: IntArray
    """The one nearest to where the search from the truth ended, (p,)"""
    distance: FloatArray
    """To there, squared over the covariance there, (p,); hypotheses are the same orbit where it is small"""


def homes_of(judged: Judged) -> Homes:
    """Where least squares end that begin at the truth."""
    distance = ends_of(judged, judged.truth[None])[0]
    return Homes(np.argmin(distance, axis=1), np.min(distance, axis=1))


def ends_of(judged: Judged, guesses: FloatArray) -> FloatArray:
    """How far from the hypotheses least squares end that begin at guesses (n, u).

    Returns:
        Of each partner's orbit relative to ours, squared over the covariance at the end, (n, s - 1, h).
    """
    found = minimise(
        judged.equations,
        judged.around.dynamics,
        guesses,
        judged.noise,
        judged.loss,
        iterations=_ITERATIONS,
        tolerance=_TOLERANCE,
    )
    everything = covariance(found.fit.information)
    distances = []
    for partner in range(1, len(judged.equations.satellites)):
        relative = relative_by_unknowns(judged.equations, partner)
        off = (judged.hypotheses - found.guesses[:, None]) @ relative.T
        information = covariance(relative @ everything @ relative.T)
        distances.append(np.einsum("nhi,nij,nhj->nh", off, information, off))
    return np.stack(distances, axis=1)


def relative_by_unknowns(equations: Equations, partner: int) -> FloatArray:
    """Derivatives of a partner's state relative to ours, (6, u)."""
    derivatives = np.zeros((6, equations.unknowns))
    derivatives[:, of_satellite(partner)[:6]], derivatives[:, of_satellite(0)[:6]] = np.eye(6), -np.eye(6)
    return derivatives


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
