"""Cells assembled by string and number."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygnc_devices.emus.cells import CellTable
from pygnc_devices.emus.unit import EmusUnit
from pygnc_devices.framing import Frame
from pygnc_devices.reading import Counters, Reading, Stamp
from tests.pygnc_devices.emus.vectors import Values, cells


def table(*groups: Values) -> CellTable:
    made = CellTable("BV2")
    for group in groups:
        made.add(group)
    return made


def groups(count: int, strings: int = 1) -> list[Values]:
    """Return all sentences about strings of cells; the voltage identifies the cell."""
    return [
        cells("BV2", string, first, [2 + string + number / 100 for number in range(first, min(first + 8, count))])
        for string in range(strings)
        for first in range(0, count, 8)
    ]


@given(st.integers(1, 60), st.integers(1, 3), st.integers())
def test_assembles_cells_in_any_order(count: int, strings: int, seed: int) -> None:
    shuffled = groups(count, strings)
    random.Random(seed).shuffle(shuffled)  # noqa: S311 - an order, no secret
    data = table(*shuffled).data(count * strings)
    assert list(data.values) == [(string, number) for string in range(strings) for number in range(count)]
    assert all(value == 2 + string + number / 100 for (string, number), value in data.values.items())
    assert (data.is_complete, data.missing) == (True, ())


@given(st.integers(9, 60), st.integers(0, 7))
def test_reports_a_missing_sentence(count: int, which: int) -> None:
    found = groups(count)
    lost = found.pop(which % len(found))
    data = table(*found).data(count)
    assert not data.is_complete
    size, first = lost["size"], lost["first_cell"]
    assert isinstance(size, int)
    assert isinstance(first, int)
    assert data.missing == tuple((0, number) for number in range(first, first + size))


@pytest.mark.parametrize(("expected", "is_complete"), [(16, True), (32, True), (24, False), (None, False)])
def test_two_strings_are_complete_with_the_count_of_one_or_of_both(
    expected: int | None,
    is_complete: bool,  # noqa: FBT001 - a parameter
) -> None:
    assert table(*groups(16, 2)).is_complete(expected) is is_complete


def test_a_repeated_sentence_counts_once() -> None:
    assert len(table(groups(8)[0], groups(8)[0]).data(8).values) == 8


def test_the_first_cell_of_the_first_string_clears_the_table() -> None:
    made = table(*groups(16))
    made.add(cells("BV2", 0, 0, [3.0] * 8), clear_at_first=True)
    assert len(made.data(16).values) == 8


def test_finds_lowest_highest_and_spread() -> None:
    data = table(cells("BV2", 0, 0, [3.31, 3.30]), cells("BV2", 1, 0, [3.35])).data(None)
    assert (data.lowest, data.highest, data.spread) == ((0, 1), (1, 0), 0.05)
    nothing = CellTable("BV2").data(None)
    assert (nothing.lowest, nothing.highest, nothing.spread, nothing.missing) == (None, None, None, ())


def test_empty_fields_mean_no_cell_communication() -> None:
    empty: Values = dict.fromkeys(cells("BV2", 0, 0, []))
    assert not table(empty).data(16).has_communication


def _named(name: str, text: bytes) -> Reading:
    reading = EmusUnit(name_cells=True).interpret(Frame(name, text, text), Stamp(0, 0), Counters())
    assert reading is not None
    return reading


def test_names_values_by_the_number_of_the_cell() -> None:
    first, second = _named("BV2", b"00,0000,08,8585858585858585"), _named("BV2", b"00,0008,02,8686")
    assert (first.packet.name, second.packet.name) == ("BV2 cells 0-7", "BV2 cells 8-15")
    assert list(first.values) == [f"cell_{number}_voltage_v" for number in range(8)]
    assert second.values["cell_9_voltage_v"] == pytest.approx(3.34)
    assert [field.name for field in second.packet.fields] == list(second.values)
    assert second.packet.fields[0].unit.name == "V"
    other = _named("BT2", b"01,0008,01,78")
    assert other.values["string_1_cell_8_temperature_degc"] == 20
    made = CellTable("BV2")
    for reading in (first, second):
        made.add(reading.values, clear_at_first=True)
    assert made.data(10).values == {(0, number): pytest.approx(3.33 + 0.01 * (number > 7)) for number in range(10)}
    assert made.data(10).is_complete


def test_a_response_without_cells_keeps_its_name_and_flag() -> None:
    reading = _named("BV2", b",,,")
    assert (reading.packet.name, reading.flags) == ("BV2", ("no cell communication",))
