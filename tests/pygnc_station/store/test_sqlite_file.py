"""SQLite databases whose file is replaced or removed while programs use it."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from pygnc_station.errors import StoreError
from pygnc_station.store import query
from pygnc_station.store.store import Store, append
from tests.pygnc_station.store.samples import LAYOUT, new


def _fill(path: Path, ranks: range) -> None:
    with Store.open(str(path)) as store:
        store.append(store.stream("imu", LAYOUT), [new(rank) for rank in ranks])


def test_a_program_continues_in_the_database_that_replaces_its_own(tmp_path: Path) -> None:
    path, other = tmp_path / "r.db", tmp_path / "other.db"
    _fill(path, range(3))
    _fill(other, range(10, 14))
    with Store.open(str(path)) as store:
        stream = store.stream("imu", LAYOUT)
        store.append(stream, [new(3)])
        other.replace(path)
        stream = store.stream("imu", LAYOUT)
        assert stream.next_number == 5
        store.append(stream, [new(14)])
        times = [item.t_utc_ms for item in query.between(store, query.streams(store))]
    assert times == [new(rank).t_utc_ms for rank in range(10, 15)]
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM readings").fetchone() == (5,)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_database_file_that_was_removed_is_not_replaced_by_an_empty_one(tmp_path: Path) -> None:
    path = tmp_path / "r.db"
    _fill(path, range(3))
    with Store.open(str(path)) as store:
        path.rename(tmp_path / "away.db")
        with pytest.raises(StoreError, match=r"r\.db: the file was removed"):
            store.stream("imu", LAYOUT)
        assert not path.exists()
        (tmp_path / "away.db").rename(path)
        assert store.stream("imu", LAYOUT).next_number == 4


def test_a_replacement_of_an_older_version_is_refused_until_the_program_starts_anew(tmp_path: Path) -> None:
    path, other = tmp_path / "r.db", tmp_path / "other.db"
    _fill(path, range(3))
    _fill(other, range(2))
    with closing(sqlite3.connect(other)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '0001'")
    with Store.open(str(path)) as store:
        other.replace(path)
        with pytest.raises(StoreError, match="restart"):
            store.stream("imu", LAYOUT)
    with Store.open(str(path)) as store:
        assert store.stream("imu", LAYOUT).next_number == 3


def test_a_write_of_one_reading_of_each_of_14_streams_changes_few_bytes(tmp_path: Path) -> None:
    path = tmp_path / "r.db"
    with Store.open(str(path)) as store:
        streams = [store.stream("pack", replace(LAYOUT, kind=f"kind {rank}")) for rank in range(14)]
        with store.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_autocheckpoint = 0").close()
            for stream in streams:  # readings of a day, so that each stream has pages of its own
                store.append(stream, [new(rank) for rank in range(1000)])
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").close()
        log = path.with_name("r.db-wal")
        for rank in range(20):
            with store.writes() as connection:
                for stream in streams:
                    append(connection, stream.id, [new(1000 + rank)])
        assert log.stat().st_size / 20 < 100_000  # 131 000 with pages of 4096 bytes
        with closing(sqlite3.connect(path)) as database:
            assert database.execute("PRAGMA page_size").fetchone() == (2048,)
