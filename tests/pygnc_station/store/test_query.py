import itertools
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pygnc_station.store import query
from pygnc_station.store.database import MAX_PACKED_BYTES
from pygnc_station.store.query import read_packed
from pygnc_station.store.readings import NewReading
from pygnc_station.store.store import Store
from tests.fakes.mariadb import MariaDb
from tests.pygnc_station.store.samples import LAYOUT, START_MS, new

pytestmark = pytest.mark.xdist_group("mariadb")
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
READINGS = st.builds(
    NewReading,
    t_utc_ms=st.integers(-(2**62), 2**62),
    quality=st.integers(0, 2**31 - 1),
    lost_before=st.integers(0, 2**31 - 1),
    flags=TEXTS,
    content=TEXTS,
    raw=st.none() | st.binary(max_size=200),
)
GADGETS = (f"gadget {rank}" for rank in itertools.count())


@pytest.fixture(scope="module")
def store(mariadb: MariaDb) -> Iterator[Store]:
    with Store.open(mariadb.new_database()) as store:
        yield store


@settings(max_examples=40)
@given(st.lists(READINGS, max_size=8))
def test_packed_readings_equal_the_stored_ones(store: Store, given_readings: list[NewReading]) -> None:
    stream = store.stream(next(GADGETS), LAYOUT)
    store.append(stream, given_readings)
    with store.reads() as connection:
        packed = read_packed(connection, query.select_readings(stream))
    assert packed is not None
    packed.sort(key=lambda item: item.number)
    assert [item[:2] for item in packed] == [(stream.id, rank) for rank in range(1, len(given_readings) + 1)]
    assert [NewReading(*item[2:]) for item in packed] == given_readings


def test_reads_row_by_row_if_the_packed_text_is_too_long(store: Store) -> None:
    stream = store.stream(next(GADGETS), LAYOUT)
    long = "x" * (MAX_PACKED_BYTES // 8)
    store.append(stream, [NewReading(START_MS + rank, 0, 0, "", f'["{long}"]', None) for rank in range(9)])
    with store.reads() as connection:
        assert read_packed(connection, query.select_readings(stream)) is None
        assert len(query.numbered(connection, stream.id, 2, 3)) == 2
    found = query.between(store, [stream])
    assert [item.number for item in found] == list(range(1, 10))
    assert {len(item.content) for item in found} == {len(long) + 4}


def test_detects_a_packed_text_truncated_between_two_readings(store: Store) -> None:
    stream = store.stream(next(GADGETS), LAYOUT)
    store.append(stream, [new(rank) for rank in range(50)])
    with store.reads() as connection:
        whole = query.select_readings(stream)
        lengths = []
        for longest in range(600, 760):
            connection.exec_driver_sql(f"SET group_concat_max_len = {longest}")
            lengths.append(read_packed(connection, whole))
        connection.exec_driver_sql(f"SET group_concat_max_len = {MAX_PACKED_BYTES}")
        assert lengths == [None] * 160
        assert len(read_packed(connection, whole) or []) == 50
