"""Server processes under clients that keep their connections open."""

import select
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from pygnc_station.server.access import new_pin, new_token, register
from pygnc_station.store.readings import clock_ms
from pygnc_station.store.store import Store
from tests.pygnc_station.logger.samples import DEADLINE_S, ROOT, command_line, environment, wait_for
from tests.pygnc_station.server.samples import batch_of, certificate, station

pytestmark = pytest.mark.slow  # server processes

_DESCRIPTORS = 128
_FLOOD = 300
_HALF_OPEN = b"GET /health HTTP/1.1\r\nhost: x\r\n"
_SLOW_BODY = b"POST /api/v1/activate/ HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\np"


@dataclass
class _Server:
    url: str
    pid: int
    folder: Path
    context: ssl.SSLContext | None

    def open(self) -> socket.socket:
        """Open a connection, without a TLS handshake."""
        place = urlsplit(self.url)
        assert place.hostname is not None
        return socket.create_connection((place.hostname, place.port), timeout=40)

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.url + path, verify=self.context or True, timeout=40)

    def log(self, name: str) -> str:
        return "".join(path.read_text() for path in sorted((self.folder / "server_log").glob(f"{name}.log*")))

    def connections(self) -> int:
        kinds = [path.readlink() for path in Path(f"/proc/{self.pid}/fd").iterdir() if path.is_symlink()]
        return sum(str(kind).startswith("socket:") for kind in kinds)


