"""Errors to be expected where they are normal, and of covariances that are wrong."""

import pytest

from pygnc_ground.campaign.formation import Instruments, formation_world
from pygnc_ground.campaign.formation_geometry import Kind
from pygnc_ground.campaign.formation_home import Judged, homes_of
from pygnc_ground.campaign.formation_posterior import Expected, expected_of
from pygnc_ground.campaign.formation_score import SCORED, motion_of
from pygnc_ground.campaign.formation_solver import solved_to_judge

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
