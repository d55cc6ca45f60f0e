"""Hypotheses of a star, each at home in its own valley, and the truth in one of them."""

import numpy as np

from pygnc_ground.campaign.formation import Instruments, formation_world
from pygnc_ground.campaign.formation_geometry import Kind
from pygnc_ground.campaign.formation_home import ends_of, homes_of
from pygnc_ground.campaign.formation_score import SCORED, bound_of, motion_of, score_of
from pygnc_ground.campaign.formation_solver import solved_to_judge

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
