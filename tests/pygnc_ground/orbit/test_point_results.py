"""Packed results of the fixes of a normal point: the same as those that went in."""

import sys
from dataclasses import fields, replace

import numpy as np
import pytest

from pygnc.estimators.orbit.measurement import Fix, Innovation, RejectCause
from pygnc.estimators.orbit.update import OrbitUpdate
from pygnc_ground.orbit.point_results import NormalPoint, PointFixes, PointMember, is_member, observed

RANDOM = np.random.default_rng(5)
WITH_VELOCITY = [
    Fix(
        gps_ms=1_426_000_000_000 + 10_001 * number,
        position_ecef_m=RANDOM.random(3),
        position_sigma_m=RANDOM.random(3),
        velocity_ecef_mps=RANDOM.random(3),
        velocity_sigma_mps=RANDOM.random(3),
        velocity_latency_s=0.25,
        seq=(1 << 40) + number,
        time_sigma_s=1e-9 * number,
    )
    for number in range(5)
]
WITHOUT = [replace(fix, velocity_ecef_mps=None, velocity_sigma_mps=None) for fix in WITH_VELOCITY]
POINT = NormalPoint(1_426_000_020_002, np.ones(3), np.ones(3), None, None, 0.0, count=5)
MOVING = replace(POINT, velocity_ecef_mps=np.ones(3), velocity_sigma_mps=np.zeros(3))


@pytest.mark.parametrize("fixes", [WITH_VELOCITY, WITHOUT])
def test_results_are_those_of_the_fixes(fixes: list[Fix]) -> None:
    kinds = 2 if fixes is WITH_VELOCITY else 1
    innovations = [RANDOM.random((5, 7)) for _ in range(kinds)]
    point = MOVING if kinds == 2 else POINT
    packed = PointFixes(point, fixes, innovations)
    for _ in "before", "after":
        for row, fix in enumerate(fixes):
            member = PointMember(packed, row)
            for given, kind in ((fix, Fix), (point, NormalPoint)):
                same = member.fix if given is fix else member.point
                for field in fields(kind):
                    found, expected = getattr(same, field.name), getattr(given, field.name)
                    assert type(found) is type(expected)
                    np.testing.assert_array_equal(found, expected)
            each = [Innovation((*of[row, :3],), (*of[row, 3:6],), of[row, 6]) for of in innovations]
            assert [member.position, member.velocity][:kinds] == each
            assert member.nis == pytest.approx(sum(one.chi_square for one in each), rel=1e-15)
            assert member.dof == 3 * kinds
        packed.store(np.copy)


def test_a_member_has_no_more_than_its_fix() -> None:
    member = PointMember(PointFixes(POINT, WITHOUT, [np.zeros((5, 7))]), 1)
    update = OrbitUpdate(member.fix, None, None, RejectCause.NO_VELOCITY, dof=3, position=member.position)
    for field in fields(OrbitUpdate):
        if field.name != "fix":
            assert getattr(member, field.name) == getattr(update, field.name), field.name
    assert member.position_accepted
    assert not member.velocity_accepted
    assert is_member(member)
    assert observed(member) is None


def test_a_member_takes_no_memory_for_what_follows_from_its_fix() -> None:
    assert sys.getsizeof(PointMember(PointFixes(POINT, WITHOUT, [np.zeros((5, 7))]), 1)) <= 64
