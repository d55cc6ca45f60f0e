"""Covariances on curved likelihood ridges against closed forms and posterior samples."""

from typing import NamedTuple

import numpy as np
import pytest

from pygnc.common.arrays import Array
from pygnc.estimators.formation import arc_solver, ridge
from pygnc.estimators.formation.observation_equations import Equations, Fit
from pygnc.estimators.formation.reference import state_indices
from pygnc.estimators.formation.ridge import (
    CostFunction,
    Origin,
    RidgePoints,
    _growth_across,
    _ridge_moments,
    _with_neighbours,
)
from pygnc.estimators.kalman import covariance_root, scaled_inverse
from scripts.bench.formation_posterior import (
    SAMPLES,
    d_relative_d_parameters,
    importance_samples,
    ridge_points,
)
from tests.pygnc.estimators.formation.worlds import STAR_ANCHOR, given, world

pytestmark = pytest.mark.slow

SIGMA_M = np.array((300.0, 2.0))


class Banana(CostFunction):
    """x is normal with `SIGMA_M[0]` about `middle_m`; y is normal with `SIGMA_M[1]` about `curvature` x^2.

    The parameters are x in m and y in `unit_m`.
    """

    def __init__(self, curvature: float, middle_m: float = 0.0, unit_m: float = 1.0) -> None:
        self._curvature, self._middle_m = curvature, middle_m
        self._units_m = np.array((1.0, unit_m))
        self._position_columns = np.array((0,))

    def origin(self, parameters: Array) -> Origin:
        return Origin(parameters, parameters, np.zeros((len(parameters), 0)))

    def differences(self, parameters: Array, origin: Origin) -> Array:
        return parameters - origin.parameters

    def elements(self, parameters: Array) -> Array:
        return parameters

    def size_m(self, parameters: Array) -> Array:
        return np.full(len(parameters), 2_000.0)

    def d_elements_d_parameters(self, parameters: Array) -> Array:
        return np.tile(np.diag(self._units_m), (len(parameters), 1, 1))

    def _fit(self, parameters: Array) -> Fit:
        x, y = (parameters * self._units_m).T
        residual = np.stack((self._middle_m - x, self._curvature * x**2 - y), axis=1) / SIGMA_M
        partials = np.zeros((len(parameters), 2, 2))
        partials[:, 0, 0], partials[:, 1, 1] = 1.0, 1.0
        partials[:, 1, 0] = -2.0 * self._curvature * x
        partials *= self._units_m / SIGMA_M[:, None]
        transposed = partials.swapaxes(1, 2)
        return Fit(
            parameters, (residual**2).sum(axis=1), transposed @ partials, (transposed @ residual[..., None])[..., 0]
        )


@pytest.mark.parametrize("curvature", [0.0, 1e-5, 1e-4, 3e-4])
def test_ridge_moments_equal_the_closed_form(curvature: float) -> None:
    cost_function = Banana(curvature)
    found = _ridge_moments(cost_function, cost_function.points_at(np.zeros((2, 2))))
    across = SIGMA_M[1] ** 2 + 3.0 * curvature**2 * SIGMA_M[0] ** 4
    assert found[0] == pytest.approx(found[1])
    assert np.sqrt(np.diagonal(found[0])) == pytest.approx((SIGMA_M[0], np.sqrt(across)), rel=0.1)
    assert abs(found[0, 0, 1]) < 1e-6 * SIGMA_M[0] * np.sqrt(across)


@pytest.mark.parametrize("unit_m", [1e-3, 1.0, 1e3])
def test_ridge_moments_do_not_depend_on_units(unit_m: float) -> None:
    curvature, middle_m, sigma_m = 3e-4, -200.0, SIGMA_M[0]
    cost_function = Banana(curvature, middle_m, unit_m)
    found = _ridge_moments(
        cost_function, cost_function.points_at(np.array(((middle_m, curvature * middle_m**2 / unit_m),)))
    )[0]
    # A change of x by d changes y by `curvature` (2 middle d + d^2).
    slope = 2.0 * curvature * middle_m
    across = SIGMA_M[1] ** 2 + slope**2 * sigma_m**2 + 3.0 * curvature**2 * sigma_m**4
    expected = np.array(((sigma_m**2, slope * sigma_m**2 / unit_m), (slope * sigma_m**2 / unit_m, across / unit_m**2)))
    unit = np.sqrt(np.diagonal(expected))
    assert found / unit / unit[:, None] == pytest.approx(expected / unit / unit[:, None], abs=0.1)


