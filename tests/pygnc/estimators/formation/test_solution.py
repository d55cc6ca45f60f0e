"""Relative and joint states of a solution."""

import numpy as np
import pytest

from pygnc.estimators.formation.solution import FormationSolution
from pygnc_ground.formation import relative as ground
from tests.pygnc.estimators.formation.test_arc_solver import mesh

PARTNER = 76


def moment(solution: FormationSolution, minutes: int) -> int:
    return solution.reference.epoch_ms + 60_000 * minutes


def test_joint_state_matches_relative_state() -> None:
    solution = mesh()
    joint, covariance = solution.joint_at(moment(solution, 12))
    relative = solution.relative_at(moment(solution, 12), PARTNER)
    place = solution.satellites.index(PARTNER)
    assert joint[7 * place : 7 * place + 6] - joint[:6] == pytest.approx(relative.gcrf, abs=1e-6)
    difference = np.zeros((6, len(joint)))
    difference[:, :6], difference[:, 7 * place : 7 * place + 6] = -np.eye(6), np.eye(6)
    expected = difference @ covariance @ difference.T
    assert relative.covariance_gcrf == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_axes_match_the_ground_analysis() -> None:
    solution = mesh()
    gps_ms = moment(solution, -20)
    own = solution.joint_at(gps_ms)[0][:6]
    relative = solution.relative_at(gps_ms, PARTNER)
    turn = ground.rtn_from_gcrf(own)
    assert relative.rtn == pytest.approx(turn @ relative.gcrf, abs=1e-9)
    assert relative.covariance_rtn == pytest.approx(turn @ relative.covariance_gcrf @ turn.T, rel=1e-9, abs=1e-12)


def test_rtn_velocity_is_the_rate_of_the_rtn_position() -> None:
    """They differ by the slow turn of the orbit's plane only, 1e-6 rad/s of some kilometres."""
    solution = mesh()
    before, now, after = (
        solution.relative_at(moment(solution, 0) + offset_ms, PARTNER).rtn for offset_ms in (-1_000, 0, 1_000)
    )
    assert (after - before)[:3] / 2.0 == pytest.approx(now[3:], abs=1e-2)


def test_raises_outside_the_arc() -> None:
    solution = mesh()
    with pytest.raises(ValueError, match="outside"):
        solution.relative_at(moment(solution, 90), PARTNER)


def test_states_at_many_moments_equal_those_at_each() -> None:
    solution = mesh()
    moments = [moment(solution, 0) + 1_000 * second for second in range(-150, 150)]
    many = list(solution.relative_states(moments, PARTNER))
    assert len(many) == len(moments)
    for number in (0, 127, 128, 299):
        for part, expected in zip(many[number], solution.relative_at(moments[number], PARTNER), strict=True):
            assert part == pytest.approx(expected, rel=1e-9, abs=1e-9)
