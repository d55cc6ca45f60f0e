"""Outputs of other packages."""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pygnc_station.commands.readings import readers
from pygnc_station.errors import StationError
from pygnc_station.settings import StationSettings, settings_of
from pygnc_station.sinks.publisher import Publisher
from pygnc_station.sinks.sink import GROUP
from pygnc_station.store.readings import Column, Layout, NewReading, to_text
from pygnc_station.store.store import Store
from pygnc_station.upload.retry import retry_state
from pygnc_system import plugins
from tests.other_packages import OtherPackage
from tests.pygnc_command import app

LAYOUT = Layout("rain", (Column("rain_mm"),))
SOURCE = """
import pathlib

from pygnc_station.errors import StationError, TransferError
from pygnc_station.settings import Table
from pygnc_station.sinks.sink import Delivery, Sink


class Settings(Table, frozen=True):
    path: str
    error: str = ""


class Lines(Sink):
    title = "lines"

    def __init__(self, settings):
        self.settings = settings

    @classmethod
    def open(cls, station, store):
        return cls(station.sink("lines", Settings))

    @classmethod
    def check(cls, station, timeout_s):
        return f"writes {station.sink('lines', Settings).path}"

    def write(self, stream, readings):
        if self.settings.error:
            raise {"refused": StationError, "later": TransferError, "fault": KeyError}[self.settings.error]("why")
        with pathlib.Path(self.settings.path).open("a") as file:
            file.writelines(f"{one.values[0]}\\n" for one in readings)

    def close(self):
        pass


class Now(Lines):
    delivery = Delivery.CURRENT

    @classmethod
    def open(cls, station, store):
        return cls(station.sink("now", Settings))
"""
ENTRIES = {
    "lines": "lines_sink:Lines",
    "now": "lines_sink:Now",
    "broken": "broken_sink:Broken",
    "text": "lines_sink:SOURCE",
    "plain": "lines_sink:Settings",
    "mqtt": "lines_sink:Lines",
}


@pytest.fixture(autouse=True)
def _installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(plugins, "_reported", set())
    site = tmp_path / "site"
    site.mkdir()
    modules = {"lines_sink": SOURCE, "broken_sink": "raise RuntimeError('out of cheese')"}
    with OtherPackage({GROUP: ENTRIES}, modules).importable(site):
        yield


def settings(**sinks: Mapping[str, object]) -> StationSettings:
    return settings_of({"sinks": sinks}, "station.toml")


def log(store: Store, *values: float) -> None:
    store.append(store.stream("gauge", LAYOUT), [NewReading(1, 0, 0, "", to_text([value]), None) for value in values])


def test_receives_every_reading_once_and_keeps_them_until_then(store: Store, tmp_path: Path) -> None:
    log(store, 1.0, 2.0)
    chosen = settings(lines={"path": str(tmp_path / "out"), "error": "later"})
    assert not Publisher(store, chosen).push(1)
    assert retry_state(store, "sinks.lines").problem == "why"
    assert readers(chosen) == ["sinks.lines"]
    chosen = settings(lines={"path": str(tmp_path / "out")})
    publisher = Publisher(store, chosen)
    assert publisher.push(1 << 60)
    log(store, 3.0)
    assert publisher.push(1 << 60)
    assert (tmp_path / "out").read_text() == "1.0\n2.0\n3.0\n"


def test_receives_current_readings_without_keeping_any(store: Store, tmp_path: Path) -> None:
    log(store, 1.0)
    chosen = settings(now={"path": str(tmp_path / "out")})
    publisher = Publisher(store, chosen)
    log(store, 2.0)
    publisher.publish_current()
    publisher.publish_current()
    assert (tmp_path / "out").read_text() == "2.0\n"
    assert readers(chosen) == []


@pytest.mark.parametrize(("error", "text"), [("fault", "KeyError: 'why'"), ("refused", "why")])
def test_a_failing_output_stops_no_other(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture, error: str, text: str
) -> None:
    bad, good = {"path": "x", "error": error}, {"path": str(tmp_path / "out")}
    publisher = Publisher(store, settings(now=bad, lines=good))
    log(store, 1.0)
    with caplog.at_level(logging.WARNING):
        publisher.publish_current()
        assert publisher.push(1)
        log(store, 2.0)
        publisher.publish_current()
    assert [record.message for record in caplog.records] == [f"[sinks.now]: {text}"]
    assert (tmp_path / "out").read_text() == "1.0\n"
    publisher = Publisher(store, settings(lines=bad, now=good))
    assert not publisher.push(1 << 60)
    assert retry_state(store, "sinks.lines").problem == text


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("broken", "`broken` of pygnc-other 1.0 cannot be loaded: RuntimeError: out of cheese"),
        ("text", "`text` of pygnc-other 1.0 cannot be loaded: AttributeError"),
        ("plain", "plain` of pygnc-other 1.0 cannot be used: lines_sink:Settings is not derived from "),
    ],
)
def test_a_broken_output_is_named_and_the_others_work(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, why: str
) -> None:
    log(store, 1.0)
    both: dict[str, Mapping[str, object]] = {name: {}, "lines": {"path": str(tmp_path / "out")}}
    with caplog.at_level(logging.WARNING):
        assert Publisher(store, settings(**both)).push(1)
    assert why in caplog.text
    assert (tmp_path / "out").read_text() == "1.0\n"
    assert f"sinks.{name}" in readers(settings(**both))  # it may be repaired
    with pytest.raises(StationError) as error:
        Publisher(store, settings(**{name: {}}))
    assert why in str(error.value)


@pytest.mark.parametrize(
    ("sinks", "why"),
    [
        (
            {"nothing": {}},
            r"\[sinks.nothing\]: no installed package adds this output; installed: .*lines, now",
        ),
        ({"mqtt": {}}, r"\[sinks.mqtt\]: .*`host`"),
        ({"lines": {}}, r"\[sinks.lines\]: .*`path`"),
        ({"lines": {"path": "x", "speed": 1}}, r"\[sinks.lines\]: .*`speed`"),
    ],
)
def test_mistakes_in_the_settings_are_named(store: Store, sinks: dict[str, dict[str, object]], why: str) -> None:
    with pytest.raises(StationError, match=why):
        Publisher(store, settings(**sinks))


def test_our_output_keeps_its_name_and_the_clash_is_reported(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        publisher = Publisher(store, settings(mqtt={"host": "127.0.0.1", "port": 9}))
    publisher.stop()
    publisher.run()
    assert type(publisher.sinks["mqtt"]).__module__ == "pygnc_station.sinks.mqtt"
    ours = "`mqtt` of pygnc-other 1.0 is ignored: "
    assert sum(ours in record.message for record in caplog.records) == 1


def test_the_doctor_asks_outputs_of_other_packages(tmp_path: Path) -> None:
    file = tmp_path / "station.toml"
    file.write_text('[sinks.lines]\npath = "out.txt"\n[sinks.broken]\n')
    text = CliRunner().invoke(app, ["station", "doctor", "--settings", str(file)]).output
    assert "writes out.txt" in text
    assert "RuntimeError: out of cheese" in text
