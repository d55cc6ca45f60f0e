import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from pygnc_station.server.access import new_token
from pygnc_station.server_settings import Limits
from pygnc_station.store import query
from pygnc_station.store.readings import Column, Layout, NewReading, clock_ms
from pygnc_station.store.store import Store
from pygnc_station.upload.batch_builder import make_batch
from tests.pygnc_station.logger.samples import store_sentence
from tests.pygnc_station.server.samples import Running, server, station, upload
from tests.pygnc_station.store.samples import LAYOUT, START_MS, new


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Running]:
    with server(tmp_path / "server") as running:
        store = running.store
        store.append(store.stream("imu 1", LAYOUT, family="ucb"), [new(rank) for rank in range(50)])
        store.append(store.stream("opc", Layout("PM", (Column("pm", "µg/m³"),))), [
            NewReading(START_MS + 1, 4, 0, "laser", "[null]", None)
        ])  # fmt: skip
        yield running


@pytest.fixture
def client(there: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=there.url) as client:
        yield client


def test_lists_readings_in_pages_the_newest_first(client: httpx.Client) -> None:
    first = client.get("/api/v1/reading/", params={"gadget": "IMU 1", "limit": 20}).json()
    assert first["results"][0]["timestamp"] == "2026-09-21T14:17:25.000Z"
    assert first["results"][0]["values"] == {"rate_z_rad_s": 0.049, "temp_degc": 49, "text": "ok"}
    assert first["previous"] is None
    second = client.get(first["next"]).json()
    third = client.get(second["next"]).json()
    assert third["next"] is None
    ids = [item["id"] for page in (first, second, third) for item in page["results"]]
    assert len(ids) == len(set(ids)) == 50
    assert client.get(second["previous"]).json()["results"] == first["results"]


def test_readings_contain_labels_of_codes_and_customary_units(there: Running, client: httpx.Client) -> None:
    store_sentence(there.store, "ST1", b"03,00,0000,000128E3,05,0002,00,00040802")
    store_sentence(there.store, "BC1", b"000456F0,00057E40,1EDC")
    charge, status = client.get("/api/v1/reading/latest/", params={"gadget": "pack"}).json()["results"][-2:]
    assert charge["values"]["charge_c"] == 284400
    assert charge["people"]["charge_c"] == {"name": "charge", "unit": "Ah", "per_unit": 1 / 3600}
    assert charge["words"] == {}
    assert status["values"]["charging_stage"] == 3
    assert status["words"]["charging_stage"] == "main charging"
    assert status["words"]["protections"] == "cell over-voltage"
    assert "stage_s" not in status["words"]


def test_filters_readings_by_time_and_kind(client: httpx.Client) -> None:
    span = {"timestamp__gte": "2026-09-21T14:13:25Z", "timestamp__lte": "2026-09-21T14:13:35Z"}
    found = client.get("/api/v1/readings/", params=span).json()["results"]
    assert [item["timestamp"][17:19] for item in found] == ["35", "30", "25"]
    (doubtful,) = client.get("/api/v1/reading/", params={"kind": "PM"}).json()["results"]
    assert (doubtful["quality"], doubtful["flags"], doubtful["values"]) == (["PARTIAL"], ["laser"], {"pm": None})
    assert client.get("/api/v1/reading/", params={"gadget": "nobody"}).json()["results"] == []
    assert client.get("/api/v1/reading/", params={"timestamp__gte": "soon"}).status_code == 400
    assert client.get("/api/v1/reading/", params={"limit": "many"}).status_code == 400
    assert client.get("/api/v1/reading/", params={"limit": "9" * 5000}).status_code == 400
    assert client.get("/api/v1/reading/", params={"timestamp__gte": "0001-01-01T00:00:00+14:00"}).status_code == 400
    page = client.get("/api/v1/reading/", params={"limit": "0"}).json()
    assert len(page["results"]) == 1
    assert "offset=1" in page["next"]


def test_returns_newest_and_single_readings(client: httpx.Client) -> None:
    newest = client.get("/api/v1/reading/latest/").json()["results"]
    assert [(item["gadget"], item["kind"]) for item in newest] == [("imu 1", "S1"), ("opc", "PM")]
    assert client.get(f"/api/v1/reading/{newest[0]['id']}/").json() == newest[0]
    for id_ in ("9-9", "1-999", "x", f"1-{'9' * 30}"):
        assert client.get(f"/api/v1/reading/{id_}/").status_code == 404


