import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pygnc_ground.orbit.solution import FloatArray
from pygnc_ground.report.decimation import extremes

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
