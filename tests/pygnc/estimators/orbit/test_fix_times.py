"""Fixes whose times are wrong by whole seconds or parts of a second, or uncertain."""

from dataclasses import replace

import numpy as np
import pytest

from pygnc.common.arrays import Array
from pygnc.estimators.checkpoint import encode
from pygnc.estimators.orbit.measurement import RejectCause
from tests.pygnc.estimators.orbit.first_hour import CLEAN, FIXES, HOUR, TRUTH
from tests.pygnc.estimators.orbit.truth import (
    CADENCE_S,
    causes,
    displaced,
    last_error_m,
    make_fixes,
    position_errors,
    position_only,
    propagate,
    run,
    sun_synchronous,
)

HOUR_MS = 3_600_000
WEEK_MS = 604_800_000


def test_rejects_fixes_at_wrong_times_without_lasting_effect() -> None:
    fixes = FIXES.copy()
    fixes[3] = replace(fixes[3], gps_ms=fixes[3].gps_ms + 10 * WEEK_MS)
    fixes[50] = replace(fixes[50], gps_ms=fixes[50].gps_ms + HOUR_MS)
    fixes[60] = replace(fixes[60], gps_ms=fixes[60].gps_ms - HOUR_MS)
    fixes[70] = replace(fixes[70], gps_ms=fixes[70].gps_ms + WEEK_MS)
    fixes[80] = replace(fixes[79], seq=80)
    _, updates = run(fixes)
    assert causes(updates) == {
        3: RejectCause.START,
        50: RejectCause.GATE,
        60: RejectCause.NOT_LATER,
        70: RejectCause.GAP,
        80: RejectCause.NOT_LATER,
    }
    right = [update for update in updates if update.position_accepted]
    assert last_error_m(right, TRUTH) < CLEAN[TRUTH.gps_ms[len(FIXES) - 1]] + 1.0


def test_repeated_old_data_do_not_restart_the_filter() -> None:
    orbit, _ = run(FIXES[:60])
    before = encode(orbit.memory)
    updates = [update for fix in FIXES[:60] for update in orbit.process(fix)]
    assert {update.position_cause for update in updates} == {RejectCause.NOT_LATER}
    assert encode(orbit.memory) == before


