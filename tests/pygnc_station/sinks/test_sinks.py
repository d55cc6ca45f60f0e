import contextlib
import json
import queue
import re
import shutil
import signal
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import paho.mqtt.client as paho
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Template
from paho.mqtt.enums import CallbackAPIVersion

from pygnc_devices.emus.unit import EmusUnit
from pygnc_devices.framing import Frame
from pygnc_devices.reading import Counters, Stamp
from pygnc_station.errors import StationError
from pygnc_station.settings import StationSettings
from pygnc_station.sinks.influx import line_of
from pygnc_station.sinks.mqtt import MqttSink, entities
from pygnc_station.sinks.prometheus import PrometheusSink, reading_metrics
from pygnc_station.sinks.publisher import Publisher
from pygnc_station.store.query import newest_of_each_kind
from pygnc_station.store.readings import (
    Column,
    Layout,
    NewReading,
    PlainValue,
    StoredReading,
    Stream,
    clock_ms,
    to_text,
)
from pygnc_station.store.store import Store
from pygnc_station.upload.retry import retry_state
from tests.fakes.mosquitto import Mosquitto
from tests.pygnc_station.logger.samples import start, wait_for

DEADLINE_S = 30.0
LAYOUT = Layout(
    "histogram",
    (
        Column("pm_2_5_ug_m3", "µg/m³", meaning="mass"),
        Column("temperature_degc", "°C"),
        Column("humidity_percent", "%"),
        Column("it's", ""),
    ),
)


def _now_ms() -> int:
    return int(time.time() * 1000)


def _new(value: float, t_utc_ms: int | None = None) -> NewReading:
    content = to_text([value, 21.5, 40.0, "text"])
    return NewReading(_now_ms() if t_utc_ms is None else t_utc_ms, 0, 0, "", content, None)


@contextmanager
def _listening(port: int) -> Iterator["queue.Queue[paho.MQTTMessage]"]:
    heard: queue.Queue[paho.MQTTMessage] = queue.Queue()
    ready = threading.Event()
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.on_connect = lambda client, *_: client.subscribe("#", 1)
    client.on_subscribe = lambda *_: ready.set()
    client.on_message = lambda _, __, message: heard.put(message)
    client.connect("127.0.0.1", port)
    client.loop_start()
    assert ready.wait(DEADLINE_S)
    try:
        yield heard
    finally:
        client.disconnect()
        client.loop_stop()


def _until(heard: "queue.Queue[paho.MQTTMessage]", topic: str, text: str = "") -> paho.MQTTMessage:
    end_s = time.monotonic() + DEADLINE_S
    while True:
        message = heard.get(timeout=max(0.01, end_s - time.monotonic()))
        if message.topic == topic and text in message.payload.decode():
            return message


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    if shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin") is None:
        pytest.skip("no mosquitto: apt-get install mosquitto")
    with Mosquitto(tmp_path) as running:
        yield running


def test_home_assistant_discovers_values_with_expiry_and_availability(broker: Mosquitto, store: Store) -> None:
    stream = store.stream("OPC 7", LAYOUT, family="opc_n3")
    store.append(stream, [_new(1.0)])
    settings = StationSettings(
        name="roof/1", sinks={"mqtt": {"host": "127.0.0.1", "port": broker.port, "expire_s": 77}}
    )
    with _listening(broker.port) as heard:
        publisher = Publisher(store, settings)
        thread = threading.Thread(target=publisher.run)
        thread.start()
        try:
            assert _until(heard, "pygnc/roof_1/availability").payload == b"online"
            store.append(stream, [_new(12.5)])
            id_ = "roof_1_OPC_7_histogram_pm_2_5_ug_m3"
            found = _until(heard, f"homeassistant/sensor/{id_}/config")
            told = json.loads(_until(heard, "pygnc/roof_1/OPC_7/histogram").payload)
        finally:
            publisher.stop()
            thread.join()
        assert _until(heard, "pygnc/roof_1/availability", "offline").payload == b"offline"
    # Readings from before the start are not published.
    assert told["values"] == {"pm_2_5_ug_m3": 12.5, "temperature_degc": 21.5, "humidity_percent": 40.0, "it's": "text"}
    configuration = json.loads(found.payload)
    assert configuration["device_class"] == "pm25"
    assert configuration["unit_of_measurement"] == "µg/m³"
    assert configuration["expire_after"] == 77
    assert configuration["availability_topic"] == "pygnc/roof_1/availability"
    assert configuration["state_topic"] == "pygnc/roof_1/OPC_7/histogram"
    assert Template(configuration["value_template"]).render(value_json=told) == "12.5"
    assert configuration["device"]["name"] == "OPC 7"
    with _listening(broker.port) as heard:  # a late subscriber receives the entities, but no old value
        retained = _until(heard, f"homeassistant/sensor/{id_}/config")
        assert retained.retain
        assert all(heard.get_nowait().topic != "pygnc/roof_1/OPC_7/histogram" for _ in range(heard.qsize()))


