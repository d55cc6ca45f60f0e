"""Digests: any bit counts, equal values have equal digests."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygnc.bus.messages import OrbitWatermark
from pygnc_ground.gate.outcome import digest


@dataclass
class Pair:
    one: float
    other: list[int]


CAUSE = pl.Enum(["x", "y"])
DIFFERENT: list[tuple[Any, Any]] = [
    (0.0, -0.0),
    (1.0, math.nextafter(1.0, 2.0)),
    (1, 1.0),
    (None, "None"),
    (np.zeros(3), -np.zeros(3)),
    (np.zeros((2, 3)), np.zeros((3, 2))),
    (np.zeros(2), np.zeros(2, np.int64)),
    ([[1], []], [[], [1]]),
    (("ab", "c"), ("a", "bc")),
    (Pair(1.0, [2]), Pair(1.0, [3])),
    ({"a": 1}, {"b": 1}),
    (OrbitWatermark(1, 2), OrbitWatermark(1, 3)),
    (pl.DataFrame({"a": [None, 1.0]}), pl.DataFrame({"a": [0.0, 1.0]})),
    (pl.DataFrame({"a": [0.0]}), pl.DataFrame({"a": [-0.0]})),
    (pl.DataFrame({"a": ["x", ""]}), pl.DataFrame({"a": ["x", None]})),
    (pl.DataFrame({"a": [1.0]}), pl.DataFrame({"b": [1.0]})),
    (pl.DataFrame({"a": [True, None]}), pl.DataFrame({"a": [False, None]})),
    (pl.DataFrame({"a": [True, None]}), pl.DataFrame({"a": [True, False]})),
    (
        pl.DataFrame({"a": pl.Series(["x", None], dtype=CAUSE)}),
        pl.DataFrame({"a": pl.Series(["y", None], dtype=CAUSE)}),
    ),
    (pl.DataFrame({"a": pl.Series(["x", None], dtype=CAUSE)}), pl.DataFrame({"a": pl.Series(["x", "x"], dtype=CAUSE)})),
]


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_values_that_differ_in_a_bit_have_other_digests(one: object, other: object) -> None:
    assert digest(one) != digest(other)
    assert digest([one, other]) != digest([other, one])


@given(st.lists(st.floats(), min_size=1), st.data())
def test_every_bit_of_an_array_counts(values: list[float], data: st.DataObject) -> None:
    array = np.array(values)
    same = array.copy()
    assert digest(array) == digest(same)
    bit = data.draw(st.integers(0, 64 * len(values) - 1))
    same.view(np.uint8)[bit // 8] ^= 1 << bit % 8
    assert digest(array) != digest(same)


def test_memory_layout_does_not_count() -> None:
    array = np.arange(6.0).reshape(2, 3)
    assert digest(array) == digest(np.asfortranarray(array))


def test_other_types_are_refused() -> None:
    for value in (object(), np.array([object()]), {1, 2}):
        with pytest.raises(TypeError):
            digest(value)