def test_bulk_import_is_idempotent_and_creates_unknown_devices(there: Running, client: httpx.Client) -> None:
    token = new_token(there.store, "forwarder", clock_ms(), may_write=True)
    headers = {"authorization": f"Bearer {token}"}
    said = {
        "gadget_id": "NEW_1",
        "source_ref": "2020-12-16_1",
        "readings": [
            {"timestamp": "2020-12-16T11:52:00Z", "temp": 20.5, "bin_0": 1},
            {"timestamp": "2020-12-16T11:57:00Z", "temp": None, "bin_0": 2},
            {"timestamp": "2020-12-16T12:02:00Z", "temp": 21.5},
        ],
    }
    assert client.post("/api/v1/readings/", json=said).status_code == 401
    assert client.post("/api/v1/readings/", json=said, headers=headers).json() == {"created": 3}
    assert client.post("/api/v1/readings/", json=said, headers=headers).json() == {"created": 0}
    without = {key: value for key, value in said.items() if key != "source_ref"}
    assert client.post("/api/v1/readings/", json=without, headers=headers).json() == {"created": 3}
    found = client.get("/api/v1/reading/", params={"gadget": "NEW_1"}).json()["results"]
    assert len(found) == 6
    assert found[-1]["values"] == {"temp": 20.5, "bin_0": 1}
    bad_ones: list[object] = [
        {"gadget_id": "", "readings": []},
        {"gadget_id": "a\0b", "readings": []},
        {"gadget_id": "a\u202eb", "readings": []},
        {"gadget_id": "g", "readings": [{"timestamp": "2020-12-16T11:52:00Z", "te\0mp": 1}]},
        {"readings": []},
        {"gadget_id": "a", "readings": [{"timestamp": "x"}]},
        {"gadget_id": "a", "readings": [{"timestamp": "0001-01-01T00:00:00"}]},
        {"gadget_id": "a", "readings": [{"timestamp": "1970-01-01T00:00:00Z"}]},  # the number would be 0
    ]
    for bad in bad_ones:
        assert client.post("/api/v1/readings/", json=bad, headers=headers).status_code == 400
    refused = client.post("/api/v1/readings/", json=bad_ones[-1], headers=headers).json()["error"]
    assert refused.startswith("the database refuses these readings")
    assert "central.db" not in refused
    deep = b'{"gadget_id":"a","readings":[{"timestamp":"2026-01-01T00:00:00Z","a":%s1%s}]}'
    for depth in (400, 5000):
        answer = client.post("/api/v1/readings/", content=deep % (b"[" * depth, b"]" * depth), headers=headers)
        assert answer.status_code in {201, 400}
    assert client.post("/api/v1/readings/", content=b"{", headers=headers).status_code == 400


def test_csv_contains_all_readings_in_customary_units(client: httpx.Client) -> None:
    answer = client.get("/api/v1/export/", params={"gadget": "imu 1"})
    rows = list(csv.reader(io.StringIO(answer.text)))
    assert rows[0][:5] == ["utc", "quality", "lost_before", "flags", "zRate [deg/s]"]
    assert len(rows) == 51
    assert "found: imu 1 / S1, opc / PM" in client.get("/api/v1/export/").json()["error"]


def test_plot_series_preserve_extremes(there: Running, client: httpx.Client) -> None:
    points = client.get("/api/v1/series/", params={"gadget": "imu 1", "name": "temp_degc"}).json()["points"]
    assert points == [[START_MS + 5000 * rank, rank] for rank in range(50)]
    store = there.store
    stream = store.stream("long", LAYOUT)
    store.append(stream, [new(rank if rank != 777 else 99_999, step_ms=0) for rank in range(5000)])
    assert query.count(store, stream) == 5000
    values = client.get("/api/v1/series/", params={"gadget": "long", "name": "temp_degc"}).json()["points"]
    assert len(values) <= 1200
    assert max(value for _, value in values) == 99_999
    assert client.get("/api/v1/series/", params={"gadget": "imu 1", "name": "none"}).json()["points"] == []