@contextmanager
def _serving(folder: Path, limits: str, serve: str = "") -> Iterator[_Server]:
    """Run a server process with few descriptors; its standard error must remain short."""
    path = folder / "central.toml"
    path.write_text(f'[store]\nurl = "central.db"\n[serve]\nport = 0\n{serve}\n[serve.limits]\n{limits}\n')
    process = subprocess.Popen(
        ["/bin/sh", "-c", f'ulimit -n {_DESCRIPTORS}; exec "$@"', "sh", *command_line("serve", "-s", path)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(), cwd=ROOT,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip().rstrip("/")
        cert = folder / "cert.pem"
        context = ssl.create_default_context(cafile=cert) if cert.exists() else None
        server = _Server(url, process.pid, folder, context)
        server.get("/health")  # the server has opened its own files and sockets now
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        errors = process.communicate()[1]
    assert len(errors.splitlines()) <= 10, errors
    assert "Traceback" not in errors


@pytest.mark.parametrize("is_encrypted", [False, True])
def test_a_flood_of_idle_connections_ends_and_does_not_stop_the_server(tmp_path: Path, *, is_encrypted: bool) -> None:
    serve = ""
    if is_encrypted:
        certificate(tmp_path)
        serve = 'tls_cert = "cert.pem"\ntls_key = "key.pem"'
    limits = "header_s = 2\ntransfer_s = 2"
    with _serving(tmp_path, limits, serve) as server, ExitStack() as stack:
        before = server.connections()
        flood = []
        for rank in range(_FLOOD):
            flood.append(stack.enter_context(server.open()))
            flood[-1].sendall((_HALF_OPEN, _SLOW_BODY, b"\x16")[rank % 3])
        assert server.get("/health").json() == {"status": "ok"}
        for client in flood:  # each ends in time
            try:
                while client.recv(4096):
                    pass
            except ConnectionResetError:
                pass
        assert server.get("/health").json() == {"status": "ok"}
        wait_for(lambda: server.connections() <= before + 1, "the end of all connections")
        assert 1 <= len(server.log("failures").splitlines()) <= 10
    assert "connections" in server.log("failures")


def test_a_client_that_sends_one_byte_at_a_time_is_disconnected(tmp_path: Path) -> None:
    with _serving(tmp_path, "header_s = 1\ntransfer_s = 1") as server:
        for start in (_HALF_OPEN, _SLOW_BODY):
            with server.open() as client:
                client.sendall(start)
                with pytest.raises(OSError, match=r"."):  # noqa: PT012 - the send that fails is not known
                    for _ in range(400):
                        client.sendall(b"a")
                        time.sleep(0.1)


def test_a_client_that_does_not_read_is_disconnected(tmp_path: Path) -> None:
    with _serving(tmp_path, "header_s = 1\ntransfer_s = 1") as server, server.open() as client:
        client.settimeout(1.0)
        with pytest.raises(TimeoutError):  # noqa: PT012 - likewise
            while True:
                client.sendall(b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n" * 100)
        poller = select.poll()
        poller.register(client, 0)  # reports the end of the connection only; the client still does not read
        assert poller.poll(1000 * DEADLINE_S)


def test_a_slow_upload_that_makes_progress_succeeds_beside_a_flood(tmp_path: Path) -> None:
    with _serving(tmp_path, "header_s = 1\ntransfer_s = 1\nslowest_bytes_s = 20") as server, ExitStack() as stack:
        with Store.open(str(tmp_path / "central.db")) as central:
            key = register(central, new_pin(central, clock_ms(), 5), "0" * 16, "roof", clock_ms())
        assert key is not None
        settings = station(tmp_path / "pi", server.url, key)
        with Store.open(str(tmp_path / "pi" / "pi.db")) as store:
            batch = batch_of(store, settings, range(200))
        octets = (settings.path(settings.batches.pending) / batch.file_name).read_bytes()

        def slowly() -> Iterator[bytes]:
            for rank in range(24):
                yield octets[len(octets) * rank // 24 : len(octets) * (rank + 1) // 24]
                stack.enter_context(server.open()).sendall(_SLOW_BODY)
                for _ in range(8):
                    stack.enter_context(server.open()).sendall(_HALF_OPEN)
                time.sleep(0.15)

        client = stack.enter_context(
            httpx.Client(base_url=server.url, headers={"authorization": f"Bearer {key}"}, timeout=30)
        )
        path = f"/api/v1/batches/{batch.id}"
        client.put(path, json={"name": batch.name, "bytes": batch.bytes, "sha256": batch.sha256}).raise_for_status()
        done = client.patch(path, params={"offset": 0}, content=slowly()).json()
        assert (done["state"], done["readings"]) == ("accepted", 200)


def test_a_response_does_not_wait_for_the_acknowledgement_of_its_headers(tmp_path: Path) -> None:
    with _serving(tmp_path, "") as there, httpx.Client(base_url=there.url, timeout=40) as client:
        durations = [client.get("/health").elapsed.total_seconds() for _ in range(40)]
        assert min(durations[20:]) < 0.035  # the kernel acknowledges after 40 ms, except for the first segments


def test_logs_requests_without_secrets_in_private_files_of_limited_size(tmp_path: Path) -> None:
    with _serving(tmp_path, "", "log_bytes = 5000\nlog_files = 2\nopen = false") as server:
        with Store.open(str(tmp_path / "central.db")) as store:
            token = new_token(store, "me", clock_ms(), may_write=False)
        for name in ("api-key", "api%2Dkey", "API-KEY"):
            server.get(f"/api/v1/reading/?gadget=imu&{name}={token}")
        log = server.log("access")
        assert '"GET /api/v1/reading/?gadget=imu&api-key=*** HTTP/1.1" 200' in log
        assert token not in log
        assert log.count("***") == 3
        with httpx.Client(base_url=server.url) as client:
            for _ in range(150):
                client.get("/health")
        files = sorted((tmp_path / "server_log").glob("access.log*"))
        assert [path.name for path in files] == ["access.log", "access.log.1", "access.log.2"]
        assert max(path.stat().st_size for path in files) <= 5000
        assert {path.stat().st_mode & 0o777 for path in files} == {0o600}


def test_invalid_requests_do_not_fill_the_log(tmp_path: Path) -> None:
    with _serving(tmp_path, "") as server:
        for _ in range(50):
            with server.open() as client:
                client.sendall(b"no HTTP\r\n\r\n")
                assert client.recv(100).startswith(b"HTTP/1.1 400")
        assert server.get("/health").json() == {"status": "ok"}
        assert 1 <= len(server.log("failures").splitlines()) <= 5
