"""Devices of the flight: requests of their streams."""

from concurrent.futures import Future
from types import SimpleNamespace

import pytest

from pygnc.configuration.settings import DeviceSettings
from pygnc.tasks.devices import task
from pygnc.tasks.devices.task import SILENCE_S, ConfiguredDevice
from pygnc_devices.declaration import Packet
from pygnc_devices.reading import Reading


class Silent:
    """Device that accepts each request of a stream and sends what `readings` contains."""

    url, unit, is_connected, is_over = "port", None, True, False

    def __init__(self) -> None:
        self.engine = self
        self.readings: list[Reading] = []
        self.asked: list[str] = []
        self.fault: Exception | None = None
        self.now_s = 0.0

    def request(self, _: None, stream: str) -> None:
        self.asked.append(stream)

    def start(self, _: None) -> SimpleNamespace:
        future: Future[None] = Future()
        if self.fault is None:
            future.set_result(None)
        else:
            future.set_exception(self.fault)
        return SimpleNamespace(future=future)

    def subscribe(self, *_: object) -> "Silent":
        return self

    def take(self, _: float) -> Reading | None:
        return self.readings.pop(0) if self.readings else None


@pytest.fixture
def unit(monkeypatch: pytest.MonkeyPatch) -> Silent:
    unit = Silent()
    opened = SimpleNamespace(open=lambda _: unit)
    controls = SimpleNamespace(stream=unit.request)
    monkeypatch.setattr(task, "family", lambda _: SimpleNamespace(device=opened, controls=controls))
    monkeypatch.setattr(task, "time", SimpleNamespace(monotonic=lambda: unit.now_s))
    return unit


@pytest.fixture
def events() -> list[str]:
    return []


@pytest.fixture
def device(unit: Silent, events: list[str]) -> ConfiguredDevice:
    settings = DeviceSettings(family="novatel", port="port", stream="1")
    made = ConfiguredDevice("gps", settings, lambda _, __, text: events.append(text), lambda: None)
    made.check()
    assert unit.asked == ["1"]
    return made


def test_a_stream_that_brings_no_readings_is_requested_again(unit: Silent, device: ConfiguredDevice) -> None:
    for unit.now_s in range(100):
        device.check()
        device.take()
    assert len(unit.asked) == 1 + int(99 // SILENCE_S)


def test_a_stream_that_ends_is_requested_again(unit: Silent, device: ConfiguredDevice) -> None:
    for unit.now_s in range(500):
        unit.readings += [Reading(Packet("S1", ()), b"", {}, 10**9 * unit.now_s, 0)] * (unit.now_s < 400)
        device.check()
        device.take()
        assert unit.now_s > 400 or len(unit.asked) == 1
    assert len(unit.asked) > 1


def test_a_refusal_is_reported_once(unit: Silent, device: ConfiguredDevice, events: list[str]) -> None:
    unit.fault = ValueError("not possible")
    for unit.now_s in range(200):
        device.check()
    assert len(unit.asked) > 5
    assert [text for text in events if "not possible" in text] == [
        "gps: stream = '1': not possible; check setting and device"
    ]
