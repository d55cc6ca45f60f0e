import numpy as np
import pytest

from pygnc_ground.report.drawing import new_figure
from pygnc_ground.report.length_scale import length_scale


@pytest.mark.parametrize(
    ("values", "scale"),
    [([1.0, 1.2, 0.8], "linear"), ([1.0, 1.1, 300.0], "log"), ([0.0, np.nan], "linear"), ([], "linear")],
)
def test_values_that_differ_widely_get_a_logarithmic_scale(values: list[float], scale: str) -> None:
    axes = new_figure(2.0).add_subplot()
    length_scale(axes, [np.array(values), np.array([])])
    assert axes.get_yscale() == scale
    low, high = axes.get_ylim()
    shown = [value for value in values if value > 0.0]
    assert all(low <= value <= high for value in shown)
