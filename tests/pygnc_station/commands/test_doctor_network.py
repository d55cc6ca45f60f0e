"""The doctor beside real servers and brokers."""

import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from pygnc_station.diagnosis.computer import examine_modes
from pygnc_station.server.access import revoke
from pygnc_station.settings import StationSettings
from pygnc_station.store import schema
from pygnc_station.store.readings import clock_ms
from pygnc_station.store.store import Store
from tests.fakes.mosquitto import Mosquitto
from tests.fakes.small_disk import disk_of, fill
from tests.programs import needs
from tests.pygnc_station.commands.test_doctor import findings
from tests.pygnc_station.logger.samples import start
from tests.pygnc_station.server.samples import batch_of, certificate, server, station


def _now_s() -> float:
    return clock_ms() / 1000


def _write(folder: Path, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "station.toml"
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_finds_a_revoked_key_a_dead_server_and_a_wrong_clock(tmp_path: Path) -> None:
    with server(tmp_path / "server") as there:
        station(tmp_path / "pi", there.url, there.new_key())
        path = _write(tmp_path / "pi", f'[upload]\nurl = "{there.url}"\ntimeout_s = 2\n')
        found = findings(path, _now_s())
        assert found["key"].startswith(f"+ {there.url} accepts the key")
        assert found["clock"].count("\n") == 1
        wrong = findings(path, _now_s() + 3600)["clock"]
        assert re.search(r"- differs from the server's clock by 360\d s", wrong)
        revoke(there.store, "roof", clock_ms())
        found = findings(path, _now_s())
        assert found["key"].startswith("- ")
        assert "does not accept the key" in found["key"]
        assert "the key of roof was revoked at 20" in found["key"]
        assert "pygnc station pin --gateway" in found["key"]
        assert "pygnc station register" in found["key"]
    found = findings(path, _now_s())
    assert found["key"].startswith("+")
    assert "check that the server is running" in found["server"]
    path.write_text(path.read_text().replace("/127", "/nobody@127"))
    assert "contains a login" in findings(path, _now_s())["key"]


def test_finds_a_rejected_batch_and_one_that_waits(tmp_path: Path) -> None:
    settings = station(tmp_path / "pi", "")
    path = _write(tmp_path / "pi", "")
    with Store.open(str(tmp_path / "pi/readings.db")) as store:
        batch_of(store, settings, range(2))
        table = schema.batches
        with store.writes() as connection:
            connection.execute(update(table).values(created_ms=clock_ms() - 2 * 86_400_000))
        assert "1 batches wait, the oldest for 2.0 days" in findings(path, _now_s())["batches"]
        with store.writes() as connection:
            connection.execute(update(table).values(state="rejected", reason="checksum"))
        assert re.search(r"- 1 rejected batches; .*: checksum; `pygnc station batch --again", findings(path)["batches"])


@needs("mosquitto", "mosquitto_passwd")
def test_finds_a_dead_broker_and_a_wrong_login(tmp_path: Path) -> None:
    with Mosquitto(tmp_path, login=("pi", "right-word")) as broker:
        text = f'[mqtt]\nhost = "127.0.0.1"\nport = {broker.port}\nusername = "pi"\npassword = "right-word"\n'
        path = _write(tmp_path / "pi", text)
        assert findings(path)["MQTT"] == f"+ 127.0.0.1:{broker.port} accepts the login\n"
        path.write_text(text.replace("right", "wrong"))
        assert "the broker refuses the login (Not authorized" in findings(path)["MQTT"]
        path.write_text(text)
    found = findings(path)
    assert "the broker does not respond" in found["MQTT"]
    assert "right-word" not in "".join(found.values())


def test_finds_files_that_other_users_can_read(tmp_path: Path) -> None:
    settings = station(tmp_path / "pi", "")
    with Store.open(str(tmp_path / "pi/readings.db")) as store:
        batch = batch_of(store, settings, range(2))
    path = _write(tmp_path / "pi", '[influx]\nurl = "http://pi:word@127.0.0.1:9/write"\n')
    (tmp_path / "pi/.env").write_text("A=b\n")
    (tmp_path / "pi/.env").chmod(0o600)
    assert findings(path)["files"].startswith("+")
    names = (path, tmp_path / "pi/.env", tmp_path / "pi/readings.db", tmp_path / "pi/batches2upload" / batch.file_name)
    for name in names:
        name.chmod(0o640)
        assert findings(path)["files"].startswith(f"- other users can read {name};")
        name.chmod(0o600)
    path.write_text("")
    path.chmod(0o644)  # contains no password
    assert findings(path)["files"].startswith("+")


@pytest.mark.parametrize(
    ("options", "is_secret"),
    [
        ({"api_key": "word"}, True),
        ({"Authorization": "word"}, True),
        ({"client_secret": "word"}, True),
        ({"passwd": "word"}, True),
        ({"servers": [{"accessToken": "word"}]}, True),
        ({"broker": "mqtts://pi:word@host"}, True),
        ({"key_file": "word", "passive": "word", "title": "word", "url": "http://[word"}, False),
    ],
)
def test_secrets_of_outputs_of_other_packages_are_found(
    options: dict[str, Any],
    is_secret: bool,  # noqa: FBT001
    tmp_path: Path,
) -> None:
    path = tmp_path / "station.toml"
    path.write_text("text = 'word'\n")
    path.chmod(0o644)
    settings = StationSettings(folder=str(tmp_path), sinks={"other": options})
    assert [found.is_good for found in examine_modes(settings, path)] == [False] * is_secret


@contextmanager
def _serving(path: Path) -> Iterator[None]:
    process = start("serve", "-s", path)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield
    finally:
        process.terminate()
        process.communicate()


def _server_settings(folder: Path) -> Path:
    import socket  # noqa: PLC0415 - used here only

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    text = f'[store]\nurl = "central.db"\n[serve]\nport = {port}\ntls_cert = "cert.pem"\ntls_key = "key.pem"\n'
    return _write(folder, text)


@pytest.mark.slow
def test_judges_a_server(tmp_path: Path) -> None:
    certificate(tmp_path, days=90)
    path = _server_settings(tmp_path)
    assert "start it by `pygnc station serve`" in findings(path)["server"]
    with _serving(path):
        found = findings(path, _now_s())
        assert found.pop("backup").startswith("- there is none; `pygnc station backup FOLDER` writes one")
        assert all(text.startswith("+") for text in found.values()), found
        assert re.search(r"cert\.pem is valid for localhost, 127\.0\.0\.1 until .*, (89|90) days", found["certificate"])
        assert set(found) == {"certificate", "server", "store", "batches", "clock", "disk", "files"}
        assert re.search(r"- .* (9|10) days; renew it now", findings(path, _now_s() + 80 * 86_400)["certificate"])
        certificate(tmp_path, days=90)
        assert "- the server still uses an older one" in findings(path, _now_s())["certificate"]
        (tmp_path / "key.pem").chmod(0o644)
        assert "key.pem; run chmod go= " in findings(path, _now_s())["files"]
    renew = ["openssl", "x509", "-in", "cert.pem", "-signkey", "key.pem", "-days", "-1", "-out", "cert.pem"]
    subprocess.run(renew, cwd=tmp_path, check=True, capture_output=True)
    assert "certificate has expired; renew it" in findings(path, _now_s())["certificate"]
    (tmp_path / "key.pem").write_text("no key")
    assert "are not a certificate and its key" in findings(path, _now_s())["server"]


def test_finds_rejected_and_interrupted_batches_of_a_server(tmp_path: Path) -> None:
    path = _write(tmp_path, '[store]\nurl = "central.db"\n[serve]\nport = 0\n')
    with server(tmp_path / "running", str(tmp_path / "central.db")) as there:
        row = {"gateway_id": 1, "name": "n", "bytes": 1, "digest": "", "readings": 0, "files": 0, "created_ms": 0}
        there.new_key()
        with there.store.writes() as connection:
            for id_, state, reason, age_ms in (("a", "rejected", "zip bomb", 0), ("b", "receiving", "", 90_000_000)):
                changes = {"id": id_, "state": state, "reason": reason, "changed_ms": clock_ms() - age_ms}
                connection.execute(schema.uploads.insert(), row | changes)
    found = findings(path, _now_s())["batches"]
    assert "- 1 batches of roof were rejected in the last 24 h; the last reason: zip bomb\n" in found
    assert "- 1 uploads of roof were interrupted" in found


@pytest.mark.slow
def test_finds_a_full_disk_of_a_server(tmp_path: Path) -> None:
    with disk_of(tmp_path / "data", "2m") as data:
        fill(data / "zeros")
        text = f'[store]\nurl = "central.db"\n[serve]\nport = 0\nfolder = "{data}"\n'
        found = findings(_write(tmp_path, text))
        assert f"- only 0 MB free at {data}" in found["disk"]


def test_another_program_on_the_port_is_no_server(tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as other:
        thread = threading.Thread(target=other.serve_forever, args=(0.01,))
        thread.start()
        path = _write(tmp_path, f'[store]\nurl = "central.db"\n[serve]\nport = {other.server_port}\n')
        assert "another program responds" in findings(path)["server"]
        other.shutdown()
        thread.join()
    path.write_text('[store]\nurl = "central.db"\n[serve]\nhost = "0.0.0.0"\n')
    assert "keys would travel unencrypted" in findings(path)["server"]
