import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pygnc_batonopc.batch import BatonopcBatches
from pygnc_batonopc.table import import_batonopc
from pygnc_station.errors import BadBatchError, StationError
from pygnc_station.server.application import application
from pygnc_station.server.ingest import ingest
from pygnc_station.server_settings import Limits, Serve
from pygnc_station.store import query
from pygnc_station.store.pruning import prune
from pygnc_station.store.readings import Quality, parse_time
from pygnc_station.store.store import Store
from tests.fakes.batonopc import COLUMNS, Station, batch_of, csv_of, log, rows_of
from tests.pygnc_station.server.samples import Running, server

pytestmark = pytest.mark.slow

DUBLIN = "Europe/Dublin"
REF = "2021-07-01_12:02_1"
NAMES = ["rdg_no", "timestamp", "gadget_id", *COLUMNS]


def _told(there: Running) -> list[tuple[str, float]]:
    """Return time and PM2.5 of all readings on the server, the newest first."""
    found = httpx.get(f"{there.url}/api/v1/reading/", params={"gadget": "OPC_7"}).raise_for_status().json()["results"]
    return [(item["timestamp"], item["values"]["pm_25"]) for item in found]


def _times(count: int) -> list[tuple[str, float]]:
    return [(f"2021-07-01T11:{rank:02d}:00.000Z", float(rank)) for rank in reversed(range(count))]


def _files_with(folder: Path, secret: str) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("header", [None, NAMES])
def test_batches_of_the_whole_table_add_each_reading_once(
    tmp_path: Path, method: int, header: list[str] | None
) -> None:
    database = tmp_path / "old.db"
    with server(tmp_path / "server", batonopc_zone=DUBLIN, keep_batches=True) as there:
        pi = Station(there.url, there.new_key())
        log(database, 3)
        first = batch_of(REF, pi.key, csv_of(rows_of(database), header), method=method)
        assert pi.upload(REF, first) == ("Processed", "")
        assert _told(there) == _times(3)
        (stream,) = query.streams(there.store)
        assert (stream.gadget_id, stream.family, stream.layout.kind) == ("OPC_7", "opc_n3", "batonopc")
        (oldest, *_) = query.between(there.store, [stream])
        assert oldest.quality == Quality.IMPORTED
        assert dict(zip(stream.layout.names, oldest.values, strict=True))["rh"] is None

        rows = [*rows_of(database), (4, "2021-07-01 12:03", "OPC_7", 20.5, None, *[3.0] * (len(COLUMNS) - 2))]
        second = batch_of("2021-07-01_12:03_2", pi.key, csv_of(rows, header), method=method)
        assert pi.upload("2021-07-01_12:03_2", second) == ("Processed", "")
        assert pi.upload("2021-07-01_12:03_2", second) == ("Processed", "")
        assert _told(there) == _times(4)
        (newest,) = httpx.get(f"{there.url}/api/v1/reading/latest/").json()["results"]
        assert newest["values"]["pm_25"] == 3.0
        assert newest["units"]["pm_25"] == "µg/m³"
        # Each batch contains the key, which must not be stored.
        assert len(list((there.folder / "accepted").iterdir())) == 2
        with zipfile.ZipFile(next((there.folder / "accepted").iterdir())) as kept:
            assert [name[-4:] for name in kept.namelist()] == [".csv"]
    assert _files_with(tmp_path, pi.key) == []


def test_an_imported_database_and_its_batches_give_the_same_readings(tmp_path: Path) -> None:
    database = tmp_path / "old.db"
    log(database, 3)
    with server(tmp_path / "server", batonopc_zone=DUBLIN) as there:
        pi = Station(there.url, there.new_key())
        assert import_batonopc(there.store, database, DUBLIN) == (3, 0)
        log(database, 1)
        assert pi.upload(REF, batch_of(REF, pi.key, csv_of(rows_of(database))))[0] == "Processed"
        log(database, 1)
        assert import_batonopc(there.store, database, DUBLIN) == (5, 0)
        assert sorted(value for _, value in _told(there)) == [0.0, 0.0, 0.0, 1.0, 2.0]
        assert len(query.streams(there.store)) == 1


def test_pruned_readings_do_not_return_with_the_next_batch(tmp_path: Path) -> None:
    rows = [(number, f"2021-07-01 12:{number:02d}", *ROW[2:]) for number in range(1, 6)]
    with server(tmp_path / "server", batonopc_zone=DUBLIN) as there:
        pi = Station(there.url, there.new_key())
        assert pi.upload("a", batch_of("a", pi.key, csv_of(rows[:4])))[0] == "Processed"
        assert prune(there.store, parse_time("2021-07-01T11:03:00"), []) == 2
        assert pi.upload("b", batch_of("b", pi.key, csv_of(rows)))[0] == "Processed"
        (stream,) = query.streams(there.store)
        assert [item.number for item in query.between(there.store, [stream])] == [3, 4, 5]