@pytest.mark.parametrize("error_s", [-18, -1, 1, 2, 18])
@pytest.mark.parametrize("with_velocity", [True, False])
def test_fixes_whose_times_are_wrong_by_whole_seconds_are_corrected(
    error_s: int,
    with_velocity: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    fixes = [fix if with_velocity else position_only(fix) for fix in make_fixes(TRUTH)[: HOUR + 20]]
    wrong = [replace(fix, gps_ms=fix.gps_ms + 1000 * error_s) for fix in fixes[72:HOUR]]
    _, updates = run([*fixes[:72], *wrong, *fixes[HOUR:]])
    assert not causes(updates)
    assert {update.time_error_s for update in updates[72:HOUR]} == {error_s}
    assert {update.time_error_s for update in updates[HOUR:]} == {0}
    assert [update.fix.gps_ms for update in updates] == [fix.gps_ms for fix in fixes]
    assert last_error_m(updates, TRUTH) < 10.0


@pytest.mark.parametrize("error_ms", [-300, -3, 4, 10, 50, 450])
@pytest.mark.parametrize("with_velocity", [True, False])
def test_a_step_of_the_time_by_a_part_of_a_second_is_corrected(
    error_ms: int,
    with_velocity: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    fixes = [fix if with_velocity else position_only(fix) for fix in make_fixes(TRUTH)[:HOUR]]
    wrong = [replace(fix, gps_ms=fix.gps_ms + error_ms) for fix in fixes[72:]]
    _, updates = run([*fixes[:72], *wrong])
    assert not any(update.restarted_from_ms for update in updates)
    assert set(causes(updates).values()) <= {RejectCause.GATE}
    assert len(causes(updates)) < 10
    (step_s,) = {update.time_error_s for update in updates[97:]}
    assert step_s == pytest.approx(1e-3 * error_ms, abs=2e-3)
    assert not any(update.manoeuvre for update in updates)
    state = updates[-1].state
    assert state is not None
    true_m = along(TRUTH.gcrf[HOUR - 1], error_ms * 1e-3 - step_s)
    error_m, sigma_m = np.linalg.norm(state.x[:3] - true_m), np.sqrt(np.trace(state.covariance[:3, :3]))
    assert error_m < 2.5 * sigma_m < 40.0


def along(state: Array, ahead_s: float) -> Array:
    """Return the position `ahead_s` after a state (6,)."""
    return state[:3] + ahead_s * state[3:]


@pytest.mark.parametrize("error_s", [-18, 18])
def test_a_step_of_the_time_between_frequent_fixes_costs_only_those_before_the_last_one(error_s: int) -> None:
    """Fixes every 5 s: those whose stated time is not after the state are refused until the state is old enough."""
    fixes = make_fixes(sun_synchronous(hours=0.25, cadence_s=5))
    wrong = [replace(fix, gps_ms=fix.gps_ms + 1000 * error_s) for fix in fixes[60:120]]
    _, updates = run([*fixes[:60], *wrong, *fixes[120:]])
    refused = [row for row, update in enumerate(updates) if not update.position_accepted]
    assert {updates[row].position_cause for row in refused} == {RejectCause.NOT_LATER}
    begin = 60 if error_s < 0 else 120
    assert refused == [begin, begin + 1, begin + 2]


def test_a_second_that_is_wrong_from_the_first_fix_on_cannot_be_noticed_until_it_changes() -> None:
    """All fixes a second late are those of an orbit a second later, whose node the Earth's rotation has turned."""
    late = [replace(fix, gps_ms=fix.gps_ms + 1000) for fix in make_fixes(TRUTH)]
    _, updates = run([*late[:HOUR], *FIXES[HOUR : HOUR + 20]])
    assert not causes(updates[:HOUR])
    assert {update.time_error_s for update in updates[HOUR + 1 :]} == {-1}
    state = updates[HOUR - 1].state
    assert state is not None
    assert 7_000.0 < np.linalg.norm(state.x[:3] - propagated(late[HOUR - 1].gps_ms)) < 8_000.0


def propagated(gps_ms: int) -> Array:
    """Return the true position (3,) in GCRF a second after the fix before `gps_ms`."""
    at = (gps_ms - TRUTH.gps_ms[0]) // (1000 * CADENCE_S)
    return np.asarray(propagate(TRUTH.gcrf[at], [TRUTH.gps_ms[at], gps_ms], degree=20)[1][:3])


@pytest.mark.parametrize(("error_s", "sigma_s"), [(0.01, 0.01), (0.0005, 0.0005), (0.0, 0.01), (0.5, 0.5)])
def test_the_stated_error_of_the_clock_is_in_the_covariance(error_s: float, sigma_s: float) -> None:
    """A constant error of the clock is an orbit along the track; no fix shows it."""
    fixes = []
    for fix, ecef in zip(FIXES, TRUTH.ecef, strict=False):
        radius_m = float(np.linalg.norm(ecef[:3]))
        spin = np.array((0.0, 0.0, 7.292115e-5))
        acceleration = -3.986e14 / radius_m**3 * ecef[:3] - np.cross(spin, 2.0 * ecef[3:] + np.cross(spin, ecef[:3]))
        assert fix.velocity_ecef_mps is not None
        wrong = replace(
            fix,
            position_ecef_m=fix.position_ecef_m - error_s * ecef[3:] + 0.5 * error_s**2 * acceleration,
            velocity_ecef_mps=fix.velocity_ecef_mps - error_s * acceleration,
            time_sigma_s=sigma_s,
        )
        fixes.append(wrong)
    _, updates = run(fixes)
    assert not causes(updates)
    state = updates[-1].state
    assert state is not None
    sigma_m = np.sqrt(np.trace(state.covariance[:3, :3]))
    assert sigma_m == pytest.approx(7_600.0 * sigma_s, rel=0.25)
    error_m = last_error_m(updates, TRUTH)
    assert error_m < 2.0 * sigma_m
    # The clock's error is not estimated: where it is zero, the orbit is as good as with a perfect clock.
    if error_s == 0.0:
        assert error_m == pytest.approx(CLEAN[TRUTH.gps_ms[len(FIXES) - 1]], abs=0.1)


def test_fixes_of_a_steered_clock_after_those_of_a_coarse_one_correct_the_orbit() -> None:
    fixes = []
    for row, (fix, ecef) in enumerate(zip(FIXES, TRUTH.ecef, strict=False)):
        is_coarse = row < 30
        moved = displaced(fix, -0.004 * ecef[3:]) if is_coarse else fix
        fixes.append(replace(moved, time_sigma_s=0.01 if is_coarse else 1e-6))
    _, updates = run(fixes)
    assert not any(update.restarted_from_ms for update in updates)
    for update in updates:
        assert update.state is not None
        sigma_m = np.sqrt(np.trace(update.state.covariance[:3, :3]))
        assert position_errors([update], TRUTH)[update.fix.gps_ms] < 4.0 * sigma_m
    assert last_error_m(updates, TRUTH) < 10.0


def test_a_jump_that_no_whole_second_explains_is_no_error_of_the_time() -> None:
    jumps_m = (np.array([3_000.0, 0.0, 0.0]), np.array([0.0, 7_600.0, 0.0]), np.array([0.0, 0.0, 9_000.0]))
    for jump_m in jumps_m:
        wild = replace(FIXES[HOUR], position_ecef_m=FIXES[HOUR].position_ecef_m + jump_m)
        _, updates = run([*FIXES[:HOUR], wild, *FIXES[HOUR + 1 :]])
        assert (updates[HOUR].position_cause, updates[HOUR].time_error_s) == (RejectCause.GATE, 0)
