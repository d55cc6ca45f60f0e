import sqlite3
from pathlib import Path

import pytest

from pygnc_batonopc.table import import_batonopc
from pygnc_station.errors import StoreError
from pygnc_station.store import query
from pygnc_station.store.readings import Quality
from pygnc_station.store.store import Store
from tests.fakes.batonopc import COLUMNS, log

DUBLIN = "Europe/Dublin"


def test_a_repeated_import_adds_only_new_rows(tmp_path: Path, url: str) -> None:
    log(tmp_path / "old.db", 3)
    with Store.open(url) as store:
        assert import_batonopc(store, tmp_path / "old.db", DUBLIN) == (3, 0)
        log(tmp_path / "old.db", 2)
        assert import_batonopc(store, tmp_path / "old.db", DUBLIN) == (5, 0)
        (stream,) = query.streams(store, "OPC_7")
        found = query.between(store, [stream])
    assert [item.number for item in found] == [1, 4, 2, 5, 3]
    assert stream.layout.names == COLUMNS
    assert stream.layout.columns[2].unit == "µg/m³"
    assert found[0].time == "2021-07-01T11:00:00.000Z"
    assert found[0].values[:4] == [20.5, None, 0.0, 0.0]
    assert found[0].quality == Quality.IMPORTED


@pytest.mark.parametrize("raw", ['{"Bin 0": 1.25, "PM_A": 3.5}', "{'Bin 0': 1.25, 'PM_A': 3.5}"])
def test_imports_raw_readings_of_older_versions(tmp_path: Path, sqlite_url: str, raw: str) -> None:
    path = tmp_path / "older.db"
    with sqlite3.connect(path) as database:
        database.execute(
            "CREATE TABLE r (rdg_no INTEGER, timestamp TEXT, gadget_id REAL, temp REAL, rh REAL, raw_data)"
        )
        database.execute("INSERT INTO r VALUES (1, '2020-12-16_11:52', NULL, 25.0, 46.0, ?)", [raw])
        database.execute("INSERT INTO r VALUES (2, 'no time', NULL, 25.0, 46.0, ?)", [raw])
    database.close()
    with Store.open(sqlite_url) as store:
        assert import_batonopc(store, path, DUBLIN, "my opc") == (1, 1)
        (stream,) = query.streams(store, "my opc")
        (found,) = query.between(store, [stream])
    assert dict(zip(stream.layout.names, found.values, strict=True)) == {
        "temp": 25.0, "rh": 46.0, "Bin 0": 1.25, "PM_A": 3.5,
    }  # fmt: skip


def test_rejects_files_that_are_not_databases_of_batonopc(tmp_path: Path, sqlite_url: str) -> None:
    (tmp_path / "text").write_text("hello " * 200)
    sqlite3.connect(tmp_path / "empty.db").close()
    with Store.open(sqlite_url) as store:
        for name, why in (
            ("text", "not a database"),
            ("empty.db", "no table has the columns rdg_no and timestamp"),
            ("none", "does not exist"),
        ):
            with pytest.raises(StoreError, match=why):
                import_batonopc(store, tmp_path / name, "")
