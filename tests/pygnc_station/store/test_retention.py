"""Retention of a server: readings are deleted, their statistics stay, and nothing is counted twice."""

import random
from pathlib import Path

import pytest

from pygnc_station.store import query
from pygnc_station.store.cursors import SYNC
from pygnc_station.store.hourly import hours_of, sum_of, update_hours
from pygnc_station.store.query import ALWAYS
from pygnc_station.store.readings import DAY_MS, HOUR_MS, NewReading, Stream
from pygnc_station.store.retention import keep_days_only, prune_to_statistics
from pygnc_station.store.store import Store
from pygnc_station.upload.sync import synchronise
from tests.pygnc_station.store.samples import START_MS
from tests.pygnc_station.store.test_hourly import LAYOUT, row

FIRST_MS = START_MS - START_MS % DAY_MS


def _of(store: Store, stream: Stream) -> dict[int, tuple[int, float, float, float]]:
    """Return the statistics of the first value by hour."""
    found: dict[int, tuple[int, float, float, float]] = {}
    with store.reads() as connection:
        for _, hour, (value,) in hours_of(connection, [(stream, ["pm"])], ALWAYS):
            assert value is not None
            found[hour] = sum_of(found[hour], value) if hour in found else value
    return found


def _day(rank: int = 0) -> list[tuple[int, NewReading]]:
    """Return the readings of a day, every ten minutes, with numbers."""
    return [
        (rank * 144 + k + 1, row(FIRST_MS + rank * DAY_MS + k * HOUR_MS // 6, (k * 7) % 50, "", None))
        for k in range(144)
    ]


def test_statistics_by_hour_and_by_day_outlive_their_readings(url: str) -> None:
    with Store.open(url) as store:
        stream = store.stream("opc", LAYOUT)
        store.put(stream, [*_day(0), *_day(1), *_day(2)])
        update_hours(store)
        whole = _of(store, stream)
        assert prune_to_statistics(store, FIRST_MS + 2 * DAY_MS + HOUR_MS // 2) == 288
        assert query.count(store, stream) == 144
        assert _of(store, stream) == whole
        assert prune_to_statistics(store, FIRST_MS + 2 * DAY_MS) == 0
        assert keep_days_only(store, FIRST_MS + DAY_MS + HOUR_MS) == 24
        found = _of(store, stream)
        first = FIRST_MS // HOUR_MS
        of_day = [whole.pop(first + hour) for hour in range(24)]
        assert found.pop(first) == (
            144, sum(each[1] for each in of_day), min(each[2] for each in of_day), max(each[3] for each in of_day)
        )  # fmt: skip
        assert found == whole


def test_a_deleted_reading_that_is_sent_again_is_not_counted_again_and_a_late_one_is(url: str) -> None:
    with Store.open(url) as store:
        stream = store.stream("opc", LAYOUT)
        held_back = _day()[10]
        store.put(stream, [each for each in _day() if each != held_back])
        prune_to_statistics(store, FIRST_MS + DAY_MS)
        store.put(stream, _day())
        assert [each.number for each in query.between(store, [stream])] == [11]
        assert sum(each[0] for each in _of(store, stream).values()) == 143
        for _ in range(2):
            update_hours(store)
            assert sum(each[0] for each in _of(store, stream).values()) == 144
            keep_days_only(store, FIRST_MS + DAY_MS)
            prune_to_statistics(store, FIRST_MS + DAY_MS)
            store.put(stream, _day())
        assert query.count(store, stream) == 0
        assert len(_of(store, stream)) == 1


def test_an_hour_with_readings_to_be_transferred_stays(tmp_path: Path) -> None:
    with Store.open(str(tmp_path / "r.db")) as store:
        stream = store.stream("opc", LAYOUT)
        store.put(stream, _day()[:9])
        synchronise(store, str(tmp_path / "central.db"), FIRST_MS)
        store.put(stream, _day())
        assert prune_to_statistics(store, FIRST_MS + DAY_MS, [SYNC]) == 6
        assert [each.number for each in query.between(store, [stream])] == list(range(7, 145))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_counts_are_right_in_any_order_of_arrival_deletion_and_repetition(seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311 - repeatable
    rows = [*_day(0)[::3], *_day(1)[::3]]
    sent: set[int] = set()
    with Store.open(":memory:") as store:
        stream = store.stream("opc", LAYOUT)
        while len(sent) < len(rows) or draw.random() < 0.7:
            start = draw.randrange(len(rows))
            part = rows[start : start + draw.randint(1, 40)]
            store.put(stream, part)
            sent |= {number for number, _ in part}
            if draw.random() < 0.4:
                prune_to_statistics(store, FIRST_MS + draw.randint(0, 3 * DAY_MS))
            if draw.random() < 0.2:
                keep_days_only(store, FIRST_MS + draw.randint(0, 3 * DAY_MS))
        update_hours(store)
        assert sum(each[0] for each in _of(store, stream).values()) == len(rows)
        assert sum(each[1] for each in _of(store, stream).values()) == sum((k * 7) % 50 for k in range(0, 144, 3)) * 2
