import hashlib
import io
import socket
import stat
import threading
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from pygnc_station.batch_format import BatchWriter, Metadata, StreamEntry
from pygnc_station.errors import StationError, TransferError
from pygnc_station.server.access import new_pin
from pygnc_station.server.ingest import ingest
from pygnc_station.server_settings import Limits
from pygnc_station.settings import Batches, StationSettings, Upload
from pygnc_station.store import query
from pygnc_station.store.batches import BatchState, batches, retry_rejected, update_batch
from pygnc_station.store.readings import clock_ms
from pygnc_station.store.store import Store
from pygnc_station.upload import station_server
from pygnc_station.upload.batch_builder import make_batch
from pygnc_station.upload.retry import retry_state
from pygnc_station.upload.station_server import read_key, register, send_request
from pygnc_station.upload.uploader import UploadReport, sender_of
from tests.pygnc_station.server.samples import batch_of, server, station, upload
from tests.pygnc_station.store.samples import LAYOUT, new

pytestmark = pytest.mark.slow


def _numbers(store: Store) -> list[int]:
    return [item.number for item in query.between(store, query.streams(store))]


def test_a_station_registers_and_uploads_each_reading_once(tmp_path: Path, url: str) -> None:
    with server(tmp_path / "server", url) as there, Store.open(str(tmp_path / "r.db")) as store:
        settings = station(tmp_path / "pi", there.url)
        file = register(settings, new_pin(there.store, clock_ms(), 5))
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert len(read_key(file)) == 20
        batch = batch_of(store, settings, range(30))
        assert upload(store, settings) == UploadReport(accepted=[batch.name])
        assert upload(store, settings) == UploadReport()
        (stream,) = query.streams(there.store)
        assert (stream.gadget_id, stream.family, stream.origin, stream.layout) == ("imu", "ucb", store.origin, LAYOUT)
        mine = query.between(store, query.streams(store))
        assert [item[1:] for item in query.between(there.store, [stream])] == [item[1:] for item in mine]
        assert not list((there.folder / "quarantine").iterdir())
    assert (tmp_path / "pi/batches_uploaded" / batch.file_name).exists()
    assert not (tmp_path / "pi/batches2upload" / batch.file_name).exists()


def test_a_repeated_batch_changes_nothing(tmp_path: Path) -> None:
    with server(tmp_path / "server") as there, Store.open(str(tmp_path / "r.db")) as store:
        settings = station(tmp_path / "pi", there.url, there.new_key())
        batch = batch_of(store, settings, range(5))
        path = tmp_path / "pi/batches2upload" / batch.file_name
        kept = path.read_bytes()
        sender = sender_of(settings)
        for _ in range(2):  # killed before it could record the response
            assert sender.send(batch, path).state is BatchState.ACCEPTED
        sender.close()
        # The same readings in a batch of another name are stored once.
        path.write_bytes(kept)
        assert _numbers(there.store) == [1, 2, 3, 4, 5]


def test_an_interrupted_upload_continues_at_its_offset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(station_server, "CHUNK_BYTES", 100)
    asked: list[int] = []
    right = send_request

    def cut(client: httpx.Client, method: str, path: str, **content: Any) -> httpx.Response:  # noqa: ANN401 - as httpx
        if method == "PATCH":
            asked.append(content["params"]["offset"])
            if len(asked) == 3:
                raise TransferError("the line is cut")
        return right(client, method, path, **content)

    monkeypatch.setattr(station_server, "send_request", cut)
    with Store.open(str(tmp_path / "r.db")) as store:
        with server(tmp_path / "server") as there:
            settings = station(tmp_path / "pi", there.url, there.new_key())
            batch = batch_of(store, settings, range(30))
            assert upload(store, settings).problem == "the line is cut"
            assert retry_state(store, "upload").attempts == 1
        with server(tmp_path / "server") as there:  # the server was restarted as well
            again = StationSettings(folder=settings.folder, upload=Upload(url=there.url))
            assert upload(store, again).accepted == [batch.name]
            assert _numbers(there.store) == list(range(1, 31))
    assert asked[:4] == [0, 100, 200, 200]


