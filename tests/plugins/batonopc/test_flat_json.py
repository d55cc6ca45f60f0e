from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from pygnc_batonopc.table import import_batonopc
from pygnc_devices.opc_n3.packets import HISTOGRAM
from pygnc_station.server.access import new_token
from pygnc_station.store.readings import Layout, NewReading, clock_ms, to_text
from tests.fakes.batonopc import COLUMNS, log
from tests.pygnc_station.server.samples import Running, server
from tests.pygnc_station.store.samples import START_MS

ROWS = 3
FIELDS = {
    "timestamp", "gadget_id", "temp", "rh", "pm_01", "pm_25", "pm_10", *(f"bin_{number}" for number in range(16)),
    "bin1_mtof", "bin3_mtof", "bin5_mtof", "bin7_mtof",
    "samplingperiod", "sampleflowrate", "rejectcountglitch", "rejectcountlong", "source_ref",
}  # fmt: skip
"""Fields of a reading in batonopc's serializer."""


@pytest.fixture
def client(tmp_path: Path) -> Iterator[httpx.Client]:
    """Client of batonopc's server, with its header, of a server with one imported device and one of our own."""
    log(tmp_path / "old.db", ROWS)
    with server(tmp_path / "server", open=False) as there:
        import_batonopc(there.store, tmp_path / "old.db", "Europe/Dublin")
        there.store.append(there.store.stream("OPC_8", Layout.of(HISTOGRAM)), [_histogram()])
        token = new_token(there.store, "analysis", clock_ms(), may_write=False)
        with httpx.Client(base_url=there.url, headers={"authorization": f"HTTP_BAT_API_KEY {token}"}) as client:
            yield client


def _histogram() -> NewReading:
    values: dict[str, Any] = dict.fromkeys(Layout.of(HISTOGRAM).names, 0)
    values |= {"bin_0": 40, "period_s": 5.0, "flow_ml_s": 4.0, "temperature_degc": 25.0, "pm_2_5_ug_m3": 7.5}
    values |= {"mtof_bin_1_us": 9.0, "reject_glitch": 3}
    return NewReading(START_MS, 0, 0, "", to_text(values.values()), None)


def test_clients_of_batonopc_get_a_flat_list(client: httpx.Client) -> None:
    found = client.get("/api/v1/reading/").raise_for_status().json()
    assert isinstance(found, list)
    assert len(found) == ROWS + 1
    assert all(set(reading) >= FIELDS for reading in found)
    (old,) = client.get("/api/v1/reading/", params={"gadget_id": "opc_7", "timestamp__gte": "2021-07-01T11:02"}).json()
    assert old["timestamp"] == "2021-07-01T11:02:00.000Z"
    assert (old["gadget_id"], old["temp"], old["rh"], old["pm_25"], old["bin_15"]) == ("OPC_7", 20.5, None, 2.0, 2.0)
    assert (old["samplingperiod"], old["rejectcountlong"]) == (2.0, 2.0)
    assert old["checksum"] == 2.0  # which batonopc's server does not have
    assert len(old) == len(COLUMNS) + 3  # timestamp, gadget_id, source_ref


def test_our_readings_get_the_names_and_units_of_batonopc(client: httpx.Client) -> None:
    (ours,) = client.get("/api/v1/reading/", params={"gadget": "OPC_8"}).json()
    assert (ours["temp"], ours["pm_25"], ours["bin1_mtof"]) == (25.0, 7.5, 9.0)
    assert (ours["samplingperiod"], ours["sampleflowrate"], ours["rejectcountglitch"]) == (5.0, 4.0, 3)
    assert (ours["bin_0"], ours["bin_1"]) == (2.0, 0.0)  # 40 particles in 20 ml


def test_flat_pages_and_latest_readings(client: httpx.Client) -> None:
    page = client.get("/api/v1/reading/", params={"limit": 2}).json()
    assert (page["count"], len(page["results"]), page["previous"]) == (ROWS + 1, 2, None)
    rest = client.get(page["next"]).json()["results"]
    assert [reading["gadget_id"] for reading in (*page["results"], *rest)] == ["OPC_8", "OPC_7", "OPC_7", "OPC_7"]
    latest = client.get("/api/v1/reading/latest/").json()
    assert [(reading["gadget_id"], reading["pm_25"]) for reading in latest] == [("OPC_7", 2.0), ("OPC_8", 7.5)]


def test_other_clients_get_the_flat_shape_only_when_they_ask_for_it(client: httpx.Client) -> None:
    token = client.headers["authorization"].split()[1]
    headers = {"authorization": f"Bearer {token}"}
    (complete, *_) = client.get("/api/v1/reading/", headers=headers).json()["results"]
    assert complete["values"]["pm_2_5_ug_m3"] == 7.5
    (flat, *_) = client.get("/api/v1/reading/", params={"flat": True}, headers=headers).json()
    assert flat["pm_25"] == 7.5
    assert client.get(f"/api/v1/reading/{complete['id']}/", params={"flat": True}, headers=headers).json() == flat
    assert client.get("/api/v1/reading/latest/", headers=headers).json()["results"][0]["gadget"] == "OPC_7"


def test_a_histogram_without_a_volume_has_no_concentrations(tmp_path: Path) -> None:
    with server(tmp_path / "server") as there:
        values = dict.fromkeys(Layout.of(HISTOGRAM).names, 0) | {"bin_0": 4}
        reading = NewReading(START_MS, 0, 0, "", to_text(values.values()), None)
        there.store.append(there.store.stream("OPC_8", Layout.of(HISTOGRAM)), [reading])
        (flat,) = httpx.get(f"{there.url}/api/v1/reading/latest/", params={"flat": True}).json()
    assert flat["bin_0"] is None


def test_a_form_key_does_not_replace_a_wrong_key_in_the_header(tmp_path: Path) -> None:
    with server(tmp_path / "server") as there:
        form = {"key": there.new_key(), "source_ref": "a", "zip_size": "3"}
        status = [
            _request(there, form, header).status_code
            for header in ("Bearer {self.gateway_key}", "", f"Bearer {'0' * 20}")
        ]
        assert status == [200, 200, 401]
        assert _request(there, form | {"key": "0" * 20}, "").status_code == 401


def _request(there: Running, form: dict[str, str], header: str) -> httpx.Response:
    headers = {"authorization": header} if header else {}
    return httpx.post(f"{there.url}/api/v1/quarantine_request/", data=form, headers=headers)
