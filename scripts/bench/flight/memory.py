"""Memory and idle processor time of the processes of a run."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from pygnc.formats.status import Phase, Value
from scripts.bench.flight.rows import Row
from scripts.bench.flight.runs import flight, hours


def idle(_: int) -> Iterator[Row]:
    """Measure memory and processor time of an idle run."""
    with flight(records=hours(3)) as run:
        run.until(lambda s: s["phase"] == Phase.IDLE)
        run.until(lambda s: int(s["uptime_s"]) >= 3)
        processes = run.processes()
        before, began = cpu_s(processes), time.perf_counter()
        run.until(lambda s: int(s["uptime_s"]) >= 13)
        share = (cpu_s(processes) - before) / (time.perf_counter() - began)
        mb = pss_mb(processes)
    yield Row(f"memory, PSS of all {len(processes)} processes", f"{mb:.0f} MB", "80 MB", mb <= 80)
    yield Row("processor, idle", f"{100 * share:.1f} % of a core", "2 %", share < 0.02)


def formation(_: int) -> Iterator[Row]:
    """Measure memory with three partners: the maximum during the batch, and afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        pygnc = Path(sys.executable).with_name("pygnc")
        words = [str(pygnc), "scenario", "make", "--preset", "formation4", "--out", f"{folder}/scenario"]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        files = min(path for path in Path(folder, "scenario").iterdir() if path.is_dir())
        with flight(records=(files / "sense.bin").read_bytes(), ranges=files / "range") as run:
            run.until(lambda s: s["phase"] == Phase.BATCH)
            most = [0.0]

            def is_at_rest(found: dict[str, Value]) -> bool:
                most.append(pss_mb(run.processes()))
                return found["phase"] == Phase.IDLE and bool(found["partner2_id"]) and int(found["uptime_s"]) >= 10

            run.until(is_at_rest)
    for when, mb in (("at rest", most[-1]), ("at most while the batch is worked through", max(most))):
        yield Row(f"memory with three partners, {when}", f"{mb:.0f} MB", "100 MB", mb <= 100)


def cpu_s(pids: list[int]) -> float:
    """Return the processor time that processes have used."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def pss_mb(pids: list[int]) -> float:
    """Return the memory of processes as proportional set size."""
    lines = [line for pid in pids for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()]
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1e3
