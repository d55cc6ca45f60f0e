"""The documented settings of nginx and Caddy pass on uploads, and the addresses of clients."""

import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from pygnc_cli.exit_codes import ExitCode
from pygnc_station.commands.main import app
from pygnc_station.store.store import Store
from tests.pygnc_station.logger.samples import start
from tests.pygnc_station.server.samples import batch_of, certificate, station, upload

TEXT = (Path(__file__).resolve().parents[3] / "docs/station.md").read_text()
CLIENT = "127.0.0.7"
DEADLINE_S = 20.0
NGINX = "daemon off; pid {folder}/nginx.pid; error_log stderr; events {{}} http {{ access_log off; {paths} {server} }}"
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


def _example(name: str) -> str:
    (found,) = re.findall(rf"```{name}\n(.*?)```", TEXT, re.DOTALL)
    return str(found)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _nginx(folder: Path, port: int, server: str) -> list[str | Path]:
    text = _example("nginx").replace("listen 443", f"listen 127.0.0.1:{port}").replace("http://127.0.0.1:8321", server)
    text = text.replace("/etc/ssl/stations.example.pem", str(folder / "cert.pem"))
    text = text.replace("/etc/ssl/private/stations.example.key", str(folder / "key.pem"))
    paths = " ".join(f"{name}_temp_path {folder}/{name};" for name in TEMPORARY)
    file = folder / "nginx.conf"
    file.write_text(NGINX.format(folder=folder, paths=paths, server=text))
    return ["nginx", "-p", folder, "-c", file]


def _caddy(folder: Path, port: int, server: str) -> list[str | Path]:
    text = _example("caddy").replace("127.0.0.1:8321", server.removeprefix("http://"))
    site = f"https://localhost:{port}, https://127.0.0.1:{port}"
    text = text.replace("stations.example {", f"{site} {{\n    tls {folder}/cert.pem {folder}/key.pem")
    file = folder / "Caddyfile"
    file.write_text(
        "{\n    admin off\n    auto_https disable_redirects\n    storage file_system " + f"{folder}\n}}\n" + text
    )
    return ["caddy", "run", "--config", file, "--adapter", "caddyfile"]


@contextmanager
def _server(folder: Path, more: str = "") -> Iterator[str]:
    file = folder / "central.toml"
    file.write_text(f'[store]\nurl = "central.db"\n[serve]\nport = 0\nbehind_proxy = true\n{more}')
    process = start("serve", "--settings", file)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip().rstrip("/")
    finally:
        process.terminate()
        process.communicate()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def _proxy(command: list[str | Path], folder: Path, port: int) -> Iterator[httpx.Client]:
    program = shutil.which(command[0], path="/usr/sbin:/usr/bin:/bin")
    if program is None:
        pytest.skip(f"no {command[0]}: apt-get install nginx-light caddy")
    with (
        (folder / "proxy.txt").open("w") as log,
        subprocess.Popen([program, *command[1:]], stdout=log, stderr=log) as run,
    ):
        try:
            end_s = time.monotonic() + DEADLINE_S
            while not _listens(port):
                assert run.poll() is None, (folder / "proxy.txt").read_text()
                assert time.monotonic() < end_s, "the proxy does not listen"
                time.sleep(0.05)
            trust = ssl.create_default_context(cafile=folder / "cert.pem")
            transport = httpx.HTTPTransport(verify=trust, local_address=CLIENT)
            with httpx.Client(transport=transport, base_url=f"https://127.0.0.1:{port}") as client:
                yield client
        finally:
            run.terminate()


@pytest.mark.slow
@pytest.mark.parametrize("make", [_nginx, _caddy], ids=["nginx", "caddy"])
def test_the_documented_proxies_pass_on_uploads_and_addresses(
    make: Callable[[Path, int, str], list[str | Path]], tmp_path: Path
) -> None:
    certificate(tmp_path)
    port = _free_port()
    with _server(tmp_path) as url, _proxy(make(tmp_path, port, url), tmp_path, port) as client:
        assert client.get("/health").json() == {"status": "ok"}
        for _ in range(20):
            wrong = client.get("/api/v1/fleet/?api-key=wrong", headers={"X-Forwarded-For": "9.9.9.9"})
            assert wrong.status_code == 401
        assert client.get("/api/v1/fleet/?api-key=wrong").status_code == 429
        pin = CliRunner().invoke(app, ["pin", "-s", str(tmp_path / "central.toml")]).output.strip()
        settings = station(tmp_path / "pi", f"https://127.0.0.1:{port}", ca_file=str(tmp_path / "cert.pem"))
        _register(tmp_path / "pi", settings.upload.url, pin, tmp_path / "cert.pem")
        with Store.open(str(tmp_path / "pi/readings.db")) as store:
            batch_of(store, settings, range(20_000))
            assert upload(store, settings).accepted
    lines = (tmp_path / "server_log/access.log").read_text().splitlines()
    assert sum(CLIENT in line for line in lines) == 22
    assert not any("9.9.9.9" in line for line in lines)


def _register(folder: Path, url: str, pin: str, ca_file: Path) -> None:
    file = folder / "station.toml"
    file.write_text(f'name = "roof"\n[upload]\nurl = "{url}"\nca_file = "{ca_file}"\n')
    result = CliRunner().invoke(app, ["register", "-s", str(file), "--pin", pin])
    assert result.exit_code == ExitCode.DONE, result.output


@pytest.mark.slow
def test_only_the_proxies_of_the_settings_report_addresses(tmp_path: Path) -> None:
    with _server(tmp_path, 'proxies = ["10.88.0.0/16"]\n') as url:
        httpx.get(f"{url}/health", headers={"X-Forwarded-For": "9.9.9.9"})
    assert "9.9.9.9" not in (tmp_path / "server_log/access.log").read_text()


def test_a_wrong_network_of_proxies_is_named(tmp_path: Path) -> None:
    file = tmp_path / "central.toml"
    file.write_text('[serve]\nport = 0\nproxies = ["10.88.0.1/16"]\n')
    result = CliRunner().invoke(app, ["serve", "-s", str(file)])
    assert result.exit_code == ExitCode.INPUT
    assert "10.88.0.1/16 has host bits set" in result.output
