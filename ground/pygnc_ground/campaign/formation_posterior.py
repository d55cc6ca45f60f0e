"""How large squared errors over the covariance are to be by the observations alone, whatever the truth.

In curved valleys of the cost errors are not normal: the mean of their squares may be right, and still scatter more than
chi-square has it. What the same observations allow besides the truth tells both: samples of the posterior, drawn by
importance. Student's distributions along the valley propose; the cost of the observations weighs, and nothing else of
the estimator counts.

In which of an estimator's hypotheses the truth is at home.

The nearest hypothesis depends on the errors: to judge errors by it is to choose among them. The one that least squares
on the same observations find when they begin at the truth does not.
"""

from typing import Final, NamedTuple

import numpy as np

from pygnc.estimators.formation.equations import Equations, Loss, Noise, Prior
from pygnc.estimators.formation.least_squares import evaluate, minimise, scaled_inverse
from pygnc.estimators.formation.reference import STATE_SIZE, Reference, state_indices
from pygnc.estimators.formation.relative_coordinates import relative_elements
from pygnc.estimators.formation.ridge import CostFunction, RidgePoints
from pygnc.estimators.formation.search import SearchContext
from pygnc_ground.campaign.formation_world import FormationWorld, Records
from pygnc_ground.formation.relative import d_elements_d_state
from pygnc_ground.orbit.solution import BoolArray, FloatArray, IntArray

_ITERATIONS: Final = 100
_TOLERANCE: Final = 1e-3
_EVERY_RANGE: Final = 1_000_000


class JudgedSolution(NamedTuple):
    """Some h hypotheses for u unknowns of s satellites, what they were made of, and the truth."""

    equations: Equations
    context: SearchContext
    noise: Noise
    loss: Loss
    """Of the last fit, as is the noise"""
    hypotheses: FloatArray
    """(h, u)"""
    covariances: FloatArray
    """(h, u, u)"""
    truth: FloatArray
    """(u,)"""

    def alone(self, partner: int) -> "JudgedSolution":
        """One partner, by index, and we: all there is to it where it has ranges to us only."""
        some, whole = (0, partner), self.equations
        columns = whole.parameter_indices(some)
        known = scaled_inverse(whole.prior.information)[columns[:, None], columns]
        return JudgedSolution(
            whole.subset(some, Prior(whole.prior.mean[columns], scaled_inverse(known)), some, _EVERY_RANGE),
            self.context,
            Noise(self.noise.range_sigma_m[whole.pairs_among(some)], self.noise.fix_scale[list(some)]),
            self.loss,
            self.hypotheses[:, columns],
            self.covariances[:, columns[:, None], columns],
            self.truth[columns],
        )


class TrueHypotheses(NamedTuple):
    """Of each of p partners."""

    hypothesis: IntArray
    """The one nearest to where the search from the truth ended, (p,)"""
    distance: FloatArray
    """To there, squared over the covariance there, (p,); hypotheses are the same orbit where it is small"""


def true_hypotheses(judged: JudgedSolution) -> TrueHypotheses:
    """Where least squares end that begin at the truth."""
    distance = distances_after_minimisation(judged, judged.truth[None])[0]
    return TrueHypotheses(np.argmin(distance, axis=1), np.min(distance, axis=1))


def distances_after_minimisation(judged: JudgedSolution, guesses: FloatArray) -> FloatArray:
    """How far from the hypotheses least squares end that begin at guesses (n, u).

    Returns:
        Of each partner's orbit relative to ours, squared over the covariance at the end, (n, s - 1, h).
    """
    found = minimise(
        judged.equations,
        judged.context.dynamics,
        guesses,
        judged.noise,
        judged.loss,
        iterations=_ITERATIONS,
        tolerance=_TOLERANCE,
    )
    everything = scaled_inverse(found.fit.information)
    distances = []
    for partner in range(1, len(judged.equations.satellites)):
        relative = d_relative_d_parameters(judged.equations, partner)
        off = (judged.hypotheses - found.guesses[:, None]) @ relative.T
        information = scaled_inverse(relative @ everything @ relative.T)
        distances.append(np.einsum("nhi,nij,nhj->nh", off, information, off))
    return np.stack(distances, axis=1)


def d_relative_d_parameters(equations: Equations, partner: int) -> FloatArray:
    """Derivatives of a partner's state relative to ours, (6, u)."""
    derivatives = np.zeros((6, equations.parameter_count))
    derivatives[:, state_indices(partner)[:6]], derivatives[:, state_indices(0)[:6]] = np.eye(6), -np.eye(6)
    return derivatives


def true_parameters(world: FormationWorld, records: Records, equations: Equations, reference: Reference) -> FloatArray:
    """True orbits and biases as deviations from the reference, (u,); drag as the prior has it."""
    truth: FloatArray = equations.prior.mean.copy()
    states = world.states_gcrf(np.array([reference.epoch_ms]))[:, 0]
    places = [world.ids.index(identity) for identity in equations.satellites]
    for number, place in enumerate(places):
        truth[state_indices(number)[:6]] = states[place] - reference.nodes.state[reference.epoch_node]
    for number, (one, other) in enumerate(equations.pairs):
        pair = sorted((world.ids.index(one), world.ids.index(other)))
        truth[STATE_SIZE * len(places) + number] = records.bias_m[pair[0], pair[1]]
    return truth


