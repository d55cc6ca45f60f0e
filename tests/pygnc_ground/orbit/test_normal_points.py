"""Normal points: as good as the fixes one by one, without hiding one that is wrong."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from pygnc.common.clock import gps_ms_from_utc_iso
from pygnc.environment.frames import EarthFrames
from pygnc.estimators.orbit.dynamics import OrbitDynamics
from pygnc.estimators.orbit.filter import OrbitFilter
from pygnc.estimators.orbit.measurement import Fix, RejectCause
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.estimators.orbit.state import SIZE, OrbitState
from pygnc.estimators.orbit.update import OrbitUpdate
from pygnc_ground.campaign.flight import ORIENTATION
from pygnc_ground.orbit.batch.observations import observe
from pygnc_ground.orbit.normal_points import (
    NormalPointFilter,
    ShortArcs,
    point_dynamics,
    set_members,
    with_points_used,
)
from pygnc_ground.orbit.point_results import PointResult, PointUpdate, is_member, observed
from pygnc_ground.orbit.smoother import smooth
from pygnc_ground.orbit.solution import FloatArray, IntArray, Usage, newest_state, solution_from_states

SETTINGS = OrbitSettings()
FRAMES = EarthFrames(ORIENTATION)
DYNAMICS = OrbitDynamics(SETTINGS, FRAMES)
BEGIN_MS = gps_ms_from_utc_iso("2025-03-20T00:00:00Z")
COUNT, IMPULSE_AT = 300, 240


def flown(*, impulse_mps: float = 0.0) -> list[OrbitState]:
    """Return true states every 10 s, with an impulse along the track before one of the last."""
    x, states = np.zeros(SIZE), []
    x[:6] = 6.9e6, 0.0, 0.0, 0.0, 1000.0, 7532.0
    for number in range(COUNT):
        gps_ms = BEGIN_MS + 10_000 * number
        if number:
            x, _ = DYNAMICS.propagate_vector(gps_ms - 10_000, x, gps_ms)
        if number == IMPULSE_AT:
            x[3:6] *= 1.0 + impulse_mps / float(np.linalg.norm(x[3:6]))
        states.append(OrbitState(gps_ms, x, np.eye(SIZE)))
    return states


def fixes_of(states: Sequence[OrbitState], latency_s: float = 0.0) -> list[Fix]:
    """Return fixes with white noise of 5 m and 5 cm/s."""
    noise, fixes = np.random.default_rng(35), []
    for seq, state in enumerate(states):
        earlier, _ = DYNAMICS.propagate_vector(state.gps_ms, state.x, state.gps_ms - round(1e3 * latency_s))
        position_m = FRAMES.ecef_state_from_gcrf(state.gps_ms).dot(state.x[:6])[:3]
        velocity_mps = FRAMES.ecef_state_from_gcrf(state.gps_ms - round(1e3 * latency_s)).dot(earlier[:6])[3:]
        position_m, velocity_mps = position_m + noise.normal(0, 5, 3), velocity_mps + noise.normal(0, 0.05, 3)
        sigmas = np.full(3, 5.0), np.full(3, 0.05)
        fixes.append(Fix(state.gps_ms, position_m, sigmas[0], velocity_mps, sigmas[1], latency_s, seq))
    return fixes


def updates_of(fixes: Sequence[Fix], kind: type[OrbitFilter] = NormalPointFilter) -> list[OrbitUpdate]:
    orbit_filter = kind(SETTINGS, ORIENTATION)
    updates = [update for fix in fixes for update in orbit_filter.process(fix)]
    return [*updates, *orbit_filter.initialise_from_buffered()]


def errors_m(updates: Sequence[OrbitUpdate], dynamics: OrbitDynamics, true: Sequence[OrbitState]) -> list[float]:
    """Return the RMS of the smoother's errors and the sigma, 3-D, from the first quarter on."""
    times = [state.gps_ms for state in true]
    states = smooth(updates, times, dynamics, SETTINGS)
    solution = solution_from_states(times, [states.get(ms) for ms in times], [Usage()] * len(times), FRAMES)
    set_members(solution, updates, states, FRAMES)
    error_m = solution.position_gcrf_m - np.array([state.x[:3] for state in true])
    squares = np.square(error_m).sum(axis=1), np.trace(solution.covariance_ecef[:, :3, :3], axis1=1, axis2=2)
    return [float(np.sqrt(each[len(true) // 4 :].mean())) for each in squares]


@pytest.fixture(scope="module")
def true() -> list[OrbitState]:
    """True states without a manoeuvre."""
    return flown()


@pytest.fixture(scope="module")
def fixes(true: list[OrbitState]) -> list[Fix]:
    """Fixes without an outlier; their velocities are 50 ms old."""
    return fixes_of(true, 0.05)


@pytest.fixture(scope="module")
def updates(fixes: list[Fix]) -> list[OrbitUpdate]:
    """Results of these fixes."""
    return updates_of(fixes)


def test_smooths_as_well_as_with_every_fix(
    fixes: list[Fix], updates: list[OrbitUpdate], true: list[OrbitState]
) -> None:
    found = errors_m(updates, point_dynamics(SETTINGS, FRAMES), true)
    one_by_one = errors_m(updates_of(fixes, OrbitFilter), DYNAMICS, true)
    assert found == pytest.approx(one_by_one, rel=0.1)
    assert sum(isinstance(update, PointResult) for update in updates) > 0.6 * len(fixes)


def test_each_fix_has_one_result_in_order(fixes: list[Fix], updates: list[OrbitUpdate]) -> None:
    assert [update.fix.seq for update in updates] == [fix.seq for fix in fixes]
    assert all(update.position_accepted and update.velocity_accepted for update in updates)
    at_points = [update for update in updates if not is_member(update)]
    assert all(update.state is not None and update.state.gps_ms == update.fix.gps_ms for update in at_points)
    # The fix that the state begins from is not tested.
    assert np.mean([update.nis / update.dof for update in updates if update.dof]) == pytest.approx(1.0, abs=0.1)


def test_states_within_a_minute_follow_the_dynamics(true: list[OrbitState]) -> None:
    middle = true[100]
    states, _ = ShortArcs([true[0], middle], FRAMES).at(np.ones(7, dtype=np.int64), np.arange(-30.0, 40.0, 10.0))
    for state, expected in zip(states, true[97:104], strict=True):
        assert np.linalg.norm(state[:3] - expected.x[:3]) < 1e-3
        assert np.linalg.norm(state[3:] - expected.x[3:6]) < 5e-5


def test_a_wrong_fix_is_rejected_alone(fixes: list[Fix]) -> None:
    wrong = [*fixes]
    wrong[200] = replace(fixes[200], position_ecef_m=fixes[200].position_ecef_m + 1e3)
    rejected = {update.fix.seq: update for update in updates_of(wrong) if not update.position_accepted}
    assert list(rejected) == [200]
    assert rejected[200].position_cause is RejectCause.GATE


def test_a_second_receiver_at_the_same_times_does_not_count_twice(fixes: list[Fix], updates: list[OrbitUpdate]) -> None:
    both = [one for fix in fixes for one in (fix, replace(fix, seq=fix.seq + 1000))]
    found = updates_of(both)
    assert sorted(update.fix.seq for update in found) == sorted(fix.seq for fix in both)
    repeated = [update for update in found if update.fix.seq >= 1000]
    assert {update.position_cause for update in repeated} == {RejectCause.NOT_LATER}
    newest = [newest_state(rows) for rows in (updates, found)]
    assert newest[0] is not None
    assert newest[1] is not None
    assert np.array_equal(newest[0].x, newest[1].x)


def test_a_manoeuvre_is_found_at_the_same_time_and_reported_within_a_minute() -> None:
    fixes = fixes_of(flown(impulse_mps=0.3))
    found, expected = (
        [
            (update.manoeuvre.first_gps_ms, update.fix.gps_ms, update.manoeuvre.delta_v_rtn_mps)
            for update in updates_of(fixes, kind)
            if update.manoeuvre
        ]
        for kind in (NormalPointFilter, OrbitFilter)
    )
    assert len(found) == len(expected) == 1
    assert found[0][0] == expected[0][0]
    assert abs(found[0][1] - expected[0][1]) <= 60_000  # positions in means decide at another fix
    assert np.array(found[0][2]) == pytest.approx(np.array(expected[0][2]), abs=0.01)


def test_waiting_fixes_keep_their_results_when_the_orbit_is_discarded(fixes: list[Fix]) -> None:
    orbit_filter = NormalPointFilter(SETTINGS, ORIENTATION)
    found = [update for fix in fixes[:148] for update in orbit_filter.process(fix)]
    assert len(found) < 148
    orbit_filter.discard()
    found += [update for fix in fixes[148:153] for update in orbit_filter.process(fix)]
    found += orbit_filter.initialise_from_buffered()
    assert sorted(update.fix.seq for update in found) == list(range(153))


def test_the_batch_knows_the_noise_of_a_mean(fixes: list[Fix], updates: list[OrbitUpdate]) -> None:
    points = [fix for update in updates if (fix := observed(update)) is not None]
    positions, velocities = observe(points, FRAMES, SETTINGS.measurement)
    assert positions.count.sum() == velocities.count.sum() == len(fixes)
    assert np.array_equal(positions.sigma, np.full((len(points), 3), 5.0))


def test_the_residuals_of_all_fixes_count(updates: list[OrbitUpdate]) -> None:
    def solution(rows: Sequence[OrbitUpdate]) -> tuple[FloatArray, IntArray]:
        states = [update.state for update in rows]
        plain = solution_from_states([update.fix.gps_ms for update in rows], states, [Usage()] * len(rows), FRAMES)
        set_members(plain, rows, {state.gps_ms: state for state in states if state is not None}, FRAMES)
        found = with_points_used(plain, rows, SETTINGS.measurement)
        return found.nis[found.accepted], found.dof[found.accepted]

    nis, dof = solution([update for update in updates if isinstance(update, PointResult)])
    assert nis.sum() / dof.sum() == pytest.approx(1.0, abs=0.1)
    assert len(solution([update for update in updates if not isinstance(update, PointResult)])[0]) == 0


def test_packed_hypotheses_are_equal(updates: list[OrbitUpdate]) -> None:
    (update, *_) = (one for one in updates if isinstance(one, PointUpdate))
    before = update.hypotheses
    update.store(np.copy)
    after = update.hypotheses
    assert after is not before
    assert after.accepted == before.accepted
    for name in ("deviation", "root", "of_clock", "log_weight", "empirical_factor", "noise_factor", "residual"):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name))
