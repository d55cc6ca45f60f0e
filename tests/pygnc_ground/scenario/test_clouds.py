"""Clouds: distribution, scales in place and time, and random streams."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pygnc_ground.scenario.clouds import Clouds
from pygnc_ground.scenario.sensor_settings import SunSensors
from tests.pygnc_ground.scenario.circular_orbit import FloatArray

SENSORS = SunSensors(earth_reflectivity=0.35, earth_reflectivity_variation=0.25 / 0.35)
UPRIGHT = np.eye(3)[np.newaxis]


def reflectivity(places: FloatArray, t_s: float = 0.0, seed: int = 1) -> FloatArray:
    clouds = Clouds.over(SENSORS, np.array([t_s]), UPRIGHT, seed)
    values: FloatArray = SENSORS.earth_reflectivity * clouds.brightness(slice(None), UPRIGHT, places[np.newaxis])[0]
    return values


def everywhere(count: int) -> FloatArray:
    vectors = np.random.default_rng(1).standard_normal((count, 3))
    unit: FloatArray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def test_the_reflectivity_takes_each_value_from_0_1_to_0_6_equally_often() -> None:
    values = np.concatenate([reflectivity(everywhere(300), seed=seed) for seed in range(60)])
    shares, _ = np.histogram(values, bins=5, range=(0.1, 0.6))
    assert shares.sum() == len(values)
    np.testing.assert_allclose(shares / len(values), 0.2, atol=0.03)


@pytest.mark.parametrize(("distance_rad", "low", "high"), [(0.01, 0.95, 1.0), (0.1, 0.3, 0.9), (1.5, -0.2, 0.25)])
def test_places_are_alike_within_hundreds_of_kilometres_only(distance_rad: float, low: float, high: float) -> None:
    here, other = everywhere(300), np.roll(everywhere(300), 1, axis=0)
    across = np.cross(here, other)
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    there = Rotation.from_rotvec(distance_rad * across).apply(here)
    pairs = [(reflectivity(here, seed=seed), reflectivity(there, seed=seed)) for seed in range(30)]
    one, two = (np.concatenate(values) for values in zip(*pairs, strict=True))
    assert low < np.corrcoef(one, two)[0, 1] < high


@pytest.mark.parametrize(("after_s", "low", "high"), [(600.0, 0.98, 1.0), (6 * 3600.0, 0.4, 0.8), (2e5, -0.2, 0.2)])
def test_the_weather_changes_within_hours(after_s: float, low: float, high: float) -> None:
    pairs = [
        (reflectivity(everywhere(300), 0.0, seed), reflectivity(everywhere(300), after_s, seed)) for seed in range(30)
    ]
    one, two = (np.concatenate(values) for values in zip(*pairs, strict=True))
    assert low < np.corrcoef(one, two)[0, 1] < high


def test_the_seed_decides_and_the_attitude_does_not_matter() -> None:
    places, turn = everywhere(20), Rotation.random(rng=np.random.default_rng(3)).as_matrix()
    np.testing.assert_array_equal(reflectivity(places), reflectivity(places))
    assert np.all(reflectivity(places) != reflectivity(places, seed=2))
    clouds = Clouds.over(SENSORS, np.zeros(1), turn[np.newaxis], seed=1)
    seen = 0.35 * clouds.brightness(slice(None), UPRIGHT, (places @ turn)[np.newaxis])[0]
    np.testing.assert_allclose(seen, reflectivity(places), rtol=1e-9)
