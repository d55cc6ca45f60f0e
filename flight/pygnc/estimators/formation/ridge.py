"""Valleys of the cost: points on their floors, and steps along them.

A valley runs in the direction in which relative orbital elements are known least.

Covariances of solutions that lie in curved valleys of the cost.

Ranges to one satellite leave a direction in which an orbit is hardly known, and the cost's valley along it is an arc:
what is known well at its lowest point is something else a little farther on. The valley is followed to both sides, and
the covariance is made of all its points, each weighed by its likelihood times the valley's breadth (Laplace's
approximation in all directions but one; Tierney & Kadane, JASA 81, 1986). Where the direction known least of those
across is bent too, as where a partner moves in our orbit's plane, the valley's slice through the lowest point is
followed as well, and what second moments grow by is added. The solution itself stays the best fit.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pygnc.environment.arrays import Array
from pygnc.estimators.formation.equations import Equations, Fit, Loss, Noise, Prior
from pygnc.estimators.formation.least_squares import Minima, differs_from, evaluate, scaled_inverse
from pygnc.estimators.formation.reference import state_indices
from pygnc.estimators.formation.relative_coordinates import d_mirror_elements_d_state, mirror_elements
from pygnc.estimators.formation.search import SearchContext

_CORRECTIONS: Final = 2
"""Of a step, which goes straight on at first, back to the floor."""
_CORRECTION_MAX: Final = 4.0
"""Over the step's length; where it takes more, the step was too long."""
_CORRECTION_MIN_M: Final = 1e-3
_SLICE_SIGMA: Final = 0.05
"""Of a slab, in standard deviations along the valley; to the covariance within it adds the square of this."""


