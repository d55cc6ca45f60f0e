"""sensor.community and openSenseMap, by servers that answer as these services do."""

import logging
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pygnc_devices.opc_n3.packets import HISTOGRAM
from pygnc_station.commands.main import app
from pygnc_station.commands.readings import readers
from pygnc_station.errors import StationError
from pygnc_station.settings import Device, StationSettings
from pygnc_station.sinks.publisher import Publisher
from pygnc_station.store.readings import DAY_MS, Layout, NewReading, Quality, clock_ms, iso_time, to_text
from pygnc_station.store.store import Store
from pygnc_station.upload.retry import note_failure, retry_state
from tests.fakes.http_service import Service, service

LAYOUT = Layout.of(HISTOGRAM)
DEVICE = Device("OPC_7", "opc_n3", "/dev/null")
BOX = {"_id": "b" * 24, "sensors": [{"_id": "pm25"}, {"_id": "warm"}]}


def log(store: Store, *pm_2_5: float, age_s: float = 0.0, quality: int = 0, gadget: str = "OPC_7") -> list[int]:
    """Store readings of a counter; return their times."""
    times = [clock_ms() - int(age_s * 1000) + rank for rank in range(len(pm_2_5))]
    known = {"pm_1_ug_m3": 1.0, "pm_10_ug_m3": 30.0, "temperature_degc": 21.5}
    rows = [known | {"pm_2_5_ug_m3": value} for value in pm_2_5]
    new = [
        NewReading(t_utc_ms, quality, 0, "", to_text([row.get(name) for name in LAYOUT.names]), None)
        for t_utc_ms, row in zip(times, rows, strict=True)
    ]
    store.append(store.stream(gadget, LAYOUT, family="opc_n3"), new)
    return times


def community(there: Service, **changes: Any) -> StationSettings:  # noqa: ANN401 - any setting
    chosen = {"sensor": "raspi-1", "gadget": "OPC_7", "url": f"{there.url}/v1/push-sensor-data/"} | changes
    return StationSettings(device=[DEVICE], sinks={"sensor_community": chosen})


def sense_map(there: Service, **changes: Any) -> StationSettings:  # noqa: ANN401 - any setting
    sensors = {"OPC_7/pm_2_5_ug_m3": "pm25", "opc_7/temperature_degc": "warm"}
    chosen = {"box": BOX["_id"], "token": "word", "sensors": sensors, "url": there.url} | changes
    return StationSettings(device=[DEVICE], sinks={"opensensemap": chosen})


def test_sensor_community_receives_means_of_current_good_readings(store: Store) -> None:
    log(store, 900.0, age_s=3600.0)
    log(store, 900.0, quality=Quality.DEVICE)
    log(store, 900.0, gadget="other")
    log(store, 10.0, 13.0)
    with service(BOX) as there:
        publisher = Publisher(store, community(there))
        assert publisher.push(clock_ms())
        log(store, 50.0)
        assert publisher.push(clock_ms())  # not before every_s
    (sent,) = there.requests
    assert (sent.path, sent.headers["x-pin"], sent.headers["x-sensor"]) == ("/v1/push-sensor-data/", "1", "raspi-1")
    values = {entry["value_type"]: entry["value"] for entry in sent.body["sensordatavalues"]}
    assert values == {"P0": "1.00", "P1": "30.00", "P2": "11.50"}


def test_readings_that_are_passed_again_count_once(store: Store) -> None:
    log(store, 10.0)
    with service(BOX) as there:
        there.answers.append(503)
        publisher = Publisher(store, community(there))
        assert not publisher.push(1)
        log(store, 20.0)
        assert publisher.push(1 << 60)
    *_, sent = there.posts
    assert {"value_type": "P2", "value": "15.00"} in sent["sensordatavalues"]


