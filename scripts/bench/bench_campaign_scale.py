"""Measure campaigns of 10^3 to 10^6 runs without their flights, for docs/benchmarks: plan, store, resume, report.

Usage: python scripts/bench/bench_campaign_scale.py [--runs N...] [--out ADDRESS]

The runs are points of a grid with three axes, with one draw each. Their figures are drawn: those of an orbit and of an
attitude filter in flights of 3 h. A run finishes up to 3000 places away from its own; the campaign is stopped after the
first half and continued. Each phase is a process of its own, whose largest memory is shown.
"""

import argparse
import heapq
import multiprocessing
import multiprocessing.connection
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # allows to start the program by its path

import msgspec
import numpy as np

from pygnc_ground.campaign.definition import Campaign, campaign_from_tables, count_runs, plans
from pygnc_ground.campaign.report import write_report
from pygnc_ground.campaign.run import RunResult, key_row
from pygnc_ground.campaign.store import Store
from pygnc_ground.campaign.time_bins import BinRow
from scripts.bench.table import print_table

_AWAY: Final = 3000
_BINS: Final = 18
_KILOBYTE: Final = 1024.0
_NOISES: Final = ("gps.position_noise_m", "gps.velocity_noise_mps", "imu.mag_noise_ut")
"""Settings of the grid; each has the same number of values."""


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, nargs="+", metavar="N", default=[10**3, 10**4, 10**5, 10**6])
    parser.add_argument("--out", metavar="ADDRESS", help="Address of the results instead of a temporary folder.")
    options = parser.parse_args()
    print_table(("runs", "phase", "time", "processor time", "memory"), rows(options.runs, options.out))
    return 0


def rows(numbers: list[int], out: str | None) -> Iterator[tuple[str, ...]]:
    """Yield the rows of the table as soon as they are measured."""
    for runs in numbers:
        with tempfile.TemporaryDirectory() as temporary:
            folder = str(Path(temporary) / "c") if out is None else f"{out.rstrip('/')}/{runs}"
            total = [0.0, 0.0, 0.0]
            for phase in (plan, store, resume, report):
                found = measured(phase, runs, folder)
                total = [total[0] + found[0], total[1] + found[1], max(total[2], found[2])]
                yield row(runs, phase.__name__, found)
            yield row(runs, "total", total)
            if out is None:
                shutil.rmtree(folder)


def row(runs: int, phase: str, found: list[float]) -> tuple[str, ...]:
    """Return a row of the table."""
    return f"{runs:,}", phase, f"{found[0]:.1f} s", f"{found[1]:.1f} s", f"{found[2]:.0f} MB"


def measured(phase: Callable[[int, str], None], runs: int, folder: str) -> list[float]:
    """Return time, processor time in s and the largest memory in MB of a phase."""
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_measure, args=(phase, runs, folder, theirs))
    process.start()
    theirs.close()
    found: list[float] = ours.recv()
    process.join()
    return found


def _measure(
    phase: Callable[[int, str], None],
    runs: int,
    folder: str,
    pipe: "multiprocessing.connection.Connection",
) -> None:
    began, own = time.monotonic(), time.process_time()
    phase(runs, folder)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _KILOBYTE
    pipe.send([time.monotonic() - began, time.process_time() - own, peak_mb])


def tables_of(runs: int) -> dict[str, object]:
    """Return the definition of a campaign with a run at each point of a grid."""
    values = round(runs ** (1.0 / len(_NOISES)))
    grid = {f"scenario.{name}": [0.01 * (1 + place) for place in range(values)] for name in _NOISES}
    random_raan = {"scenario.orbit.raan_deg": {"uniform": [0.0, 360.0]}}
    return {"repetitions": 1, "preset": "nominal", "grid": grid, "random": random_raan}


def plan(runs: int, _: str) -> None:
    """Check the definition and plan all runs."""
    campaign = campaign_from_tables(tables_of(runs), "scale")
    for _plan in plans(campaign, range(count_runs(campaign))):
        pass


def store(runs: int, folder: str) -> None:
    """Store the results of half of the runs, in another order."""
    campaign = msgspec.convert(tables_of(runs), Campaign)
    with Store(folder, campaign) as results:
        _compute(campaign, range(count_runs(campaign) // 2), results)


def resume(runs: int, folder: str) -> None:
    """Continue the campaign and merge its results."""
    campaign = msgspec.convert(tables_of(runs), Campaign)
    with Store(folder, campaign) as results:
        _compute(campaign, [run for run in range(count_runs(campaign)) if run not in results.finished], results)
        results.merge()


def report(_: int, folder: str) -> None:
    """Write the report."""
    write_report(folder)


def _compute(campaign: Campaign, runs: Sequence[int], results: Store) -> None:
    """Plan runs, and deliver drawn results in another order."""
    rng = np.random.default_rng(1)
    finished: list[tuple[float, int, RunResult]] = []
    for place, run_plan in enumerate(plans(campaign, runs)):
        figures = rng.lognormal(0.0, 0.3, (2, _BINS + 1)).tolist()
        row = key_row(run_plan)
        bins = []
        for (kind, unit), errors in zip((("orbit", "m"), ("attitude", "deg")), figures, strict=True):
            error = errors[-1]
            row |= {f"{kind}_filter_error_{unit}": error, f"{kind}_filter_sigma_{unit}": 1.0}
            row |= {f"{kind}_filter_nees": error**2, f"{kind}_filter_bound_{unit}": 0.9}
            label = f"{kind} filter"
            bins += [BinRow(label, 600.0 * k, 24, errors[k], 1.0, 0.9, errors[k] ** 2, 1.0) for k in range(_BINS)]
        heapq.heappush(finished, (place + _AWAY * rng.random(), run_plan.run, RunResult(row, bins, 1.0, 300.0)))
        if len(finished) > _AWAY:
            results.add(heapq.heappop(finished)[2], "tcp://10.0.0.5:40001")
    while finished:
        results.add(heapq.heappop(finished)[2], "tcp://10.0.0.5:40001")


if __name__ == "__main__":
    sys.exit(main())
