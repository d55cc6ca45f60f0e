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
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Final
from urllib.request import urlopen

from websockets.asyncio.client import connect

from pygnc_instruments.simulators.endpoints import PtyEndpoint
from pygnc_instruments.simulators.ucb_unit import UcbSimulator

ROOT: Final = Path(__file__).resolve().parents[2]
SECONDS: Final = 20.0
START_S: Final = 30.0
INTERVAL_MS: Final = 1000 / 30
"""30 Hz; the defaults of the protocols are 33 and 50 ms."""
STALLED_BUFFER_BYTES: Final = 4096


@dataclass(slots=True)
class ClientRecord:
    """Measurements of a client.

    Attributes:
        times_s: monotonic arrival time of each reading, s.
        has_begun: event that is set at the first reading.
        dropped: number of readings that the bridge dropped because this client did not read them in time.
    """

    times_s: list[float] = field(default_factory=list)
    has_begun: asyncio.Event = field(default_factory=asyncio.Event)
    dropped: int = 0


def main() -> None:
    """Measure and print the table."""
    columns = ("rate of the slowest", "longest gap", "dropped, reading clients", "dropped, stalled client")
    print(f"| clients | {' | '.join(columns)} | CPU of the bridge |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder, PtyEndpoint(UcbSimulator(), Path(folder) / "port") as line:
        for count, is_one_stalled in ((1, False), (20, False), (20, True), (60, False)):
            with running(line.url, Path(folder)) as (process, port):
                print(asyncio.run(measure(process.pid, port, count, is_one_stalled=is_one_stalled)), flush=True)


@contextmanager
def running(url: str, folder: Path) -> Generator[tuple[subprocess.Popen[str], int], None, None]:
    """Start a bridge and yield its process and port."""
    command = [sys.executable, "-m", "pygnc_instruments.bridge", "serve", url, "--port", "0", "--baud", "115200"]
    command += ["--family", "ucb", "--interval-ms", str(INTERVAL_MS), "--folder", str(folder)]
    paths = os.pathsep.join(str(ROOT / name) for name in ("flight", "ground"))
    environment = os.environ | {"PYTHONPATH": paths, "HOME": str(folder), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as process:
        assert process.stdout is not None  # noqa: S101 - stdout is a pipe
        address = process.stdout.readline().split()[0]
        yield process, int(address.rstrip("/").rpartition(":")[2])
        process.terminate()


async def measure(pid: int, port: int, count: int, *, is_one_stalled: bool) -> str:
    """Measure with `count` clients and return a row of the table."""
    clients = [ClientRecord() for _ in range(count)]
    begin, stop = asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for client in clients:
            group.create_task(listen(port, client, begin, stop))
        for client in clients:
            await client.has_begun.wait()
        async with stalled(port, is_wanted=is_one_stalled):
            for client in clients:
                client.times_s.clear()
            cpu_s, start_s = cpu_time_s(pid), time.monotonic()
            begin.set()
            await asyncio.sleep(SECONDS)
            share = (cpu_time_s(pid) - cpu_s) / (time.monotonic() - start_s)
            total = (await asyncio.to_thread(status, port))["dropped"]
            stop.set()
    dropped = sum(client.dropped for client in clients)
    label = f"{count}, and one stalled" if is_one_stalled else f"{count}"
    slowest = min((len(client.times_s) - 1) / (client.times_s[-1] - client.times_s[0]) for client in clients)
    gap_ms = 1e3 * max(after - before for client in clients for before, after in pairwise(client.times_s))
    lost = total - dropped if is_one_stalled else "-"
    return f"| {label} | {slowest:.1f} Hz | {gap_ms:.0f} ms | {dropped} | {lost} | {share:.0%} |"


async def listen(port: int, record: ClientRecord, begin: asyncio.Event, stop: asyncio.Event) -> None:
    """Receive messages until `stop` is set."""
    async with connect(f"ws://127.0.0.1:{port}/envelope", compression=None) as connection:
        while not stop.is_set():
            message = json.loads(await connection.recv())
            if message["cmd"] == "output" and (begin.is_set() or not record.times_s):
                record.times_s.append(time.monotonic())
                record.has_begun.set()
        await connection.send('{"cmd":"status"}')
        while (message := json.loads(await connection.recv()))["cmd"] != "status":
            continue
        record.dropped = message["data"]["dropped"]


@asynccontextmanager
async def stalled(port: int, *, is_wanted: bool) -> AsyncGenerator[None, None]:
    """Run a client that requests large responses and reads nothing."""
    if not is_wanted:
        yield
        return
    end = socket.socket()
    end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, STALLED_BUFFER_BYTES)
    end.connect(("127.0.0.1", port))
    async with connect(f"ws://127.0.0.1:{port}/envelope", sock=end, max_queue=1, close_timeout=0.1) as connection:
        for _ in range(60):
            await connection.send('{"cmd":"describe"}')
        yield
        connection.transport.abort()


def cpu_time_s(pid: int) -> float:
    """Return the processor time of a process, s."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def status(port: int) -> dict[str, int]:
    """Return the status of the bridge."""
    with urlopen(f"http://127.0.0.1:{port}/status", timeout=START_S) as response:
        return dict(json.loads(response.read()))


if __name__ == "__main__":
    main()
