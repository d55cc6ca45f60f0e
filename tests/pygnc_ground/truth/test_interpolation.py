import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import KroghInterpolator

from pygnc_ground.truth.interpolation import hermite, lagrange
from pygnc_ground.truth.orbit_truth import FloatArray, IntArray

RNG = np.random.default_rng(5)
SAMPLE_NS: IntArray = 10**18 + np.cumsum(RNG.integers(5, 40, 14)) * 1_000_000_000
MOMENT_NS: IntArray = SAMPLE_NS[0] + RNG.integers(0, SAMPLE_NS[-1] - SAMPLE_NS[0], 50)


def seconds(gps_ns: IntArray) -> FloatArray:
    elapsed_s: FloatArray = (gps_ns - SAMPLE_NS[0]) * 1e-9
    return elapsed_s


def polynomial(degree: int, gps_ns: IntArray) -> FloatArray:
    """Position and velocity along three polynomials, shape (n, 6)."""
    curves = [np.polynomial.Polynomial(c, domain=[0.0, 300.0]) for c in RNG_COEFFICIENTS[:, : degree + 1]]
    t_s = seconds(gps_ns)
    return np.stack([c(t_s) for c in curves] + [c.deriv()(t_s) for c in curves], axis=1)


RNG_COEFFICIENTS = 7e6 * np.random.default_rng(6).standard_normal((3, 20))


@pytest.mark.parametrize("window", [2, 5, 10])
def test_polynomials_of_the_degree_are_met_exactly_by_positions_alone(window: int) -> None:
    samples = polynomial(window - 1, SAMPLE_NS)
    found = lagrange(SAMPLE_NS, samples[:, :3], window, MOMENT_NS)
    np.testing.assert_allclose(found, polynomial(window - 1, MOMENT_NS), rtol=1e-9, atol=1e-3)


@pytest.mark.parametrize("window", [2, 4, 7])
def test_polynomials_of_the_degree_are_met_exactly_with_velocities(window: int) -> None:
    samples = polynomial(2 * window - 1, SAMPLE_NS)
    found = hermite(SAMPLE_NS, samples, window, MOMENT_NS)
    np.testing.assert_allclose(found, polynomial(2 * window - 1, MOMENT_NS), rtol=1e-9, atol=1e-3)


def test_one_window_is_scipys_polynomial() -> None:
    time_ns, state = SAMPLE_NS[:4], np.random.default_rng(7).standard_normal((4, 6))
    moment_ns = MOMENT_NS[(time_ns[0] < MOMENT_NS) & (time_ns[-1] > MOMENT_NS)]
    t_s, sample_s = seconds(moment_ns), seconds(time_ns)
    positions = KroghInterpolator(sample_s, state[:, :3])
    expected = np.concatenate((positions(t_s), positions.derivative(t_s)), axis=1)
    np.testing.assert_allclose(lagrange(time_ns, state[:, :3], 4, moment_ns), expected, rtol=1e-9, atol=1e-9)
    both = KroghInterpolator(np.repeat(sample_s, 2), state.reshape(8, 3))
    expected = np.concatenate((both(t_s), both.derivative(t_s)), axis=1)
    np.testing.assert_allclose(hermite(time_ns, state, 4, moment_ns), expected, rtol=1e-9, atol=1e-9)


@given(st.integers(0, len(SAMPLE_NS) - 1), st.integers(2, 10))
def test_samples_come_back_as_they_are(row: int, window: int) -> None:
    state = 7e6 * np.random.default_rng(8).standard_normal((len(SAMPLE_NS), 6))
    np.testing.assert_array_equal(
        lagrange(SAMPLE_NS, state[:, :3], window, SAMPLE_NS[row : row + 1])[0, :3], state[row, :3]
    )
    found = hermite(SAMPLE_NS, state, window, SAMPLE_NS[row : row + 1])[0]
    np.testing.assert_array_equal(found[:3], state[row, :3])
    np.testing.assert_allclose(found[3:], state[row, 3:], rtol=1e-6)


def test_the_window_is_the_samples_around_the_moment() -> None:
    # Only the samples of the window may matter: spoil all others.
    state = polynomial(3, SAMPLE_NS)
    moment_ns = np.array([SAMPLE_NS[6] + 1])
    spoilt = np.full_like(state, 1e12)
    spoilt[5:9] = state[5:9]
    expected = polynomial(3, moment_ns)
    np.testing.assert_allclose(lagrange(SAMPLE_NS, spoilt[:, :3], 4, moment_ns), expected, rtol=1e-9)
    spoilt[5] = spoilt[8] = 1e12
    np.testing.assert_allclose(hermite(SAMPLE_NS, spoilt, 2, moment_ns), expected, rtol=1e-9)
