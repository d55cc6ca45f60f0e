"""GPS errors against the configured statistics."""

from typing import Literal

import brahe
import numpy as np
import pytest
from msgspec.structs import replace

from pygnc.formats.gps_packet import GpsFixes
from pygnc_ground.scenario import environment
from pygnc_ground.scenario.gps import (
    Reception,
    make_fixes,
    position_errors,
    receptions,
    time_statuses,
    time_tag_errors_s,
    velocity_errors,
)
from pygnc_ground.scenario.sensor_settings import Gps
from pygnc_ground.scenario.settings import Forces, Orbit, Settings, Spacecraft
from pygnc_ground.scenario.trajectory import Trajectory, initial_state_gcrf

START_UTC = "2025-03-22T23:46:22Z"
START_GPS_MS = 2358 * 604_800_000 + 604_000_000
"""800 s before the end of a GPS week."""
T_S = np.arange(5, 3600, 5)
NUMBERS = ("position_ecef_m", "velocity_ecef_mps", "position_sigma_m", "velocity_sigma_mps", "velocity_latency_s")


def fixes_of(gps: Gps, path: Trajectory, log: str = "sense") -> GpsFixes:
    return make_fixes(Settings(start_utc=START_UTC, gps=gps), path, T_S, log)


@pytest.fixture(scope="module")
def path() -> Trajectory:
    quiet = Forces(gravity_degree=4, drag=False, radiation_pressure=False)
    return Trajectory(START_GPS_MS, 3600.0, initial_state_gcrf(Orbit()), Spacecraft(), quiet)


@pytest.mark.parametrize(("position_noise_m", "velocity_noise_mps"), [(10.0, 0.01), (30.0, 0.001)])
def test_noise_is_white_and_of_the_declared_size(
    path: Trajectory, position_noise_m: float, velocity_noise_mps: float
) -> None:
    gps = Gps(position_noise_m=position_noise_m, velocity_noise_mps=velocity_noise_mps)
    fixes = fixes_of(gps, path)
    truth_then, truth_before = path.states_itrf(T_S), path.states_itrf(T_S - gps.velocity_latency_s)
    for error, sigma in (
        (fixes.position_ecef_m - truth_then[:, :3], position_noise_m),
        (fixes.velocity_ecef_mps - truth_before[:, 3:], velocity_noise_mps),
    ):
        unit = error / sigma
        # Four standard errors of mean, spread and correlation of n normal numbers.
        n = unit.size
        assert abs(unit.mean()) < 4 / np.sqrt(n)
        assert abs(unit.std() - 1) < 4 / np.sqrt(2 * n)
        assert abs(np.mean(unit[1:] * unit[:-1])) < 4 / np.sqrt(n)
        assert np.abs(np.corrcoef(unit.T) - np.eye(3)).max() < 4 / np.sqrt(len(unit))
    np.testing.assert_array_equal(fixes.position_sigma_m, position_noise_m)
    np.testing.assert_array_equal(fixes.velocity_sigma_mps, velocity_noise_mps)


@pytest.mark.parametrize("latency_s", [0.0, 0.05, 0.25])
def test_the_velocity_is_valid_before_the_fix_by_the_reported_latency(path: Trajectory, latency_s: float) -> None:
    silent = Gps(position_noise_m=0.0, velocity_noise_mps=0.0, velocity_latency_s=latency_s)
    fixes = fixes_of(silent, path)
    np.testing.assert_array_equal(fixes.velocity_latency_s, latency_s)
    np.testing.assert_array_equal(fixes.position_ecef_m, path.states_itrf(T_S)[:, :3])
    # Centred differences of the position over 1 s give the velocity to 1e-6 of its change; gravity makes it 8 m/s2.
    around = [path.states_itrf(T_S - latency_s + half)[:, :3] for half in (-0.5, 0.5)]
    np.testing.assert_allclose(fixes.velocity_ecef_mps, around[1] - around[0], atol=1e-3)
    apart = np.linalg.norm(fixes.velocity_ecef_mps - path.states_itrf(T_S)[:, 3:], axis=1)
    np.testing.assert_allclose(apart, 8.2 * latency_s, atol=0.6 * latency_s)


