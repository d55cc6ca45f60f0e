"""The smoother against filterpy's, against the truth, and where the filter had nothing to say."""

import math
from dataclasses import replace

import numpy as np
import pytest
from filterpy.kalman import KalmanFilter

from pygnc.common.arrays import Array
from pygnc.common.clock import MS_PER_WEEK
from pygnc.estimators.orbit.dynamics import OrbitDynamics
from pygnc.estimators.orbit.filter import OrbitFilter
from pygnc.estimators.orbit.measurement import Fix
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.estimators.orbit.state import OrbitState
from pygnc.estimators.orbit.update import OrbitUpdate
from pygnc_ground.orbit import smoother
from pygnc_ground.orbit.smoother import smooth
from tests.pygnc.estimators.orbit.truth import make_fixes, run, sun_synchronous

SETTINGS = OrbitSettings()
TRUTH = sun_synchronous()
TIMES = TRUTH.gps_ms
SCALE = np.array([1.0] * 3 + [1e-3] * 3 + [1.0] + [1e-7] * 3)
"""Units in which an inverse covariance is harmless."""


def smoothed(updates: list[OrbitUpdate], orbit: OrbitFilter, times: list[int]) -> dict[int, OrbitState]:
    return smooth(updates, times, OrbitDynamics(SETTINGS, orbit.frames), SETTINGS)


def position_errors(states: dict[int, OrbitState]) -> Array:
    return np.array([state.x[:3] - TRUTH.gcrf[TRUTH.index(gps_ms), :3] for gps_ms, state in sorted(states.items())])


def rms(errors: Array) -> float:
    return math.sqrt(float((errors**2).sum(axis=1).mean()))


def test_states_and_covariances_are_those_of_filterpys_recursion() -> None:
    """filterpy smooths deviations from the filter's path, which move linearly with the transition matrices."""
    white = replace(SETTINGS, measurement=replace(SETTINGS.measurement, correlated_errors=False))
    orbit, updates = run(make_fixes(TRUTH)[:60], white)
    dynamics = OrbitDynamics(white, orbit.frames)
    filtered = [update.state for update in updates if update.state]
    deviations, transitions, noises = [np.zeros(10)], [], []
    for before, after, update in zip(filtered, filtered[1:], updates[1:], strict=False):
        factor = 1.0 if update.empirical_factor is None else float(update.empirical_factor[0])
        step = dynamics.linear_step(before.gps_ms, before.x, after.gps_ms, factor)
        transitions.append(step.transition / SCALE[:, None] * SCALE)
        noise = step.sqrt_noise / SCALE[:, None]
        noises.append(noise.dot(noise.T))
        deviations.append(transitions[-1].dot(deviations[-1]) + (after.x - step.x) / SCALE)
    covariances = np.array([state.covariance / np.outer(SCALE, SCALE) for state in filtered])
    reference = KalmanFilter(dim_x=10, dim_z=6)
    expected, expected_covariance, _, _ = reference.rts_smoother(
        np.array(deviations), covariances, [np.eye(10), *transitions], [np.eye(10), *noises]
    )
    states = smooth(updates, TIMES[:60], dynamics, white)
    for k, state in enumerate(filtered):
        ours = states[state.gps_ms]
        change = (ours.x - state.x) / SCALE
        np.testing.assert_allclose(change, expected[k] - deviations[k], atol=1e-5)
        np.testing.assert_allclose(
            ours.covariance / np.outer(SCALE, SCALE), expected_covariance[k], rtol=1e-5, atol=1e-7
        )


@pytest.mark.slow
def test_errors_shrink_and_the_covariance_covers_them() -> None:
    nees, ratios = [], []
    for seed in range(4):
        orbit, updates = run(make_fixes(TRUTH, seed=seed))
        states = smoothed(updates, orbit, TIMES)
        assert sorted(states) == TIMES
        filter_errors = position_errors({u.fix.gps_ms: u.state for u in updates if u.state})[144:]
        errors = position_errors(states)
        ratios.append(rms(errors[144:]) / rms(filter_errors))
        for gps_ms, state in states.items():
            error = state.x[:6] - TRUTH.gcrf[TRUTH.index(gps_ms)]
            nees.append(error.dot(np.linalg.solve(state.covariance[:6, :6], error)))
    assert np.mean(ratios) < 0.8
    # 6 on average; errors of one run are correlated, so four runs determine it to a third.
    assert 3.5 < np.mean(nees) < 9.0


