"""Hypotheses of a star, each at home in its own valley, and the truth in one of them."""

import numpy as np
import pytest

from pygnc.estimators.formation.equations import Equations, Loss, Noise
from pygnc.estimators.formation.relative_motion import RelativeDynamics
from pygnc.estimators.formation.solution import FormationSolution
from pygnc_ground.campaign import formation_solver
from pygnc_ground.campaign.formation import Instruments, formation_world
from pygnc_ground.campaign.formation_geometry import Kind
from pygnc_ground.campaign.formation_home import Homes, homes_of
from pygnc_ground.campaign.formation_score import SCORED, bound_of, motion_of, score_of
from pygnc_ground.campaign.formation_solver import solved_with_homes
from pygnc_ground.orbit.solution import FloatArray

STAR = Instruments("star", range_noise_m=10.0, mesh=False, fixed=1)


def test_every_hypothesis_is_at_home_in_its_own_valley_and_the_truth_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    of_hypotheses: list[Homes] = []

    def homes(
        equations: Equations,
        dynamics: RelativeDynamics,
        solution: FormationSolution,
        truth: FloatArray,
        *,
        noise: Noise,
        loss: Loss,
    ) -> Homes:
        of_hypotheses.extend(
            homes_of(equations, dynamics, solution, hypothesis.unknowns, noise=noise, loss=loss)
            for hypothesis in solution.hypotheses
        )
        return homes_of(equations, dynamics, solution, truth, noise=noise, loss=loss)

    monkeypatch.setattr(formation_solver, "homes_of", homes)
    world = formation_world(4, Kind.BOUNDED, satellites=2)
    motion = motion_of(world)
    estimate, found = solved_with_homes(world, world.records(STAR), motion.gps_ms[SCORED])
    assert [int(each.hypothesis[0]) for each in of_hypotheses] == list(range(len(estimate.relative_gcrf)))
    assert max(float(each.distance[0]) for each in of_hypotheses) < 0.1
    assert float(found.distance[0]) < 0.1
    nees: FloatArray = score_of(estimate, bound_of(world, motion, STAR), found.hypothesis).nees
    assert np.all(nees < 30.0)
