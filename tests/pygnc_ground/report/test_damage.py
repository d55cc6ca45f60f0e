import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygnc.bus.messages import SourceFile
from pygnc_ground.report.damage import balanced, strip

RANGES = st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)), max_size=200)


@given(RANGES, st.integers(0, 10**9))
def test_every_damaged_range_lies_visibly_on_the_strip(ranges: list[tuple[int, int]], size: int) -> None:
    damage = tuple((min(pair), max(pair), "content") for pair in ranges)
    drawn = strip(SourceFile(seq=1, name="a", size_bytes=size, damage=damage))
    assert bool(drawn) == bool(damage)
    for one in drawn:
        assert one.width >= 4.0
        assert 0.0 <= one.x <= one.x + one.width <= 1000.1


def test_ranges_stand_where_they_are_in_the_file() -> None:
    damage = ((500, 750, "fill"), (100, 100, "content"), (505, 506, "content"))
    first, second = strip(SourceFile(seq=1, name="a", size_bytes=1000, damage=damage))
    assert (first.x, first.width) == (100.0, 4.0)
    assert (second.x, second.width) == (500.0, 250.0)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (SourceFile(seq=1, name="a", size_bytes=10, delivered_bytes=7, damaged_bytes=3), True),
        (SourceFile(seq=1, name="a", size_bytes=10, delivered_bytes=7, damaged_bytes=2), False),
        (SourceFile(seq=1, name="a", fault="is a folder"), True),
    ],
)
def test_books_balance_when_every_byte_is_accounted_for(source: SourceFile, expected: bool) -> None:  # noqa: FBT001
    assert balanced(source) is expected
