import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from scipy.optimize import brentq

from pygnc.common.arrays import Array
from pygnc.common.clock import gps_ms_from_utc_iso
from pygnc.environment.solar_radiation import radiation_pressure_acceleration, sunlit_fraction, warmth
from pygnc.environment.sun_moon import SunMoon
from tests.pygnc.environment.authority import brahe

SUN_M = np.array([1.2e11, -0.8e11, -0.35e11])
AWAY = -SUN_M / np.linalg.norm(SUN_M)
ASIDE = np.cross(AWAY, [0.0, 0.0, 1.0]) / np.linalg.norm(np.cross(AWAY, [0.0, 0.0, 1.0]))


def behind_the_earth(angle_rad: float) -> Array:
    """A place 6 900 km from the Earth's centre, `angle_rad` off the shadow's axis."""
    place: Array = 6.9e6 * (np.cos(angle_rad) * AWAY + np.sin(angle_rad) * ASIDE)
    return place


Fraction = Callable[[Array, Array], float]
SPHERE_FROM_ELLIPSOID = np.array([1.0, 1.0, 298.257_223_563 / 297.257_223_563])


def by_brahe(position_m: Array, sun_m: Array) -> float:
    """The cone of brahe's spherical Earth, in coordinates in which the Earth is a sphere."""
    return float(brahe.eclipse_conical(position_m * SPHERE_FROM_ELLIPSOID, sun_m * SPHERE_FROM_ELLIPSOID))


def by_rays(position_m: Array, sun_m: Array) -> float:
    """Share of 400 rays to points spread over the Sun's disc that pass the ellipsoid."""
    towards = (sun_m - position_m) / np.linalg.norm(sun_m - position_m)
    north = np.cross(towards, [0.0, 0.6, 0.8])
    north /= np.linalg.norm(north)
    ring, turn = np.sqrt((np.arange(400) + 0.5) / 400.0), np.arange(400) * math.pi * (3.0 - math.sqrt(5.0))
    aside = np.outer(ring * np.cos(turn), north) + np.outer(ring * np.sin(turn), np.cross(towards, north))
    rays = towards + 6.957e8 / np.linalg.norm(sun_m - position_m) * aside
    semi_axes_m = np.array([6_378_137.0, 6_378_137.0, 6_356_752.3142])
    ray, start = rays / semi_axes_m, position_m / semi_axes_m
    # The ray start + t ray meets the unit sphere where a t^2 + 2 b t + c = 0.
    a, b, c = (ray * ray).sum(axis=1), ray.dot(start), start.dot(start) - 1.0
    return float(1.0 - ((b * b > a * c) & (b < 0.0)).mean())


class Circle:
    """A circular orbit, and the Sun above it, by seconds from a moment."""

    def __init__(self, number: int) -> None:
        random = np.random.default_rng(number)
        self._gps_ms = gps_ms_from_utc_iso("2020-01-01T00:00:00Z") + int(random.integers(3_000)) * 86_400_000
        self._radius_m = 6_378_137.0 + random.uniform(400e3, 800e3)
        self._rate_rad_s = math.sqrt(3.986e14 / self._radius_m**3)
        self.period_s = 2.0 * math.pi / self._rate_rad_s
        node, inclination = random.uniform(0.0, 2.0 * math.pi), math.radians((97.5, 51.6, 90.0, 30.0, 0.0)[number % 5])
        self._towards_node = np.array([math.cos(node), math.sin(node), 0.0])
        self._ahead = math.cos(inclination) * np.array([-math.sin(node), math.cos(node), 0.0])
        self._ahead[2] = math.sin(inclination)
        self._bodies = SunMoon()

    def lit(self, fraction: Fraction, t_s: float) -> float:
        """Visible fraction of the Sun less a half."""
        phase = self._rate_rad_s * t_s
        position_m = self._radius_m * (math.cos(phase) * self._towards_node + math.sin(phase) * self._ahead)
        return fraction(position_m, self._bodies.at(self._gps_ms, t_s)[0]) - 0.5

    def edges_s(self) -> list[tuple[float, float]]:
        """Half minutes in which the Sun goes or comes."""
        times_s = np.arange(0.0, self.period_s + 30.0, 30.0).tolist()
        return [
            pair
            for pair in pairwise(times_s)
            if self.lit(sunlit_fraction, pair[0]) * self.lit(sunlit_fraction, pair[1]) < 0.0
        ]