def test_a_batch_that_arrives_by_scp_is_removed_from_the_inbox(tmp_path: Path) -> None:
    log(tmp_path / "old.db", 2)
    inbox = tmp_path / "inbox"
    with server(tmp_path / "server", scp_host="127.0.0.1", scp_folder=str(inbox), batonopc_zone=DUBLIN) as there:
        pi = Station(there.url, there.new_key())
        octets = batch_of(REF, pi.key, csv_of(rows_of(tmp_path / "old.db")))
        told = pi.request(REF, octets)
        assert told["destination"] == f"{inbox}/"
        folder = inbox / pi.key / "inbox"
        folder.mkdir(parents=True)
        assert pi.status(told["batchid"]) == ("Unprocessed", "")
        (folder / f"{told['batchid']}.zip").write_bytes(octets)
        assert pi.status(told["batchid"]) == ("Processed", "")
        assert _told(there) == _times(2)
        assert _files_with(tmp_path, pi.key) == []


def test_an_inaccessible_inbox_is_logged_without_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    inbox = tmp_path / "inbox"
    with server(tmp_path / "server", scp_host="127.0.0.1", scp_folder=str(inbox), batonopc_zone=DUBLIN) as there:
        pi = Station(there.url, there.new_key())
        octets = batch_of(REF, pi.key, csv_of([ROW]))
        id_ = pi.request(REF, octets)["batchid"]
        folder = inbox / pi.key / "inbox"
        folder.mkdir(parents=True)
        (folder / f"{id_}.zip").write_bytes(octets)

        def forbidden(path: Path) -> None:
            raise PermissionError(13, "Permission denied", str(path))

        with monkeypatch.context() as patch:
            patch.setattr(Path, "read_bytes", forbidden)
            assert pi.status(id_) == ("Unprocessed", "")
        assert f"batch {id_}: its file in the inbox cannot be read or deleted: Permission denied" in caplog.text
        assert pi.key not in caplog.text
        assert pi.status(id_) == ("Processed", "")


@pytest.mark.parametrize("columns", [("temp", "rh", "pm_01", "pm_25", "pm_10"), ("temp", "rh")])
def test_recognises_tables_of_older_versions_by_their_width(tmp_path: Path, columns: tuple[str, ...]) -> None:
    raw = "{'Bin 0': 1.25, 'PM_A': 3.5}"
    rows = [(1, "2020-12-16 11:52", None, *[25.0] * len(columns), raw), (2, "no time", "", *[25.0] * len(columns), raw)]
    with server(tmp_path / "server", batonopc_zone=DUBLIN) as there:
        pi = Station(there.url, there.new_key())
        assert pi.upload(REF, batch_of(REF, pi.key, csv_of(rows))) == (
            "Processed",
            "1 rows without a valid time were left out",
        )
        (stream,) = query.streams(there.store, "OPC_7")  # the YAML file contains the device name, the rows do not
        (found,) = query.between(there.store, [stream])
        assert found.time == "2020-12-16T11:52:00.000Z"
        assert dict(zip(stream.layout.names, found.values, strict=True)) == dict.fromkeys(columns, 25.0) | {
            "Bin 0": 1.25, "PM_A": 3.5,
        }  # fmt: skip


def _broken(octets: bytes) -> bytes:
    at = octets.index(b"2021-07-01 12:00")
    return octets[:at] + b"2022" + octets[at + 4 :]


def _of_table(table: bytes) -> Callable[[str], bytes]:
    return lambda key: batch_of(REF, key, table)


def _of_yaml(text: str) -> Callable[[str], bytes]:
    return lambda key: batch_of(REF, key, csv_of([ROW]), description=text.replace("KEY", key).encode())


