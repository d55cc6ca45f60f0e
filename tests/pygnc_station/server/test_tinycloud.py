import getpass
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from pygnc_station.errors import StationError, TransferError
from pygnc_station.server.access import new_pin
from pygnc_station.settings import StationSettings
from pygnc_station.store import query
from pygnc_station.store.batches import BatchState, batches
from pygnc_station.store.readings import clock_ms
from pygnc_station.store.store import Store
from pygnc_station.upload.station_server import register
from pygnc_station.upload.uploader import UploadReport, upload_all
from pygnc_tinycloud.sender import ScpTarget, TinycloudSender, copy_by_scp
from tests.fakes.sshd import PROGRAM, WRAPPER, Sshd
from tests.pygnc_station.server.samples import batch_of, server, station

HAS_SSHD = pytest.mark.skipif(PROGRAM is None, reason="no sshd: apt-get install openssh-server")
HAS_WRAPPER = pytest.mark.skipif(WRAPPER is None, reason="no libnss_wrapper.so: apt-get install libnss-wrapper")


def _upload(store: Store, settings: StationSettings) -> UploadReport:
    sender = TinycloudSender(settings, poll_s=0.05)
    try:
        return upload_all(store, settings, sender, clock_ms())
    finally:
        sender.close()


def test_a_station_registers_and_uploads_by_https(tmp_path: Path) -> None:
    with server(tmp_path / "server") as there, Store.open(str(tmp_path / "r.db")) as store:
        settings = station(tmp_path / "pi", f"{there.url}/api/v1", way="tinycloud")
        register(settings, new_pin(there.store, clock_ms(), 5))
        batch = batch_of(store, settings, range(10))
        assert _upload(store, settings).accepted == [batch.name]
        assert query.count(there.store, query.streams(there.store)[0]) == 10
        (known,) = batches(store, BatchState.ACCEPTED)
        assert len(known.remote_id) == 32


@HAS_SSHD
def test_uploads_by_scp_only_to_a_host_with_a_known_key(tmp_path: Path) -> None:
    with Sshd(tmp_path / "ssh") as sshd:
        inbox = tmp_path / "inbox"
        with (
            server(tmp_path / "server", scp_host="127.0.0.1", scp_port=sshd.port, scp_folder=str(inbox)) as there,
            Store.open(str(tmp_path / "r.db")) as store,
        ):
            key = there.new_key()
            (inbox / key / "inbox").mkdir(parents=True)
            ssh = {"scp_user": getpass.getuser(), "scp_identity": str(sshd.client_key)}
            known = str(sshd.known_hosts)
            url = f"{there.url}/api/v1"
            settings = station(tmp_path / "pi", url, key, way="tinycloud", known_hosts=known, **ssh)
            batch = batch_of(store, settings, range(10))
            assert _upload(store, settings).accepted == [batch.name]
            assert query.count(there.store, query.streams(there.store)[0]) == 10
            assert not list(inbox.rglob("*.zip"))

            (tmp_path / "other").write_text("")
            strange = station(tmp_path / "pi", url, key, way="tinycloud", known_hosts=str(tmp_path / "other"), **ssh)
            batch_of(store, strange, range(1))
            with pytest.raises(StationError, match="the host key does not match"):
                _upload(store, strange)
            refused = station(tmp_path / "pi", url, key, way="tinycloud", known_hosts=known)
            with pytest.raises(StationError, match="the login is refused"):
                _upload(store, refused)


@HAS_SSHD
@HAS_WRAPPER
def test_scp_logs_in_with_the_key_and_the_id_of_the_batch(tmp_path: Path) -> None:
    with Sshd(tmp_path / "ssh", has_accounts=True) as sshd:
        inbox = tmp_path / "inbox"
        with (
            server(tmp_path / "server", scp_host="127.0.0.1", scp_port=sshd.port, scp_folder=str(inbox)) as there,
            Store.open(str(tmp_path / "r.db")) as store,
        ):
            key = there.new_key()
            (inbox / key / "inbox").mkdir(parents=True)
            known = str(sshd.known_hosts)
            settings = station(tmp_path / "pi", f"{there.url}/api/v1", key, way="tinycloud", known_hosts=known)
            batch = batch_of(store, settings, range(10))
            # tinycloud creates the account when the id is requested; a repeated request returns the same id.
            form = {"source_ref": batch.name, "zip_size": batch.bytes}
            headers = {"authorization": f"Bearer {key}"}
            told = httpx.post(f"{there.url}/api/v1/quarantine_request/", data=form, headers=headers).json()
            sshd.add_account(key, told["batchid"])
            assert _upload(store, settings).accepted == [batch.name]
            assert query.count(there.store, query.streams(there.store)[0]) == 10
            (known_batch,) = batches(store, BatchState.ACCEPTED)
            assert known_batch.remote_id == told["batchid"]
            batch_of(store, settings, range(1))  # its id differs, so it is not a valid password
            with pytest.raises(StationError, match="the login is refused"):
                _upload(store, settings)


def test_an_scp_host_that_does_not_respond_is_a_temporary_failure(tmp_path: Path) -> None:
    if shutil.which("ssh") is None:
        pytest.skip("no ssh: apt-get install openssh-client")
    (tmp_path / "file").write_text("x")
    target = ScpTarget("127.0.0.1", 9, "user", "word", "inbox/")
    with pytest.raises(TransferError, match=r"127\.0\.0\.1 port 9"):
        copy_by_scp(tmp_path / "file", target, StationSettings())
    with pytest.raises(StationError, match="invalid destination"):
        copy_by_scp(tmp_path / "file", ScpTarget("-oProxyCommand=x", 9, "u", "w", "/x"), StationSettings())


