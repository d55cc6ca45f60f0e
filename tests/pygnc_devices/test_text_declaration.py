"""Declared sentences of text between commas."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygnc_devices.declaration import Field, Value
from pygnc_devices.text_declaration import Sentence
from pygnc_devices.units import TEMPERATURE, Unit

VOLT = Unit("V", "V")
SENTENCE = Sentence(
    "ALL",
    (
        Field("count", "u4", meaning="unsigned"),
        Field("current_a", "i4", scale=0.1, meaning="signed"),
        *(Field(f"cell_{k}_v", "b", VOLT, 0.01, 2.0, "element of an array") for k in range(1, 4)),
        Field("octets", "h", meaning="bytes"),
        Field("day", "d2", meaning="decimal"),
        Field("temperature_degc", "g", TEMPERATURE, meaning="number"),
        Field("name", "t", meaning="text"),
    ),
)


def decode(text: str) -> dict[str, Value | None]:
    return SENTENCE.decode(text.encode())


def test_decodes_each_code() -> None:
    assert decode("00ff,FFFC,8B857E,4142,07,-1.5e1,Type 1") == {
        "count": 255,
        "current_a": -0.4,
        "cell_1_v": 3.39,
        "cell_2_v": 3.33,
        "cell_3_v": 3.26,
        "octets": b"AB",
        "day": 7,
        "temperature_degc": -15.0,
        "name": "Type 1",
    }


def test_empty_fields_are_none_and_additional_ones_are_ignored() -> None:
    assert set(decode("").values()) == {None}
    assert decode("10")["current_a"] is None
    assert decode("10,4,64,,,,x,what is,this?")["name"] == "x"
    assert [decode("1,1,64")[f"cell_{k}_v"] for k in (1, 2, 3)] == [3.0, None, None]


def test_reserved_fields_have_no_value_and_are_empty() -> None:
    sentence = Sentence("T", (Field("a", "u2"), Field("b_1", "b"), Field("b_2", "b")), reserved=frozenset({1, 3}))
    assert sentence.decode(b"what,1F,,0102") == {"a": 31, "b_1": 1, "b_2": 2}
    assert sentence.encode({"a": 31, "b_1": 1}) == b",1F,,01"
    assert "| 2 | `u2` | `a` |" in sentence.table()
    assert "| 4 | `b` | `b_1` |" in sentence.table()


def test_an_array_may_be_shorter_than_declared_but_not_empty() -> None:
    assert not SENTENCE.is_partial({"cell_3_v", "cell_2_v"})
    assert SENTENCE.is_partial({"cell_1_v", "cell_2_v", "cell_3_v"})
    assert SENTENCE.is_partial({"day"})
    assert not SENTENCE.is_partial(set())


def test_the_sign_depends_on_the_received_digits() -> None:
    assert decode(",FFFF")["current_a"] == -0.1
    assert decode(",0000FFFF")["current_a"] == 6553.5
    assert decode(",8")["current_a"] == -0.8


@pytest.mark.parametrize(
    "text", ["0x1F", "1_0", " 1", "1 ", "+1", "g", "1,1.0", "1,,8B8", "1,,8B8B8B8B", "1,,,1", ",,,,1.5"]
)
def test_texts_that_do_not_match_their_codes_do_not_fit(text: str) -> None:
    assert not SENTENCE.fits(text.encode())
    with pytest.raises(ValueError, match=r"sentence ALL: "):
        decode(text)


@given(st.text(st.characters(max_codepoint=127), max_size=60))
def test_any_text_fits_or_does_not_and_never_raises(text: str) -> None:
    if SENTENCE.fits(text.encode()):
        assert SENTENCE.decode(text.encode()).keys() == {field.name for field in SENTENCE.fields}


def test_bytes_that_are_not_ascii_do_not_fit() -> None:
    assert not SENTENCE.fits(b"\xff")


@given(
    st.integers(0, 0xFFFF),
    st.integers(-0x8000, 0x7FFF),
    st.lists(st.integers(0, 255), max_size=3),
    st.integers(0, 99),
)
def test_decodes_what_it_encodes(count: int, current: int, cells: list[int], day: int) -> None:
    values: dict[str, Value | None] = {"count": count, "current_a": round(current / 10, 1), "day": day}
    values |= {f"cell_{k}_v": round(2 + word / 100, 2) for k, word in enumerate(cells, 1)}
    decoded = SENTENCE.decode(SENTENCE.encode(values))
    assert {name: decoded[name] for name in values} == values


def test_limits_a_value_to_its_digits() -> None:
    assert SENTENCE.encode({"count": 70000, "current_a": -9999.0}) == b"FFFF,8000,,,,,"


def test_the_table_lists_the_positions_of_fields() -> None:
    lines = SENTENCE.table().splitlines()[2:]
    assert [line.split("|")[1].strip() for line in lines] == ["1", "2", "3", "3", "3", "4", "5", "6", "7"]


def test_rejects_an_unknown_code() -> None:
    with pytest.raises(ValueError, match="unknown code 'B'"):
        Sentence("S", (Field("x", "B"),))
