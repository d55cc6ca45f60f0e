"""Bounds against closed forms, textbook relative motion and earlier published figures of the same cases."""

import math
from functools import cache
from itertools import accumulate

import numpy as np
import numpy.typing as npt
import pytest

from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc.environment.frames import EarthFrames
from pygnc.environment.gravity import GM_EARTH_M3_S2
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc_ground.orbit.bound import (
    KnownFixes,
    LinearSystem,
    OrbitBounds,
    least_covariances,
    orbit_bounds,
)

FloatArray = npt.NDArray[np.float64]
RADIUS_M = 6_878_137.0
MEAN_MOTION = math.sqrt(GM_EARTH_M3_S2 / RADIUS_M**3)
BEGIN_MS = 1_391_299_218_000
UNKNOWN = 1e12


def system(transition: FloatArray, sqrt_noise: FloatArray, information: FloatArray, count: int) -> LinearSystem:
    """Return a system that repeats a step and a measurement `count` times."""
    return LinearSystem(
        *(
            np.tile(one, (n, 1, 1))
            for one, n in ((transition, count - 1), (sqrt_noise, count - 1), (information, count))
        )
    )


def rms(values: FloatArray) -> float:
    return float(np.sqrt(np.mean(values**2)))


# --- Closed forms -----------------------------------------------------------------------------------------------------


