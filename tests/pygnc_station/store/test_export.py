import csv
import json
from pathlib import Path

import polars as pl
import pytest

from pygnc_station.store import query
from pygnc_station.store.export import export, file_names
from pygnc_station.store.query import Span
from pygnc_station.store.readings import Layout
from pygnc_station.store.store import Store
from tests.pygnc_station.store.samples import LAYOUT, START_MS, new


@pytest.fixture
def store(sqlite_url: str) -> Store:
    store = Store.open(sqlite_url)
    store.append(store.stream("pump/1", LAYOUT), [new(rank) for rank in range(10)])
    return store


def test_csv_is_in_customary_units(store: Store, tmp_path: Path) -> None:
    (path,) = export(store, query.streams(store), tmp_path / "out", "csv", Span(START_MS + 5000))
    assert path.name == "pump_1_S1.csv"
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == [
        "utc", "quality", "lost_before", "flags", "zRate [deg/s]", "temp_degc [degC]", "text", "raw",
    ]  # fmt: skip
    assert rows[1] == ["2026-09-21T14:13:25.000Z", "0", "0", "", "0.057295779513082325", "1", "ok", "01"]
    assert len(rows) == 10
    store.close()


def test_parquet_is_typed_and_in_si_units(store: Store, tmp_path: Path) -> None:
    (path,) = export(store, query.streams(store), tmp_path, "parquet")
    frame = pl.read_parquet(path)
    assert frame.columns == [
        "utc", "t_utc_ms", "quality", "lost_before", "flags", "rate_z_rad_s", "temp_degc", "text", "raw",
    ]  # fmt: skip
    assert frame["utc"].dtype == pl.Datetime("ms", "UTC")
    assert frame["rate_z_rad_s"].to_list() == [rank / 1000 for rank in range(10)]
    assert frame["raw"].to_list()[3] == b"\x03"
    about = pl.read_parquet_metadata(path)
    assert about["software"].startswith("PyGNC ")
    assert about["device"] == "pump/1"
    described = json.loads(about["columns"])
    assert described.keys() == {*frame.columns}
    assert described["rate_z_rad_s"]["unit"] == "rad/s"
    store.close()


def test_files_appear_when_they_are_complete(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr("pygnc_station.store.export.walk", fail)
    with pytest.raises(OSError, match="full"):
        export(store, query.streams(store), tmp_path / "out", "csv")
    assert list((tmp_path / "out").iterdir()) == []
    store.close()


def test_file_names_differ_on_every_file_system(store: Store) -> None:
    for gadget in ("a:b", "a/b", "A?B"):
        store.stream(gadget, Layout("S1", ()))
    assert file_names(query.streams(store)) == ["pump_1_S1", "a_b_S1", "a_b_S1_2", "A_B_S1_3"]
    store.close()