def test_a_damaged_batch_is_sent_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = send_request
    damaged: list[bytes] = []

    def damage(client: httpx.Client, method: str, path: str, **content: Any) -> httpx.Response:  # noqa: ANN401 - as httpx
        if method == "PATCH" and not damaged:
            damaged.append(content["content"])
            content["content"] = b"x" + content["content"][1:]
        return right(client, method, path, **content)

    monkeypatch.setattr(station_server, "send_request", damage)
    with server(tmp_path / "server") as there, Store.open(str(tmp_path / "r.db")) as store:
        settings = station(tmp_path / "pi", there.url, there.new_key())
        batch = batch_of(store, settings, range(5))
        assert upload(store, settings).accepted == [batch.name]
        assert _numbers(there.store) == [1, 2, 3, 4, 5]
    assert damaged


def test_a_killed_server_processes_complete_batches_after_its_restart(tmp_path: Path) -> None:
    with server(tmp_path / "server") as there, Store.open(str(tmp_path / "r.db")) as store:
        key = there.new_key()
        settings = station(tmp_path / "pi", there.url, key)
        batch = batch_of(store, settings, range(5))
        octets = (tmp_path / "pi/batches2upload" / batch.file_name).read_bytes()
        said = {"name": batch.name, "bytes": batch.bytes, "sha256": batch.sha256}
        with httpx.Client(base_url=there.url, headers={"authorization": f"Bearer {key}"}) as client:
            assert client.put(f"/api/v1/batches/{batch.id}", json=said).json()["offset"] == 0
        (there.folder / "quarantine" / f"{batch.id}.zip").write_bytes(octets)
        assert _numbers(there.store) == []
    with server(tmp_path / "server") as there:
        assert _numbers(there.store) == [1, 2, 3, 4, 5]


