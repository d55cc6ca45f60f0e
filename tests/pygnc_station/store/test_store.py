import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, inspect, select, text

from pygnc_devices.emus.sentences import SENTENCES
from pygnc_devices.reading import Reading
from pygnc_station.errors import RefusedReadingsError, StoreError
from pygnc_station.store import query, schema
from pygnc_station.store.copies import conflicting, stored_in
from pygnc_station.store.database import parse_url
from pygnc_station.store.query import Span
from pygnc_station.store.readings import Layout, NewReading, Quality, iso_time, parse_time
from pygnc_station.store.store import Store
from tests.pygnc_station.store.samples import LAYOUT, START_MS, new, reading


def test_restores_time_values_bytes_and_flags_of_readings(url: str) -> None:
    given = [
        reading({"rate_z_rad_s": 0.25, "temp_degc": -1.5, "text": "Ω ok"}),
        reading({"rate_z_rad_s": None, "temp_degc": 20.0, "text": ""}, flags=("cold", "fan"), lost_before=3),
    ]
    with Store.open(url) as store:
        stream = store.stream("imu 1", LAYOUT, family="ucb")
        assert store.append(stream, [NewReading.of(item) for item in given]) == 1
    with Store.open(url) as store:
        (stream,) = query.streams(store, "IMU 1")
        assert (stream.gadget_id, stream.family, stream.layout, stream.next_number) == ("imu 1", "ucb", LAYOUT, 3)
        first, second = query.between(store, [stream])
    assert first.values == [0.25, -1.5, "Ω ok"]
    assert (first.raw, first.time, first.quality) == (b"\xfa\x00", iso_time(START_MS + 7), 0)
    assert second.values == [None, 20.0, ""]
    assert Quality(second.quality) == Quality.GAP | Quality.PARTIAL | Quality.DEVICE
    assert (second.flags, second.lost_before) == ("cold,fan", 3)


def test_numbers_continue_after_reopening_and_numbered_readings_are_stored_once(url: str) -> None:
    for start in (0, 5):
        with Store.open(url) as store:
            stream = store.stream("g", LAYOUT)
            assert store.append(stream, [new(rank) for rank in range(start, start + 5)]) == start + 1
            mirrored = store.stream("g", LAYOUT, origin="elsewhere")
            for _ in range(2):
                store.put(mirrored, [(number, new(number)) for number in range(1, 8)])
            store.put(mirrored, [(3, new(99))])
    with Store.open(url) as store:
        own, theirs = query.streams(store, "g")
        assert [item.number for item in query.between(store, [own])] == list(range(1, 11))
        assert [item.content for item in query.between(store, [theirs])] == [
            new(number).content for number in range(1, 8)
        ]
        assert (own.next_number, theirs.next_number) == (11, 8)
        assert len(query.recent(store, [own, theirs], 100)) == 17


def test_finds_newest_readings_and_time_spans_across_streams(url: str) -> None:
    with Store.open(url) as store:
        one, two = store.stream("g", LAYOUT), store.stream("g", LAYOUT, origin="elsewhere")
        store.append(one, [new(rank) for rank in range(0, 20, 2)])
        store.append(two, [new(rank) for rank in range(1, 20, 2)])
        newest = query.recent(store, [one, two], 5, skip=2)
        assert [item.t_utc_ms for item in newest] == [new(rank).t_utc_ms for rank in range(17, 12, -1)]
        span = Span(new(4).t_utc_ms, new(8).t_utc_ms)
        assert [item.t_utc_ms for item in query.between(store, [one, two], span)] == [
            new(rank).t_utc_ms for rank in range(4, 8)
        ]
        assert query.count(store, one, span) == 2
        assert query.recent(store, [], 5) == []