def test_times_are_gps_weeks_across_the_roll_over(path: Trajectory) -> None:
    fixes = fixes_of(Gps(), path)
    np.testing.assert_array_equal(fixes.gps_week * 604_800_000 + fixes.gps_tow_ms, START_GPS_MS + 1000 * T_S)
    assert {*fixes.gps_week.tolist()} == {2358, 2359}


def test_status_words_are_those_of_the_receiver(path: Trajectory) -> None:
    fixes = fixes_of(Gps(time_status=160), path)
    assert fixes.time_status is not None
    assert {*fixes.time_status.tolist()} == {160}
    assert not fixes.position_status.any()
    assert not fixes.velocity_status.any()
    assert np.all(fixes.satellites_used <= fixes.satellites_tracked)
    assert 6 <= fixes.satellites_used.min() <= fixes.satellites_tracked.max() <= 12


def test_a_cold_start_has_the_recorded_words_and_leaves_the_later_fixes_as_they_were(path: Trajectory) -> None:
    cold, warm = fixes_of(Gps(cold_start_s=200.0), path), fixes_of(Gps(), path)
    nothing, time_only, after = T_S < 100, (T_S >= 100) & (T_S < 200), T_S >= 200
    assert cold.time_status is not None
    assert {*cold.time_status[nothing].tolist()} == {20}
    assert {*cold.time_status[time_only].tolist()} == {120}
    assert not cold.gps_week[nothing].any()
    assert not cold.satellites_tracked[nothing].any()
    # Milliseconds since the receiver's own start.
    assert np.all(np.diff(cold.gps_tow_ms[nothing]) == 5000)
    assert cold.gps_tow_ms[0] < 60_000
    np.testing.assert_array_equal(cold.gps_week[~nothing], warm.gps_week[~nothing])
    np.testing.assert_array_equal(cold.gps_tow_ms[~nothing], warm.gps_tow_ms[~nothing])
    without_a_fix(cold, T_S < 200)
    for name in (*NUMBERS, "satellites_tracked", "satellites_used"):
        np.testing.assert_array_equal(getattr(cold, name)[after], getattr(warm, name)[after])


def without_a_fix(fixes: GpsFixes, where: np.ndarray) -> None:
    """Check the values without a fix as recorded: statuses 1, all zero, at most two satellites, none used."""
    assert {*fixes.position_status[where].tolist()} == {*fixes.velocity_status[where].tolist()} == {1}
    assert not any(getattr(fixes, name)[where].any() for name in NUMBERS)
    assert {*fixes.satellites_tracked[where].tolist()} <= {0, 1, 2}
    assert not fixes.satellites_used[where].any()


@pytest.mark.parametrize(
    ("gps", "out"),
    [
        (Gps(outages_s=((1000.0, 600.0),)), (T_S >= 1000) & (T_S < 1600)),
        (Gps(fix_every_records=12), T_S % 300 >= 25),
    ],
)
def test_time_advances_without_a_fix(path: Trajectory, gps: Gps, out: np.ndarray) -> None:
    fixes, whole = fixes_of(gps, path), fixes_of(Gps(), path)
    without_a_fix(fixes, out)
    assert not fixes.position_status[~out].any()
    np.testing.assert_array_equal(fixes.position_ecef_m[~out], whole.position_ecef_m[~out])
    np.testing.assert_array_equal(fixes.gps_week, whole.gps_week)
    np.testing.assert_array_equal(fixes.gps_tow_ms, whole.gps_tow_ms)


def test_a_missing_velocity_leaves_the_position(path: Trajectory) -> None:
    fixes, whole = fixes_of(Gps(velocity_missing_rate=0.3), path), fixes_of(Gps(), path)
    missing = fixes.velocity_status == 1
    assert abs(np.count_nonzero(missing) - 0.3 * len(T_S)) < 4 * np.sqrt(0.21 * len(T_S))
    assert not fixes.velocity_ecef_mps[missing].any()
    assert not fixes.velocity_sigma_mps[missing].any()
    np.testing.assert_array_equal(fixes.velocity_ecef_mps[~missing], whole.velocity_ecef_mps[~missing])
    np.testing.assert_array_equal(fixes.position_ecef_m, whole.position_ecef_m)
    assert not fixes.position_status.any()