ROW = (1, "2021-07-01 12:00", "OPC_7", 20.5, None, *[1.0] * (len(COLUMNS) - 2))
BAD: dict[str, tuple[Callable[[str], bytes], str]] = {
    "damaged on the way": (lambda key: _broken(batch_of(REF, key, csv_of([ROW]))), "Bad CRC-32"),
    "cut off": (lambda key: batch_of(REF, key, csv_of([ROW]))[:-30], "damaged zip"),
    "an empty file": (_of_table(b""), f"{REF}.csv is empty"),
    "a file that ends within a row": (_of_table(csv_of([ROW, ROW])[:-5]), "line 3 is truncated"),
    "a row that is short": (_of_table(csv_of([ROW, ROW[:-1]])), "row 3: 44 cells instead of 45"),
    "a table that nobody has": (_of_table(csv_of([ROW[:20]])), "20 columns without names"),
    "names of something else": (_of_table(csv_of([(1, 2)], ["a", "b"])), "include rdg_no and timestamp"),
    "a number that is none": (_of_table(csv_of([("x", *ROW[1:])])), "row 2: rdg_no must be"),
    "a number before the first": (_of_table(csv_of([(0, *ROW[1:])])), "row 2: rdg_no must be"),
    "text that is none": (_of_table(b"\r\n\xff\xff\r\n"), "codec"),
    "a line without end": (_of_table(b"\r\n" + b"1" * 200_000 + b"\r\n"), "line 2 is longer than 100000"),
    "a cell without end": (
        _of_table(b'\r\n"' + b"1\r\n" * 50_000 + b'"\r\n'),
        "1 columns without names|field limit",  # the limit is global to the process
    ),
    "a device without a name": (
        _of_table(csv_of([(1, "2021-07-01 12:00", "\x07", *ROW[3:])])),
        "1 to 120 printable characters",
    ),
    "rows without cells": (_of_table(b"\r\n" * 10), "0 columns without names"),
    "a YAML that is none": (_of_yaml("device_id: KEY: ["), f"{REF}.yaml is not a YAML mapping"),
    "a YAML of aliases": (_of_yaml("device_id: &a KEY\ngadget_id: *a"), f"{REF}.yaml is not a YAML mapping"),
    "a YAML that makes objects": (_of_yaml("!!python/object/apply:os.getcwd []"), "is not a YAML mapping"),
    "a YAML without end": (_of_yaml("device_id: KEY\nx: " + "y" * 70_000), "the limit is 65536"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_damaged_batch_is_rejected_with_a_reason_and_its_key_is_not_stored(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    make, why = BAD[name]
    with server(tmp_path / "server", batonopc_zone=DUBLIN, keep_batches=True) as there:
        pi = Station(there.url, there.new_key())
        status, reason = pi.upload(REF, make(pi.key))
        assert status == "Rejected"
        assert any(part in reason for part in why.split("|")), reason
        assert pi.key not in reason
        assert query.streams(there.store) == []
        assert pi.key not in caplog.text
    assert _files_with(tmp_path, pi.key) == []


def test_a_zip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    with server(tmp_path / "server") as there:
        pi = Station(there.url, there.new_key())
        octets = batch_of(REF, pi.key, b"\r\n" * 5_000_000, method=zipfile.ZIP_DEFLATED)
        status, reason = pi.upload(REF, octets)
        assert status == "Rejected"
        assert "unpack to 10000000" in reason


def test_a_table_of_several_pages_is_stored_completely_or_not_at_all(tmp_path: Path) -> None:
    rows = [(number, "2021-07-01 12:00", "OPC_7", *ROW[3:]) for number in range(1, 4502)]
    with server(tmp_path / "server", batonopc_zone=DUBLIN) as there:
        pi = Station(there.url, there.new_key())
        assert pi.upload("a", batch_of("a", pi.key, csv_of([*rows, (1,)])))[0] == "Rejected"
        assert query.streams(there.store) == []
        assert pi.upload("b", batch_of("b", pi.key, csv_of(rows))) == ("Processed", "")
        assert query.count(there.store, query.streams(there.store)[0]) == 4501


def test_a_server_killed_after_storing_a_batch_archives_its_zip(tmp_path: Path) -> None:
    with server(tmp_path / "server", batonopc_zone=DUBLIN) as there:
        pi = Station(there.url, there.new_key())
        octets = batch_of(REF, pi.key, csv_of([ROW]))
        id_ = pi.request(REF, octets)["batchid"]
        pi.post(id_, octets)
        bad = pi.request("bad", b"abc")["batchid"]
        pi.post(bad, b"abc")
    for left in (id_, bad):
        (there.folder / "quarantine" / f"{left}.zip").write_bytes(octets)
    with server(tmp_path / "server", batonopc_zone=DUBLIN) as there:
        assert Station(there.url, pi.key).status(id_) == ("Processed", "")
        assert _files_with(tmp_path, pi.key) == []


def test_an_unknown_time_zone_is_reported_when_the_server_starts(tmp_path: Path) -> None:
    with Store.open(str(tmp_path / "r.db")) as store, pytest.raises(StationError, match="unknown time zone 'Dublin'"):
        application(store, Serve(batonopc_zone="Dublin"), tmp_path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(table=st.one_of(st.binary(max_size=300), st.text(",\"\r\n1a.-é{'[", max_size=200).map(str.encode)))
def test_any_table_is_stored_or_rejected_with_a_reason(tmp_path: Path, table: bytes) -> None:
    path = tmp_path / "batch.zip"
    path.write_bytes(batch_of(REF, "k" * 20, table))
    with (
        Store.open(str(tmp_path / "r.db")) as store,
        suppress(BadBatchError),
        store.writes() as connection,
    ):
        ingest(connection, 1, path, tmp_path / "files", limits=Limits(), formats=[BatonopcBatches(Serve())])