def test_a_constant_measured_n_times_is_known_by_the_root_of_n() -> None:
    one, nothing = np.eye(3), np.zeros((3, 3))
    constant = system(one, nothing, one / 10.0**2, 50)
    filtered, smoothed = least_covariances(constant, UNKNOWN * one)
    so_far = 100.0 / np.arange(1.0, 51.0)
    np.testing.assert_allclose(filtered, so_far[:, None, None] * one, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(smoothed, np.tile(2.0 * one, (50, 1, 1)), rtol=1e-6, atol=1e-9)


def test_a_constant_velocity_is_a_regression_line() -> None:
    """Variance of a line at time t: sigma^2 (1/n + (t - mean)^2 / sum of squares about the mean)."""
    step_s, count, sigma_m = 25.0, 40, 10.0
    transition = np.array([[1.0, step_s], [0.0, 1.0]])
    information = np.diag([1.0 / sigma_m**2, 0.0])
    line = system(transition, np.zeros((2, 2)), information, count)
    time_s = step_s * np.arange(count)
    about_mean = time_s - time_s.mean()
    position = sigma_m**2 * (1.0 / count + about_mean**2 / (about_mean**2).sum())
    filtered, smoothed = least_covariances(line, np.diag([1e8, 1e4]))
    np.testing.assert_allclose(smoothed[:, 0, 0], position, rtol=1e-4)
    np.testing.assert_allclose(smoothed[:, 1, 1], sigma_m**2 / (about_mean**2).sum(), rtol=1e-4)
    np.testing.assert_allclose(filtered[-1], smoothed[-1], rtol=1e-6)


@pytest.mark.parametrize(("noise", "variance"), [(1.0, 1.0), (0.01, 4.0), (5.0, 0.1)])
def test_a_random_walk_settles_where_riccatis_equation_says(noise: float, variance: float) -> None:
    """Predicted p = q/2 + sqrt(q^2/4 + q r), filtered p r / (p + r); smoothed from both sides, 1 / (1/f + 1/p)."""
    one = np.eye(1)
    walk = system(one, math.sqrt(noise) * one, one / variance, 2_001)
    filtered, smoothed = least_covariances(walk, UNKNOWN * one)
    predicted = 0.5 * noise + math.sqrt(0.25 * noise**2 + noise * variance)
    expected = predicted * variance / (predicted + variance)
    assert filtered[-1, 0, 0] == pytest.approx(expected, rel=1e-9)
    assert smoothed[1_000, 0, 0] == pytest.approx(1.0 / (1.0 / expected + 1.0 / predicted), rel=1e-9)


def test_without_process_noise_it_is_the_inverse_of_the_information() -> None:
    """I = sum Phi' H' R^-1 H Phi, propagated by Phi (van Trees, 2.4)."""
    random = np.random.default_rng(12)
    steps = np.eye(4) + 0.1 * random.normal(size=(29, 4, 4))
    rows = random.normal(size=(30, 2, 4))
    information = rows.transpose(0, 2, 1) @ rows
    both = LinearSystem(steps, np.zeros_like(steps), information)
    filtered, smoothed = least_covariances(both, 100.0 * np.eye(4))
    from_start = np.array(list(accumulate(steps, lambda before, step: step @ before, initial=np.eye(4))))
    so_far = 0.01 * np.eye(4) + np.cumsum(from_start.transpose(0, 2, 1) @ information @ from_start, axis=0)
    for found, total in ((filtered, so_far), (smoothed, so_far[-1])):
        expected = from_start @ np.linalg.inv(total) @ from_start.transpose(0, 2, 1)
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


# --- Orbits -----------------------------------------------------------------------------------------------------------


def circular(hours: float, interval_s: float, position_m: float, velocity_mps: float) -> KnownFixes:
    """Fixes of a circular orbit at 500 km, 97.4 degrees inclined."""
    time_s = np.arange(0.0, 3600.0 * hours + 1.0, interval_s)
    angle, tilt = MEAN_MOTION * time_s, math.radians(97.4)
    along = np.array([0.0, math.cos(tilt), math.sin(tilt)])
    radial = np.cos(angle)[:, None] * np.array([1.0, 0.0, 0.0]) + np.sin(angle)[:, None] * along
    transverse = -np.sin(angle)[:, None] * np.array([1.0, 0.0, 0.0]) + np.cos(angle)[:, None] * along
    states = np.concatenate((RADIUS_M * radial, RADIUS_M * MEAN_MOTION * transverse), axis=1)
    gps_ms = BEGIN_MS + np.round(1e3 * time_s).astype(np.int64)
    return KnownFixes(gps_ms, states, np.tile([position_m] * 3 + [velocity_mps] * 3, (len(time_s), 1)))


@cache
def bounds_of(hours: float, interval_s: float, position_m: float, velocity_mps: float) -> OrbitBounds:
    frames = EarthFrames(EarthOrientationTable.none())
    return orbit_bounds(circular(hours, interval_s, position_m, velocity_mps), OrbitSettings(), frames)


# Computed elsewhere with satkit's state transition matrices: 3-D RMS over the arc, and at its end.
@pytest.mark.parametrize(
    ("hours", "interval_s", "position_m", "velocity_mps", "expected_m", "end_m"),
    [
        (1.5, 25.0, 10.0, 0.01, 1.28, None),
        (3.0, 25.0, 10.0, 0.01, 0.92, None),
        (3.0, 25.0, 10.0, 0.001, 0.139, None),
        (3.0, 300.0, 10.0, 0.01, 3.14, None),
        (3.0, 25.0, 30.0, 0.03, 2.76, None),
        (3.0, 25.0, 10.0, math.inf, 1.27, None),
        (12.0, 60.0, 10.0, 0.01, 0.71, 0.96),
        (12.0, 300.0, 10.0, 0.01, 1.58, 2.12),
        (12.0, 300.0, 10.0, 0.001, 0.24, 0.30),
    ],
)
def test_state_and_drag_are_bounded_as_computed_elsewhere(
    *, hours: float, interval_s: float, position_m: float, velocity_mps: float, expected_m: float, end_m: float | None
) -> None:
    bound = bounds_of(hours, interval_s, position_m, velocity_mps).deterministic_smoother
    assert rms(bound.position_m) == pytest.approx(expected_m, rel=0.05)
    if end_m is not None:
        assert bound.position_m[-1] == pytest.approx(end_m, rel=0.05)


def relative_motion(time_s: float) -> FloatArray:
    """Hill, Clohessy & Wiltshire: state transition in RTN, the last column for a constant transverse acceleration."""
    n, t = MEAN_MOTION, time_s
    s, c = math.sin(n * t), math.cos(n * t)
    return np.array(
        [
            [4 - 3 * c, 0, 0, s / n, 2 * (1 - c) / n, 0, 2 * (n * t - s) / n**2],
            [6 * (s - n * t), 1, 0, -2 * (1 - c) / n, (4 * s - 3 * n * t) / n, 0, (4 - 4 * c) / n**2 - 1.5 * t**2],
            [0, 0, c, 0, 0, s / n, 0],
            [3 * n * s, 0, 0, c, 2 * s, 0, 2 * (1 - c) / n],
            [-6 * n * (1 - c), 0, 0, -2 * s, 4 * c - 3, 0, 4 * s / n - 3 * t],
            [0, 0, -n * s, 0, 0, c, 0],
            [0, 0, 0, 0, 0, 0, 1],
        ]
    )


def test_a_circular_orbit_is_bounded_as_by_relative_motion_in_closed_form() -> None:
    """Drag acts along the track; the oblate Earth and the density's variation make the rest of the difference."""
    time_s = np.arange(0.0, 3 * 3600.0 + 1.0, 25.0)
    seen = np.zeros((6, 7))
    seen[:, :6] = np.eye(6)
    # Velocities relative to the turning axes become inertial ones, which the receiver sees, by adding n x r.
    seen[3, 1], seen[4, 0] = -MEAN_MOTION, MEAN_MOTION
    rows = [seen @ relative_motion(t) / np.repeat((10.0, 0.01), 3)[:, None] for t in time_s.tolist()]
    covariance = np.linalg.inv(sum(row.T @ row for row in rows))
    variance = [np.trace((relative_motion(t) @ covariance @ relative_motion(t).T)[:3, :3]) for t in time_s.tolist()]
    bound = bounds_of(3.0, 25.0, 10.0, 0.01).deterministic_smoother
    assert rms(bound.position_m) == pytest.approx(math.sqrt(np.mean(variance)), rel=0.03)


def test_all_fixes_give_lower_bounds_than_fixes_so_far() -> None:
    bounds = bounds_of(3.0, 25.0, 10.0, 0.01)
    for filtered, smoothed in (
        (bounds.deterministic_filter, bounds.deterministic_smoother),
        (bounds.posterior_filter, bounds.posterior_smoother),
    ):
        assert (smoothed.position_m <= filtered.position_m * (1.0 + 1e-9)).all()
        assert (smoothed.velocity_mps <= filtered.velocity_mps * (1.0 + 1e-9)).all()
        np.testing.assert_allclose(filtered.covariance[-1], smoothed.covariance[-1], rtol=1e-6, atol=1e-12)


def test_process_noise_only_harms_and_more_so_over_a_longer_arc() -> None:
    short, long = bounds_of(3.0, 60.0, 10.0, 0.01), bounds_of(12.0, 60.0, 10.0, 0.01)
    ratios = [
        rms(one.posterior_smoother.position_m) / rms(one.deterministic_smoother.position_m) for one in (short, long)
    ]
    assert 1.0 < ratios[0] < ratios[1]


def test_the_first_fix_alone_leaves_its_own_noise() -> None:
    bounds = bounds_of(3.0, 25.0, 10.0, 0.01)
    for bound in (bounds.deterministic_filter, bounds.posterior_filter):
        assert bound.position_m[0] == pytest.approx(10.0 * math.sqrt(3.0), rel=1e-3)
        assert bound.velocity_mps[0] == pytest.approx(0.01 * math.sqrt(3.0), rel=0.01)


def test_a_fix_is_as_good_along_each_axis_of_the_earth_as_the_receiver_says() -> None:
    frames = EarthFrames(EarthOrientationTable.none())
    fixes = circular(0.0, 25.0, 10.0, 0.01)
    sigma = np.array([1.0, 20.0, 5.0, 0.1, 0.2, 0.02])
    bounds = orbit_bounds(KnownFixes(fixes.gps_ms, fixes.states_gcrf, sigma[None]), OrbitSettings(), frames)
    to_ecef = frames.ecef_state_from_gcrf(BEGIN_MS)
    for bound in (bounds.deterministic_filter, bounds.posterior_smoother):
        covariance = to_ecef @ bound.covariance[0] @ to_ecef.T
        np.testing.assert_allclose(np.sqrt(np.diagonal(covariance)), sigma, rtol=1e-4)


def test_both_ends_of_an_arc_are_known_alike() -> None:
    """The processes are as uncertain at the beginning as ever after, so time could as well run backwards."""
    sigma_m = bounds_of(12.0, 60.0, 10.0, 0.01).posterior_smoother.position_m
    assert sigma_m[0] == pytest.approx(sigma_m[-1], rel=0.2)


def test_a_single_fix_has_bounds_too() -> None:
    frames = EarthFrames(EarthOrientationTable.none())
    fixes = circular(0.0, 25.0, 10.0, 0.01)
    bounds = orbit_bounds(fixes, OrbitSettings(), frames)
    assert bounds.posterior_smoother.position_m == pytest.approx([10.0 * math.sqrt(3.0)], rel=1e-3)
