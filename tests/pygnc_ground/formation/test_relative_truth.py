"""True relative states against circles in closed form."""

from dataclasses import dataclass

import numpy as np
import pytest

from pygnc_ground.formation.relative_truth import relative_truth
from pygnc_ground.orbit.solution import FloatArray, IntArray
from pygnc_ground.truth.orbit_truth import TrueOrbit

RADIUS_M = 6_898_000.0
RATE_RAD_S = (3.986004418e14 / RADIUS_M**3) ** 0.5
EARTH_RATE_RAD_S = 7.292115146706979e-5
TIMES = 1000 * np.arange(0, 6000, 500, dtype=np.int64)


@dataclass(frozen=True)
class Circle:
    """A circular orbit over the poles, over an Earth that turns; `ahead_rad` along it, `tilt_rad` out of its plane."""

    radius_m: float = RADIUS_M
    ahead_rad: float = 0.0
    tilt_rad: float = 0.0
    span_gps_ms: tuple[int, int] = (0, 5_000_000)
    description: str = "circle"

    def at(self, gps_ms: IntArray) -> TrueOrbit:
        seconds = gps_ms / 1e3
        rate = (3.986004418e14 / self.radius_m**3) ** 0.5
        u = self.ahead_rad + rate * seconds
        along, up = np.array([1.0, 0.0, 0.0]), np.array([0.0, -np.sin(self.tilt_rad), np.cos(self.tilt_rad)])
        position = self.radius_m * (np.outer(np.cos(u), along) + np.outer(np.sin(u), up))
        velocity = rate * self.radius_m * (np.outer(np.cos(u), up) - np.outer(np.sin(u), along))
        velocity -= np.cross([0.0, 0.0, EARTH_RATE_RAD_S], position)
        found = TrueOrbit(_turned(seconds, position), _turned(seconds, velocity))
        for column in found:
            column[(gps_ms < self.span_gps_ms[0]) | (gps_ms > self.span_gps_ms[1])] = np.nan
        return found


def _turned(seconds: FloatArray, vectors: FloatArray) -> FloatArray:
    theta = 0.7 + EARTH_RATE_RAD_S * seconds
    x, y, z = vectors.T
    return np.column_stack((np.cos(theta) * x + np.sin(theta) * y, np.cos(theta) * y - np.sin(theta) * x, z))


@pytest.mark.parametrize("ahead_rad", [1e-4, -3e-4])
def test_a_satellite_ahead_on_the_same_circle_is_at_rest(ahead_rad: float) -> None:
    relative = relative_truth(Circle(), Circle(ahead_rad=ahead_rad), TIMES[:10])
    place_m = RADIUS_M * np.array([np.cos(ahead_rad) - 1.0, np.sin(ahead_rad), 0.0])
    np.testing.assert_allclose(relative[:, :3], np.tile(place_m, (10, 1)), atol=1e-6)
    np.testing.assert_allclose(relative[:, 3:], 0.0, atol=1e-8)


def test_another_plane_is_a_swing_along_the_normal() -> None:
    tilt_rad = 1e-5
    relative = relative_truth(Circle(), Circle(tilt_rad=tilt_rad), TIMES[:10])
    u = RATE_RAD_S * TIMES[:10] / 1e3
    # The pole of the tilted orbit leans so that what flies north leaves the plane along the normal.
    np.testing.assert_allclose(relative[:, 2], RADIUS_M * tilt_rad * np.sin(u), atol=1e-3)
    np.testing.assert_allclose(relative[:, 5], RADIUS_M * tilt_rad * RATE_RAD_S * np.cos(u), atol=1e-6)


def test_outside_of_either_truth_nothing_is_known() -> None:
    relative = relative_truth(Circle(), Circle(span_gps_ms=(1_000_000, 9_000_000)), TIMES)
    np.testing.assert_array_equal(np.isfinite(relative[:, 0]), (TIMES >= 1_000_000) & (TIMES <= 5_000_000))