def test_rejects_large_request_bodies(there: Running, client: httpx.Client) -> None:
    token = new_token(there.store, "x", clock_ms(), may_write=True)
    headers = {"authorization": f"Bearer {token}"}
    assert client.post("/api/v1/readings/", content=bytes(10_000_001), headers=headers).status_code == 413


def test_devices_can_be_registered_changed_and_logged(there: Running, client: httpx.Client) -> None:
    assert client.post("/api/v1/gadget/", json={"factory_id": "OPC_9"}).status_code == 401
    client.headers["authorization"] = f"Bearer {new_token(there.store, 'x', clock_ms(), may_write=True)}"
    made = client.post("/api/v1/gadget/", json={"factory_id": "OPC_9", "status": "S", "notes": "in the box"})
    assert (made.status_code, made.json()["status_text"], made.json()["last_received_data"]) == (201, "spare", None)
    assert client.post("/api/v1/gadget/", json={"factory_id": "OPC_9"}).status_code == 409
    assert client.post("/api/v1/gadget/", json={"factory_id": "b", "status": "X"}).status_code == 400
    assert client.post("/api/v1/gadget/", json={"factory_id": "c", "status": None}).json()["status"] == "_"
    assert client.delete("/api/v1/gadget/c/").status_code == 204
    changed = client.patch("/api/v1/gadget/opc_9/", json={"status": "A"}).json()
    assert (changed["status"], changed["notes"]) == ("A", "in the box")
    entry = {"action_type": "Location Change", "where": "roof", "who": "me", "when": "2026-01-02T03:04:05Z"}
    assert client.post("/api/v1/gadget/OPC_9/add2log/", json=entry).status_code == 201
    assert client.post("/api/v1/gadget/OPC_9/add2log/", json={"action_type": "Dance"}).status_code == 400
    (logged,) = client.get("/api/v1/gadget/OPC_9/log/").json()["results"]
    assert (logged["when"], logged["where"]) == ("2026-01-02T03:04:05.000Z", "roof")
    names = [item["factory_id"] for item in client.get("/api/v1/gadget/").json()["results"]]
    assert names == ["OPC_9", "imu 1", "opc"]
    assert client.get("/api/v1/gadget/imu 1/").json()["last_received_data"] == "2026-09-21T14:17:25.000Z"
    assert client.delete("/api/v1/gadget/OPC_9/").status_code == 204
    assert client.get("/api/v1/gadget/OPC_9/").status_code == 404
    assert client.get("/api/v1/gadget/OPC_9/log/").status_code == 404
    assert client.delete("/api/v1/gadget/opc/").status_code == 409


def test_a_device_name_may_contain_a_slash(there: Running, client: httpx.Client) -> None:
    headers = {"authorization": f"Bearer {new_token(there.store, 'x', clock_ms(), may_write=True)}"}
    client.post("/api/v1/gadget/", json={"factory_id": "roof/opc"}, headers=headers).raise_for_status()
    assert client.get("/api/v1/gadget/roof%2Fopc/").json()["factory_id"] == "roof/opc"
    entry = {"action_type": "Note", "action": "cleaned"}
    client.post("/api/v1/gadget/roof%2Fopc/add2log/", json=entry, headers=headers).raise_for_status()
    assert client.get("/api/v1/gadget/roof%2Fopc/log/").json()["results"][0]["action"] == "cleaned"


def test_metrics_omit_old_values(there: Running, client: httpx.Client) -> None:
    store = there.store
    layout = Layout("PM", (Column("pm2.5", "µg/m³"), Column("text")))
    store.append(store.stream("fresh", layout), [NewReading(clock_ms(), 0, 0, "", '[12.5,"x"]', None)])
    text = client.get("/metrics").text
    assert 'pygnc_pm2_5{gadget="fresh",kind="PM"} 12.5' in text
    assert "pygnc_temp_degc" not in text
    assert 'pygnc_reading_age_seconds{gadget="imu 1",kind="S1"}' in text