def test_a_server_starts_although_a_batch_cannot_be_processed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    octets, id_ = b"123", "f" * 32
    with server(tmp_path / "server") as there:
        headers = {"authorization": f"Bearer {there.new_key()}"}
        said = {"name": "n", "bytes": len(octets), "sha256": hashlib.sha256(octets).hexdigest()}
        httpx.put(f"{there.url}/api/v1/batches/{id_}", json=said, headers=headers).raise_for_status()
        (there.folder / "quarantine" / f"{id_}.zip").write_bytes(octets)  # killed before it was processed
    with monkeypatch.context() as patch:
        patch.setattr("pygnc_station.server.uploads.ingest", lambda *_: 1 // 0)
        with server(tmp_path / "server") as there:
            assert httpx.get(f"{there.url}/health").status_code == 200
    assert f"batch {id_} cannot be processed" in caplog.text
    with server(tmp_path / "server") as there:
        told = httpx.get(f"{there.url}/api/v1/batches/{id_}", headers=headers).json()
    assert told["state"] == "rejected"


def test_flight_files_arrive_unchanged_and_are_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr("pygnc_station.server.ingest.sync_file", lambda path: synced.append(path.name))
    with server(tmp_path / "server") as there, Store.open(str(tmp_path / "r.db")) as store:
        base = station(tmp_path / "pi", there.url, there.new_key())
        settings = StationSettings(folder=base.folder, upload=base.upload, batches=Batches(flight_folders=["home"]))
        (tmp_path / "pi/home").mkdir()
        (tmp_path / "pi/home/sense.bin").write_bytes(bytes(range(256)) * 10)
        batch = batch_of(store, settings, range(2))
        assert upload(store, settings).accepted == [batch.name]
        (found,) = (there.folder / "files" / batch.id).iterdir()
        assert found.read_bytes() == bytes(range(256)) * 10
    assert synced == [found.name]


def test_twenty_concurrent_gateways_lose_no_reading(tmp_path: Path) -> None:
    with server(tmp_path / "server") as there:

        def run(rank: int) -> list[str]:
            with Store.open(str(tmp_path / f"{rank}.db")) as store:
                settings = station(tmp_path / f"pi{rank}", there.url, there.new_key(f"pi {rank}"))
                batch_of(store, settings, range(100), f"imu {rank}")
                return upload(store, settings).accepted

        with ThreadPoolExecutor(20) as pool:
            accepted = list(pool.map(run, range(20)))
        assert all(len(names) == 1 for names in accepted)
        counts = {stream.gadget_id: query.count(there.store, stream) for stream in query.streams(there.store)}
    assert counts == {f"imu {rank}": 100 for rank in range(20)}


def test_records_outages_and_reports_wrong_keys(tmp_path: Path) -> None:
    with Store.open(str(tmp_path / "r.db")) as store:
        settings = station(tmp_path / "pi", "http://127.0.0.1:9", "k" * 20)
        batch = batch_of(store, settings, range(2))
        assert "127.0.0.1:9" in upload(store, settings).problem
        assert batches(store, BatchState.READY)[0].id == batch.id
        with server(tmp_path / "server") as there:
            wrong = station(tmp_path / "pi", there.url, "w" * 20)
            with pytest.raises(StationError, match="does not accept the key"):
                upload(store, wrong)
        assert retry_state(store, "upload").attempts == 2
        (tmp_path / "pi/gateway_key.txt").unlink()
        with pytest.raises(StationError, match="create it by `pygnc station register`"):
            upload(store, settings)
        with pytest.raises(StationError, match="set url in"):
            sender_of(StationSettings())


def test_a_deleted_batch_file_is_written_again(tmp_path: Path) -> None:
    with server(tmp_path / "server") as there, Store.open(str(tmp_path / "r.db")) as store:
        settings = station(tmp_path / "pi", there.url, there.new_key())
        batch = batch_of(store, settings, range(3))
        (tmp_path / "pi/batches2upload" / batch.file_name).unlink()
        assert upload(store, settings) == UploadReport()
        assert [made.name for made in make_batch(store, settings, clock_ms())] == [batch.name]
        assert upload(store, settings).accepted == [batch.name]
        assert _numbers(there.store) == [1, 2, 3]


def test_registering_anew_blocks_no_upload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(client: httpx.Client, method: str, path: str, **content: Any) -> httpx.Response:  # noqa: ANN401 - as httpx
        if method == "PATCH":
            raise TransferError("the line is cut")
        return send_request(client, method, path, **content)

    with server(tmp_path / "server") as there, Store.open(str(tmp_path / "r.db")) as store:
        settings = station(tmp_path / "pi", there.url, there.new_key())
        names = [batch_of(store, settings, range(3)).name]
        with monkeypatch.context() as patch:
            patch.setattr(station_server, "send_request", cut)
            assert upload(store, settings).problem == "the line is cut"
        register(settings, new_pin(there.store, clock_ms(), 5))
        names.append(batch_of(store, settings, range(3, 5)).name)
        assert sorted(upload(store, settings).accepted) == sorted(names)
        assert _numbers(there.store) == [1, 2, 3, 4, 5]


def test_a_batch_that_fails_blocks_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with server(tmp_path / "server") as there, Store.open(str(tmp_path / "r.db")) as store:
        settings = station(tmp_path / "pi", there.url, there.new_key())
        made = [batch_of(store, settings, range(rank, rank + 1)) for rank in range(6)]
        bad = {batch.id for batch in made[:4]}

        def fail(connection: Any, gateway: int, path: Path, *rest: Any, **limits: Any) -> Any:  # noqa: ANN401 - as `ingest`
            if path.stem in bad:
                raise RuntimeError("a fault of the server")
            return ingest(connection, gateway, path, *rest, **limits)

        monkeypatch.setattr("pygnc_station.server.uploads.ingest", fail)
        for _ in range(4):  # the server may also close the connection after a fault
            assert upload(store, settings).problem
        assert _numbers(there.store) == [5, 6]
        monkeypatch.undo()
        report = upload(store, settings)
        assert (sorted(report.accepted), report.problem) == (sorted(batch.name for batch in made[:4]), "")
        assert _numbers(there.store) == [1, 2, 3, 4, 5, 6]


def test_a_refused_announcement_rejects_only_its_batch_which_can_be_sent_again(tmp_path: Path) -> None:
    with server(tmp_path / "server") as there, Store.open(str(tmp_path / "r.db")) as store:
        settings = station(tmp_path / "pi", there.url, there.new_key())
        first, second = batch_of(store, settings, range(1)), batch_of(store, settings, range(1, 2))
        update_batch(store, first, bytes=0)
        report = upload(store, settings)
        assert report.accepted == [second.name]
        ((name, reason),) = report.rejected
        assert (name, "$.bytes" in reason) == (first.name, True)
        retry_rejected(store, first.name)
        update_batch(store, first, bytes=first.bytes)
        assert upload(store, settings).accepted == [first.name]
        assert _numbers(there.store) == [1, 2]


@pytest.mark.parametrize("damage", [b"", b"x" * 900], ids=["truncated", "overwritten"])
def test_a_batch_file_damaged_on_the_card_is_written_again(tmp_path: Path, damage: bytes) -> None:
    with server(tmp_path / "server") as there, Store.open(str(tmp_path / "r.db")) as store:
        settings = station(tmp_path / "pi", there.url, there.new_key())
        batch = batch_of(store, settings, range(3))
        path = tmp_path / "pi/batches2upload" / batch.file_name
        path.write_bytes(damage.ljust(batch.bytes if damage else 0, b"x"))
        assert upload(store, settings) == UploadReport()
        assert [made.name for made in make_batch(store, settings, clock_ms())] == [batch.name]
        assert upload(store, settings).accepted == [batch.name]
        assert _numbers(there.store) == [1, 2, 3]


def test_deletes_accepted_readings_and_files_if_configured(tmp_path: Path) -> None:
    with server(tmp_path / "server") as there, Store.open(str(tmp_path / "r.db")) as store:
        base = station(tmp_path / "pi", there.url, there.new_key())
        wished = Batches(delete_when_accepted=True, delete_readings=True)
        settings = StationSettings(folder=base.folder, upload=base.upload, batches=wished)
        batch_of(store, settings, range(3))
        store.append(store.stream("imu", LAYOUT), [new(9)])
        upload(store, settings)
        assert _numbers(store) == [4]
        assert _numbers(there.store) == [1, 2, 3]
    assert not list((tmp_path / "pi").rglob("*.zip"))


def _zip(entries: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, octets in entries.items():
            archive.writestr(name, octets)
    return buffer.getvalue()


def _good(tmp_path: Path, change: Callable[[BatchWriter], None], **metadata: Any) -> bytes:  # noqa: ANN401 - any field
    path = tmp_path / "made.zip"
    writer = BatchWriter(path, 1_790_000_000_000)
    change(writer)
    given = {"format": 1, "batch_id": "a" * 32, "name": "n", "station": "s", "created": "", "type": "", "mode": "LIVE"}
    writer.finish(Metadata(**given | {"streams": ()} | metadata))  # type: ignore[arg-type]
    writer.close()
    return path.read_bytes()


def _nothing(_: BatchWriter) -> None:
    pass


def _stream(origin: str = "o", count: int = 0) -> StreamEntry:
    return StreamEntry("a.csv", "g", "", origin, LAYOUT, 1, 5, count)


def _row(tmp_path: Path, cells: str) -> bytes:
    stream = msgspec.structs.replace(_stream(count=1), last=1 << 70)
    return _good(tmp_path, lambda w: w.add("a.csv", [_HEAD, cells.encode(), b"\r\n"]), streams=(stream,))


def _packed(method: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr("manifest.json", b"{}")
    return buffer.getvalue()


def _broken_inside(tmp_path: Path) -> bytes:
    octets = bytearray(_good(tmp_path, lambda w: w.add("a.csv", [_HEAD, b"1" * 500]), streams=(_stream(),)))
    start = octets.index(b"a.csv") + len(b"a.csv") + 20  # beyond the extra field of large files
    octets[start : start + 20] = b"\xff" * 20
    return bytes(octets)


_HEAD = b"number,time,t_utc_ms,quality,lost_before,flags,rate_z_rad_s,temp_degc,text,raw\r\n"
BAD: dict[str, tuple[Callable[[Path], bytes], str]] = {
    "no zip": (lambda _: b"hello" * 50, "damaged zip"),
    "no manifest": (lambda _: _zip({"a.csv": b"1"}), "manifest.json is missing"),
    "a path that leads out": (lambda _: _zip({"../../etc/passwd": b"1"}), "'../../etc/passwd'"),
    "an absolute path": (lambda _: _zip({"/etc/passwd": b"1"}), "'/etc/passwd'"),
    "a hidden name": (lambda _: _zip({"files/.ssh": b"1"}), "'files/.ssh'"),
    "a bomb": (lambda _: _zip({"a.csv": bytes(60_000_000)}), "unpack to 60000000"),
    "two alike": (lambda _: _zip({"a.csv": b"1", "A.csv": b"2"}), "the same name"),
    "metadata that are none": (lambda p: _good(p, _nothing, format="x"), "metadata.json"),
    "an unknown format": (lambda p: _good(p, _nothing, format=9), "unknown format 9"),
    "a missing entry": (lambda p: _good(p, _nothing, streams=(_stream(),)), "a.csv is missing"),
    "a wrong header": (
        lambda p: _good(p, lambda w: w.add("a.csv", [b"x\r\n"]), streams=(_stream(),)),
        "header does not match",
    ),
    "a wrong count": (
        lambda p: _good(p, lambda w: w.add("a.csv", [_HEAD]), streams=(_stream(count=3),)),
        "has 0 readings instead of 3",
    ),
    "a row that is none": (
        lambda p: _good(p, lambda w: w.add("a.csv", [_HEAD, b"1,2\r\n"]), streams=(_stream(),)),
        "line 2: 2 cells",
    ),
    "text that is none": (
        lambda p: _good(p, lambda w: w.add("a.csv", [_HEAD, b"\xff\xff\r\n"]), streams=(_stream(),)),
        "codec",
    ),
    "another way of packing": (lambda _: _packed(zipfile.ZIP_LZMA), "compression method 14"),
    "deflated wrongly": (_broken_inside, "damaged zip"),
    "a time that no calendar has": (
        lambda p: _row(p, f"1,,{10**18},0,0,,1,1,,"),
        "line 2: t_utc_ms is 1e+18; the range is 0 to",
    ),
    "a number that no database has": (
        lambda p: _row(p, f"{1 << 63},,0,0,0,,1,1,,"),
        "line 2: number is 9.22337e+18; the range is 1 to",
    ),
    "a quality that no database has": (
        lambda p: _row(p, f"1,,0,{10**30},0,,1,1,,"),
        "line 2: quality is 1e+30; the range is 0 to",
    ),
    "a gap that no database has": (
        lambda p: _row(p, "1,,0,0,-1,,1,1,,"),
        "line 2: lost_before is -1; the range is 0 to",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_rejects_invalid_batches_with_a_reason_and_keeps_their_files(tmp_path: Path, name: str) -> None:
    make, why = BAD[name]
    octets = make(tmp_path)
    id_ = "b" * 32
    with server(tmp_path / "server") as there:
        headers = {"authorization": f"Bearer {there.new_key()}"}
        with httpx.Client(base_url=there.url, headers=headers) as client:
            said = {"name": "n", "bytes": len(octets), "sha256": hashlib.sha256(octets).hexdigest()}
            client.put(f"/api/v1/batches/{id_}", json=said).raise_for_status()
            told = client.patch(f"/api/v1/batches/{id_}", params={"offset": 0}, content=octets).json()
            assert told["state"] == "rejected"
            assert why in told["reason"]
            assert client.get(f"/api/v1/batches/{id_}").json() == told
        assert query.streams(there.store) == []
        assert (there.folder / "rejected" / f"{id_}.zip").read_bytes() == octets


def test_accepts_long_raw_bytes_and_rejects_cells_beyond_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = hashlib.shake_256(b"").digest(100_000)
    with server(tmp_path / "server") as there, Store.open(str(tmp_path / "r.db")) as store:
        settings = station(tmp_path / "pi", there.url, there.new_key())
        batches_made = []
        for rank in range(2):
            reading = new(rank)._replace(raw=raw)
            store.append(store.stream("opc", LAYOUT), [reading])
            batches_made += make_batch(store, settings, clock_ms())
            if rank:
                monkeypatch.setattr("pygnc_station.batch_format._MAX_CELL_CHARACTERS", 100_000)
            report = upload(store, settings)
        (stream,) = query.streams(there.store)
        assert [item.raw for item in query.between(there.store, [stream])] == [raw]
    (rejected,) = report.rejected
    assert rejected == (batches_made[1].name, "field larger than field limit (100000)")


def test_the_manifest_reveals_a_single_wrong_byte(tmp_path: Path) -> None:
    octets = _zip({"a.csv": b"1", "manifest.json": b'{"entries":{"a.csv":{"sha256":"00","bytes":1},"metadata.json":'
                   b'{"sha256":"00","bytes":2}}}', "metadata.json": b"{}"})  # fmt: skip
    id_ = "c" * 32
    with server(tmp_path / "server") as there:
        headers = {"authorization": f"Bearer {there.new_key()}"}
        with httpx.Client(base_url=there.url, headers=headers) as client:
            said = {"name": "n", "bytes": len(octets), "sha256": hashlib.sha256(octets).hexdigest()}
            client.put(f"/api/v1/batches/{id_}", json=said)
            told = client.patch(f"/api/v1/batches/{id_}", params={"offset": 0}, content=octets).json()
    assert told["state"] == "rejected"


def test_a_rejected_batch_does_not_delay_the_next(tmp_path: Path) -> None:
    limits = Limits(batch_bytes=3_000)
    with server(tmp_path / "server", limits=limits) as there, Store.open(str(tmp_path / "r.db")) as store:
        settings = station(tmp_path / "pi", there.url, there.new_key())
        large = batch_of(store, settings, range(2000))
        small = batch_of(store, settings, range(1))
        report = upload(store, settings)
        assert report.accepted == [small.name]
        ((name, reason),) = report.rejected
        assert (name, str(large.bytes) in reason) == (large.name, True)
        assert batches(store, BatchState.REJECTED)[0].name == large.name
        assert retry_state(store, "upload").attempts == 0


def test_invalid_requests_get_client_errors(tmp_path: Path) -> None:
    with server(tmp_path / "server") as there:
        mine = {"authorization": f"Bearer {there.new_key()}"}
        theirs = {"authorization": f"Bearer {there.new_key('other')}"}
        place = f"/api/v1/batches/{'d' * 32}"
        said = {"name": "n", "bytes": 10, "sha256": "0" * 64}
        with httpx.Client(base_url=there.url) as client:
            assert client.put(place, json=said).status_code == 401
            assert client.get(place, headers=mine).status_code == 404
            assert client.put("/api/v1/batches/short", json=said, headers=mine).status_code == 400
            assert client.put(place, json={"name": "n"}, headers=mine).status_code == 400
            assert client.put(place, json=said | {"sha256": "x"}, headers=mine).status_code == 400
            assert client.put(place, json=said, headers=mine).json()["state"] == "receiving"
            assert client.put(place, json=said, headers=theirs).status_code == 404
            assert client.patch(place, content=b"12345", headers=mine).status_code == 400
            assert client.patch(place, params={"offset": 5}, content=b"1", headers=mine).status_code == 409
            assert client.patch(place, params={"offset": "9" * 5000}, headers=mine).status_code == 400
            assert client.patch(place, params={"offset": 0}, content=b"1" * 11, headers=mine).status_code == 413
            assert client.patch(place, params={"offset": 0}, content=b"12345", headers=mine).json()["offset"] == 5


def test_bytes_received_before_a_disconnect_remain(tmp_path: Path) -> None:
    with server(tmp_path / "server") as there:
        headers = {"authorization": f"Bearer {there.new_key()}"}
        place = f"/api/v1/batches/{'e' * 32}"
        size = 5 << 20
        sent = threading.Event()

        def pieces() -> Any:  # noqa: ANN401 - a generator
            yield bytes(3 << 20)
            sent.set()
            raise ConnectionResetError("pulled")

        with httpx.Client(base_url=there.url, headers=headers) as client:
            client.put(place, json={"name": "n", "bytes": size, "sha256": "0" * 64})
            with pytest.raises(ConnectionResetError):
                client.patch(place, params={"offset": 0}, content=pieces())
            assert sent.is_set()
            offset = client.get(place).json()["offset"]
    assert offset % (1 << 20) == 0 or offset <= 3 << 20


def test_a_disconnect_within_a_body_is_not_an_error_of_the_server(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with server(tmp_path / "server") as there:
        url = httpx.URL(there.url)
        head = f"PUT /api/v1/batches/{'e' * 32} HTTP/1.1\r\nHost: {url.netloc.decode()}\r\n"
        head += f"Authorization: Bearer {there.new_key()}\r\nContent-Length: 1000\r\n\r\n"
        with socket.create_connection((url.host, url.port or 80)) as connection:
            connection.sendall(head.encode() + b"{")
        httpx.get(there.url)
    assert "ClientDisconnect" not in capfd.readouterr().err