def mqtt(publisher: Publisher) -> MqttSink:
    sink = publisher.sinks["mqtt"]
    assert isinstance(sink, MqttSink)
    return sink


def test_reconnects_to_a_broker_after_an_outage(broker: Mosquitto, store: Store) -> None:
    stream = store.stream("opc", LAYOUT)
    settings = StationSettings(sinks={"mqtt": {"host": "127.0.0.1", "port": broker.port}})
    publisher = Publisher(store, settings)
    thread = threading.Thread(target=publisher.run)
    thread.start()
    try:
        assert mqtt(publisher).connected.wait(DEADLINE_S)
        broker.stop()
        broker.start()
        with _listening(broker.port) as heard:
            _until(heard, "pygnc/station/availability", "online")
            store.append(stream, [_new(3.0)])
            _until(heard, "pygnc/station/opc/histogram", "3.0")
    finally:
        publisher.stop()
        thread.join()


def test_logs_an_unreachable_broker_once(tmp_path: Path, store: Store, caplog: pytest.LogCaptureFixture) -> None:
    if shutil.which("mosquitto") is None:
        pytest.skip("no mosquitto: apt-get install mosquitto")
    with Mosquitto(tmp_path) as broker:
        broker.stop()
        publisher = Publisher(store, StationSettings(sinks={"mqtt": {"host": "127.0.0.1", "port": broker.port}}))
        wait_for(lambda: "the broker cannot be reached; retrying" in caplog.text, "the warning")
        broker.start()
        assert mqtt(publisher).connected.wait(DEADLINE_S)
        publisher.stop()
        publisher.run()
    assert len(caplog.records) == 2  # unreachable, connected
    assert all(f"127.0.0.1:{broker.port}" in record.message for record in caplog.records)


def test_reports_a_broker_that_refuses_the_password(tmp_path: Path, store: Store) -> None:
    if shutil.which("mosquitto_passwd") is None:
        pytest.skip("no mosquitto: apt-get install mosquitto")
    with Mosquitto(tmp_path, login=("pi", "right")) as broker:
        login = {"host": "127.0.0.1", "port": broker.port, "username": "pi"}
        good = StationSettings(sinks={"mqtt": login | {"password": "right"}})
        publisher = Publisher(store, good)
        assert mqtt(publisher).connected.wait(DEADLINE_S)
        publisher.stop()
        publisher.run()
        bad = StationSettings(sinks={"mqtt": login | {"password": "wrong"}})
        with pytest.raises(StationError, match=r"the broker refuses the login \(Not authorized"):
            Publisher(store, bad).run()


def test_entities_have_the_device_classes_of_home_assistant() -> None:
    columns = (
        Column("pack_v", "V"), Column("current_a", "A"), Column("state_of_charge_percent", "%"),
        Column("humidity_percent", "%"), Column("pm_10_ug_m3", "µg/m³"), Column("bin_0"), Column("energy_wh", "Wh"),
    )  # fmt: skip
    stream = Stream(1, "g", "emus", "o", Layout("K", columns), 1)
    found = entities("s", stream, "t", "a", 60)
    classes = [entity.get("device_class") for entity in found.values()]
    assert classes == ["voltage", "current", "battery", "humidity", "pm10", None, "energy"]
    assert [entity.get("state_class") for entity in found.values()][4:] == ["measurement", None, "total"]
    assert len({entity["unique_id"] for entity in found.values()}) == 7


def _log_battery(store: Store, *texts: tuple[str, bytes]) -> None:
    """Store sentences of a battery, all received in the same millisecond, as a station does."""
    unit = EmusUnit(name_cells=True)
    for name, text in texts:
        reading = unit.interpret(Frame(name, text, text), Stamp(0, clock_ms() * 1_000_000), Counters())
        assert reading is not None
        stream = store.stream("pack", Layout.of(reading.packet), family="emus")
        store.append(stream, [NewReading.of(reading)])


def test_each_cell_of_a_battery_is_a_series_of_its_own(store: Store) -> None:
    _log_battery(store, ("BV2", b"00,0000,08,8081828384858687"), ("BV2", b"00,0008,08,88898A8B8C8D8E8F"))
    names = [f"cell_{number}_voltage_v" for number in range(16)]
    newest = newest_of_each_kind(store)
    assert [name for _, stream in newest for name in stream.layout.names] == names  # what the page shows
    metrics = [
        metric for metric in reading_metrics(newest, clock_ms(), 60) if metric.name != "pygnc_reading_age_seconds"
    ]
    assert [metric.name for metric in metrics] == [f"pygnc_{name}" for name in names]
    assert [metric.samples[0].value for metric in metrics] == pytest.approx([3.28 + k / 100 for k in range(16)])
    lines = [line_of("s", stream, reading) for reading, stream in newest]
    assert len({line.split(" cell_")[0] for line in lines}) == 2  # points of one measurement would overwrite each other
    ids = [id_ for _, stream in newest for id_ in entities("s", stream, "t", "a", 60)]
    assert len(set(ids)) == 16


