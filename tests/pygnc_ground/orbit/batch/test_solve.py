"""The batch against the truth, its bound, wild fixes, gaps and nonsense.

Cutting fixes into arcs.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc.estimators.orbit.measurement import Fix
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc_ground.orbit.batch.forces import FIRST_NODE, PER_NODE
from pygnc_ground.orbit.batch.solve import ARC_MAX_MS, BatchError, BatchResult, cut_fixes, nearest_arcs, solve_batch
from pygnc_ground.orbit.solution import OrbitSolution, rms_3d
from tests.pygnc.environment.authority import ecef_state
from tests.pygnc.estimators.orbit.truth import (
    ORIENTATION,
    displaced,
    make_fixes,
    position_only,
    propagate,
    sun_synchronous,
)

pytestmark = pytest.mark.slow

FloatArray = npt.NDArray[np.float64]
TRUTH = sun_synchronous()
TIMES = np.array(TRUTH.gps_ms)
SETTINGS = OrbitSettings()
HOUR = 3_600 // 25
"""Fixes in an hour."""


def solve(fixes: Sequence[Fix], restarts: Sequence[int] = ()) -> BatchResult:
    return solve_batch(fixes, TIMES, SETTINGS, ORIENTATION, restarts)


@cache
def clean(seed: int = 1, velocity_sigma_mps: float = 0.01) -> BatchResult:
    return solve(make_fixes(TRUTH, 10.0, velocity_sigma_mps, seed=seed))


def errors(solution: OrbitSolution) -> FloatArray:
    """Position and velocity minus the truth in ITRF, shape (n, 6)."""
    return np.concatenate((solution.position_ecef_m, solution.velocity_ecef_mps), axis=1) - TRUTH.ecef


def error_m(result: BatchResult, rows: slice = slice(None)) -> float:
    return rms_3d(errors(result.solution)[rows, :3])


def with_wild(fixes: Sequence[Fix], fraction: float, by_m: float) -> tuple[list[Fix], npt.NDArray[np.bool_]]:
    """Some fixes displaced, all in the same direction, which is the worst; and which."""
    wild = np.random.default_rng(11).random(len(fixes)) < fraction
    offset = np.array([by_m, 0.0, 0.0])
    return [displaced(fix, offset) if bad else fix for fix, bad in zip(fixes, wild, strict=True)], wild


# Cramer-Rao bound of state and drag at 500 km: 0.91 m for 10 m and 1 cm/s over 3 h, 0.136 m for 1 mm/s. The error of a
# single run scatters by a third around it.
@pytest.mark.parametrize(("velocity_sigma_mps", "bound_m"), [(0.01, 0.91), (0.001, 0.136)])
def test_three_hours_come_near_the_bound(velocity_sigma_mps: float, bound_m: float) -> None:
    runs = [clean(seed, velocity_sigma_mps) for seed in (1, 2, 3, 4)]
    assert all(run.converged for run in runs)
    assert np.sqrt(np.mean([error_m(run) ** 2 for run in runs])) < 1.3 * bound_m


def test_the_covariance_covers_the_errors() -> None:
    normalised = []
    for seed in (1, 2, 3, 4):
        solution = clean(seed).solution
        error = errors(solution)
        normalised.append((error * np.linalg.solve(solution.covariance_ecef, error[:, :, None])[:, :, 0]).sum(axis=1))
    assert 3.0 < np.mean(normalised) < 9.0


def test_both_frames_hold_the_same_state() -> None:
    solution = clean().solution
    gcrf = np.concatenate((solution.position_gcrf_m, solution.velocity_gcrf_mps), axis=1)
    for row in (0, 200, 432):
        ecef = ecef_state(int(TIMES[row]), gcrf[row])
        np.testing.assert_allclose(solution.position_ecef_m[row], ecef[:3], atol=0.03)
        np.testing.assert_allclose(solution.velocity_ecef_mps[row], ecef[3:], atol=5e-5)


def test_residuals_show_the_noise_of_the_fixes() -> None:
    result = clean()
    assert result.solution.nis.sum() / result.solution.dof.sum() == pytest.approx(1.0, abs=0.1)
    (arc,) = result.arcs
    for residuals, rms in ((arc.positions, 10.0 * np.sqrt(3.0)), (arc.velocities, 0.01 * np.sqrt(3.0))):
        vectors = residuals.normalised * residuals.observations.sigma
        assert rms_3d(vectors[residuals.accepted]) == pytest.approx(rms, rel=0.1)
    assert arc.positions.scale == pytest.approx(1.0, abs=0.1)


def test_the_order_of_the_fixes_does_not_matter_nor_do_repetitions() -> None:
    fixes = make_fixes(TRUTH)
    other = solve([*fixes[::-1], *fixes[100:200]])
    np.testing.assert_allclose(other.solution.position_ecef_m, clean().solution.position_ecef_m, atol=1e-5)


@pytest.mark.parametrize(("fraction", "by_m"), [(0.03, 1e3), (0.3, 1e3), (0.4, 1e5)])
def test_outliers_are_excluded_and_hardly_matter(fraction: float, by_m: float) -> None:
    fixes, wild = with_wild(make_fixes(TRUTH), fraction, by_m)
    result = solve(fixes)
    left = wild.mean()
    assert error_m(result) < 1.2 * error_m(clean()) / np.sqrt(1.0 - left)
    assert (result.solution.dof[wild] == 3).all()
    assert (result.solution.dof[~wild] == 6).mean() > 0.99
    assert result.arcs[0].positions.accepted.sum() <= (~wild).sum()


def test_an_outlier_at_the_beginning_is_not_the_first_orbit() -> None:
    fixes = make_fixes(TRUTH)
    offset = np.array([0.0, 2e4, 0.0])
    result = solve([displaced(fix, offset) for fix in fixes[:40]] + fixes[40:])
    assert error_m(result) < 2.0
    assert (result.solution.dof[:40] == 3).all()


def test_a_receiver_that_gives_no_sigmas_or_wrong_ones_is_used_alike() -> None:
    zero = np.zeros(3)
    silent = [replace(fix, position_sigma_m=zero, velocity_sigma_mps=zero) for fix in make_fixes(TRUTH)]
    optimistic = make_fixes(TRUTH, claim=0.2)
    for fixes in (silent, optimistic):
        assert error_m(solve(fixes)) < 1.3 * error_m(clean())
    assert solve(optimistic).arcs[0].positions.scale == pytest.approx(5.0, rel=0.1)


def test_the_velocitys_latency_is_applied() -> None:
    latency_ms = 250
    rows = slice(0, HOUR)
    times = sorted([*TIMES[rows].tolist(), *(TIMES[rows][1:] - latency_ms).tolist()])
    states = dict(zip(times, propagate(TRUTH.gcrf[0], times, drag=True, radiation=True, tides=True), strict=True))
    fixes = [
        replace(
            fix,
            velocity_ecef_mps=fix.velocity_ecef_mps - TRUTH.ecef[row, 3:] + ecef_state(earlier, states[earlier])[3:],
            velocity_latency_s=1e-3 * latency_ms,
        )
        for row, fix in enumerate(make_fixes(TRUTH)[rows])
        if row > 0 and (earlier := fix.gps_ms - latency_ms) and fix.velocity_ecef_mps is not None
    ]
    prompt = solve(make_fixes(TRUTH)[rows][1:])
    assert error_m(solve(fixes), rows) == pytest.approx(error_m(prompt, rows), rel=0.05)


def test_positions_alone_give_the_orbit() -> None:
    result = solve([position_only(fix) for fix in make_fixes(TRUTH)])
    assert error_m(result) < 2.5
    assert (result.solution.dof == 3).mean() > 0.99
    assert len(result.arcs[0].velocities.observations) == 0


def drag_factor(result: BatchResult) -> float:
    return float(np.exp(result.arcs[0].values[FIRST_NODE::PER_NODE]).mean())


def test_drag_is_found_whatever_the_table_says_of_it() -> None:
    fixes = make_fixes(TRUTH, velocity_sigma_mps=0.001)
    factor = drag_factor(clean(velocity_sigma_mps=0.001))
    heavy = replace(SETTINGS, spacecraft=replace(SETTINGS.spacecraft, drag_coefficient=4.4))
    found = drag_factor(solve_batch(fixes, TIMES, heavy, ORIENTATION))
    assert found == pytest.approx(0.5 * factor, rel=0.2)


def test_an_unknown_force_is_followed() -> None:
    """Fixes of an orbit under J2 alone, which lacks 1e-4 m/s^2 of the truth: 20 km in an hour."""
    rows = slice(0, HOUR)
    gcrf = propagate(TRUTH.gcrf[0], TIMES[rows].tolist(), degree=2)
    ecef = np.array([ecef_state(int(ms), state) for ms, state in zip(TIMES[rows], gcrf, strict=True)])
    noise = zip(make_fixes(TRUTH)[rows], ecef - TRUTH.ecef[rows], strict=True)
    fixes = [
        replace(fix, position_ecef_m=fix.position_ecef_m + by[:3], velocity_ecef_mps=fix.velocity_ecef_mps + by[3:])
        for fix, by in noise
    ]
    result = solve_batch(fixes, TIMES[rows], SETTINGS, ORIENTATION)
    assert result.converged
    assert rms_3d(result.solution.position_gcrf_m - gcrf[:, :3]) < 5.0
    assert result.arcs[0].factors.empirical > 100.0
    assert result.arcs[0].positions.scale < 1.2


@pytest.mark.parametrize(("size_mps", "is_drift"), [(0.05, False), (0.02, True)])
def test_slow_errors_of_the_velocity_are_recognised(size_mps: float, is_drift: bool) -> None:  # noqa: FBT001
    """Forces explain errors that vary linearly better than a Gauss-Markov process, but not the positions."""
    values_mps = size_mps * np.random.default_rng(5).standard_normal((20, 3))
    fixes = []
    for row, fix in enumerate(make_fixes(TRUTH)):
        assert fix.velocity_ecef_mps is not None
        at, share = row // 24, row % 24 / 24 if is_drift else 0.0
        error_mps = (1.0 - share) * values_mps[at] + share * values_mps[at + 1]
        fixes.append(replace(fix, velocity_ecef_mps=fix.velocity_ecef_mps + error_mps))
    assert error_m(solve(fixes)) < 4.0


def test_a_radial_error_on_the_day_side_is_in_the_covariance() -> None:
    """An ionosphere of 10 m by the Sun's height, beside white noise of 10 m: NEES was 2.2."""
    normalised = []
    for seed in (1, 2):
        fixes = make_fixes(TRUTH, seed=seed)
        up = TRUTH.ecef[:, :3] / np.linalg.norm(TRUTH.ecef[:, :3], axis=1, keepdims=True)
        sine = TRUTH.gcrf[:, 0] / np.linalg.norm(TRUTH.gcrf[:, :3], axis=1)
        by_m = 10.0 * np.maximum(sine, 0.0)[:, None] * up
        solution = solve([displaced(fix, by) for fix, by in zip(fixes, by_m, strict=True)]).solution
        error = errors(solution)
        normalised.append((error * np.linalg.solve(solution.covariance_ecef, error[:, :, None])[:, :, 0]).sum(axis=1))
    assert np.mean(normalised) < 9.0


