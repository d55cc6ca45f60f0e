"""Residuals, weights and normal equations against finite differences, and apparent noise."""

from dataclasses import replace
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest

from pygnc.common.arrays import Array
from pygnc.estimators.formation.arc_solver import FormationSolver
from pygnc.estimators.formation.least_squares import apparent_noise
from pygnc.estimators.formation.observation_equations import SEARCH_LOSS, Equations, Loss, white_noise
from pygnc.estimators.formation.observations import select_arc
from pygnc.estimators.formation.reference import STATE_SIZE
from pygnc.estimators.formation.settings import FormationSettings
from tests.pygnc.estimators.formation.worlds import FRAMES, MESH_ALL, ORBIT, given, world

SETTINGS = FormationSettings()
SMOOTH = Loss(1e6, 1e6, hard=True)
"""Limits beyond all residuals, so that the cost is smooth."""


class System(NamedTuple):
    equations: Equations
    parameters: Array


@cache
def system() -> System:
    true = world(5)
    measured = given(true, MESH_ALL)
    arc = select_arc(SETTINGS, measured.orbit.gps_ms, measured.fixes, measured.ranges)
    assert arc is not None
    solver = FormationSolver(SETTINGS, ORBIT, FRAMES)
    equations = solver._linearised(arc, solver._tracks(arc, measured.orbit, None), None)
    reference = equations.dynamics.reference
    epoch = true.states_gcrf(np.array([reference.epoch_ms]))[:, 0]
    parameters = equations.prior.mean.copy()
    parameters[: 4 * STATE_SIZE].reshape(4, STATE_SIZE)[:, :6] = epoch - reference.nodes.state[reference.epoch_node]
    noise = white_noise(np.full(6, 10.0), np.ones(4))
    loss = SEARCH_LOSS._replace(limit=SETTINGS.range_gate_sigma, hard=True)
    return System(replace(equations, noise=noise, loss=loss), parameters)


def cost(parameters: Array) -> float:
    return float(replace(system().equations, loss=SMOOTH).fit(parameters[None]).cost[0])


def test_gradient_matches_finite_differences_of_the_cost() -> None:
    equations, parameters = system()
    gradient = replace(equations, loss=SMOOTH).fit(parameters[None]).gradient[0]
    for index in (1, 9, 12, 13, 24, 29, 33):
        step = np.zeros(len(parameters))
        step[index] = 1e-3 if index < 28 and index % STATE_SIZE in {3, 4, 5, 6} else 0.1
        difference = (cost(parameters - step) - cost(parameters + step)) / (4.0 * step[index])
        assert gradient[index] == pytest.approx(difference, rel=3e-3, abs=1e-3 * abs(gradient).max())


def test_cost_of_the_truth_matches_the_noise() -> None:
    equations, parameters = system()
    motion = equations.motion(parameters[None])
    for satellite in range(4):
        residual, _ = equations.fix_residuals(satellite, parameters[None], motion)
        assert np.sqrt((residual**2).mean()) == pytest.approx(1.0, abs=0.1)
    for pair in range(6):
        residual = equations.range_residuals(pair, parameters[None], motion)[0]
        assert residual.std() == pytest.approx(10.0, rel=0.3)


def test_folded_fixes_have_the_same_cost_and_normal_equations() -> None:
    equations, parameters = system()
    moved = np.stack((parameters, parameters + np.random.default_rng(1).standard_normal(len(parameters))))
    smooth = replace(equations, loss=SMOOTH)
    folded = smooth.folded(parameters)
    assert all(len(rows.node_time) == 0 for rows in folded.fixes)
    for found, expected in zip(folded.fit(moved), smooth.fit(moved), strict=True):
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-6 * np.abs(expected).max())


def test_coincident_satellites_give_finite_equations() -> None:
    equations, _ = system()
    fit = equations.fit(equations.prior.mean[None].copy())
    assert np.isfinite(fit.information).all()
    assert np.isfinite(fit.gradient).all()


@pytest.mark.parametrize("hard", [True, False])
def test_loss_limits_cost_and_weight_of_an_outlier(hard: bool) -> None:  # noqa: FBT001 - a parameter of the test
    cost_, weight = Loss(5.0, 4.6, hard=hard).cost_and_weight(np.array((4.0, 2_500.0)), 5.0)
    assert (cost_[0], weight[0]) == (4.0, 1.0)
    assert cost_[1] == (25.0 if hard else 475.0)
    assert weight[1] * 50.0 == pytest.approx(0.0 if hard else 5.0)


def test_estimates_range_noise_without_an_orbit() -> None:
    equations = system().equations
    apparent = apparent_noise(equations, SETTINGS).range_sigma_m
    assert apparent == pytest.approx(np.full(6, 10.0), rel=0.5)
    first, *others = equations.ranges
    few = replace(equations, ranges=(first.select(first.pair, slice(5)), *others))
    assert apparent_noise(few, SETTINGS).range_sigma_m[0] == SETTINGS.range_noise_m
