"""The outputs of PyGNC, and that of the examples, conform to the suite."""

import socket
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from pygnc_station.sinks.sink import Sink
from tests.fakes.http_service import service
from tests.fakes.mosquitto import Mosquitto
from tests.programs import find_program
from tests.pygnc_station.sinks.conformance import DEVICE, SinkConformance

ROOT = Path(__file__).resolve().parents[3]
BOX = {"_id": "b" * 24, "sensors": [{"_id": "pm25"}]}


def free_port() -> int:
    with socket.socket() as candidate:
        candidate.bind(("127.0.0.1", 0))
        return int(candidate.getsockname()[1])


class HttpConformance(SinkConformance):
    """Output that sends to an address."""

    secret = "right-word"  # noqa: S105 - of a simulated server

    @abstractmethod
    def options_for(self, url: str) -> dict[str, Any]:
        """Return the settings of the output for an address."""

    @contextmanager
    def other_side(self, folder: Path) -> Iterator[dict[str, Any]]:  # noqa: ARG002 - see the suite
        with service(BOX) as there:
            yield self.options_for(there.url)

    def without_other_side(self, folder: Path) -> dict[str, Any]:  # noqa: ARG002 - see the suite
        return self.options_for(f"http://127.0.0.1:{free_port()}")


class TestInflux(HttpConformance):
    name = "influx"

    def options_for(self, url: str) -> dict[str, Any]:
        return {"url": f"{url}/write?db=d", "token": self.secret}


class TestOpenSenseMap(HttpConformance):
    name = "opensensemap"

    def options_for(self, url: str) -> dict[str, Any]:
        return {"box": "b", "token": self.secret, "url": url, "sensors": {f"{DEVICE.gadget}/pm_2_5_ug_m3": "pm25"}}


class TestSensorCommunity(HttpConformance):
    name = "sensor_community"

    def options_for(self, url: str) -> dict[str, Any]:
        return {"sensor": "raspi-1", "gadget": DEVICE.gadget, "url": f"{url}/v1/"}


class TestPrometheus(SinkConformance):
    name = "prometheus"

    @contextmanager
    def other_side(self, folder: Path) -> Iterator[dict[str, Any]]:  # noqa: ARG002 - see the suite
        yield {"port": free_port()}

    def without_other_side(self, folder: Path) -> None:
        """Prometheus asks the output."""


class TestMqtt(SinkConformance):
    name = "mqtt"
    secret = "right-word"  # noqa: S105 - of a simulated server

    @contextmanager
    def other_side(self, folder: Path) -> Iterator[dict[str, Any]]:
        find_program("mosquitto")
        find_program("mosquitto_passwd")
        with Mosquitto(folder, login=("pi", self.secret)) as broker:
            yield {"host": "127.0.0.1", "port": broker.port, "username": "pi", "password": self.secret}

    def without_other_side(self, folder: Path) -> dict[str, Any]:  # noqa: ARG002 - see the suite
        return {"host": "127.0.0.1", "port": free_port(), "username": "pi", "password": self.secret}


class TestCsvExample(SinkConformance):
    name = "csv"

    @pytest.fixture(autouse=True)
    def _installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.syspath_prepend(str(ROOT / "examples/csv_output"))

    def kind(self) -> type[Sink]:
        found: type[Sink] = import_module("csv_output").CsvOutput
        return found

    @contextmanager
    def other_side(self, folder: Path) -> Iterator[dict[str, Any]]:
        yield {"folder": str(folder / "csv")}

    def without_other_side(self, folder: Path) -> dict[str, Any]:
        (folder / "file").touch()
        return {"folder": str(folder / "file")}
