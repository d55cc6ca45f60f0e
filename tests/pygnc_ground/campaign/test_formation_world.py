"""Geometry of the kinds of formation, and their measurements."""

import math
from functools import cache
from itertools import combinations

import numpy as np
import pytest

from pygnc.estimators.formation.relative_coordinates import relative_elements
from pygnc_ground.campaign.formation_world import (
    DRIFT_MPS,
    RANGE_BIAS_M,
    SEPARATION_M,
    VELOCITY_LATENCY_S,
    CircularOrbit,
    FormationKind,
    FormationWorld,
    Instruments,
    Records,
    formation_world,
    relative_states,
)
from pygnc_ground.orbit.solution import FloatArray

CIRCLE = CircularOrbit(1.1e-3, 0.7)
RADIUS_M = 6_900_000.0


def drawn(kind: FormationKind, seed: int, partners: int = 3) -> FloatArray:
    return relative_states(kind, partners, CIRCLE, np.random.default_rng(seed))


def drift_mps(start: FloatArray) -> float:
    """Secular motion along the track, by Hill, Clohessy & Wiltshire."""
    return float(-6.0 * CIRCLE.motion_rad_s * start[0] - 3.0 * start[4])


def radius_of_ellipse_m(start: FloatArray) -> float:
    """Amplitude of the radial motion."""
    rate = CIRCLE.motion_rad_s
    return math.hypot(start[3] / rate, 3.0 * start[0] + 2.0 * start[4] / rate)


def height_m(start: FloatArray) -> float:
    """Amplitude across the track."""
    return math.hypot(start[2], start[5] / CIRCLE.motion_rad_s)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kind", FormationKind)
def test_fewer_partners_are_the_first_ones_of_more(kind: FormationKind, seed: int) -> None:
    np.testing.assert_array_equal(drawn(kind, seed, 1), drawn(kind, seed)[:1])
    np.testing.assert_array_equal(drawn(kind, seed, 2), drawn(kind, seed)[:2])


@pytest.mark.parametrize("seed", range(10))
def test_distance_and_drift_are_within_their_limits(seed: int) -> None:
    for kind in (FormationKind.FREE, FormationKind.BOUNDED):
        distances_m = np.linalg.norm(drawn(kind, seed)[:, :3], axis=1)
        assert (distances_m >= SEPARATION_M[0]).all()
        assert (distances_m <= SEPARATION_M[1]).all()
    for start in drawn(FormationKind.FREE, seed):
        assert DRIFT_MPS[0] <= np.linalg.norm(start[3:]) <= DRIFT_MPS[1]
    for kind in (FormationKind.BOUNDED, FormationKind.FLAT, FormationKind.TRAIN, FormationKind.SAFETY):
        for start in drawn(kind, seed):
            assert DRIFT_MPS[0] - 1e-9 <= abs(drift_mps(start)) <= DRIFT_MPS[1] + 1e-9, kind


@pytest.mark.parametrize("seed", range(10))
def test_kinds_have_their_documented_geometry(seed: int) -> None:
    for start in drawn(FormationKind.FLAT, seed):
        assert 5.0 <= height_m(start) <= 50.0
    for start in drawn(FormationKind.TRAIN, seed):
        assert 20.0 <= radius_of_ellipse_m(start) <= 100.0 + 1e-9
        assert 10.0 - 1e-9 <= height_m(start) <= 60.0 + 1e-9
    for start in drawn(FormationKind.SAFETY, seed):
        # Parallel vectors: the radial motion is at its extremes where the plane is crossed.
        rate = CIRCLE.motion_rad_s
        vertical = np.array((3.0 * start[0] + 2.0 * start[4] / rate, start[3] / rate))
        across = np.array((start[5] / rate, start[2]))
        cosine = vertical @ across / np.linalg.norm(vertical) / np.linalg.norm(across)
        assert abs(cosine) == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("seed", range(10))
def test_symmetric_partners_are_nearly_mirror_images(seed: int) -> None:
    first, above, opposite = drawn(FormationKind.SYMMETRIC, seed)
    assert np.linalg.norm(above[:3] - first[:3] * (1.0, 1.0, -1.0)) < 51.0
    assert np.linalg.norm(opposite[:3] + first[:3]) < 51.0
    assert drift_mps(above) == pytest.approx(drift_mps(first), abs=1e-9)
    assert drift_mps(opposite) == pytest.approx(-drift_mps(first), abs=1e-9)


MESH = Instruments("mesh", range_noise_m=10.0, mesh=True, fixed=4)
STAR = Instruments("star", range_noise_m=1.0, mesh=False, fixed=1)


@cache
def world(minutes: int = 20) -> FormationWorld:
    return formation_world(5, FormationKind.BOUNDED, minutes=minutes)


def ranges_m(records: Records) -> FloatArray:
    return np.array([seen.range_m for seen in records.ranges])


def range_errors_m(records: Records) -> FloatArray:
    """Without the biases."""
    ranges = records.ranges
    places_m = world().states_gcrf(np.array([seen.gps_ms for seen in ranges]))[:, :, :3]
    number, one, other = np.arange(len(ranges)), *np.array([(seen.one - 74, seen.other - 74) for seen in ranges]).T
    distance_m = np.linalg.norm(places_m[other, number] - places_m[one, number], axis=1)
    bias_m = np.array([records.bias_m[seen.pair] for seen in ranges])
    return np.asarray(ranges_m(records) - distance_m - bias_m)


