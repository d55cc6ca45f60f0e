"""Closest approaches against Clohessy-Wiltshire, orbits by brahe, and Monte Carlo."""

import math
from dataclasses import replace
from typing import TypeAlias

import numpy as np
import pytest

from pygnc.common.arrays import Array
from pygnc.environment.gravity import GM_EARTH_M3_S2
from pygnc.estimators.formation.approach import (
    DAY_S,
    Approach,
    approaches,
    continued_path,
    relative_tracks,
)
from pygnc.estimators.formation.hypothesis_bank import FilterHypothesis
from pygnc.estimators.formation.reference import PathStart
from pygnc.estimators.formation.relative_coordinates import rtn_from_gcrf
from pygnc.estimators.formation.relative_motion import orbit_vector
from pygnc.estimators.formation.settings import FormationSettings
from pygnc.estimators.kalman import covariance_root
from pygnc.estimators.orbit.dynamics import OrbitDynamics
from pygnc.estimators.orbit.settings import OrbitSettings, SpacecraftSettings
from pygnc_ground.scenario.settings import Forces, Spacecraft
from pygnc_ground.scenario.trajectory import Trajectory
from tests.pygnc.estimators.formation.joint_world import FRAMES, ORBIT, solved, truth_gcrf

GPS_MS = 1_400_000_000_000
RADIUS_M = 6.9e6
MOTION_RAD_S = math.sqrt(GM_EARTH_M3_S2 / RADIUS_M**3)
OWN = np.array((0.0, RADIUS_M, 0.0, -1_000.0, 0.0, math.sqrt(GM_EARTH_M3_S2 / RADIUS_M - 1e6)))
GCRF_FROM_RTN = rtn_from_gcrf(OWN)
AIRLESS = replace(ORBIT, spacecraft=SpacecraftSettings(drag_coefficient=0.0, reflectivity_coefficient=0.0))
PERIOD_S = 5_700
PASSING = np.array((-40.0, -900.0, 60.0, 0.05, 2.0 * MOTION_RAD_S * 40.0 + 0.02, 0.1))
"""Radial, transverse, normal and their rates: comes nearer from behind, and goes away again."""
BESIDE = MOTION_RAD_S * np.array((0.0, 0.0, 0.0, 0.0, -600.0, 500.0)) + np.array((300.0, 0.0, 0.0, 0.0, 0.0, 0.0))
"""On an ellipse around us: nearest above or below, where errors along the track are across the line of sight."""

Group: TypeAlias = tuple[tuple[int, ...], tuple[FilterHypothesis, ...]]


def group(*relative_rtn: Array, sigma_rtn: Array | None = None, log_drag_sigma: float = 1e-6) -> Group:
    """One partner, by several hypotheses; all uncertainty is the partner's."""
    sigma = np.full(6, 1e-6) if sigma_rtn is None else sigma_rtn
    back = np.linalg.inv(GCRF_FROM_RTN)
    covariance = np.diag(np.full(15, 1e-12))
    covariance[7:13, 7:13] = back @ np.diag(sigma**2) @ back.T
    covariance[13, 13] = log_drag_sigma**2
    root = covariance_root(covariance)
    hypotheses = tuple(
        FilterHypothesis(
            number, 2, np.concatenate((OWN, (0.0,), OWN + back @ relative, (0.0, 1_050.0))), root, float(number)
        )
        for number, relative in enumerate(relative_rtn)
    )
    return (74, 75), hypotheses


def found(
    *groups: Group,
    duration_s: int = PERIOD_S,
    own_drag: float = 0.1,
    orbit: OrbitSettings = AIRLESS,
) -> tuple[Approach, ...]:
    settings = FormationSettings(differential_log_drag_sigma=own_drag)
    return approaches(relative_tracks(GPS_MS, groups, settings, orbit, FRAMES, duration_s=duration_s))


