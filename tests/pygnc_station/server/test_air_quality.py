from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygnc_station.server.air_quality import Index, air_quality, break_points, nowcast, parse_break_points

PM_2_5, PM_10 = "pm_2_5_ug_m3", "pm_10_ug_m3"


@pytest.mark.parametrize(
    ("name", "concentration", "index", "category"),
    [
        (PM_2_5, 0.0, 0, "Good"),
        (PM_2_5, 9.0, 50, "Good"),
        (PM_2_5, 9.09, 50, "Good"),
        (PM_2_5, 9.1, 51, "Moderate"),
        (PM_2_5, 35.4, 100, "Moderate"),
        (PM_2_5, 35.5, 101, "Unhealthy for sensitive groups"),
        (PM_2_5, 55.4, 150, "Unhealthy for sensitive groups"),
        (PM_2_5, 55.5, 151, "Unhealthy"),
        (PM_2_5, 125.4, 200, "Unhealthy"),
        (PM_2_5, 125.5, 201, "Very unhealthy"),
        (PM_2_5, 225.4, 300, "Very unhealthy"),
        (PM_2_5, 225.5, 301, "Hazardous"),
        (PM_2_5, 325.4, 500, "Hazardous"),
        (PM_10, 54.9, 50, "Good"),
        (PM_10, 55, 51, "Moderate"),
        (PM_10, 154, 100, "Moderate"),
        (PM_10, 155, 101, "Unhealthy for sensitive groups"),
        (PM_10, 254, 150, "Unhealthy for sensitive groups"),
        (PM_10, 255, 151, "Unhealthy"),
        (PM_10, 354, 200, "Unhealthy"),
        (PM_10, 355, 201, "Very unhealthy"),
        (PM_10, 424, 300, "Very unhealthy"),
        (PM_10, 425, 301, "Hazardous"),
        (PM_10, 604, 500, "Hazardous"),
        (PM_2_5, 22.25, 75, "Moderate"),  # 49 / 26.3 * (22.2 - 9.1) + 51 = 75.4
        (PM_2_5, -3.0, 0, "Good"),
    ],
)
def test_index_at_the_break_points(name: str, concentration: float, index: int, category: str) -> None:
    found = air_quality(name, concentration)
    assert (found.index, found.category) == (index, category)


@pytest.mark.parametrize(
    ("name", "highest"), [(PM_2_5, (5, 15, 50, 90, 140)), (PM_10, (15, 45, 120, 195, 270))]
)  # table of the European Environment Agency
def test_bands_of_the_european_index(name: str, highest: tuple[int, ...]) -> None:
    categories = ("Good", "Fair", "Moderate", "Poor", "Very poor", "Extremely poor")
    for rank, (category, low) in enumerate(zip(categories, (-1.0, *highest), strict=True)):
        assert air_quality(name, low + 0.1, Index.EUROPE).category == category
        assert air_quality(name, low + 0.1, Index.EUROPE).index == rank + 1
        high = (*highest, 5000)[rank]
        assert (found := air_quality(name, high, Index.EUROPE)).category == category
        assert (found.index, found.rank) == (rank + 1, rank)


def test_the_index_continues_above_the_table() -> None:
    assert air_quality(PM_2_5, 425.3).index == 699  # 199 / 99.9 * (425.3 - 225.5) + 301
    assert air_quality(PM_2_5, 425.3).rank == 5


@given(st.sampled_from(Index), st.sampled_from([PM_2_5, PM_10]), st.floats(0, 700), st.floats(0, 700))
def test_the_index_rises_with_the_concentration(of: Index, name: str, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert air_quality(name, low, of).index <= air_quality(name, high, of).index


@pytest.mark.parametrize("of", Index)
def test_ranges_are_adjacent(of: Index) -> None:
    for ranges in break_points(of).values():
        for below, above in pairwise(ranges):
            assert above.low == pytest.approx(below.high + below.resolution)
            assert above.index_low == below.index_high + 1


@pytest.mark.parametrize(
    ("means", "expected"),
    [
        ([20.0, 10.0], 50 / 3),  # weight 0.5: (20 + 5) / 1.5
        ([20.0, None, 10.0], 18.0),  # (20 + 0.25 * 10) / 1.25
        ([10.0, 8.0], (10 + 0.8 * 8) / 1.8),
        ([12.5] * 12, 12.5),
        ([0.0] * 12, 0.0),
        ([5.0, 5.0] + [None] * 10 + [900.0], 5.0),  # the 13th hour does not count
        ([5.0, None, None, 5.0], None),
        ([], None),
    ],
)
def test_nowcast_of_examples(means: list[float | None], expected: float | None) -> None:
    assert nowcast(means) == (None if expected is None else pytest.approx(expected))


@given(st.lists(st.floats(0, 500), min_size=3, max_size=12))
def test_nowcast_lies_between_the_lowest_and_the_highest_mean(means: list[float]) -> None:
    found = nowcast(means)
    assert found is not None
    assert min(means) - 1e-9 <= found <= max(means) + 1e-9


def test_an_invalid_line_is_named() -> None:
    with pytest.raises(ValueError, match="line 2"):
        parse_break_points("# title\npm_10_ug_m3 1 0 many 0 50 Good\n")
    with pytest.raises(ValueError, match="line 1"):
        parse_break_points("pm_10_ug_m3 1 0")