@pytest.mark.parametrize("factor", [0.0, 0.5, 1.0])
def test_reported_sigmas_are_true_scaled_or_zero(path: Trajectory, factor: float) -> None:
    gps = Gps(
        position_noise_m=4.0,
        coloured_position_noise_m=3.0,
        velocity_noise_mps=0.02,
        reported_sigma_factor=factor,
    )
    fixes = fixes_of(gps, path)
    np.testing.assert_allclose(fixes.position_sigma_m, factor * 5.0)
    np.testing.assert_allclose(fixes.velocity_sigma_mps, factor * 0.02)


def test_an_outlier_is_reported_like_any_fix(path: Trajectory) -> None:
    gps = Gps(position_outlier_rate=0.1, velocity_outlier_rate=0.1)
    hit, plain = fixes_of(gps, path), fixes_of(Gps(), path)
    off_m = np.linalg.norm(hit.position_ecef_m - plain.position_ecef_m, axis=1)
    off_mps = np.linalg.norm(hit.velocity_ecef_mps - plain.velocity_ecef_mps, axis=1)
    assert {*np.round(off_m, 3).tolist()} == {0.0, 1000.0}
    assert {*np.round(off_mps, 6).tolist()} == {0.0, 10.0}
    np.testing.assert_array_equal(hit.position_sigma_m, plain.position_sigma_m)
    assert not hit.position_status.any()


def test_each_log_has_noise_of_its_own(path: Trajectory) -> None:
    sense, ranges = (fixes_of(Gps(), path, log).position_ecef_m for log in ("sense", "range"))
    # Independent errors of equal size differ by the square root of two of that size.
    assert np.std(sense - ranges) == pytest.approx(np.sqrt(2.0) * 10.0, rel=0.1)


ERRORS_T_S = np.arange(0, 200_000, 25)
COUNT = ERRORS_T_S.size


def test_coloured_noise_is_stationary_and_fades_with_its_correlation_time() -> None:
    receiver = Gps(position_noise_m=0.0, coloured_position_noise_m=7.0, coloured_noise_time_s=100.0)
    error_m = position_errors(receiver).draw(ERRORS_T_S, seed=1, log="sense") / 7.0
    # 2000 correlation times are in the series, on each of three axes.
    assert np.abs(error_m.mean()) < 4 * np.sqrt(2 / 6000)
    assert error_m.std() == pytest.approx(1.0, abs=4 / np.sqrt(6000))
    for lag in (1, 2, 4, 12):
        kept = np.mean(error_m[lag:] * error_m[:-lag])
        assert kept == pytest.approx(np.exp(-25.0 * lag / 100.0), abs=4 / np.sqrt(6000))
    assert np.abs(np.corrcoef(error_m.T) - np.eye(3)).max() < 4 / np.sqrt(2000)
    starts = [position_errors(receiver).draw(ERRORS_T_S[:1], seed, "sense") for seed in range(200)]
    assert np.std(starts) == pytest.approx(7.0, rel=4 / np.sqrt(1200))


def test_coloured_noise_is_common_to_both_logs_and_white_noise_is_not() -> None:
    coloured = velocity_errors(Gps(velocity_noise_mps=0.0, coloured_velocity_noise_mps=0.02))
    np.testing.assert_array_equal(coloured.draw(ERRORS_T_S, 1, "sense"), coloured.draw(ERRORS_T_S, 1, "range"))
    # A longer scenario begins like the shorter one.
    np.testing.assert_array_equal(
        coloured.draw(ERRORS_T_S[:100], 1, "sense"), coloured.draw(ERRORS_T_S, 1, "sense")[:100]
    )
    white = velocity_errors(Gps())
    assert (
        np.abs(np.corrcoef(white.draw(ERRORS_T_S, 1, "sense").T, white.draw(ERRORS_T_S, 1, "range").T)[:3, 3:]).max()
        < 0.05
    )


def test_white_and_coloured_noise_add_as_squares() -> None:
    errors = position_errors(Gps(position_noise_m=4.0, coloured_position_noise_m=3.0))
    assert errors.sigma == pytest.approx(5.0)
    # The coloured half has 333 independent values per axis.
    assert errors.draw(ERRORS_T_S, 1, "sense").std() == pytest.approx(5.0, rel=0.05)


