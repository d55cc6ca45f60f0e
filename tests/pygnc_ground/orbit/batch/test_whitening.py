"""Whitening against the Cholesky factorisation of the dense covariance."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pygnc_ground.orbit.batch.whitening import Whitening


@given(st.integers(1, 40), st.floats(0.0, 0.95), st.floats(10.0, 5000.0), st.integers(0, 1000))
@settings(max_examples=50)
def test_it_is_the_dense_whitening(count: int, share: float, time_s: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    gps_ms = np.cumsum(random.integers(1, 100_000, count))
    weight = random.uniform(0.05, 1.0, count)
    apart_s = np.abs(gps_ms[:, None] - gps_ms) * 1e-3
    covariance = np.diag((1.0 - share) / weight) + share * np.exp(-apart_s / time_s)
    values = random.normal(size=(count, 3, 2))
    whitening = Whitening(gps_ms, weight, share, time_s)
    white = whitening.apply(values, 0, np.zeros((3, 2)))
    expected = np.linalg.solve(np.linalg.cholesky(covariance), values.reshape(count, -1)).reshape(values.shape)
    np.testing.assert_allclose(white, expected, atol=1e-9)
    of_vectors = whitening.apply(values[..., 0], 0, np.zeros(3))
    np.testing.assert_array_equal(of_vectors, white[..., 0])
    assert whitening.log_determinant == pytest.approx(np.linalg.slogdet(covariance)[1], abs=1e-8)


def test_blocks_give_the_same_as_the_whole() -> None:
    random = np.random.default_rng(5)
    gps_ms, weight = 25_000 * np.arange(50), random.uniform(0.1, 1.0, 50)
    values = random.normal(size=(50, 3))
    whitening = Whitening(gps_ms, weight, 0.6, 600.0)
    whole = whitening.apply(values, 0, np.zeros(3))
    state = np.zeros(3)
    parts = [whitening.apply(values[first : first + 20], first, state) for first in (0, 20, 40)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_an_excluded_observation_has_no_influence() -> None:
    random = np.random.default_rng(6)
    gps_ms, weight = 25_000 * np.arange(20), np.ones(20)
    weight[7] = 0.0
    values = random.normal(size=(20, 3))
    kept = np.arange(20) != 7
    white = Whitening(gps_ms, weight, 0.6, 600.0).apply(values, 0, np.zeros(3))
    without = Whitening(gps_ms[kept], weight[kept], 0.6, 600.0).apply(values[kept], 0, np.zeros(3))
    np.testing.assert_allclose(white[kept], without)
    assert not white[7].any()
