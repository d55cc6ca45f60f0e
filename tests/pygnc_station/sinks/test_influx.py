"""InfluxDB 1 from Debian's package; test_sinks.py has a substitute for InfluxDB 2."""

import itertools
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from pygnc_station.commands.doctor import examine
from pygnc_station.errors import StationError
from pygnc_station.settings import StationSettings
from pygnc_station.sinks.influx import InfluxSink
from pygnc_station.sinks.publisher import Publisher
from pygnc_station.store.readings import Column, Layout, NewReading, PlainValue, StoredReading, Stream, to_text
from pygnc_station.store.store import Store
from pygnc_station.upload.retry import retry_state
from tests.fakes.influxdb import PROGRAM, InfluxDb

pytestmark = [
    pytest.mark.xdist_group("influxdb"),
    pytest.mark.skipif(PROGRAM is None, reason="no influxd: apt-get install influxdb"),
]
START_MS = 1_790_000_000_000
LATER_MS = 1 << 60
NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)
NUMBERS = st.integers(-(10**9), 10**9) | st.floats(allow_nan=False, allow_infinity=False)
KINDS = (f"kind {rank} " for rank in itertools.count())


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InfluxDb]:
    with InfluxDb(tmp_path_factory.mktemp("influxdb")) as running:
        yield running


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(str(tmp_path / "readings.db")) as store:
        yield store


def _publish(store: Store, settings: StationSettings, now_ms: int = LATER_MS) -> None:
    publisher = Publisher(store, settings)
    try:
        publisher.push(now_ms)
    finally:
        publisher.stop()
        publisher.run()


def _append(store: Store, gadget: str, layout: Layout, readings: list[tuple[int, list[PlainValue]]]) -> None:
    stream = store.stream(gadget, layout, family="opc_n3")
    store.append(stream, [NewReading(t_ms, 0, 0, "", to_text(values), None) for t_ms, values in readings])


def test_influxdb_stores_values_times_and_tags_unchanged(database: InfluxDb, store: Store) -> None:
    columns = ("pm_2_5_ug_m3", "temperature_degc", "fan_is_on", "text", "a,b=c d")
    layout = Layout("histogram, whole", tuple(Column(name) for name in columns))
    values: list[list[PlainValue]] = [
        [0.1 + rank, -21.5 if rank % 2 else None, rank % 3 == 0, f'so "{rank}" \\ said', rank] for rank in range(2500)
    ]
    _append(store, "opc 7, east=1", layout, [(START_MS + 7 * rank, row) for rank, row in enumerate(values)])
    _append(store, "other", layout, [(START_MS, [1e300, 5e-324, None, "Ω", None])])
    settings = StationSettings(name="roof", sinks={"influx": {"url": database.url}})
    _publish(store, settings)
    _publish(store, settings)
    points = database.points("histogram, whole")
    tags = {"family": "opc_n3", "station": "roof", "quality": 0}
    east = [point for point in points if point["gadget"] == "opc 7, east=1"]
    assert east == [
        {"time": START_MS + 7 * rank, **tags, "gadget": "opc 7, east=1"} | dict(zip(columns, row, strict=True))
        for rank, row in enumerate(values)
    ]
    (other,) = (point for point in points if point["gadget"] == "other")
    assert [other[name] for name in columns] == [1e300, 5e-324, None, "Ω", None]
    (keys,) = database.run('SHOW TAG KEYS FROM "histogram, whole"')
    assert keys["values"] == [["family"], ["gadget"], ["station"]]


def test_readings_logged_during_an_outage_are_sent_later(database: InfluxDb, store: Store) -> None:
    layout = Layout("outage", (Column("value"),))
    settings = StationSettings(sinks={"influx": {"url": database.url}})
    _append(store, "g", layout, [(START_MS, [0.5])])
    _publish(store, settings)
    database.stop()
    try:
        _append(store, "g", layout, [(START_MS + 1 + rank, [float(rank)]) for rank in range(1200)])
        _publish(store, settings, START_MS)
        assert "InfluxDB" in retry_state(store, "influx").problem
    finally:
        database.start()
    _publish(store, settings)
    found = [(point["time"], point["value"]) for point in database.points("outage")]
    assert found == [(START_MS, 0.5), *((START_MS + 1 + rank, rank) for rank in range(1200))]
    assert retry_state(store, "influx").problem == ""


