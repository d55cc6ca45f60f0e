"""Quantiles and different values are NumPy's, without what NumPy loads for them."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from pygnc.common.arrays import Array, median, quantile, unique


@given(
    arrays(np.float64, array_shapes(min_dims=1, max_dims=2, max_side=30), elements=st.floats(-1e6, 1e6)),
    st.floats(0.0, 1.0),
)
def test_quantiles_agree_with_numpy(values: Array, share: float) -> None:
    assert quantile(values, share) == pytest.approx(np.quantile(values, share, axis=0), rel=1e-9, abs=1e-9)
    assert median(values) == pytest.approx(np.median(values, axis=0), rel=1e-9, abs=1e-9)


@given(arrays(np.float64, array_shapes(max_dims=1, min_side=0, max_side=30), elements=st.integers(-9, 9)))
def test_different_values_agree_with_numpy(values: Array) -> None:
    for found, expected in zip(unique(values), np.unique(values, return_inverse=True), strict=True):
        np.testing.assert_array_equal(found, expected, strict=True)


def test_no_flight_process_loads_masked_arrays() -> None:
    code = """
import sys, numpy
from pygnc.common.arrays import median, unique
median(numpy.ones((9, 3)))
unique(numpy.ones(9))
sys.exit('numpy.ma' in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