def test_alarms_of_a_battery_are_entities(store: Store) -> None:
    _log_battery(store, ("ST1", b"03,06,0000,000128E3,05,0402,00,00040802"))
    ((reading, stream),) = newest_of_each_kind(store)
    found = entities("s", stream, "t", "a", 60)
    values = dict(zip(stream.layout.names, reading.values, strict=True))

    def state(id_: str, **changes: int | None) -> str:
        entity = found[f"binary_sensor/s_pack_ST1_{id_}"]
        assert entity["device_class"] == "problem"
        return str(Template(entity["value_template"]).render(value_json={"values": values | changes}))

    assert [state("protections_0"), state("protections_1"), state("protections_any")] == ["OFF", "ON", "ON"]
    assert [state("reductions_any"), state("charging_error_any")] == ["OFF", "ON"]
    assert [state("protections_1", protections=0), state("protections_1", protections=None)] == ["OFF", "None"]
    assert found["binary_sensor/s_pack_ST1_protections_1"]["name"] == "protection: cell over-voltage"


class _Database(BaseHTTPRequestHandler):
    """Substitute for the write endpoint of InfluxDB 2."""

    lines: list[str]
    answers: list[int]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        assert self.path == "/api/v2/write?org=o&bucket=b&precision=ms"
        assert self.headers["authorization"] == "Token word"
        code = self.answers.pop(0) if self.answers else 204
        if code == 204:
            self.lines += body.split("\n")
        self.send_response(code)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:  # noqa: ANN401 - as its base
        pass


@contextmanager
def _database(*answers: int) -> Iterator[tuple[str, list[str]]]:
    class Handler(_Database):
        pass

    Handler.lines, Handler.answers = [], list(answers)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as database:
        thread = threading.Thread(target=database.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{database.server_address[1]}/api/v2/write?org=o&bucket=b", Handler.lines
        finally:
            database.shutdown()
            thread.join()


def test_influxdb_receives_every_reading_once_despite_failures(store: Store) -> None:
    stream = store.stream("opc 7", LAYOUT, family="opc_n3")
    store.append(stream, [_new(rank, 1_790_000_000_000 + rank) for rank in range(1500)])
    with _database(503) as (url, lines):
        publisher = Publisher(store, StationSettings(name="roof", sinks={"influx": {"url": url, "token": "word"}}))
        publisher.push(1)
        problem = f"InfluxDB at {url.partition('/api')[0]}: temporary failure, HTTP 503"
        assert retry_state(store, "influx").problem == problem
        publisher.push(2)
        assert lines == []
        publisher.push(1 << 60)
        publisher.push(1 << 60)
        publisher.stop()
        publisher.run()
    assert len(lines) == 1500
    assert lines[7] == (
        "histogram,family=opc_n3,gadget=opc\\ 7,station=roof pm_2_5_ug_m3=7.0,temperature_degc=21.5,"
        'humidity_percent=40.0,it\'s="text",quality=0i 1790000000007'
    )


def test_a_publisher_without_new_readings_leaves_the_store_alone(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pygnc_station.sinks.publisher.POLL_S", 0.01)
    stream = store.stream("opc", LAYOUT)
    store.append(stream, [_new(1.0)])
    with _database() as (url, lines):
        publisher = Publisher(store, StationSettings(sinks={"influx": {"url": url, "token": "word"}}))
        thread = threading.Thread(target=publisher.run)
        thread.start()
        try:
            wait_for(lambda: retry_state(store, "influx").last_success_ms is not None, "the first line")
            with closing(sqlite3.connect(str(store.engine.url.database), isolation_level=None)) as connection:
                version = connection.execute("PRAGMA data_version").fetchone()
                time.sleep(0.5)
                assert connection.execute("PRAGMA data_version").fetchone() == version
            store.append(stream, [_new(2.0)])
            wait_for(lambda: len(lines) == 2, "the second line")
        finally:
            publisher.stop()
            thread.join()


@pytest.mark.parametrize(("code", "why"), [(401, "the token or login is not accepted"), (400, "HTTP 400")])
def test_reports_lines_that_influxdb_refuses(store: Store, code: int, why: str) -> None:
    store.append(store.stream("opc", LAYOUT), [_new(1.0)])
    with _database(code) as (url, _):
        publisher = Publisher(store, StationSettings(sinks={"influx": {"url": url, "token": "word"}}))
        with pytest.raises(StationError, match=why):
            publisher.run()


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("server:8086/write?db=d", "must begin with http:// or https://; an example: http://server:8086/write"),
        ("udp://name:secret@server:8089", "must begin with http:// or https://"),
        ("http:///write?db=d", "contains no host"),
        ("http://name:secret/word@server/write?db=d", "write / as %2F and @ as %40"),
    ],
)
def test_reports_an_invalid_influx_url_at_once(store: Store, url: str, why: str) -> None:
    with pytest.raises(StationError) as error:
        Publisher(store, StationSettings(sinks={"influx": {"url": url}}))
    assert why in str(error.value)
    assert "secret" not in str(error.value)


NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)
VALUES = (
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(allow_nan=False, allow_infinity=False) | NAMES
)


_KEY = r"(?:\\.|[^,= \\])+"
_LINE = re.compile(
    rf"(?P<kind>(?:\\.|[^, ])+),family=f,gadget=(?P<gadget>{_KEY}),station=s "
    rf'(?P<name>{_KEY})=(?P<value>"(?:\\.|[^"\\])*"|[^", ]+),quality=0i 5'
)


@given(NAMES, NAMES, NAMES, VALUES)
def test_lines_are_valid_for_any_names_and_values(gadget: str, kind: str, name: str, value: PlainValue) -> None:
    stream = Stream(1, gadget, "f", "o", Layout(kind, (Column(name),)), 1)
    line = line_of("s", stream, StoredReading(1, 1, 5, 0, 0, "", to_text([value]), None))
    if value is None:
        assert line == ""
        return
    found = _LINE.fullmatch(line)
    assert found is not None, line
    if isinstance(value, str):
        assert re.sub(r"\\(.)", r"\1", found["value"][1:-1]) == value
    elif not isinstance(value, bool):
        assert float(found["value"]) == value


def test_prometheus_gets_only_fresh_values(store: Store) -> None:
    store.append(store.stream("fresh", LAYOUT), [_new(12.5)])
    store.append(store.stream("old", LAYOUT), [_new(99.0, 1_790_000_000_000)])
    settings = StationSettings(sinks={"prometheus": {"port": _free_port()}})
    publisher = Publisher(store, settings)
    server = publisher.sinks["prometheus"]
    assert isinstance(server, PrometheusSink)
    text = httpx.get(f"http://127.0.0.1:{server.port}/metrics").text
    with pytest.raises(StationError, match="Address already in use"):
        Publisher(store, settings)
    publisher.stop()
    publisher.run()
    assert 'pygnc_pm_2_5_ug_m3{gadget="fresh",kind="histogram"} 12.5' in text
    assert "99.0" not in text
    assert 'pygnc_reading_age_seconds{gadget="old",kind="histogram"}' in text


@pytest.mark.parametrize("request_", [b"", b"GET /metrics HTTP/1.1\r\nHost: x\r\n"])
def test_prometheus_requests_end_in_time(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], request_: bytes
) -> None:
    monkeypatch.setattr("pygnc_station.sinks.prometheus.REQUEST_S", 0.5)
    server = PrometheusSink(StationSettings(sinks={"prometheus": {"port": _free_port()}}), store)
    try:
        with socket.create_connection(("127.0.0.1", server.port), 10.0) as client:
            client.sendall(request_)
            begin_s = time.monotonic()
            with contextlib.suppress(ConnectionError):
                while time.monotonic() - begin_s < 10:  # a byte of the headers again and again
                    client.settimeout(0.1)
                    with contextlib.suppress(TimeoutError):
                        assert client.recv(1) == b""
                        break
                    client.sendall(b"a" if request_ else b"")
            assert 0.4 < time.monotonic() - begin_s < 5
        assert httpx.get(f"http://127.0.0.1:{server.port}/metrics").status_code == 200
    finally:
        server.close()
    assert capsys.readouterr().err == ""


def test_publishing_requires_an_output(store: Store) -> None:
    with pytest.raises(StationError, match="no output"):
        Publisher(store, StationSettings())


def test_the_publish_command_runs_until_a_signal(tmp_path: Path, store: Store) -> None:
    (tmp_path / "s.toml").write_text(f"[prometheus]\nport = {_free_port()}\n")
    store.append(store.stream("fresh", LAYOUT), [_new(1.0)])
    process = start("publish", "--settings", tmp_path / "s.toml")
    assert process.stdout is not None
    assert process.stdout.readline() == "publishing\n"
    process.send_signal(signal.SIGTERM)
    assert process.communicate()[1] == ""
    assert process.returncode == 0


def _free_port() -> int:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Database) as probe:
        return int(probe.server_address[1])