def clohessy_wiltshire(t_s: Array) -> Array:
    """Transition matrices of relative states around a circular orbit, (n, 6, 6)."""
    n = MOTION_RAD_S
    s, c, zero, one = np.sin(n * t_s), np.cos(n * t_s), np.zeros_like(t_s), np.ones_like(t_s)
    rows = (
        (4 - 3 * c, zero, zero, s / n, 2 * (1 - c) / n, zero),
        (6 * (s - n * t_s), one, zero, -2 * (1 - c) / n, (4 * s - 3 * n * t_s) / n, zero),
        (zero, zero, c, zero, zero, s / n),
        (3 * n * s, zero, zero, c, 2 * s, zero),
        (-6 * n * (1 - c), zero, zero, -2 * s, 4 * c - 3, zero),
        (zero, zero, -n * s, zero, zero, c),
    )
    return np.moveaxis(np.array(rows), 2, 0)


def test_closest_approach_matches_clohessy_wiltshire() -> None:
    t_s = np.arange(0.0, PERIOD_S + 1.0)
    path = (clohessy_wiltshire(t_s) @ PASSING)[:, :3]
    distance_m = np.linalg.norm(path, axis=1)
    (approach,) = found(group(PASSING))
    nearest = int(np.argmin(distance_m))
    assert 600 < nearest < PERIOD_S - 600
    assert approach.gps_ms == pytest.approx(GPS_MS + 1_000 * nearest, abs=20_000)
    assert approach.distance_m == pytest.approx(distance_m[nearest], abs=3.0)
    assert approach.least_m == pytest.approx(approach.distance_m, abs=0.01)


@pytest.mark.parametrize(
    ("relative_rtn", "sigma_rtn"),
    [
        (PASSING, (1.0, 5.0, 2.0, 0.002, 0.004, 0.002)),
        (BESIDE, (0.1, 60.0, 0.1, 1e-5, 1e-5, 1e-5)),
    ],
    ids=["along the line of sight", "across it"],
)
def test_sigma_matches_random_initial_states(relative_rtn: Array, sigma_rtn: tuple[float, ...]) -> None:
    sigma = np.array(sigma_rtn)
    (approach,) = found(group(relative_rtn, sigma_rtn=sigma))
    then = clohessy_wiltshire(np.array(((approach.gps_ms - GPS_MS) * 1e-3,)))[0]
    drawn = relative_rtn + sigma * np.random.default_rng(1).standard_normal((20_000, 6))
    distance_m = np.linalg.norm((drawn @ then.T)[:, :3], axis=1)
    nominal_m = np.linalg.norm((then @ relative_rtn)[:3])
    assert approach.sigma_m == pytest.approx(np.sqrt(np.mean((distance_m - nominal_m) ** 2)), rel=0.06)


def test_lower_bound_holds_at_every_moment() -> None:
    sigma_rtn = np.array((0.5, 1.0, 0.5, 0.001, 0.002, 0.001))
    (approach,) = found(group(PASSING, sigma_rtn=sigma_rtn))
    assert 0.0 < approach.least_m < approach.distance_m
    drawn = PASSING + sigma_rtn * np.random.default_rng(2).standard_normal((1_000, 6))
    t_s = np.arange(0.0, PERIOD_S, 20.0)
    distance_m = np.linalg.norm((clohessy_wiltshire(t_s) @ drawn.T)[:, :3], axis=1)
    assert np.mean(distance_m.min(axis=0) < approach.least_m) < 0.01


def test_possible_contact_is_reported_from_its_first_moment() -> None:
    vague = np.array((5.0, 5.0, 5.0, 0.05, 0.05, 0.05))
    (approach,) = found(group(PASSING, sigma_rtn=vague))
    assert approach.least_m == 0.0
    assert GPS_MS < approach.least_gps_ms < GPS_MS + 1_000 * PERIOD_S
    before_s = (approach.least_gps_ms - GPS_MS) // 1_000 - 120
    (earlier,) = found(group(PASSING, sigma_rtn=vague), duration_s=before_s)
    assert earlier.least_m > 0.0


def test_hypotheses_and_groups_have_separate_approaches() -> None:
    mirrored = PASSING * np.array((1.0, 1.0, -1.0, 1.0, 1.0, -1.0))
    _, other = group(4.0 * PASSING)
    results = found(((74, 76), other), group(PASSING, mirrored))
    assert [(each.partner, each.chi_square) for each in results] == [(75, 0.0), (75, 1.0), (76, 0.0)]
    (alone,) = found(group(PASSING))
    assert results[0].distance_m == pytest.approx(alone.distance_m, abs=0.02)
    assert results[1].distance_m == pytest.approx(alone.distance_m, abs=2.0)
    assert found() == ()