def _command_lines(stop: threading.Event, seen: set[str]) -> None:
    """Collect the command lines of all processes; sshd shows the login in its own."""
    while not stop.is_set():
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:  # the process has ended
                continue
            if line and "sshd" not in line:
                seen.add(line)


@HAS_SSHD
@HAS_WRAPPER
def test_key_and_password_are_on_no_command_line_and_in_no_message(tmp_path: Path) -> None:
    key, password, seen, stop = "k3y" * 6 + "ab", "0123456789abcdef" * 2, set[str](), threading.Event()
    with Sshd(tmp_path / "ssh", has_accounts=True) as sshd:
        sshd.add_account(key, password)
        inbox = tmp_path / key / "inbox"
        inbox.mkdir(parents=True)
        settings = station(tmp_path / "pi", "http://127.0.0.1:9", known_hosts=str(sshd.known_hosts))
        (tmp_path / "b.zip").write_bytes(b"x" * 1_000_000)
        target = ScpTarget("127.0.0.1", sshd.port, key, password, str(inbox / "b.zip"))
        watching = threading.Thread(target=_command_lines, args=(stop, seen))
        watching.start()
        try:
            copy_by_scp(tmp_path / "b.zip", target, settings)
        finally:
            stop.set()
            watching.join()
        assert (inbox / "b.zip").stat().st_size == 1_000_000
        with pytest.raises(StationError, match="the login is refused") as refused:
            copy_by_scp(tmp_path / "b.zip", replace(target, password="wrong"), settings)  # noqa: S106 - on purpose
        with pytest.raises(TransferError) as failed:
            copy_by_scp(tmp_path / "b.zip", replace(target, path=f"/{key}/missing/b.zip"), settings)
    assert any("sftp" in line for line in seen)
    texts = [*seen, str(refused.value), str(failed.value)]
    assert [line for line in texts if key in line or password in line] == []


def test_an_undecided_batch_is_queried_at_the_next_upload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with server(tmp_path / "server") as there, Store.open(str(tmp_path / "r.db")) as store:
        settings = station(tmp_path / "pi", f"{there.url}/api/v1", there.new_key(), way="tinycloud")
        batch = batch_of(store, settings, range(3))
        with monkeypatch.context() as patch:
            patch.setattr(TinycloudSender, "_post", lambda *_: None)
            assert _upload(store, settings) == UploadReport(waiting=[batch.name])
        (waiting,) = batches(store, BatchState.SENT)
        path = tmp_path / "pi/batches2upload" / batch.file_name
        sender = TinycloudSender(settings)
        sender._post(path, waiting.remote_id)
        sender.close()
        assert _upload(store, settings).accepted == [batch.name]


def test_responds_to_the_requests_of_batonopc(tmp_path: Path) -> None:
    with server(tmp_path / "server") as there, Store.open(str(tmp_path / "r.db")) as store:
        key = there.new_key()
        settings = station(tmp_path / "pi", there.url, key)
        batch = batch_of(store, settings, range(4))
        octets = (tmp_path / "pi/batches2upload" / batch.file_name).read_bytes()
        form = {
            "key": key, "source_ref": "2020-12-16_11:52_1", "filelist": "a.csv,a.yaml", "batch_type": "OPC",
            "batch_mode": "LIVE", "zip_size": len(octets), "zip_md5": "d41d8cd98f00b204e9800998ecf8427e",
        }  # fmt: skip
        with httpx.Client(base_url=there.url, headers={"authorization": f"Bearer {key}"}) as client:
            told = client.post("/api/v1/quarantine_request/", data=form).json()
            assert set(told) == {"batchid", "domain", "port", "destination"}
            assert client.post("/api/v1/quarantine_request/", data=form).json()["batchid"] == told["batchid"]
            place = f"/api/v1/upload_status/{told['batchid']}/"
            assert client.get(place).json()["status"] == "Unprocessed"
            assert client.get(f"/api/v1/upload_status/{'0' * 32}/").status_code == 404
            headers = {"X-Gascloud-Logas": key, "X-Gascloud-Logpw": told["batchid"]}
            assert client.post("/upload", content=octets + b"1" * 20_000, headers=headers).status_code == 413
            files = {"file": ("x.zip", octets, "application/zip")}
            assert client.post("/upload", files=files, headers=headers).json()["status"] == "Processed"
            assert client.get(place).json()["status"] == "Processed"
            assert client.post("/api/v1/quarantine_request/", data=form).json()["batchid"] == told["batchid"]
            # The name of an accepted batch is reused for another batch.
            again = client.post("/api/v1/quarantine_request/", data=form | {"zip_size": 7}).json()["batchid"]
            assert client.get(f"/api/v1/upload_status/{again}/").json()["status"] == "Unprocessed"
            bad = form | {"source_ref": "other", "zip_size": 3}
            other = client.post("/api/v1/quarantine_request/", data=bad).json()["batchid"]
            headers["X-Gascloud-Logpw"] = other
            assert client.post("/upload", content=b"abc", headers=headers).json()["status"] == "Rejected"
            assert client.post("/api/v1/quarantine_request/", data={"source_ref": "x"}).status_code == 400
            assert client.post("/api/v1/quarantine_request/", data=form | {"zip_size": "9" * 5000}).status_code == 400
        headers["X-Gascloud-Logas"] = "x"
        assert httpx.post(f"{there.url}/upload", content=b"abc", headers=headers).status_code == 401
