import math

import numpy as np
import pytest

from pygnc.common.arrays import Array
from pygnc.environment.drag import BULGE_EXPONENT, harris_priester
from tests.pygnc.environment.authority import brahe

POLE = np.array([0.0, 0.0, 1.0])
SUN_M = 1.5e11 * np.array([0.8, 0.6 * math.cos(0.4), 0.6 * math.sin(0.4)])
EQUATOR_M = 6_378_137.0


def bulge_apex() -> Array:
    """The Sun's direction, 30 degrees further east."""
    lag = math.radians(30.0)
    turn = np.array([[math.cos(lag), -math.sin(lag), 0.0], [math.sin(lag), math.cos(lag), 0.0], [0.0, 0.0, 1.0]])
    apex: Array = turn.dot(SUN_M) / np.linalg.norm(SUN_M)
    return apex


def points() -> list[Array]:
    """Positions from 110 to 990 km in all directions."""
    random = np.random.default_rng(8)
    directions = random.normal(size=(60, 3))
    directions /= np.linalg.norm(directions, axis=1)[:, None]
    return list(directions * (EQUATOR_M + random.uniform(110e3, 970e3, 60))[:, None])


@pytest.mark.parametrize("height_m", [100e3, 200e3, 333e3, 410e3, 500e3, 615e3, 790e3, 950e3])
def test_extreme_densities_agree_with_an_independent_table(height_m: float) -> None:
    # On the equator, so that height is measured alike; the Sun stands there too.
    sun_m = np.array([1.5e11, 0.0, 0.0])
    lag = math.radians(30.0)
    for side in (1.0, -1.0):
        position_m = side * (EQUATOR_M + height_m + 1e-6) * np.array([math.cos(lag), math.sin(lag), 0.0])
        ours, _ = harris_priester(position_m, sun_m, POLE)
        assert ours == pytest.approx(brahe.density_harris_priester(position_m, sun_m), rel=1e-3)


def test_between_the_extremes_the_bulge_follows_its_exponent() -> None:
    apex = bulge_apex()
    for position_m in points():
        cosine = position_m.dot(apex) / np.linalg.norm(position_m)
        night = harris_priester(position_m, _sun_for_apex(-position_m), POLE)[0]
        day = harris_priester(position_m, _sun_for_apex(position_m), POLE)[0]
        expected = night + (day - night) * (0.5 + 0.5 * cosine) ** (BULGE_EXPONENT / 2.0)
        assert harris_priester(position_m, SUN_M, POLE)[0] == pytest.approx(expected, rel=1e-9)


def _sun_for_apex(apex: Array) -> Array:
    """Return the direction to the Sun when the bulge points to `apex`."""
    lag = math.radians(-30.0)
    turn = np.array([[math.cos(lag), -math.sin(lag), 0.0], [math.sin(lag), math.cos(lag), 0.0], [0.0, 0.0, 1.0]])
    sun_m: Array = turn.dot(apex) * 2e4
    return sun_m


def test_the_gradient_is_the_derivative() -> None:
    for position_m in points():
        _, gradient = harris_priester(position_m, SUN_M, POLE)
        differences = [
            (harris_priester(position_m + axis, SUN_M, POLE)[0] - harris_priester(position_m - axis, SUN_M, POLE)[0])
            / 20.0
            for axis in 10.0 * np.eye(3)
        ]
        assert np.linalg.norm(gradient - differences) < 0.01 * np.linalg.norm(gradient)


def test_outside_the_table_the_density_stays_finite() -> None:
    heights_m = (-5_000e3, 0.0, 99e3, 1_001e3, 3_000e3, 100_000e3)
    densities = [harris_priester(np.array([EQUATOR_M + h, 0.0, 0.0]), SUN_M, POLE)[0] for h in heights_m]
    assert densities[0] == densities[1] == densities[2] == pytest.approx(4.974e-7, rel=1e-6)
    assert densities[2] > densities[3] > densities[4] >= densities[5] >= 0.0
