"""Measure speed and memory of the orbit filter and of a whole replay, for docs/benchmarks.

Usage: python scripts/bench/bench_orbit.py [--replays] [--week]

With --replays, only the replays are measured, and those of a day too: of one satellite, and of four with their ranges.
With --week, the replay of a week is measured, which takes some six minutes.
Accuracy is measured by the campaigns data/campaigns/orbit*.toml.
"""

import gc
import os
import subprocess
import sys
import tempfile
import time
import timeit
import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # allows to start the program by its path

from pygnc.estimators.orbit.filter import OrbitFilter
from pygnc.estimators.orbit.measurement import Fix
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc_ground.campaign.flight import ORIENTATION
from pygnc_ground.scenario.sensor_settings import Gps
from scripts.bench.orbit_world import random_world, run_filter
from scripts.bench.table import print_table

CENTIMETRE: Final = Gps()


def main() -> int:
    """Print the processor time of a step by gravity degree, and memory and replay time by length of the arc."""
    world = random_world(10, 20)
    fixes = world.fixes(CENTIMETRE, 12.0, 1)
    rows = []
    for degree in (20, 50, 70):
        settings = replace(OrbitSettings(), gravity_degree=degree)
        seconds = min(timeit.repeat(partial(run_filter, fixes, settings), gc.enable, time.process_time, 3, 1))
        older = " (older PyGNC 82 ms)" if degree == 50 else ""
        measured = f"{1e3 * seconds / len(fixes):.2f} ms{older}; {seconds:.2f} s for 12 h"
        rows.append([f"predict 25 s and update, degree {degree}", measured, "1 ms; 2 s" if degree == 50 else "-"])
    peaks = [f"{peak_bytes(fixes[: 144 * hours]) / 1e3:.0f} kB" for hours in (3, 12)]
    rows.append(["most memory that the filter adds after its start, 3 h and 12 h", " and ".join(peaks), "equal"])
    rows += [
        ["whole replay with smoother, batch and report, 3 h", replay(3), "-"],
        ["the same, 12 h", replay(12), "15 s"],
    ]
    print()
    print_table(("what", "measured", "limit"), rows)
    return 0


def print_week() -> int:
    """Print time and memory of the replay of a week."""
    print_table(("what", "measured", "limit"), [["whole replay, a week", replay(168), "4 GB"]])
    return 0


def print_replays() -> int:
    """Print time and memory of replays of up to a day."""
    limit = "45 s, 700 MB"
    rows = [[f"whole replay, {hours} h", replay(hours), limit if hours == 24 else "-"] for hours in (3, 12, 24)]
    rows.append(["whole replay, 24 h, four satellites with ranges", replay(24, "formation4"), limit])
    print_table(("what", "measured", "limit"), rows)
    return 0


def peak_bytes(fixes: Sequence[Fix]) -> int:
    """Return the peak memory of a filter whose results are discarded."""
    orbit = OrbitFilter(OrbitSettings(), ORIENTATION)
    for fix in fixes[:20]:
        orbit.process(fix)
    tracemalloc.start()
    for fix in fixes[20:]:
        orbit.process(fix)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


def replay(hours: int, preset: str = "nominal") -> str:
    """Return wall time, processor time and largest memory of `pygnc replay`."""
    pygnc = str(Path(sys.executable).with_name("pygnc"))
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "s"
        (Path(folder) / "s.toml").write_text(f"duration_s = {3600 * hours}\n")
        command = [pygnc, "scenario", "make", "--preset", preset, "--config", f"{folder}/s.toml", "--out", str(made)]
        subprocess.run(command, check=True, capture_output=True)
        files = [str(made / "sense.bin")]
        if preset != "nominal":
            files = [word for own in sorted(made.glob("7?")) for word in ("--satellite", f"{own.name}={own}")]
            made /= "74"
        began = time.monotonic()
        command = [pygnc, "replay", *files, "--truth", str(made / "truth.parquet"), "--out", f"{folder}/r"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            raise RuntimeError(f"{' '.join(command)}: failed")
        processor_s = usage.ru_utime + usage.ru_stime
        return (
            f"{time.monotonic() - began:.1f} s ({processor_s:.1f} s of processor time), {usage.ru_maxrss / 1e3:.0f} MB"
        )


if __name__ == "__main__":
    sys.exit(print_week() if "--week" in sys.argv else print_replays() if "--replays" in sys.argv else main())
