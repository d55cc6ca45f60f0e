"""Latency of live packets: from writing a packet to a pseudo-terminal to the estimate on the run's bus.

Usage: python scripts/bench/bench_live.py [--runs N]

Uses real processes without a simulated line; a UART at 115200 baud adds 6 to 15 ms per packet.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec
import zmq

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # allows to start the program by its path

from pygnc.bus.messages import AttitudeEstimate, OrbitEstimate, OrbitMessage
from pygnc.bus.streams import StreamReader
from pygnc.formats.sense import STANDARD_LAYOUT
from pygnc.host.sentence_types import GPSS, SENS, SentenceType
from pygnc.launch.workspace import runtime_folder
from scripts.bench.processes import ROOT
from scripts.bench.table import print_table
from tests.fakes.pty_flight import HostOnPty, end, start_on_pty

CONTENT: Final = (ROOT / "data" / "demo" / "sense.bin").read_bytes()
SIZE: Final = STANDARD_LAYOUT.size
FIRST: Final = len(CONTENT) // SIZE - 40
RECORDS: Final = 30
LIMIT_MS: Final = 50.0
PATIENCE_S: Final = 30.0


def run_until(host: HostOnPty, is_done: Callable[[], bool]) -> None:
    """Exchange packets until a condition holds."""
    deadline = time.monotonic() + PATIENCE_S
    while not is_done():
        if time.monotonic() > deadline:
            raise TimeoutError(f"main.py did not respond within {PATIENCE_S} s")
        host.turn()
        time.sleep(0.0005)


def settle(host: HostOnPty) -> None:
    """Exchange packets for 0.1 s, after which the run is idle."""
    ends_s = time.monotonic() + 0.1
    run_until(host, lambda: time.monotonic() >= ends_s)


def delay_ms(host: HostOnPty, kind: SentenceType, packet: bytes, reader: StreamReader) -> tuple[float, bool]:
    """Send a packet; return the time to the response in ms, and True if it is an estimate."""
    run_until(host, lambda: not reader.receive(100))
    began = time.monotonic()
    host.send(kind, tail=packet)
    responses: list[object] = []

    def is_answered() -> bool:
        responses.extend(reader.receive(100))
        return bool(responses)

    run_until(host, is_answered)
    return 1e3 * (time.monotonic() - began), isinstance(responses[-1], OrbitEstimate | AttitudeEstimate)


def measure(home: Path, batch_records: int) -> tuple[list[float], list[float]]:
    """Return the delays of orbits and attitudes of one run in ms, in order."""
    if batch_records:
        (home / "sense.bin").write_bytes(CONTENT[: batch_records * SIZE])
    host = HostOnPty()
    process = start_on_pty(host, home, ROOT / "flight" / "main.py", "10", "0")
    info = home / "pygnc_info.txt"
    try:
        run_until(
            host,
            lambda: host.channel.is_ready and info.exists() and (not batch_records or b"IDLE" in info.read_bytes()),
        )
        runtime = runtime_folder(home)
        folders = [max((home / "pygnc_logs").iterdir()), runtime]
        with zmq.Context() as context:
            orbit, attitude = (
                StreamReader(context, runtime, name, folders, msgspec.msgpack.Decoder(type_).decode)
                for name, type_ in (("orbit", OrbitMessage), ("attitude", AttitudeEstimate))
            )
            orbits: list[float] = []
            attitudes: list[float] = []
            for number in range(FIRST, FIRST + RECORDS):
                record = CONTENT[number * SIZE : (number + 1) * SIZE]
                for k in range(4):
                    host.send(SENS, tail=record[30 * k : 30 * (k + 1)])
                settle(host)
                if orbits:
                    attitudes.append(delay_ms(host, SENS, record[120:150], attitude)[0])
                else:
                    host.send(SENS, tail=record[120:150])
                took_ms, is_estimate = delay_ms(host, GPSS, record[150:249], orbit)
                orbits += [took_ms] if is_estimate else []
                settle(host)
            context.destroy(linger=0)
    finally:
        end(process)
        host.close()
    return orbits, attitudes


def main() -> int:
    """Print the table; return 1 if a limit is exceeded."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=3, help="Number of runs per case (default: 3).")
    runs = parser.parse_args().runs
    limited_ms: list[float] = []

    def rows() -> Iterator[tuple[str, str, str, str]]:
        for name, batch_records in (("after a batch", FIRST), ("without a batch", 0)):
            results = []
            for _ in range(runs):
                with tempfile.TemporaryDirectory() as folder:
                    results.append(measure(Path(folder), batch_records))
            for what, delays in zip(("orbit", "attitude"), zip(*results, strict=True), strict=True):
                first = statistics.median(run[0] for run in delays)
                rest = [delay for run in delays for delay in run[1:]]
                median = statistics.median(rest)
                limited_ms.extend((first, median))
                yield f"{what}, {name}", f"{first:.1f} ms", f"{median:.1f} ms", f"{max(rest):.1f} ms"

    print_table(("what", "first", "median", "largest"), rows())
    return int(max(limited_ms) > LIMIT_MS)


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    sys.exit(main())