class RidgePoints(NamedTuple):
    """Points on the floors of k valleys.

    Attributes:
        guesses: All unknowns, (k, p).
        cost: (k,).
        covariance: Of the problem linearised there, (k, p, p).
        along: The place along the valley in m is this times the unknowns, (k, p).
        breadth: Logarithm of the volume across the valley that is as likely, (k,).
    """

    guesses: Array
    cost: Array
    covariance: Array
    along: Array
    breadth: Array

    def select(self, rows: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> "RidgePoints":
        """Some of them."""
        return RidgePoints(*(part[rows] for part in self))

    def tangent(self) -> Array:
        """Change of the unknowns per m along the valley, (k, p)."""
        aside = (self.covariance @ self.along[..., None])[..., 0]
        tangent: Array = aside / (aside * self.along).sum(axis=1)[:, None]
        return tangent

    def variance(self) -> Array:
        """Along the valleys, in m^2, (k,)."""
        variance: Array = np.einsum("ki,kij,kj->k", self.along, self.covariance, self.along)
        return variance


class Slice(NamedTuple):
    """Slices of k valleys: their places along them are hardly free.

    Attributes:
        guesses: In the middle, (k, p).
        along: As in `Points`, (k, p).
        variance: Of the places, in m^2, (k,).
    """

    guesses: Array
    along: Array
    variance: Array

    def select(self, rows: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> "Slice":
        """Some of them."""
        return Slice(*(part[rows] for part in self))


def slice_at(points: RidgePoints) -> Slice:
    """Through these points, across their valleys."""
    return Slice(points.guesses, points.along, _SLICE_SIGMA**2 * points.variance())


class CostFunction:
    """The cost of the observations of some satellites, by all unknowns.

    Args:
        equations: Of these satellites.
        context: XX
        noise: Of the observations.
        loss: Of residuals.
        own: Our unknowns (6,), near enough.
    """

    def __init__(self, equations: Equations, context: SearchContext, noise: Noise, loss: Loss, own: Array) -> None:
        self._equations, self._dynamics = equations, context.dynamics
        self._noise, self._loss = noise, loss
        self._own = context.reference.nodes.state[context.reference.epoch_node] + own
        self._partners = [state_indices(number)[:6] for number in range(1, len(equations.satellites))]
        self._places = np.concatenate([its[:3] for its in self._partners])

    def lowest(self, guesses: Array, slab: Slice | None = None) -> RidgePoints:
        """Where solutions (k, p) are; their valleys within slabs of them, if given."""
        return self._points(guesses, self._fit_within(slab, guesses), self._by_unknowns(guesses), None)

    def stepped(self, start: RidgePoints, length_m: Array, slab: Slice | None = None) -> RidgePoints:
        """The floor of the valleys so much farther on, (k,)."""
        guesses = start.guesses + length_m[:, None] * start.tangent()
        for _ in range(_CORRECTIONS):
            fit = self._fit_within(slab, guesses)
            everything = scaled_inverse(fit.information)
            step = (everything @ fit.gradient[..., None])[..., 0]
            aside = (everything @ start.along[..., None])[..., 0]
            share = (step * start.along).sum(axis=1) / (aside * start.along).sum(axis=1)
            step = step - share[:, None] * aside
            reach_m = np.abs(step[:, self._places]).max(axis=1)
            guesses = (
                guesses + step / np.maximum(1.0, reach_m / (_CORRECTION_MAX * length_m + _CORRECTION_MIN_M))[:, None]
            )
        return self._points(guesses, self._fit_within(slab, guesses), self._by_unknowns(guesses), start.along)

    def bend(self, points: RidgePoints) -> Array:
        """What is not linear in the ranges, a standard deviation along the valley, squared over their noise, (k,)."""
        shift = np.sqrt(points.variance())[:, None] * points.tangent()
        motion = self._dynamics.propagate(self._equations.states(points.guesses), partials=False)
        total = np.zeros(len(shift))
        for pair, rows in enumerate(self._equations.ranges):
            relative_position_m, distance_m = self._equations.relative_positions(pair, motion)
            one, other = rows.pair
            change = shift[:, state_indices(other)] - shift[:, state_indices(one)]
            moved_m = (rows.design @ change[:, None, :, None])[..., 0]
            far_m = np.maximum(distance_m, 1.0)
            ahead_m = (moved_m * relative_position_m).sum(axis=2) / far_m
            bend_m = 0.5 * ((moved_m**2).sum(axis=2) - ahead_m**2) / far_m
            total += ((bend_m / self._noise.range_sigma_m[pair]) ** 2).sum(axis=1)
        return total

    def size_m(self, guesses: Array) -> Array:
        """Largest relative element of any partner, (k,)."""
        size_m: Array = np.abs(self._elements(guesses)).max(axis=1)
        return size_m

    def off(self, guesses: Array, lowest: Array) -> Array:
        """Guesses minus solutions, (k, p) each; to the first order they differ by this in relative elements.

        Elements along the valley change in proportion for all time, where states would only nearly.
        """
        off = guesses - lowest
        change = self._elements(guesses) - self._elements(lowest)
        for number, its in enumerate(self._partners):
            of_elements = change[:, 6 * number : 6 * number + 6, None]
            by_state = d_mirror_elements_d_state(self._own, lowest[:, its] - lowest[:, :6])
            off[:, its] = off[:, :6] + np.linalg.solve(by_state, of_elements)[..., 0]
        return off

    def _elements(self, guesses: Array) -> Array:
        """Relative elements of all partners, (k, 6 partners)."""
        return np.concatenate(
            [mirror_elements(self._own, guesses[:, its] - guesses[:, :6]) for its in self._partners], axis=1
        )

    def _by_unknowns(self, guesses: Array) -> Array:
        """Derivatives of `_elements` by the unknowns, (k, 6 partners, p)."""
        result = np.zeros((len(guesses), 6 * len(self._partners), self._equations.parameter_count))
        for number, its in enumerate(self._partners):
            by_state = d_mirror_elements_d_state(self._own, guesses[:, its] - guesses[:, :6])
            result[:, 6 * number : 6 * number + 6, its] = by_state
            result[:, 6 * number : 6 * number + 6, :6] = -by_state
        return result

    def _fit_within(self, slab: Slice | None, guesses: Array) -> Fit:
        fit = self._fit(guesses)
        if slab is None:
            return fit
        off_m = ((guesses - slab.guesses) * slab.along).sum(axis=1)
        weighted = slab.along / slab.variance[:, None]
        return Fit(
            fit.cost + off_m**2 / slab.variance,
            fit.information + weighted[:, :, None] * slab.along[:, None, :],
            fit.gradient - weighted * off_m[:, None],
        )

    def _fit(self, guesses: Array) -> Fit:
        return evaluate(self._equations, self._dynamics, guesses, self._noise, self._loss)

    @staticmethod
    def _points(guesses: Array, fit: Fit, by_unknowns: Array, before: Array | None) -> RidgePoints:
        everything = scaled_inverse(fit.information)
        variances, directions = np.linalg.eigh(by_unknowns @ everything @ by_unknowns.swapaxes(1, 2))
        along = (directions[:, None, :, -1] @ by_unknowns)[:, 0]
        if before is not None:
            # Eigenvectors have no sign of their own: the valley goes on to where the place along it grew so far.
            onwards = (everything @ along[..., None])[..., 0]
            along *= np.where((onwards * before).sum(axis=1) < 0.0, -1.0, 1.0)[:, None]
        breadth = -0.5 * (np.linalg.slogdet(fit.information)[1] + np.log(variances[:, -1]))
        return RidgePoints(guesses, fit.cost, everything, along, breadth)


_RIDGES_MAX: Final = 24
"""Of a group's solutions, the best ones; each costs as much as the search of another."""
_SAME_MINIMUM_LIMIT: Final = 0.04
"""Squared difference over covariance of two ends of the same search, which comes within 0.01 of the least cost."""
_CURVATURE_MIN: Final = 0.03
"""Bend of valleys that need no following; it makes errors larger by as little."""
_FIRST_STEP: Final = 0.5
"""In standard deviations, but at most half of the longest."""
_LONGEST_STEP: Final = 0.2
"""In sizes of the relative orbit."""
_GROWTH: Final = 1.6
_SHRINKAGE: Final = 0.4
_COST_RISE_MAX: Final = 2.5
"""Of the cost in a step; one with more is repeated, shorter."""
_COST_RISE_SMALL: Final = 0.75
"""After less, steps grow."""
_COST_END: Final = 12.0
"""Of the cost above the lowest point's."""
_STEPS: Final = 14
_DENSITY_MAX: Final = 5.0
"""Logarithm over that at the solution; more likely than it, there is another one."""
_LEAST_EIGENVALUE: Final = 1e-14
"""Of correlations; less is rounding."""


def ridge_covariances(
    equations: Equations,
    context: SearchContext,
    result: Minima,
    groups: Sequence[Sequence[int]],
    *,
    noise: Noise,
    loss: Loss,
) -> Array:
    """Covariances of distinct solutions, the best first, (k, p, p).

    Args:
        equations: Of all.
        context: XX
        result: The solutions.
        groups: Partners, by index, that have ranges among themselves.
        noise: Of the observations.
        loss: That of the last fit.
    """
    everything = scaled_inverse(result.fit.information)
    for group in groups:
        # Solutions may differ in other groups only.
        first = _first_with_same_orbits(result, group, len(equations.satellites))
        columns = equations.parameter_indices((0, *group))
        bent, turns = _covariance_corrections(
            equations, context, result.parameters, first, group, noise=noise, loss=loss
        )
        for row, turn in zip(bent.tolist(), turns, strict=True):
            whole = np.eye(equations.parameter_count)
            whole[columns[:, None], columns] = turn
            everything[row] = whole @ everything[row] @ whole.T
    return everything


def _first_with_same_orbits(result: Minima, group: Sequence[int], satellites: int) -> npt.NDArray[np.int64]:
    """The first solution with the same orbits of a group as each, (k,)."""
    first = np.full(len(result.parameters), -1, dtype=np.int64)
    for row in range(len(first)):
        if first[row] < 0:
            other = differs_from(result, row, result.parameters, satellites, limit=_SAME_MINIMUM_LIMIT)[
                :, list(group)
            ].any(axis=1)
            first[~other & (first < 0)] = row
    return first


def _covariance_corrections(
    equations: Equations,
    context: SearchContext,
    guesses: Array,
    first: npt.NDArray[np.int64],
    group: Sequence[int],
    *,
    noise: Noise,
    loss: Loss,
) -> tuple[npt.NDArray[np.int64], Array]:
    """Which solutions lie in curved valleys of a group, and what makes errors of straight ones theirs, (k, q, q)."""
    some, columns = (0, *group), equations.parameter_indices((0, *group))
    known = scaled_inverse(equations.prior.information)[columns[:, None], columns]
    prior = Prior(equations.prior.mean[columns], scaled_inverse(known))
    most = max((len(rows.node_time) for rows in equations.ranges), default=1)
    part = equations.subset(some, prior, some, most)
    of_part = Noise(noise.range_sigma_m[equations.pairs_among(some)], noise.fix_scale[list(some)])
    terrain = CostFunction(part, context, of_part, loss, guesses[0, :6])
    lowest = terrain.lowest(guesses[:, columns])
    # What it costs that other groups are elsewhere has no say.
    worse = lowest.cost - lowest.cost.min()
    is_bent = (terrain.bend(lowest) > _CURVATURE_MIN) & (worse <= context.settings.certain_chi_square)
    followed = np.flatnonzero(is_bent & (first == np.arange(len(first))))
    followed = np.sort(followed[np.argsort(worse[followed], kind="stable")][:_RIDGES_MAX])
    bent = np.flatnonzero(np.isin(first, followed))
    if not len(bent):
        return bent, np.zeros((0, len(columns), len(columns)))
    bottom = lowest.select(followed)
    whole = _ridge_moments(terrain, bottom) + _growth_across(terrain, bottom)
    # At a valley's flat bottom, what is the same orbit may have another linear covariance.
    straight = lowest.covariance[bent]
    return bent, _lower_roots(whole)[np.searchsorted(followed, first[bent])] @ np.linalg.inv(_lower_roots(straight))


def _growth_across(terrain: CostFunction, lowest: RidgePoints) -> Array:
    """By how much second moments grow where valleys are bent across them too, (k, q, q)."""
    slab = slice_at(lowest)
    within = terrain.lowest(lowest.guesses, slab)
    growth = np.zeros_like(within.covariance)
    bent = np.flatnonzero(terrain.bend(within) > _CURVATURE_MIN)
    if len(bent):
        within = within.select(bent)
        growth[bent] = _excess_covariance(within.covariance, _ridge_moments(terrain, within, slab.select(bent)))
    return growth


def _excess_covariance(straight: Array, whole: Array) -> Array:
    """How far second moments exceed a covariance, in the directions in which they do, (k, q, q)."""
    root = _lower_roots(straight)
    inverse = np.linalg.inv(root)
    values, vectors = np.linalg.eigh(inverse @ whole @ inverse.swapaxes(1, 2))
    grown = root @ vectors * np.sqrt(np.maximum(values - 1.0, 0.0))[:, None]
    growth: Array = grown @ grown.swapaxes(1, 2)
    return growth


def _ridge_moments(terrain: CostFunction, lowest: RidgePoints, slab: Slice | None = None) -> Array:
    """Second moments about k lowest points of what their valleys hold, or those within slabs, (k, q, q)."""
    count = len(lowest.cost)
    owner = np.tile(np.arange(count), 2)
    bottom = RidgePoints(*(np.concatenate((part, part)) for part in lowest))
    now = RidgePoints(*(part.copy() for part in bottom))
    now.along[count:] *= -1.0
    longest_m = _LONGEST_STEP * terrain.size_m(bottom.guesses)
    length_m = np.minimum(_FIRST_STEP * np.sqrt(bottom.variance()), 0.5 * longest_m)
    density, held = np.ones(2 * count), _local_moments(terrain, now, bottom)
    weight, moment = np.zeros(2 * count), np.zeros_like(held)
    active = np.arange(2 * count)
    for _ in range(_STEPS):
        within = None if slab is None else slab.select(owner[active])
        reached = terrain.stepped(now.select(active), length_m[active], within)
        rise = reached.cost - now.cost[active]
        good = np.abs(rise) < _COST_RISE_MAX
        length_m[active[~good]] *= _SHRINKAGE
        some, new = active[good], reached.select(good)
        below = bottom.select(some)
        level = new.breadth - below.breadth - 0.5 * (new.cost - below.cost)
        denser, holds = np.exp(np.minimum(level, _DENSITY_MAX)), _local_moments(terrain, new, below)
        half_m = 0.5 * length_m[some]
        weight[some] += half_m * (density[some] + denser)
        moment[some] += (half_m * density[some])[:, None, None] * held[some]
        moment[some] += (half_m * denser)[:, None, None] * holds
        density[some], held[some] = denser, holds
        for part, found in zip(now, new, strict=True):
            part[some] = found
        length_m[some] = np.minimum(
            length_m[some] * np.where(rise[good] < _COST_RISE_SMALL, _GROWTH, 1.0), longest_m[some]
        )
        active = active[now.cost[active] - bottom.cost[active] < _COST_END]
        if not len(active):
            break
    weight, moment = weight[:count] + weight[count:], moment[:count] + moment[count:]
    walked = weight > 0.0
    result = lowest.covariance.copy()
    result[walked] = moment[walked] / weight[walked, None, None]
    return result


def _local_moments(terrain: CostFunction, points: RidgePoints, lowest: RidgePoints) -> Array:
    """Second moments about the lowest points of what lies across the valleys here, (k, q, q)."""
    tangent, variance = points.tangent(), points.variance()
    across = points.covariance - variance[:, None, None] * tangent[:, :, None] * tangent[:, None, :]
    off = terrain.off(points.guesses, lowest.guesses)
    held: Array = across + off[:, :, None] * off[:, None, :]
    return held


def _lower_roots(matrices: Array) -> Array:
    """Lower triangular roots of covariances whose unknowns have units of all sizes; our own come first."""
    unit = np.sqrt(np.diagonal(matrices, axis1=1, axis2=2))
    values, vectors = np.linalg.eigh(matrices / unit[:, :, None] / unit[:, None, :])
    root = vectors * np.sqrt(np.maximum(values, _LEAST_EIGENVALUE))[:, None]
    upper = np.asarray(np.linalg.qr(root.swapaxes(1, 2), mode="r"), dtype=np.float64)
    lower = upper.swapaxes(1, 2)
    signs = np.where(np.diagonal(lower, axis1=1, axis2=2) < 0.0, -1.0, 1.0)
    triangular: Array = unit[:, :, None] * lower * signs[:, None]
    return triangular
