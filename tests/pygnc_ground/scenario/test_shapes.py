"""Geometry of drawn shapes, and the places of partners in scenarios."""

import math
from typing import Final, get_args

import msgspec
import numpy as np
import pytest

from pygnc_ground.formation.relative import rtn_from_gcrf
from pygnc_ground.scenario.environment import FloatArray
from pygnc_ground.scenario.formation import satellites
from pygnc_ground.scenario.settings import Forces, Formation, Partner, Settings, Shape
from pygnc_ground.scenario.shapes import DRIFT_MPS, SEPARATION_M, CircularOrbit, placed_partners, relative_states

DRAWN: Final[tuple[Shape, ...]] = tuple(shape for shape in get_args(Shape) if shape != "given")
SPREAD: Final[tuple[Shape, ...]] = ("free", "bounded")
DRIFTING: Final[tuple[Shape, ...]] = ("bounded", "flat", "train", "safety")
CIRCLE = CircularOrbit(1.1e-3, 0.7)
RADIUS_M = 6_900_000.0


def drawn(shape: Shape, seed: int, partners: int = 3) -> FloatArray:
    return relative_states(shape, partners, CIRCLE, np.random.default_rng(seed))


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
@pytest.mark.parametrize("shape", DRAWN)
def test_fewer_partners_are_the_first_ones_of_more(shape: Shape, seed: int) -> None:
    np.testing.assert_array_equal(drawn(shape, seed, 1), drawn(shape, seed)[:1])
    np.testing.assert_array_equal(drawn(shape, seed, 2), drawn(shape, seed)[:2])


@pytest.mark.parametrize("seed", range(10))
def test_distance_and_drift_are_within_their_limits(seed: int) -> None:
    for shape in SPREAD:
        distances_m = np.linalg.norm(drawn(shape, seed)[:, :3], axis=1)
        assert (distances_m >= SEPARATION_M[0]).all()
        assert (distances_m <= SEPARATION_M[1]).all()
    for start in drawn("free", seed):
        assert DRIFT_MPS[0] <= np.linalg.norm(start[3:]) <= DRIFT_MPS[1]
    for shape in DRIFTING:
        for start in drawn(shape, seed):
            assert DRIFT_MPS[0] - 1e-9 <= abs(drift_mps(start)) <= DRIFT_MPS[1] + 1e-9, shape


@pytest.mark.parametrize("seed", range(10))
def test_shapes_have_their_documented_geometry(seed: int) -> None:
    for start in drawn("flat", seed):
        assert 5.0 <= height_m(start) <= 50.0
    for start in drawn("train", seed):
        assert 20.0 <= radius_of_ellipse_m(start) <= 100.0 + 1e-9
        assert 10.0 - 1e-9 <= height_m(start) <= 60.0 + 1e-9
    for start in drawn("safety", seed):
        # Parallel vectors: the radial motion is at its extremes where the plane is crossed.
        rate = CIRCLE.motion_rad_s
        vertical = np.array((3.0 * start[0] + 2.0 * start[4] / rate, start[3] / rate))
        across = np.array((start[5] / rate, start[2]))
        cosine = vertical @ across / np.linalg.norm(vertical) / np.linalg.norm(across)
        assert abs(cosine) == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("seed", range(10))
def test_symmetric_partners_are_nearly_mirror_images(seed: int) -> None:
    first, above, opposite = drawn("symmetric", seed)
    assert np.linalg.norm(above[:3] - first[:3] * (1.0, 1.0, -1.0)) < 51.0
    assert np.linalg.norm(opposite[:3] + first[:3]) < 51.0
    assert drift_mps(above) == pytest.approx(drift_mps(first), abs=1e-9)
    assert drift_mps(opposite) == pytest.approx(-drift_mps(first), abs=1e-9)


def settings(shape: Shape, *, seed: int = 3, partners: int = 3, baseline_m: float = 0.0) -> Settings:
    return Settings(
        seed=seed,
        duration_s=120,
        forces=Forces(gravity_degree=2, drag=False, radiation_pressure=False),
        formation=Formation(shape=shape, baseline_m=baseline_m),
        partners=tuple(Partner(id=74 + number, drag_ratio=1.0 + number) for number in range(partners)),
    )


def relative_rtn(of: Settings) -> FloatArray:
    """Relative states of the partners at the start along the axes of the main satellite, (p, 6)."""
    own, *partners = (satellite.path.states_gcrf([0.0])[0] for satellite in satellites(of))
    return np.array([rtn_from_gcrf(own) @ (partner - own) for partner in partners])


@pytest.mark.parametrize("shape", DRAWN)
def test_partners_start_at_their_drawn_places(shape: Shape) -> None:
    placed = placed_partners(settings(shape))
    assert [partner.drag_ratio for partner in placed] == [1.0, 2.0, 3.0]
    given = np.array([(*(partner.position_rtn_m or ()), *partner.velocity_rtn_mps) for partner in placed])
    np.testing.assert_allclose(relative_rtn(settings(shape)), given, atol=1e-6)
    np.testing.assert_array_equal(placed_partners(settings(shape, partners=2)), placed[:2])
    assert placed_partners(settings(shape, seed=4)) != placed
    as_given = msgspec.structs.replace(settings(shape), formation=Formation(), partners=placed)
    np.testing.assert_allclose(relative_rtn(as_given), given, atol=1e-6)


def test_a_free_formation_drifts_along_axes_at_rest() -> None:
    own, *partners = (satellite.path.states_gcrf([0.0])[0] for satellite in satellites(settings("free")))
    for partner in partners:
        assert DRIFT_MPS[0] <= np.linalg.norm((partner - own)[3:]) <= DRIFT_MPS[1]


@pytest.mark.parametrize("seed", range(5))
def test_baselines_are_along_the_orbit(seed: int) -> None:
    far = settings("bounded", seed=seed, baseline_m=400e3)
    own = np.linalg.norm(satellites(far)[0].path.states_gcrf([0.0])[0, :3])
    for radial_m, along_m, normal_m in relative_rtn(far)[:, :3]:
        assert 38e3 < abs(along_m) < 402e3
        assert math.hypot(own + radial_m, along_m) == pytest.approx(own, abs=10e3)
        assert abs(normal_m) < 2_100.0


def test_partners_without_a_place_are_refused() -> None:
    with pytest.raises(ValueError, match="position_rtn_m"):
        settings("given")
    with pytest.raises(ValueError, match="at most 3"):
        settings("symmetric", partners=4)
