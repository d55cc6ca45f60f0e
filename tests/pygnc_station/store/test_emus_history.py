"""The history that emus-bms has stored in MySQL or MariaDB is imported, once."""

import json
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from typer.testing import CliRunner

from pygnc_station.commands.main import app
from pygnc_station.store.database import parse_url
from pygnc_station.store.query import newest_of_each_kind
from pygnc_station.store.store import Store
from tests.fakes.mariadb import MariaDb

pytestmark = pytest.mark.xdist_group("mariadb")
SUMMARY = {"total": 52.1, "avg": 3.25, "min": {"number": 4, "value": 3.2}, "max": {"number": 9, "value": 3.3}}


def test_the_history_of_emus_bms_is_imported_once(
    tmp_path: Path, mariadb: MariaDb, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = mariadb.new_database()
    monkeypatch.setenv("OLD_DATABASE", url.partition("://")[2])
    (tmp_path / "station.toml").write_text('[store]\nurl = "readings.db"\n')

    def run() -> tuple[int, str]:
        words = ["import", "mysql://${OLD_DATABASE}", "--gadget", "pack", "--zone", "Europe/Dublin"]
        result = CliRunner().invoke(app, [*words, "--settings", str(tmp_path / "station.toml")])
        return result.exit_code, result.output + result.stderr

    code, said = run()
    assert code != 0
    assert "no table emus or battery_data; choose the database of emus-bms" in said
    engine = create_engine(parse_url(url))
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE emus (json TEXT, created_at DATETIME, updated_at DATETIME)"))
        columns = "battery_id INT, sentence VARCHAR(4), json TEXT, created_day DATE, created_at DATETIME"
        connection.execute(text(f"CREATE TABLE battery_data ({columns})"))
        summary = text("INSERT INTO emus VALUES (:json, :at, :at)")
        rows = [{"json": json.dumps(SUMMARY), "at": f"2021-07-0{day} 07:00:00"} for day in (1, 2)]
        connection.execute(summary, [*rows, {"json": "broken", "at": "2021-07-03 07:00:00"}])
        sentence = text("INSERT INTO battery_data VALUES (1, 'BV1', :json, '2021-07-01', '2021-07-01 07:00:00')")
        connection.execute(sentence, [{"json": json.dumps({"cells": rank})} for rank in range(2)])
    for _ in range(2):
        assert run() == (0, "4 readings, 1 rows without a time skipped\n")
    with Store.open(str(tmp_path / "readings.db")) as store:
        found = {(stream.gadget_id, stream.layout.kind): reading for reading, stream in newest_of_each_kind(store)}
        assert found.keys() == {("pack", "emus-bms"), ("pack_1", "emus-bms BV1")}
        newest = found["pack", "emus-bms"]
        assert newest.time == "2021-07-02T06:00:00.000Z"
        assert newest.values == [52.1, 3.25, 4, 3.2, 9, 3.3]
        ((_, stream),) = newest_of_each_kind(store, "pack")
        names = ["pack_v", "cell_average_v", "min_number", "cell_min_v", "max_number", "cell_max_v"]
        assert stream.layout.names == names
        with store.reads() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM readings").scalar_one() == 4
    engine.dispose()
