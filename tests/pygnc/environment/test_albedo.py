import math

import numpy as np
import pytest

from pygnc.common.arrays import Array
from pygnc.environment.albedo import earth_albedo

EARTH_RADIUS_M = 6_378_137.0
FACES = np.vstack((np.eye(3), -np.eye(3)))
WIDE = math.acos(EARTH_RADIUS_M / (EARTH_RADIUS_M + 1_000e3))
"""Half the angle, at the Earth's centre, of the ground seen from 1000 km."""


def on_faces(position_m: Array, sun_m: Array, normals: Array = FACES) -> Array:
    return earth_albedo(position_m, sun_m).on_plates(normals)[0][:, 0]


def of_the_ground(position_m: Array, sun_m: Array, normals: Array, slopes: tuple[float, float] = (0.0, 0.0)) -> Array:
    """The definition, added up over 30 000 equal pieces of the ground, shape (k,); the mean reflectivity is 1."""
    count = 30_000
    turn = np.arange(count) * math.pi * (3.0 - math.sqrt(5.0))  # a sunflower's, around the point below
    height = 1.0 - (1.0 - math.cos(WIDE)) * (np.arange(count) + 0.5) / count
    area_m2 = 2.0 * math.pi * EARTH_RADIUS_M**2 * (1.0 - math.cos(WIDE)) / count
    up = position_m / np.linalg.norm(position_m)
    north = np.cross(up, [0.3, -0.5, 0.9])
    north /= np.linalg.norm(north)
    aside = np.multiply.outer(np.cos(turn), north) + np.multiply.outer(np.sin(turn), np.cross(up, north))
    ground = np.sqrt(1.0 - height**2)[:, None] * aside + np.multiply.outer(height, up)
    towards = EARTH_RADIUS_M * ground - position_m
    apart = np.linalg.norm(towards, axis=1)
    towards /= apart[:, None]
    sunlight = np.maximum(ground.dot(sun_m) / np.linalg.norm(sun_m), 0.0)
    emission = np.maximum(-np.einsum("ni,ni->n", towards, ground), 0.0)
    if any(slopes):
        across = np.cross(up, sun_m)
        across /= np.linalg.norm(across)
        sunlight *= 1.0 + towards @ (slopes[0] * np.cross(across, up) + slopes[1] * across)
    shares: Array = (sunlight * emission * area_m2 / (math.pi * apart**2)).dot(np.maximum(towards.dot(normals.T), 0.0))
    return shares


def cases(count: int) -> list[tuple[Array, Array, Array]]:
    """Places from 300 to 1000 km, directions of the Sun, and six tilted plates."""
    random = np.random.default_rng(3)
    made = []
    for height_m in random.uniform(300e3, 1_000e3, count):
        vectors = random.normal(size=(8, 3))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        made.append((vectors[0] * (EARTH_RADIUS_M + height_m), vectors[1] * 1.5e11, vectors[2:]))
    return made


def test_albedo_agrees_with_integration_over_the_visible_ground() -> None:
    errors = np.concatenate([on_faces(*case) - of_the_ground(*case) for case in cases(150)])
    assert np.abs(errors).max() < 0.006
    assert np.sqrt((errors**2).mean()) < 0.001


@pytest.mark.parametrize("slopes", [(0.3, 0.0), (0.0, -0.4)])
def test_slopes_are_those_towards_the_sun_and_to_its_left(slopes: tuple[float, float]) -> None:
    for case in cases(10):
        light = earth_albedo(*case[:2]).on_plates(case[2])[0].dot([1.0, *slopes])
        np.testing.assert_allclose(light, of_the_ground(*case, slopes), rtol=0.0, atol=0.006)


def test_under_the_sun_the_nadir_plate_gets_the_closed_form() -> None:
    # Sun and nadir plate in line: integrate cos(zenith) cos(nadir) over the solid angle by the ground's zenith cosine.
    for height_m in (300e3, 500e3, 1_000e3):
        position_m = np.array([0.0, 0.0, EARTH_RADIUS_M + height_m])
        distance = 1.0 + height_m / EARTH_RADIUS_M
        nodes, weights = np.polynomial.legendre.leggauss(60)
        lowest = 1.0 / distance
        u = lowest + (1.0 - lowest) * 0.5 * (1.0 + nodes)
        apart2 = 1.0 + distance**2 - 2.0 * distance * u
        integrand = 2.0 * u * (distance - u) * (distance * u - 1.0) / apart2**2
        expected = float((integrand * weights).sum()) * 0.5 * (1.0 - lowest)
        nadir = on_faces(position_m, np.array([0.0, 0.0, 1.5e11]))[5]
        assert nadir == pytest.approx(expected, rel=2e-3)


def test_the_derivative_is_that_of_the_light() -> None:
    for position_m, sun_m, normals in cases(40):
        light = earth_albedo(position_m, sun_m)
        shares, d_normal = light.on_plates(normals)
        np.testing.assert_allclose(shares, np.einsum("ki,kri->kr", normals, d_normal), rtol=0.0, atol=1e-15)
        for axis in 1e-6 * np.eye(3):
            change = light.on_plates(normals + axis)[0] - light.on_plates(normals - axis)[0]
            np.testing.assert_allclose(d_normal.dot(axis), 0.5 * change, rtol=0.0, atol=1e-11)


def test_the_axes_do_not_matter() -> None:
    turn = np.array([[0.0, 0.6, 0.8], [1.0, 0.0, 0.0], [0.0, 0.8, -0.6]])
    for position_m, sun_m, normals in cases(40):
        turned = on_faces(turn.dot(position_m), turn.dot(sun_m), normals.dot(turn.T))
        np.testing.assert_allclose(turned, on_faces(position_m, sun_m, normals), rtol=0.0, atol=1e-12)


@pytest.mark.parametrize("sideways", [0.0, 1e-12, 1e-8, 1e-4])
@pytest.mark.parametrize("up", [(0.0, 0.0, 1.0), (1.0, 0.0, 0.0), (0.6, 0.0, -0.8)])
def test_the_sun_overhead_is_a_place_like_others(up: tuple[float, ...], sideways: float) -> None:
    position_m, sun = 6.9e6 * np.array(up), np.array(up) + sideways * np.array([0.0, 1.0, 0.0])
    np.testing.assert_allclose(on_faces(position_m, sun), of_the_ground(position_m, sun, FACES), rtol=0.0, atol=0.006)
    assert not on_faces(position_m, -sun).any()


def test_no_radiation_pressure_in_umbra() -> None:
    sun_m = np.array([1.5e11, 0.0, 0.0])
    for angle in np.linspace(0.0, 1.17, 30):
        position_m = 6.9e6 * np.array([-math.cos(angle), math.sin(angle), 0.0])
        assert not earth_albedo(position_m, sun_m).shares.any()


def test_below_the_ground_it_stays_finite() -> None:
    sun_m = np.array([0.0, 0.0, 1.5e11])
    for radius_m in (1.0, 6e6, EARTH_RADIUS_M):
        assert on_faces(np.array([0.0, 0.0, radius_m]), sun_m)[5] == pytest.approx(1.0, abs=0.01)
