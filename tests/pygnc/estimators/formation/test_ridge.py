"""Curved valleys of which the moments have a closed form, and of stars, beside samples of their posterior."""

from typing import NamedTuple

import numpy as np
import pytest

from pygnc.environment.arrays import Array
from pygnc.estimators.formation import batch, ridge
from pygnc.estimators.formation.equations import Equations, Fit, Loss, Noise
from pygnc.estimators.formation.least_squares import Minima, evaluate, scaled_inverse
from pygnc.estimators.formation.reference import state_indices
from pygnc.estimators.formation.ridge import CostFunction, RidgePoints, _growth_across, _lower_roots, _ridge_moments
from pygnc.estimators.formation.search import SearchContext
from pygnc_ground.campaign.formation_posterior import (
    SAMPLES,
    JudgedSolution,
    d_relative_d_parameters,
    importance_samples,
    ridge_points,
)
from pygnc_ground.campaign.formation_world import FormationKind
from tests.pygnc.estimators.formation.worlds import STAR_ANCHOR, given, world

SIGMA_M = np.array((300.0, 2.0))


class Banana(CostFunction):
    """x is normal with `SIGMA_M[0]` about `middle_m`, y is normal with `SIGMA_M[1]` about `curvature` x^2.

    The two unknowns are x in m and y in `unit_m`.
    """

    def __init__(self, curvature: float, middle_m: float = 0.0, unit_m: float = 1.0) -> None:
        self._curvature, self._middle_m = curvature, middle_m
        self._units_m = np.array((1.0, unit_m))
        self._places = np.array((0,))

    def off(self, guesses: Array, lowest: Array) -> Array:
        return guesses - lowest

    def size_m(self, guesses: Array) -> Array:
        return np.full(len(guesses), 2_000.0)

    def _by_unknowns(self, guesses: Array) -> Array:
        return np.tile(np.diag(self._units_m), (len(guesses), 1, 1))

    def _fit(self, guesses: Array) -> Fit:
        x, y = (guesses * self._units_m).T
        residual = np.stack((self._middle_m - x, self._curvature * x**2 - y), axis=1) / SIGMA_M
        partials = np.zeros((len(guesses), 2, 2))
        partials[:, 0, 0], partials[:, 1, 1] = 1.0, 1.0
        partials[:, 1, 0] = -2.0 * self._curvature * x
        partials *= self._units_m / SIGMA_M[:, None]
        turned = partials.swapaxes(1, 2)
        return Fit((residual**2).sum(axis=1), turned @ partials, (turned @ residual[..., None])[..., 0])


@pytest.mark.parametrize("curvature", [0.0, 1e-5, 1e-4, 3e-4])
def test_moments_are_those_of_the_whole_valley(curvature: float) -> None:
    terrain = Banana(curvature)
    found = _ridge_moments(terrain, terrain.points_at(np.zeros((2, 2))))
    across = SIGMA_M[1] ** 2 + 3.0 * curvature**2 * SIGMA_M[0] ** 4
    assert found[0] == pytest.approx(found[1])
    assert np.sqrt(np.diagonal(found[0])) == pytest.approx((SIGMA_M[0], np.sqrt(across)), rel=0.1)
    assert abs(found[0, 0, 1]) < 1e-6 * SIGMA_M[0] * np.sqrt(across)


@pytest.mark.parametrize("unit_m", [1e-3, 1.0, 1e3])
def test_a_valley_is_followed_onwards_whatever_the_units(unit_m: float) -> None:
    curvature, middle_m, sigma_m = 3e-4, -200.0, SIGMA_M[0]
    terrain = Banana(curvature, middle_m, unit_m)
    found = _ridge_moments(terrain, terrain.points_at(np.array(((middle_m, curvature * middle_m**2 / unit_m),))))[0]
    # x off by d takes y off by `curvature` (2 middle d + d^2).
    slope = 2.0 * curvature * middle_m
    across = SIGMA_M[1] ** 2 + slope**2 * sigma_m**2 + 3.0 * curvature**2 * sigma_m**4
    expected = np.array(((sigma_m**2, slope * sigma_m**2 / unit_m), (slope * sigma_m**2 / unit_m, across / unit_m**2)))
    unit = np.sqrt(np.diagonal(expected))
    assert found / unit / unit[:, None] == pytest.approx(expected / unit / unit[:, None], abs=0.1)


class Bowl(CostFunction):
    """x and y are normal with 300 and 100 m about zero, z is normal with 2 m about `bend_x` x^2 + `bend_y` y^2."""

    def __init__(self, bend_x: float, bend_y: float) -> None:
        self._bends = np.array((bend_x, bend_y))
        self._places = np.arange(3)

    def off(self, guesses: Array, lowest: Array) -> Array:
        return guesses - lowest

    def size_m(self, guesses: Array) -> Array:
        return np.full(len(guesses), 2_000.0)

    def curvature(self, points: RidgePoints) -> Array:
        return np.ones(len(points.cost))

    def _by_unknowns(self, guesses: Array) -> Array:
        return np.tile(np.eye(3), (len(guesses), 1, 1))

    def _fit(self, guesses: Array) -> Fit:
        aside, height = guesses[:, :2], guesses[:, 2:]
        off = np.concatenate((-aside, (self._bends * aside**2).sum(axis=1, keepdims=True) - height), axis=1)
        partials = np.tile(np.eye(3), (len(guesses), 1, 1))
        partials[:, 2, :2] = -2.0 * self._bends * aside
        residual, partials = off / BOWL_M, partials / BOWL_M[:, None]
        turned = partials.swapaxes(1, 2)
        return Fit((residual**2).sum(axis=1), turned @ partials, (turned @ residual[..., None])[..., 0])


