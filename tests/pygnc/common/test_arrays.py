"""Quantiles are NumPy's, without what NumPy loads for them."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from pygnc.common.arrays import Array, median, quantile


@given(
    arrays(np.float64, array_shapes(min_dims=1, max_dims=2, max_side=30), elements=st.floats(-1e6, 1e6)),
    st.floats(0.0, 1.0),
)
def test_quantiles_agree_with_numpy(values: Array, share: float) -> None:
    assert quantile(values, share) == pytest.approx(np.quantile(values, share, axis=0), rel=1e-9, abs=1e-9)
    assert median(values) == pytest.approx(np.median(values, axis=0), rel=1e-9, abs=1e-9)


def test_no_flight_process_loads_masked_arrays() -> None:
    code = (
        "import sys, numpy, pygnc.common.arrays as q; q.median(numpy.ones((9, 3)));sys.exit('numpy.ma' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