def test_names_the_invalid_parameter_or_field_of_a_request(there: Running, client: httpx.Client) -> None:
    error = client.get("/api/v1/reading/", params={"limit": "many"}).json()["error"]
    assert error.startswith("query: ")
    assert "$.limit" in error
    headers = {"authorization": f"Bearer {new_token(there.store, 'x', clock_ms(), may_write=True)}"}
    error = client.post("/api/v1/gadget/", json={"factory_id": "b", "status": "X"}, headers=headers).json()["error"]
    assert "choose from _ (out of service)" in error
    error = client.post("/api/v1/gadget/", json={"factory_id": 5}, headers=headers).json()["error"]
    assert "$.factory_id" in error


def _references(value: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON
    if isinstance(value, dict):
        yield from (item for key, item in value.items() if key == "$ref")
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _references(item)


def test_describes_its_operations_in_openapi(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1.")
    assert {"title", "version"} <= document["info"].keys()
    parts = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert set(_references(document)) <= parts
    for path, entry in document["paths"].items():
        for method, operation in entry.items():
            assert method in {"get", "put", "post", "patch", "delete"}
            assert operation["summary"]
            assert operation["responses"]
            assert all(code == "default" or 200 <= int(code) < 300 for code in operation["responses"])
            assert all(set(names) <= set(document["components"]["securitySchemes"]) for names in operation["security"])
            parameters = operation["parameters"]
            in_path = [parameter["name"] for parameter in parameters if parameter["in"] == "path"]
            assert in_path == re.findall(r"{(\w+)}", path)
            assert all(parameter["required"] for parameter in parameters if parameter["in"] == "path")
            assert len({(parameter["name"], parameter["in"]) for parameter in parameters}) == len(parameters)
            assert all("schema" in parameter for parameter in parameters)
            for media in operation.get("requestBody", {}).get("content", {}):
                assert re.fullmatch(r"[a-z]+/[a-z-]+", media)
    (limit,) = (
        parameter
        for parameter in document["paths"]["/api/v1/reading/"]["get"]["parameters"]
        if parameter["name"] == "limit"
    )
    assert (limit["in"], limit["required"], limit["schema"]["type"]) == ("query", False, "integer")
    posted = document["paths"]["/api/v1/quarantine_request/"]["post"]
    assert set(posted["requestBody"]["content"]) == {"application/x-www-form-urlencoded", "application/json"}
    assert posted["security"] == [{"gateway_key": []}]
    assert document["components"]["schemas"]["QuarantineRequest"]["required"] == ["source_ref", "zip_size"]


def test_a_reading_dated_in_the_future_is_marked_and_never_the_latest(tmp_path: Path) -> None:
    limits = Limits(future_s=120)
    with server(tmp_path / "server", limits=limits) as there, Store.open(str(tmp_path / "r.db")) as store:
        settings = station(tmp_path / "pi", there.url, there.new_key())
        forged = new(0)._replace(t_utc_ms=clock_ms() + 180_000)
        ahead = new(2)._replace(t_utc_ms=clock_ms() + 60_000)  # a clock that is slightly ahead
        store.append(store.stream("imu", LAYOUT), [forged, new(1), ahead])
        make_batch(store, settings, clock_ms())
        assert len(upload(store, settings).accepted) == 1
        (latest,) = httpx.get(f"{there.url}/api/v1/reading/latest/").json()["results"]
        assert (latest["values"]["temp_degc"], latest["quality"]) == (2, [])
        listed = httpx.get(f"{there.url}/api/v1/reading/").json()["results"]
        assert [item["quality"] for item in listed] == [["FUTURE"], [], []]
        (device,) = httpx.get(f"{there.url}/api/v1/gadget/").json()["results"]
        assert device["last_received_data"] == latest["timestamp"]


def test_an_imported_reading_in_the_future_is_never_the_latest(there: Running) -> None:
    token = new_token(there.store, "tinycloud", clock_ms(), may_write=True)
    readings = [
        {"timestamp": "2026-01-01T00:00:00Z", "temp": 20.0},
        {"timestamp": "9000-01-01T00:00:00Z", "temp": 99.0},
    ]
    sent = {"gadget_id": "OPC_1", "readings": readings}
    url, headers = f"{there.url}/api/v1/readings/", {"authorization": f"Bearer {token}"}
    assert httpx.post(url, json=sent, headers=headers).json() == {"created": 2}
    latest = httpx.get(f"{there.url}/api/v1/reading/latest/").json()["results"]
    assert [item["values"]["temp"] for item in latest if item["gadget"] == "OPC_1"] == [20.0]