def test_the_stated_error_of_the_clock_is_in_the_covariance() -> None:
    fixes = make_fixes(TRUTH)
    alone, coarse = solve(fixes), solve([replace(fix, time_sigma_s=0.01) for fix in fixes])
    np.testing.assert_allclose(coarse.solution.position_ecef_m, alone.solution.position_ecef_m)
    added = coarse.solution.covariance_ecef - alone.solution.covariance_ecef
    np.testing.assert_allclose(np.sqrt(np.diagonal(added, 0, 1, 2)[:, :3]), 0.01 * np.abs(TRUTH.ecef[:, 3:]), atol=0.05)


def test_rows_follow_the_times_asked_for() -> None:
    fixes = make_fixes(TRUTH)[:HOUR]
    times = np.array([TIMES[50], TIMES[0] - 4_000_000, TIMES[3], TIMES[3], TIMES[80] + 1_000, TIMES[0] - 90_000_000])
    solution = solve_batch(fixes, times, SETTINGS, ORIENTATION).solution
    assert solution.gps_ms.tolist() == times.tolist()
    assert solution.known.tolist() == [True, True, True, True, True, False]
    assert solution.accepted.tolist() == [True, False, True, False, False, False]
    assert np.isnan(solution.nis[[1, 3, 4, 5]]).all()
    assert np.linalg.norm(solution.position_ecef_m[0] - TRUTH.ecef[50, :3]) < 10.0
    assert (solution.sigma_ecef[1, :3] > solution.sigma_ecef[0, :3]).all()


