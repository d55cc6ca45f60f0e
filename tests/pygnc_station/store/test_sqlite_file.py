"""SQLite databases whose file is replaced or removed while programs use it."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from pygnc_station.errors import StoreError
from pygnc_station.store import query
from pygnc_station.store.store import Store
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
