"""Errors to be expected where they are normal, and of covariances that are wrong.

Hypotheses of a star, each at home in its own valley, and the truth in one of them.
"""

import numpy as np
import pytest

from pygnc_ground.campaign.formation_accuracy import SCORED, bound_of, motion_of, score_of, solved_to_judge
from pygnc_ground.campaign.formation_posterior import Expected, Judged, ends_of, expected_of, homes_of
from pygnc_ground.campaign.formation_world import Instruments, Kind, formation_world

STAR = Instruments("star", range_noise_m=10.0, mesh=False, fixed=1)


def test_every_hypothesis_is_at_home_in_its_own_valley_and_the_truth_in_one() -> None:
    world = formation_world(4, Kind.BOUNDED, satellites=2)
    motion = motion_of(world)
    estimate, judged = solved_to_judge(world, world.records(STAR), motion.gps_ms[SCORED])
    of_hypotheses = ends_of(judged, judged.hypotheses)[:, 0]
    assert of_hypotheses.argmin(axis=1).tolist() == list(range(len(estimate.relative_gcrf)))
    assert of_hypotheses.min(axis=1).max() < 0.1
    found = homes_of(judged)
    assert float(found.distance[0]) < 0.1
    assert np.all(score_of(estimate, bound_of(world, motion, STAR), found.hypothesis).nees < 30.0)


def test_a_partner_of_a_star_is_at_home_where_it_is_without_the_others() -> None:
    world = formation_world(4, Kind.BOUNDED, satellites=3)
    _, judged = solved_to_judge(world, world.records(STAR), motion_of(world).gps_ms[SCORED])
    together = homes_of(judged)
    for partner in (1, 2):
        alone = homes_of(judged.alone(partner))
        found = judged.alone(partner).hypotheses[[int(alone.hypothesis[0]), int(together.hypothesis[partner - 1])]]
        apart_m = (found[0] - found[1])[7:10] - (found[0] - found[1])[:3]
        assert np.abs(apart_m).max() < 1.0
        assert float(alone.distance[0]) < 0.1


FIXED = Instruments("GPS on both", range_noise_m=10.0, mesh=False, fixed=2)


@pytest.fixture(name="judged", scope="module")
def judged_fixture() -> Judged:
    world = formation_world(4, Kind.BOUNDED, satellites=2)
    return solved_to_judge(world, world.records(FIXED), motion_of(world).gps_ms[SCORED])[1]


def expected(judged: Judged) -> Expected:
    return expected_of(judged.alone(1), int(homes_of(judged).hypothesis[0]))


def test_squares_of_normal_errors_are_those_of_chi_square(judged: Judged) -> None:
    found = expected(judged)
    assert found.mean == pytest.approx(6.0, abs=0.8)
    assert found.variance == pytest.approx(12.0, rel=0.5)
    assert 0.0 < found.below < 1.0


def test_half_the_covariance_makes_expect_twice_the_squares(judged: Judged) -> None:
    timid, bold = expected(judged), expected(judged._replace(covariances=0.5 * judged.covariances))
    assert bold.mean == pytest.approx(2.0 * timid.mean)
    assert bold.below == timid.below


def test_a_truth_far_off_is_beyond_all_that_the_observations_allow(judged: Judged) -> None:
    far = judged.truth.copy()
    far[7] += 100.0
    assert expected_of(judged._replace(truth=far).alone(1), 0).below == 1.0
