"""Measure campaigns for docs/benchmarks: time of 1000 runs, gain by a second worker, overhead per run, memory.

Usage: python scripts/bench/bench_campaign.py [--runs N]

The runs are flights of 3 h with orbit and attitude filter that differ in their noise. The overhead is the processor
time of the process with scheduler, client and results, in a campaign of runs that take 20 ms each.
"""

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # allows to start the program by its path

from pygnc_ground.campaign.cluster import Cluster, local_cluster
from pygnc_ground.campaign.definition import Campaign, campaign_from_tables, plan_run
from pygnc_ground.campaign.run import RunResult
from pygnc_ground.campaign.store import Store
from scripts.bench.table import print_table

FLIGHT: Final = {"repetitions": 1000, "preset": "nominal", "scenario": {"duration_s": 10_800}}
TINY: Final = {
    "repetitions": 1000,
    "scenario": {"duration_s": 25, "forces": {"gravity_degree": 0}},
    "estimators": {"attitude": []},
}
WARM: Final = 2
"""Runs per worker before the measurement, in which it imports its libraries and propagates the orbit."""


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, metavar="N", default=24, help="Runs per worker (default: 24).")
    options = parser.parse_args()
    print_table(("what", "measured"), figures(options.runs))
    return 0


def figures(runs_per_worker: int) -> Iterator[tuple[str, str]]:
    """Yield the rows of the table as soon as they are measured."""
    flight, tiny = (campaign_from_tables(tables, "bench") for tables in (FLIGHT, TINY))
    seconds = {}
    for workers in (1, 2):
        with local_cluster(workers) as cluster:
            measure(cluster, flight, WARM * workers)
            count = runs_per_worker * workers
            seconds[workers], processor, _, peak_mb = measure(cluster, flight, count)
        each = seconds[workers] / count
        text = f"{each:.2f} s a run, {1000 * each / 60:.1f} min for 1000"
        yield f"{workers} workers, {count} runs", f"{text}; {processor / count:.2f} s of processor time a run"
        yield f"largest memory of {workers} workers", f"{peak_mb:.0f} MB"
    yield "2 workers over 1", f"{2 * seconds[1] / seconds[2]:.2f}"
    with local_cluster(2) as cluster:
        measure(cluster, tiny, WARM * 2)
        _, _, overhead, _ = measure(cluster, tiny, tiny.repetitions)
    yield "overhead", f"{1e3 * overhead / tiny.repetitions:.1f} ms a run"


def measure(cluster: Cluster, campaign: Campaign, count: int) -> tuple[float, float, float, float]:
    """Return seconds, processor seconds of all runs and of this process, and the largest memory in MB."""
    results: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "c", campaign) as store:
        began, own = time.monotonic(), processor_s()
        plans = (plan_run(campaign, run) for run in range(count))

        def deliver(result: RunResult, worker: str) -> None:
            if result.row["error"]:
                raise RuntimeError(f"run {result.row['run']}: {result.row['error']}")
            store.add(result, worker)
            results.append((result.seconds, result.peak_mb))

        cluster.compute(plans, deliver)
        taken, of_process = time.monotonic() - began, processor_s() - own
    return taken, sum(seconds for seconds, _ in results), of_process, max(peak for _, peak in results)


def processor_s() -> float:
    """Return the processor time of this process in s."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    sys.exit(main())
