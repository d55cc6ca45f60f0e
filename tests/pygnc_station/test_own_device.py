"""The device of docs/devices.md at a station: store, batches, server and topics follow from its declaration."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from pygnc_devices.family import family
from pygnc_instruments.simulators.declared_unit import DeclaredSimulator
from pygnc_instruments.simulators.endpoints import PtyEndpoint
from pygnc_station.commands.main import app
from pygnc_station.logger.logger import Logger
from pygnc_station.settings_file import read_settings
from pygnc_station.sinks.mqtt import entities
from pygnc_station.store import query
from pygnc_station.store.readings import clock_ms
from pygnc_station.store.store import Store
from pygnc_station.upload.batch_builder import make_batch
from pygnc_station.upload.uploader import sender_of, upload_all
from tests.pygnc_devices.test_own_device import RAIN
from tests.pygnc_station.logger.samples import wait_for
from tests.pygnc_station.server.samples import server, station


@pytest.fixture(autouse=True)
def _installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with RAIN.importable(tmp_path_factory.mktemp("site")):
        yield


def test_a_declaration_is_all_that_a_new_device_needs(tmp_path: Path) -> None:
    path = tmp_path / "station.toml"
    path.write_text(f'[[device]]\ngadget = "gauge"\nfamily = "rain"\nport = "{tmp_path / "port"}"\n')
    settings = read_settings(path)
    assert "rain         Rain gauge" in CliRunner().invoke(app, ["families"]).output
    kind = family("rain")
    assert kind.make_frame is not None
    gauge = DeclaredSimulator(kind.packets, kind.make_frame)
    with PtyEndpoint(gauge, tmp_path / "port"), Store.open(settings.store_url) as store:
        logger = Logger(store, settings.device)
        thread = threading.Thread(target=logger.run)
        thread.start()
        try:
            wait_for(lambda: bool(query.streams(store, "gauge", "RAIN")), "rain")
        finally:
            logger.stop()
            thread.join()
        (stream,) = query.streams(store, "gauge", "RAIN")
        assert stream.layout.names == ["rain_mm", "rate_mm_h", "temperature_degc"]
        arguments = ["recent", "--json", "-k", "RAIN", "-n", "1", "-s", str(path)]
        shown = json.loads(CliRunner().invoke(app, arguments).output)
        assert set(shown["values"]) == {"rain_mm", "rate_mm_h", "temperature_degc"}
        found = entities("roof", stream, "t", "a", 60)
        assert found["sensor/roof_gauge_RAIN_temperature_degc"]["device_class"] == "temperature"
        assert found["sensor/roof_gauge_RAIN_rain_mm"]["unit_of_measurement"] == "mm"
        with server(tmp_path / "server") as there:
            place = station(tmp_path, there.url, there.new_key())
            make_batch(store, place, clock_ms())
            sender = sender_of(place)
            assert len(upload_all(store, place, sender, clock_ms()).accepted) == 1
            sender.close()
            newest = httpx.get(f"{there.url}/api/v1/reading/latest/").json()["results"]
    rain = next(item for item in newest if item["kind"] == "RAIN")
    assert rain["units"] == {"rain_mm": "mm", "rate_mm_h": "mm/h", "temperature_degc": "°C"}