def test_pages_contain_every_reading_even_if_times_are_equal(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query, "_PAGE", 7)
    with Store.open(url) as store:
        stream = store.stream("g", LAYOUT)
        store.append(stream, [new(rank // 10) for rank in range(50)])
        pages = list(query.walk(store, stream))
    assert [item.number for page in pages for item in page] == list(range(1, 51))
    assert {len(page) for page in pages[:-1]} == {7}


def test_a_changed_layout_starts_another_stream(url: str) -> None:
    with Store.open(url) as store:
        older = store.stream("g", LAYOUT)
        newer = store.stream("g", Layout(LAYOUT.kind, LAYOUT.columns[:2]))
        assert older.id != newer.id
        assert [stream.layout for stream in query.streams(store, "g", "S1")] == [LAYOUT, newer.layout]


def _append(url: str, count: int) -> None:
    with Store.open(url) as store:
        stream = store.stream("g", LAYOUT)
        for rank in range(count):
            store.append(stream, [new(rank)])


def test_optional_values_do_not_make_a_reading_partial() -> None:
    def quality(name: str, payload: bytes) -> Quality:
        sentence = SENTENCES[name]
        return Quality(
            NewReading.of(Reading(sentence, b"", sentence.decode(payload), 0, 1_790_000_000 * 10**9)).quality
        )

    assert not quality("OT1", b"40,,08,")
    assert not quality("BB1", b"0008,00,FF,40,,91")
    assert not quality("BV2", b"01,0008,03,006496")
    assert quality("BV2", b",,,") == Quality.PARTIAL
    assert quality("ST1", b"00,00,0000,000128E3,07,00,00") == Quality.PARTIAL  # older firmware sends no pins


def test_programs_that_create_a_store_at_the_same_time_wait_for_each_other(tmp_path: Path) -> None:
    for attempt in range(20):
        together = Barrier(2)

        def open_store(file: Path = tmp_path / f"{attempt}.db", together: Barrier = together) -> None:
            together.wait()
            Store.open(str(file)).close()

        with ThreadPoolExecutor(2) as pool:
            for opened in [pool.submit(open_store) for _ in range(2)]:
                opened.result()


def test_two_loggers_of_one_store_number_without_gaps(url: str) -> None:
    with ThreadPoolExecutor(2) as pool:  # each with connections of its own
        list(pool.map(lambda _: _append(url, 25), range(2)))
    with Store.open(url) as store:
        numbers = [item.number for item in query.between(store, query.streams(store))]
    assert sorted(numbers) == list(range(1, 51))


@pytest.mark.parametrize(
    ("revision", "missing"), [("0001", "batches"), ("0002", "gateways"), ("0003", "gadget_log"), (None, "readings")]
)
def test_completes_the_tables_of_an_older_store_without_losing_data(
    url: str, revision: str | None, missing: str
) -> None:
    tables = list(schema.metadata.tables.values())
    engine = create_engine(url.replace("mysql://", "mysql+pymysql://"))
    with engine.begin() as connection:
        schema.metadata.create_all(connection, tables=tables[: [table.name for table in tables].index(missing)])
        for column in ("gateway_id", "local_name"):  # of a later revision
            connection.execute(text(f"ALTER TABLE devices DROP COLUMN {column}"))
        connection.execute(text("INSERT INTO devices VALUES (1, 'g', '', '', '', 'U', '', 0)"))
        if revision:
            connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)"))
            connection.execute(text("INSERT INTO alembic_version VALUES (:revision)"), {"revision": revision})
    engine.dispose()
    for _ in range(2):
        with Store.open(url) as store:
            store.append(store.stream("g", LAYOUT), [new(1)])
            with store.reads() as connection:
                assert inspect(connection).get_table_names() == sorted([*schema.metadata.tables, "alembic_version"])
                assert connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all() == [
                    schema.REVISION
                ]
                assert connection.execute(select(schema.devices.c.id)).scalars().all() == [1]


def test_does_not_touch_tables_of_another_program(url: str) -> None:
    engine = create_engine(url.replace("mysql://", "mysql+pymysql://"))
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE readings (rdg_no INTEGER)"))
    engine.dispose()
    with pytest.raises(StoreError, match=r"contains tables of another program \(readings\); use another database"):
        Store.open(url)


def test_refuses_a_store_of_a_newer_program(tmp_path: Path) -> None:
    path = tmp_path / "r.db"
    Store.open(str(path)).close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(StoreError, match="created by a newer PyGNC") as error:
        Store.open(str(path))
    assert error  # its traceback refers to the engine
    assert str(path) not in {os.path.realpath(entry) for entry in Path("/proc/self/fd").iterdir()}


def test_reports_a_file_that_is_not_a_database(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("no database at all, " * 100)
    with pytest.raises(StoreError, match=r"notes\.txt: file is not a database"):
        Store.open(str(path))


def test_reports_an_unreachable_database_without_its_password() -> None:
    with pytest.raises(StoreError, match="mysql") as error:
        Store.open("mysql://pi:secret-word@127.0.0.1:1/x")
    assert str(error.value).startswith("mysql://pi:***@127.0.0.1:1/x: ")
    assert "secret-word" not in str(error.value)
    with pytest.raises(StoreError, match="%40 for @") as error:
        Store.open("mysql://pi:secret@word@127.0.0.1:1/x")
    assert "word" not in str(error.value).partition("use a form")[0]


def test_reports_an_unusable_store_with_a_remedy(tmp_path: Path) -> None:
    path = tmp_path / "readings.db"
    path.write_bytes(b"no database" * 500)
    with pytest.raises(StoreError, match=r"^/.*/readings\.db: file is not a database; set another file"):
        Store.open(str(path))
    with pytest.raises(StoreError, match=r"unable to open database file; give this user write permission"):
        Store.open(str(tmp_path))


@pytest.mark.parametrize(("where", "driver"), [("a.db", "sqlite"), ("mariadb://u@h/d", "mariadb+pymysql")])
def test_accepts_urls_and_paths_of_databases(where: str, driver: str) -> None:
    assert parse_url(where).drivername == driver


@pytest.mark.parametrize("where", ["postgresql://h/d", "://", "mysql://user:password", "mysql://h:port/d"])
def test_rejects_unsupported_databases(where: str) -> None:
    with pytest.raises(StoreError):
        parse_url(where)


def test_distinguishes_refused_readings_from_an_unreachable_database(url: str) -> None:
    with Store.open(url) as store:
        stream = store.stream("g", LAYOUT)
        with pytest.raises(RefusedReadingsError):
            store.put(stream, [(1, new(1)), (-5, new(2))])
        assert query.count(store, stream) == 0


def test_an_output_whose_reader_has_ended_is_no_fault_of_the_store(url: str) -> None:
    with Store.open(url) as store, pytest.raises(BrokenPipeError), store.reads():  # as by `audit | head`
        raise BrokenPipeError


def test_times_are_utc_with_milliseconds() -> None:
    assert iso_time(1_790_000_000_007) == "2026-09-21T14:13:20.007Z"
    assert parse_time("2026-09-21T14:13:20.007Z") == 1_790_000_000_007
    assert parse_time("2026-09-21 16:13:20.007+02:00") == 1_790_000_000_007
    assert parse_time("2026-09-21T14:13") == 1_790_000_000_000 - 20_000
    assert iso_time(-1) == "1969-12-31T23:59:59.999Z"


def test_adds_the_columns_that_an_older_store_lacks(url: str) -> None:
    Store.open(url).close()
    engine = create_engine(url.replace("mysql://", "mysql+pymysql://"))
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE uploads DROP COLUMN conflict"))
        connection.execute(text("ALTER TABLE gateways DROP COLUMN lost_ms"))
        connection.execute(text("INSERT INTO gateways VALUES (1, 'roof', '', '', 0, NULL, NULL, NULL)"))
        connection.execute(text("INSERT INTO uploads VALUES ('a', 1, 'b', 'accepted', 1, '', 1, 0, '', 0, 0)"))
        connection.execute(text("UPDATE alembic_version SET version_num = '0003'"))
    engine.dispose()
    for _ in range(2):
        with Store.open(url) as store, store.reads() as connection:
            assert connection.execute(select(schema.uploads.c.id, schema.uploads.c.conflict)).all() == [("a", "")]


@given(st.lists(st.integers(1, 9000), unique=True, max_size=40).map(sorted), st.sets(st.integers(1, 9000), max_size=40))
@settings(max_examples=30, deadline=None)
def test_finds_conflicts_among_numbers_with_any_gaps(numbers: list[int], changed: set[int]) -> None:
    with Store.open("sqlite://") as store:
        stream = store.stream("g", LAYOUT)
        store.put(stream, [(number, new(number)) for number in numbers])
        sent = [(number, new(number, text="other" if number in changed else "ok")) for number in range(1, 9001, 3)]
        with store.reads() as connection:
            assert conflicting(connection, stream.id, sent) == changed & set(numbers) & set(range(1, 9001, 3))
            same = {number for number in numbers if number % 3 == 1} - changed
            assert stored_in(connection, [stream.id], sent) == same
