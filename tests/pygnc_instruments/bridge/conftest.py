"""Fixtures: a simulated unit and bridges that serve it."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pygnc_instruments.simulators.endpoints import PtyEndpoint
from pygnc_instruments.simulators.ucb_unit import UcbSimulator
from tests.pygnc_instruments.bridge.running import PATIENCE_S, RunningBridge, environment


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., RunningBridge]]:
    """Start bridges; each is stopped with SIGTERM and must exit with 0."""
    running: list[RunningBridge] = []

    def begin(*arguments: str, **more: str) -> RunningBridge:
        log = tmp_path / f"bridge{len(running)}.log"
        folder = tmp_path / "logs"
        command = [sys.executable, "-m", "pygnc_instruments.bridge", "serve", *arguments, "--folder", str(folder)]
        with log.open("w") as file:
            process = subprocess.Popen(
                command, stdout=file, stderr=subprocess.STDOUT, text=True, env=environment(tmp_path, **more)
            )
        try:
            running.append(RunningBridge(process, log, folder))
        except BaseException:
            process.kill()
            process.wait()
            raise
        return running[-1]

    yield begin
    for bridge in running:
        if bridge.process.poll() is None:
            bridge.process.send_signal(signal.SIGTERM)
            assert bridge.process.wait(PATIENCE_S) == 0, bridge.log.read_text()
            assert "Traceback" not in bridge.log.read_text()


@pytest.fixture
def unit() -> UcbSimulator:
    return UcbSimulator(restart_s=0.3, eeprom={7: 0})


@pytest.fixture
def line(unit: UcbSimulator, tmp_path: Path) -> Iterator[PtyEndpoint]:
    with PtyEndpoint(unit, tmp_path / "port") as line:
        yield line


@pytest.fixture
def bridge(start: Callable[..., RunningBridge], line: PtyEndpoint) -> RunningBridge:
    return start(line.url, "--baud", "115200", "--family", "ucb", "--port", "0").with_unit()
