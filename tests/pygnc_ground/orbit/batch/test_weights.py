"""Robust weights and the scale of the noise, on residuals whose distribution is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygnc_ground.orbit.batch.observations import huber, noise_scale, redescending

GATE = 21.1
lengths = st.floats(0.0, 1e6)


def chi_squares(count: int, scale: float, wild_fraction: float = 0.0) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    random = np.random.default_rng(3)
    residual = scale * random.normal(size=(count, 3))
    residual[: round(wild_fraction * count)] += 1000.0
    return np.asarray((residual**2).sum(axis=1))


@given(lengths, lengths)
def test_a_longer_residual_never_weighs_more(one: float, other: float) -> None:
    short, long = sorted((one, other))
    for weight in (huber(np.array([short, long])), redescending(np.array([short, long]), GATE)):
        assert 1.0 >= weight[0] >= weight[1] >= 0.0


def test_small_residuals_weigh_fully_and_those_beyond_the_gate_nothing() -> None:
    length = np.sqrt(GATE) * np.array([0.0, 0.7, 0.999, 1.0, 1e6])
    weight = redescending(length, GATE)
    assert weight[:2].tolist() == [1.0, 1.0]
    assert 0.0 < weight[2] < 1e-4
    assert weight[3:].tolist() == [0.0, 0.0]


def test_the_pull_of_hubers_weights_is_bounded_but_never_lost() -> None:
    length = np.array([10.0, 1e3, 1e6])
    np.testing.assert_allclose(huber(length) * length, 2.5)


@pytest.mark.parametrize("scale", [0.6, 1.0, 5.0])
@pytest.mark.parametrize("wild_fraction", [0.0, 0.03, 0.3])
def test_the_noise_scale_is_found_among_wild_residuals(scale: float, wild_fraction: float) -> None:
    found = noise_scale(chi_squares(20_000, scale, wild_fraction), 0.0, GATE, 0.5)
    assert found == pytest.approx(scale, rel=0.03)


def test_what_the_fit_took_from_the_residuals_is_given_back() -> None:
    assert noise_scale(chi_squares(20_000, 0.8), 1.0 - 0.8**2, GATE, 0.5) == pytest.approx(1.0, rel=0.03)


def test_few_residuals_hardly_move_the_receivers_claim_and_none_not_at_all() -> None:
    assert noise_scale(np.full(2, 0.01), 0.0, GATE, 0.5) > 0.9
    assert noise_scale(np.zeros(0), 0.0, GATE, 0.5) == 1.0


def test_the_noise_is_never_taken_for_less_than_the_setting() -> None:
    assert noise_scale(np.full(1000, 1e-6), 0.0, GATE, 0.5) == 0.5
