"""The filter among wild fixes, wrong times, outages, wrong claims and wrong models."""

import math
import struct
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice, product

import numpy as np
import pytest

from pygnc.common.arrays import Array
from pygnc.common.clock import gps_ms_from_week, week_from_gps_ms
from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc.estimators.checkpoint import encode
from pygnc.estimators.orbit.filter import OrbitFilter
from pygnc.estimators.orbit.measurement import Fix, RejectCause
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.estimators.orbit.state import to_ecef
from pygnc.estimators.orbit.update import OrbitUpdate
from tests.pygnc.environment.authority import ecef_state
from tests.pygnc.estimators.orbit.first_hour import CLEAN, FIXES, HOUR, TRUTH
from tests.pygnc.estimators.orbit.truth import (
    ORIENTATION,
    Truth,
    causes,
    displaced,
    last_error_m,
    make_fixes,
    position_errors,
    position_only,
    propagate,
    run,
)
from tests.reference import recording

WEEK_MS = 604_800_000


def test_an_expired_earth_orientation_is_in_the_covariance() -> None:
    """The pole is 0.2 arcseconds beside that of a table which ended 90 days ago."""
    true = ORIENTATION.at(TRUTH.gps_ms[0])
    day = TRUTH.gps_ms[0] // 86_400_000 + 44_244.0
    row = np.array([[true.ut1_minus_gps_s + 18.0, true.x_pole_rad + 1e-6, true.y_pole_rad, true.dx_rad, true.dy_rad]])
    nees = []
    for ended in (day, day - 90.0):
        orbit = OrbitFilter(OrbitSettings(), EarthOrientationTable("test", np.array([ended]), row))
        for fix in make_fixes(TRUTH, seed=2):
            orbit.process(fix)
        assert orbit.state is not None
        transform = orbit.frames.ecef_state_from_gcrf(orbit.state.gps_ms)
        error_m = (transform @ orbit.state.x[:6] - TRUTH.ecef[-1])[:3]
        root = (transform @ orbit.state.sqrt_covariance[:6])[:3]
        nees.append(error_m @ np.linalg.solve(root @ root.T, error_m) / 3.0)
    assert nees[1] < min(nees[0], 2.0)


# --- Outliers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("wild", "axis"), [(0, 0), (0, 2), (2, 1), (4, 2), (5, 0), (40, 0), (40, 1), (79, 2)])
def test_one_outlier_of_ten_kilometres_costs_no_more_than_a_missing_position(wild: int, axis: int) -> None:
    fixes = FIXES[:80]
    fixes[wild] = displaced(fixes[wild], 10_000.0 * np.eye(3)[axis])
    _, updates = run(fixes)
    assert list(causes(updates)) == [wild]
    assert sum(update.velocity_accepted for update in updates) == len(fixes)

    fixes[wild] = replace(FIXES[wild], position_sigma_m=np.full(3, 1e6))
    missing = position_errors(run(fixes)[1], TRUTH)
    errors = position_errors(updates, TRUTH)
    later = [gps_ms for gps_ms in errors if gps_ms > TRUTH.gps_ms[wild] and gps_ms >= TRUTH.gps_ms[4]]
    assert all(errors[gps_ms] - missing[gps_ms] < 1.0 for gps_ms in later)


