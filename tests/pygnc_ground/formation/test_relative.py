"""Relative coordinates against brahe and closed forms; truth and accuracy of relative states."""

import math
from dataclasses import dataclass

import numpy as np
import pytest

from pygnc.estimators.formation.relative_coordinates import d_elements_d_state, relative_elements
from pygnc_ground.formation.relative import relative_accuracy, relative_truth, rtn_from_gcrf
from pygnc_ground.orbit.solution import FloatArray, IntArray
from pygnc_ground.scenario.settings import Orbit
from pygnc_ground.scenario.trajectory import initial_state_gcrf
from pygnc_ground.truth.orbit_truth import TrueOrbit
from tests.pygnc.environment.authority import brahe


def pair(seed: int, **elements: float) -> tuple[FloatArray, FloatArray]:
    """Two satellites some kilometres apart."""
    draw = np.random.default_rng(seed)
    drawn = {
        "eccentricity": draw.uniform(1e-4, 0.01),
        "inclination_deg": draw.uniform(20.0, 120.0),
        "raan_deg": draw.uniform(10.0, 350.0),
        "argument_of_perigee_deg": draw.uniform(10.0, 170.0),
        "mean_anomaly_deg": draw.uniform(10.0, 170.0),
    }
    own = initial_state_gcrf(Orbit(**(drawn | elements)))
    return own, own + np.concatenate((1e3 * draw.standard_normal(3), draw.standard_normal(3)))


@pytest.mark.parametrize("seed", range(10))
def test_elements_match_brahe(seed: int) -> None:
    own, other = pair(seed)
    expected = np.asarray(brahe.state_eci_to_roe(own, other, brahe.AngleFormat.RADIANS))
    # brahe's angles may be off by a full turn.
    expected[[1, 4, 5]] -= 2.0 * math.pi * np.round(expected[[1, 4, 5]] / (2.0 * math.pi))
    axis_m = brahe.state_eci_to_koe(own, brahe.AngleFormat.RADIANS)[0]
    np.testing.assert_allclose(relative_elements(own, other), axis_m * expected, rtol=1e-7, atol=1e-4)


def test_elements_are_continuous_where_angles_wrap() -> None:
    for angles in ((0.0, 0.0, 0.0), (0.0, 200.0, 160.0), (180.0, 0.0, 180.0)):
        names = ("raan_deg", "argument_of_perigee_deg", "mean_anomaly_deg")
        own, other = pair(3, **dict(zip(names, angles, strict=True)))
        for scale in (1.0, -1.0):
            elements = relative_elements(own, own + scale * (other - own))
            assert np.abs(elements).max() < 2e4


def test_a_satellite_ahead_on_the_same_circle_differs_in_longitude_only() -> None:
    for ahead_deg in (0.01, -0.02):
        own, other = (
            initial_state_gcrf(Orbit(eccentricity=0.0, mean_anomaly_deg=angle)) for angle in (50.0, 50.0 + ahead_deg)
        )
        arc_m = Orbit().semi_major_axis_m * math.radians(ahead_deg)
        np.testing.assert_allclose(relative_elements(own, other), [0.0, arc_m, 0.0, 0.0, 0.0, 0.0], atol=1e-5)


def test_derivatives_predict_a_kilometre_to_second_order() -> None:
    own, other = pair(7)
    foretold = d_elements_d_state(own, other) @ (own - other)
    np.testing.assert_allclose(foretold, -relative_elements(own, other), atol=5.0)
    small = own + 1e-3 * (other - own)
    foretold = d_elements_d_state(own, own) @ (small - own)
    np.testing.assert_allclose(foretold, relative_elements(own, small), atol=1e-5)


def test_rtn_axes_match_brahe() -> None:
    for seed in range(5):
        own, other = pair(seed)
        expected = brahe.state_eci_to_rtn(own, other)
        np.testing.assert_allclose(rtn_from_gcrf(own) @ (other - own), expected, rtol=1e-9, atol=1e-6)