def test_a_gap_within_an_arc_is_bridged() -> None:
    fixes = make_fixes(TRUTH)
    result = solve(fixes[:60] + fixes[-60:])
    assert len(result.arcs) == 1
    assert error_m(result) < 10.0


def test_arcs_between_long_gaps_and_restarts_are_solved_for_alone() -> None:
    fixes = make_fixes(TRUTH)
    short_gap = replace(SETTINGS, start=replace(SETTINGS.start, gap_max_s=3_600.0))
    apart = solve_batch(fixes[:60] + fixes[-60:], TIMES, short_gap, ORIENTATION)
    assert [arc.positions.observations.gps_ms[[0, -1]].tolist() for arc in apart.arcs] == [
        [TIMES[0], TIMES[59]],
        [TIMES[-60], TIMES[-1]],
    ]
    restarted = solve(fixes, [int(TIMES[200])])
    assert [arc.positions.observations.gps_ms[0] for arc in restarted.arcs] == [TIMES[0], TIMES[200]]
    assert error_m(restarted) < 3.0


def test_a_manoeuvre_given_as_restart_does_no_harm() -> None:
    kick = 200
    state = TRUTH.gcrf[kick] + np.array([0.0, 0.0, 0.0, 1.0, -2.0, 0.5])
    times = TIMES[kick : kick + HOUR]
    after = propagate(state, times.tolist(), drag=True, radiation=True, tides=True)
    ecef = np.array([ecef_state(int(ms), row) for ms, row in zip(times, after, strict=True)])
    fixes = make_fixes(TRUTH)[: kick + HOUR]
    for row, by in enumerate(ecef - TRUTH.ecef[kick : kick + HOUR], start=kick):
        fix = fixes[row]
        assert fix.velocity_ecef_mps is not None
        fixes[row] = replace(
            fix, position_ecef_m=fix.position_ecef_m + by[:3], velocity_ecef_mps=fix.velocity_ecef_mps + by[3:]
        )
    solution = solve_batch(fixes, times, SETTINGS, ORIENTATION, [int(times[0])]).solution
    assert rms_3d(solution.position_gcrf_m - after[:, :3]) < 4.0


