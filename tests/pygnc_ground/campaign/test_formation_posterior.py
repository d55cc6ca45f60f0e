"""Hypotheses that contain the truth, and the expected NEES of normal errors and wrong covariances."""

import numpy as np
import pytest

from pygnc_ground.campaign.formation_accuracy import (
    SCORED_EPOCHS,
    score_estimate,
    solve_with_truth,
    true_motion,
    world_bound,
)
from pygnc_ground.campaign.formation_posterior import (
    ExpectedNees,
    JudgedSolution,
    distances_after_minimisation,
    expected_nees,
    true_hypotheses,
)
from pygnc_ground.campaign.formation_world import FormationKind, Instruments, formation_world

pytestmark = pytest.mark.slow

STAR = Instruments("star", range_noise_m=10.0, mesh=False, fixed=1)


def test_minimisation_from_a_hypothesis_returns_to_it() -> None:
    world = formation_world(4, FormationKind.BOUNDED, satellites=2)
    motion = true_motion(world)
    estimate, judged = solve_with_truth(world, world.records(STAR), motion.gps_ms[SCORED_EPOCHS])
    of_hypotheses = distances_after_minimisation(judged, judged.hypotheses)[:, 0]
    assert of_hypotheses.argmin(axis=1).tolist() == list(range(len(estimate.relative_gcrf)))
    assert of_hypotheses.min(axis=1).max() < 0.1
    hypothesis, distance = true_hypotheses(judged)
    assert float(distance[0]) < 0.1
    assert np.all(score_estimate(estimate, world_bound(world, motion, STAR), hypothesis).nees < 30.0)


def test_a_partner_alone_has_the_same_true_hypothesis() -> None:
    world = formation_world(4, FormationKind.BOUNDED, satellites=3)
    _, judged = solve_with_truth(world, world.records(STAR), true_motion(world).gps_ms[SCORED_EPOCHS])
    together, _ = true_hypotheses(judged)
    for partner in (1, 2):
        alone, distance = true_hypotheses(judged.alone(partner))
        found = judged.alone(partner).hypotheses[[int(alone[0]), int(together[partner - 1])]]
        relative_position_m = (found[0] - found[1])[7:10] - (found[0] - found[1])[:3]
        assert np.abs(relative_position_m).max() < 1.0
        assert float(distance[0]) < 0.1


FIXED = Instruments("GPS on both", range_noise_m=10.0, mesh=False, fixed=2)


@pytest.fixture(name="judged", scope="module")
def judged_fixture() -> JudgedSolution:
    world = formation_world(4, FormationKind.BOUNDED, satellites=2)
    return solve_with_truth(world, world.records(FIXED), true_motion(world).gps_ms[SCORED_EPOCHS])[1]


def expected(judged: JudgedSolution) -> ExpectedNees:
    return expected_nees(judged.alone(1), int(true_hypotheses(judged)[0][0]))


def test_expected_nees_of_normal_errors_is_chi_square(judged: JudgedSolution) -> None:
    found = expected(judged)
    assert found.mean == pytest.approx(6.0, abs=0.8)
    assert found.variance == pytest.approx(12.0, rel=0.5)
    assert 0.0 < found.below < 1.0


def test_half_the_covariance_doubles_the_expected_nees(judged: JudgedSolution) -> None:
    timid, bold = expected(judged), expected(judged._replace(covariances=0.5 * judged.covariances))
    assert bold.mean == pytest.approx(2.0 * timid.mean)
    assert bold.below == timid.below


def test_a_distant_truth_exceeds_all_samples(judged: JudgedSolution) -> None:
    far = judged.truth.copy()
    far[7] += 100.0
    assert expected_nees(judged._replace(truth=far).alone(1), 0).below == 1.0
