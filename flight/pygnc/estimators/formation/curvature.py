"""Covariances of solutions that lie in curved valleys of the cost.

Ranges to one satellite leave a direction in which an orbit is hardly known, and the cost's valley along it is an arc:
what is known well at its lowest point is something else a little farther on. The valley is followed to both sides, and
the covariance is made of all its points, each weighed by its likelihood times the valley's breadth (Laplace's
approximation in all directions but one; Tierney & Kadane, JASA 81, 1986). Where the direction known least of those
across is bent too, as where a partner moves in our orbit's plane, the valley's slice through the lowest point is
followed as well, and what second moments grow by is added. The solution itself stays the best fit.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from pygnc.common.arrays import Array
from pygnc.estimators.formation.distinct import differing
from pygnc.estimators.formation.equations import Equations, Loss, Noise, Prior
from pygnc.estimators.formation.least_squares import Result, covariance
from pygnc.estimators.formation.starts import Around
from pygnc.estimators.formation.valley import Points, Slab, Terrain, slab_at

_FOLLOWED: Final = 24
"""Of a group's solutions, the best ones; each costs as much as the search of another."""
_ALIKE: Final = 0.04
"""Squared difference over covariance of two ends of the same search, which comes within 0.01 of the least cost."""
_STRAIGHT: Final = 0.03
"""Bend of valleys that need no following; it makes errors larger by as little."""
_FIRST_STEP: Final = 0.5
"""In standard deviations, but at most half of the longest."""
_LONGEST_STEP: Final = 0.2
"""In sizes of the relative orbit."""
_GROWTH: Final = 1.6
_SHRINKAGE: Final = 0.4
_RISE_MAX: Final = 2.5
"""Of the cost in a step; one with more is repeated, shorter."""
_RISE_SMALL: Final = 0.75
"""After less, steps grow."""
_END: Final = 12.0
"""Of the cost above the lowest point's."""
_STEPS: Final = 14
_DENSITY_MAX: Final = 5.0
"""Logarithm over that at the solution; more likely than it, there is another one."""
_LEAST_EIGENVALUE: Final = 1e-14
"""Of correlations; less is rounding."""


def covariances(
    equations: Equations, around: Around, result: Result, groups: Sequence[Sequence[int]], *, noise: Noise, loss: Loss
) -> Array:
    """Covariances of distinct solutions, the best first, (k, p, p).

    Args:
        equations: Of all.
        around: Of the search; orbits that it can exclude, and all but a group's best few, are taken for linear.
        result: The solutions.
        groups: Partners, by index, that have ranges among themselves.
        noise: Of the observations.
        loss: That of the last fit.
    """
    everything = covariance(result.fit.information)
    for group in groups:
        # Solutions may differ in other groups only.
        first = _first_alike(result, group, len(equations.satellites))
        columns = equations.columns_of((0, *group))
        bent, turns = _turns(equations, around, result.guesses, first, group, noise=noise, loss=loss)
        for row, turn in zip(bent.tolist(), turns, strict=True):
            whole = np.eye(equations.unknowns)
            whole[columns[:, None], columns] = turn
            everything[row] = whole @ everything[row] @ whole.T
    return everything


def _first_alike(result: Result, group: Sequence[int], satellites: int) -> npt.NDArray[np.int64]:
    """The first solution with the same orbits of a group as each, (k,)."""
    first = np.full(len(result.guesses), -1, dtype=np.int64)
    for row in range(len(first)):
        if first[row] < 0:
            other = differing(result, row, result.guesses, satellites, limit=_ALIKE)[:, list(group)].any(axis=1)
            first[~other & (first < 0)] = row
    return first


def _turns(
    equations: Equations,
    around: Around,
    guesses: Array,
    first: npt.NDArray[np.int64],
    group: Sequence[int],
    *,
    noise: Noise,
    loss: Loss,
) -> tuple[npt.NDArray[np.int64], Array]:
    """Which solutions lie in curved valleys of a group, and what makes errors of straight ones theirs, (k, q, q)."""
    some, columns = (0, *group), equations.columns_of((0, *group))
    known = covariance(equations.prior.information)[columns[:, None], columns]
    prior = Prior(equations.prior.mean[columns], covariance(known))
    most = max((len(rows.places) for rows in equations.ranges), default=1)
    part = equations.subset(some, prior, some, most)
    of_part = Noise(noise.range_sigma_m[equations.pairs_among(some)], noise.fix_scale[list(some)])
    terrain = Terrain(part, around, of_part, loss, guesses[0, :6])
    lowest = terrain.lowest(guesses[:, columns])
    # What it costs that other groups are elsewhere has no say.
    worse = lowest.cost - lowest.cost.min()
    is_bent = (terrain.bend(lowest) > _STRAIGHT) & (worse <= around.settings.certain_chi_square)
    followed = np.flatnonzero(is_bent & (first == np.arange(len(first))))
    followed = np.sort(followed[np.argsort(worse[followed], kind="stable")][:_FOLLOWED])
    bent = np.flatnonzero(np.isin(first, followed))
    if not len(bent):
        return bent, np.zeros((0, len(columns), len(columns)))
    bottom = lowest.chosen(followed)
    whole = _followed(terrain, bottom) + _aside(terrain, bottom)
    # At a valley's flat bottom, what is the same orbit may have another linear covariance.
    straight = lowest.covariance[bent]
    return bent, _root(whole)[np.searchsorted(followed, first[bent])] @ np.linalg.inv(_root(straight))