def test_fixes_that_give_no_orbit_are_named_with_the_reason() -> None:
    fixes = make_fixes(TRUTH)
    stray = replace(fixes[5], gps_ms=fixes[5].gps_ms + 7 * 86_400_000)
    result = solve([*fixes[:60], stray])
    assert len(result.arcs) == 1
    assert [(left.fixes, left.reason) for left in result.left_out] == [
        (1, "only 1 fixes at different times; at least 4 are required")
    ]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_too_few_fixes_raise_an_error(count: int) -> None:
    with pytest.raises(BatchError, match=f"none of 0 fixes|{count} fixes.* at least 4 are required"):
        solve(make_fixes(TRUTH)[:count])


def test_four_fixes_are_enough() -> None:
    result = solve_batch(make_fixes(TRUTH)[:4], TIMES[:4], SETTINGS, ORIENTATION)
    assert rms_3d(result.solution.position_ecef_m - TRUTH.ecef[:4, :3]) < 30.0


numbers = st.floats(width=64) | st.floats(-1e7, 1e7) | st.sampled_from([0.0, 7e6, -7e6, 7.5e3])
vectors = st.lists(numbers, min_size=3, max_size=3).map(np.array)


def of_size(least: float, most: float) -> st.SearchStrategy[FloatArray]:
    """Vectors in any direction."""
    direction = st.lists(st.floats(-1.0, 1.0), min_size=3, max_size=3).filter(lambda one: np.linalg.norm(one) > 0.1)
    return st.builds(lambda one, size: size * np.array(one) / np.linalg.norm(one), direction, st.floats(least, most))


