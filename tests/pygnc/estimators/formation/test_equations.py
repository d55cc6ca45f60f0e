"""Residuals, weights and normal equations against finite differences, and apparent noise."""

from dataclasses import replace
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest

from pygnc.common.arrays import Array
from pygnc.estimators.formation.equations import (
    Equations,
    Loss,
    Noise,
    RangeEquations,
    initial_prior,
    linearise_observations,
)
from pygnc.estimators.formation.noise import apparent_noise
from pygnc.estimators.formation.observations import select_arc
from pygnc.estimators.formation.reference import STATE_SIZE, Reference
from pygnc.estimators.formation.relative_motion import RelativeDynamics
from pygnc.estimators.formation.settings import FormationSettings
from pygnc.estimators.orbit.dynamics import OrbitDynamics
from tests.pygnc.estimators.formation.worlds import FRAMES, MESH_ALL, ORBIT, given, world

SETTINGS = FormationSettings()
LOSS = Loss(5.0, 4.6, hard=True)


class System(NamedTuple):
    equations: Equations
    dynamics: RelativeDynamics
    parameters: Array


@cache
def system() -> System:
    true = world(5)
    measured = given(true, MESH_ALL)
    arc = select_arc(74, measured.orbit.gps_ms, 43_200_000, measured.fixes, measured.ranges)
    assert arc is not None
    dynamics = OrbitDynamics(ORBIT, FRAMES)
    step_ms = ORBIT.force_model.step_max_ms
    reference = Reference(measured.orbit, arc.span_ms, dynamics=dynamics, step_max_ms=step_ms, frames=FRAMES)
    prior = initial_prior(4, 6, reference, None, SETTINGS)
    equations = linearise_observations(arc, 74, reference, prior, frames=FRAMES, receiver=ORBIT.measurement)
    epoch = true.states_gcrf(np.array([reference.epoch_ms]))[:, 0]
    parameters = prior.mean.copy()
    parameters[: 4 * STATE_SIZE].reshape(4, STATE_SIZE)[:, :6] = epoch - reference.nodes.state[reference.epoch_node]
    return System(equations, RelativeDynamics(reference), parameters)


def noise() -> Noise:
    return Noise(np.full(6, 10.0), np.ones(4))


def cost(parameters: Array) -> float:
    equations, dynamics, _ = system()
    # Hardly any outlier, so that the cost is smooth.
    loss = Loss(1e6, 1e6, hard=True)
    return float(
        equations.fit(parameters[None], dynamics.propagate(equations.states(parameters[None])), noise(), loss).cost[0]
    )


def test_gradient_matches_finite_differences_of_the_cost() -> None:
    equations, dynamics, parameters = system()
    motion = dynamics.propagate(equations.states(parameters[None]))
    gradient = equations.fit(parameters[None], motion, noise(), Loss(1e6, 1e6, hard=True)).gradient[0]
    for index in (1, 9, 12, 13, 24, 29, 33):
        step = np.zeros(len(parameters))
        step[index] = 1e-3 if index < 28 and index % STATE_SIZE in {3, 4, 5, 6} else 0.1
        difference = (cost(parameters - step) - cost(parameters + step)) / (4.0 * step[index])
        assert gradient[index] == pytest.approx(difference, rel=3e-3, abs=1e-3 * abs(gradient).max())


def test_cost_of_the_truth_matches_the_noise() -> None:
    equations, dynamics, parameters = system()
    motion = dynamics.propagate(equations.states(parameters[None]))
    for satellite in range(4):
        residual, _ = equations.fix_residuals(satellite, motion, 1)
        assert np.sqrt((residual**2).mean()) == pytest.approx(1.0, abs=0.1)
    for pair in range(6):
        residual = equations.range_residuals(parameters[None], pair, motion)[0]
        assert residual.std() == pytest.approx(10.0, rel=0.3)


def test_coincident_satellites_give_finite_equations() -> None:
    equations, dynamics, _ = system()
    parameters = equations.prior.mean[None].copy()
    fit = equations.fit(parameters, dynamics.propagate(equations.states(parameters)), noise(), LOSS)
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
    few = replace(equations, ranges=(RangeEquations(first.pair, *(part[:5] for part in first[1:])), *others))
    assert apparent_noise(few, SETTINGS).range_sigma_m[0] == SETTINGS.range_noise_m
