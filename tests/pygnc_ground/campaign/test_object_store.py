"""Results of a campaign at an object store are equal to those in a folder, byte for byte."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pygnc_ground.campaign import store as store_module
from pygnc_ground.campaign.folder import folder_of
from pygnc_ground.campaign.store import Store, load_tables, stored_row
from tests.pygnc_ground.campaign.samples import short_campaign
from tests.pygnc_ground.campaign.test_store import NOISE, content, result
from tests.pygnc_instruments.device import azurite_server

pytestmark = [pytest.mark.slow, pytest.mark.index, pytest.mark.timeout(300), pytest.mark.xdist_group("azurite")]


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("no node and npm for Azurite: apt-get install nodejs npm")
    server, process = azurite_server.start(tmp_path / "azurite")
    server.make_container()
    for name in os.environ:
        if name.startswith("AZURE_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", azurite_server.ACCOUNT)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", azurite_server.KEY)
    monkeypatch.setenv("AZURE_ENDPOINT", f"http://127.0.0.1:{server.port}/{azurite_server.ACCOUNT}")
    monkeypatch.setenv("AZURE_ALLOW_HTTP", "true")
    yield "az://logs/studies/noise"
    process.terminate()
    process.wait(10)


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
    assert load_tables(address)["runs"].equals(load_tables(tmp_path / "c")["runs"])
    assert stored_row(address, 7) == stored_row(tmp_path / "c", 7)