def test_the_last_state_is_the_filters() -> None:
    orbit, updates = run(make_fixes(TRUTH)[:40])
    last = smoothed(updates, orbit, TIMES[:40])[TIMES[39]]
    assert orbit.state is not None
    np.testing.assert_array_equal(last.x, orbit.state.x)


def test_sections_of_the_recursion_do_not_change_it(monkeypatch: pytest.MonkeyPatch) -> None:
    orbit, updates = run(make_fixes(TRUTH)[:40])
    whole = smoothed(updates, orbit, TIMES[:45])
    monkeypatch.setattr(smoother, "_SECTION", 3)
    for gps_ms, state in smoothed(updates, orbit, TIMES[:45]).items():
        np.testing.assert_array_equal(state.x, whole[gps_ms].x)
        np.testing.assert_array_equal(state.sqrt_covariance, whole[gps_ms].sqrt_covariance)


def test_an_outage_is_bridged_from_both_sides() -> None:
    fixes = make_fixes(TRUTH)
    orbit, updates = run(fixes[:150] + fixes[366:])
    states = smoothed(updates, orbit, TIMES)
    assert sorted(states) == TIMES
    at_its_end = position_errors({TIMES[365]: states[TIMES[365]]})
    assert rms(at_its_end) < 5.0
    in_its_middle = states[TIMES[258]]
    error = in_its_middle.x[:3] - TRUTH.gcrf[258, :3]
    assert error.dot(np.linalg.solve(in_its_middle.covariance[:3, :3], error)) < 16.3


def test_times_before_the_first_fix_are_reached() -> None:
    orbit, updates = run(make_fixes(TRUTH)[72:])
    states = smoothed(updates, orbit, TIMES)
    early = {gps_ms: states[gps_ms] for gps_ms in TIMES[:72]}
    assert rms(position_errors(early)) < 15.0
    sigma_early, sigma_late = (
        math.sqrt(np.trace(states[gps_ms].covariance[:3, :3])) for gps_ms in (TIMES[0], TIMES[72])
    )
    assert sigma_early > sigma_late


def ahead(fixes: list[Fix], by: int) -> list[Fix]:
    """Fixes that jump ahead along the orbit, as if the satellite had been put somewhere else."""
    return [replace(later, gps_ms=fix.gps_ms) for fix, later in zip(fixes, fixes[by:], strict=False)]


def test_a_restart_cuts_the_arc_in_two() -> None:
    """The receiver jumps ten fixes ahead at fix 100; the filter follows at fix 109, with an orbit from fix 100 on."""
    fixes = make_fixes(TRUTH)
    orbit, updates = run(fixes[:100] + ahead(fixes, 10)[100:])
    states = smoothed(updates, orbit, TIMES[:400])
    for k in (98, 99):
        assert np.linalg.norm(states[TIMES[k]].x[:3] - TRUTH.gcrf[k, :3]) < 20.0
    frames = orbit.frames
    for k in (100, 101, 102, 110):
        ecef = frames.ecef_state_from_gcrf(TIMES[k]).dot(states[TIMES[k]].x[:6])
        assert np.linalg.norm(ecef[:3] - TRUTH.ecef[k + 10, :3]) < 60.0


def test_a_discarded_orbit_does_not_count() -> None:
    fixes = make_fixes(TRUTH)[:60]
    late = [replace(fix, gps_ms=fix.gps_ms + MS_PER_WEEK) for fix in fixes[:5]]
    orbit, updates = run(late)
    orbit.discard()
    updates += [update for fix in fixes[5:] for update in orbit.process(fix)]
    states = smoothed(updates, orbit, TIMES[:60])
    assert states.keys() == {*TIMES[:60]}
    assert all(np.linalg.norm(states[TIMES[k]].x[:3] - TRUTH.gcrf[k, :3]) < 20.0 for k in range(60))


def test_an_outlier_does_not_count() -> None:
    fixes = make_fixes(TRUTH)[:120]
    wild = [replace(fix, position_ecef_m=fix.position_ecef_m + 1e3) if k == 60 else fix for k, fix in enumerate(fixes)]
    orbit, updates = run(wild)
    states = smoothed(updates, orbit, TIMES[:120])
    assert np.linalg.norm(states[TIMES[60]].x[:3] - TRUTH.gcrf[60, :3]) < 10.0


def test_without_a_start_there_is_nothing_to_smooth() -> None:
    orbit, updates = run([])
    assert smoothed(updates, orbit, TIMES[:3]) == {}