def test_eclipse_times_agree_with_independent_libraries() -> None:
    edges = 0
    for circle in map(Circle, range(12)):
        for before_s, after_s in circle.edges_s():
            ours_s, brahes_s, rays_s = (
                brentq(lambda t_s, by, on: on.lit(by, t_s), before_s - 20.0, after_s + 20.0, (by, circle), xtol=1e-3)
                for by in (sunlit_fraction, by_brahe, by_rays)
            )
            assert ours_s == pytest.approx(brahes_s, abs=0.02)
            assert ours_s == pytest.approx(rays_s, abs=0.2)
            edges += 1
    assert edges == 20


@pytest.mark.parametrize("angle_rad", np.linspace(1.16, 1.21, 60))
def test_eclipse_agrees_with_an_independent_library(angle_rad: float) -> None:
    place = behind_the_earth(float(angle_rad))
    assert sunlit_fraction(place, SUN_M) == pytest.approx(by_brahe(place, SUN_M), abs=1e-3)
    assert sunlit_fraction(place, SUN_M) == pytest.approx(by_rays(place, SUN_M), abs=0.01)


def test_the_shadow_begins_and_ends_without_a_jump() -> None:
    visible = [sunlit_fraction(behind_the_earth(angle), SUN_M) for angle in np.linspace(1.16, 1.21, 2_000)]
    assert (visible[0], visible[-1]) == (0.0, 1.0)
    assert (np.diff(visible) >= 0.0).all()
    assert np.diff(visible).max() < 0.01
    assert sunlit_fraction(behind_the_earth(0.0), SUN_M) == 0.0
    assert sunlit_fraction(behind_the_earth(np.pi), SUN_M) == 1.0


def test_radiation_pressure_agrees_with_an_independent_library() -> None:
    place = behind_the_earth(2.0)
    # Area, mass, reflectivity, and the pressure at one astronomical unit in N/m2.
    expected = brahe.accel_solar_radiation_pressure(place, SUN_M, 1.58, 1.3, 0.02, 1361.0 / 299_792_458.0)
    ours = radiation_pressure_acceleration(place, SUN_M, 1.3 * 0.02 / 1.58)
    np.testing.assert_allclose(ours, expected, rtol=1e-6)
    assert not radiation_pressure_acceleration(behind_the_earth(0.5), SUN_M, 0.02).any()


@pytest.mark.parametrize("height_rad", [0.0, 0.5, 1.0, 1.1, 1.2, 1.5])
@pytest.mark.parametrize("lag_s", [300.0, 1_500.0, 6_000.0])
def test_warmth_is_the_lag_of_the_sunlight_on_a_circle(height_rad: float, lag_s: float) -> None:
    """The lag is stepped through orbits until it repeats; the Sun stands `height_rad` above the plane of the orbit."""
    radius_m, steps = 6.9e6, 6_000
    phase = 2.0 * math.pi / steps * np.arange(steps)
    step_s = 2.0 * math.pi * math.sqrt(radius_m**3 / 3.986e14) / steps
    sun_m = 1.5e11 * np.array([math.cos(height_rad), 0.0, math.sin(height_rad)])
    outward = np.stack((np.cos(phase), np.sin(phase), np.zeros(steps)), axis=1)
    ahead = np.stack((-np.sin(phase), np.cos(phase), np.zeros(steps)), axis=1)
    aside_m = np.linalg.norm(np.cross(outward, sun_m / 1.5e11), axis=1) * radius_m
    lit = (outward.dot(sun_m) > 0.0) | (aside_m > 6_378_137.0)
    stepped, value, decay = np.empty(steps), 0.5, math.exp(-step_s / lag_s)
    for _ in range(math.ceil(25.0 * lag_s / (steps * step_s))):
        for k in range(steps):
            stepped[k] = value
            value = float(lit[k]) + (value - float(lit[k])) * decay
    closed = [warmth(radius_m * outward[k], 7_600.0 * ahead[k], sun_m, lag_s) for k in range(0, steps, 97)]
    # The angular rate of 7.6 km/s is that of the circle within 1e-3; in a step, a second, the lag moves by 0.003.
    np.testing.assert_allclose(closed, stepped[::97], atol=4e-3)