class Wells(Banana):
    """x has minima at +-`middle_m` and a cost of `barrier` between them; y is normal with `SIGMA_M[1]`."""

    def __init__(self, barrier: float, middle_m: float) -> None:
        super().__init__(0.0, middle_m)
        self._barrier = barrier

    def _fit(self, parameters: Array) -> Fit:
        x, y = parameters.T
        scale = np.sqrt(self._barrier)
        residual = np.stack((scale * (1.0 - (x / self._middle_m) ** 2), -y / SIGMA_M[1]), axis=1)
        partials = np.zeros((len(parameters), 2, 2))
        partials[:, 0, 0], partials[:, 1, 1] = 2.0 * scale * x / self._middle_m**2, 1.0 / SIGMA_M[1]
        information = partials.swapaxes(1, 2) @ partials
        gradient = (partials.swapaxes(1, 2) @ residual[..., None])[..., 0]
        return Fit(parameters, (residual**2).sum(axis=1), information, gradient)


@pytest.mark.parametrize("barrier", [1.0, 2.0, 30.0])
def test_moments_include_a_mirror_image_with_a_low_barrier(barrier: float) -> None:
    """A satellite that hardly leaves our orbital plane may be on either side of it, or within it."""
    middle_m = 200.0
    cost_function = Wells(barrier, middle_m)
    minima = cost_function.points_at(np.array(((middle_m, 0.0), (-middle_m, 0.0))))
    found = _with_neighbours(cost_function, minima, minima.covariance)[0, 0, 0]
    x = np.linspace(-5.0, 5.0, 10_001) * middle_m
    density = np.exp(-0.5 * barrier * (1.0 - (x / middle_m) ** 2) ** 2)
    if barrier > 2.25:
        density[x < 0.0] = 0.0
    assert found == pytest.approx(float(density.dot((x - middle_m) ** 2) / density.sum()), rel=0.3)


@pytest.mark.parametrize("excess", [0.0, 4.0])
def test_moments_include_other_minima_nearby(excess: float) -> None:
    cost_function, covariance = Banana(0.0), np.diag(SIGMA_M**2)
    minima = cost_function.points_at(np.zeros((2, 2)))
    apart_m = 5.0 * SIGMA_M[1]
    minima = minima._replace(parameters=np.array(((0.0, 0.0), (0.0, apart_m))), cost=np.array((0.0, excess)))
    found = _with_neighbours(cost_function, minima, np.tile(covariance, (2, 1, 1)))
    share = np.exp(-0.5 * excess) / (1.0 + np.exp(-0.5 * excess))
    expected = covariance + np.diag((0.0, share * apart_m**2))
    assert found[0] == pytest.approx(expected, rel=1e-6, abs=1e-6)


class Bowl(CostFunction):
    """x and y are normal with 300 and 100 m about zero, z is normal with 2 m about `bend_x` x^2 + `bend_y` y^2."""

    def __init__(self, bend_x: float, bend_y: float) -> None:
        self._bends = np.array((bend_x, bend_y))
        self._position_columns = np.arange(3)

    def origin(self, parameters: Array) -> Origin:
        return Origin(parameters, parameters, np.zeros((len(parameters), 0)))

    def differences(self, parameters: Array, origin: Origin) -> Array:
        return parameters - origin.parameters

    def size_m(self, parameters: Array) -> Array:
        return np.full(len(parameters), 2_000.0)

    def curvature(self, points: RidgePoints) -> Array:
        return np.ones(len(points.cost))

    def d_elements_d_parameters(self, parameters: Array) -> Array:
        return np.tile(np.eye(3), (len(parameters), 1, 1))

    def _fit(self, parameters: Array) -> Fit:
        aside, height = parameters[:, :2], parameters[:, 2:]
        difference = np.concatenate((-aside, (self._bends * aside**2).sum(axis=1, keepdims=True) - height), axis=1)
        partials = np.tile(np.eye(3), (len(parameters), 1, 1))
        partials[:, 2, :2] = -2.0 * self._bends * aside
        residual, partials = difference / BOWL_M, partials / BOWL_M[:, None]
        transposed = partials.swapaxes(1, 2)
        return Fit(
            parameters, (residual**2).sum(axis=1), transposed @ partials, (transposed @ residual[..., None])[..., 0]
        )