@pytest.mark.parametrize("wild", [40, HOUR // 2, HOUR])
def test_an_outlier_after_convergence_costs_less_than_a_metre(wild: int) -> None:
    fixes = FIXES.copy()
    fixes[wild] = displaced(fixes[wild], np.array((0.0, 0.0, -10_000.0)))
    errors = position_errors(run(fixes)[1], TRUTH)
    assert all(errors[gps_ms] - CLEAN[gps_ms] < 1.0 for gps_ms in errors)


def test_three_percent_of_outliers_do_little_harm() -> None:
    random = np.random.default_rng(6)
    wild = [k for k in range(len(FIXES)) if random.random() < 0.03]
    fixes = [displaced(fix, np.array((600.0, -600.0, 500.0))) if k in wild else fix for k, fix in enumerate(FIXES)]
    _, updates = run(fixes)
    assert set(wild) <= set(causes(updates))
    assert last_error_m(updates, TRUTH) < last_error_m(run(FIXES)[1], TRUTH) + 1.0


def test_rejects_an_outlying_velocity_and_uses_its_position() -> None:
    fixes = FIXES.copy()
    velocity = fixes[80].velocity_ecef_mps
    assert velocity is not None
    fixes[80] = replace(fixes[80], velocity_ecef_mps=velocity + 1.0)
    _, updates = run(fixes)
    assert updates[80].position_accepted
    assert updates[80].velocity_cause is RejectCause.GATE
    assert updates[80].dof == 3


# --- Time ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("latency_ms", [50, 150, 250])
def test_latency_makes_no_difference(latency_ms: int) -> None:
    fixes = []
    for fix, gcrf, ecef in zip(FIXES[:60], TRUTH.gcrf, TRUTH.ecef, strict=False):
        assert fix.velocity_ecef_mps is not None
        noise = fix.velocity_ecef_mps - ecef[3:]
        earlier_ms = fix.gps_ms - latency_ms
        earlier = ecef_state(earlier_ms, propagate(gcrf, [fix.gps_ms, earlier_ms], degree=20)[1])
        fixes.append(replace(fix, velocity_ecef_mps=earlier[3:] + noise, velocity_latency_s=latency_ms * 1e-3))
    errors = position_errors(run(fixes)[1], TRUTH)
    assert max(abs(errors[gps_ms] - CLEAN[gps_ms]) for gps_ms in errors if gps_ms >= TRUTH.gps_ms[4]) < 0.1


def test_repeated_fixes_do_not_count_in_the_initialisation() -> None:
    orbit, _ = run(FIXES[:10])
    twice, updates = run([fix for fix in FIXES[:10] for _ in range(2)])
    assert [update.position_cause for update in updates].count(RejectCause.NOT_LATER) == 10
    assert encode(twice.memory) == encode(orbit.memory)


def test_an_outage_of_ninety_minutes_is_bridged() -> None:
    fixes = make_fixes(TRUTH)
    _, updates = run(fixes[: HOUR + 1] + fixes[HOUR + 216 :])
    after = updates[HOUR + 1]
    assert after.position_accepted
    assert after.velocity_accepted
    assert position_errors([after], TRUTH)[after.fix.gps_ms] < 40.0


def test_reinitialises_after_too_long_a_gap() -> None:
    settings = OrbitSettings()
    settings = replace(settings, start=replace(settings.start, gap_max_s=1_800.0))
    fixes = make_fixes(TRUTH)
    orbit, updates = run(fixes[:30] + fixes[150:160], settings)
    assert [update.position_cause for update in updates[30:32]] == [RejectCause.GAP] * 2
    assert updates[32].restarted_from_ms
    assert not any(update.position_cause for update in updates[33:])
    assert orbit.state is not None
    assert orbit.state.gps_ms == TRUTH.gps_ms[159]


# --- Start and restart --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_few_fixes_give_an_orbit_with_an_honest_sigma(number: int) -> None:
    orbit, updates = run(FIXES[:number])
    assert len(updates) == number
    assert orbit.state is not None
    sigma_m = np.sqrt(np.trace(orbit.state.covariance[:3, :3]))
    assert sigma_m == pytest.approx(17.3 / number**0.5, rel=0.05)
    assert last_error_m(updates, TRUTH) < 3.0 * sigma_m


def test_two_fixes_that_contradict_each_other_give_a_wide_sigma() -> None:
    orbit, updates = run([displaced(FIXES[0], np.array((10_000.0, 0.0, 0.0))), FIXES[1]])
    assert orbit.state is not None
    assert last_error_m(updates, TRUTH) < 3.0 * np.sqrt(np.trace(orbit.state.covariance[:3, :3]))


def test_a_single_position_gives_no_orbit() -> None:
    orbit, updates = run([position_only(FIXES[0])])
    assert orbit.state is None
    assert [(update.position_cause, update.state) for update in updates] == [(RejectCause.START, None)]
    assert orbit.initialise_from_buffered() == ()


def test_fixes_that_never_agree_initialise_a_state_with_wide_sigmas() -> None:
    random = np.random.default_rng(3)
    fixes = [replace(fix, position_ecef_m=fix.position_ecef_m + random.normal(0.0, 3e4, 3)) for fix in FIXES[:10]]
    orbit = OrbitFilter(OrbitSettings(), ORIENTATION)
    assert [len(orbit.process(fix)) for fix in fixes[:9]] == [0] * 9
    updates = list(orbit.process(fixes[9]))
    assert len(updates) == 10
    assert orbit.state is not None
    assert last_error_m(updates, TRUTH) < 3.0 * np.sqrt(np.trace(orbit.state.covariance[:3, :3]))


def test_fixes_elsewhere_restart_the_filter_once_they_are_many() -> None:
    """From fix 60 on the receiver is ten fixes ahead on the same orbit, 1 900 km away."""
    fixes = FIXES[:60] + [replace(ahead, gps_ms=fix.gps_ms) for fix, ahead in zip(FIXES[60:], FIXES[70:], strict=False)]
    _, updates = run(fixes)
    assert [update.position_cause for update in updates[60:69]] == [RejectCause.GATE] * 9
    assert updates[69].restarted_from_ms
    assert sum(update.position_accepted for update in updates[69:]) == len(updates[69:])
    state = updates[-1].state
    assert state is not None
    assert np.linalg.norm(state.x[:3] - TRUTH.gcrf[TRUTH.index(state.gps_ms), :3]) > 1_000e3


def test_three_fixes_after_a_change_of_the_velocity_restart_the_filter() -> None:
    """An impulse of 30 m/s at fix 60, beyond all candidates of manoeuvres."""
    after = TRUTH.gcrf[60].copy()
    after[3:] += (10.0, -20.0, 20.0)
    moved = propagate(after, TRUTH.gps_ms[60:70], degree=20)
    ecef = np.array([ecef_state(ms, state) for ms, state in zip(TRUTH.gps_ms[60:70], moved, strict=True)])
    fixes = FIXES[:61] + make_fixes(Truth(TRUTH.gps_ms[60:70], moved, ecef), seed=4)[1:]
    orbit, updates = run(fixes)
    assert [update.position_cause for update in updates[61:63]] == [RejectCause.GATE] * 2
    assert updates[63].restarted_from_ms
    assert orbit.state is not None
    assert np.linalg.norm(orbit.state.x[:3] - moved[-1, :3]) < 50.0


# --- One damaged fix among the first five ---------------------------------------------------------------------------


def assert_starts(damaged: int, fix: Fix | None, fixes: list[Fix]) -> None:
    """Check that the filter starts if a fix is replaced by a damaged one (None if screened) and rejects no other."""
    orbit, updates = run([*fixes[:damaged], *([fix] if fix else []), *fixes[damaged + 1 :]])
    assert orbit.state is not None
    assert orbit.state.gps_ms == fixes[-1].gps_ms
    assert last_error_m(updates[-1:], TRUTH) < 4.0 * np.sqrt(np.trace(orbit.state.covariance[:3, :3])) < 100.0
    assert causes(updates).items() <= {(fixes[damaged].seq, RejectCause.START)}


@pytest.mark.parametrize("damaged", range(5))
@pytest.mark.parametrize("with_velocity", [True, False])
def test_inverted_signs_of_a_first_position_are_rejected_at_the_start(
    damaged: int,
    with_velocity: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    fixes = [fix if with_velocity else position_only(fix) for fix in FIXES[:9]]
    for signs in product((1.0, -1.0), repeat=3):
        fix = replace(fixes[damaged], position_ecef_m=fixes[damaged].position_ecef_m * signs)
        assert_starts(damaged, fix, fixes)


def flipped(vector: Array, axis: int, bit: int) -> Array:
    """Return the vector with one bit of a component flipped."""
    words = vector.copy().view(np.uint64)
    words[axis] ^= np.uint64(1 << bit)
    return words.view(np.float64)


def screened(fix: Fix) -> Fix | None:
    """Return what the tracker's screening leaves of a fix: all of it, a position alone, or None."""
    limits = OrbitSettings().screening
    if not limits.radius_min_m <= math.hypot(*fix.position_ecef_m) <= limits.radius_max_m:
        return None
    slowest_mps, fastest_mps = limits.speed_limits_mps
    velocity = fix.velocity_ecef_mps
    return fix if velocity is not None and slowest_mps <= math.hypot(*velocity) <= fastest_mps else position_only(fix)


def single_bit_errors(fix: Fix) -> Iterator[Fix]:
    """Yield the fix with each single-bit error of position, velocity, GPS week and time of week."""
    for axis, bit in product(range(3), range(64)):
        yield replace(fix, position_ecef_m=flipped(fix.position_ecef_m, axis, bit))
        if fix.velocity_ecef_mps is not None:
            yield replace(fix, velocity_ecef_mps=flipped(fix.velocity_ecef_mps, axis, bit))
    week, tow_ms = week_from_gps_ms(fix.gps_ms)
    wrong = [(week ^ 1 << bit, tow_ms) for bit in range(16)] + [(week, tow_ms ^ 1 << bit) for bit in range(30)]
    for gps_ms in filter(None, (gps_ms_from_week(*time) for time in wrong)):
        yield replace(fix, gps_ms=gps_ms)


@pytest.mark.parametrize("damaged", range(5))
def test_a_first_fix_with_a_single_bit_error_is_used_or_rejected_at_the_start(damaged: int) -> None:
    for fix in islice(single_bit_errors(FIXES[damaged]), damaged, None, 11):
        assert_starts(damaged, screened(fix), FIXES[:9])


@pytest.mark.parametrize("damaged", range(5))
def test_a_first_position_with_a_single_bit_error_does_not_prevent_the_start(damaged: int) -> None:
    """Without velocities, an error of some hundred metres may be noticed by the next fixes only."""
    fixes = [position_only(fix) for fix in FIXES[:14]]
    for fix in islice(single_bit_errors(fixes[damaged]), damaged, None, 11):
        good = screened(fix)
        orbit, updates = run([*fixes[:damaged], *([good] if good else []), *fixes[damaged + 1 :]])
        assert orbit.state is not None
        assert last_error_m(updates[-1:], TRUTH) < 4.0 * np.sqrt(np.trace(orbit.state.covariance[:3, :3])) < 400.0


# --- Equal errors of successive positions ---------------------------------------------------------------------------

SHIFT_M = np.array((1_000.0, -1_000.0, 1_000.0))


def assert_errors_are_within_their_sigmas(updates: list[OrbitUpdate]) -> None:
    for gps_ms, error_m in position_errors(updates, TRUTH).items():
        state = next(update.state for update in updates if update.fix.gps_ms == gps_ms and update.state is not None)
        assert error_m < 4.0 * np.sqrt(np.trace(state.covariance[:3, :3])) + 10.0


@pytest.mark.parametrize("number", [3, 4, 5, 8])
@pytest.mark.parametrize("size", [0.06, 0.3, 1.0])
def test_an_equal_shift_of_successive_positions_with_unchanged_velocities_is_rejected(number: int, size: float) -> None:
    shifted = [displaced(fix, size * SHIFT_M) for fix in FIXES[60 : 60 + number]]
    _, updates = run([*FIXES[:60], *shifted, *FIXES[60 + number : 80]])
    assert set(causes(updates)) == set(range(60, 60 + number))
    assert not any(update.restarted_from_ms for update in updates)
    assert_errors_are_within_their_sigmas(updates)


@pytest.mark.parametrize("number", [3, 4, 5])
@pytest.mark.parametrize("size", [0.1, 1.0, 100.0])
def test_an_equal_shift_of_the_first_positions_is_no_orbit(number: int, size: float) -> None:
    shifted = [displaced(fix, size * SHIFT_M) for fix in FIXES[:number]]
    _, updates = run([*shifted, *FIXES[number:40]])
    if number < 5 or size >= 1.0:
        assert_errors_are_within_their_sigmas(updates)
    # A hundred metres of all five positions are below the resolution of their velocities, until others contradict them.
    assert_errors_are_within_their_sigmas(updates[-25:])
    assert last_error_m(updates, TRUTH) < 30.0


# --- Wrong claims and wrong models --------------------------------------------------------------------------------


@pytest.mark.parametrize("claim", [0.2, 3.0])
def test_detects_wrong_sigmas(claim: float) -> None:
    _, updates = run(make_fixes(TRUTH, claim=claim)[: 2 * HOUR])
    errors = list(position_errors(updates[HOUR:], TRUTH).values())
    assert float(np.sqrt(np.mean(np.square(errors)))) < 5.0
    assert sum(update.position_accepted for update in updates) > 0.97 * len(updates)


def simulator_fixes() -> list[Fix]:
    """The fixes of PyGNC's default scenario, by the offsets of the interface document."""
    data = recording("default_scenario.bin").read_bytes()
    fixes = []
    for base in range(0, len(data), 251):
        week, tow_ms = struct.unpack_from("<HI", data, base + 155)
        position, velocity = (struct.unpack_from("<3d", data, base + offset) for offset in (162, 199))
        fixes.append(
            Fix(week * WEEK_MS + tow_ms, np.array(position), np.zeros(3), np.array(velocity), np.zeros(3), 0.0)
        )
    return fixes


def test_an_orbit_in_a_wrong_gravity_field_is_followed() -> None:
    """The scenario's field is wrong by 1e-4 m/s^2; noise is 10 m and 10 mm/s, its sigmas are zero.

    Such a field resembles manoeuvres, and in part errors of the receiver that are correlated in time.
    """
    orbit = OrbitFilter(OrbitSettings(), EarthOrientationTable.none())
    fixes = simulator_fixes()
    residuals = []
    for fix in fixes:
        if orbit.state is not None:
            predicted = to_ecef(orbit.predict(fix.gps_ms), orbit.frames)
            assert fix.velocity_ecef_mps is not None
            residuals.append(
                [*(fix.position_ecef_m - predicted.position_m), *(fix.velocity_ecef_mps - predicted.velocity_mps)]
            )
        for update in orbit.process(fix):
            assert update.position_accepted
            assert not update.restarted_from_ms
    settled = np.sqrt(np.square(residuals[len(residuals) // 2 :]).mean(axis=0))
    assert settled[:3].max() < 12.0
    assert settled[3:].max() < 0.016