def test_four_hours_agree_with_brahe_to_decimetres() -> None:
    relative = np.linalg.inv(GCRF_FROM_RTN) @ np.array(
        (100.0, 800.0, 300.0, 0.1, -2.0 * MOTION_RAD_S * 100.0 - 0.02, 0.2)
    )
    craft, forces = Spacecraft(), Forces(gravity_degree=24, drag=False, radiation_pressure=False)
    seconds = np.arange(0.0, 14_401.0, 5.0)
    own, partner = (
        Trajectory(GPS_MS, 14_460.0, np.ascontiguousarray(state), craft, forces).states_gcrf(seconds)
        for state in (OWN, OWN + relative)
    )
    distance_m = np.linalg.norm((partner - own)[:, :3], axis=1)
    (approach,) = found(group(GCRF_FROM_RTN @ relative), duration_s=14_400)
    nearest = int(np.argmin(distance_m))
    assert 0 < nearest < len(seconds) - 1
    assert approach.gps_ms - GPS_MS == pytest.approx(1e3 * seconds[nearest], abs=6_000)
    assert approach.distance_m == pytest.approx(distance_m[nearest], abs=0.5)


@pytest.mark.slow
def test_prediction_of_a_solution_contains_the_truth() -> None:
    done = solved()
    filtering = done.filter()
    groups = [(bank.satellites, bank.hypotheses) for bank in filtering.memory.banks]
    tracks = relative_tracks(filtering.gps_ms, groups, done.settings, done.orbit, FRAMES, duration_s=10_800)
    (approach,) = approaches(tracks)
    truth_m = float(np.linalg.norm(truth_gcrf(approach.gps_ms, 75)[1][:3]))
    assert abs(approach.distance_m - truth_m) < 3.5 * approach.sigma_m
    assert approach.least_m < truth_m


def test_differential_drag_increases_the_sigma() -> None:
    following = np.array((0.0, -1_000.0, 0.0, 0.0, 0.0, 0.0))

    def uncertain_by_m(own_drag: float, log_drag_sigma: float) -> float:
        partner = group(following, log_drag_sigma=log_drag_sigma)
        (approach,) = found(partner, duration_s=DAY_S // 4, own_drag=own_drag, orbit=ORBIT)
        return 1_000.0 - approach.least_m

    quiet, differing, wandering = (uncertain_by_m(*each) for each in ((1e-6, 1e-6), (1e-6, 0.1), (0.1, 1e-6)))
    assert differing > quiet + 10.0
    assert wandering > quiet + 3.0


@pytest.mark.parametrize("log_drag", [-1.5, 1.5])
def test_path_with_another_drag_factor_gives_the_same_approach(log_drag: float) -> None:
    following = np.array((0.0, -1_000.0, 0.0, 0.0, 0.0, 0.0))
    partner = group(following, sigma_rtn=np.array((0.1, 1.0, 0.1, 1e-4, 1e-4, 1e-4)), log_drag_sigma=0.1)
    begin_ms, settings = GPS_MS - GPS_MS % 180_000, FormationSettings(differential_log_drag_sigma=0.1)
    assert begin_ms < GPS_MS
    own, *_ = OrbitDynamics(ORBIT, FRAMES).step(GPS_MS, orbit_vector(np.append(OWN, 0.0)), (begin_ms - GPS_MS) * 1e-3)
    exact, other = (
        continued_path(PathStart(begin_ms, orbit_vector(np.append(own[:6], factor))), ORBIT, FRAMES)
        for factor in (0.0, log_drag)
    )
    (expected,), (actual,) = (
        approaches(relative_tracks(GPS_MS, [partner], settings, ORBIT, FRAMES, path=path)) for path in (exact, other)
    )
    assert actual.gps_ms == pytest.approx(expected.gps_ms, abs=10_000)
    assert actual.distance_m == pytest.approx(expected.distance_m, abs=0.05 * expected.sigma_m)
    # With the drag of the path, the uncertain drag factor would count by a fifth or fivefold.
    assert actual.sigma_m == pytest.approx(expected.sigma_m, rel=0.03)
