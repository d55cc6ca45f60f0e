"""Server on a port of the loopback, and stations with batches for it."""

import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from pygnc_station.server.access import new_pin, register
from pygnc_station.server.application import application
from pygnc_station.server_settings import Serve
from pygnc_station.settings import Batches, StationSettings, Upload
from pygnc_station.store.batches import Batch
from pygnc_station.store.readings import clock_ms
from pygnc_station.store.store import Store
from pygnc_station.upload.batch_builder import make_batch
from pygnc_station.upload.station_server import writing_key
from pygnc_station.upload.uploader import UploadReport, sender_of, upload_all
from tests.pygnc_station.store.samples import LAYOUT, new

DEADLINE_S = 30.0


@dataclass
class Running:
    """Running server."""

    url: str
    store: Store
    folder: Path

    def new_key(self, name: str = "roof") -> str:
        key = register(self.store, new_pin(self.store, clock_ms(), 5), "0" * 16, name, clock_ms())
        assert key is not None
        return key


@contextmanager
def server(folder: Path, where: str = "", *, port: int = 0, tries: int = 20, **serve: Any) -> Iterator[Running]:  # noqa: ANN401 - any setting
    """Run a server in this process."""
    folder.mkdir(parents=True, exist_ok=True)
    with Store.open(where or str(folder / "central.db")) as store:
        app = application(store, Serve(**serve), folder / "data", pin_attempts=tries)
        runner = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=runner.run)
        thread.start()
        end_s = time.monotonic() + DEADLINE_S
        while not runner.started:
            assert thread.is_alive(), "the server has ended"
            assert time.monotonic() < end_s, "the server does not start"
            time.sleep(0.01)
        try:
            found = runner.servers[0].sockets[0].getsockname()[1]
            yield Running(f"http://127.0.0.1:{found}", store, folder / "data")
        finally:
            runner.should_exit = True
            thread.join()


def station(folder: Path, url: str, key: str = "", *, name: str = "roof", **upload: Any) -> StationSettings:  # noqa: ANN401 - any setting
    """Return the settings of a station."""
    folder.mkdir(parents=True, exist_ok=True)
    if key:
        with writing_key(folder / "gateway_key.txt") as write:
            write(key)
    return StationSettings(name=name, folder=str(folder), batches=Batches(type="OPC"), upload=Upload(url=url, **upload))


def batch_of(store: Store, settings: StationSettings, ranks: range, gadget: str = "imu") -> Batch:
    """Store readings and make a batch of them."""
    store.append(store.stream(gadget, LAYOUT, family="ucb"), [new(rank) for rank in ranks])
    (batch,) = make_batch(store, settings, clock_ms())
    return batch


def upload(store: Store, settings: StationSettings) -> UploadReport:
    """Upload all batches that wait."""
    sender = sender_of(settings)
    try:
        return upload_all(store, settings, sender, clock_ms())
    finally:
        sender.close()


def certificate(folder: Path, days: int = 2) -> None:
    """Write cert.pem and key.pem for this computer, valid for some days from now."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("no openssl: apt-get install openssl")
    words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    words += ["-nodes", "-days", str(days), "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run([program, *words, *names, *files], check=True, capture_output=True)