BOWL_M = np.array((300.0, 100.0, 2.0))


@pytest.mark.parametrize(("bend_x", "bend_y"), [(1e-5, 0.0), (1e-5, 1e-3), (1e-5, -1e-3), (1e-4, 1e-4)])
def test_ridge_moments_include_curvature_across_the_ridge(bend_x: float, bend_y: float) -> None:
    cost_function = Bowl(bend_x, bend_y)
    lowest = cost_function.points_at(np.zeros((1, 3)))
    found = (_ridge_moments(cost_function, lowest) + _growth_across(cost_function, lowest))[0]
    along, across, height = BOWL_M**2
    height += 3.0 * bend_x**2 * along**2 + 3.0 * bend_y**2 * across**2 + 2.0 * bend_x * bend_y * along * across
    assert np.sqrt(np.diagonal(found)) == pytest.approx(np.sqrt((along, across, height)), rel=0.1)


def test_covariance_roots_equal_the_cholesky_factors() -> None:
    draw = np.random.default_rng(1).standard_normal((3, 5, 9)) * np.logspace(-3, 4, 5)[:, None]
    matrices = draw @ draw.swapaxes(1, 2)
    roots = covariance_root(matrices)
    assert roots == pytest.approx(np.linalg.cholesky(matrices), rel=1e-6, abs=1e-12)


def test_lower_root_of_a_singular_matrix_is_finite() -> None:
    assert np.isfinite(covariance_root(np.ones((1, 4, 4)))).all()


class Solved(NamedTuple):
    """Input of `ridge_covariances` for a star, with its distinct solutions."""

    equations: Equations
    result: Fit
    groups: list[list[int]]
    margin: float

    def covariances(self, parameters: Array) -> Array:
        result = self.equations.fit(parameters)
        return ridge.ridge_covariances(self.equations, result, self.groups, self.margin)

    def relative(self, partner: int) -> Array:
        """Return the derivatives of a partner's orbit relative to ours by all parameters, (6, p)."""
        return d_relative_d_parameters(self.equations, partner)


def star(seed: int, satellites: int, monkeypatch: pytest.MonkeyPatch) -> Solved:
    recorded: list[Solved] = []

    def covariances(equations: Equations, result: Fit, groups: list[list[int]], margin: float) -> Array:
        recorded.append(Solved(equations, result, groups, margin))
        return scaled_inverse(result.information)

    monkeypatch.setattr(arc_solver, "ridge_covariances", covariances)
    given(world(seed, "bounded", satellites=satellites), STAR_ANCHOR).solved()
    return recorded[0]


def test_covariance_agrees_with_posterior_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    solved = star(4, 2, monkeypatch)
    best = solved.result.parameters[:1]
    cost_function = CostFunction(solved.equations, best[0, :6])
    samples, weight = importance_samples(solved.equations, ridge_points(cost_function, cost_function.points_at(best)))
    assert 1.0 / (weight**2).sum() > SAMPLES / 10
    relative = solved.relative(1)
    error = (samples - best) @ relative.T
    linear, curved = (
        float(weight @ np.einsum("ni,ij,nj->n", error, scaled_inverse(relative @ each[0] @ relative.T), error))
        for each in (scaled_inverse(solved.result.information), solved.covariances(best))
    )
    assert linear > 100.0
    assert curved == pytest.approx(6.0, rel=0.15)


def test_covariance_of_a_partner_ignores_the_cost_of_another_group(monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_covariance_does_not_depend_on_where_on_the_ridge_a_search_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    solved = star(4, 2, monkeypatch)
    best = solved.result.parameters[:1]
    cost_function = CostFunction(solved.equations, best[0, :6])
    lowest = cost_function.points_at(best)
    beside = cost_function.follow(lowest, 0.15 * np.sqrt(lowest.variance())).parameters
    relative = solved.relative(1)
    first, second = relative @ solved.covariances(np.concatenate((best, beside))) @ relative.T
    unit = np.sqrt(np.diagonal(first))
    assert second / unit / unit[:, None] == pytest.approx(first / unit / unit[:, None], abs=0.01)
