"""How large squared errors over the covariance are to be by the observations alone, whatever the truth.

In curved valleys of the cost errors are not normal: the mean of their squares may be right, and still scatter more than
chi-square has it. What the same observations allow besides the truth tells both: samples of the posterior, drawn by
importance. Student's distributions along the valley propose; the cost of the observations weighs, and nothing else of
the estimator counts.
"""

from typing import Final, NamedTuple

import numpy as np

from pygnc.estimators.formation.elements import relative_elements
from pygnc.estimators.formation.least_squares import covariance, fitted
from pygnc.estimators.formation.valley import Points, Terrain
from pygnc_ground.campaign.formation_home import Judged, ends_of, relative_by_unknowns
from pygnc_ground.formation.relative import elements_by_relative_state
from pygnc_ground.orbit.solution import BoolArray, FloatArray

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


class Expected(NamedTuple):
    """Squared errors over the covariance of one hypothesis, of samples at home there."""

    mean: float
    variance: float
    below: float
    """Share of samples with less than the truth's"""


def expected_of(judged: Judged, hypothesis: int) -> Expected:
    """What to expect of a partner, `Judged.alone`, in the hypothesis in which the truth is at home."""
    guess = judged.hypotheses[hypothesis]
    terrain = Terrain(judged.equations, judged.around, judged.noise, judged.loss, guess[:6])
    samples, weight = sampled(judged, walked(terrain, terrain.lowest(guess[None])))
    drawn = samples[_drawn(weight)]
    found = _nees(judged, hypothesis, drawn[_at_home(judged, hypothesis, drawn)])
    truth = _nees(judged, hypothesis, judged.truth[None])
    return Expected(float(found.mean()), float(found.var()), float((found < truth).mean()))


def walked(terrain: Terrain, lowest: Points) -> Points:
    """Points all along a valley, from one end to the other."""
    every = [lowest]
    for sign in (-1.0, 1.0):
        now = lowest._replace(along=sign * lowest.along)
        for _ in range(_STEPS):
            now = terrain.stepped(now, _STEP * np.minimum(np.sqrt(now.variance()), np.sqrt(lowest.variance())))
            every.append(now)
            if now.cost[0] > lowest.cost[0] + _END:
                break
    return Points(*(np.concatenate(parts) for parts in zip(*every, strict=True)))


def sampled(judged: Judged, points: Points) -> tuple[FloatArray, FloatArray]:
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
    likely = -0.5 * fitted(judged.equations, judged.around.dynamics, samples, judged.noise, judged.loss).cost
    weight = np.exp(likely - proposed - (likely - proposed).max())
    return samples, weight / weight.sum()


def _roots(matrices: FloatArray) -> FloatArray:
    """Roots of covariances whose unknowns have units of all sizes."""
    unit = np.sqrt(np.diagonal(matrices, axis1=1, axis2=2))
    values, vectors = np.linalg.eigh(matrices / unit[:, :, None] / unit[:, None, :])
    roots: FloatArray = unit[:, :, None] * vectors * np.sqrt(np.maximum(values, _LEAST_EIGENVALUE))[:, None]
    return roots


def _drawn(weight: FloatArray) -> FloatArray:
    """Indices of samples, each as often as its weight has it."""
    places = (np.arange(_DRAWN) + 0.5) / _DRAWN
    return np.minimum(np.searchsorted(np.cumsum(weight), places), len(weight) - 1)


def _at_home(judged: Judged, hypothesis: int, guesses: FloatArray) -> BoolArray:
    """Whether ways down end at the hypothesis."""
    distance = ends_of(judged, guesses)[:, 0]
    at_home: BoolArray = distance[:, hypothesis] <= distance.min(axis=1) + _ALIKE
    return at_home


def _nees(judged: Judged, hypothesis: int, guesses: FloatArray) -> FloatArray:
    """Squared errors of the relative orbital elements of a hypothesis if guesses (n, u) were the truth, (n,)."""
    relative, guess = relative_by_unknowns(judged.equations, 1), judged.hypotheses[hypothesis]
    reference = judged.around.reference
    own = reference.nodes.state[reference.middle] + guess[:6]
    found = own + relative @ guess
    error = relative_elements(own, own + guesses @ relative.T) - relative_elements(own, found)
    by_unknowns = elements_by_relative_state(own, found) @ relative
    information = covariance(by_unknowns @ judged.covariances[hypothesis] @ by_unknowns.T)
    nees: FloatArray = np.einsum("ni,ij,nj->n", error, information, error)
    return nees