def test_arrays_of_states_equal_single_states() -> None:
    own, other = np.array([pair(seed) for seed in range(4)]).transpose(1, 0, 2)
    for function in (relative_elements, d_elements_d_state):
        together = function(own, other)
        np.testing.assert_array_equal(together, [function(one, two) for one, two in zip(own, other, strict=True)])
    np.testing.assert_array_equal(rtn_from_gcrf(own), [rtn_from_gcrf(one) for one in own])


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


def test_another_plane_oscillates_along_the_normal() -> None:
    tilt_rad = 1e-5
    relative = relative_truth(Circle(), Circle(tilt_rad=tilt_rad), TIMES[:10])
    u = RATE_RAD_S * TIMES[:10] / 1e3
    # The pole of the tilted orbit leans so that what flies north leaves the plane along the normal.
    np.testing.assert_allclose(relative[:, 2], RADIUS_M * tilt_rad * np.sin(u), atol=1e-3)
    np.testing.assert_allclose(relative[:, 5], RADIUS_M * tilt_rad * RATE_RAD_S * np.cos(u), atol=1e-6)


def test_returns_nan_outside_either_truth() -> None:
    relative = relative_truth(Circle(), Circle(span_gps_ms=(1_000_000, 9_000_000)), TIMES)
    np.testing.assert_array_equal(np.isfinite(relative[:, 0]), (TIMES >= 1_000_000) & (TIMES <= 5_000_000))


SIGMA = np.array([1.0, 2.0, 2.0, 1e-3, 2e-3, 2e-3])


def states(count: int) -> tuple[FloatArray, FloatArray]:
    """Zeros, and covariances of `SIGMA`."""
    return np.zeros((count, 6)), np.tile(np.diag(SIGMA**2), (count, 1, 1))


def test_errors_and_sigmas_are_root_mean_squares() -> None:
    rtn, covariance = states(4)
    rtn[:, :3] = [[3.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 12.0], [0.0, 0.0, 0.0]]
    found = relative_accuracy(rtn, covariance, np.zeros((4, 6)))
    assert found.error_m == pytest.approx(np.sqrt((9.0 + 16.0 + 144.0) / 4.0))
    assert found.error_rtn_m == pytest.approx((1.5, 2.0, 6.0))
    assert found.sigma_m == pytest.approx(3.0)
    assert found.velocity_sigma_mps == pytest.approx(3e-3)
    assert found.ratio == pytest.approx(found.error_m / 3.0)


def test_consistent_errors_have_a_nees_of_six() -> None:
    rtn, covariance = states(4000)
    mixed = np.linalg.qr(np.random.default_rng(1).normal(size=(6, 6)))[0]
    rtn = np.random.default_rng(2).normal(size=(4000, 6)) * SIGMA @ mixed.T
    found = relative_accuracy(rtn, mixed @ covariance @ mixed.T, np.zeros((4000, 6)))
    # The mean of chi-squares of 6 degrees of freedom scatters by sqrt(12 / 4000).
    assert found.nees_mean == pytest.approx(6.0, abs=5.0 * np.sqrt(12.0 / 4000.0))


def test_counts_only_moments_with_state_and_truth() -> None:
    rtn, covariance = states(6)
    true = np.ones((6, 6))
    rtn[0], true[5] = np.nan, np.nan
    covariance[0] = np.nan
    found = relative_accuracy(rtn, covariance, true)
    assert found.error_m == pytest.approx(np.sqrt(3.0))


def test_without_truth_sigmas_are_of_all_states() -> None:
    rtn, covariance = states(5)
    rtn[2] = covariance[2] = np.nan
    found = relative_accuracy(rtn, covariance, np.full((5, 6), np.nan))
    assert found.sigma_m == pytest.approx(3.0)
    assert np.isnan(found.error_m)
    assert np.isnan(found.nees_mean)


def test_returns_nan_without_states() -> None:
    found = relative_accuracy(np.full((2, 6), np.nan), np.full((2, 6, 6), np.nan), np.zeros((2, 6)))
    assert np.isnan(found.sigma_m)
