"""Logs whose disk is slower than the line: every reading received is written, or counted and reported."""

import contextlib
import csv
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pygnc_devices.device import Device
from pygnc_devices.reading import Counters, Reading
from pygnc_devices.subscriptions import Publisher, Subscription
from pygnc_instruments.device.csv_log import CsvLog
from pygnc_instruments.simulators.monodrive_unit import MonoDriveSimulator
from tests.pygnc_instruments.device.running import run

FRAMES = 2000
LIMIT_S = 10.0


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Yield a port that delivers all frames at once, to a log that stalls until they are received."""
    is_subscribed, is_received = threading.Event(), threading.Event()
    subscribe, add_reading, write = Publisher.subscribe, Counters.add_reading, CsvLog.write

    def begin(self: Publisher, *arguments: Any) -> Subscription:  # noqa: ANN401 - passed on
        subscription = subscribe(self, *arguments)
        is_subscribed.set()
        return subscription

    def count(self: Counters, *values: Any) -> None:  # noqa: ANN401 - passed on
        add_reading(self, *values)
        if self.readings == FRAMES:
            is_received.set()

    def stall(self: CsvLog, reading: Reading) -> None:
        assert is_received.wait(LIMIT_S)
        write(self, reading)

    monkeypatch.setattr(Publisher, "subscribe", begin)
    monkeypatch.setattr(Counters, "add_reading", count)
    monkeypatch.setattr(CsvLog, "write", stall)
    unit = MonoDriveSimulator()
    octets = b"".join(unit.run(unit.next_s()) for _ in range(FRAMES))
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listener:

        def serve() -> None:
            client, _ = listener.accept()
            with client:
                assert is_subscribed.wait(LIMIT_S)
                client.sendall(octets)
                client.recv(1)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"socket://127.0.0.1:{listener.getsockname()[1]}"
        thread.join()


def logged(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(line for line in path.read_text().splitlines() if line[0] != "#"))


def test_readings_that_wait_for_a_slow_disk_are_written(url: str, tmp_path: Path) -> None:
    run("log", url, "--family", "monodrive", "--out", tmp_path, "--name", "x", "--count", FRAMES, "--seconds", LIMIT_S)
    assert len(logged(tmp_path / "x.csv")) == FRAMES


def test_readings_that_have_arrived_before_the_end_are_written(url: str, tmp_path: Path) -> None:
    result = run("log", url, "--family", "monodrive", "--out", tmp_path, "--name", "x", "--seconds", 0.2)
    assert len(logged(tmp_path / "x.csv")) == FRAMES
    assert "dropped" not in result.stderr


def test_dropped_readings_are_counted_and_reported(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Device.subscribe, "__defaults__", (100, None))
    result = run("log", url, "--family", "monodrive", "--out", tmp_path, "--name", "x", "--seconds", 0.2, code=1)
    rows = logged(tmp_path / "x.csv")
    assert len(rows) + sum(int(row["lost_before"]) for row in rows) == FRAMES
    assert f"{FRAMES - len(rows)} received but dropped" in result.stderr
