"""Time from the start to the first status, time to process a batch, time to stop."""

import statistics
import subprocess
import sys
from collections.abc import Iterator

from pygnc.formats.status import Phase
from scripts.bench.flight.rows import Row, timed
from scripts.bench.flight.runs import flight, hours


def first_status(runs: int) -> Iterator[Row]:
    """Time from the start until the status reports that all tasks are up."""
    times = []
    for _ in range(runs + 1):
        with flight(records=hours(1)) as run:
            times.append(run.until(lambda s: s["phase"] != Phase.STARTING))
    bare = timed(
        lambda: subprocess.run([sys.executable, "-c", "import numpy, erfa, zmq, msgspec, satkit"], check=True), runs
    )
    seconds = statistics.median(times[1:])
    yield Row("start to first status, all tasks up", f"{seconds:.2f} s", "0.35 s", seconds <= 0.35)
    yield Row("peer: Python importing the flight libraries", f"{bare:.2f} s", "", None)


def one_hour(runs: int) -> Iterator[Row]:
    """Time one hour of batch."""
    yield from batch(runs, 1, 1.0)


def three_hours(runs: int) -> Iterator[Row]:
    """Time three hours of batch."""
    yield from batch(runs, 3, 1.5)


def batch(runs: int, length: int, limit_s: float) -> Iterator[Row]:
    """Time a batch from the start to the final status."""
    times = []
    for _ in range(runs + 1):
        with flight("--exit-when-done", records=hours(length)) as run:
            times.append(run.until(lambda s: s["phase"] == Phase.STOPPED))
            run.process.wait(20)
    seconds = statistics.median(times[1:])
    yield Row(f"{length} h of batch, start to final status", f"{seconds:.2f} s", f"{limit_s} s", seconds <= limit_s)


def stop_idle(runs: int) -> Iterator[Row]:
    """Time a stop of an idle run."""
    yield stopped(runs, Phase.IDLE, hours(1), "idle")


def stop_busy(runs: int) -> Iterator[Row]:
    """Time a stop in the middle of a batch of three hours."""
    yield stopped(runs, Phase.BATCH, hours(3), "in mid-batch")


def stopped(runs: int, phase: Phase, records: bytes, when: str) -> Row:
    """Time a stop in a phase."""
    times = []
    for _ in range(runs):
        with flight(records=records) as run:
            run.until(lambda s: s["phase"] == phase)
            times.append(run.stop())
    return Row(f"Ctrl-C to exit, {when}", f"{max(times):.2f} s (worst)", "1 s", max(times) <= 1.0)
