"""Formations start as their kind says."""

import math

import numpy as np
import pytest

from pygnc_ground.campaign.formation_geometry import DRIFT_MPS, SEPARATION_M, Circle, Kind, starts
from pygnc_ground.orbit.solution import FloatArray

CIRCLE = Circle(1.1e-3, 0.7)
RADIUS_M = 6_900_000.0


def drawn(kind: Kind, seed: int, partners: int = 3) -> FloatArray:
    return starts(kind, partners, CIRCLE, np.random.default_rng(seed))


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
@pytest.mark.parametrize("kind", Kind)
def test_fewer_partners_are_the_first_of_more(kind: Kind, seed: int) -> None:
    np.testing.assert_array_equal(drawn(kind, seed, 1), drawn(kind, seed)[:1])
    np.testing.assert_array_equal(drawn(kind, seed, 2), drawn(kind, seed)[:2])


@pytest.mark.parametrize("seed", range(10))
def test_distance_and_drift_are_those_that_are_promised(seed: int) -> None:
    for kind in (Kind.FREE, Kind.BOUNDED):
        distances_m = np.linalg.norm(drawn(kind, seed)[:, :3], axis=1)
        assert (distances_m >= SEPARATION_M[0]).all()
        assert (distances_m <= SEPARATION_M[1]).all()
    for start in drawn(Kind.FREE, seed):
        assert DRIFT_MPS[0] <= np.linalg.norm(start[3:]) <= DRIFT_MPS[1]
    for kind in (Kind.BOUNDED, Kind.FLAT, Kind.TRAIN, Kind.SAFETY):
        for start in drawn(kind, seed):
            assert DRIFT_MPS[0] - 1e-9 <= abs(drift_mps(start)) <= DRIFT_MPS[1] + 1e-9, kind


@pytest.mark.parametrize("seed", range(10))
def test_shapes_are_those_that_are_promised(seed: int) -> None:
    for start in drawn(Kind.FLAT, seed):
        assert 5.0 <= height_m(start) <= 50.0
    for start in drawn(Kind.TRAIN, seed):
        assert 20.0 <= radius_of_ellipse_m(start) <= 100.0 + 1e-9
        assert 10.0 - 1e-9 <= height_m(start) <= 60.0 + 1e-9
    for start in drawn(Kind.SAFETY, seed):
        # Parallel vectors: the radial motion is at its extremes where the plane is crossed.
        rate = CIRCLE.motion_rad_s
        vertical = np.array((3.0 * start[0] + 2.0 * start[4] / rate, start[3] / rate))
        across = np.array((start[5] / rate, start[2]))
        cosine = vertical @ across / np.linalg.norm(vertical) / np.linalg.norm(across)
        assert abs(cosine) == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("seed", range(10))
def test_partners_of_a_symmetric_formation_are_images_but_for_some_metres(seed: int) -> None:
    first, above, opposite = drawn(Kind.SYMMETRIC, seed)
    assert np.linalg.norm(above[:3] - first[:3] * (1.0, 1.0, -1.0)) < 51.0
    assert np.linalg.norm(opposite[:3] + first[:3]) < 51.0
    assert drift_mps(above) == pytest.approx(drift_mps(first), abs=1e-9)
    assert drift_mps(opposite) == pytest.approx(-drift_mps(first), abs=1e-9)
