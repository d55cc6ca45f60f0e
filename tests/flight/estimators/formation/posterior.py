"""Samples of the posterior of orbits that lie in a curved valley, by importance sampling."""

import numpy as np

from pygnc.environment.arrays import Array
from pygnc.estimators.formation import curvature
from pygnc.estimators.formation.valley import Points, Terrain

SAMPLES = 2_000
FREEDOM = 8
"""Of Student's distribution, whose tails are longer than the posterior's."""
STEP = 0.25
"""Of a standard deviation, from each point of the valley to the next."""


def walked(terrain: Terrain, lowest: Points) -> Points:
    """Points all along a valley, from one end to the other, 16 above the lowest cost."""
    every = [lowest]
    for sign in (-1.0, 1.0):
        now = lowest._replace(along=sign * lowest.along)
        for _ in range(60):
            now = terrain.stepped(now, STEP * np.minimum(np.sqrt(now.variance()), np.sqrt(lowest.variance())))
            every.append(now)
            if now.cost[0] > lowest.cost[0] + 16.0:
                break
    return Points(*(np.concatenate(parts) for parts in zip(*every, strict=True)))


def sampled(terrain: Terrain, points: Points) -> tuple[Array, Array]:
    """Samples (n, p) of a mixture of Student's distributions about the points, and their weights by the cost, (n,)."""
    draw = np.random.default_rng(1)
    share = np.exp(0.5 * (points.cost.min() - points.cost) + points.breadth - points.breadth.max())
    share = 0.8 * share / share.sum() + 0.2 / len(share)
    tangent, step = points.tangent(), STEP**2 * points.variance()
    across = points.covariance - points.variance()[:, None, None] * tangent[:, :, None] * tangent[:, None]
    roots = curvature._root(1.3 * across + 4.0 * step[:, None, None] * tangent[:, :, None] * tangent[:, None])
    size = points.guesses.shape[1]
    chosen = draw.choice(len(share), SAMPLES, p=share)
    tails = np.sqrt(FREEDOM / draw.chisquare(FREEDOM, SAMPLES))
    samples = points.guesses[chosen] + tails[:, None] * np.einsum(
        "nij,nj->ni", roots[chosen], draw.standard_normal((SAMPLES, size))
    )
    off = np.einsum("kij,nkj->nki", np.linalg.inv(roots), samples[:, None] - points.guesses)
    density = np.log1p((off**2).sum(axis=2) / FREEDOM) * (-0.5 * (FREEDOM + size))
    density -= np.log(np.diagonal(roots, axis1=1, axis2=2)).sum(axis=1)
    most = density.max()
    proposed = np.log((share * np.exp(density - most)).sum(axis=1))
    cost = np.concatenate([terrain._fit(some).cost for some in np.array_split(samples, 10)])
    weight = np.exp(-0.5 * (cost - cost.min()) - proposed + proposed.min())
    return samples, weight / weight.sum()