@pytest.mark.parametrize("log", ["sense", "range"])
def test_outliers_have_the_stated_size_and_any_direction(log: str) -> None:
    receiver = Gps(position_noise_m=0.0, position_outlier_rate=0.25, position_outlier_m=800.0)
    error_m = position_errors(receiver).draw(ERRORS_T_S, seed=2, log=log)
    size_m = np.linalg.norm(error_m, axis=1)
    hit = size_m > 0.0
    assert abs(np.count_nonzero(hit) - COUNT / 4) < 4 * np.sqrt(COUNT * 0.25 * 0.75)
    np.testing.assert_allclose(size_m[hit], 800.0)
    direction = error_m[hit] / 800.0
    # Isotropic: no mean, and a third of the square on each axis.
    assert np.abs(direction.mean(axis=0)).max() < 4 / np.sqrt(3 * hit.sum())
    assert np.abs((direction**2).mean(axis=0) - 1 / 3).max() < 4 * np.sqrt(4 / 45 / hit.sum())


def test_velocity_outliers_are_independent_of_position_outliers() -> None:
    receiver = Gps(velocity_noise_mps=0.0, velocity_outlier_rate=0.1, velocity_outlier_mps=5.0)
    assert not position_errors(Gps(position_noise_m=0.0)).draw(ERRORS_T_S, 1, "sense").any()
    size_mps = np.linalg.norm(velocity_errors(receiver).draw(ERRORS_T_S, 1, "sense"), axis=1)
    assert {*np.round(size_mps, 9).tolist()} == {0.0, 5.0}


def test_outliers_do_not_change_the_noise_of_other_fixes() -> None:
    plain = position_errors(Gps()).draw(ERRORS_T_S, 1, "sense")
    hit = position_errors(Gps(position_outlier_rate=0.5)).draw(ERRORS_T_S, 1, "sense")
    apart_m = np.linalg.norm(hit - plain, axis=1)
    assert np.all((apart_m == 0.0) | (np.abs(apart_m - 1000.0) < 1e-6))


RECEPTION_T_S = np.arange(0, 3600, 5)
RECORD_S = 25


