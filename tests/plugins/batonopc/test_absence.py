"""A server without the plug-in refuses stations and clients of batonopc, and names the package."""

from collections.abc import Iterator
from importlib.metadata import EntryPoints
from pathlib import Path

import httpx
import pytest

from pygnc_station.errors import BadBatchError
from pygnc_station.server.ingest import ingest
from pygnc_station.server_settings import Limits
from pygnc_station.store.store import Store
from pygnc_system import plugins
from tests.fakes.batonopc import batch_of, csv_of, log, rows_of
from tests.pygnc_station.server.samples import Running, server


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    monkeypatch.setattr(plugins, "entry_points", lambda **_: EntryPoints())
    with server(tmp_path / "server") as running:
        yield running


def test_refuses_requests_of_its_stations(there: Running) -> None:
    response = httpx.post(f"{there.url}/api/v1/quarantine_request/", data={"key": there.new_key("roof")})
    assert response.status_code == 404
    assert "pygnc-batonopc" in response.json()["error"]


def test_refuses_flat_readings(there: Running) -> None:
    for path in ("reading/", "reading/latest/"):
        url = f"{there.url}/api/v1/{path}"
        by_client = httpx.get(url, headers={"authorization": "HTTP_BAT_API_KEY x"})
        for response in (httpx.get(url, params={"flat": "true"}), by_client):
            assert response.status_code == 400, path
            assert "pygnc-batonopc" in response.json()["error"]
    assert httpx.get(f"{there.url}/api/v1/reading/").status_code == 200


def test_rejects_its_batches(tmp_path: Path) -> None:
    log(tmp_path / "old.db", 1)
    path = tmp_path / "batch.zip"
    path.write_bytes(batch_of("2021-07-01_12:02_1", "k" * 20, csv_of(rows_of(tmp_path / "old.db"))))
    with (
        Store.open(str(tmp_path / "r.db")) as store,
        store.writes() as connection,
        pytest.raises(BadBatchError, match="pygnc-batonopc"),
    ):
        ingest(connection, 1, path, tmp_path / "files", limits=Limits())