BOWL_M = np.array((300.0, 100.0, 2.0))


@pytest.mark.parametrize(("bend_x", "bend_y"), [(1e-5, 0.0), (1e-5, 1e-3), (1e-5, -1e-3), (1e-4, 1e-4)])
def test_moments_are_those_of_a_valley_that_is_bent_across_too(bend_x: float, bend_y: float) -> None:
    terrain = Bowl(bend_x, bend_y)
    lowest = terrain.points_at(np.zeros((1, 3)))
    found = (_ridge_moments(terrain, lowest) + _growth_across(terrain, lowest))[0]
    along, across, height = BOWL_M**2
    height += 3.0 * bend_x**2 * along**2 + 3.0 * bend_y**2 * across**2 + 2.0 * bend_x * bend_y * along * across
    assert np.sqrt(np.diagonal(found)) == pytest.approx(np.sqrt((along, across, height)), rel=0.1)


def test_roots_are_triangular_and_those_of_their_matrices() -> None:
    draw = np.random.default_rng(1).standard_normal((3, 5, 9)) * np.logspace(-3, 4, 5)[:, None]
    matrices = draw @ draw.swapaxes(1, 2)
    roots = _lower_roots(matrices)
    assert roots == pytest.approx(np.linalg.cholesky(matrices), rel=1e-6, abs=1e-12)


def test_a_matrix_without_an_inverse_has_a_root() -> None:
    assert np.isfinite(_lower_roots(np.ones((1, 4, 4)))).all()


class Solved(NamedTuple):
    """What covariances are made of, with the distinct solutions of a star."""

    equations: Equations
    context: SearchContext
    result: Minima
    groups: list[list[int]]
    noise: Noise
    loss: Loss

    def covariances(self, guesses: Array) -> Array:
        result = Minima(guesses, evaluate(self.equations, self.context.dynamics, guesses, self.noise, self.loss))
        return ridge.ridge_covariances(
            self.equations, self.context, result, self.groups, noise=self.noise, loss=self.loss
        )

    def relative(self, partner: int) -> Array:
        """Derivatives of a partner's orbit relative to ours by all unknowns, (6, p)."""
        return d_relative_d_parameters(self.equations, partner)

    def judged(self, guesses: Array) -> JudgedSolution:
        """Some hypotheses; nothing is asked about the truth."""
        covariances = self.covariances(guesses)
        return JudgedSolution(self.equations, self.context, self.noise, self.loss, guesses, covariances, guesses[0])


def star(seed: int, satellites: int, monkeypatch: pytest.MonkeyPatch) -> Solved:
    told: list[Solved] = []

    def covariances(
        equations: Equations,
        context: SearchContext,
        result: Minima,
        groups: list[list[int]],
        *,
        noise: Noise,
        loss: Loss,
    ) -> Array:
        told.append(Solved(equations, context, result, groups, noise, loss))
        return scaled_inverse(result.fit.information)

    monkeypatch.setattr(batch, "covariances", covariances)
    given(world(seed, FormationKind.BOUNDED, satellites=satellites), STAR_ANCHOR).solved()
    return told[0]


def test_errors_drawn_from_the_posterior_are_as_large_as_the_covariance_says(monkeypatch: pytest.MonkeyPatch) -> None:
    solved = star(4, 2, monkeypatch)
    best = solved.result.parameters[:1]
    terrain = CostFunction(solved.equations, solved.context, solved.noise, solved.loss, best[0, :6])
    judged = solved.judged(best)
    samples, weight = importance_samples(judged, ridge_points(terrain, terrain.points_at(best)))
    assert 1.0 / (weight**2).sum() > SAMPLES / 10
    relative = solved.relative(1)
    error = (samples - best) @ relative.T
    straight, bent = (
        float(weight @ np.einsum("ni,ij,nj->n", error, scaled_inverse(relative @ each[0] @ relative.T), error))
        for each in (scaled_inverse(solved.result.fit.information), judged.covariances)
    )
    assert straight > 100.0
    assert bent == pytest.approx(6.0, rel=0.15)


def test_where_another_partner_is_in_a_bad_place_has_no_say(monkeypatch: pytest.MonkeyPatch) -> None:
    solved = star(4, 3, monkeypatch)
    first = state_indices(1)[:6]
    best, *others = solved.result.parameters
    relative_position_m = [np.linalg.norm((other - best)[first[:3]]) for other in others]
    good = others[int(np.argmax(relative_position_m))].copy()
    good[state_indices(2)] = best[state_indices(2)]
    bad = good.copy()
    bad[state_indices(2)[:3]] += 100.0
    relative = solved.relative(1)
    expected, found = (relative @ solved.covariances(np.stack((best, each)))[1] @ relative.T for each in (good, bad))
    unit = np.sqrt(np.diagonal(expected))
    assert found / unit / unit[:, None] == pytest.approx(expected / unit / unit[:, None], abs=0.02)


def test_the_same_orbit_has_one_covariance_wherever_in_its_valley_searches_end(monkeypatch: pytest.MonkeyPatch) -> None:
    solved = star(4, 2, monkeypatch)
    best = solved.result.parameters[:1]
    terrain = CostFunction(solved.equations, solved.context, solved.noise, solved.loss, best[0, :6])
    lowest = terrain.points_at(best)
    beside = terrain.follow(lowest, 0.15 * np.sqrt(lowest.variance())).parameters
    relative = solved.relative(1)
    first, second = relative @ solved.covariances(np.concatenate((best, beside))) @ relative.T
    unit = np.sqrt(np.diagonal(first))
    assert second / unit / unit[:, None] == pytest.approx(first / unit / unit[:, None], abs=0.01)
