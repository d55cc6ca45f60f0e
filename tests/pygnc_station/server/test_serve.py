import json
import signal
import socket
import sqlite3
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from pygnc_cli.exit_codes import ExitCode
from pygnc_station.commands.main import app
from pygnc_station.store.store import Store
from tests.pygnc_station.logger.samples import start
from tests.pygnc_station.server.samples import certificate
from tests.pygnc_station.store.samples import LAYOUT, new


def _invoke(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(item) for item in arguments])
    assert result.exit_code == code, result.output
    return result.output


def test_commands_transfer_readings_to_a_server_over_tls(tmp_path: Path) -> None:
    certificate(tmp_path)
    central, pi = tmp_path / "central.toml", tmp_path / "pi.toml"
    central.write_text(
        '[store]\nurl = "central.db"\n[serve]\nport = 0\ntls_cert = "cert.pem"\ntls_key = "key.pem"\nopen = false\n'
    )
    process = start("serve", "--settings", central)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip().rstrip("/")
        assert url.startswith("https://127.0.0.1:")
        text = f'name = "roof"\n[store]\nurl = "pi.db"\n[upload]\nurl = "{url}"\n'
        pi.write_text(text)
        with Store.open(str(tmp_path / "pi.db")) as store:
            store.append(store.stream("imu", LAYOUT, family="ucb"), [new(rank) for rank in range(5)])
        assert "is not trusted" in _invoke("register", "--settings", pi, "--pin", "1", code=ExitCode.NETWORK)
        pi.write_text(f'{text}ca_file = "cert.pem"\n')
        pin = _invoke("pin", "--settings", central).strip()
        assert "the PIN is wrong" in _invoke("register", "--settings", pi, "--pin", "00000000", code=ExitCode.NETWORK)
        assert "registered; the key is stored in" in _invoke("register", "--settings", pi, "--pin", pin)
        assert _invoke("upload", "--settings", pi) == "nothing to send\n"
        _invoke("batch", "--settings", pi)
        assert "  accepted" in _invoke("upload", "--settings", pi)
        assert "1 batches with 5 readings accepted" in _invoke("status", "--settings", pi)
        shown = _invoke("recent", "--settings", central, "--json", "-n", 1)
        assert json.loads(shown)["number"] == 5
        assert _invoke("revoke", "roof", "--settings", central) == "1 keys revoked\n"
        assert "station 'roof': no valid key" in _invoke("revoke", "roof", "--settings", central, code=ExitCode.INPUT)
        assert len(_invoke("token", "me", "--settings", central).strip()) == 40
    finally:
        process.send_signal(signal.SIGTERM)
        errors = process.communicate()[1]
    assert errors == ""
    assert process.returncode == 0
    assert "no connection" in _invoke("upload", "--settings", pi, code=ExitCode.NETWORK)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_server_leaves_a_complete_database_file(tmp_path: Path, number: signal.Signals) -> None:
    settings = tmp_path / "server.toml"
    settings.write_text('[store]\nurl = "central.db"\n[serve]\nport = 0\n')
    process = start("serve", "--settings", settings)
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    assert httpx.get(f"{url}health").status_code == 200
    with Store.open(str(tmp_path / "central.db")) as store:
        store.append(store.stream("imu", LAYOUT), [new(rank) for rank in range(5)])
    process.send_signal(number)
    errors = process.communicate()[1]
    assert (process.returncode, errors) == (0, "")
    assert sorted(path.name for path in tmp_path.glob("central.db*")) == ["central.db", "central.db.reserve"]
    with closing(sqlite3.connect(tmp_path / "central.db")) as connection:
        assert connection.execute("SELECT count(*) FROM readings").fetchone() == (5,)


@pytest.mark.parametrize(
    ("serve", "why"),
    [
        ('host = "0.0.0.0"', "keys would travel unencrypted"),
        ('tls_cert = "a.pem"', "TLS requires both"),
        ('tls_cert = "a.pem"\ntls_key = "b.pem"', "a.pem: the file does not exist"),
        ('tls_cert = "s.toml"\ntls_key = "s.toml"', "s.toml are not a certificate and its key in PEM"),
        ('host = "192.0.2.1"\ninsecure = true', "192.0.2.1:8321: this computer does not have this address"),
    ],
)
def test_refuses_unsafe_and_impossible_server_settings(tmp_path: Path, serve: str, why: str) -> None:
    path = tmp_path / "s.toml"
    path.write_text(f"[serve]\n{serve}\n")
    assert why in _invoke("serve", "--settings", path, code=ExitCode.INPUT)


def test_reports_a_port_that_is_in_use(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        path.write_text(f"[serve]\nport = {port}\n")
        assert f"127.0.0.1:{port}: another program listens on this port" in _invoke(
            "serve", "--settings", path, code=ExitCode.INPUT
        )
