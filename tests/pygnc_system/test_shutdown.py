"""However a program ends, the counter it had open stands still: real processes, ended in all ways but kill -9."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pygnc_instruments.simulators.endpoints import PtyEndpoint
from pygnc_instruments.simulators.opc_n3_unit import OpcN3Simulator
from tests.pygnc_devices.opc_n3.quick import counter, line_of

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import asyncio, itertools, signal, sys
from pygnc_devices.opc_n3.driver import OpcN3
from tests.pygnc_devices.opc_n3.quick import OPTIONS, QuickAsyncOpcN3

def ready():
    print("reading", flush=True)

def plain(url):
    with OpcN3.open(url, **OPTIONS) as device:
        for reading in device:
            ready()

def left_open(url):
    device = OpcN3.open(url, **OPTIONS)
    device.read(30)
    ready()

def waiting(url):
    device = OpcN3.open(url, **OPTIONS)
    device.read(30)
    ready()
    while True:
        signal.pause()

def failing(url):
    device = OpcN3.open(url, **OPTIONS)
    device.read(30)
    ready()
    raise ZeroDivisionError

def own_handler(url):
    class Stop(Exception):
        pass
    def stop(*_):
        raise Stop
    signal.signal(signal.SIGTERM, stop)
    try:
        plain(url)
    except Stop:
        sys.exit(7)

async def with_asyncio(url):
    async with await QuickAsyncOpcN3.open(url) as device:
        async for reading in device:
            ready()

signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup, if that has started the tests, has set it otherwise
name, url = sys.argv[1:]
asyncio.run(with_asyncio(url)) if name == "asyncio" else globals()[name](url)
"""


@pytest.fixture
def opc() -> OpcN3Simulator:
    return counter()


@pytest.fixture
def line(opc: OpcN3Simulator, tmp_path: Path) -> Iterator[PtyEndpoint]:
    with line_of(opc, tmp_path) as line:
        yield line


def run(line: PtyEndpoint, kind: str, number: int | None) -> int:
    """Start a program, wait for its first reading, send it a signal, and return its exit code."""
    environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'flight'}:{ROOT / 'ground'}", "PATH": "/usr/bin:/bin"}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, kind, line.url],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "reading\n"
        if number is not None:
            process.send_signal(number)
        process.stdout.read()
        return process.wait(30)


@pytest.mark.parametrize(
    ("kind", "number", "code"),
    [
        ("plain", signal.SIGTERM, 128 + signal.SIGTERM),
        ("plain", signal.SIGHUP, 128 + signal.SIGHUP),
        ("plain", signal.SIGINT, -signal.SIGINT),
        ("waiting", signal.SIGTERM, 128 + signal.SIGTERM),
        ("own_handler", signal.SIGTERM, 7),
        ("asyncio", signal.SIGTERM, 128 + signal.SIGTERM),
        ("asyncio", signal.SIGINT, -signal.SIGINT),
        ("left_open", None, 0),
        ("failing", None, 1),
    ],
)
def test_the_fan_stops_however_a_program_ends(
    opc: OpcN3Simulator, line: PtyEndpoint, kind: str, number: int | None, code: int
) -> None:
    assert run(line, kind, number) == code
    end_s = time.monotonic() + 5
    while opc.is_on and time.monotonic() < end_s:
        time.sleep(0.01)
    assert opc.histograms > 0
    assert not opc.is_on