SAMPLES: Final = 2_000
_FREEDOM: Final = 8
"""Of Student's distribution, whose tails are longer than the posterior's."""
_STEP: Final = 0.25
"""Of a standard deviation, from each point of the valley to the next."""
_STEPS: Final = 60
_END: Final = 16.0
"""Of the cost above the lowest."""
_EVENLY: Final = 0.2
"""Share of the samples proposed evenly along the valley."""
_BROADER: Final = 1.3
"""Variances across the valley."""
_OVERLAP: Final = 4.0
"""Squared, of neighbouring points of the valley."""
_LEAST_EIGENVALUE: Final = 1e-13
"""Of correlations; less is rounding."""
_DRAWN: Final = 100
"""Of the samples, by their weights, whose ways down are followed."""
_ALIKE: Final = 1.0
"""Hypotheses are equally near to where a way ends when their distances, squared over the covariance, differ by less."""


class ExpectedNees(NamedTuple):
    """Squared errors over the covariance of one hypothesis, of samples at home there."""

    mean: float
    variance: float
    below: float
    """Share of samples with less than the truth's"""


def expected_nees(judged: JudgedSolution, hypothesis: int) -> ExpectedNees:
    """What to expect of a partner, `Judged.alone`, in the hypothesis in which the truth is at home."""
    guess = judged.hypotheses[hypothesis]
    terrain = CostFunction(judged.equations, judged.context, judged.noise, judged.loss, guess[:6])
    samples, weight = importance_samples(judged, ridge_points(terrain, terrain.lowest(guess[None])))
    drawn = samples[_resample(weight)]
    found = _nees(judged, hypothesis, drawn[_leads_to(judged, hypothesis, drawn)])
    truth = _nees(judged, hypothesis, judged.truth[None])
    return ExpectedNees(float(found.mean()), float(found.var()), float((found < truth).mean()))


def ridge_points(terrain: CostFunction, lowest: RidgePoints) -> RidgePoints:
    """Points all along a valley, from one end to the other."""
    every = [lowest]
    for sign in (-1.0, 1.0):
        now = lowest._replace(along=sign * lowest.along)
        for _ in range(_STEPS):
            now = terrain.stepped(now, _STEP * np.minimum(np.sqrt(now.variance()), np.sqrt(lowest.variance())))
            every.append(now)
            if now.cost[0] > lowest.cost[0] + _END:
                break
    return RidgePoints(*(np.concatenate(parts) for parts in zip(*every, strict=True)))


def importance_samples(judged: JudgedSolution, points: RidgePoints) -> tuple[FloatArray, FloatArray]:
    """Samples (n, u) about the points of a valley, and their weights by the cost, (n,), which sum up to one."""
    draw = np.random.default_rng(1)
    share = np.exp(0.5 * (points.cost.min() - points.cost) + points.breadth - points.breadth.max())
    share = (1.0 - _EVENLY) * share / share.sum() + _EVENLY / len(share)
    tangent, variance = points.tangent(), points.variance()[:, None, None]
    along = tangent[:, :, None] * tangent[:, None]
    roots = _roots(_BROADER * (points.covariance - variance * along) + _OVERLAP * _STEP**2 * variance * along)
    size = points.guesses.shape[1]
    chosen = draw.choice(len(share), SAMPLES, p=share)
    tails = np.sqrt(_FREEDOM / draw.chisquare(_FREEDOM, SAMPLES))
    samples = points.guesses[chosen] + tails[:, None] * np.einsum(
        "nij,nj->ni", roots[chosen], draw.standard_normal((SAMPLES, size))
    )
    off = np.einsum("kij,nkj->nki", np.linalg.inv(roots), samples[:, None] - points.guesses)
    density = np.log1p((off**2).sum(axis=2) / _FREEDOM) * (-0.5 * (_FREEDOM + size))
    density -= np.linalg.slogdet(roots)[1]
    proposed = np.log((share * np.exp(density - density.max())).sum(axis=1))
    likely = -0.5 * evaluate(judged.equations, judged.context.dynamics, samples, judged.noise, judged.loss).cost
    weight = np.exp(likely - proposed - (likely - proposed).max())
    return samples, weight / weight.sum()


def _roots(matrices: FloatArray) -> FloatArray:
    """Roots of covariances whose unknowns have units of all sizes."""
    unit = np.sqrt(np.diagonal(matrices, axis1=1, axis2=2))
    values, vectors = np.linalg.eigh(matrices / unit[:, :, None] / unit[:, None, :])
    roots: FloatArray = unit[:, :, None] * vectors * np.sqrt(np.maximum(values, _LEAST_EIGENVALUE))[:, None]
    return roots


def _resample(weight: FloatArray) -> FloatArray:
    """Indices of samples, each as often as its weight has it."""
    places = (np.arange(_DRAWN) + 0.5) / _DRAWN
    return np.minimum(np.searchsorted(np.cumsum(weight), places), len(weight) - 1)


def _leads_to(judged: JudgedSolution, hypothesis: int, guesses: FloatArray) -> BoolArray:
    """Whether ways down end at the hypothesis."""
    distance = distances_after_minimisation(judged, guesses)[:, 0]
    at_home: BoolArray = distance[:, hypothesis] <= distance.min(axis=1) + _ALIKE
    return at_home


def _nees(judged: JudgedSolution, hypothesis: int, guesses: FloatArray) -> FloatArray:
    """Squared errors of the relative orbital elements of a hypothesis if guesses (n, u) were the truth, (n,)."""
    relative, guess = d_relative_d_parameters(judged.equations, 1), judged.hypotheses[hypothesis]
    reference = judged.context.reference
    own = reference.nodes.state[reference.epoch_node] + guess[:6]
    found = own + relative @ guess
    error = relative_elements(own, own + guesses @ relative.T) - relative_elements(own, found)
    by_unknowns = d_elements_d_state(own, found) @ relative
    information = scaled_inverse(by_unknowns @ judged.covariances[hypothesis] @ by_unknowns.T)
    nees: FloatArray = np.einsum("ni,ij,nj->n", error, information, error)
    return nees