def test_world_is_determined_by_its_seed() -> None:
    again, other = formation_world(5, FormationKind.BOUNDED, 2, 20), formation_world(6, FormationKind.BOUNDED, 2, 20)
    moments = again.moments_gps_ms
    np.testing.assert_array_equal(again.states_gcrf(moments), world().first(2).states_gcrf(moments))
    assert again.start_gps_ms == world().start_gps_ms != other.start_gps_ms
    assert again.ids == (74, 75)
    for instruments in (MESH, STAR):
        one, two = again.records(instruments), world().first(2).records(instruments)
        np.testing.assert_array_equal(ranges_m(one), ranges_m(two))
        np.testing.assert_array_equal(one.fixes[0].fix.position_ecef_m, two.fixes[0].fix.position_ecef_m)


def test_drag_draw_changes_only_the_drag() -> None:
    drawn = [formation_world(5, FormationKind.BOUNDED, 2, 20, drag_draw=draw) for draw in (0, 1, 1)]
    (_, none), (start, one), (_, again) = ((made.start_gps_ms, made.states_gcrf(made.moments_gps_ms)) for made in drawn)
    np.testing.assert_array_equal(one, again)
    np.testing.assert_array_equal(none, world().first(2).states_gcrf(world().moments_gps_ms))
    assert start == world().start_gps_ms
    relative_position_m = np.linalg.norm((one - none)[..., :3], axis=-1)
    assert 1e-3 < relative_position_m[:, -1].max() < 10.0
    assert relative_position_m[:, 0].max() < 0.01


def test_each_draw_has_its_own_noise_and_biases() -> None:
    one, two = (world().records(MESH, draw) for draw in (0, 1))
    assert (ranges_m(one) != ranges_m(two)).all()
    assert one.bias_m != two.bias_m
    np.testing.assert_array_equal(ranges_m(world().records(MESH, 1)), ranges_m(two))


def test_range_is_distance_plus_bias_plus_noise() -> None:
    for instruments, links in ((MESH, 6), (STAR, 3)):
        records = world().records(instruments)
        errors_m = range_errors_m(records)
        assert len(errors_m) == 20 * links
        assert errors_m.std() == pytest.approx(instruments.range_noise_m, rel=0.25)
        assert abs(errors_m.mean()) < 4.0 * instruments.range_noise_m / np.sqrt(len(errors_m))
        assert (np.diff([seen.gps_ms for seen in records.ranges]) >= 0).all()
    biases_m = [bias for draw in range(30) for bias in world().records(MESH, draw).bias_m.values()]
    assert np.mean(biases_m) == pytest.approx(RANGE_BIAS_M, abs=6.0)
    assert np.std(biases_m) == pytest.approx(20.0, rel=0.2)


def test_both_directions_share_the_bias_but_not_the_noise() -> None:
    both = Instruments("both", range_noise_m=10.0, mesh=True, fixed=1, both_directions=True)
    records = world().records(both)
    errors_m = range_errors_m(records).reshape(20, 12)
    assert abs(np.corrcoef(errors_m[:, :6].ravel(), errors_m[:, 6:].ravel())[0, 1]) < 0.3
    assert [(seen.one, seen.other) for seen in records.ranges[6:12]] == [
        (other, one) for one, other in combinations(range(74, 78), 2)
    ]


def test_fixes_have_noise_and_delayed_velocities() -> None:
    records = world().records(MESH)
    position_m, velocity_mps = [], []
    for entry in records.fixes:
        path, fix = world().paths[entry.satellite - 74], entry.fix
        t_s = 1e-3 * (fix.gps_ms - world().start_gps_ms)
        now, before = path.states_itrf([t_s, t_s - VELOCITY_LATENCY_S])
        assert fix.velocity_ecef_mps is not None
        position_m.append(fix.position_ecef_m - now[:3])
        velocity_mps.append(fix.velocity_ecef_mps - before[3:])
    assert len(position_m) == 80
    assert np.std(position_m) == pytest.approx(10.0, rel=0.15)
    assert np.std(velocity_mps) == pytest.approx(0.01, rel=0.15)
    assert {entry.satellite for entry in world().records(STAR).fixes} == {74}


def test_bound_measurements_match_the_records() -> None:
    few = Instruments("few", range_noise_m=1.0, mesh=True, fixed=2, partner_fixes=3)
    assert [entry.satellite for entry in world().records(few).fixes].count(75) == 3
    for instruments in (MESH, STAR, few):
        records = world().records(instruments)
        found, moments = world().bound_measurements(records), world().moments_gps_ms
        ranges = zip(moments[found.ranges.row], found.ranges.one + 74, found.ranges.other + 74, strict=True)
        assert list(ranges) == [(seen.gps_ms, seen.one, seen.other) for seen in records.ranges]
        known = np.isfinite(found.fix_sigma[:, :, 0])
        assert known.sum() == len(records.fixes)
        for entry in records.fixes:
            assert known[entry.satellite - 74, np.searchsorted(moments, entry.fix.gps_ms)]


def test_a_bounded_formation_drifts_along_the_track_only() -> None:
    """Semi-major axes, which by the oblate Earth oscillate together, differ by the drift of 0.05 to 0.3 m/s."""
    states = world().states_gcrf(world().moments_gps_ms[:1])[:, 0]
    for partner in states[1:]:
        axis_m = abs(relative_elements(states[0], partner)[0])
        assert 25.0 < axis_m < 210.0
