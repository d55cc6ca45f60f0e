"""Stations send their state with each upload, and the server shows the states of all."""

from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from sqlalchemy import update

import pygnc_system
from pygnc_station.server.access import list_gateways, revoke, visit
from pygnc_station.server.fleet import Fleet, Gateway, GatewayState, read_fleet
from pygnc_station.server_settings import Alerts
from pygnc_station.settings import Device, StationSettings
from pygnc_station.settings_types import Location
from pygnc_station.station_state import IDENTITY_PATH, STATE_PATH
from pygnc_station.store import schema
from pygnc_station.store.batches import BatchState, update_batch
from pygnc_station.store.readings import clock_ms
from pygnc_station.store.store import Store
from pygnc_station.upload import uploader
from pygnc_station.upload.station_server import StationSender
from pygnc_station.upload.uploader import UploadReport
from tests.fakes.http_service import service
from tests.pygnc_station.server.samples import Running, batch_of, server, station, upload
from tests.pygnc_station.store.samples import LAYOUT, new

MINUTE_MS = 60_000
HOME = Location(53.35, -6.26)
CELLAR = Location(-33.9, 18.4)


def with_places(settings: StationSettings) -> StationSettings:
    devices = [Device("imu", "ucb", "/dev/null", location=CELLAR), Device("OPC_7", "opc_n3", "/dev/null")]
    return msgspec.structs.replace(settings, location=HOME, device=devices)


def fleet_of(there: Running) -> dict[str, Any]:
    response = httpx.get(f"{there.url}/api/v1/fleet/")
    assert response.status_code == 200
    found: dict[str, Any] = response.json()
    return found


def test_an_upload_reports_the_state_of_the_station(tmp_path: Path) -> None:
    with server(tmp_path / "server") as there, Store.open(str(tmp_path / "r.db")) as store:
        settings = with_places(station(tmp_path / "pi", there.url, there.new_key()))
        rejected = batch_of(store, settings, range(5))
        update_batch(store, rejected, state=BatchState.REJECTED)
        batch_of(store, settings, range(5, 12))
        store.append(store.stream("imu", LAYOUT), [new(rank) for rank in range(12, 15)])
        upload(store, settings)
        found = fleet_of(there)
        (gateway,) = found["gateways"]
        assert abs(found["time_ms"] - clock_ms()) < MINUTE_MS
        assert found["disk_total_bytes"] > found["disk_free_bytes"] > 0
        assert (gateway["name"], gateway["state"], gateway["version"]) == ("roof", "fine", pygnc_system.__version__)
        assert (gateway["backlog_readings"], gateway["backlog_batches"], gateway["rejected_batches"]) == (3, 0, 1)
        assert gateway["disk_total_bytes"] > gateway["disk_free_bytes"] > 0
        assert gateway["uptime_s"] > 0
        assert abs(gateway["clock_offset_s"]) < 5
        assert 0 <= gateway["reported_ms"] - gateway["last_seen_ms"] + 5000 < 10_000
        place = {"latitude_deg": -33.9, "longitude_deg": 18.4}
        (gadget,) = gateway["gadgets"]
        assert gadget == {"name": "imu", "kind": "ucb", "last_reading_ms": new(11).t_utc_ms, "location": place}
        assert gateway["alerts"] == found["alerts"] == found["gadgets"] == []
        msgspec.convert(found, Fleet)  # the response has the declared types


def test_an_idle_station_reports_its_state_and_its_backlog_while_a_batch_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with server(tmp_path / "server") as there, Store.open(str(tmp_path / "r.db")) as store:
        settings = station(tmp_path / "pi", there.url, there.new_key())
        upload(store, settings)
        assert fleet_of(there)["gateways"][0]["backlog_readings"] == 0
        waiting = batch_of(store, settings, range(8))
        monkeypatch.setattr(uploader, "clock_ms", lambda: clock_ms() + 3_600_000)
        monkeypatch.setattr(StationSender, "send", lambda _, batch, __: batch)
        assert upload(store, settings).waiting == [waiting.name]
        (gateway,) = fleet_of(there)["gateways"]
        assert (gateway["backlog_readings"], gateway["backlog_batches"]) == (8, 1)
        assert abs(gateway["clock_offset_s"] - 3600) < 5


def test_a_server_that_receives_no_states_receives_batches(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with service() as there, Store.open(str(tmp_path / "r.db")) as store:
        settings = station(tmp_path / "pi", there.url, "0" * 20)
        there.answers[:] = [404, 404, 404, 500]
        assert upload(store, settings) == UploadReport()
        assert caplog.text == ""
        assert upload(store, settings) == UploadReport()
        assert [request.path.partition("?")[0] for request in there.requests] == [
            f"/{IDENTITY_PATH}",
            f"/{STATE_PATH}",
        ] * 2
    assert "the state of this station was not sent" in caplog.text


def test_a_gateway_that_sends_no_state_is_shown(tmp_path: Path) -> None:
    with server(tmp_path / "server") as there:
        there.new_key("batonopc")
        there.store.put(there.store.stream("lab", LAYOUT, family="ucb", origin="x"), [(1, new(0))])
        found = fleet_of(there)
        (gateway,) = found["gateways"]
        assert (gateway["name"], gateway["state"], gateway["last_seen_ms"]) == ("batonopc", "fine", None)
        names = ("reported_ms", "version", "clock_offset_s", "backlog_readings", "disk_free_bytes")
        assert [gateway[name] for name in names] == [None] * 5
        assert [gadget["name"] for gadget in found["gadgets"]] == ["lab"]


def test_a_gateway_becomes_late_silent_and_revoked(tmp_path: Path) -> None:
    with server(tmp_path / "server") as there:
        key = there.new_key()
        (row,) = list_gateways(there.store)

        def seen(minutes_ago: float) -> Gateway:
            now_ms = clock_ms()
            with there.store.writes() as connection:
                c = schema.gateways.c
                changed = update(schema.gateways).where(c.id == row.id)
                connection.execute(changed.values(seen_ms=now_ms - int(minutes_ago * MINUTE_MS)))
            with there.store.reads() as connection:
                return read_fleet(connection, now_ms, Alerts(late_min=10, silent_min=20)).gateways[0]

        states = [seen(minutes).state for minutes in (0, 9, 11, 19, 21)]
        assert states == [GatewayState.FINE] * 2 + [GatewayState.LATE] * 2 + [GatewayState.SILENT]
        revoke(there.store, "roof", clock_ms())
        assert (seen(0).state, seen(0).refused_ms) == (GatewayState.REVOKED, None)
        assert visit(there.store, key, 1_800_000_000_000) is None
        assert seen(0).refused_ms == 1_800_000_000_000


def test_a_state_requires_the_key_and_valid_values(tmp_path: Path) -> None:
    with server(tmp_path / "server") as there, httpx.Client(base_url=there.url) as client:
        state = {"time_ms": clock_ms(), "version": "9", "of_a_later_version": 1}
        assert client.post(STATE_PATH, json=state).status_code == 401
        client.headers["authorization"] = f"Bearer {there.new_key()}"
        assert client.post(STATE_PATH, json=state).status_code == 204
        for wrong in (
            {"backlog_readings": -1},
            {"version": "x" * 41},
            {"locations": {"imu": {"latitude_deg": 91, "longitude_deg": 0}}},
            {"disk_free_bytes": 10**30},
        ):
            response = client.post(STATE_PATH, json=state | wrong)
            assert response.status_code == 400
            assert next(iter(wrong)) in response.json()["error"]
        assert fleet_of(there)["gateways"][0]["version"] == "9"