def _aside(terrain: Terrain, lowest: Points) -> Array:
    """By how much second moments grow where valleys are bent across them too, (k, q, q)."""
    slab = slab_at(lowest)
    within = terrain.lowest(lowest.guesses, slab)
    growth = np.zeros_like(within.covariance)
    bent = np.flatnonzero(terrain.bend(within) > _STRAIGHT)
    if len(bent):
        within = within.chosen(bent)
        growth[bent] = _growth(within.covariance, _followed(terrain, within, slab.chosen(bent)))
    return growth


def _growth(straight: Array, whole: Array) -> Array:
    """How far second moments exceed a covariance, in the directions in which they do, (k, q, q)."""
    root = _root(straight)
    inverse = np.linalg.inv(root)
    values, vectors = np.linalg.eigh(inverse @ whole @ inverse.swapaxes(1, 2))
    grown = root @ vectors * np.sqrt(np.maximum(values - 1.0, 0.0))[:, None]
    growth: Array = grown @ grown.swapaxes(1, 2)
    return growth


def _followed(terrain: Terrain, lowest: Points, slab: Slab | None = None) -> Array:
    """Second moments about k lowest points of what their valleys hold, or those within slabs, (k, q, q)."""
    count = len(lowest.cost)
    owner = np.tile(np.arange(count), 2)
    bottom = Points(*(np.concatenate((part, part)) for part in lowest))
    now = Points(*(part.copy() for part in bottom))
    now.along[count:] *= -1.0
    longest_m = _LONGEST_STEP * terrain.size_m(bottom.guesses)
    length_m = np.minimum(_FIRST_STEP * np.sqrt(bottom.variance()), 0.5 * longest_m)
    density, held = np.ones(2 * count), _held(terrain, now, bottom)
    weight, moment = np.zeros(2 * count), np.zeros_like(held)
    active = np.arange(2 * count)
    for _ in range(_STEPS):
        within = None if slab is None else slab.chosen(owner[active])
        reached = terrain.stepped(now.chosen(active), length_m[active], within)
        rise = reached.cost - now.cost[active]
        good = np.abs(rise) < _RISE_MAX
        length_m[active[~good]] *= _SHRINKAGE
        some, new = active[good], reached.chosen(good)
        below = bottom.chosen(some)
        level = new.breadth - below.breadth - 0.5 * (new.cost - below.cost)
        denser, holds = np.exp(np.minimum(level, _DENSITY_MAX)), _held(terrain, new, below)
        half_m = 0.5 * length_m[some]
        weight[some] += half_m * (density[some] + denser)
        moment[some] += (half_m * density[some])[:, None, None] * held[some]
        moment[some] += (half_m * denser)[:, None, None] * holds
        density[some], held[some] = denser, holds
        for part, found in zip(now, new, strict=True):
            part[some] = found
        length_m[some] = np.minimum(length_m[some] * np.where(rise[good] < _RISE_SMALL, _GROWTH, 1.0), longest_m[some])
        active = active[now.cost[active] - bottom.cost[active] < _END]
        if not len(active):
            break
    weight, moment = weight[:count] + weight[count:], moment[:count] + moment[count:]
    walked = weight > 0.0
    result = lowest.covariance.copy()
    result[walked] = moment[walked] / weight[walked, None, None]
    return result


def _held(terrain: Terrain, points: Points, lowest: Points) -> Array:
    """Second moments about the lowest points of what lies across the valleys here, (k, q, q)."""
    tangent, variance = points.tangent(), points.variance()
    across = points.covariance - variance[:, None, None] * tangent[:, :, None] * tangent[:, None, :]
    off = terrain.off(points.guesses, lowest.guesses)
    held: Array = across + off[:, :, None] * off[:, None, :]
    return held


def _root(matrices: Array) -> Array:
    """Lower triangular roots of covariances whose unknowns have units of all sizes; our own come first."""
    unit = np.sqrt(np.diagonal(matrices, axis1=1, axis2=2))
    values, vectors = np.linalg.eigh(matrices / unit[:, :, None] / unit[:, None, :])
    root = vectors * np.sqrt(np.maximum(values, _LEAST_EIGENVALUE))[:, None]
    upper = np.asarray(np.linalg.qr(root.swapaxes(1, 2), mode="r"), dtype=np.float64)
    lower = upper.swapaxes(1, 2)
    signs = np.where(np.diagonal(lower, axis1=1, axis2=2) < 0.0, -1.0, 1.0)
    triangular: Array = unit[:, :, None] * lower * signs[:, None]
    return triangular
