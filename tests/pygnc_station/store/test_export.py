import csv
import json
import math
import tracemalloc
from collections.abc import Iterator, Sequence
from pathlib import Path

import netCDF4
import polars as pl
import pytest

from pygnc_station.store import query
from pygnc_station.store.export import Additions, export, file_names
from pygnc_station.store.query import Span
from pygnc_station.store.readings import Layout, PlainValue, StoredReading, Stream, to_text
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


def test_parquet_of_many_readings_needs_the_memory_of_a_few(store: Store, tmp_path: Path) -> None:
    export(store, query.streams(store), tmp_path, "parquet")  # imports what an export needs
    store.append(store.stream("pump/2", LAYOUT), [new(rank) for rank in range(50_000)])
    tracemalloc.start()
    try:
        (path,) = export(store, query.streams(store, "pump/2"), tmp_path, "parquet")
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 6e6  # with all readings in memory 14 MB
    assert pl.read_parquet(path)["t_utc_ms"].to_list() == [new(rank).t_utc_ms for rank in range(50_000)]
    store.close()


def test_parquet_holds_values_of_different_types(store: Store, tmp_path: Path) -> None:
    rows: list[list[PlainValue]] = [[1, True, 7], [2.5, None, "seven"], [2**70, False, [7, None]], [None]]
    stream = store.stream("pump/3", LAYOUT)
    store.append(stream, [new(rank)._replace(content=to_text(values)) for rank, values in enumerate(rows)])
    (path,) = export(store, query.streams(store, "pump/3"), tmp_path, "parquet")
    frame = pl.read_parquet(path)
    assert frame["rate_z_rad_s"].to_list() == [1.0, 2.5, float(2**70), None]
    assert frame["temp_degc"].to_list() == [True, None, False, None]
    assert frame["text"].to_list() == ["7", "seven", "[7,null]", None]
    store.close()


def test_parquet_contains_the_readings_of_its_beginning(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def walk(store: Store, stream: Stream, span: Span) -> Iterator[list[StoredReading]]:
        yield from query.walk(store, stream, span)
        later = new(20)._replace(content='["a text","a text",1]')
        store.append(store.stream("pump/1", LAYOUT), [later])

    monkeypatch.setattr("pygnc_station.store.export.walk", walk)
    (path,) = export(store, query.streams(store), tmp_path, "parquet")
    assert pl.read_parquet(path)["rate_z_rad_s"].to_list() == [rank / 1000 for rank in range(10)]
    store.close()


def test_files_appear_when_they_are_complete(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr("pygnc_station.store.export.walk", fail)
    with pytest.raises(OSError, match="full"):
        export(store, query.streams(store), tmp_path / "out", "csv")
    assert list((tmp_path / "out").iterdir()) == []
    store.close()


def _corrected(_: Stream) -> Additions:
    def double(values: Sequence[PlainValue], _: int) -> float | None:
        return 2 * values[0] if isinstance(values[0], float | int) else None

    return Additions((53.3, -6.25), {"rate_z_rad_s": double})


def test_files_contain_the_place_and_corrected_values(store: Store, tmp_path: Path) -> None:
    (path,) = export(store, query.streams(store), tmp_path, "csv", additions=_corrected)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[3]) == [
        "utc", "quality", "lost_before", "flags", "zRate [deg/s]", "temp_degc [degC]", "text", "raw",
        "zRate corrected [deg/s]", "latitude_deg", "longitude_deg",
    ]  # fmt: skip
    assert float(rows[3]["zRate corrected [deg/s]"]) == pytest.approx(2 * float(rows[3]["zRate [deg/s]"]))
    assert (rows[3]["latitude_deg"], rows[3]["longitude_deg"]) == ("53.3", "-6.25")
    (path,) = export(store, query.streams(store), tmp_path, "parquet", additions=_corrected)
    assert pl.read_parquet(path)["rate_z_rad_s_corrected"].to_list() == [rank / 500 for rank in range(10)]
    assert pl.read_parquet_metadata(path)["latitude_deg"] == "53.3"
    store.close()


def test_netcdf_follows_the_cf_conventions(store: Store, tmp_path: Path) -> None:
    store.append(store.stream("pump/1", LAYOUT), [new(10)._replace(quality=5, content="[null,7,null]")])
    (path,) = export(store, query.streams(store), tmp_path, "netcdf", additions=_corrected)
    assert path.name == "pump_1_S1.nc"
    with netCDF4.Dataset(path) as file:
        assert (file.Conventions, file.featureType, file["station_name"][...]) == ("CF-1.11", "timeSeries", "pump/1")
        assert (float(file["latitude"][...]), file["longitude"].units) == (53.3, "degrees_east")
        assert (file["time"].units, file["time"][1]) == ("seconds since 1970-01-01 00:00:00", START_MS / 1000 + 5)
        rate = file["rate_z_rad_s"]
        assert (rate.units, rate.coordinates) == ("rad s-1", "latitude longitude station_name")
        assert rate[:10].tolist() == [rank / 1000 for rank in range(10)]
        assert math.isnan(rate[:].filled(math.nan)[10])
        assert file["rate_z_rad_s_corrected"][3] == 0.006
        assert (file["temp_degc"].units, file["temp_degc"][10]) == ("degree_Celsius", 7)
        assert list(file["text"][8:]) == ["ok", "ok", ""]
        assert (file["quality"][10], file["quality"].flag_meanings.split()[:2]) == (5, ["gap", "clock"])
    store.close()


def test_netcdf_of_many_readings_needs_the_memory_of_a_few(store: Store, tmp_path: Path) -> None:
    export(store, query.streams(store), tmp_path, "netcdf")
    store.append(store.stream("pump/2", LAYOUT), [new(rank) for rank in range(50_000)])
    tracemalloc.start()
    try:
        (path,) = export(store, query.streams(store, "pump/2"), tmp_path, "netcdf")
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 8e6
    with netCDF4.Dataset(path) as file:
        assert file["rate_z_rad_s"][-1] == 49.999
    store.close()


def test_file_names_differ_on_every_file_system(store: Store) -> None:
    for gadget in ("a:b", "a/b", "A?B"):
        store.stream(gadget, Layout("S1", ()))
    assert file_names(query.streams(store)) == ["pump_1_S1", "a_b_S1", "a_b_S1_2", "A_B_S1_3"]
    store.close()
