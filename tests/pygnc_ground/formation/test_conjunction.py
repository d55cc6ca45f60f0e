"""Probabilities of a collision against independent integrals over a disc, and against Monte Carlo."""

import math

import numpy as np
import pytest
from scipy.integrate import dblquad

from pygnc.estimators.formation.approach import STEP_S, RelativeTrack
from pygnc_ground.formation.conjunction import conjunction, encounters
from pygnc_ground.orbit.solution import IntArray

END_S = 1_800.0


def straight(miss_m: float, speed_mps: float, sigma_m: tuple[float, float, float]) -> RelativeTrack:
    """Return a partner that passes on a straight line along x, off by `miss_m` along y."""
    t_s = np.arange(END_S / STEP_S + 1.0) * STEP_S - 0.5 * END_S + 37.0
    values, rates = np.zeros((2, len(t_s), 3, 4))
    values[:, 0, 0], values[:, 1, 0], rates[:, 0, 0] = speed_mps * t_s, miss_m, speed_mps
    values[:, :, 1:] = np.diag(sigma_m)
    return RelativeTrack(75, 3, 1.0, 0, (0.0, END_S), values, rates)


def disc(miss_m: float, sigma_m: tuple[float, float], radius_m: float) -> float:
    """Return the integral of a normal distribution over a disc, the probability in a short encounter."""

    def density(z: float, y: float) -> float:
        squares = ((y - miss_m) / sigma_m[0]) ** 2 + (z / sigma_m[1]) ** 2
        return math.exp(-0.5 * squares) / (2.0 * math.pi * sigma_m[0] * sigma_m[1])

    def half(y: float) -> float:
        return math.sqrt(max(radius_m**2 - y**2, 0.0))

    return float(dblquad(density, -radius_m, radius_m, lambda y: -half(y), half)[0])


@pytest.mark.parametrize(
    ("miss_m", "speed_mps", "sigma_m", "radius_m"),
    [
        (20.0, 5.0, (10.0, 10.0, 10.0), 1.0),
        (30.0, 0.3, (17.0, 9.0, 4.0), 2.0),
        (0.0, 7.0, (1.0, 0.5, 0.5), 1.0),
        (2.0, 3.0, (0.3, 0.2, 0.4), 1.5),
        (3.0, 50.0, (5.0, 1.0, 2.0), 5.0),
    ],
)
def test_a_straight_pass_has_the_probability_of_the_disc(
    miss_m: float, speed_mps: float, sigma_m: tuple[float, float, float], radius_m: float
) -> None:
    found = conjunction(straight(miss_m, speed_mps, sigma_m), radius_m)
    assert found.probability == pytest.approx(disc(miss_m, sigma_m[1:], radius_m), rel=1e-5)
    assert found.nearest == found.likeliest
    assert found.nearest.distance_m == pytest.approx(miss_m, abs=0.5 * speed_mps)


def test_a_partner_that_is_inside_from_the_beginning_counts() -> None:
    still = straight(0.0, 0.0, (1.0, 1.0, 1.0))
    # Three components within a ball of one sigma: chi-square distribution with three degrees of freedom.
    assert conjunction(still, 1.0).probability == pytest.approx(0.198748, rel=1e-5)


def slow_ellipse() -> RelativeTrack:
    """Return a partner on an ellipse around us, with an error along the track that grows to tens of metres."""
    rate_rad_s, end_s = 1.1e-3, 11_520.0
    t_s = np.arange(0.0, end_s + 1.0, STEP_S)
    u = rate_rad_s * t_s
    zero, one = np.zeros_like(t_s), np.ones_like(t_s)
    mean = (5.0 * np.cos(u), 8.0 - 10.0 * np.sin(u), 3.0 * np.sin(u))
    rate = (-5.0 * rate_rad_s * np.sin(u), -10.0 * rate_rad_s * np.cos(u), 3.0 * rate_rad_s * np.cos(u))
    modes = (
        (1.5 * one, zero, zero),
        (zero, zero, 1.5 * one),
        (zero, 4.0 * one, zero),
        (zero, 2e-3 * t_s, zero),
        (2.0 * np.cos(u), -4.0 * np.sin(u), zero),
        (zero, zero, 3.0 * np.cos(u)),
    )
    mode_rates = (
        (zero, zero, zero),
        (zero, zero, zero),
        (zero, zero, zero),
        (zero, 2e-3 * one, zero),
        (-2.0 * rate_rad_s * np.sin(u), -4.0 * rate_rad_s * np.cos(u), zero),
        (zero, zero, -3.0 * rate_rad_s * np.sin(u)),
    )
    values = np.stack([np.stack(each, axis=1) for each in (mean, *modes)], axis=2)
    rates = np.stack([np.stack(each, axis=1) for each in (rate, *mode_rates)], axis=2)
    return RelativeTrack(75, 3, 1.0, 0, (0.0, end_s), values, rates)


def entries(track: RelativeTrack, radius_m: float, count: int) -> IntArray:
    """Return how often each of `count` random orbits enters the sphere, by its distance every two seconds."""
    modes = track.values.shape[2] - 1
    drawn = np.concatenate((np.ones((count, 1)), np.random.default_rng(5).normal(size=(count, modes))), axis=1)
    found, inside = np.zeros(count, np.int64), np.zeros(count, np.bool_)
    for seconds in np.array_split(np.arange(*track.within_s, 2.0), 60):
        position = track.at(seconds) @ drawn.T
        is_inside = np.concatenate((inside[None], np.einsum("kin,kin->kn", position, position) < radius_m**2))
        found += (is_inside[1:] & ~is_inside[:-1]).sum(axis=0)
        inside = is_inside[-1]
    return found


def test_slow_passes_on_a_curved_path_agree_with_monte_carlo() -> None:
    track, radius_m, count = slow_ellipse(), 2.0, 4_000
    expected = conjunction(track, radius_m).probability
    found = entries(track, radius_m, count)
    assert 0.02 < (found > 0).mean() <= found.mean() < 0.5
    assert abs(found.mean() - expected) < 3.0 * found.std() / math.sqrt(count)


def test_encounters_are_separate_and_the_most_probable_one_may_be_later_than_the_nearest() -> None:
    found = list(encounters(slow_ellipse(), 2.0))
    assert len(found) >= 2
    assert [each.gps_ms for each in found] == sorted(each.gps_ms for each in found)
    one = conjunction(slow_ellipse(), 2.0)
    assert one.hypothesis == 3
    assert one.nearest[:4] == min(found, key=lambda each: each.distance_m)[:4]
    assert one.likeliest[:4] == max(found, key=lambda each: each.probability)[:4]
    for each in (one.nearest, one.likeliest):
        assert np.linalg.norm(each.relative[:3]) == pytest.approx(each.distance_m)
        along = each.relative[:3] / each.distance_m
        assert np.sqrt(along @ each.covariance[:3, :3] @ along) <= each.sigma_m * (1.0 + 1e-9)
    assert one.probability == pytest.approx(sum(each.probability for each in found))


def test_a_distant_partner_never_collides() -> None:
    assert conjunction(straight(500.0, 1.0, (5.0, 5.0, 5.0)), 1.0).probability == 0.0
