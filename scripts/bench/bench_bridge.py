"""Measure the bridge with many clients: `python scripts/bench/bench_bridge.py`. Takes a minute and a half.

A simulated unit on a pseudo-terminal streams S1 at 100 Hz. The bridge runs in a separate process; the clients use
WebSocket connections.
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
INTERVAL_MS: Final = 1000 / 30
"""Interval for 30 Hz; the defaults of the protocols are 33 and 50 ms."""
STALLED_BUFFER_BYTES: Final = 4096


def main() -> None:
    """Measure and print the table."""
    columns = ("rate of the slowest", "longest gap", "dropped, reading clients", "dropped, stalled client")
    with tempfile.TemporaryDirectory() as folder, PtyEndpoint(UcbSimulator(), Path(folder) / "port") as line:
        print_table(("clients", *columns, "CPU of the bridge"), rows(line.url, folder))


def rows(url: str, folder: str) -> Iterator[list[str]]:
    """Yield a row per number of clients, each with a new bridge."""
    command = [sys.executable, "-m", "pygnc_instruments.bridge", "serve", url, "--port", "0", "--baud", "115200"]
    command += ["--family", "ucb", "--interval-ms", str(INTERVAL_MS), "--folder", folder]
    paths = os.pathsep.join(str(ROOT / name) for name in ("flight", "ground"))
    environment = os.environ | {"PYTHONPATH": paths, "HOME": folder, "PYTHONUNBUFFERED": "1"}
    for count, is_one_stalled in ((1, False), (20, False), (20, True), (60, False)):
        with running(command, environment, subprocess.PIPE) as process:
            assert process.stdout is not None  # noqa: S101 - stdout is a pipe
            port = int(process.stdout.readline().split()[0].rstrip("/").rpartition(":")[2])
            yield asyncio.run(measure(process.pid, port, count, is_one_stalled=is_one_stalled))


async def measure(pid: int, port: int, count: int, *, is_one_stalled: bool) -> list[str]:
    """Measure with `count` clients and return a row of the table."""
    times_s: list[list[float]] = [[] for _ in range(count)]
    begin, stop = asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        clients = [group.create_task(listen(port, times, begin, stop)) for times in times_s]
        while not all(times_s):  # noqa: ASYNC110 - an event per client would be longer
            await asyncio.sleep(0.01)
        async with stalled(port) if is_one_stalled else nullcontext():
            for times in times_s:
                times.clear()
            used_s, start_s = cpu_s(pid), time.monotonic()
            begin.set()
            await asyncio.sleep(SECONDS)
            share = (cpu_s(pid) - used_s) / (time.monotonic() - start_s)
            total = (await asyncio.to_thread(status, port))["dropped"]
            stop.set()
    dropped = sum(client.result() for client in clients)
    label = f"{count}, and one stalled" if is_one_stalled else f"{count}"
    slowest = min((len(times) - 1) / (times[-1] - times[0]) for times in times_s)
    gap_ms = 1e3 * max(after - before for times in times_s for before, after in pairwise(times))
    lost = total - dropped if is_one_stalled else "-"
    return [label, f"{slowest:.1f} Hz", f"{gap_ms:.0f} ms", f"{dropped}", f"{lost}", f"{share:.0%}"]


async def listen(port: int, times_s: list[float], begin: asyncio.Event, stop: asyncio.Event) -> int:
    """Record the arrival time of the first reading, and of all from `begin` to `stop`; return the number dropped."""
    async with connect(f"ws://127.0.0.1:{port}/envelope", compression=None) as connection:
        while not stop.is_set():
            message = json.loads(await connection.recv())
            if message["cmd"] == "output" and (begin.is_set() or not times_s):
                times_s.append(time.monotonic())
        await connection.send('{"cmd":"status"}')
        while (message := json.loads(await connection.recv()))["cmd"] != "status":
            continue
        return int(message["data"]["dropped"])


@asynccontextmanager
async def stalled(port: int) -> AsyncGenerator[None, None]:
    """Run a client that requests large responses and reads nothing."""
    end = socket.socket()
    end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, STALLED_BUFFER_BYTES)
    end.connect(("127.0.0.1", port))
    async with connect(f"ws://127.0.0.1:{port}/envelope", sock=end, max_queue=1, close_timeout=0.1) as connection:
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
