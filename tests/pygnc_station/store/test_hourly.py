import json
import math
import random
from collections import defaultdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from pygnc_station.store.hourly import Statistics, hours_of, statistics, update_hours
from pygnc_station.store.pruning import prune
from pygnc_station.store.query import ALWAYS, Span, between
from pygnc_station.store.readings import HOUR_MS, Column, Layout, NewReading, Quality, Stream
from pygnc_station.store.store import Store
from tests.pygnc_station.store.samples import START_MS

NAMES = ("pm", "note", "temp")
LAYOUT = Layout("PM", tuple(Column(name) for name in NAMES))
FIRST_HOUR = START_MS // HOUR_MS
VALUES = st.one_of(st.none(), st.booleans(), st.text(max_size=3), st.integers(-9, 9), st.floats(-1e6, 1e6))


def of(store: Store, stream: Stream, names: tuple[str, ...] = NAMES, span: Span = ALWAYS) -> list[Any]:
    with store.reads() as connection:
        return [(hour, values) for _, hour, values in hours_of(connection, [(stream, names)], span)]


def row(t_utc_ms: int, *values: object, quality: int = 0) -> NewReading:
    return NewReading(t_utc_ms, quality, 0, "", json.dumps(values), None)


def brute_force(store: Store, stream: Stream) -> dict[int, list[list[float]]]:
    """Return the numbers of each value by hour, from all readings."""
    found: dict[int, list[list[float]]] = defaultdict(lambda: [[] for _ in NAMES])
    for reading in between(store, [stream]):
        if not reading.quality & Quality.FUTURE:
            for numbers, value in zip(found[reading.t_utc_ms // HOUR_MS], reading.values, strict=True):
                if isinstance(value, int | float) and not isinstance(value, bool):
                    numbers.append(value)
    return found


def assert_is_up_to_date(store: Store, stream: Stream) -> None:
    expected = brute_force(store, stream)
    assert [hour for hour, _ in of(store, stream)] == sorted(expected)
    for hour, found in of(store, stream):
        for numbers, had in zip(expected[hour], found, strict=True):
            assert (had is None) == (not numbers)
            if had is not None:
                assert (had[0], had[2], had[3]) == (len(numbers), min(numbers), max(numbers))
                assert math.isclose(had[1], math.fsum(numbers), rel_tol=1e-9, abs_tol=1e-6)


@given(st.lists(VALUES, max_size=30))
def test_statistics_are_those_of_the_numbers(values: list[object]) -> None:
    numbers = [float(value) for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    found: Statistics | None = statistics(values)
    assert (found is None) == (not numbers)
    if found is not None:
        assert (found[0], found[2], found[3]) == (len(numbers), min(numbers), max(numbers))
        assert math.isclose(found[1], math.fsum(numbers), rel_tol=1e-9, abs_tol=1e-6)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_statistics_equal_those_of_all_readings_in_any_order_of_arrival(seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311 - repeatable
    with Store.open(":memory:") as store:
        stream = store.stream("opc", LAYOUT)
        numbers = list(range(1, 61))
        draw.shuffle(numbers)
        while numbers:
            part = [numbers.pop() for _ in range(min(len(numbers), draw.randint(1, 20)))]
            rows = [
                (number, row(START_MS + number * 700_000, draw.choice([None, "a", draw.uniform(0, 50)]), "", number))
                for number in part
            ]
            store.put(stream, rows)
            if draw.random() < 0.5:
                update_hours(store)
        update_hours(store)
        assert_is_up_to_date(store, stream)
        assert update_hours(store) == 0


def test_appended_late_and_repeated_readings_are_counted_once(url: str) -> None:
    with Store.open(url) as store:
        stream = store.stream("opc", LAYOUT)
        assert update_hours(store) == 0
        store.append(stream, [row(START_MS + rank * 5000, rank / 10, "x", None) for rank in range(2000)])
        assert update_hours(store) == 3
        assert_is_up_to_date(store, stream)
        store.put(stream, [(5000, row(START_MS + 4 * HOUR_MS, 7.5, "", 20))])
        store.put(stream, [(4000, row(START_MS + 60, 9e9, "", 1)), (1, row(START_MS, -1, "", 1))])
        assert update_hours(store) > 0
        assert_is_up_to_date(store, stream)
        whole = of(store, stream, ("temp", "pm"), Span(START_MS + 4 * HOUR_MS, START_MS + 5 * HOUR_MS))
        assert whole == [(FIRST_HOUR + 4, [(1, 20.0, 20.0, 20.0), (1, 7.5, 7.5, 7.5)])]


def test_readings_dated_in_the_future_are_left_out() -> None:
    with Store.open(":memory:") as store:
        stream = store.stream("opc", LAYOUT)
        store.append(stream, [row(START_MS, 1, "", 2), row(START_MS + 1, 99, "", 99, quality=Quality.FUTURE)])
        update_hours(store)
        assert of(store, stream, ("pm",)) == [(FIRST_HOUR, [(1, 1.0, 1.0, 1.0)])]


def test_work_stops_between_transactions_and_continues() -> None:
    with Store.open(":memory:") as store:
        stream = store.stream("opc", LAYOUT)
        store.append(stream, [row(START_MS + rank * 5000, rank, "", 0) for rank in range(10_100)])
        answers = iter([False, True])
        assert update_hours(store, lambda: next(answers)) > 0
        assert len(of(store, stream)) < 17
        update_hours(store)
        assert_is_up_to_date(store, stream)


@pytest.mark.parametrize("has_hours", [True, False])
def test_pruning_deletes_the_statistics_of_deleted_hours(*, has_hours: bool) -> None:
    with Store.open(":memory:") as store:
        stream = store.stream("opc", LAYOUT)
        store.append(stream, [row(START_MS + rank * HOUR_MS, rank, "", 0) for rank in range(6)])
        if has_hours:
            update_hours(store)
        prune(store, START_MS + 3 * HOUR_MS)
        update_hours(store)
        assert [hour for hour, _ in of(store, stream)] == [FIRST_HOUR + rank for rank in (3, 4, 5)]
        prune(store, START_MS + 9 * HOUR_MS)
        update_hours(store)
        assert of(store, stream) == []


def test_streams_share_transactions() -> None:
    with Store.open(":memory:") as store:
        streams = [store.stream(f"unit {rank}", LAYOUT) for rank in range(20)]
        for stream in streams:
            store.append(stream, [row(START_MS, 1.0, "", 2.0)])
        commits: list[object] = []
        event.listen(store.engine, "commit", commits.append)
        assert update_hours(store) == len(streams)
        assert len(commits) < len(streams)
        for stream in streams:
            assert_is_up_to_date(store, stream)
