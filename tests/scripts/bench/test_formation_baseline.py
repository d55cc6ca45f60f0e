"""The baseline method finds the truth from a near guess, and the mirror image from a mirrored one."""

from functools import cache

import numpy as np
import pytest

from pygnc_ground.formation.relative import rtn_from_gcrf
from pygnc_ground.orbit.solution import FloatArray, IntArray
from pygnc_ground.scenario.settings import Forces, Orbit, Spacecraft
from pygnc_ground.scenario.trajectory import Trajectory, initial_state_gcrf
from scripts.bench.formation_baseline import PairRanges, guess_on_track, solve_pair

START_MS = 1_391_299_218_000
APART = np.array((150.0, 900.0, 300.0, 0.1, -0.4, 0.25))
OBLATE = Forces(2, sun_and_moon=False, solid_tides=False, relativity=False, drag=False, radiation_pressure=False)


@cache
def truth() -> tuple[IntArray, FloatArray]:
    """Moments, and the states of two satellites of an oblate Earth, (2, n, 6)."""
    own = initial_state_gcrf(Orbit())
    other = own + np.linalg.solve(rtn_from_gcrf(own), APART)
    t_s = 60.0 * np.arange(46)
    paths = [Trajectory(START_MS, float(t_s[-1]), state, Spacecraft(), OBLATE) for state in (own, other)]
    return START_MS + (1e3 * t_s).astype(np.int64), np.stack([path.states_gcrf(t_s) for path in paths])


def solved(start: FloatArray, bias_m: float = 1_057.0) -> tuple[FloatArray, FloatArray]:
    """Error of the relative position (n,), and what is left of the ranges once their mean is taken away (n,)."""
    gps_ms, states = truth()
    relative = states[1] - states[0]
    exact_m = np.linalg.norm(relative[:, :3], axis=1)
    ranges = PairRanges(gps_ms[1:], exact_m[1:] + bias_m, 0.1, 1_050.0, 20.0)
    found = solve_pair(ranges, states[0, 0], start, gps_ms)
    left_m = (np.linalg.norm(found[:, :3], axis=1) - exact_m)[1:]
    return np.linalg.norm((found - relative)[:, :3], axis=1), left_m - left_m.mean()


@pytest.mark.slow
def test_exact_ranges_lead_to_the_truth_from_a_near_guess() -> None:
    error_m, _ = solved(APART + np.repeat((30.0, 0.03), 3))
    assert error_m.max() < 5.0


def test_a_mirrored_guess_leads_to_the_mirror_image() -> None:
    error_m, left_m = solved(APART * (1.0, 1.0, -1.0, 1.0, 1.0, -1.0))
    assert error_m.max() > 300.0
    assert np.abs(left_m).max() < 2.0


def test_guess_on_track_has_the_measured_distance() -> None:
    own = initial_state_gcrf(Orbit(eccentricity=0.0))
    for distance_m in (800.0, -1_500.0):
        start = guess_on_track(distance_m, own)
        other = own + np.linalg.solve(rtn_from_gcrf(own), start)
        assert np.linalg.norm(start[:3]) == pytest.approx(abs(distance_m), rel=1e-6)
        assert np.linalg.norm(other[:3]) == pytest.approx(np.linalg.norm(own[:3]), rel=1e-12)
        assert np.linalg.norm(other[3:]) == pytest.approx(np.linalg.norm(own[3:]), rel=1e-9)
        assert other[:3] @ other[3:] == pytest.approx(0.0, abs=1e-2)
