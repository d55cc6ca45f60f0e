import numpy as np
import pytest

from pygnc_ground.scenario.gps import make_fixes
from pygnc_ground.scenario.settings import Forces, Gps, Orbit, Spacecraft
from pygnc_ground.scenario.truth import Trajectory, initial_state_gcrf

START_GPS_MS = 2358 * 604_800_000 + 604_000_000
"""800 s before the end of a GPS week."""
T_S = np.arange(5, 3600, 5)


@pytest.fixture(scope="module")
def path() -> Trajectory:
    quiet = Forces(gravity_degree=4, drag=False, radiation_pressure=False)
    return Trajectory(START_GPS_MS, 3600.0, initial_state_gcrf(Orbit()), Spacecraft(), quiet)


@pytest.mark.parametrize(("position_noise_m", "velocity_noise_mps"), [(10.0, 0.01), (30.0, 0.001)])
def test_noise_is_white_and_of_the_declared_size(
    path: Trajectory, position_noise_m: float, velocity_noise_mps: float
) -> None:
    gps = Gps(position_noise_m=position_noise_m, velocity_noise_mps=velocity_noise_mps)
    fixes = make_fixes(gps, path, START_GPS_MS, T_S, seed=1, log="sense")
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
    fixes = make_fixes(silent, path, START_GPS_MS, T_S, seed=1, log="sense")
    np.testing.assert_array_equal(fixes.velocity_latency_s, latency_s)
    np.testing.assert_array_equal(fixes.position_ecef_m, path.states_itrf(T_S)[:, :3])
    # Centred differences of the position over 1 s give the velocity to 1e-6 of its change; gravity makes it 8 m/s2.
    around = [path.states_itrf(T_S - latency_s + half)[:, :3] for half in (-0.5, 0.5)]
    np.testing.assert_allclose(fixes.velocity_ecef_mps, around[1] - around[0], atol=1e-3)
    apart = np.linalg.norm(fixes.velocity_ecef_mps - path.states_itrf(T_S)[:, 3:], axis=1)
    np.testing.assert_allclose(apart, 8.2 * latency_s, atol=0.6 * latency_s)


def test_times_are_gps_weeks_across_the_roll_over(path: Trajectory) -> None:
    fixes = make_fixes(Gps(), path, START_GPS_MS, T_S, seed=1, log="sense")
    np.testing.assert_array_equal(fixes.gps_week * 604_800_000 + fixes.gps_tow_ms, START_GPS_MS + 1000 * T_S)
    assert {*fixes.gps_week.tolist()} == {2358, 2359}


def test_status_words_are_those_of_the_receiver(path: Trajectory) -> None:
    fixes = make_fixes(Gps(time_status=160), path, START_GPS_MS, T_S, seed=1, log="sense")
    assert fixes.time_status is not None
    assert {*fixes.time_status.tolist()} == {160}
    assert not fixes.position_status.any()
    assert not fixes.velocity_status.any()
    assert np.all(fixes.satellites_used <= fixes.satellites_tracked)
    assert 6 <= fixes.satellites_used.min() <= fixes.satellites_tracked.max() <= 12


def test_a_cold_start_knows_nothing_and_leaves_the_later_fixes_as_they_were(path: Trajectory) -> None:
    cold = make_fixes(Gps(cold_start_s=100.0), path, START_GPS_MS, T_S, seed=1, log="sense")
    warm = make_fixes(Gps(), path, START_GPS_MS, T_S, seed=1, log="sense")
    before, after = T_S < 100, T_S >= 100
    assert cold.time_status is not None
    for name, value in (("time_status", 20), ("gps_week", 0), ("position_status", 1), ("velocity_status", 1)):
        assert {*getattr(cold, name)[before].tolist()} == {value}
    for name in ("position_ecef_m", "velocity_ecef_mps", "position_sigma_m", "satellites_tracked", "satellites_used"):
        assert not getattr(cold, name)[before].any()
        np.testing.assert_array_equal(getattr(cold, name)[after], getattr(warm, name)[after])
    assert np.all(np.diff(cold.gps_tow_ms[before]) == 5000)
    assert cold.gps_tow_ms[0] < 60_000


def test_each_log_has_noise_of_its_own(path: Trajectory) -> None:
    sense, ranges = (
        make_fixes(Gps(), path, START_GPS_MS, T_S, seed=1, log=log).position_ecef_m for log in ("sense", "range")
    )
    # Independent errors of equal size differ by the square root of two of that size.
    assert np.std(sense - ranges) == pytest.approx(np.sqrt(2.0) * 10.0, rel=0.1)
