import hashlib
import socket
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

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


def test_announcements_that_are_never_completed_are_bounded(tmp_path: Path) -> None:
    limits = Limits(open_uploads=3)
    with server(tmp_path / "server", limits=limits) as there:
        keys = [there.new_key(name) for name in ("roof", "yard")]
        announced = {"name": "b", "bytes": 100, "sha256": "0" * 64}
        ids = [f"{rank:032x}" for rank in range(6)]
        with httpx.Client(base_url=f"{there.url}/api/v1/batches/") as client:
            for key, of_key in ((keys[1], ids[5:]), (keys[0], ids[:5])):
                client.headers["authorization"] = f"Bearer {key}"
                for id_ in of_key:
                    assert client.put(id_, json=announced).status_code == 200
                    assert client.patch(id_, params={"offset": 0}, content=b"x" * 10).json()["offset"] == 10
            # The oldest unfinished ones are discarded; a station that returns to one of them begins it anew.
            states = [client.get(id_).status_code for id_ in ids[:5]]
            assert states == [404, 404, 200, 200, 200]
            assert client.put(ids[0], json=announced).json()["offset"] == 0
        kept = sorted(path.stem for path in (there.folder / "quarantine").iterdir())
        assert kept == [ids[3], ids[4], ids[5]]
