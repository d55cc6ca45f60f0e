import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pygnc_ground.orbit.solution import FloatArray
from pygnc_ground.report.decimation import extremes, scattered

VALUES = arrays(np.float64, st.integers(0, 300), elements=st.floats(-1e9, 1e9))


@given(VALUES, st.integers(1, 40))
def test_the_picked_values_are_few_and_have_the_peaks_and_the_ends(y: FloatArray, bins: int) -> None:
    picked = extremes(y, bins)
    assert len(picked) <= 2 * bins + 2
    assert (np.diff(picked) > 0).all()
    if len(y):
        assert {0, len(y) - 1} <= set(picked.tolist())
        assert (y[picked].min(), y[picked].max()) == (y.min(), y.max())


@given(VALUES)
def test_few_values_all_stay(y: FloatArray) -> None:
    assert extremes(y, max(1, (len(y) + 1) // 2)).tolist() == list(range(len(y)))


def test_every_stretch_keeps_its_own_peaks() -> None:
    y = np.zeros(1000)
    y[137], y[138], y[870] = 5.0, -5.0, 1.0
    assert {137, 138, 870} <= set(extremes(y, 10).tolist())


@given(VALUES, st.integers(1, 40))
def test_scattered_values_are_few_and_have_the_peaks(y: FloatArray, bins: int) -> None:
    picked = scattered(y, bins)
    assert len(picked) <= 2 * bins + 4
    assert (np.diff(picked) > 0).all()
    assert picked.tolist() == list(range(len(y))) or (y[picked].min(), y[picked].max()) == (y.min(), y.max())


def test_noise_stays_noise() -> None:
    y = np.random.default_rng(1).normal(size=20_000)
    few = y[scattered(y, 600)]
    assert 900 < len(few) <= 1200
    assert abs(float((np.abs(few) < 0.5).mean()) - 0.383) < 0.08
    assert abs(float((np.abs(y[extremes(y, 600)]) < 0.5).mean())) < 0.05


def test_a_period_does_not_show_as_another_one() -> None:
    y = np.sin(np.arange(20_000) * 2.0 * np.pi / 22.2)
    few = y[scattered(y, 600)]
    assert abs(float((np.abs(few) < 0.5).mean()) - 1.0 / 3.0) < 0.08