def between(begin_s: int, end_s: int) -> slice:
    """Return the part of T_S between two times."""
    return slice(begin_s // 5, end_s // 5)


def test_a_cold_start_acquires_time_before_the_first_fix() -> None:
    found = receptions(Gps(cold_start_s=600.0, time_unknown_fraction=0.25), RECEPTION_T_S, RECORD_S, seed=1)
    for begin_s, end_s, kind in ((0, 150, Reception.NOTHING), (150, 600, Reception.TIME), (600, 3600, Reception.FIX)):
        assert {*found[between(begin_s, end_s)].tolist()} == {kind}


def test_the_time_status_follows_the_cold_start_as_recorded() -> None:
    receiver = Gps(cold_start_s=600.0)
    statuses = time_statuses(receiver, RECEPTION_T_S, receptions(receiver, RECEPTION_T_S, RECORD_S, seed=1))
    for begin_s, end_s, word in ((0, 300, 20), (300, 600, 120), (600, 660, 160), (660, 3600, 180)):
        assert {*statuses[between(begin_s, end_s)].tolist()} == {word}


def test_without_a_cold_start_the_configured_status_applies_at_once() -> None:
    receiver = Gps(time_status=160)
    assert {
        *time_statuses(receiver, RECEPTION_T_S, receptions(receiver, RECEPTION_T_S, RECORD_S, seed=1)).tolist()
    } == {160}


def test_outages_are_at_their_configured_times_and_the_clock_freewheels() -> None:
    receiver = Gps(outages_s=((100.0, 50.0), (3000.0, 1e9)))
    found = receptions(receiver, RECEPTION_T_S, RECORD_S, seed=1)
    out = ((RECEPTION_T_S >= 100) & (RECEPTION_T_S < 150)) | (RECEPTION_T_S >= 3000)
    np.testing.assert_array_equal(found == Reception.INTERRUPTED, out)
    np.testing.assert_array_equal(time_statuses(receiver, RECEPTION_T_S, found), np.where(out, 130, 180))


def test_a_cold_start_outlasts_an_outage_in_it() -> None:
    found = receptions(Gps(cold_start_s=100.0, outages_s=((0.0, 100.0),)), RECEPTION_T_S, RECORD_S, seed=1)
    assert {*found[RECEPTION_T_S < 100].tolist()} == {Reception.NOTHING, Reception.TIME}


def test_a_duty_cycle_gives_a_fix_in_one_of_n_records() -> None:
    found = receptions(Gps(fix_every_records=12), RECEPTION_T_S, RECORD_S, seed=1)
    np.testing.assert_array_equal(found == Reception.FIX, RECEPTION_T_S % 300 < 25)
    assert {*found.tolist()} == {Reception.FIX, Reception.INTERRUPTED}


def test_random_outages_take_the_share_of_time_that_rate_and_duration_make() -> None:
    t_s = np.arange(1_000_000)
    found = receptions(Gps(outage_rate_per_h=2.0, outage_mean_s=120.0), t_s, RECORD_S, seed=3)
    out = found == Reception.INTERRUPTED
    # Random outages that may overlap leave exp(-rate * duration) of the time.
    assert np.mean(out) == pytest.approx(1.0 - np.exp(-2.0 / 30.0), rel=0.2)
    begins = np.count_nonzero(np.diff(out.astype(int)) == 1)
    assert begins == pytest.approx(2.0 * 1_000_000 / 3600.0 * np.exp(-2.0 / 30.0), rel=0.2)


def test_a_longer_scenario_begins_with_the_same_outages() -> None:
    receiver = Gps(outage_rate_per_h=5.0)
    whole = receptions(receiver, RECEPTION_T_S, RECORD_S, seed=1)
    np.testing.assert_array_equal(receptions(receiver, RECEPTION_T_S[:300], RECORD_S, seed=1), whole[:300])
    assert Reception.INTERRUPTED in whole


def test_a_receiver_reports_all_of_its_noise_or_the_white_part(path: Trajectory) -> None:
    gps = Gps(position_noise_m=3.0, coloured_position_noise_m=4.0, velocity_noise_mps=0.01, reported_errors="total")
    assert np.unique(fixes_of(gps, path).position_sigma_m) == pytest.approx([5.0])
    of_white = fixes_of(replace(gps, reported_errors="white"), path)
    assert np.unique(of_white.position_sigma_m) == pytest.approx([3.0])
    assert np.unique(of_white.velocity_sigma_mps) == pytest.approx([0.01])
    np.testing.assert_array_equal(of_white.position_ecef_m, fixes_of(gps, path).position_ecef_m)


def test_a_bias_is_constant_along_the_axes_of_the_orbit(path: Trajectory) -> None:
    gps = Gps(position_bias_rtn_m=(3.0, -2.0, 1.0), velocity_bias_rtn_mps=(0.0, 0.02, 0.0))
    biased, plain = fixes_of(gps, path), fixes_of(Gps(), path)
    states = path.states_gcrf(T_S)
    itrf_from_gcrf = environment.itrf_from_gcrf(environment.epochs(START_GPS_MS, T_S))
    error_m = np.einsum("nji,nj->ni", itrf_from_gcrf, biased.position_ecef_m - plain.position_ecef_m)
    axes = np.array([brahe.rotation_eci_to_rtn(state) for state in states])
    np.testing.assert_allclose(
        np.einsum("nij,nj->ni", axes, error_m), np.tile([3.0, -2.0, 1.0], (len(T_S), 1)), atol=1e-5
    )
    error_mps = biased.velocity_ecef_mps - plain.velocity_ecef_mps
    np.testing.assert_allclose(np.linalg.norm(error_mps, axis=1), 0.02, rtol=1e-6)


@pytest.mark.parametrize("shape", ["steps", "drift"])
def test_slow_velocity_errors_change_in_steps_or_linearly_and_leave_the_position(
    path: Trajectory, shape: Literal["steps", "drift"]
) -> None:
    silent = Gps(position_noise_m=0.0, velocity_noise_mps=0.0, velocity_latency_s=0.0)
    slow = replace(silent, slow_velocity_error_mps=0.05, slow_velocity_error_s=600.0, slow_velocity_error_shape=shape)
    fixes, right = fixes_of(slow, path), fixes_of(silent, path)
    np.testing.assert_array_equal(fixes.position_ecef_m, right.position_ecef_m)
    np.testing.assert_array_equal(fixes.velocity_sigma_mps, right.velocity_sigma_mps)
    error_mps = fixes.velocity_ecef_mps - right.velocity_ecef_mps
    of_interval = T_S // 600
    slopes = np.diff(error_mps, axis=0)[np.diff(of_interval) == 0]
    assert (np.abs(slopes).max() < 1e-9) == (shape == "steps")
    assert np.abs(np.diff(slopes, axis=0)[:100]).max() < 1e-9
    assert 0.02 < np.sqrt(np.mean(error_mps**2)) < 0.1
    np.testing.assert_allclose(fixes_of(slow, path, "range").velocity_ecef_mps, fixes.velocity_ecef_mps)


def test_the_ionosphere_moves_fixes_upwards_by_the_height_of_the_sun(path: Trajectory) -> None:
    silent = Gps(position_noise_m=0.0, velocity_noise_mps=0.0)
    fixes, right = fixes_of(replace(silent, ionosphere_m=10.0), path), fixes_of(silent, path)
    error_m = fixes.position_ecef_m - right.position_ecef_m
    conditions = path.conditions(T_S)
    up = conditions.states_itrf[:, :3] / np.linalg.norm(conditions.states_itrf[:, :3], axis=1, keepdims=True)
    of_sun = np.einsum("ni,ni->n", conditions.states_gcrf[:, :3], conditions.sun_gcrf_m)
    sine = of_sun / np.linalg.norm(conditions.states_gcrf[:, :3], axis=1)
    sine /= np.linalg.norm(conditions.sun_gcrf_m, axis=1)
    assert sine.min() < -0.5 < 0.5 < sine.max()
    np.testing.assert_allclose(error_m, 10.0 * np.maximum(sine, 0.0)[:, np.newaxis] * up, atol=1e-5)
    np.testing.assert_array_equal(fixes.velocity_ecef_mps, right.velocity_ecef_mps)
    np.testing.assert_array_equal(fixes.position_sigma_m, right.position_sigma_m)


def test_other_satellites_move_the_position_in_steps_every_3_to_15_minutes(path: Trajectory) -> None:
    silent = Gps(position_noise_m=0.0, velocity_noise_mps=0.0)
    fixes, right = fixes_of(replace(silent, constellation_step_m=5.0), path), fixes_of(silent, path)
    error_m = fixes.position_ecef_m - right.position_ecef_m
    np.testing.assert_allclose(np.linalg.norm(error_m, axis=1), 5.0 / np.sqrt(2.0), atol=1e-6)
    changes_s = T_S[1:][np.abs(np.diff(error_m, axis=0)).max(axis=1) > 1e-6]
    assert len(changes_s) >= 3
    assert 175 <= np.diff(changes_s).min() <= np.diff(changes_s).max() <= 905
    np.testing.assert_array_equal(fixes.velocity_ecef_mps, right.velocity_ecef_mps)
    in_range_file = fixes_of(replace(silent, constellation_step_m=5.0), path, "range")
    np.testing.assert_array_equal(in_range_file.position_ecef_m, fixes.position_ecef_m)


def test_times_between_constellations_are_in_order() -> None:
    with pytest.raises(ValueError, match="constellation_change_s"):
        Gps(constellation_change_s=(900.0, 180.0))


def test_a_step_of_the_time_leaves_the_fix_where_it_is(path: Trajectory) -> None:
    fixes, right = fixes_of(Gps(time_steps_s=((1000.0, 0.3), (2000.0, -18.3))), path), fixes_of(Gps(), path)
    late_ms = fixes.gps_week * 604_800_000 + fixes.gps_tow_ms - (right.gps_week * 604_800_000 + right.gps_tow_ms)
    np.testing.assert_array_equal(late_ms, np.select([T_S < 1000, T_S < 2000], [0, 300], -18_000))
    np.testing.assert_array_equal(fixes.position_ecef_m, right.position_ecef_m)


def test_a_time_error_moves_the_fix_back_and_jumps_by_a_millisecond(path: Trajectory) -> None:
    silent = Gps(position_noise_m=0.0, velocity_noise_mps=0.0, velocity_latency_s=0.0)
    fixes = fixes_of(replace(silent, time_tag_error_ms=10.0, time_tag_drift_ppm=1.0), path)
    error_s = time_tag_errors_s(Gps(time_tag_error_ms=10.0, time_tag_drift_ppm=1.0), T_S)
    np.testing.assert_allclose(fixes.position_ecef_m, path.states_itrf(T_S - error_s)[:, :3], atol=1e-6)
    np.testing.assert_array_equal(fixes.gps_week * 604_800_000 + fixes.gps_tow_ms, START_GPS_MS + 1000 * T_S)
    assert 0.010 <= error_s.min() < error_s.max() < 0.011
    assert (np.diff(error_s) < 0.0).sum() == 3
