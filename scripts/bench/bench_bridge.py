"""Measure the bridge with many clients: `python -m scripts.bench.bench_bridge`. Takes two minutes.

A simulated unit on a pseudo-terminal streams S1 at 200 Hz. The bridge runs in a separate process; the clients use
WebSocket connections. Pages receive the newest reading every 33 ms, programs all readings.
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Final
from urllib.request import urlopen

from websockets.asyncio.client import connect

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # allows to start the program by its path

from pygnc_instruments.simulators.endpoints import PtyEndpoint
from pygnc_instruments.simulators.ucb_unit import UcbSimulator
from scripts.bench.processes import ROOT, cpu_s, running
from scripts.bench.table import print_table

SECONDS: Final = 20.0
START_S: Final = 30.0
LIMIT_S: Final = 60.0
"""Time in which the clients must have received what was sent to them, s."""
RATE: Final = 0x01
RATE_HZ: Final = 200
INTERVAL_MS: Final = 1000 / 30
"""Interval for 30 Hz; the defaults of the protocols are 33 and 50 ms."""
CASES: Final = (
    (1, "newest", False),
    (20, "newest", False),
    (20, "newest", True),
    (60, "newest", False),
    (60, "all", False),
)
"""Numbers of clients, the readings that they receive, and True if another client is stalled."""
STALLED_BUFFER_BYTES: Final = 4096
COUNTER: Final = 1 << 16


@dataclass(slots=True)
class Client:
    """Messages that a client has received since the start of the measurement.

    Attributes:
        times_s: time of arrival of each message with readings, s.
        counters: packet counter of the unit in each reading.
        status: status of the client at its end.
    """

    times_s: list[float] = field(default_factory=list)
    counters: list[int] = field(default_factory=list)
    status: dict[str, int] = field(default_factory=dict)

    @property
    def missing(self) -> int:
        """Number of readings that the counter of the unit shows and that were not received."""
        return sum((after - before - 1) % COUNTER for before, after in pairwise(self.counters))


def main() -> None:
    """Measure and print the table."""
    columns = ("rate of the slowest", "longest gap", "dropped", "missing", "dropped, stalled client")
    unit = UcbSimulator(eeprom={RATE: RATE_HZ})
    with tempfile.TemporaryDirectory() as folder, PtyEndpoint(unit, Path(folder) / "port") as line:
        print_table(("clients", *columns, "CPU of the bridge"), rows(line.url, folder))


def rows(url: str, folder: str) -> Iterator[list[str]]:
    """Yield a row per number of clients, each with a new bridge."""
    command = [sys.executable, "-m", "pygnc_instruments.bridge", "serve", url, "--port", "0", "--baud", "115200"]
    command += ["--family", "ucb", "--interval-ms", str(INTERVAL_MS), "--folder", folder]
    paths = os.pathsep.join(str(ROOT / name) for name in ("flight", "ground"))
    environment = os.environ | {"PYTHONPATH": paths, "HOME": folder, "PYTHONUNBUFFERED": "1"}
    cases = (
        (1, "newest", False),
        (20, "newest", False),
        (20, "newest", True),
        (60, "newest", False),
        (60, "all", False),
    )
    for count, readings, is_one_stalled in cases:
        with running(command, environment, subprocess.PIPE) as process:
            assert process.stdout is not None  # noqa: S101 - stdout is a pipe
            port = int(process.stdout.readline().split()[0].rstrip("/").rpartition(":")[2])
            yield asyncio.run(measure(process.pid, port, count, readings, is_one_stalled=is_one_stalled))


async def measure(pid: int, port: int, count: int, readings: str, *, is_one_stalled: bool) -> list[str]:
    """Measure with `count` clients of the newest or of all readings and return a row of the table."""
    clients = [Client() for _ in range(count)]
    begin, stop = asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(listen(port, readings, client, begin, stop)) for client in clients]
        while not all(client.times_s for client in clients):  # noqa: ASYNC110 - an event per client would be longer
            await asyncio.sleep(0.01)
        async with stalled(port) if is_one_stalled else nullcontext():
            used_s, start_s = cpu_s(pid), time.monotonic()
            begin.set()
            await asyncio.sleep(SECONDS)
            share = (cpu_s(pid) - used_s) / (time.monotonic() - start_s)
            stop.set()
            await asyncio.wait(tasks)  # what the other clients lost is known when they have ended
            total = (await asyncio.to_thread(status, port))["dropped"]
    dropped = sum(client.status["dropped"] for client in clients)
    label = f"{count} of {readings} readings" + ", and one stalled" * is_one_stalled
    slowest = min((len(client.times_s) - 1) / (client.times_s[-1] - client.times_s[0]) for client in clients)
    gap_ms = 1e3 * max(after - before for client in clients for before, after in pairwise(client.times_s))
    missing = f"{sum(client.missing for client in clients)}" if readings == "all" else "-"
    lost = f"{total - dropped}" if is_one_stalled else "-"
    return [label, f"{slowest:.1f} Hz", f"{gap_ms:.0f} ms", f"{dropped}", missing, lost, f"{share:.0%}"]


async def listen(port: int, readings: str, client: Client, begin: asyncio.Event, stop: asyncio.Event) -> None:
    """Record the first reading, and all from `begin` to `stop`; then request the status."""
    url = f"ws://127.0.0.1:{port}/envelope?readings={readings}"
    async with connect(url, compression=None, open_timeout=START_S) as connection:
        has_begun = False
        while not stop.is_set():
            message = json.loads(await connection.recv())
            if message["cmd"] != "output" or (client.times_s and not begin.is_set()):
                continue
            if begin.is_set() and not has_begun:
                has_begun = True
                client.times_s.clear()
                client.counters.clear()
            client.times_s.append(time.monotonic())
            client.counters.append(message["data"]["counter"])
        await connection.send('{"cmd":"stop_stream"}')
        await connection.send('{"cmd":"status"}')
        async with asyncio.timeout(LIMIT_S):
            while (message := json.loads(await connection.recv()))["cmd"] != "status":
                continue
        client.status = message["data"]


@asynccontextmanager
async def stalled(port: int) -> AsyncGenerator[None, None]:
    """Run a client that requests large responses and reads nothing."""
    end = socket.socket()
    end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, STALLED_BUFFER_BYTES)
    end.connect(("127.0.0.1", port))
    async with connect(
        f"ws://127.0.0.1:{port}/envelope?readings=newest", sock=end, max_queue=1, close_timeout=0.1
    ) as connection:
        for _ in range(60):
            await connection.send('{"cmd":"describe"}')
        yield
        connection.transport.abort()


def status(port: int) -> dict[str, int]:
    """Return the status of the bridge."""
    with urlopen(f"http://127.0.0.1:{port}/status", timeout=START_S) as response:
        return dict(json.loads(response.read()))


if __name__ == "__main__":
    main()