nonsense = st.builds(
    Fix,
    gps_ms=st.integers(1_390_000_000_000, 1_390_000_000_000 + 1_800_000),
    position_ecef_m=of_size(6.5e6, 9e6) | vectors,
    position_sigma_m=of_size(0.0, 100.0) | vectors,
    velocity_ecef_mps=st.none() | of_size(5e3, 9.5e3) | vectors,
    velocity_sigma_mps=st.none() | of_size(0.0, 1.0) | vectors,
    velocity_latency_s=st.floats(0.0, 2.0) | st.just(float("nan")),
)


@settings(max_examples=15)
@given(st.lists(nonsense, max_size=12))
def test_random_fixes_raise_an_error_or_give_an_orbit(fixes: list[Fix]) -> None:
    times = np.array([fix.gps_ms for fix in fixes], dtype=np.int64)
    with suppress(BatchError):
        assert solve_batch(fixes, times, SETTINGS, EarthOrientationTable.none()).solution.known.any()


HOUR_MS = 3_600_000


def fixes_at(*hours: float) -> list[Fix]:
    vector = np.zeros(3)
    return [Fix(round(hour * HOUR_MS), vector, vector, None, None, 0.0) for hour in hours]


def hours_of(arcs: list[list[Fix]]) -> list[list[float]]:
    return [[fix.gps_ms / HOUR_MS for fix in arc] for arc in arcs]


def cut(fixes: list[Fix], *restarts_hours: float) -> list[list[Fix]]:
    restarts = [round(hour * HOUR_MS) for hour in restarts_hours]
    return [list(arc) for arc in cut_fixes(fixes, SETTINGS, restarts)]


def test_fixes_are_cut_where_there_is_none_for_longer_than_the_setting() -> None:
    assert hours_of(cut(fixes_at(0, 1, 13, 25.1, 26))) == [[0, 1, 13], [25.1, 26]]


def test_a_restart_begins_an_arc_with_the_first_fix_from_then_on() -> None:
    assert hours_of(cut(fixes_at(0, 1, 2, 3), 2, 2.5)) == [[0, 1], [2], [3]]
    assert hours_of(cut(fixes_at(0, 1), -5, 0, 9)) == [[0, 1]]


def test_divides_a_long_arc_evenly() -> None:
    arcs = hours_of(cut(fixes_at(*range(101))))
    assert [len(arc) for arc in arcs] == [21, 20, 20, 20, 20]


@given(st.lists(st.integers(0, 2_000), max_size=60), st.lists(st.integers(0, 2_000), max_size=4))
def test_every_fix_is_in_one_arc_and_no_arc_is_too_long(hours: list[int], restarts: list[int]) -> None:
    fixes = fixes_at(*sorted(hours))
    arcs = cut(fixes, *restarts)
    assert [fix for arc in arcs for fix in arc] == fixes
    assert all(arc and arc[-1].gps_ms - arc[0].gps_ms <= ARC_MAX_MS for arc in arcs)


def test_a_time_belongs_to_the_nearest_arc_unless_all_are_too_far() -> None:
    arcs = cut(fixes_at(0, 1, 20, 21))
    times = np.array([-13, -11, 0.5, 10, 11, 20, 32, 34]) * HOUR_MS
    assert nearest_arcs(times.astype(np.int64), arcs, SETTINGS).tolist() == [-1, 0, 0, 0, 1, 1, 1, -1]


def test_without_arcs_no_time_belongs_to_one() -> None:
    assert nearest_arcs(np.zeros(2, dtype=np.int64), [], SETTINGS).tolist() == [-1, -1]
