"""Uploads to Azurite and to a folder, retries, and that secrets are neither stored nor reported."""

import logging
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pygnc_instruments.device import upload as module
from pygnc_instruments.device.upload import Destination, DestinationError, Spool, Uploader, destination, send
from tests.pygnc_instruments.device import azurite_server
from tests.pygnc_instruments.device.azurite_server import Azurite

SECRETS = ("AccountKey", azurite_server.KEY, "sig=")


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(("PYGNC_STORE", "AZURE_", "AWS_")):
            monkeypatch.delenv(name)


@pytest.fixture(scope="module")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("no node and npm for Azurite: apt-get install nodejs npm")
    try:
        server, process = azurite_server.start(tmp_path_factory.mktemp("azurite"))
    except subprocess.CalledProcessError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"npm cannot install Azurite: {error.stderr.decode()[:200]}")
    server.make_container()
    yield server
    process.terminate()
    process.wait(10)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "run.csv"
    path.write_text("time,xAccel\n0.00000,1.0\n")
    return path


class Events:
    def __init__(self) -> None:
        self.texts: list[str] = []
        self.came = threading.Event()

    def __call__(self, text: str) -> None:
        self.texts.append(text)
        self.came.set()


@pytest.mark.slow
@pytest.mark.index
@pytest.mark.timeout(300)
@pytest.mark.xdist_group("azurite")
class TestAzurite:
    def test_a_log_arrives_under_its_users_prefix(
        self, azurite: Azurite, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", azurite.connection_string)
        events = Events()
        uploader = Uploader(Destination("az://logs/imu", "ann"), Spool(tmp_path / "spool"), events)
        uploader.add(file)
        assert uploader.close() == 0
        assert azurite.read("imu/ann/run.csv") == file.read_bytes()
        assert events.texts == ["sent: run.csv to az://logs/imu as ann/run.csv"]

    def test_a_shared_access_signature_opens_the_store(self, azurite: Azurite, file: Path, tmp_path: Path) -> None:
        os.environ["AZURE_STORAGE_CONNECTION_STRING"] = azurite.connection_string.replace(azurite_server.KEY, "")
        try:
            place = destination("az://logs/imu", "bob", azurite.signature("cw"))
            assert place is not None
            send(Spool(tmp_path / "spool").add(file, place), place)
        finally:
            del os.environ["AZURE_STORAGE_CONNECTION_STRING"]
        assert azurite.read("imu/bob/run.csv") == file.read_bytes()

    def test_a_rejection_is_reported_without_secrets(
        self, azurite: Azurite, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", azurite.connection_string)
        token = azurite.signature("r")  # permits reading only
        place = Destination("az://logs/imu", "bob", token)
        spool = Spool(tmp_path / "spool")
        with pytest.raises(DestinationError, match=r"run\.csv: upload to az://logs/imu failed: ") as caught:
            send(spool.add(file, place), place)
        assert not any(secret in str(caught.value) for secret in (*SECRETS, token))
        assert len(spool.jobs()) == 1
        nowhere = Destination("az://nowhere")
        with pytest.raises(DestinationError, match="container does not exist"):
            send(spool.add(file, nowhere), nowhere)

    def test_pending_files_are_sent_when_the_store_is_reachable(
        self, azurite: Azurite, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        unreachable = azurite.connection_string.replace(str(azurite.port), str(azurite_server.free_port()))
        monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", unreachable)
        monkeypatch.setattr(module, "RETRY_DELAYS_S", (0.05,))
        events = Events()
        uploader = Uploader(Destination("az://logs", "ann"), Spool(tmp_path / "spool"), events)
        uploader.add(file)
        assert events.came.wait(30)
        assert events.texts[0].startswith("not sent, kept in the spool: run.csv: upload to az://logs failed: ")
        monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", azurite.connection_string)
        assert uploader.close() == 0
        assert azurite.read("ann/run.csv") == file.read_bytes()


def test_the_next_program_sends_pending_files_of_the_same_user_and_store(file: Path, tmp_path: Path) -> None:
    place = Destination(f"file://{tmp_path}/store", "ann")
    Spool(tmp_path / "spool").add(file, place)
    Spool(tmp_path / "spool").add(file, Destination(place.url, "bob"))
    Spool(tmp_path / "spool").add(file, Destination(f"file://{tmp_path}/elsewhere", "ann"))
    assert Uploader(place, Spool(tmp_path / "spool")).close() == 0
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.glob("store/*/*")] == ["store/ann/run.csv"]
    assert len(Spool(tmp_path / "spool").jobs()) == 2  # those of another user and of another store


def test_spool_contains_no_secret_and_is_private(file: Path, tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    job = spool.add(file, Destination("az://logs", "ann", "sv=1&sig=verysecret"))
    assert "verysecret" not in job.note.read_text()
    assert (spool.folder.stat().st_mode & 0o777, job.note.stat().st_mode & 0o777) == (0o700, 0o600)


def test_unusable_job_files_are_deleted(file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spool = Spool(tmp_path / "spool")
    (spool.folder / "1.job.json").write_text("{")
    spool.add(file, Destination("az://logs"))
    file.unlink()
    with caplog.at_level(logging.WARNING):
        assert spool.jobs() == []
    assert "run.csv" in caplog.text
    assert not list(spool.folder.iterdir())


def test_destination_comes_from_the_message_or_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert destination() is None
    monkeypatch.setenv("PYGNC_STORE_URL", "az://logs")
    monkeypatch.setenv("PYGNC_STORE_USER", "ann")
    monkeypatch.setenv("PYGNC_STORE_TOKEN", "secret-1")
    assert destination() == Destination("az://logs", "ann", "secret-1")
    assert destination("", "bob", "secret-2") == Destination("az://logs", "bob", "secret-2")
    assert "secret" not in repr(destination())


@pytest.mark.parametrize(
    ("url", "user", "token", "why"),
    [
        ("ftp://x", "", "", "is not the URL of a store"),
        ("az://logs?sig=verysecret", "", "", "must not contain secrets"),
        ("az://logs", "../bob", "", "user name .* is not allowed"),
        ("az://logs", "a/b", "", "user name .* is not allowed"),
        ("s3://bucket", "", "x", "Azure stores only"),
    ],
)
def test_rejects_unusable_destinations(url: str, user: str, token: str, why: str) -> None:
    with pytest.raises(DestinationError, match=why) as caught:
        Destination(url, user, token)
    assert "verysecret" not in str(caught.value)