def test_opensensemap_receives_every_value_with_its_time_despite_failures(store: Store) -> None:
    times = log(store, *[float(rank) for rank in range(3)], age_s=7200.0)
    with service(BOX) as there:
        there.answers.append(503)
        publisher = Publisher(store, sense_map(there))
        assert not publisher.push(1)
        assert "temporary failure, HTTP 503" in retry_state(store, "opensensemap").problem
        assert publisher.push(1 << 60)
        assert publisher.push(1 << 60)
    failed, sent = there.posts
    assert failed == sent
    assert [entry for entry in sent if entry["sensor"] == "pm25"] == [
        {"sensor": "pm25", "value": f"{rank}", "createdAt": iso_time(t_utc_ms)} for rank, t_utc_ms in enumerate(times)
    ]
    assert [entry["value"] for entry in sent if entry["sensor"] == "warm"] == ["21.5"] * 3
    assert there.requests[0].path == f"/boxes/{BOX['_id']}/data"
    assert there.requests[0].headers["authorization"] == "word"


def test_requests_to_opensensemap_have_at_most_2500_values(store: Store) -> None:
    log(store, *[1.0] * 1400)
    with service(BOX) as there:
        Publisher(store, sense_map(there)).push(1)
    assert sum(map(len, there.posts)) == 2800
    assert max(map(len, there.posts)) <= 2500


def test_an_output_that_refuses_readings_stops_no_other(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    log(store, 5.0)
    with service(BOX) as there, service() as other, caplog.at_level(logging.WARNING):
        other.answers.append(422)
        settings = sense_map(there, box="b" * 24)
        both = StationSettings(device=[DEVICE], sinks=settings.sinks | {"influx": {"url": f"{other.url}/write"}})
        publisher = Publisher(store, both)
        assert not publisher.push(1)
        assert len(there.posts) == 1
    assert "refuses the readings: HTTP 422" in caplog.text
    log(store, 6.0)
    with service(BOX) as there:
        there.answers.append(401)
        with pytest.raises(StationError, match=r"token in \[sinks.opensensemap\]"):
            Publisher(store, sense_map(there)).push(1 << 60)


def test_readings_for_outputs_are_not_pruned() -> None:
    assert readers(StationSettings(sinks={"opensensemap": {"box": "b"}})) == ["opensensemap"]


def test_sensor_community_needs_a_device_of_the_station(store: Store) -> None:
    with service(BOX) as there, pytest.raises(StationError, match="no device of this station"):
        Publisher(store, community(there, gadget="nothing"))


def test_the_doctor_asks_the_services(tmp_path: Path) -> None:
    def run(there: Service, sensor: str) -> str:
        path = tmp_path / "station.toml"
        path.write_text(
            f"""[sensor_community]\nsensor = "raspi-1"\ngadget = "OPC_7"\nurl = "{there.url}/v1/"\n
            [opensensemap]\nbox = "b"\ntoken = "word"\nurl = "{there.url}"\nsensors = {{ "OPC_7/x" = "{sensor}" }}\n
            [[device]]\ngadget = "OPC_7"\nfamily = "opc_n3"\nport = "{tmp_path}/missing"\n"""
        )
        path.chmod(0o600)
        return CliRunner().invoke(app, ["doctor", "--settings", str(path)]).stdout

    with service(BOX) as there:
        shown = run(there, "warm")
        assert "ok       sensor.community: responds; sends OPC_7 as raspi-1" in shown
        assert "ok       openSenseMap: box b has the 2 sensors" in shown
        assert "PROBLEM  openSenseMap: " in (wrong := run(there, "cold"))
        assert "the box has no sensor cold" in wrong
    assert "no connection" in run(there, "warm")


def test_an_output_that_failed_under_a_clock_set_ahead_is_tried_now(store: Store) -> None:
    log(store, 1.0)
    now_ms = clock_ms()
    with service(BOX) as there:
        note_failure(store, "opensensemap", "no connection", now_ms)
        assert not Publisher(store, sense_map(there)).push(now_ms)
        note_failure(store, "opensensemap", "no connection", now_ms + 365 * DAY_MS)
        assert Publisher(store, sense_map(there)).push(now_ms)
    assert len(there.posts) == 1