def test_uses_the_login_in_the_url_and_reports_a_wrong_one(tmp_path: Path, store: Store) -> None:
    _append(store, "g", Layout("login", (Column("value"),)), [(START_MS, [1.0])])
    with InfluxDb(tmp_path, login=("station", "pass word")) as database:
        for login in ("", "station:wrong@"):
            settings = StationSettings(sinks={"influx": {"url": database.url.replace("//", f"//{login}")}})
            with pytest.raises(StationError, match="is not accepted") as error:
                _publish(store, settings)
            assert "wrong" not in str(error.value)
        _publish(
            store, StationSettings(sinks={"influx": {"url": database.url.replace("//", "//station:pass%20word@")}})
        )
        assert [point["value"] for point in database.points("login")] == [1.0]


def test_reports_a_missing_influx_database(database: InfluxDb, store: Store) -> None:
    _append(store, "g", Layout("k", (Column("value"),)), [(START_MS, [1.0])])
    with pytest.raises(
        StationError, match=r'HTTP 404: .*database not found: \\"nothing\\".*create the database or bucket'
    ):
        _publish(store, StationSettings(sinks={"influx": {"url": database.url.replace("stations", "nothing")}}))


def test_the_doctor_explains_problems_with_influxdb(database: InfluxDb, tmp_path: Path, store: Store) -> None:
    _append(store, "g", Layout("k", (Column("value"),)), [(START_MS, [1.0])])

    def told(url: str) -> tuple[bool, str]:
        found = examine(StationSettings(folder=str(tmp_path), sinks={"influx": {"url": url}}), START_MS / 1000)
        (finding,) = (finding for finding in found if finding.subject == "InfluxDB")
        return finding.is_good, finding.text

    place = f"http://127.0.0.1:{database.port}"
    assert told(database.url) == (True, f"{place} accepts the login")
    is_good, why = told(database.url.replace("stations", "nothing"))
    assert not is_good
    assert "database not found" in why
    assert "create the database or bucket, or correct url in [sinks.influx]" in why
    assert told("ftp://server/write")[1].startswith("url in [sinks.influx] must begin with http:// or https://")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    is_good, why = told(f"http://name:secret@127.0.0.1:{port}/write?db=stations")
    assert not is_good
    assert why.startswith(f"http://127.0.0.1:{port}: ")
    assert why.endswith("check that it is running, and url in [sinks.influx]")
    folder = tmp_path / "locked"
    folder.mkdir()
    with InfluxDb(folder, login=("station", "pass word")) as locked:
        assert "check token in [sinks.influx], or name and password in its url" in told(locked.url)[1]
        assert told(locked.url.replace("//", "//station:pass%20word@"))[0]
    assert [point["value"] for point in database.points("k")] == []


@pytest.fixture(scope="module")
def sink(database: InfluxDb) -> Iterator[InfluxSink]:
    sink = InfluxSink(StationSettings(name="s", sinks={"influx": {"url": database.url}}))
    yield sink
    sink.close()


@hypothesis_settings(max_examples=60)
@given(st.tuples(NAMES, NAMES, NAMES), NUMBERS, st.none() | st.booleans() | NAMES)
def test_influxdb_accepts_any_names_and_values(
    database: InfluxDb, sink: InfluxSink, names: tuple[str, str, str], number: float, other: PlainValue
) -> None:
    gadget, kind, name = names
    kind = next(KINDS) + kind
    stream = Stream(1, gadget, "f", "o", Layout(kind, (Column(name), Column(f"{name}2"))), 1)
    sink.write(stream, [StoredReading(1, 1, START_MS, 3, 0, "", to_text([number, other]), None)])
    (point,) = database.points(_escaped(kind))
    expected: dict[str, Any] = {
        "time": START_MS,
        "family": "f",
        "gadget": _escaped(gadget),
        "station": "s",
        "quality": 3,
    }
    point[_escaped(name)] = float(point[_escaped(name)])  # the database returns large floats as integers
    expected |= {_escaped(name): float(number)} | ({} if other is None else {_escaped(f"{name}2"): other})
    assert point == expected


def test_reserved_names_and_comment_signs_lose_nothing(database: InfluxDb, sink: InfluxSink) -> None:
    names = ("time", "gadget", "family", "station", "quality")
    stream = Stream(1, "g", "f", "o", Layout("#1", tuple(map(Column, names))), 1)
    sink.write(stream, [StoredReading(1, 1, START_MS, 3, 0, "", to_text(list(range(5))), None)])
    (point,) = database.points("_1")
    assert [point[f"{name}_"] for name in names] == list(range(5))
    assert [point[name] for name in names] == [START_MS, "g", "f", "s", 3]


def _escaped(name: str) -> str:
    """Return a name with the replacements that the line protocol requires."""
    return name.replace("\\", "/")
