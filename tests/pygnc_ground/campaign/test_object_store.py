"""Results of a campaign at an object store are equal to those in a folder, byte for byte."""

import http.client
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pygnc_ground.campaign import store as store_module
from pygnc_ground.campaign.folder import folder_of
from pygnc_ground.campaign.store import Store, load_tables, stored_row
from tests.fakes.answering import wait_for_answer
from tests.package_index import skip_without_index, uv
from tests.pygnc_ground.campaign.samples import short_campaign
from tests.pygnc_ground.campaign.test_store import NOISE, content, result
from tests.pygnc_instruments.device import azurite_server

pytestmark = [pytest.mark.slow, pytest.mark.index, pytest.mark.timeout(300), pytest.mark.xdist_group("azurite")]


MOTO = "moto[server]==5.2.5"
"""Emulator of S3."""


@contextmanager
def azure(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("no node and npm for Azurite: apt-get install nodejs npm")
    server, process = azurite_server.start(folder / "azurite")
    server.make_container()
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", azurite_server.ACCOUNT)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", azurite_server.KEY)
    monkeypatch.setenv("AZURE_ENDPOINT", f"http://127.0.0.1:{server.port}/{azurite_server.ACCOUNT}")
    monkeypatch.setenv("AZURE_ALLOW_HTTP", "true")
    yield "az://logs"
    process.terminate()
    process.wait(10)


def make_bucket(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    authorization = "AWS4-HMAC-SHA256 Credential=tests/20260101/us-east-1/s3/aws4_request"
    connection.request("PUT", "/logs", headers={"Authorization": authorization})
    status = connection.getresponse().status
    connection.close()
    assert status == 200


@contextmanager
def s3(_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    command = [uv(), "tool", "run", "--quiet", "--python", sys.executable, "--from", MOTO]
    there = subprocess.run([*command, "python", "-c", ""], capture_output=True, text=True, check=False)
    skip_without_index(there.stderr)
    port = azurite_server.free_port()
    process = subprocess.Popen([*command, "moto_server", "--port", str(port)], stderr=subprocess.DEVNULL)
    secret = {"AWS_ACCESS_KEY_ID": "tests", "AWS_SECRET_ACCESS_KEY": "tests", "AWS_REGION": "us-east-1"}
    for name, value in (secret | {"AWS_ENDPOINT": f"http://127.0.0.1:{port}", "AWS_ALLOW_HTTP": "true"}).items():
        monkeypatch.setenv(name, value)
    wait_for_answer(process, "moto", lambda: make_bucket(port))
    yield "s3://logs"
    process.terminate()
    process.wait(10)


@pytest.fixture(params=[azure, s3], ids=lambda store: store.__name__)
def address(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in os.environ:
        if name.startswith(("AZURE_", "AWS_")):
            monkeypatch.delenv(name)
    with request.param(tmp_path, monkeypatch) as store:
        yield f"{store}/studies/noise"


def test_an_interrupted_campaign_continues_at_an_object_store(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "PARTITION_RUNS", 3)
    campaign = short_campaign(repetitions=4, grid={NOISE: [1.0, 2.0]})
    for place, rounds in ((address, ([5, 1, 0], range(8))), (tmp_path / "c", (range(8),))):
        for runs in rounds:
            with Store(place, campaign) as store:
                for run in {*runs} - store.finished:
                    store.add(result(campaign, run), "here")
                    store.write()
                sizes = store.merge()
        assert min(sizes.values()) > 0
    remote = folder_of(address)
    for table in ("runs", "bins"):
        for name, octets in content(tmp_path / "c", table):
            assert remote.read(f"{table}.parquet/{name}") == octets
    assert not remote.names("parts")
    assert remote.size("campaign.json") == len(remote.read("campaign.json"))
    assert remote.size("nothing.json") == 0
    assert load_tables(address)["runs"].equals(load_tables(tmp_path / "c")["runs"])
    assert stored_row(address, 7) == stored_row(tmp_path / "c", 7)
