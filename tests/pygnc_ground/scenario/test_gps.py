import numpy as np
import pytest

from pygnc.formats.gps_packet import GpsFixes
from pygnc_ground.scenario.gps import make_fixes
from pygnc_ground.scenario.gps_settings import Gps
from pygnc_ground.scenario.motion_settings import Forces, Orbit, Spacecraft
from pygnc_ground.scenario.settings import Settings
from pygnc_ground.scenario.truth import Trajectory, initial_state_gcrf

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
    """As the recordings: statuses 1, everything zero, at most two satellites and none of them used."""
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
def test_without_a_fix_the_time_goes_on(path: Trajectory, gps: Gps, out: np.ndarray) -> None:
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
