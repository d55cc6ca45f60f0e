import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygnc_station.store.readings import PlainValue, StoredReading, from_cell, plain, to_cell, to_text

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
    max_leaves=5,
)


@given(st.lists(PLAIN, max_size=5))
def test_stored_values_are_restored_exactly(values: list[PlainValue]) -> None:
    back = StoredReading(1, 1, 0, 0, 0, "", to_text(values), None).values
    assert back == values
    assert [type(value) for value in back] == [type(value) for value in values]


@given(PLAIN)
def test_csv_cells_are_converted_back_exactly(value: PlainValue) -> None:
    assert from_cell(to_cell(value)) == value
    assert type(from_cell(to_cell(value))) is type(value)


@pytest.mark.parametrize("text", ["", "null", "1", "true", '"', '"a"', "[1", " 1", "1e5", "OPC-N3 1774"])
def test_text_that_looks_like_another_type_stays_text(text: str) -> None:
    assert from_cell(to_cell(text)) == text


def test_nan_and_infinity_become_missing() -> None:
    assert [plain(value) for value in (math.nan, math.inf, b"\x01\xff", (1, 2.5))] == [None, None, "01ff", [1, 2.5]]
